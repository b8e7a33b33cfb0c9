"""Counts the floating-point operations of a training step: what the model needs, whatever a machine does besides.

Matrix products only, two operations for each multiplication with its addition: the rest is under 1 % at base size, the
convolution over the some 200 pairs of letters that occur in syllables included.
Padding, recomputed activations and attention between tokens that do not see each other are not counted: a program that
spends time on these uses its device worse, and its utilisation is to show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from chinesebert.configuration_chinesebert import ChineseBertConfig


@dataclass(frozen=True)
class BatchCounts:
    """What a micro-batch holds; of a planned one, what is to be expected.

    Attributes:
        places: rows times their length.
        padding: places that hold none.
        text_tokens: tokens of text: neither padding nor [CLS] or [SEP].
        masked: places that are predicted.
        pairs: ordered pairs of tokens that see each other: the sum of the squared lengths of the segments.
        distinct_tokens, distinct_syllables: different ids, which the fusion is computed for (0, "none", is a syllable).
    """

    places: float
    padding: float
    text_tokens: float
    masked: float
    pairs: float
    distinct_tokens: float
    distinct_syllables: float

    @property
    def tokens(self) -> float:
        """Places that are not padding."""
        return self.places - self.padding


def count_batch(batch: Mapping[str, torch.Tensor], boundary_ids: tuple[int, int], ignore_index: int) -> BatchCounts:
    """Counts a micro-batch before it leaves the CPU.

    Args:
        batch: ``input_ids``, ``pinyin_ids``, ``segment_ids`` (0 is padding) and ``labels``, integers ``[B, L]``.
        boundary_ids: those of [CLS] and [SEP].
        ignore_index: the label of places that are not predicted.
    """
    ids, syllables, segments, labels = (
        batch[name].numpy() for name in ("input_ids", "pinyin_ids", "segment_ids", "labels")
    )
    is_token = segments > 0
    boundaries = (ids == boundary_ids[0]) | (ids == boundary_ids[1])
    per_row = int(segments.max()) + 1
    of_segment = segments + per_row * np.arange(len(segments))[:, None]
    lengths = np.bincount(of_segment[is_token])
    return BatchCounts(
        places=ids.size,
        padding=ids.size - int(is_token.sum()),
        text_tokens=int((is_token & ~boundaries).sum()),
        masked=int((labels != ignore_index).sum()),
        pairs=int((lengths.astype(np.int64) ** 2).sum()),
        distinct_tokens=int(np.count_nonzero(np.bincount(ids.ravel()))),
        distinct_syllables=int(np.count_nonzero(np.bincount(syllables.ravel()))),
    )


def forward_flops(config: ChineseBertConfig, batch: BatchCounts) -> dict[str, float]:
    """Floating-point operations of one forward pass by part of the model, with the last layer and the head at masked
    places only.

    Keys: ``encoder`` (projections and feed-forward parts of all layers but the last), ``attention`` (scores and sums,
    likewise), ``last layer`` (keys and values of all tokens, the rest of the masked), ``fusion``,
    ``head``.
    """
    hidden, between = config.hidden_size, config.intermediate_size
    keys_and_values, feed_forward = 2 * 2 * hidden * hidden, 2 * 2 * hidden * between
    per_token = 2 * keys_and_values + feed_forward
    full_layers = config.num_hidden_layers - 1
    syllables = config.num_syllables + 1 if config.pronunciation_loss_weight else 0
    seen = batch.pairs / batch.tokens if batch.tokens else 0.0
    per_pair = 2 * 2 * hidden
    glyph = 2 * config.glyph_dim * hidden
    return {
        "encoder": full_layers * batch.tokens * per_token,
        "attention": full_layers * batch.pairs * per_pair,
        "last layer": batch.tokens * keys_and_values + batch.masked * (per_token - keys_and_values + seen * per_pair),
        "fusion": batch.distinct_tokens * (glyph + 2 * 2 * hidden * hidden)
        + batch.distinct_syllables * 2 * hidden * hidden,
        "head": batch.masked * 2 * hidden * (hidden + config.vocab_size + syllables),
    }


def training_flops(config: ChineseBertConfig, batch: BatchCounts) -> float:
    """Floating-point operations of forward and backward pass: three times the forward pass, as each product needs two
    for its gradients; but frozen images need none."""
    frozen_images = 0 if config.glyph_trainable else batch.distinct_tokens * 2 * config.glyph_dim * config.hidden_size
    return 3 * sum(forward_flops(config, batch).values()) - frozen_images


def expected_counts(
    config: ChineseBertConfig, rows: int, length: int, masking_probability: float, padding: float = 0.0
) -> BatchCounts:
    """What a micro-batch of packed rows is expected to hold, each row taken as a single segment.

    That, and that all tokens and syllables occur that there is room for, makes the counts upper bounds.

    Args:
        config: of the model.
        rows, length: of the micro-batch.
        masking_probability: share of the tokens of text that is predicted.
        padding: share of the places.
    """
    places = rows * length
    tokens = places * (1 - padding)
    text = max(tokens - 2 * rows, 0.0)
    return BatchCounts(
        places=places,
        padding=places * padding,
        text_tokens=text,
        masked=masking_probability * text,
        pairs=tokens * tokens / max(rows, 1),
        distinct_tokens=min(config.vocab_size, tokens),
        distinct_syllables=min(config.num_syllables + 1, tokens),
    )
