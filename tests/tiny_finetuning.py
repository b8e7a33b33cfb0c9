"""A tiny pretrained directory, to fine-tune from in a second or two."""

from pathlib import Path

import torch

from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.test_modeling import make_glyphs, tiny_config


def save_pretrained_directory(directory: Path, tokenizer: ChineseBertTokenizer) -> Path:
    """Writes model (2 layers of 32, 64 positions, random weights) and tokenizer as a pretraining run does."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer.tokens()), "num_syllables": len(tokenizer.readings.syllables)}
    model = ChineseBertForMaskedLM(tiny_config(**sizes, initializer_range=0.02))
    model.set_character_tables(tokenizer, make_glyphs(sizes["vocab_size"]))
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
