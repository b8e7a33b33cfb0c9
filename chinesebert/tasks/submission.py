"""Writers of the files that benchmark servers take."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


def server_ids(examples: Sequence[Any]) -> list[int]:
    """Ids from 0 on without gaps, as CLUE's server wants them and CLUE's scripts write them.

    They are the published ones where those are just these numbers, in whatever order; else the records' places in the
    file: some test files have no ids, and CLUEWSC2020's, CSL's and FewCLUE's may be those of a larger set.
    """
    published = [example.id for example in examples]
    places = list(range(len(published)))
    return published if set(published) == set(places) else places


@dataclass(frozen=True)
class Lines:
    """JSON lines ``{"id": …, "label": …}`` over the whole file, with ``server_ids``: what CLUE's server takes.

    Attributes:
        label: the name of the label's field.
    """

    label: str = "label"

    def __call__(self, examples: Sequence[Any], predictions: Sequence[Any]) -> Iterator[str]:
        for number, prediction in zip(server_ids(examples), predictions, strict=True):
            yield json.dumps({"id": number, self.label: prediction}, ensure_ascii=False)


@dataclass(frozen=True)
class CommaLines:
    """CSV: a line of names, then ``id,label``."""

    names: tuple[str, str] = ("id", "label")

    def __call__(self, examples: Sequence[Any], predictions: Sequence[Any]) -> Iterator[str]:
        yield ",".join(self.names)
        for example, prediction in zip(examples, predictions, strict=True):
            yield f"{example.id},{prediction}"


@dataclass(frozen=True)
class OneObject:
    """One JSON object ``{id: prediction}``, a line an entry: of reading tasks and of the idiom cloze."""

    def __call__(self, examples: Sequence[Any], predictions: Sequence[Any]) -> Iterator[str]:
        answers = {str(example.id): guess for example, guess in zip(examples, predictions, strict=True)}
        yield from json.dumps(answers, ensure_ascii=False, indent=2).split("\n")
