"""Pretraining runs of a few seconds for tests: started by the real launcher, watched, interrupted, compared."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = Path(sys.executable).parent / "deepspeed"
PROGRAM = "launch/pretrain.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
TINY = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
Settings = dict[str, Any]
Tensors = dict[str, torch.Tensor]


def write_sizes(path: Path, **sizes: Any) -> str:
    """A file of the sizes of a tiny model."""
    path.write_text(json.dumps(TINY | {"max_position_embeddings": 64, "initializer_range": 0.1} | sizes))
    return str(path)


def stage(number: int) -> str:
    """The DeepSpeed configuration of a ZeRO stage."""
    return str(ROOT / "configs" / "deepspeed" / f"zero{number}.json")


def start(
    recipe: Settings, directory: Path, ranks: int = 2, program: str = PROGRAM, flags: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    """Starts ``deepspeed PROGRAM`` on CPU ranks, in a process group of its own.

    What it prints goes on in the file that ``printed`` reads.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "given.yaml"
    path.write_text(yaml.safe_dump(recipe))
    command = [str(LAUNCHER), "--num_accelerators", str(ranks), "--master_port", str(free_port()), program]
    with open(directory / "printed.txt", "ab") as output:
        return subprocess.Popen(
            [*command, "--config", str(path), *flags],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            start_new_session=True,
        )


def printed(directory: Path) -> str:
    """What the processes started in a folder have printed so far."""
    return (directory / "printed.txt").read_text(encoding="utf-8", errors="replace")


def launch(recipe: Settings, directory: Path, ranks: int = 2, status: int | None = 0, **options: Any) -> str:
    """Runs the launcher to its end, looks at its exit status (None for any but 0), returns what it printed."""
    process = start(recipe, directory, ranks, **options)
    finish(process, directory, status)
    return printed(directory)


def finish(process: "subprocess.Popen[bytes]", directory: Path, status: int | None, seconds: float = 200) -> None:
    """Waits for the end of a launcher and looks at its exit status; None for any but 0."""
    try:
        process.wait(seconds)
    finally:
        kill_all(process)
    expected = process.returncode != 0 if status is None else process.returncode == status
    assert expected, f"exit status {process.returncode}\n{printed(directory)[-4000:]}"


def kill_all(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to a launcher and all that it has started, and waits until they are gone."""
    below = descendants(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(is_alive, below)), "the end of killed processes")


def descendants(process: int) -> list[int]:
    """The processes below one, parents before their children."""
    found = []
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    for child in map(int, children):
        found += [child, *descendants(child)]
    return found


def ranks_of(process: "subprocess.Popen[bytes]") -> list[int]:
    """The processes of the ranks: what the launcher's launcher has started (and not what these have)."""
    (per_node,) = _children(process.pid)
    return _children(per_node)


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_alive(process: int) -> bool:
    """Whether a process is there, and not one that has ended and nobody has asked for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(
    reached: Callable[[], Any], what: str, process: "subprocess.Popen[bytes] | None" = None, seconds: float = 90
) -> None:
    """Looks again and again until something is so; fails where it is not in time, or the process has ended before."""
    end = time.monotonic() + seconds
    while not reached():
        ended = process is not None and process.poll() is not None
        assert reached() or not ended, f"ended with status {process.returncode if process else 0} before {what}"
        assert time.monotonic() < end, f"no {what} in {seconds} s"
        time.sleep(0.02)


def last_step(run: Path) -> int:
    """The last training step that a run has logged; 0 before the first."""
    return max((entry["step"] for entry in _entries(run) if entry["kind"] == "train"), default=0)


def entries(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    """What a run logged of one kind."""
    return [entry for entry in _entries(run) if entry["kind"] == kind]


def events(run: Path, event: str) -> list[dict[str, Any]]:
    """The events of a run with this name."""
    return [entry for entry in entries(run, "event") if entry["event"] == event]


def losses(run: Path) -> list[float]:
    """The training loss of every step."""
    return [entry["loss"] for entry in entries(run)]


def _entries(run: Path) -> Iterator[dict[str, Any]]:
    path = run / "logs" / "metrics.jsonl"
    if path.exists():
        yield from map(json.loads, path.read_bytes().split(b"\n")[:-1])


def checkpoints(run: Path) -> list[str]:
    """The names of the checkpoints of a run, by their step."""
    return sorted((path.name for path in run.glob("checkpoint-*")), key=lambda name: int(name.split("-")[1]))


def weights(checkpoint: Path) -> Tensors:
    """The weights of a checkpoint."""
    return load_file(checkpoint / "hf" / "model.safetensors")


def moments(checkpoint: Path, key: str = "exp_avg") -> Tensors:
    """A state of the optimizer."""
    return load_file(checkpoint / f"optimizer-{key}.safetensors")


def assert_same_bits(one: Path, two: Path) -> None:
    """Two checkpoints have equal weights and optimizer states, to the bit, and stand at the same place."""
    for path in (one, two):
        assert (path / "optimizer-exp_avg.safetensors").is_file()
    for file in ("hf/model.safetensors", "optimizer-exp_avg.safetensors", "optimizer-exp_avg_sq.safetensors"):
        first, second = load_file(one / file), load_file(two / file)
        assert first.keys() == second.keys()
        different = [name for name in first if not torch.equal(first[name], second[name])]
        assert not different, f"{file}: {different}"
    first_run, second_run = (json.loads((path / "run.json").read_text())["progress"] for path in (one, two))
    assert first_run == second_run


def error_of(shown: str) -> str:
    """The one line that a refused run shows to its user."""
    # torch ends what it says of a worker's death with a NUL, which a terminal does not show
    lines = [line for line in shown.replace("\0", "").splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, shown[-4000:]
    assert "Traceback" not in shown, shown[-4000:]
    return lines[0]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
