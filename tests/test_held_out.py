"""What held-out text is measured on: the same rows and masks for every run, of the length that is trained on."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM, ChineseBertTokenizer
from chinesebert.corpus.dataset import MODEL_INPUTS, HeldOutRows
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.masking import IGNORE_INDEX
from chinesebert.training.arguments import PretrainingArguments, parse_arguments
from chinesebert.training.batches import build_loader, collate_for
from chinesebert.training.data import HeldOutKind, build_held_out_rows, describe_held_out
from chinesebert.training.evaluation import evaluate, is_missing
from chinesebert.training.run_log import RunLog
from tests.pretraining_runs import TINY, Settings, assert_same_bits, entries, stage
from tests.rank_server import RankServer

KIND = HeldOutKind("whole_word", 64)


def settings_of(recipe: Settings, path: Path, **changes: Any) -> PretrainingArguments:
    """The settings of a run that differs from a recipe."""
    path.write_text(yaml.safe_dump(recipe | {"output_dir": str(path.parent / "out")} | changes))
    return parse_arguments(["--config", str(path)])


@pytest.fixture(scope="module")
def corpora(corpora_directory: Path) -> list[PreparedCorpus]:
    """Two corpora of held-out text, the second of them the smaller one."""
    return [PreparedCorpus(corpora_directory / part) for part in ("train", "heldout")]


@pytest.fixture
def args(tiny_recipe: Settings, tmp_path: Path, single_process: None) -> PretrainingArguments:
    """Of a run whose rows are 64 tokens long."""
    return settings_of(tiny_recipe, tmp_path / "recipe.yaml")


@pytest.fixture
def single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if started without a launcher."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"masking_probability": 0.4},
        {"masking_probability_end": 0.3},
        {"single_sentence_probability": 1.0},
        {"isolate_documents": False},
        {"whole_word_probability": 0.2, "masking_strategy": "span", "seed": 5},
    ],
    ids=str,
)
def test_what_a_run_trains_with_does_not_change_what_it_is_measured_with(
    tiny_recipe: Settings,
    args: PretrainingArguments,
    corpora: list[PreparedCorpus],
    small_tokenizer: ChineseBertTokenizer,
    tmp_path: Path,
    changes: Settings,
) -> None:
    other = settings_of(tiny_recipe, tmp_path / "other.yaml", **changes)
    one, two = (build_held_out_rows(each, corpora, small_tokenizer) for each in (args, other))
    assert one.keys() == two.keys()
    for kind, rows in one.items():
        first, second = (batch.__getitems__(range(32)) for batch in (rows, two[kind]))
        assert all(np.array_equal(first[name], second[name]) for name in MODEL_INPUTS)


def test_an_evaluation_reads_of_every_corpus_and_of_all_its_parts(
    args: PretrainingArguments, corpora: list[PreparedCorpus], small_tokenizer: ChineseBertTokenizer
) -> None:
    rows = build_held_out_rows(args, corpora, small_tokenizer)[KIND]
    first, both = (len(build_held_out_rows(args, part, small_tokenizer)[KIND]) for part in (corpora[:1], corpora))
    chosen = rows.chosen(40)
    assert len(chosen) == len(set(chosen)) == 40
    assert sum(row >= first for row in chosen) == pytest.approx(40 * (both - first) / both, abs=1)
    assert max(np.diff([*chosen, both])) <= both / 40 + 1


def test_it_is_told_how_many_rows_are_read_of_how_many(
    args: PretrainingArguments, corpora: list[PreparedCorpus], small_tokenizer: ChineseBertTokenizer
) -> None:
    rows = build_held_out_rows(args, corpora, small_tokenizer)
    (line,) = describe_held_out(rows, 40)
    assert line.startswith(f"held out 40 of {len(rows[KIND]):,} rows of 64")
    assert "eval_max_rows" not in describe_held_out(rows, 10**9)[0]


@pytest.fixture
def two_lengths(
    tiny_recipe: Settings,
    corpora: list[PreparedCorpus],
    small_tokenizer: ChineseBertTokenizer,
    tmp_path: Path,
    single_process: None,
) -> dict[HeldOutKind, HeldOutRows]:
    """The held-out rows of a run of two phases."""
    phases = [{"steps": 2, "max_length": 32}, {}]
    phased = settings_of(tiny_recipe, tmp_path / "phased.yaml", phases=phases)
    return build_held_out_rows(phased, corpora, small_tokenizer)


def test_there_are_rows_of_the_length_of_every_phase(two_lengths: dict[HeldOutKind, HeldOutRows]) -> None:
    assert sorted(two_lengths) == sorted((name, length) for name in ("character", "whole_word") for length in (32, 64))
    assert all(rows[0]["labels"].shape == (kind.length,) for kind, rows in two_lengths.items())


@pytest.mark.parametrize("length", [32, 64])
def test_rows_are_measured_that_are_as_long_as_those_trained_on(
    two_lengths: dict[HeldOutKind, HeldOutRows], small_tokenizer: ChineseBertTokenizer, length: int
) -> None:
    """Each row counts once, those that fill up a rank's share not at all."""
    config = ChineseBertConfig(**TINY, vocab_size=small_tokenizer.vocab_size, max_position_embeddings=64)
    model = ChineseBertForMaskedLM(config)
    # Of the engine no more is needed than the model.
    engine: Any = SimpleNamespace(model=model, forward=lambda **inputs: model(**inputs))
    loaders = {
        kind: build_loader(rows, rows.batches(1, 2, 4, 9), collate_for(model), 0, None, False)
        for kind, rows in two_lengths.items()
    }
    metrics = evaluate(engine, loaders, torch.device("cpu"), lambda sums: sums, lambda: False, length)
    assert metrics is not None
    assert (metrics["eval_length"], metrics["eval_rows"]) == (length, 4)
    rows = two_lengths[HeldOutKind("character", length)]
    labels = rows.__getitems__(rows.chosen(9)[1::2])["labels"]
    assert metrics["eval_character_tokens"] == (labels != IGNORE_INDEX).sum()


def test_an_evaluation_is_missing_where_it_is_due_and_the_log_lacks_it(
    tiny_recipe: Settings, corpora_directory: Path, tmp_path: Path, single_process: None
) -> None:
    held_out = {"eval_data": [str(corpora_directory / "heldout")], "eval_strategy": "steps", "eval_steps": 3}
    args = settings_of(tiny_recipe, tmp_path / "recipe.yaml", **held_out)
    with RunLog(Path(str(args.output_dir))) as log:
        log.train(3, loss=1.0)
        assert [is_missing(args, step) for step in (0, 2, 3, 6, 8)] == [False, False, True, True, True]
        log.evaluation(3, eval_loss=2.0)
        assert [is_missing(args, step) for step in (3, 6)] == [False, True]
    assert not is_missing(dataclasses.replace(args, eval_strategy="no"), 6)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3])
def test_an_evaluation_that_a_stop_prevented_is_made_up_for(
    rank_server: RankServer, tiny_recipe: Settings, corpora_directory: Path, tmp_path: Path, number: int
) -> None:
    """And changes no bit of the training after it."""
    recipe = tiny_recipe | {
        "deepspeed": stage(number),
        "eval_data": [str(corpora_directory / "heldout")],
        "eval_max_rows": 8,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_steps": 2,
        "max_steps": 4,
    }
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    rank_server.run(recipe | {"output_dir": str(undisturbed)})
    shutil.copytree(undisturbed, stopped)
    shutil.rmtree(stopped / "checkpoint-4")
    log = stopped / "logs" / "metrics.jsonl"
    lines = [line for line in log.read_bytes().splitlines(keepends=True) if json.loads(line)["kind"] != "eval"]
    log.write_bytes(b"".join(lines))
    rank_server.run(recipe | {"output_dir": str(stopped)})
    before, after = (
        [{name: value for name, value in entry.items() if name.startswith("eval_")} for entry in entries(run, "eval")]
        for run in (undisturbed, stopped)
    )
    for entry in (*before, *after):
        del entry["eval_seconds"]
    assert before == after
    assert_same_bits(undisturbed / "checkpoint-4", stopped / "checkpoint-4")
