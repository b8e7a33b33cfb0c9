"""Adapters through ``peft``: what they train, and that the result needs neither them nor ``peft``."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import parse_arguments
from chinesebert.finetuning.run import finetune
from chinesebert.modeling_chinesebert import (
    ChineseBertForMaskedLM,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
)
from chinesebert.tasks.registry import get_task
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import flags, read_json, write_tnews
from tests.test_modeling import make_inputs, make_model, one_thread  # noqa: F401  (a fixture used wherever it is known)
from tests.transfer_trainers import make_trainer, weights

peft = pytest.importorskip("peft", reason="peft is not installed")
pytest.importorskip("accelerate")


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        (ChineseBertForSequenceClassification, {"classifier", "pooler", "layer_mix"}),
        (ChineseBertForTokenClassification, {"classifier", "layer_mix"}),
        (ChineseBertForMaskedLM, {"transform", "layer_mix"}),
    ],
)
def test_adapters_and_head_are_trained_and_nothing_else(
    tmp_path: Path, small_tokenizer: Any, kind: Any, head: set[str]
) -> None:
    mixing, targets = make_model(kind, head_layers="mix"), ["query", "output.dense"]
    model = make_trainer(tmp_path, small_tokenizer, mixing, lora_rank=2, lora_targets=targets).model
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    adapters = {name for name in trained if "lora_" in name}
    assert len(adapters) == 2 * 2 * 3, "two matrices for query and both output.dense of two layers"
    assert all(any(part in name.split(".") for part in head) for name in trained - adapters)
    assert {part for part in head if any(part in name.split(".") for name in trained)} == head


def test_a_layer_that_is_not_there_is_refused(tmp_path: Path, small_tokenizer: Any) -> None:
    with pytest.raises(InputError, match="--lora_targets q_proj: the encoder has no such linear layer"):
        make_trainer(tmp_path, small_tokenizer, lora_rank=2, lora_targets=["q_proj"])


def test_the_merged_model_is_the_model_with_adapters(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, lora_rank=2, max_steps=3)
    base = {name: value for name, value in weights(trainer.model).items() if "base_layer" in name}
    with_adapters = trainer.model
    inputs = make_inputs(2, 6)
    kept: list[torch.Tensor] = []
    trainer.callback_handler.callbacks[0].on_train_end = lambda *args, **kwargs: kept.append(
        with_adapters.eval()(**inputs).logits.detach()
    )
    trainer.train()
    assert isinstance(trainer.model, ChineseBertForSequenceClassification)
    torch.testing.assert_close(trainer.model.eval()(**inputs).logits, kept[0], atol=1e-6, rtol=1e-5)
    queries = [name for name in base if name.endswith("query.base_layer.weight")]
    merged = trainer.model.bert.encoder.layer[0].attention.self.query.weight
    assert queries and not torch.equal(merged, base[queries[0]])


def test_a_run_leaves_the_merged_model_and_the_adapters(tmp_path: Path, small_tokenizer: Any) -> None:
    from transformers import pipeline

    source, output = write_tiny_model(tmp_path / "model", small_tokenizer), tmp_path / "run"
    argv = flags(source, write_tnews(tmp_path / "tnews"), output, "--lora_rank", "2", "--save_strategy", "epoch")
    finetune(get_task("tnews"), parse_arguments(argv))
    assert pipeline("text-classification", model=str(output), device="cpu")("他跑得很快")[0]["score"] > 0
    state, start = (load_file(path / "model.safetensors") for path in (output, source))
    assert not [name for name in state if "lora" in name or "base_layer" in name]
    key = "bert.encoder.layer.1.attention.self.key.weight"
    query = key.replace("key", "query")
    assert torch.equal(state[key], start[key]) and not torch.equal(state[query], start[query])
    assert read_json(output / "adapter" / "adapter_config.json")["r"] == 2

    merged = ChineseBertForSequenceClassification.from_pretrained(output).eval()
    again = ChineseBertForSequenceClassification.from_pretrained(source, num_labels=15)
    again = peft.PeftModel.from_pretrained(again, output / "adapter").eval()
    inputs = make_inputs(2, 6)
    torch.testing.assert_close(again(**inputs).logits, merged(**inputs).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("option", [{"average_weights": "ema"}, {"self_distillation": 1.0}, {"r_drop": 1.0}])
def test_adapters_go_with_averages_and_agreement(tmp_path: Path, small_tokenizer: Any, option: dict[str, Any]) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, lora_rank=2, max_steps=3, **option)
    trainer.train()
    assert isinstance(trainer.model, ChineseBertForSequenceClassification)
