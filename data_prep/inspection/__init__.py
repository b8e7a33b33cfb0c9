"""What ``python -m data_prep inspect`` is made of.

``blocks`` reads a corpus from end to end → ``statistics`` counts (``token_kinds``, ``lengths``, ``counters``,
``fingerprints``) → ``summary`` puts it in numbers, ``sections`` in words → ``text``, ``plots``, ``report`` show them;
``documents`` shows single documents with their words and pinyin.
"""
