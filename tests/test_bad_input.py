"""What a run refuses: one line that says what to do, a non-zero exit, and nothing overwritten."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests import small_corpora
from tests.pretraining_runs import Settings, checkpoints, error_of, stage, write_sizes
from tests.rank_server import RankServer
from tests.test_reporting import MISSING
from tests.test_starting_point import write_glyphs


@pytest.fixture(scope="module")
def run(rank_server: RankServer, tiny_recipe: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run of four steps."""
    output = tmp_path_factory.mktemp("run")
    rank_server.run(tiny_recipe | {"max_steps": 4, "save_steps": 2, "output_dir": str(output)})
    return output


@pytest.fixture(scope="module")
def other_corpus(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> str:
    """Other text, prepared with the same vocabulary."""
    documents = small_corpora.DOCUMENTS * 20
    return str(small_corpora.prepare(tmp_path_factory.mktemp("other") / "corpus", documents, small_tokenizer))


def contents(directory: Path) -> dict[Path, int]:
    """All files, and when they were last written."""
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}


def refusal(server: RankServer, recipe: Settings, output: Path) -> str:
    """The line with which a run into a folder is refused; nothing in it may change."""
    before = contents(output)
    message = error_of(server.run(recipe | {"output_dir": str(output)}, status=2))
    assert contents(output) == before
    return message


SETTINGS: dict[str, tuple[Settings, str]] = {
    "a batch that ranks cannot share": ({"global_batch_size": 12}, "global batch 12 is not a multiple of .* 4 x 2"),
    "another batch": ({"global_batch_size": 16}, "was written with batches 8 rows of 64 tokens, this run has 16 rows"),
    "another length": ({"max_length": 32}, "was written with batches 8 rows of 64 tokens, this run has 8 rows of 32"),
    "another seed": ({"seed": 5}, "was written with seed 11, this run has 5"),
    "phases": ({"phases": [{"steps": 2, "max_length": 32}, {}]}, "was written with batches"),
    "a mixture": ({"data_weights": [1.0]}, "was written with rows"),
    "rows beyond the positions": ({"max_length": 128}, "max_length 128 is more than the 64 positions"),
    "never": ({"resume": "never"}, "checkpoint-4 of an earlier run"),
    "a checkpoint that is not there": ({"resume": "runs/nowhere"}, "runs/nowhere: is not a checkpoint"),
    "an unknown schedule": ({"lr_scheduler_type": "warmup_stable_decay"}, "lr_scheduler_type warmup_stable_decay"),
    "an unknown masking strategy": ({"masking_strategy": "words"}, "masking_strategy is words: it must be one of"),
    "an unknown optimizer": ({"optimizer": "sgd"}, "optimizer is sgd: it must be one of"),
    "lamb on parts of layers": ({"optimizer": "lamb"}, "ZeRO 1 cuts them into parts"),
    "a ramp to nowhere": ({"batch_size_start": 3, "batch_size_ramp_steps": 4}, "whole increments must lead"),
    "a missing DeepSpeed configuration": ({"deepspeed": "nowhere.json"}, "nowhere.json"),
    "a missing file of cloze sentences": ({"cloze": "nowhere.txt"}, "nowhere.txt"),
    "a missing corpus": ({"train_data": ["nowhere"]}, "nowhere: no such prepared corpus"),
    "a logging back-end that is not installed": ({"report_to": MISSING}, "report_to: .*Callback cannot be used"),
    "missing glyphs": ({"glyphs": "nowhere"}, "nowhere"),
    "a missing checkpoint to begin with": ({"init_from": "runs/no/where"}, "runs/no/where"),
}


@pytest.mark.parametrize(("changes", "message"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_run_is_refused_with_what_to_do(
    rank_server: RankServer, tiny_recipe: Settings, run: Path, changes: Settings, message: str
) -> None:
    recipe = tiny_recipe | {"max_steps": 8} | changes
    assert re.search(message, refusal(rank_server, recipe, run))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"hidden_size": 64}, "64 hidden"),
        ({"num_hidden_layers": 2}, "2 layers"),
        ({"num_attention_heads": 4}, "4 heads"),
    ],
    ids=str,
)
def test_a_checkpoint_of_a_model_of_another_size_is_refused(
    rank_server: RankServer, tiny_recipe: Settings, run: Path, tmp_path: Path, sizes: dict[str, Any], message: str
) -> None:
    recipe = tiny_recipe | {"model": write_sizes(tmp_path / "sizes.json", **sizes), "max_steps": 8}
    refused = refusal(rank_server, recipe, run)
    assert "was written with model" in refused
    assert message in refused


def test_a_checkpoint_of_another_vocabulary_is_refused(
    rank_server: RankServer, tiny_recipe: Settings, run: Path, tmp_path: Path
) -> None:
    """Given with ``init_from``, and as what a run goes on from."""
    larger = (tmp_path / "vocab.txt", (run / "hf" / "vocab.txt").read_bytes() + "䶮\n".encode())
    larger[0].write_bytes(larger[1])
    tokenizer = ChineseBertTokenizer.from_vocabulary(larger[0])
    corpus = small_corpora.prepare(tmp_path / "corpus", small_corpora.DOCUMENTS * 20, tokenizer)
    recipe = tiny_recipe | {"train_data": [str(corpus)], "max_steps": 8}
    begun = {name: value for name, value in recipe.items() if name not in ("glyphs", "model")}
    output = tmp_path / "out"
    message = refusal(rank_server, begun | {"init_from": str(run / "hf")}, output)
    assert "was trained with another vocabulary" in message
    assert not output.exists()
    (tmp_path / "glyphs").mkdir()
    glyphs = write_glyphs(tmp_path / "glyphs", tokenizer.tokens())
    message = refusal(rank_server, recipe | {"glyphs": glyphs}, run)
    assert f"{run / 'checkpoint-4'}: was written with another tokenizer" in message


def test_another_text_is_refused_where_a_run_goes_on(
    rank_server: RankServer, tiny_recipe: Settings, run: Path, other_corpus: str
) -> None:
    recipe = tiny_recipe | {"train_data": [other_corpus], "max_steps": 8}
    assert "was written with other corpora than those in train_data" in refusal(rank_server, recipe, run)


def test_a_shard_that_is_cut_short_is_named(
    rank_server: RankServer, tiny_recipe: Settings, corpora_directory: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(corpora_directory / "train", corpus)
    (shard,) = corpus.glob("*.arrow")
    shard.write_bytes(shard.read_bytes()[:-100])
    message = refusal(rank_server, tiny_recipe | {"train_data": [str(corpus)]}, tmp_path / "out")
    assert f"{shard}: has" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read the DeepSpeed configuration"),
        ("[]", "is not a DeepSpeed configuration"),
        ('{"train_batch_size": 8}', "train_batch_size cannot be set here"),
        ('{"optimizer": {"type": "Adam"}}', "optimizer cannot be set here"),
        ('{"bf16": {"enabled": true}}', "set bf16: true in the recipe"),
        ('{"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}', "offload to the CPU"),
    ],
)
def test_a_deepspeed_configuration_that_cannot_be_used_is_named(
    rank_server: RankServer, tiny_recipe: Settings, tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "deepspeed.json"
    path.write_text(content)
    refused = refusal(rank_server, tiny_recipe | {"deepspeed": str(path)}, tmp_path / "out")
    assert str(path) in refused
    assert message in refused


def test_a_finished_run_is_left_as_it_is(rank_server: RankServer, tiny_recipe: Settings, run: Path) -> None:
    before = contents(run)
    shown = rank_server.run(tiny_recipe | {"max_steps": 4, "output_dir": str(run)})
    assert f"finished already: {run / 'checkpoint-4'}" in shown
    assert contents(run) == before


def test_a_run_that_was_killed_before_its_model_was_published_publishes_it(
    rank_server: RankServer, tiny_recipe: Settings, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "hf")
    rank_server.run(tiny_recipe | {"max_steps": 4, "output_dir": str(tmp_path)})
    assert (tmp_path / "hf" / "model.safetensors").read_bytes() == (run / "hf" / "model.safetensors").read_bytes()
    assert (tmp_path / "hf" / "README.md").is_file()


def test_stages_and_settings_that_decide_nothing_may_change(
    rank_server: RankServer, tiny_recipe: Settings, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "checkpoint-4", tmp_path / "checkpoint-4")
    recipe = tiny_recipe | {"deepspeed": stage(3), "per_device_train_batch_size": 2, "learning_rate": 1e-3}
    rank_server.run(recipe | {"max_steps": 6, "output_dir": str(tmp_path)})
    assert checkpoints(tmp_path)[-1] == "checkpoint-6"
    assert json.loads((tmp_path / "checkpoint-6" / "run.json").read_text())["progress"]["consumed_samples"] == 48


def test_what_all_ranks_would_warn_of_is_told_once(
    rank_server: RankServer, tiny_recipe: Settings, run: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe | {"init_from": str(run / "hf"), "max_steps": 1}
    shown = rank_server.run(recipe | {"output_dir": str(tmp_path / "out")})
    assert shown.count("has glyph images of its own, which are used") == 1
