"""Tiny models to fine-tune, saved with their tokenizer, with random weights."""

from pathlib import Path
from typing import Any

import torch

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM, ChineseBertTokenizer


def write_tiny_model(directory: Path, tokenizer: ChineseBertTokenizer, kind: Any = ChineseBertForMaskedLM) -> Path:
    """A directory as pretraining leaves it: two layers of 32, random weights, no images, the tokenizer's readings."""
    torch.manual_seed(3)
    config = ChineseBertConfig(
        vocab_size=len(tokenizer.tokens()),
        num_syllables=len(tokenizer.readings.syllables),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.1,
    )
    model = kind(config)
    model.set_readings(tokenizer)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
