"""Outputs appear under their final name only when they are complete, and a failure leaves things as they were."""

import os
from pathlib import Path

import pytest

from chinesebert.atomic import atomic_directory, atomic_file
from chinesebert.errors import InputError

FAILURES = [RuntimeError, KeyboardInterrupt, SystemExit]


def content(folder: Path) -> dict[str, str]:
    """Every file below ``folder``, hidden ones too, with its text."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------------------------------------------------- files


def test_a_file_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with atomic_file(path) as unfinished:
        unfinished.write_text("half")
        assert not path.exists()
        unfinished.write_text("whole")
    assert content(tmp_path) == {"out.txt": "whole"}


def test_the_folders_above_a_file_are_created(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a" / "b" / "out.txt") as unfinished:
        unfinished.write_text("x")
    assert content(tmp_path) == {"a/b/out.txt": "x"}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_no_file(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), atomic_file(tmp_path / "out.txt") as unfinished:
        unfinished.write_text("half")
        raise failure
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_keeps_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    (tmp_path / "out.txt").write_text("old")
    with pytest.raises(failure), atomic_file(tmp_path / "out.txt") as unfinished:
        unfinished.write_text("half")
        raise failure
    assert content(tmp_path) == {"out.txt": "old"}


def test_two_writers_of_one_file_do_not_share_a_draft(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with atomic_file(path) as outer:
        outer.write_text("outer")
        with atomic_file(path) as inner:
            inner.write_text("inner")
    assert content(tmp_path) == {"out.txt": "outer"}


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: is a folder"), atomic_file(tmp_path):
        pass


# -------------------------------------------------------------------------------------------------------------- folders


def test_a_folder_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out"
    with atomic_directory(path) as unfinished:
        (unfinished / "one").write_text("1")
        assert not path.exists()
    assert content(tmp_path) == {"deep/out/one": "1"}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_no_folder(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), atomic_directory(tmp_path / "out") as unfinished:
        (unfinished / "one").write_text("1")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_directory(tmp_path / "out") as unfinished:
        (unfinished / "one").write_text("1")
    assert content(tmp_path) == {"out/one": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_content_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(InputError, match=f"{tmp_path / 'out'}: exists already.*--overwrite"):  # noqa: SIM117
        with atomic_directory(tmp_path / "out"):
            pytest.fail("the block must not run")
    assert content(tmp_path) == {"out/old": "old"}


def test_overwriting_replaces_all_of_a_folder_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_text("old")
    with atomic_directory(path, overwrite=True) as unfinished:
        (unfinished / "new").write_text("new")
        assert content(path) == {"old": "old"}
    assert content(tmp_path) == {"out/new": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_keeps_the_old_folder(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(failure), atomic_directory(path, overwrite=True) as unfinished:
        (unfinished / "new").write_text("new")
        raise failure
    assert content(tmp_path) == {"out/old": "old"}


def test_the_old_folder_is_put_back_when_the_new_one_cannot_be_moved_in(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(OSError), atomic_directory(path, overwrite=True) as unfinished:
        unfinished.rmdir()  # what an over-eager cleaner of temporary files does: the last rename must fail
    assert content(tmp_path) == {"out/old": "old"}


def test_overwriting_a_link_to_a_folder_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "old").write_text("old")
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    with atomic_directory(tmp_path / "out", overwrite=True) as unfinished:
        (unfinished / "new").write_text("new")
    assert (tmp_path / "out" / "new").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "out"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with pytest.raises(InputError, match=f"{tmp_path / 'out'}: is a file"), atomic_directory(tmp_path / "out", True):
        pass
    assert content(tmp_path) == {"out": "old"}


# ---------------------------------------------------------------------------------------- places that cannot be written


@pytest.mark.parametrize("atomic", [atomic_file, atomic_directory])
def test_an_output_below_a_file_is_refused_by_name(tmp_path: Path, atomic) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "folder" / "out"
    with pytest.raises(InputError, match=f"^{path}: .*cannot write.*choose"), atomic(path):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a /proc, where not even root can create anything")
@pytest.mark.parametrize("atomic", [atomic_file, atomic_directory])
def test_a_folder_that_only_seems_writable_is_refused_by_name(atomic) -> None:
    # os.access tells root that it may write here, as it does on network disks that do not trust root.
    with pytest.raises(InputError, match=r"^/proc/out: "), atomic(Path("/proc/out")) as unfinished:
        unfinished.write_text("x")
