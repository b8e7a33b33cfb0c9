"""What a run is built from, and the combinations that are refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM
from chinesebert.corpus.reader import PreparedCorpus, check_same_tokenizer
from chinesebert.errors import InputError
from chinesebert.training.announcements import changed_settings, describe_changes
from chinesebert.training.checkpoints import Facts, Progress, find_checkpoint
from chinesebert.training.data import unigram_entropy
from chinesebert.training.output_folder import has_report, is_complete
from chinesebert.training.pretraining import masking_facts, model_facts
from chinesebert.training.run_log import RunLog, log_path
from data_prep.__main__ import main as data_prep
from tests.conftest import SAMPLE
from tests.pretraining_runs import TINY, Settings, stage
from tests.test_held_out import settings_of


def test_held_out_text_of_another_vocabulary_is_refused(
    tmp_path: Path, corpus: PreparedCorpus, small_vocabulary: Path
) -> None:
    other = tmp_path / "vocab.txt"
    other.write_bytes(small_vocabulary.read_bytes() + "䶮\n".encode())
    command = ["corpus", "--input", str(SAMPLE / "heldout"), "--output", str(tmp_path / "heldout")]
    assert data_prep([*command, "--tokenizer", str(other)]) == 0
    with pytest.raises(InputError, match="prepared with another vocabulary") as caught:
        check_same_tokenizer(corpus, PreparedCorpus(tmp_path / "heldout"))
    assert str(tmp_path / "heldout") in str(caught.value)


def test_unigram_entropy_is_that_of_the_token_counts(corpus: PreparedCorpus) -> None:
    tokens = np.concatenate([block.input_ids for block in corpus.blocks])
    shares = np.bincount(tokens)[np.unique(tokens)] / len(tokens)
    assert unigram_entropy([corpus]) == pytest.approx(-(shares * np.log(shares)).sum())


def test_the_entropy_of_a_corpus_with_itself_is_its_own(corpus: PreparedCorpus) -> None:
    assert unigram_entropy([corpus, corpus]) == pytest.approx(unigram_entropy([corpus]))


# --------------------------------------------------------------------------------------- what has to stay as it is


def write_run(output_dir: Path, facts: Facts) -> None:
    """A checkpoint as far as finding it goes."""
    path = output_dir / "checkpoint-3"
    path.mkdir()
    (path / "run.json").write_text(json.dumps({"facts": facts, "files": {}}))


def facts_of_model(**sizes: Any) -> Facts:
    """The facts of a tiny model."""
    return model_facts(ChineseBertForMaskedLM(ChineseBertConfig(**TINY, vocab_size=50, **sizes)))


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"pronunciation_loss_weight": 0.5}, "pronunciation_loss_weight 0.0, this run has 0.5"),
        ({"glyph_trainable": True}, "glyph_trainable False, this run has True"),
    ],
    ids=str,
)
def test_the_setting_that_changes_the_parameters_is_named(tmp_path: Path, sizes: dict[str, Any], named: str) -> None:
    write_run(tmp_path, facts_of_model())
    with pytest.raises(InputError, match=f"was written with {named}"):
        find_checkpoint(tmp_path, "auto", facts_of_model(**sizes))


@pytest.fixture
def single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if started without a launcher."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


SETTINGS: Settings = {
    "train_data": ["corpus"],
    "glyphs": "glyphs",
    "model": "model.json",
    "deepspeed": stage(1),
    "global_batch_size": 8,
    "per_device_train_batch_size": 4,
    "max_steps": 10,
}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"masking_probability": 0.3}, "masking_probability 0.15, this run has 0.3"),
        ({"masking_probability_end": 0.3}, "masking_probability_end None, this run has 0.3"),
        ({"masking_strategy": "char"}, r"masking_strategy wwm\+char, this run has char"),
        ({"whole_word_probability": 0.5}, "whole_word_probability 0.9, this run has 0.5"),
        ({"single_sentence_probability": 0.0}, "single_sentence_probability 0.1, this run has 0.0"),
        ({"isolate_documents": False}, "isolate_documents True, this run has False"),
    ],
    ids=str,
)
def test_a_run_does_not_go_on_with_other_masks_and_rows(
    tmp_path: Path, single_process: None, changes: Settings, refused: str
) -> None:
    before, now = (settings_of(SETTINGS, tmp_path / "recipe.yaml", **each) for each in ({}, changes))
    write_run(tmp_path, masking_facts(before))
    with pytest.raises(InputError, match=f"was written with {refused}"):
        find_checkpoint(tmp_path, "auto", masking_facts(now))


def test_settings_that_differ_from_those_of_the_checkpoint_are_told() -> None:
    before = {"learning_rate": 1e-3, "weight_decay": 0.0, "resume": "auto", "gone": 1, "phases": [{"steps": 1}]}
    now = {"learning_rate": 1e-4, "weight_decay": 0.0, "resume": "out/checkpoint-1", "new": 2, "phases": [{"steps": 1}]}
    changes = changed_settings(before, now)
    assert changes == {"learning_rate": [1e-3, 1e-4]}
    assert describe_changes(changes) == ["changed  learning_rate: was 0.001, is 0.0001 from here on"]


# ------------------------------------------------------------------------------------------- a run that is finished


def test_a_run_that_was_stopped_before_its_last_evaluation_has_something_left_to_do(
    tmp_path: Path, single_process: None
) -> None:
    held_out = {"eval_data": ["heldout"], "eval_strategy": "steps", "eval_steps": 4}
    args = settings_of(SETTINGS, tmp_path / "recipe.yaml", **held_out)
    output, progress = Path(str(args.output_dir)), Progress(step=10)
    last = output / "checkpoint-10"
    last.mkdir(parents=True)
    assert not is_complete(args, last, progress)  # has no log
    with RunLog(output) as log:
        log.evaluation(8, eval_loss=2.0)
        assert not is_complete(args, last, progress)
        log.evaluation(10, eval_loss=1.5)
    assert is_complete(args, last, progress)
    (output / "checkpoint-20").mkdir()
    assert not is_complete(args, last, progress)


def test_a_report_that_is_older_than_the_log_does_not_count(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.train(1, loss=1.0)
    assert not has_report(tmp_path)
    (tmp_path / "report.html").write_text("")
    logged = log_path(tmp_path).stat().st_mtime_ns
    for moment, current in ((logged + 10**9, True), (logged - 10**9, False)):
        os.utime(tmp_path / "report.html", ns=(moment, moment))
        assert has_report(tmp_path) is current
