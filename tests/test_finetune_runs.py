"""Runs of the fine-tuning scripts: what they leave, how they go on, and what they refuse."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import pipeline

from chinesebert.errors import InputError
from chinesebert.finetuning.announcements import shown
from chinesebert.finetuning.arguments import parse_arguments
from chinesebert.finetuning.data import read_splits
from chinesebert.finetuning.main import main
from chinesebert.finetuning.progress import log_line
from chinesebert.finetuning.seeds import aggregated
from chinesebert.finetuning.submit import check_submission
from chinesebert.finetuning.suite import task_folder
from chinesebert.finetuning.tables import markdown_table, terminal_table
from chinesebert.finetuning.trainer import FinetuningTrainer
from chinesebert.tasks.registry import all_tasks, get_task, task_names
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.conftest import ROOT
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import (
    flags,
    read_json,
    read_records,
    titles,
    write_afqmc,
    write_records,
    write_tnews,
)
from tests.pretraining_runs import free_port

RECIPES = sorted((ROOT / "configs" / "finetune").glob("*.yaml"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", small_tokenizer)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    write_tnews(directory / "tnews")
    write_afqmc(directory / "afqmc")
    return directory


@pytest.fixture(scope="module")
def finished(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of TNEWS. Do not change it: tests share it."""
    output = tmp_path_factory.mktemp("runs") / "tnews"
    assert main("clue", flags(model, data / "tnews", output)) == 0
    return output


def refused(capsys: pytest.CaptureFixture[str], *argv: str, suite: str = "clue") -> str:
    """The message of a command line that is refused."""
    capsys.readouterr()
    assert main(suite, argv) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message.split("error: ")[1]


# ------------------------------------------------------------------------------------------------ one run


def test_a_run_leaves_model_figures_predictions_submission_and_card(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "settings.json"} <= names
    assert {"metrics.json", "predictions.jsonl", "dev_predictions.jsonl", "tnews11_predict.json"} <= names
    assert not [name for name in names if name.startswith((".", "checkpoint"))]


def test_metrics_say_what_was_run_on_what(finished: Path, data: Path) -> None:
    metrics = read_json(finished / "metrics.json")
    assert (metrics["task"], metrics["metric"], metrics["train_steps"]) == ("tnews", "accuracy", 3)
    right = [line["prediction"] == line["label"] for line in read_records(finished / "dev_predictions.jsonl")]
    assert metrics["dev"]["accuracy"] == pytest.approx(sum(right) / 12)
    assert metrics["test"]["examples"] == 12 and "accuracy" not in metrics["test"]
    assert metrics["files"]["train"][0]["file"] == str(data / "tnews" / "train.json")
    assert len(metrics["files"]["train"][0]["sha256"]) == 64
    assert metrics["settings"]["learning_rate"] == 0.01
    assert metrics["versions"]["torch"] == torch.__version__


def test_a_card_is_what_the_hub_reads(finished: Path) -> None:
    text = (finished / "README.md").read_text(encoding="utf-8")
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["pipeline_tag"] == "text-classification"
    assert str(finished.parent) not in text  # where things lie on a machine is not to be published


def test_a_finished_model_works_in_a_pipeline(finished: Path) -> None:
    classify = pipeline("text-classification", model=str(finished), device="cpu")
    lines = read_records(finished / "dev_predictions.jsonl")
    found = classify([record["sentence"] for record in titles()])
    assert [item["label"] for item in found] == [line["prediction"] for line in lines]


def test_the_seed_draws_the_head(model: Path, data: Path, tmp_path: Path) -> None:
    heads = []
    for number, seed in enumerate((1, 1, 2)):
        torch.rand(number)  # what was drawn before makes no difference
        more = ("--seed", str(seed), "--learning_rate", "0", "--max_train_samples", "4", "--eval_strategy", "no")
        output = tmp_path / str(number)
        assert main("clue", flags(model, data / "tnews", output, *more, "--save_strategy", "no")) == 0
        heads.append(load_file(output / "model.safetensors")["classifier.weight"])
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_a_finished_run_is_not_run_over(
    finished: Path, model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, *flags(model, data / "tnews", finished))
    assert "holds a finished run" in message and "--overwrite_output_dir" in message


def test_a_finished_run_is_replaced_on_request(finished: Path, model: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    more = ("--overwrite_output_dir", "--learning_rate", "1e-3")
    assert main("clue", flags(model, data / "tnews", output, *more)) == 0
    assert read_json(output / "metrics.json")["settings"]["learning_rate"] == 1e-3


def test_a_test_split_is_predicted_by_a_finished_model_without_training(
    finished: Path, data: Path, tmp_path: Path
) -> None:
    argv = ["--task", "tnews", "--model_name_or_path", str(finished), "--data_dir", str(data / "tnews")]
    assert main("clue", [*argv, "--output_dir", str(tmp_path), "--do_predict", "--use_cpu"]) == 0
    assert read_records(tmp_path / "predictions.jsonl") == read_records(finished / "predictions.jsonl")
    assert not (tmp_path / "config.json").exists()


def test_without_training_inputs_are_cut_as_in_training(finished: Path, data: Path, tmp_path: Path) -> None:
    argv = ["--task", "tnews", "--model_name_or_path", str(finished), "--data_dir", str(data)]
    args = parse_arguments([*argv, "--output_dir", str(tmp_path), "--do_predict", "--use_cpu"])
    assert args.max_seq_length == 16


@pytest.mark.parametrize("flag", ["--do_eval", "--do_predict"])
def test_a_pretrained_model_has_nothing_to_evaluate(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    argv = ["--task", "tnews", "--model_name_or_path", str(model), "--data_dir", str(data / "tnews"), flag]
    assert "is not fine-tuned for tnews" in refused(capsys, *argv, "--output_dir", str(tmp_path), "--use_cpu")


def test_a_model_with_other_labels_is_not_evaluated(
    finished: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--task", "afqmc", "--model_name_or_path", str(finished), "--data_dir", str(data / "afqmc"), "--do_eval"]
    message = refused(capsys, *argv, "--output_dir", str(tmp_path), "--use_cpu")
    assert "the model has other labels" in message and "give one that was fine-tuned for afqmc" in message


def test_a_part_of_the_test_split_makes_no_submission(
    finished: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--task", "tnews", "--model_name_or_path", str(finished), "--data_dir", str(data / "tnews")]
    more = ("--output_dir", str(tmp_path), "--do_predict", "--use_cpu", "--max_eval_samples", "5")
    assert main("clue", [*argv, *more]) == 0
    assert len(read_records(tmp_path / "predictions.jsonl")) == 5
    assert not list(tmp_path.glob("tnews*_predict.json"))
    assert "no submission file" in capsys.readouterr().err


def test_bad_input_writes_nothing(model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = write_records(tmp_path / "train.json", [{"sentence": "一", "label": "999"}])
    message = refused(capsys, *flags(model, data / "tnews", tmp_path / "out", "--train_file", str(wrong)))
    assert f"{wrong}:1: the label '999'" in message
    assert not (tmp_path / "out").exists()


def test_what_is_read_and_reached_is_told(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--max_seq_length", "8", "--logging_steps", "1", "--num_train_epochs", "1")
    assert main("clue", flags(model, data / "tnews", tmp_path / "run", *more)) == 0
    told = capsys.readouterr()
    assert "train 12 (train.json), dev 12 (dev.json), test 12 (test.json)" in told.err
    assert "texts are longer than 8 tokens" in told.err
    assert "step 1 of 3  epoch 0.33  loss" in told.err
    assert "tnews test: no labels, so predicted only" in told.out
    assert str(tmp_path / "run" / "predictions.jsonl") in told.out


# ------------------------------------------------------------------------------------------------ interrupts


def main_with_signal(argv: list[str], number: signal.Signals) -> int:
    """A run that a signal reaches in its second step; its status."""
    step = FinetuningTrainer.training_step

    def signalled(trainer: FinetuningTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if trainer.state.global_step == 1:
            os.kill(os.getpid(), number)
        return step(trainer, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FinetuningTrainer, "training_step", signalled)
        return main("clue", argv)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    model: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    status: int,
) -> None:
    more = ("--num_train_epochs", "6")
    assert main("clue", flags(model, data / "tnews", tmp_path / "undisturbed", *more)) == 0
    argv = flags(model, data / "tnews", tmp_path / "run", *more)
    assert main_with_signal(argv, number) == status
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {checkpoint.name, "settings.json"}
    assert f"{checkpoint} (step" in capsys.readouterr().err
    assert main("clue", argv) == 0
    assert f"goes on from {checkpoint}" in capsys.readouterr().err
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("undisturbed", "run")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    figures = [read_json(tmp_path / name / "metrics.json")["dev"] for name in ("undisturbed", "run")]
    assert figures[0] == figures[1]


def test_a_signal_ends_all_tasks(model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = flags(model, data, tmp_path, "--num_train_epochs", "6", task="tnews,afqmc")
    assert main_with_signal(argv, signal.SIGTERM) == 143
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tnews"]
    assert main("clue", argv) == 0
    assert f"goes on from {tmp_path / 'tnews'}" in capsys.readouterr().err
    assert (tmp_path / "submit.zip").exists()


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = flags(model, data / "tnews", tmp_path, "--num_train_epochs", "6")
    assert main_with_signal(argv, signal.SIGTERM) == 143
    argv = flags(model, data / "tnews", tmp_path, "--num_train_epochs", "6", "--weight_decay", "0.5")
    assert "weight_decay 0.01 (now 0.5)" in refused(capsys, *argv)
    assert main("clue", [*argv, "--resume_from_checkpoint", "false", "--num_train_epochs", "1"]) == 0
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_checkpoint_of_unknown_settings_is_not_gone_on_from(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = flags(model, data / "tnews", tmp_path, "--num_train_epochs", "6")
    assert main_with_signal(argv, signal.SIGTERM) == 143
    (tmp_path / "settings.json").unlink()
    assert "interrupted run with settings unknown (no settings.json); give another" in refused(capsys, *argv)


def test_a_checkpoint_that_is_not_there_is_refused(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "checkpoint-7")
    argv = flags(model, data / "tnews", tmp_path / "out", "--resume_from_checkpoint", missing)
    assert f"{missing}: there is no complete checkpoint" in refused(capsys, *argv)


def test_a_half_written_checkpoint_is_not_gone_on_from(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "model.safetensors").write_bytes(b"half")
    assert main("clue", flags(model, data / "tnews", tmp_path)) == 0
    assert "goes on from" not in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ seeds


@pytest.fixture(scope="module")
def seeds(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of AFQMC with two seeds. Do not change it: tests share it."""
    output = tmp_path_factory.mktemp("seeds")
    assert main("clue", flags(model, data / "afqmc", output, "--seeds", "2", "--seed", "7", task="afqmc")) == 0
    return output


def test_each_seed_is_a_run_of_its_own(seeds: Path) -> None:
    metrics = read_json(seeds / "metrics.json")
    own = [read_json(seeds / f"seed-{seed}" / "metrics.json") for seed in (7, 8)]
    assert metrics["seeds"] == [item["seed"] for item in own] == [7, 8]
    assert metrics["dev"]["accuracy"]["values"] == [item["dev"]["accuracy"] for item in own]
    assert metrics["dev"]["examples"] == 6


def test_predictions_and_model_are_those_of_the_seed_that_is_best_on_dev(seeds: Path) -> None:
    best = read_json(seeds / "metrics.json")["best_seed"]
    values = {seed: read_json(seeds / f"seed-{seed}" / "metrics.json")["dev"]["accuracy"] for seed in (7, 8)}
    assert values[best] == max(values.values())
    assert (seeds / "best").resolve() == (seeds / f"seed-{best}").resolve()
    assert not os.path.isabs(os.readlink(seeds / "best"))
    for name in ("predictions.jsonl", "dev_predictions.jsonl", "afqmc_predict.json"):
        assert (seeds / name).read_bytes() == (seeds / f"seed-{best}" / name).read_bytes()


@pytest.mark.slow
def test_a_run_of_seeds_goes_on_with_those_that_are_missing(
    seeds: Path, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "seeds"
    shutil.copytree(seeds, output, symlinks=True)
    (output / "metrics.json").unlink()
    shutil.rmtree(output / "seed-8")
    before = (output / "seed-7" / "metrics.json").stat().st_mtime_ns
    argv = flags(model, data / "afqmc", output, "--seed", "7", task="afqmc")
    assert main("clue", [*argv, "--seeds", "2"]) == 0
    assert "is finished" in capsys.readouterr().err
    assert (output / "seed-7" / "metrics.json").stat().st_mtime_ns == before
    assert read_json(output / "metrics.json")["dev"] == read_json(seeds / "metrics.json")["dev"]
    assert main("clue", [*argv, "--seeds", "3"]) == 0  # one more
    assert read_json(output / "metrics.json")["seeds"] == [7, 8, 9]
    (output / "metrics.json").unlink()
    message = refused(capsys, *argv, "--seeds", "3", "--learning_rate", "0.02")
    assert "learning_rate 0.01 (now 0.02)" in message


def test_figures_of_seeds_are_mean_spread_and_maximum() -> None:
    runs = [
        {
            "seed": seed,
            "metric": "f1",
            "settings": {"seed": seed, "learning_rate": 1},
            "dev": {"examples": 9, "f1": dev},
            "test": {"examples": 3, "f1": test, "submissions": ["a.json"]},
        }
        for seed, dev, test in ((1, 0.5, 0.9), (2, 0.7, 0.1), (3, 0.6, 0.8))
    ]
    together = aggregated(runs)
    assert together["test"]["f1"] == {
        "mean": pytest.approx(0.6),
        "sd": pytest.approx((0.19) ** 0.5),  # (0.09 + 0.25 + 0.04) / 2
        "max": 0.9,
        "values": [0.9, 0.1, 0.8],
    }
    assert together["best_seed"] == 2  # by dev: test has no say in it
    assert together["settings"] == {"learning_rate": 1}
    assert together["test"]["submissions"] == ["a.json"]
    assert shown(together["dev"]["f1"]) == "60.00 ± 10.00"


def test_seeds_have_figures_of_the_tasks_that_are_trained_along() -> None:
    def summary(seed: int, accuracy: float) -> dict[str, Any]:
        other = {"afqmc": {"examples": 6, "accuracy": accuracy}, "ocnli": {}}
        return {"seed": seed, "metric": "f1", "settings": {}, "dev": {"f1": 0.5}, "also_train": other}

    together = aggregated([summary(1, 0.5), summary(2, 0.75)])["also_train"]
    assert together["ocnli"] == {}  # which has no dev file
    assert together["afqmc"]["examples"] == 6
    assert together["afqmc"]["accuracy"] == {
        "mean": 0.625,
        "sd": pytest.approx(0.17678, abs=1e-5),
        "max": 0.75,
        "values": [0.5, 0.75],
    }


def test_seeds_without_training_are_refused(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--task", "tnews", "--model_name_or_path", str(finished), "--output_dir", str(tmp_path), "--seeds", "2"]
    assert "--seeds: without --do_train" in refused(capsys, *argv, "--do_eval", "--data_dir", str(tmp_path))


# ------------------------------------------------------------------------------------------------ several tasks


def test_all_tasks_of_a_suite_are_run_and_packed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tnews(tmp_path / "data" / "TNEWS")
    write_afqmc(tmp_path / "data" / "afqmc_public")
    argv = flags(model, tmp_path / "data", tmp_path / "out", task="all")
    assert main("clue", argv) == 0
    told = capsys.readouterr()
    left_out = read_json(tmp_path / "out" / "suite.json")["left_out"]
    assert set(left_out) == set(task_names("clue")) - {"afqmc", "tnews"}
    assert all(f"left out: {name}: " in told.out for name in left_out)
    assert read_json(tmp_path / "out" / "suite.json")["finished"] == ["afqmc", "tnews"]
    assert "| tnews | accuracy |" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "out" / "submit.zip") as archive:
        assert archive.namelist() == ["afqmc_predict.json", "tnews11_predict.json"]
        lines = archive.read("tnews11_predict.json").decode().splitlines()
    assert lines == (tmp_path / "out" / "tnews" / "tnews11_predict.json").read_text().splitlines()
    before = (tmp_path / "out" / "submit.zip").read_bytes()
    assert main("clue", argv) == 0  # nothing is run again
    assert "tnews is finished" in capsys.readouterr().err
    assert (tmp_path / "out" / "submit.zip").read_bytes() == before


def test_bad_input_of_one_task_does_not_lose_the_others(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tnews(tmp_path / "tnews")
    write_afqmc(tmp_path / "afqmc")
    wrong = tmp_path / "afqmc" / "dev.json"
    wrong.write_text('{"sentence1": "一", "label": "0"}\n', encoding="utf-8")
    assert main("clue", flags(model, tmp_path, tmp_path / "out", task="afqmc,tnews")) == 1
    told = capsys.readouterr()
    assert f"{wrong}:1: has no sentence1 and sentence2" in told.err
    assert (tmp_path / "out" / "tnews" / "metrics.json").exists()
    assert read_json(tmp_path / "out" / "suite.json")["finished"] == ["tnews"]
    write_afqmc(tmp_path / "afqmc")
    assert main("clue", flags(model, tmp_path, tmp_path / "out", task="afqmc,tnews")) == 0


def without_test_file(data: Path) -> Path:
    """The folder of a task that has no test file."""
    write_tnews(data)
    (data / "test.json").unlink()
    return data


def test_of_several_tasks_one_without_a_test_file_is_trained_and_scored(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_test_file(tmp_path / "tnews")
    write_afqmc(tmp_path / "afqmc")
    argv = flags(model, tmp_path, tmp_path / "out", task="all")
    for told in ("no test file: nothing is predicted", "tnews is finished"):  # a second start runs nothing again
        assert main("clue", argv) == 0
        written = capsys.readouterr()
        assert told in written.err
        assert "not in submit.zip: tnews: it has no test file" in written.out
    found = read_json(tmp_path / "out" / "suite.json")
    assert found["finished"] == ["afqmc", "tnews"] and found["failed"] == {}
    metrics = read_json(tmp_path / "out" / "tnews" / "metrics.json")
    assert "accuracy" in metrics["dev"] and "test" not in metrics


def test_a_task_that_nobody_can_train_on_is_left_out_of_a_training_of_all(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tnews(tmp_path / "tnews")
    write_records(tmp_path / "diagnostics" / "test.json", [{"sentence1": "一", "sentence2": "二"}])
    assert main("clue", flags(model, tmp_path, tmp_path / "out", task="all")) == 0
    assert "left out: diagnostics: nothing is published to train it on" in capsys.readouterr().out


def test_a_recipe_that_predicts_also_serves_a_task_without_a_test_file(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("do_predict: true\n", encoding="utf-8")
    data = without_test_file(tmp_path / "data")
    argv = [flag for flag in flags(model, data, tmp_path / "out") if flag != "--do_predict"]
    assert main("clue", [*argv, "--config", str(recipe)]) == 0
    assert "no test file: nothing is predicted" in capsys.readouterr().err
    assert not (tmp_path / "out" / "predictions.jsonl").exists()
    only = [flag for flag in argv if flag not in ("--do_train", "--do_eval")]  # nothing would be left to do
    only[only.index("--output_dir") + 1] = str(tmp_path / "other")
    only[only.index("--model_name_or_path") + 1] = str(tmp_path / "out")
    assert "has no test file of tnews" in refused(capsys, *only, "--config", str(recipe))


def test_a_flag_that_asks_for_predictions_needs_a_test_file(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = without_test_file(tmp_path / "data")
    assert "Name one with --test_file FILE" in refused(capsys, *flags(model, data, tmp_path / "out"))


def test_without_a_dev_file_the_remedy_is_to_hold_some_examples_out(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tnews(tmp_path / "data")
    (tmp_path / "data" / "dev.json").unlink()
    message = refused(capsys, *flags(model, tmp_path / "data", tmp_path / "out"))
    assert "has no dev file of tnews" in message and "--validation_share 0.1" in message


def test_where_published_ids_have_gaps_the_server_gets_those_of_the_records_in_the_file(
    model: Path, tmp_path: Path
) -> None:
    write_afqmc(tmp_path / "afqmc")
    write_tnews(tmp_path / "tnews")
    records = [record | {"id": 10 * record["id"] + 1} for record in titles(labelled=False)]
    write_records(tmp_path / "tnews" / "test.json", records)
    assert main("clue", flags(model, tmp_path, tmp_path / "out", task="afqmc,tnews")) == 0
    with zipfile.ZipFile(tmp_path / "out" / "submit.zip") as archive:
        assert archive.namelist() == ["afqmc_predict.json", "tnews11_predict.json"]
    predicted = read_records(tmp_path / "out" / "tnews" / "predictions.jsonl")
    submitted = read_records(tmp_path / "out" / "tnews" / "tnews11_predict.json")
    assert [line["id"] for line in predicted] == [record["id"] for record in records]
    assert submitted == [{"id": n, "label": line["prediction"]} for n, line in enumerate(predicted)]


def test_what_is_trained_on_is_not_taken_for_another_split(model: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "tnews" / "dev.json", titles())
    trained = ("--train_file", str(tmp_path / "tnews" / "dev.json"), "--validation_share", "0.25")
    argv = flags(model, tmp_path / "tnews", tmp_path / "out", *trained)
    splits = read_splits(get_task("tnews"), parse_arguments([flag for flag in argv if flag != "--do_predict"]))
    texts = [{example.text for example in examples} for examples in (splits.train, splits.dev)]
    assert [len(found) for found in texts] == [9, 3]
    assert not texts[0] & texts[1]


def test_a_split_that_is_trained_on_is_told(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = str(data / "tnews" / "train.json")
    read_splits(
        get_task("tnews"), parse_arguments(flags(model, data / "tnews", tmp_path, "--dev_file", same, task="tnews"))
    )
    assert f"warning: {same}: is trained on, and is the dev split too" in capsys.readouterr().err


def test_files_of_one_task_are_not_given_to_several(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = flags(model, data, tmp_path, "--train_file", "x.json", task="all")
    assert "--train_file is for one task" in refused(capsys, *argv)


def test_a_task_of_another_suite_is_sent_to_its_script(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tnews", "afqmc,tnews"):
        assert "is run by launch/finetune_clue.py" in refused(
            capsys, *flags(model, data, tmp_path, task=name), suite="ccks"
        )


@pytest.mark.parametrize(
    ("folder", "task"),
    [
        ("tnews", "tnews"),
        ("TNEWS", "tnews"),
        ("tnews_public", "tnews"),
        ("clue_tnews_public", "tnews"),
        ("cluewsc", "cluewsc2020"),
        ("CLUEWSC2020_public", "cluewsc2020"),
        ("cmrc2018_public", "cmrc2018"),
        ("paws-x", "paws_x"),
        ("paws_x_zh", "paws_x"),
        ("xnli_zh", "xnli"),
        ("chid_public", "chid"),
        ("c3_public", "c3"),
        ("csc_sighan13", "sighan13"),
        ("thucnews_titles", "thucnews"),
        ("polyphone_cpp", "polyphone"),
        ("ccks2019_medical_ner", "ccks2019_ner"),
        ("CCKS2017", "ccks2017_ner"),
        ("icwb2-data", "pku_cws"),
    ],
)
def test_a_task_is_found_in_the_folder_that_its_archive_makes(tmp_path: Path, folder: str, task: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / "other").mkdir()
    assert task_folder(tmp_path, get_task(task)) == tmp_path / folder


def test_a_task_is_not_found_in_the_folder_of_another(tmp_path: Path) -> None:
    for name in ("cmnli", "tnews_old", "ccks2018_matching", "CCKS2019", "msra", "sighan"):
        (tmp_path / name).mkdir()
    (tmp_path / "tnews").touch()
    for task in all_tasks().values():  # there are several tasks of CCKS 2019, of MSRA, and of SIGHAN
        assert (task_folder(tmp_path, task) is None) == (task.name not in ("cmnli", "ccks2018_matching"))


def test_no_two_tasks_share_the_name_of_a_folder_unless_their_files_are_named_apart() -> None:
    owners: dict[str, list[str]] = {}
    for task in all_tasks().values():
        for folder in (task.name, *task.folders):
            owners.setdefault(folder, []).append(task.name)
    shared = {folder: names for folder, names in owners.items() if len(names) > 1}
    assert set(shared) == {"icwb2", "cws_sighan2005"}
    for names in shared.values():
        first = [get_task(name).files["train"][0] for name in names]
        assert len(set(first)) == len(names)


def test_of_two_years_of_a_task_each_has_its_own_folder(tmp_path: Path) -> None:
    for name in ("sighan13", "sighan14"):
        (tmp_path / name).mkdir()
    assert task_folder(tmp_path, get_task("sighan13")) == tmp_path / "sighan13"
    assert task_folder(tmp_path, get_task("sighan15")) is None


# ------------------------------------------------------------------------------------------------ submissions


def submission(directory: Path, lines: list[dict], ids: tuple = (0, 1)) -> Path:
    """A submission file beside the predictions "a" and "b"."""
    predictions = [{"id": identity, "prediction": label} for identity, label in zip(ids, "ab", strict=True)]
    write_records(directory / "predictions.jsonl", predictions)
    return write_records(directory / "x_predict.json", lines)


def test_a_submission_that_says_what_was_predicted_is_right(tmp_path: Path) -> None:
    check_submission(submission(tmp_path, [{"id": 0, "label": "a"}, {"id": 1, "label": "b"}]), "abc", True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"id": 0, "label": "a"}], "has 1 lines, but the test split 2"),
        ([{"id": 0, "label": "a"}, {"id": 2, "label": "b"}], ":2: the id is 2, but that of the test split 1"),
        ([{"id": 0, "label": "a"}, {"id": 0, "label": "b"}], ":2: the id is 0, but that of the test split 1"),
        ([{"id": 0, "label": "a"}, {"id": 1, "label": "d"}], ":2: the label 'd' is none of the task's"),
        ([{"id": 0, "label": 0}, {"id": 1, "label": "b"}], ":1: the label 0 is none of the task's"),
        ([{"id": 0, "label": "b"}, {"id": 1, "label": "b"}], ":1: the label 'b' is not what was predicted, 'a'"),
    ],
)
def test_a_wrong_submission_is_found(tmp_path: Path, lines: list[dict], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", "\\(")):
        check_submission(submission(tmp_path, lines), "abc", True)


def test_published_ids_with_gaps_are_wrong_only_where_records_are_counted(tmp_path: Path) -> None:
    path = submission(tmp_path, [{"id": 4, "label": "a"}, {"id": 9, "label": "b"}], ids=(4, 9))
    check_submission(path, "ab", numbered=False)
    with pytest.raises(InputError, match="the id 0 is missing: the server wants ids from 0 on"):
        check_submission(path, "ab", numbered=True)


def test_the_cloze_of_fewclue_calls_labels_answers(tmp_path: Path) -> None:
    write_records(tmp_path / "predictions.jsonl", [{"id": 7, "prediction": 3}])
    path = write_records(tmp_path / "chidf_predict.json", [{"id": 0, "answer": 3}])
    check_submission(path, (), numbered=True)
    with pytest.raises(InputError, match="the label 2 is not what was predicted, 3"):
        check_submission(write_records(path, [{"id": 0, "answer": 2}]), (), numbered=True)


def test_an_object_must_answer_every_id(tmp_path: Path) -> None:
    check_submission(submission(tmp_path, [{"q1": "x", "q2": "y"}], ids=("q1", "q2")), (), True)
    with pytest.raises(InputError, match="the id q2 is missing"):
        check_submission(submission(tmp_path, [{"q1": "x"}], ids=("q1", "q2")), (), True)


# ------------------------------------------------------------------------------------------------ several ranks


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["deepspeed zero1", "deepspeed zero3", "torchrun"])
def test_two_ranks_make_one_run(model: Path, data: Path, tmp_path: Path, launcher: str) -> None:
    name, _, stage = launcher.partition(" ")
    start = {
        "deepspeed": ["--num_accelerators", "2", "--master_port", str(free_port())],
        "torchrun": ["--nproc_per_node", "2", "--master_port", str(free_port())],
    }
    more = ["--deepspeed", f"configs/deepspeed/{stage}.json"] if stage else []
    command = [str(Path(sys.executable).parent / name), *start[name], "launch/finetune_clue.py"]
    result = subprocess.run(
        [*command, *flags(model, data / "tnews", tmp_path / "run", "--seeds", "2", *more)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stderr.count("train 12 (train.json)") == 2  # one of the ranks tells, for each seed
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert metrics["settings"]["world_size"] == 2
    assert metrics["train_steps"] == [2, 2]  # 12 examples, 2 ranks of 4
    assert len(read_records(tmp_path / "run" / "predictions.jsonl")) == 12
    weights = load_file(tmp_path / "run" / "best" / "model.safetensors")
    assert weights["classifier.weight"].shape == (15, 32)


def test_deepspeed_without_its_launcher_is_refused(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    argv = flags(model, data / "tnews", tmp_path / "out", "--deepspeed", "configs/deepspeed/zero1.json")
    assert "start it with the launcher" in refused(capsys, *argv)


# ------------------------------------------------------------------------------------------------ recipes and tables


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_parses(path: Path, tmp_path: Path) -> None:
    argv = ["--config", str(path), "--task", "tnews", "--data_dir", "a", "--model_name_or_path", "b", "--use_cpu"]
    args = parse_arguments([*argv, "--output_dir", str(tmp_path)])
    assert args.do_train


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_opens_with_launch_line_hardware_time_and_result(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert f"--config configs/finetune/{path.name}" in head
    for word in ("hardware", "time", "result"):
        assert f"# {word} " in head


def test_a_table_is_aligned_where_characters_are_wide() -> None:
    lines = terminal_table(["task", "dev"], [["分词", "1.0"], ["x", "10.0"]], indent="").split("\n")
    assert lines == ["task   dev", "分词   1.0", "x     10.0"]


def test_a_cell_cannot_break_a_table() -> None:
    assert markdown_table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"


def test_a_log_is_a_line() -> None:
    logs = {"loss": 0.5, "learning_rate": 2e-5, "epoch": 1.25}
    assert log_line(7, 100, logs) == "  step   7 of 100  epoch 1.25  loss 0.5000  lr 2.00e-05"
    logs = {"eval_accuracy": 0.25, "eval_runtime": 3.0, "epoch": 1.0}
    assert log_line(100, 100, logs) == "  step 100 of 100  epoch 1.00  dev: accuracy 0.2500"
    assert log_line(100, 100, {"train_runtime": 9.0}) == ""
