"""Which checkpoint a run goes on from, and how old ones leave."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chinesebert.errors import InputError
from chinesebert.training.checkpoints import (
    Facts,
    Progress,
    damage,
    find_checkpoint,
    list_checkpoints,
    prune_checkpoints,
    read_progress,
    remove_unfinished,
    set_aside,
)
from tests.small_corpora import flip_bit

FACTS: Facts = {
    "model": "2 layers",
    "batches": "16 rows of 128 tokens",
    "seed": 1,
    "rows": "99",
    "parameters": 1000,
}
# Shown in words.
DIGESTS: Facts = {"tokenizer": "0123abcd", "text": "89ef4567"}
PROGRESS = {"step": 10, "consumed_samples": 160, "updates": 9, "skipped_in_a_row": 0, "tokens_seen": 20_000}


def write_checkpoint(output_dir: Path, step: int) -> Path:
    """A checkpoint as far as finding it goes."""
    path = output_dir / f"checkpoint-{step}"
    (path / "hf").mkdir(parents=True)
    (path / "hf" / "model.safetensors").write_bytes(bytes(range(200)) * 10)
    (path / "optimizer-exp_avg.safetensors").write_bytes(b"moments")
    run: dict[str, Any] = {"facts": FACTS | DIGESTS, "progress": PROGRESS | {"step": step}, "versions": {}}
    run["files"] = {
        file.relative_to(path).as_posix(): [file.stat().st_size, f"{zlib.crc32(file.read_bytes()):08x}"]
        for file in path.rglob("*")
        if file.is_file()
    }
    (path / "run.json").write_text(json.dumps(run))
    return path


def test_a_first_start_has_no_checkpoint(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path / "new", "auto", FACTS | DIGESTS) is None


def test_auto_takes_the_newest_by_number_not_by_name(tmp_path: Path) -> None:
    for step in (900, 1000, 50):
        write_checkpoint(tmp_path, step)
    assert find_checkpoint(tmp_path, "auto", FACTS | DIGESTS) == tmp_path / "checkpoint-1000"


def test_what_was_not_finished_is_no_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 10)
    write_checkpoint(tmp_path, 20).rename(tmp_path / ".unfinished")
    write_checkpoint(tmp_path, 30).rename(tmp_path / ".checkpoint-30.removed")
    (tmp_path / "checkpoint-old").mkdir()
    assert list_checkpoints(tmp_path) == [tmp_path / "checkpoint-10"]


def test_never_refuses_to_mix_two_runs(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 10)
    with pytest.raises(InputError, match="checkpoint-10 of an earlier run"):
        find_checkpoint(tmp_path, "never", FACTS | DIGESTS)


def test_never_starts_in_an_empty_folder(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path, "never", FACTS | DIGESTS) is None


def test_a_named_checkpoint_is_taken(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "other", 7)
    assert find_checkpoint(tmp_path / "new", str(path), FACTS | DIGESTS) == path


def test_a_named_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a checkpoint"):
        find_checkpoint(tmp_path, str(tmp_path), FACTS | DIGESTS)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_checkpoint_of_another_kind_of_run_is_refused(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path, 10)
    with pytest.raises(InputError, match=f"was written with {name} {FACTS[name]}, this run has 64"):
        find_checkpoint(tmp_path, "auto", FACTS | DIGESTS | {name: 64})


def test_a_checkpoint_of_an_earlier_version_is_not_refused_for_what_it_does_not_tell(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, 10)
    assert find_checkpoint(tmp_path, "auto", FACTS | DIGESTS | {"glyph_trainable": True}) == path


@pytest.mark.parametrize(("name", "words"), [("tokenizer", "another tokenizer"), ("text", "other corpora")])
def test_a_checkpoint_of_other_text_is_refused_in_words(tmp_path: Path, name: str, words: str) -> None:
    write_checkpoint(tmp_path, 10)
    with pytest.raises(InputError, match=f"was written with {words}"):
        find_checkpoint(tmp_path, "auto", FACTS | DIGESTS | {name: "other"})


# ------------------------------------------------------------------------------------------------------------- damage


def cut_short(path: Path) -> None:
    """As a copy that was interrupted."""
    file = path / "hf" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def flip(path: Path) -> None:
    """As a failing disk."""
    flip_bit(path / "hf" / "model.safetensors", byte=77, bit=2)


def lose(path: Path) -> None:
    """A file that was not copied."""
    (path / "optimizer-exp_avg.safetensors").unlink()


def spoil_run(path: Path) -> None:
    (path / "run.json").write_text("{")


def empty_run(path: Path) -> None:
    (path / "run.json").write_text("{}")


def lose_run(path: Path) -> None:
    (path / "run.json").unlink()


DAMAGES = {
    cut_short: "hf/model.safetensors has 1,999 bytes instead of 2,000",
    flip: "hf/model.safetensors is not what was written",
    lose: "optimizer-exp_avg.safetensors is missing",
    spoil_run: "run.json cannot be read",
    empty_run: "run.json cannot be read",
    lose_run: "run.json cannot be read",
}


@pytest.mark.parametrize("spoil", DAMAGES, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    old, new = write_checkpoint(tmp_path, 10), write_checkpoint(tmp_path, 20)
    spoil(new)
    warnings: list[str] = []
    assert find_checkpoint(tmp_path, "auto", FACTS | DIGESTS, warnings.append) == old
    (warning,) = warnings
    assert warning.startswith(f"warning: {new}: {DAMAGES[spoil]}")


@pytest.mark.parametrize("spoil", [cut_short, flip, lose, spoil_run], ids=lambda spoil: spoil.__name__)
def test_a_spoiled_checkpoint_that_is_named_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    write_checkpoint(tmp_path, 10)
    spoil(write_checkpoint(tmp_path, 20))
    with pytest.raises(InputError, match=DAMAGES[spoil]):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoint-20"), FACTS | DIGESTS)


def test_a_run_whose_checkpoints_are_all_spoiled_does_not_begin_again(tmp_path: Path) -> None:
    for step in (10, 20):
        flip(write_checkpoint(tmp_path, step))
    with pytest.raises(InputError, match="no checkpoint is whole") as caught:
        find_checkpoint(tmp_path, "auto", FACTS | DIGESTS, lambda warning: None)
    assert all(f"checkpoint-{step}" in str(caught.value) for step in (10, 20))


@given(byte=st.integers(0, 1999), bit=st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_that_flips_is_found(tmp_path: Path, byte: int, bit: int) -> None:
    checkpoint = tmp_path / "checkpoint-1"
    if not checkpoint.exists():
        write_checkpoint(tmp_path, 1)
    weights = checkpoint / "hf" / "model.safetensors"
    flip_bit(weights, byte, bit)
    assert damage(checkpoint) is not None
    flip_bit(weights, byte, bit)
    assert damage(checkpoint) is None


def test_the_position_of_a_run_is_read(tmp_path: Path) -> None:
    progress = read_progress(write_checkpoint(tmp_path, 10))
    assert progress == Progress(**PROGRESS)
    assert progress.skipped_steps == 1


# ---------------------------------------------------------------------------------------------------------- going back


def names(folder: Path) -> list[str]:
    """The names of the checkpoints in a folder, oldest first."""
    return [path.name for path in list_checkpoints(folder)]


def test_going_back_sets_later_checkpoints_aside_with_a_copy_of_the_log(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        write_checkpoint(tmp_path, step)
    log = tmp_path / "logs" / "metrics.jsonl"
    log.parent.mkdir()
    log.write_text("a line\n")
    for number in (1, 2):
        aside = set_aside(tmp_path, tmp_path / "logs" / ".." / "checkpoint-10", log)
        assert aside == tmp_path / f"set-aside-{number}"
        assert names(tmp_path) == ["checkpoint-10"]
        assert names(aside) == ["checkpoint-20", "checkpoint-30"]
        assert (aside / "metrics.jsonl").read_text() == log.read_text() == "a line\n"
        assert all(damage(path) is None for path in list_checkpoints(aside))
        for step in (20, 30):
            write_checkpoint(tmp_path, step)


def test_what_a_run_comes_from_is_not_set_aside(tmp_path: Path) -> None:
    for step in (10, 20):
        write_checkpoint(tmp_path, step)
    for checkpoint in (tmp_path / "checkpoint-20", None):
        assert set_aside(tmp_path, checkpoint, tmp_path / "none") is None
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["checkpoint-10", "checkpoint-20"]


def test_where_a_run_goes_on_from_another_folder_all_checkpoints_are_set_aside(tmp_path: Path) -> None:
    for step in (10, 20):
        write_checkpoint(tmp_path / "out", step)
    aside = set_aside(tmp_path / "out", write_checkpoint(tmp_path / "other", 15), tmp_path / "none")
    assert aside is not None
    assert names(aside) == ["checkpoint-10", "checkpoint-20"]
    assert names(tmp_path / "other") == ["checkpoint-15"]


def test_a_damaged_checkpoint_that_was_passed_over_is_set_aside(tmp_path: Path) -> None:
    """It would count as the newest when old ones are removed."""
    for step in (10, 20):
        write_checkpoint(tmp_path, step)
    cut_short(tmp_path / "checkpoint-20")
    checkpoint = find_checkpoint(tmp_path, "auto", FACTS | DIGESTS, lambda warning: None)
    aside = set_aside(tmp_path, checkpoint, tmp_path / "none")
    assert aside is not None
    assert names(aside) == ["checkpoint-20"]
    assert names(tmp_path) == ["checkpoint-10"]


# ------------------------------------------------------------------------------------------------------------- pruning


def test_pruning_keeps_the_newest(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        write_checkpoint(tmp_path, step)
    prune_checkpoints(tmp_path, 2, tmp_path / "checkpoint-100")
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-10", "checkpoint-100"]


def test_pruning_leaves_alone_what_is_later_than_the_newest(tmp_path: Path) -> None:
    for step in (5, 10, 15, 30):
        write_checkpoint(tmp_path, step)
    prune_checkpoints(tmp_path, 2, tmp_path / "checkpoint-15")
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-15", "checkpoint-30"]
    prune_checkpoints(tmp_path, 5, tmp_path / "checkpoint-15")
    assert len(names(tmp_path)) == 3


def test_without_a_limit_nothing_is_pruned(tmp_path: Path) -> None:
    for step in (5, 10):
        write_checkpoint(tmp_path, step)
    prune_checkpoints(tmp_path, None, tmp_path / "checkpoint-10")
    assert len(list_checkpoints(tmp_path)) == 2


def test_a_checkpoint_that_cannot_be_removed_ends_no_run(tmp_path: Path) -> None:
    for step in (5, 10, 20):
        write_checkpoint(tmp_path, step)
    in_the_way = tmp_path / ".checkpoint-5.removed"
    in_the_way.mkdir()
    (in_the_way / "rest").write_text("")
    warnings: list[str] = []
    prune_checkpoints(tmp_path, 1, tmp_path / "checkpoint-20", warnings.append)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-5", "checkpoint-20"]
    (warning,) = warnings
    assert f"{tmp_path / 'checkpoint-5'}: could not be removed" in warning


def test_what_is_left_of_saves_and_removals_is_cleared_away(tmp_path: Path) -> None:
    kept = write_checkpoint(tmp_path, 10)
    write_checkpoint(tmp_path, 20).rename(tmp_path / ".unfinished")
    write_checkpoint(tmp_path, 5).rename(tmp_path / ".checkpoint-5.removed")
    (tmp_path / "recipe.yaml").write_text("")
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [kept.name, "recipe.yaml"]
