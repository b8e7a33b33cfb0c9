"""The log of a run: what is written can be read, kills and restarts leave it whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chinesebert.errors import InputError
from chinesebert.training.run_log import RunLog, log_path, read_log


def steps(run: Path) -> list[int]:
    return [entry["step"] for entry in read_log(log_path(run))]


def log_of(run: Path, last: int) -> Path:
    """The log of a run of some steps; returns its path."""
    with RunLog(run, clock=lambda: 0.0) as log:
        log.event(0, "start")
        for step in range(1, last + 1):
            log.train(step, loss=1 / step)
    return log_path(run)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    guesses = [{"sentence": "请把门【关】上。", "guesses": [["关", 0.7], ["打", 0.1]]}]
    with RunLog(tmp_path, clock=lambda: 12.3456) as log:
        log.event(0, "start", versions={"torch": "2.8"})
        log.train(10, loss=2.5, epoch=0.1)
        log.evaluation(10, eval_loss=2.6)
        log.cloze(10, guesses)
    assert read_log(tmp_path / "logs" / "metrics.jsonl") == [
        {"step": 0, "time": 12.346, "kind": "event", "event": "start", "versions": {"torch": "2.8"}},
        {"step": 10, "time": 12.346, "kind": "train", "loss": 2.5, "epoch": 0.1},
        {"step": 10, "time": 12.346, "kind": "eval", "eval_loss": 2.6},
        {"step": 10, "time": 12.346, "kind": "cloze", "sentences": guesses},
    ]


def test_chinese_is_readable_in_the_file(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.cloze(1, [{"sentence": "春天来了，花都【开】了。", "guesses": []}])
    assert "春天来了，花都【开】了。" in log_path(tmp_path).read_text(encoding="utf-8")


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.train(1, loss=float("nan"), nested=[{"a": float("inf")}, (float("-inf"), 1.0)])
    (line,) = log_path(tmp_path).read_text().splitlines()
    assert "NaN" not in line
    assert read_log(log_path(tmp_path))[0] | {"time": 0} == {
        "step": 1,
        "time": 0,
        "kind": "train",
        "loss": None,
        "nested": [{"a": None}, [None, 1.0]],
    }


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.train(1, loss=1.0)
    assert steps(tmp_path) == [1]


@pytest.mark.parametrize("resumed", [0, 3, 5, 9])
def test_going_on_drops_the_steps_that_are_done_again(tmp_path: Path, resumed: int) -> None:
    log_of(tmp_path, 5)
    with RunLog(tmp_path, step=resumed) as log:
        log.event(resumed, "resume")
    assert steps(tmp_path) == [*range(min(resumed, 5) + 1), resumed]
    assert read_log(log_path(tmp_path))[-1]["event"] == "resume"


def test_a_log_that_needs_no_change_is_not_written_again(tmp_path: Path) -> None:
    path = log_of(tmp_path, 3)
    before = path.stat()
    RunLog(tmp_path, step=3).close()
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_only_the_log_is_left_in_its_folder(tmp_path: Path) -> None:
    log_of(tmp_path, 3)
    RunLog(tmp_path, step=1).close()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["metrics.jsonl"]


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_kill_at_any_byte_loses_no_complete_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = tmp_path_factory.mktemp("run")
    path = log_of(run, 4)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert steps(run) == list(range(whole))
    with RunLog(run, step=4) as log:
        log.train(9)
    assert steps(run) == [*range(whole), 9]


def test_a_killed_process_leaves_what_it_wrote(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from chinesebert.training.run_log import RunLog\n"
        "log = RunLog(Path(sys.argv[1])); log.train(1, loss=1.0); log.train(2, loss=0.5); os.kill(os.getpid(), 9)"
    )
    environment = os.environ | {"CHINESEBERT_WITHOUT_MODELS": "1"}
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=False)
    assert result.returncode == -9
    assert steps(tmp_path) == [1, 2]


class FullDisk:
    """A file that takes some bytes of a line, then no more."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self.room = file, room

    def write(self, content: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        written = self._file.write(content[: self.room])
        self.room -= written
        return int(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_costs_lines_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RunLog(tmp_path)
    log.train(1, loss=1.0)
    disk = FullDisk(log._file, room=10)
    monkeypatch.setattr(log, "_file", disk)
    log.train(2, loss=1.0)
    log.train(3, loss=1.0)
    disk.room = 10_000
    log.train(4, loss=1.0)
    assert steps(tmp_path) == [1, 4]
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "No space left" in shown


@pytest.mark.parametrize("line", ["{", "[1]", '{"kind": "train"}', '{"step": "1", "kind": "train"}', '{"step": 1}', ""])
def test_a_damaged_line_is_named_and_does_not_keep_a_run_from_going_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    path = log_of(tmp_path, 2)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl:4: "):
        read_log(path)
    RunLog(tmp_path, step=2).close()
    assert "metrics.jsonl:4: " in capsys.readouterr().err
    assert steps(tmp_path) == [0, 1, 2]


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = log_of(tmp_path, 1)
    path.write_bytes(b'{"step": 0, "kind": "\xff\xfe"}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl:1: "):
        read_log(path)


def test_a_log_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metrics\.jsonl"):
        read_log(log_path(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        RunLog(tmp_path / "file" / "run")


def test_an_unknown_kind_is_a_mistake_of_the_program(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log, pytest.raises(ValueError, match="note"):
        log.write("note", 1)


def test_lines_are_json_that_any_program_reads(tmp_path: Path) -> None:
    path = log_of(tmp_path, 2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]
