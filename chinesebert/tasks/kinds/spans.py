"""What the kinds share whose examples are texts with labelled spans."""

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.kinds.base import Encoded, Kind, Lengths
from chinesebert.tasks.kinds.characters import CharacterEncoder, Window, character_scores
from chinesebert.tasks.metrics.spans import span_scores

Spans = tuple[Span, ...]


class SpanKind(Kind):
    """Spans of a text, from scores of its characters; a prediction is a tuple of ``Span``, in the order of the text.

    Long texts are read in windows (``Lengths.doc_stride`` tokens are shared), none is cut.
    """

    head = "ChineseBertForTokenClassification"
    example = SpanExample
    each_label_scored: ClassVar[bool] = True  # whether ``score`` has a figure for each label too

    def encode(self, examples: Sequence[SpanExample], tokenizer: Any, lengths: Lengths) -> Encoded:
        """Inputs with a token a character; ``labels`` as the kind has them, of examples that have spans."""
        characters = CharacterEncoder(tokenizer, lengths)
        encoded = Encoded([], [])
        for owner, example in enumerate(examples):
            tokens = characters.tokens(example.text)
            targets = None
            if example.spans is not None:
                targets = self.targets(len(tokens.positions), _of_tokens(example.spans, tokens.positions))
            for window, item, offsets in characters.inputs(tokens):
                if targets is not None:
                    item["labels"] = self.window_labels(targets, window)
                encoded.inputs.append(item)
                encoded.owners.append(owner)
                encoded.offsets.append(offsets)
        return encoded

    @abstractmethod
    def targets(self, length: int, spans: Spans) -> NDArray[np.integer[Any]]:
        """What the model is to say of each of ``length`` tokens. Spans, here of tokens, with labels that this kind does
        not know are left out.
        """

    @abstractmethod
    def window_labels(self, targets: NDArray[np.integer[Any]], window: Window) -> Any:
        """The targets of a window; only of the tokens that count in it."""

    @abstractmethod
    def spans(self, scores: NDArray[Any]) -> Spans:
        """Spans of tokens from their scores ``[tokens, outputs]``."""

    def placed(self, text: str, spans: Spans, positions: Sequence[int]) -> Spans:
        """Spans of tokens as spans of the text; characters without a token belong to the span that they are inside of.

        Args:
            text: as published.
            spans: of tokens.
            positions: which character each token is.
        """
        return tuple(Span(positions[span.start], positions[span.end - 1] + 1, span.label) for span in spans)

    def decode(
        self,
        examples: Sequence[SpanExample],
        encoded: Encoded,
        scores: NDArray[np.float32] | tuple[NDArray[np.float32], ...],
    ) -> list[Any]:
        """The spans of each example; each character speaks from the window where it has most context."""
        by_character = character_scores(encoded, np.asarray(scores))
        return [
            self.placed(example.text, self.spans(each), positions)
            for example, (positions, each) in zip(examples, by_character, strict=True)
        ]

    def score(self, examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> dict[str, float]:
        """Precision, recall and F1 of spans, strict: both ends and the label must be right."""
        return span_scores([example.spans or () for example in examples], predictions, self.each_label_scored)

    def truth(self, example: SpanExample) -> Spans | None:
        """The spans as published; () is a text without any."""
        return example.spans

    def record(self, example: SpanExample, prediction: Sequence[Span]) -> dict[str, Any]:
        """``id``, and each span with its offsets (ends exclusive), its label, and what it covers of the text."""
        line = {"id": example.id, "prediction": described(example.text, prediction)}
        return line if example.spans is None else line | {"label": described(example.text, example.spans)}


def _of_tokens(spans: Spans, positions: Sequence[int]) -> Spans:
    """Spans of a text as spans of its tokens; what has no token, white space only, is no span."""
    bounds = [(bisect_left(positions, span.start), bisect_left(positions, span.end), span.label) for span in spans]
    return tuple(Span(start, end, label) for start, end, label in bounds if start < end)


def described(text: str, spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Spans as JSON objects, with the characters that they cover."""
    return [
        {"start": span.start, "end": span.end, "label": span.label, "text": text[span.start : span.end]}
        for span in spans
    ]
