"""Every kind of task is trained with the options of transfer, and what is saved is what was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.trainer_utils import set_seed

import chinesebert
from chinesebert.finetuning.starting_model import starting_model
from chinesebert.finetuning.trainer import FinetuningTrainer
from chinesebert.finetuning.transfer.settings import config_changes
from chinesebert.finetuning.transfer.trained import trained_model
from chinesebert.tasks.dataset import BertDataset
from chinesebert.tasks.kinds import KINDS, Lengths
from chinesebert.tasks.registry import get_task
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import HOUSE, SPORT
from tests.test_modeling import one_thread  # noqa: F401  (a fixture that is used wherever it is known)
from tests.transfer_trainers import arguments

pytest.importorskip("accelerate")

TEXTS = [*SPORT, *HOUSE]
#: For each kind a task, its labels, and what an example is besides its text.
EXAMPLES: dict[str, tuple[str, list[str], Any]] = {
    "classification": ("chnsenticorp", ["0", "1"], lambda text, n: (text, str(n % 2))),
    "multi_label": ("chnsenticorp", ["a", "b"], lambda text, n: (text, None, ("a", "b")[: n % 3])),
    "ranking": ("ccks2019_linking", ["0", "1"], lambda text, n: (text, text[:2], str(n % 2))),
    "tagging": ("cluener", ["name", "scene"], lambda text, n: (text, [(0, 2, "name"), (3, 4, "scene")])),
    "segmentation": ("pku_cws", ["WORD"], lambda text, n: (text, [(0, 2, "WORD"), (2, len(text), "WORD")])),
    "pointers": ("ccks2020_event_subject", ["x", "y"], lambda text, n: (text, [(0, 2, "x"), (0, 3, "y")])),
    "marked_character": ("polyphone", ["p", "q"], lambda text, n: (text, 2, "pq"[n % 2])),
    "reading": ("cmrc2018", [], lambda text, n: (text, "谁？", [(text[1:3], 1)])),
    "choice": ("c3", [], lambda text, n: (text, "谁？", [text[:2], "他", "房东"][: 2 + n % 2], n % 2)),
    "correction": ("sighan15", [], lambda text, n: (text, f"他{text[1:]}")),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "regularised": {
        **{"r_drop": 1.0, "fgm": 1.0, "self_distillation": 1.0, "average_weights": "ema", "head_layers": "mix"},
        **{"layer_lr_decay": 0.9, "gradual_unfreezing": "1", "gradient_accumulation_steps": 2},
    },
    "features": {"freeze_encoder": True, "head_layers": "embeddings", "average_weights": "last"},
    "adapters": {"lora_rank": 2, "self_distillation": 1.0, "r_drop": 1.0},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", small_tokenizer)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_what_is_saved_is_what_was_trained(
    base: Path, tmp_path: Path, small_tokenizer: ChineseBertTokenizer, kind: str, options: str
) -> None:
    if options == "adapters":
        pytest.importorskip("peft")
    task, labels, make = EXAMPLES[kind]
    examples = [make(text, number) for number, text in enumerate(TEXTS)]
    lengths = Lengths(32, 8)
    data = BertDataset(small_tokenizer, examples, KINDS[kind](labels), lengths, cache=False)
    data.kind.learn(data.examples)
    args = arguments(tmp_path, **OPTIONS[options])
    set_seed(0)
    model = starting_model(str(base), data.kind, task, lengths, False, config_changes(args))
    before = [weight.detach().clone() for weight in model.parameters()]
    trainer = FinetuningTrainer(
        task=get_task(task),
        kind=data.kind,
        model=trained_model(model, args, []),
        args=args,
        train_dataset=data,
        eval_dataset=None,
    )
    assert np.isfinite(trainer.train().training_loss)
    trainer.save_model(str(tmp_path / "saved"))
    after = list(trainer.model.parameters())
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    head = getattr(chinesebert, data.kind.head)
    loaded, report = head.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    state = trainer.model.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in loaded.state_dict().items())
    predictions = trainer.predict_examples(data)
    trainer.model = trainer.model_wrapped = loaded
    again = trainer.predict_examples(data)
    assert again == (pytest.approx(predictions, abs=1e-6) if kind == "ranking" else predictions)  # a probability
    assert len(again) == len(TEXTS)
