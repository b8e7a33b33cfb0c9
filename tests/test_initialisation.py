"""How the weights of a new model are drawn."""

from pathlib import Path

import pytest
import torch

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM, ChineseBertTokenizer
from chinesebert.glyph import Glyphs
from chinesebert.modeling_chinesebert import waves
from chinesebert.training.engine import RATE_SCALE, parameter_groups

SIZES = {"num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64, "hidden_dropout_prob": 0.0}


@pytest.mark.parametrize(("hidden_size", "spread"), [(256, 0.04), (768, 0.02)])
@torch.no_grad()
def test_word_pinyin_glyph_and_position_begin_with_a_like_share(
    hidden_size: int, spread: float, small_tokenizer: ChineseBertTokenizer, glyphs: Path, sample_paragraphs: list[str]
) -> None:
    torch.manual_seed(0)
    config = ChineseBertConfig(
        **SIZES,
        vocab_size=len(small_tokenizer),
        num_syllables=len(small_tokenizer.readings.syllables),
        hidden_size=hidden_size,
        initializer_range=spread,
    )
    model = ChineseBertForMaskedLM(config)
    model.set_character_tables(small_tokenizer, Glyphs.load(glyphs))
    inputs = small_tokenizer(sample_paragraphs[:20], padding=True, truncation=True, max_length=128, return_tensors="pt")
    ids = inputs["input_ids"][inputs["attention_mask"].bool()][None]
    pinyin = inputs["pinyin_ids"][inputs["attention_mask"].bool()][None]

    embeddings = model.bert.embeddings
    vectors = (
        embeddings.word_embeddings(ids),
        embeddings.pinyin_embeddings(pinyin),
        embeddings.glyph_map(embeddings.glyph_embeddings(ids, torch.float32)),
    )
    parts = embeddings.map_fc.weight.chunk(3, dim=1)
    shares = [
        spread_over_tokens(torch.nn.functional.linear(vector, part))
        for vector, part in zip(vectors, parts, strict=True)
    ]
    assert max(shares) < 3 * min(shares), shares
    together = spread_over_tokens(embeddings.fuse(ids, pinyin, None))
    positions = embeddings.position_embeddings.weight.std().item()
    assert 0.5 < together / positions < 2


def spread_over_tokens(vectors: torch.Tensor) -> float:
    return (vectors - vectors.mean(dim=-2, keepdim=True)).std().item()


def test_waves_tell_how_far_apart_two_places_are() -> None:
    table = waves(64, 32)
    likeness = table @ table.T
    for distance in (1, 5, 20):
        diagonal = likeness.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert likeness[10, 11] > likeness[10, 13] > likeness[10, 20]


def test_waves_fit_an_odd_width() -> None:
    assert waves(3, 5).shape == (3, 5)


def test_the_map_of_pixels_may_learn_slower_than_the_rest() -> None:
    model = ChineseBertForMaskedLM(ChineseBertConfig(vocab_size=50, hidden_size=32, **SIZES))
    decayed, others, pixels = parameter_groups(model, 0.01, glyph_rate_scale=0.1)
    assert [id(parameter) for parameter in pixels["params"]] == [id(model.bert.embeddings.glyph_map.weight)]
    assert pixels[RATE_SCALE] == 0.1 and pixels["weight_decay"] == 0.01
    count = sum(1 for _ in model.parameters())
    assert len(decayed["params"]) + len(others["params"]) + 1 == count
