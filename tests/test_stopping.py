"""What asks a process to stop, and what is a launcher of ranks."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chinesebert.training.stopping import StopRequest, is_launcher
from tests.conftest import ROOT


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts back what signals did before a test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "command",
    [
        "/usr/bin/python3 .venv/bin/deepspeed --num_gpus 8 launch/pretrain.py --config base.yaml",
        "/usr/bin/python3 -u -m deepspeed.launcher.launch --world_info=e30 --node_rank=0 launch/pretrain.py",
        "python3.13 -m deepspeed.launcher.runner launch/pretrain.py",
        "/opt/bin/deepspeed launch/pretrain.py",
        "python /opt/bin/ds launch/pretrain.py",
    ],
)
def test_deepspeed_is_a_launcher(command: str) -> None:
    assert is_launcher(command.split(" "))


@pytest.mark.parametrize(
    "command",
    [
        ["bash", "-c", "cd runs; deepspeed launch/pretrain.py"],
        ["/bin/sh", "/home/user/deepspeed/start.sh"],
        ["vim", "bin/deepspeed"],
        ["python", "queue.py", "deepspeed", "launch/pretrain.py"],
        ["python", "-m", "pytest", "tests/test_deepspeed.py"],
        ["python", "deepspeed_watch.py"],
        ["tmux", "new", "-s", "deepspeed"],
        ["python", "-u", "launch/pretrain.py", "--deepspeed", "configs/deepspeed/zero1.json"],
        ["-bash"],
        [""],
        [],
    ],
)
def test_what_only_names_deepspeed_is_no_launcher(command: list[str]) -> None:
    assert not is_launcher(command)


def test_the_end_of_a_shell_that_names_deepspeed_is_no_request(tmp_path: Path) -> None:
    """The shell is gone when the process looks, as after ``ssh HOST 'deepspeed … &'``."""
    program = "\n".join(
        [
            "import os, time",
            "from chinesebert.training.stopping import StopRequest",
            "shell = os.getppid()",
            "stop = StopRequest()",
            "print(flush=True)",
            "while os.getppid() == shell: time.sleep(0.01)",
            f"open({str(tmp_path / 'said')!r}, 'w').write(str(stop.reason if stop else 'nothing'))",
        ]
    )
    pipe, end = os.pipe()
    shell = f'"$0" -c "$1" & exec >&-; read _ <&{pipe}; exit 0  # deepspeed'
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CHINESEBERT_WITHOUT_MODELS": "1"}
    arguments = ["bash", "-c", shell, sys.executable, program]
    process = subprocess.Popen(arguments, stdout=end, pass_fds=[pipe], env=environment)
    os.close(end)
    assert process.wait() == 0
    while os.read(pipe, 1):  # until the program has ended too
        pass
    os.close(pipe)
    assert (tmp_path / "said").read_text() == "nothing"


def test_a_request_holds_for_what_asks_later(handlers: None) -> None:
    """A signal while a run starts up is known to its training loop."""
    early = StopRequest()
    os.kill(os.getpid(), signal.SIGTERM)
    assert early.reason == "SIGTERM"
    assert StopRequest().reason == "SIGTERM"


def test_a_signal_from_before_there_was_a_request_counts(handlers: None) -> None:
    stop = StopRequest()
    assert not stop
    stop.heed(signal.SIGINT)
    assert stop.reason == "SIGINT"
