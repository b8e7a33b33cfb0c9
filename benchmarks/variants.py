"""The models that are measured against each other, all of one size, and what one step of each is."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from benchmarks.inputs import Batch
from benchmarks.straightforward import StraightforwardChineseBert
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.vocabulary import MASK, SPECIAL_TOKEN_IDS

_MODELS = Path(__file__).resolve().parent.parent / "configs" / "model"
SIZES = ("base", "small", "demo", "tiny")
# For tests, which want to see that the program works.
_TINY = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "glyph_size": 4}

# Of the 22,528 tokens of the default vocabulary so many have an image (all different), from the first ordinary one on.
_FIRST_IMAGE, _IMAGES = SPECIAL_TOKEN_IDS[MASK] + 1, 10_415

TRAINING, INFERENCE = MODES = ("training", "inference")
DTYPES = ("float32", "bfloat16")


def make_config(size: str) -> ChineseBertConfig:
    """The sizes of all variants: the default vocabulary with the widths of ``configs/model/SIZE.json``."""
    widths = _TINY if size == "tiny" else json.loads((_MODELS / f"{size}.json").read_text())
    return ChineseBertConfig(**widths, attn_implementation="sdpa")


def build_bert(config: ChineseBertConfig) -> nn.Module:
    """Transformers' model of the same size, with its two segments."""
    shared = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    others = ("max_position_embeddings", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")
    sizes = {name: getattr(config, name) for name in (*shared, *others)}
    return BertForMaskedLM(BertConfig(**sizes, attn_implementation="sdpa"))


def build_ours(config: ChineseBertConfig) -> ChineseBertForMaskedLM:
    """Our model. Images and spellings are random, which makes no difference to its speed; how many images there are
    does to the size of a folded model, so as many tokens as in reality are blank."""
    model: Any = ChineseBertForMaskedLM(copy.deepcopy(config))  # a model that is folded says so in its configuration
    embeddings = model.bert.embeddings
    embeddings.glyph_embeddings.embedding.weight[_FIRST_IMAGE : _FIRST_IMAGE + _IMAGES].random_(0, 256)
    embeddings.pinyin_embeddings.letter_ids[1:].random_(0, config.pinyin_vocab_size)
    return model


def build_folded(config: ChineseBertConfig) -> nn.Module:
    """Our model with its embeddings folded into tables, for inference."""
    return build_ours(config).eval().fold()


def _tokens(batch: Batch) -> dict[str, torch.Tensor]:
    return {"input_ids": batch.input_ids}


def _tokens_and_letters(batch: Batch) -> dict[str, torch.Tensor]:
    return {"input_ids": batch.input_ids, "pinyin_ids": batch.letter_ids}


def _tokens_and_syllables(batch: Batch) -> dict[str, torch.Tensor]:
    return {"input_ids": batch.input_ids, "pinyin_ids": batch.pinyin_ids}


@dataclass(frozen=True)
class Variant:
    """One of the models.

    Attributes:
        title: how tables call it.
        build: the sizes -> the model.
        inputs: a batch -> the arguments of its forward.
        modes: what it is measured in.
    """

    title: str
    build: Callable[[ChineseBertConfig], nn.Module]
    inputs: Callable[[Batch], dict[str, torch.Tensor]]
    modes: tuple[str, ...] = MODES


BERT, STRAIGHTFORWARD, OURS, FOLDED = "bert", "straightforward", "ours", "ours_folded"
VARIANTS = {
    BERT: Variant("(a) transformers' BERT", build_bert, _tokens),
    STRAIGHTFORWARD: Variant("(b) ChineseBERT as in the paper", StraightforwardChineseBert, _tokens_and_letters),
    OURS: Variant("(c) ours", build_ours, _tokens_and_syllables),
    FOLDED: Variant("(c) ours, folded", build_folded, _tokens_and_syllables, modes=(INFERENCE,)),
}


def variants_in(mode: str) -> list[str]:
    """The names of the variants that are measured in a mode."""
    return [name for name, variant in VARIANTS.items() if mode in variant.modes]


Step = Callable[[Batch], Any]


def make_step(name: str, mode: str, dtype: str, config: ChineseBertConfig, device: torch.device) -> Step:
    """A fresh model of a variant with what is done to a batch in one step of a mode."""
    torch.manual_seed(0)
    variant = VARIANTS[name]
    model = variant.build(config).to(device)
    if mode == TRAINING:
        train = training_step(model, dtype, device)
        return lambda batch: train(variant.inputs(batch) | {"labels": batch.labels})
    return _inference_step(model.to(getattr(torch, dtype)), variant)


def training_step(model: nn.Module, dtype: str, device: torch.device) -> Callable[[dict[str, torch.Tensor]], None]:
    """Zero, forward, backward, AdamW on the arguments of a model's forward, labels among them.

    The weights are float32 and bfloat16 is autocast's, as in pretraining.
    """
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(inputs: dict[str, torch.Tensor]) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()

    return step


def _inference_step(model: nn.Module, variant: Variant) -> Step:
    """The logits of every place, by a model whose weights are of the wanted type."""
    model.eval()

    def step(batch: Batch) -> torch.Tensor:
        with torch.inference_mode():
            return model(**variant.inputs(batch)).logits

    return step
