"""The place of a process in a job, where Slurm's ``srun`` has started it and no launcher has.

DeepSpeed and torch find it in ``RANK``, ``LOCAL_RANK``, ``WORLD_SIZE``, ``LOCAL_SIZE``, ``MASTER_ADDR`` and
``MASTER_PORT``; Slurm tells the same under names of its own.
"""

import re
from collections.abc import Mapping

from chinesebert.errors import InputError

# Below 32,768, where Linux begins to give ports to whoever asks for any.
_FIRST_PORT, _PORTS = 20_000, 12_000
_STEPS_OF_A_JOB = 16


def is_slurm_task(environment: Mapping[str, str]) -> bool:
    """Whether Slurm has started this process, as a task of ``srun`` or as the script of a job."""
    return "SLURM_PROCID" in environment


def ranks_from_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    """What a launcher would have put into the environment, from that of a task of ``srun`` (a task is a rank).

    An address or port that is there already stays.

    Raises:
        InputError: the process is a job's script and not a task of ``srun``, which would wait for the others for ever;
            or it sees fewer GPUs than its machine has ranks.
    """
    if "SLURM_STEP_ID" not in environment:
        raise InputError(
            "started by a Slurm job, but not by srun; write `srun python launch/pretrain.py …` in its script"
        )
    per_node = tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
    on_this_node = per_node[int(environment["SLURM_NODEID"])]
    _check_gpus(environment.get("CUDA_VISIBLE_DEVICES"), on_this_node)
    port = int(environment["SLURM_JOB_ID"]) * _STEPS_OF_A_JOB + int(environment["SLURM_STEP_ID"])
    return {
        "RANK": environment["SLURM_PROCID"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "WORLD_SIZE": environment["SLURM_STEP_NUM_TASKS"],
        "LOCAL_SIZE": str(on_this_node),
        "MASTER_ADDR": environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": environment.get("MASTER_PORT") or str(_FIRST_PORT + port % _PORTS),
    }


def tasks_per_node(shown: str) -> list[int]:
    """The tasks of each node: ``8(x2),4`` is 8, 8, 4."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", shown)
    return [int(tasks) for tasks, nodes in found for _ in range(int(nodes or 1))]


def first_host(nodes: str) -> str:
    """The first of a list as Slurm writes them: of ``gpu[07-09,12],login`` it is ``gpu07``."""
    first = re.sub(r"\[(\w+)[^]]*\]", r"\1", nodes)
    return first.split(",")[0]


def _check_gpus(visible: str | None, ranks: int) -> None:
    """A rank takes the GPU of its number on the machine, so it must see as many as there are ranks."""
    seen = len(visible.split(",")) if visible else ranks
    if seen < ranks:
        raise InputError(
            f"each rank sees {seen} of the GPUs of its machine, which has {ranks} ranks; ask Slurm for "
            "--gpus-per-node, not for --gpus-per-task, or give srun --gpu-bind=none"
        )
