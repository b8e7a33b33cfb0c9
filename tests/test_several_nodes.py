"""One run on several machines: two launchers on one machine take the part of two nodes, and Slurm starts ranks."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from chinesebert.errors import InputError
from chinesebert.glyph import FontSet, render_glyphs
from chinesebert.training.checkpoints import damage
from chinesebert.training.run_log import log_path, read_log
from chinesebert.training.slurm import first_host, is_slurm_task, ranks_from_slurm, tasks_per_node
from chinesebert.vocabulary import read_vocabulary
from tests.conftest import ROOT
from tests.pretraining_runs import checkpoints, events, kill_all, last_step, ranks_of, wait_until

STEPS = 3
LAUNCHER = Path(sys.executable).parent / "deepspeed"
SECOND_NODE = {
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "4242",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "12",
    "SLURM_STEP_TASKS_PER_NODE": "8,4",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}


def outside_slurm() -> dict[str, str]:
    """The environment of these tests without the place that a job of Slurm, or a launcher, may have given them."""
    places = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_") and name not in places}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_a_task_of_slurm_finds_its_place() -> None:
    assert ranks_from_slurm(SECOND_NODE) == {
        "RANK": "9",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "12",
        "LOCAL_SIZE": "4",
        "MASTER_ADDR": "gpu07",
        "MASTER_PORT": str(20_000 + 4242 * 16 % 12_000),
    }


def test_all_tasks_of_a_step_meet_at_one_place() -> None:
    first = SECOND_NODE | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    places = [ranks_from_slurm(environment) for environment in (first, SECOND_NODE)]
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        assert places[0][name] == places[1][name]


def test_two_steps_of_a_job_do_not_meet() -> None:
    other = ranks_from_slurm(SECOND_NODE | {"SLURM_STEP_ID": "1"})
    assert other["MASTER_PORT"] != ranks_from_slurm(SECOND_NODE)["MASTER_PORT"]


@pytest.mark.parametrize("job", [1, 749, 750, 67_043_328])
def test_ports_are_none_that_linux_gives_away(job: int) -> None:
    assert 1024 < int(ranks_from_slurm(SECOND_NODE | {"SLURM_JOB_ID": str(job)})["MASTER_PORT"]) < 32_768


def test_a_given_address_and_port_stay() -> None:
    given = {"MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "29500"}
    assert given.items() <= ranks_from_slurm(SECOND_NODE | given).items()


@pytest.mark.parametrize(("shown", "tasks"), [("8", [8]), ("8(x3)", [8, 8, 8]), ("2(x2),1", [2, 2, 1])])
def test_tasks_per_node_are_read_as_slurm_writes_them(shown: str, tasks: list[int]) -> None:
    assert tasks_per_node(shown) == tasks


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("vm", "vm"),
        ("b,a", "b"),
        ("gpu[07-09,12],login", "gpu07"),
        ("gpu[3]", "gpu3"),
        ("r[1-2]n[4,6-8]", "r1n4"),
        ("gpu-1.site,gpu[2-4]", "gpu-1.site"),
    ],
)
def test_the_first_host_is_the_one_that_slurm_means(nodes: str, first: str) -> None:
    assert first_host(nodes) == first
    if shutil.which("scontrol"):
        shown = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=False)
        if shown.returncode == 0:
            assert shown.stdout.split()[0] == first


def test_ranks_that_see_one_gpu_each_are_refused() -> None:
    with pytest.raises(InputError, match="--gpus-per-node"):
        ranks_from_slurm(SECOND_NODE | {"CUDA_VISIBLE_DEVICES": "0"})
    assert ranks_from_slurm(SECOND_NODE | {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})["LOCAL_RANK"] == "1"


def test_the_script_of_a_job_is_no_rank() -> None:
    script = {name: value for name, value in SECOND_NODE.items() if not name.startswith("SLURM_STEP")}
    assert is_slurm_task(script)
    with pytest.raises(InputError, match="srun python"):
        ranks_from_slurm(script)


def test_a_job_that_forgets_srun_is_told_so() -> None:
    command = [sys.executable, "launch/pretrain.py", "--config", "configs/pretrain/demo.yaml"]
    environment = outside_slurm() | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "error: started by a Slurm job, but not by srun" in result.stderr


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, corpora_directory: Path, small_vocabulary: Path) -> dict[str, Any]:
    """Settings of a run of a few seconds without dropout, without an output_dir."""
    directory = tmp_path_factory.mktemp("recipe")
    fonts = FontSet.from_yaml(ROOT / "fonts" / "default.yaml")
    render_glyphs(read_vocabulary(small_vocabulary), fonts, workers=2).save(directory / "glyphs")
    sizes = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = directory / "model.json"
    model.write_text(json.dumps(sizes | dropout | {"max_position_embeddings": 64, "initializer_range": 0.1}))
    return {
        "train_data": [str(corpora_directory / "train")],
        "glyphs": str(directory / "glyphs"),
        "model": str(model),
        "deepspeed": str(ROOT / "configs" / "deepspeed" / "zero1.json"),
        "max_length": 64,
        "global_batch_size": 16,
        "per_device_train_batch_size": 4,
        "max_steps": STEPS,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_steps": 100,
        "report_to": "none",
        "seed": 11,
    }


def written(recipe: Mapping[str, Any], directory: Path) -> Path:
    """A recipe file; the run it describes writes to ``out`` beside it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "given.yaml"
    path.write_text(yaml.safe_dump(dict(recipe) | {"output_dir": str(directory / "out")}))
    return path


def losses(directory: Path) -> list[float]:
    return [entry["loss"] for entry in read_log(log_path(directory / "out")) if "loss" in entry]


def start(recipe: Path, flags: list[str]) -> "subprocess.Popen[str]":
    command = [str(LAUNCHER), "--master_port", str(free_port()), *flags, "launch/pretrain.py", "--config", str(recipe)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=outside_slurm(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def start_nodes(recipe: Path, directory: Path) -> "list[subprocess.Popen[str]]":
    """Two launchers, which need no ssh, with a rank each."""
    hosts = directory / "hosts"
    hosts.write_text("node-1 slots=1\nnode-2 slots=1\n")
    common = ["--hostfile", str(hosts), "--no_ssh", "--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    return [start(recipe, [*common, "--node_rank", str(rank)]) for rank in range(2)]


def finish(process: "subprocess.Popen[str]") -> str:
    try:
        shown, _ = process.communicate(timeout=200)
    finally:
        process.terminate()
    assert process.returncode == 0, shown[-4000:]
    return shown


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory, recipe: dict[str, Any]) -> Path:
    """A run of two ranks on one node."""
    directory = tmp_path_factory.mktemp("one")
    finish(start(written(recipe, directory), ["--num_accelerators", "2"]))
    return directory


@pytest.mark.slow
def test_two_nodes_train_to_the_losses_of_one(one_node: Path, recipe: dict[str, Any], tmp_path: Path) -> None:
    """A launcher on each, without ssh, a rank each."""
    nodes = start_nodes(written(recipe, tmp_path), tmp_path)
    shown = [finish(node) for node in nodes]
    assert "16 rows = 2 ranks x 4 rows x 2 accumulated" in shown[0]
    assert "accumulated" not in shown[1]  # one rank of all tells
    assert len(losses(tmp_path)) == STEPS
    assert losses(tmp_path) == losses(one_node)
    assert (tmp_path / "out" / f"checkpoint-{STEPS}" / "run.json").is_file()
    assert (tmp_path / "out" / "hf" / "config.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("nodes_told", [[0, 1], [0], [1]], ids=["both nodes", "the first node", "the second node"])
def test_sigterm_to_ranks_saves_on_all_nodes(recipe: dict[str, Any], tmp_path: Path, nodes_told: list[int]) -> None:
    """A step is shared by the ranks of all nodes: none may go on where others stop."""
    output = tmp_path / "out"
    nodes = start_nodes(written(recipe | {"max_steps": 100_000, "disable_tqdm": True}, tmp_path), tmp_path)
    try:
        wait_until(lambda: last_step(output) >= 3, "its third step", nodes[0], seconds=600)
        ranks = [ranks_of(node) for node in nodes]
        assert [len(of_node) for of_node in ranks] == [1, 1]
        for node in nodes_told:
            os.kill(ranks[node][0], signal.SIGTERM)
        shown = [finish(node) for node in nodes]  # which looks for exit status 0
    finally:
        for node in nodes:
            kill_all(node)
    (stopped,) = events(output, "stopped")
    assert checkpoints(output) == [f"checkpoint-{stopped['step']}"]
    assert damage(output / f"checkpoint-{stopped['step']}") is None
    assert ("stopped by SIGTERM" in shown[0]) == (0 in nodes_told)
    assert "the same command goes on from there" in shown[0]


def slurm_answers() -> bool:
    """Whether there is a cluster that would take a job."""
    if not shutil.which("sbatch"):
        return False
    try:
        shown = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return bool(re.search(r"\b(idle|mix|alloc)\b", shown.stdout))


@pytest.mark.slow
@pytest.mark.skipif(not slurm_answers(), reason="needs Slurm with a node that is up")
def test_srun_starts_the_ranks(one_node: Path, recipe: dict[str, Any], tmp_path: Path) -> None:
    path = written(recipe, tmp_path)
    command = ["srun", "--ntasks=2", "--overcommit", "--time=10", sys.executable, "launch/pretrain.py"]
    result = subprocess.run(
        [*command, "--config", str(path)],
        cwd=ROOT,
        env=outside_slurm(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    assert losses(tmp_path) == losses(one_node)
