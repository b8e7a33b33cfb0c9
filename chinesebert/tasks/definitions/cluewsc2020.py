"""CLUEWSC2020: does a pronoun mean this noun, in the manner of the Winograd schemas (CLUE, FewCLUE)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks import clue
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.files import field_of, id_of, label_of, read_records, shortened, text_of
from chinesebert.tasks.task import Defaults


def read(path: Path) -> Iterator[TextExample]:
    """JSON lines: ``text``, ``target`` with text and index of ``span1`` (noun) and ``span2`` (pronoun), ``label``.

    The text is given to the model as ``_noun_ … [pronoun]``, as CLUE's own scripts do it.

    Raises:
        InputError: a record lacks one of them, or a span is not where its index says.
    """
    for number, (where, record) in enumerate(read_records(path)):
        text = text_of(record, "text", where)
        target = field_of(record, "target", where)
        if not isinstance(target, dict):
            raise InputError(f"{where}: `target` is {shortened(target)}, not the two spans of CLUEWSC2020")
        spans = [_span(target, name, text, where) for name in ("span1", "span2")]
        yield TextExample(
            id_of(record, ("id",), where, number),
            marked(text, *spans),
            label=label_of(record, "label", where),
            where=where,
        )


def _span(target: Mapping[str, Any], name: str, text: str, where: str) -> tuple[int, int]:
    span = text_of(dict(target), f"{name}_text", where)
    start = field_of(dict(target), f"{name}_index", where)
    if isinstance(start, bool) or not isinstance(start, int):
        raise InputError(f"{where}: `{name}_index` is {shortened(start)}, not a number")
    if not span or start < 0 or text[start : start + len(span)] != span:
        raise InputError(
            f"{where}: {name} is {span!r}, and at {start} of the text there is {text[max(start, 0) :][: len(span)]!r}; "
            "indices count the characters of the text from 0, and the text must be as published"
        )
    return start, start + len(span)


def marked(text: str, noun: tuple[int, int], pronoun: tuple[int, int]) -> str:
    """The text with ``_`` around the noun and ``[`` ``]`` around the pronoun, which are at ``[start, end)``."""
    # Where one span begins where the other ends, the mark that closes comes first.
    marks = [(noun[1], 0, "_"), (pronoun[1], 0, "]"), (noun[0], 1, "_"), (pronoun[0], 1, "[")]
    for place, _, mark in sorted(marks, reverse=True):
        text = text[:place] + mark + text[place:]
    return text


TASKS = [
    clue.task(
        "cluewsc2020",
        "does the pronoun mean this noun",
        read,
        Defaults("CLUE's own script", per_device_train_batch_size=8, learning_rate=1e-5, num_train_epochs=50),
        labels=("false", "true"),
        folders=("cluewsc", "wsc"),
        submissions=clue.submissions("cluewsc11_predict.json", "cluewsc10_predict.json", "cluewscf_predict.json"),
    )
]
