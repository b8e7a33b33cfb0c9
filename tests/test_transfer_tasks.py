"""Several tasks: at once with a shared encoder, or one after the other."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import parse_arguments
from chinesebert.finetuning.run import finetune
from chinesebert.finetuning.transfer.mixture import SharedEncoder, TaskBatches, TaskMixture
from chinesebert.modeling_chinesebert import (
    ChineseBertForMaskedLM,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
)
from chinesebert.tasks.registry import get_task
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import flags, read_json, write_afqmc, write_tnews
from tests.test_modeling import make_inputs, make_model, one_thread  # noqa: F401  (a fixture used wherever it is known)
from tests.transfer_trainers import titles_dataset

pytest.importorskip("accelerate")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: Any) -> dict[str, Path]:
    """A model, and the folders of two tasks."""
    directory = tmp_path_factory.mktemp("places")
    return {
        "model": write_tiny_model(directory / "model", small_tokenizer),
        "tnews": write_tnews(directory / "tnews"),
        "afqmc": write_afqmc(directory / "afqmc"),
    }


def runs(places: dict[str, Path], output: Path, *more: str) -> dict[str, Any]:
    task = get_task("tnews")
    return finetune(task, parse_arguments(flags(places["model"], places["tnews"], output, *more), task))


# ------------------------------------------------------------------------------------------------------- at once


def batches_of(sizes: list[int], batch_size: int, alpha: float, epoch: int = 0) -> list[list[int]]:
    batches = TaskBatches(sizes, batch_size, alpha, seed=1)
    batches.set_epoch(epoch)
    found = list(batches)
    assert len(found) == len(batches)
    return found


def task_of(batch: list[int], sizes: list[int]) -> int:
    """The one task that a batch is of."""
    bounds = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    (task,) = {next(number for number, bound in enumerate(bounds) if index < bound) for index in batch}
    return task


@pytest.mark.parametrize(("alpha", "counts"), [(1.0, (5, 20, 1)), (0.5, (5, 10, 2)), (0.0, (5, 5, 5))])
def test_tasks_come_in_proportion_to_a_power_of_their_size(alpha: float, counts: tuple[int, ...]) -> None:
    sizes = [20, 80, 3]
    found = Counter(task_of(batch, sizes) for batch in batches_of(sizes, 4, alpha))
    assert tuple(found[task] for task in range(3)) == counts


def test_an_epoch_has_every_input_of_the_main_task_in_full_batches() -> None:
    batches = batches_of([10, 7], 4, 0.5)
    assert {len(batch) for batch in batches} == {4}
    main = Counter(index for batch in batches for index in batch if index < 10)
    assert set(main) == set(range(10))
    assert sum(main.values()) == 12


def test_every_epoch_has_an_order_of_its_own_that_the_seed_decides() -> None:
    assert batches_of([10, 7], 4, 0.5) == batches_of([10, 7], 4, 0.5)
    assert batches_of([10, 7], 4, 0.5) != batches_of([10, 7], 4, 0.5, epoch=1)


def test_a_batch_is_made_by_the_kind_of_its_task(small_tokenizer: Any) -> None:
    dataset = titles_dataset(small_tokenizer)
    mixture = TaskMixture([dataset, dataset])
    batch = mixture.collate([mixture[12], mixture[13]])
    assert batch.pop("task") == 1
    wanted = dataset.collate([dataset[0], dataset[1]])
    assert batch.keys() == wanted.keys()
    assert all(torch.equal(batch[name], wanted[name]) for name in wanted)


def test_models_share_the_encoder_and_keep_their_heads() -> None:
    tokens = make_model(ChineseBertForTokenClassification, num_labels=3)
    texts = make_model(ChineseBertForSequenceClassification, seed=1, num_labels=2)
    masked = make_model(ChineseBertForMaskedLM, seed=2)
    shared = SharedEncoder([tokens, texts, masked])
    assert set(shared.heads()) == {
        *(f"0.{name}" for name in ("classifier.weight", "classifier.bias")),
        *(f"0.bert.pooler.dense.{name}" for name in ("weight", "bias")),
        *(f"1.cls.predictions.{name}" for name in ("bias", "transform.dense.weight", "transform.dense.bias")),
        *(f"1.cls.predictions.transform.LayerNorm.{name}" for name in ("weight", "bias")),
    }
    inputs = make_inputs(2, 5)
    assert shared(**inputs).logits.shape == (2, 5, 3)
    assert shared(task=1, **inputs).logits.shape == (2, 2)
    with torch.no_grad():
        tokens.bert.embeddings.word_embeddings.weight.mul_(2)
    decoder = shared.others[1].cls.predictions.decoder
    assert torch.equal(decoder.weight, tokens.bert.embeddings.word_embeddings.weight)


def test_heads_of_other_tasks_are_put_back() -> None:
    models = [make_model(ChineseBertForSequenceClassification, seed=seed, num_labels=2) for seed in (0, 1)]
    shared = SharedEncoder(models)
    kept = {name: weight.clone() for name, weight in shared.heads().items()}
    with torch.no_grad():
        models[1].classifier.weight.zero_()
    shared.load_heads(kept)
    assert torch.equal(models[1].classifier.weight, kept["0.classifier.weight"])


def test_the_result_of_several_tasks_is_a_model_of_the_main_one(places: dict[str, Path], tmp_path: Path) -> None:
    runs(places, tmp_path / "run", "--also_train", f"afqmc={places['afqmc']}", "--r_drop", "1", "--fgm", "0.5")
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert metrics["also_train"]["afqmc"]["examples"] == 6
    assert 0 <= metrics["also_train"]["afqmc"]["accuracy"] <= 1
    assert metrics["settings"]["also_train"] == [f"afqmc={places['afqmc']}"]
    assert metrics["dev"]["examples"] == 12
    model, report = ChineseBertForSequenceClassification.from_pretrained(tmp_path / "run", output_loading_info=True)
    assert model.config.num_labels == 15
    assert not report["missing_keys"] and not report["unexpected_keys"]


def test_another_task_changes_what_the_encoder_learns(places: dict[str, Path], tmp_path: Path) -> None:
    """The main task's batches alone would leave the word embeddings of the other's characters as they were."""
    runs(places, tmp_path / "run", "--also_train", f"afqmc={places['afqmc']}", "--weight_decay", "0")
    runs(places, tmp_path / "alone", "--weight_decay", "0")
    states = [load_file(tmp_path / name / "model.safetensors") for name in ("run", "alone")]
    assert states[0].keys() == states[1].keys()
    assert not torch.equal(*(state["bert.encoder.layer.0.output.dense.weight"] for state in states))


EVENTS = "ccks2020_event_subject"


def write_events(directory: Path) -> Path:
    """The folder of a task whose kind has a loss of its own, and longer inputs than the model has positions."""
    directory.mkdir()
    rows = [f"{number}\t房东公司第{number}次资金紧张\t资金紧张\t房东公司\n" for number in range(6)]
    (directory / "train.data").write_text("".join(rows), encoding="utf-8")
    (directory / "val.data").write_text(rows[0], encoding="utf-8")
    return directory


@pytest.mark.parametrize("main", ["tnews", EVENTS])
def test_tasks_with_losses_of_their_own_go_with_others(places: dict[str, Path], tmp_path: Path, main: str) -> None:
    folders = {"tnews": places["tnews"], EVENTS: write_events(tmp_path / "events")}
    (other,) = set(folders) - {main}
    argv = flags(places["model"], folders[main], tmp_path / "run", task=main)
    more = ("--also_train", f"{other}={folders[other]}", "--r_drop", "1", "--self_distillation", "1")
    task = get_task(main)
    summary = finetune(task, parse_arguments([*(flag for flag in argv if flag != "--do_predict"), *more], task))
    assert summary["also_train"][other].keys() >= {"examples", get_task(other).metric}
    assert summary["train_steps"] > 0 and task.metric in summary["dev"]


def test_other_tasks_are_not_longer_than_the_model_reads(places: dict[str, Path], tmp_path: Path) -> None:
    events = write_events(tmp_path / "events")
    assert get_task(EVENTS).defaults.max_seq_length > 128, "the positions of the model"
    runs(places, tmp_path / "run", "--first_task", EVENTS, "--first_data_dir", str(events), "--max_steps", "1")
    assert read_json(tmp_path / "run" / "first" / "metrics.json")["settings"]["max_seq_length"] == 128


@pytest.mark.parametrize("option", ["--self_distillation", "--r_drop"])
def test_a_kind_with_a_loss_of_its_own_has_a_teacher_and_two_passes(
    places: dict[str, Path], tmp_path: Path, option: str
) -> None:
    argv = flags(places["model"], write_events(tmp_path / "events"), tmp_path / "run", option, "1", task=EVENTS)
    task = get_task(EVENTS)
    assert "f1" in finetune(task, parse_arguments([flag for flag in argv if flag != "--do_predict"], task))["dev"]


def test_a_task_cannot_be_its_own_companion(places: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--also_train: a task is there twice: tnews, tnews"):
        runs(places, tmp_path / "run", "--also_train", f"tnews={places['tnews']}")


def test_a_companion_needs_a_training_file(places: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train"):
        runs(places, tmp_path / "run", "--also_train", f"afqmc={tmp_path}")
    assert not (tmp_path / "run" / "metrics.json").exists()


# --------------------------------------------------------------------------------------------- one after the other


def test_the_second_task_begins_with_the_encoder_of_the_first(places: dict[str, Path], tmp_path: Path) -> None:
    more = ("--first_task", "afqmc", "--first_data_dir", str(places["afqmc"]), "--freeze_encoder")
    # The last step's weights, not the best: the best may be those of the first, of which the warm-up makes nothing.
    runs(places, tmp_path / "run", *more, "--load_best_model_at_end", "false", "--save_strategy", "no")
    first, second, start = (
        load_file(directory / "model.safetensors")
        for directory in (tmp_path / "run" / "first", tmp_path / "run", places["model"])
    )
    encoder = [name for name in start if name.startswith("bert.encoder.") and name.endswith("dense.weight")]
    assert encoder
    for name in encoder:
        assert torch.equal(second[name], first[name])
        assert not torch.equal(second[name], start[name])
    assert first["classifier.weight"].shape[0] == 2
    assert second["classifier.weight"].shape[0] == 15


def test_the_first_task_has_figures_and_hyperparameters_of_its_own(places: dict[str, Path], tmp_path: Path) -> None:
    more = ("--first_task", "afqmc", "--first_data_dir", str(places["afqmc"]), "--r_drop", "1")
    runs(places, tmp_path / "run", *more)
    first, second = (read_json(tmp_path / "run" / name / "metrics.json") for name in ("first", "."))
    assert (first["task"], second["task"]) == ("afqmc", "tnews")
    assert [metrics["settings"]["r_drop"] for metrics in (first, second)] == [0, 1]
    assert first["dev"]["examples"] == 6
    assert first["settings"]["learning_rate"] == 2e-5
    assert second["settings"]["learning_rate"] == 1e-2


def test_a_first_task_that_is_finished_is_not_trained_again(places: dict[str, Path], tmp_path: Path) -> None:
    more = ("--first_task", "afqmc", "--first_data_dir", str(places["afqmc"]))
    runs(places, tmp_path / "run", *more)
    (tmp_path / "run" / "metrics.json").unlink()  # as if the second had been interrupted
    before = (tmp_path / "run" / "first" / "model.safetensors").stat().st_mtime_ns
    runs(places, tmp_path / "run", *more)
    assert (tmp_path / "run" / "first" / "model.safetensors").stat().st_mtime_ns == before
    assert (tmp_path / "run" / "metrics.json").exists()


# ------------------------------------------------------------------------------------------------ all options run


@pytest.mark.parametrize(
    "options",
    [
        ("--freeze_encoder", "--head_layers", "mix"),
        ("--layer_lr_decay", "0.9", "--gradual_unfreezing", "1", "--head_layers", "mix"),
        ("--average_weights", "ema", "--self_distillation", "1", "--r_drop", "1", "--fgm", "1"),
    ],
    ids=["features", "rates", "regularised"],
)
def test_a_run_with_options_leaves_a_model_that_loads_and_classifies(
    places: dict[str, Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    from transformers import pipeline

    summary = runs(places, tmp_path / "run", *options)
    assert summary["dev"]["examples"] == 12
    classify = pipeline("text-classification", model=str(tmp_path / "run"), device="cpu")
    assert classify("球队昨晚赢了比赛")[0]["label"] in classify.model.config.id2label.values()
    config = read_json(tmp_path / "run" / "config.json")
    assert [config[name] for name in ("hidden_dropout_prob", "classifier_dropout")] == [0.1, 0.1]


def test_a_head_whose_labels_mean_something_else_is_drawn_anew(places: dict[str, Path], tmp_path: Path) -> None:
    from chinesebert.finetuning.starting_model import starting_model
    from chinesebert.tasks.kinds import KINDS, Lengths

    kinds = [KINDS["classification"](labels) for labels in (["a", "b"], ["a", "b"], ["c", "d"])]
    first = starting_model(str(places["model"]), kinds[0], "one", Lengths(), random_weights=False)
    first.save_pretrained(tmp_path)
    same, other = (starting_model(str(tmp_path), kind, "two", Lengths(), random_weights=False) for kind in kinds[1:])
    assert torch.equal(same.classifier.weight, first.classifier.weight)
    assert not torch.equal(other.classifier.weight, first.classifier.weight)
    assert torch.equal(other.bert.pooler.dense.weight, first.bert.pooler.dense.weight)
