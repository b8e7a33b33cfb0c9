"""Words of English text by the rules of the Penn Treebank, as NLTK's ``word_tokenize`` finds them.

Sentences end where NLTK asks its trained Punkt model; here a full stop after two letters or more ends one, if the word
is none of the usual abbreviations. That matters inside of answers that hold several English sentences, and nowhere
else.
"""

import re

_ABBREVIATIONS = ("mr", "mrs", "ms", "dr", "st", "jr", "sr", "vs", "co", "corp", "inc", "ltd", "no", "vol", "etc")
_SENTENCE_END = re.compile(r"(?<=[a-z]{2})\.(?=\s)", re.IGNORECASE)
_RULES = [
    (re.compile(pattern, re.IGNORECASE), spaced)
    for pattern, spaced in (
        (r'^"', "`` "),
        (r'(?<=[ (\[{<])"', " `` "),
        (r"\.{2,}", r" \g<0> "),
        (r"[,:](?!\d)", r" \g<0> "),
        (r"[;@#$%&?!*\[\](){}<>«»“”‘’„]", r" \g<0> "),
        (r"--", " -- "),
        (r"""(?<=[^.])\.(?=[\])}>"' ]*$)""", " . "),
        (r'"|\'\'', " '' "),
        (r"(?<=[^' ])(?:'(?:s|m|d|ll|re|ve)|n't|')(?= |$)", r" \g<0> "),
        (r"\b(can)(not)\b|\b(gim|lem)(me)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b", None),
    )
]


def english_words(text: str) -> list[str]:
    """The words and the punctuation of a text, in its order."""
    words = []
    for sentence in _sentences(text):
        for pattern, spaced in _RULES:
            if spaced is None:
                sentence = pattern.sub(lambda match: " ".join(part for part in match.groups() if part), sentence)
            else:
                sentence = pattern.sub(spaced, sentence)
        words += sentence.split()
    return words


def _sentences(text: str) -> list[str]:
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if text[: match.start()].split()[-1].lower() not in _ABBREVIATIONS:
            found.append(text[start : match.end()])
            start = match.end()
    return [*found, text[start:]]
