"""Writers of the files that benchmark servers take."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Lines:
    """JSON lines ``{"id": …, "label": …}`` over the whole file, ids as published or numbered from 0.

    Attributes:
        id: the name of the id's field.
        label: the name of the label's field.
    """

    id: str = "id"
    label: str = "label"

    def __call__(self, examples: Sequence[Any], predictions: Sequence[Any]) -> Iterator[str]:
        for example, prediction in zip(examples, predictions, strict=True):
            yield json.dumps({self.id: example.id, self.label: prediction}, ensure_ascii=False)


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
