"""CSL: are all keywords really those of the abstract of a paper (CLUE, FewCLUE)."""

from collections.abc import Iterator
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tasks import clue
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.files import field_of, id_of, label_of, read_records, shortened, text_of
from chinesebert.tasks.task import Defaults

# The tokenizer drops spaces, with which the keywords would run into each other.
SEPARATOR = "；"


def read(path: Path) -> Iterator[TextExample]:
    """JSON lines: ``keyword`` (a list), ``abst``, ``label`` "0" or "1"; the keywords are the first text of the pair.

    Raises:
        InputError: a record lacks one of them, or its keywords are no texts.
    """
    for number, (where, record) in enumerate(read_records(path)):
        keywords = field_of(record, "keyword", where)
        keywords = [keywords] if isinstance(keywords, str) else keywords
        if not isinstance(keywords, list) or not all(isinstance(keyword, str) for keyword in keywords):
            raise InputError(f"{where}: `keyword` is {shortened(keywords)}, not a list of texts")
        yield TextExample(
            id_of(record, ("id",), where, number),
            SEPARATOR.join(keywords),
            text_of(record, "abst", where),
            label_of(record, "label", where),
            where=where,
        )


TASKS = [
    clue.task(
        "csl",
        "are all keywords those of the abstract",
        read,
        Defaults(
            "CLUE's own script",
            max_seq_length=256,
            per_device_train_batch_size=8,
            learning_rate=1e-5,
            num_train_epochs=5,
        ),
        labels=("0", "1"),
        submissions=clue.submissions("csl_predict.json", few="cslf_predict.json"),
    )
]
