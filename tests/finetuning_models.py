"""Tiny models to fine-tune, saved with their tokenizer, with random weights."""

from pathlib import Path
from typing import Any

import torch

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM, ChineseBertTokenizer


def write_tiny_model(directory: Path, tokenizer: ChineseBertTokenizer, kind: Any = ChineseBertForMaskedLM) -> Path:
    """Two layers of 32, random images and weights, and the readings of the tokenizer."""
    torch.manual_seed(5)
    config = ChineseBertConfig(
        vocab_size=len(tokenizer.tokens()),
        num_syllables=len(tokenizer.readings.syllables),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    model = kind(config)
    model.set_readings(tokenizer)
    table = model.base_model.embeddings.glyph_embeddings.embedding.weight
    with torch.no_grad():
        table.copy_(torch.randint(256, table.shape))
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
