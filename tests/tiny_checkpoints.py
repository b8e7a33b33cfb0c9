"""Checkpoints in the released layout and in that of JunnYu's port, tiny and made from scratch, with random weights.

The weights are those of ``benchmarks/straightforward.py``, which shares no code with the model: it says what the
outputs must be. Nothing here needs the released files.
"""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from torch import nn

from benchmarks.straightforward import StraightforwardChineseBert
from chinesebert.configuration_chinesebert import ChineseBertConfig

# With the traps of the released vocabulary: U+2028 and the empty line are tokens, with others behind them.
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<S>", "\u2028", *"银行长的重庆要我们喜欢猫在大"),
    *("a", "##b", "##行", "python", "，", "。", "1", "", "犇", "狃"),
]
ALPHABET = "012345" + string.ascii_lowercase
FONTS = ("STFANGSO.TTF24.npy", "STXINGKA.TTF24.npy", "方正古隶繁体.ttf24.npy")
GLYPH_ROWS = "bert.embeddings.glyph_embeddings.embedding.weight"
POSITIONS = 64
State = dict[str, torch.Tensor]


def spelled(syllable: str) -> list[int]:
    """The numbers of eight letters, padded with 0."""
    numbers = [ALPHABET.index(letter) for letter in syllable]
    return numbers + [0] * (8 - len(numbers))


PINYIN_MAP = {"idx2char": list(ALPHABET), "char2idx": {letter: number for number, letter in enumerate(ALPHABET)}}
# As the released table does it: a syllable without a tone gets a 5. Those that are not here are spelled letter by
# letter, and get none.
PINYIN2TENSOR = {
    "de": spelled("de5"),
    "le": spelled("le5"),
    "zhong4": spelled("zhong4"),
    "chong2": spelled("chong2"),
    "mao1": spelled("mao1"),
    "ê1": spelled(""),
}


def reference_model() -> StraightforwardChineseBert:
    """The model of the tiny checkpoint, with its weights."""
    torch.manual_seed(11)
    config = ChineseBertConfig(
        **_sizes(), initializer_range=0.2, hidden_dropout_prob=0.0, attn_implementation="sdpa"
    )  # large weights, so that each input makes a difference that no tolerance can hide
    model = StraightforwardChineseBert(config).eval()
    for module in model.modules():
        if isinstance(module, nn.LayerNorm | nn.Linear):
            nn.init.normal_(module.bias, std=0.2)
    return model


def released_state(model: StraightforwardChineseBert) -> State:
    """Its weights as a released file has them: with the positions as a buffer, and with a pooler."""
    generator = torch.Generator().manual_seed(12)
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    size = model.config.hidden_size
    return state | {
        "bert.embeddings.position_ids": torch.arange(POSITIONS)[None],
        "bert.pooler.dense.weight": torch.empty(size, size).normal_(std=0.2, generator=generator),
        "bert.pooler.dense.bias": torch.empty(size).normal_(std=0.2, generator=generator),
    }


def write_released(directory: Path, state: State) -> Path:
    """Writes the directory as the authors do: tables and fonts under ``config/``, weights as an old pickle."""
    (directory / "config").mkdir(parents=True)
    write_json(directory / "config.json", _released_config())
    (directory / "vocab.txt").write_bytes(("\n".join(VOCABULARY) + "\n").encode())
    write_json(directory / "config" / "pinyin_map.json", PINYIN_MAP)
    write_json(directory / "config" / "pinyin2tensor.json", PINYIN2TENSOR)
    write_json(directory / "config" / "id2pinyin.json", {})  # read by the original's pretraining only
    for name, images in zip(FONTS, font_images(), strict=True):
        np.save(directory / "config" / name, images)
    torch.save(state, directory / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    return directory


def write_ported(directory: Path, state: State, tokenizer_json: bool = False) -> Path:
    """Writes the directory as JunnYu's port does: tables in ``tokenizer_config.json``, sizes in ``config.json``."""
    directory.mkdir(parents=True)
    sizes = {"glyph_embedding_dim": 1728, "pinyin_map_len": 32}
    write_json(directory / "config.json", _released_config() | sizes | {"architectures": ["ChineseBertForMaskedLM"]})
    vocabulary = directory / "vocab.txt"
    vocabulary.write_bytes(("\n".join(VOCABULARY) + "\n").encode())
    tables = {"pinyin_map": PINYIN_MAP, "pinyin2tensor": PINYIN2TENSOR, "id2pinyin": {}}
    write_json(
        directory / "tokenizer_config.json",
        {"do_lower_case": True, "name_or_path": "somewhere", "tokenizer_class": "ChineseBertTokenizerFast"} | tables,
    )
    if tokenizer_json:  # strips every line of the vocabulary, and so loses U+2028
        BertWordPieceTokenizer(str(vocabulary)).save(str(directory / "tokenizer.json"))
    torch.save(state, directory / "pytorch_model.bin")
    return directory


def font_images() -> list[np.ndarray]:
    """The images of three fonts, float64 ``[V, 24, 24]``; not those in the weights, which training has changed."""
    generator = np.random.default_rng(13)
    return list(generator.integers(0, 256, (len(FONTS), len(VOCABULARY), 24, 24)).astype(np.float64))


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in UTF-8."""
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _sizes() -> dict[str, Any]:
    return {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }


def _released_config() -> dict[str, Any]:
    leftovers = {"directionality": "bidi", "gradient_checkpointing": False, "output_past": True}
    pooler = {"pooler_fc_size": 768, "pooler_num_fc_layers": 3, "pooler_type": "first_token_transform"}
    rates = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02}
    architecture = {"architectures": ["GlyceBertForMaskedLM"], "model_type": "bert"}
    return _sizes() | leftovers | pooler | rates | architecture | {"hidden_act": "gelu", "pad_token_id": 0}
