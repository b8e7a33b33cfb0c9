"""What DeepSpeed spreads over ranks, as whole tensors: master weights and the optimizer's state, by parameter.

Each ZeRO stage keeps them in its own way. Seen through ``fragment`` they are all alike: this rank's part of a parameter
is a range of a flat tensor, to which the optimizer's state belongs. So a checkpoint can be written that depends neither
on the number of ranks nor on the stage. (DeepSpeed's ``safe_get_full_optimizer_state`` is meant for this, but in 0.19
it finds no state of a second parameter group and cannot set parameters of ZeRO 3 whose size the ranks do not divide.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

# The optimizer's count of updates; a tensor beside the moments, or an entry of the parameter group.
STEP = "step"


@dataclass(frozen=True)
class Fragment:
    """This rank's part of one parameter.

    Attributes:
        flat: the tensor that the optimizer updates; it holds parts of other parameters too.
        flat_start: where in ``flat`` this part begins.
        start: where in the parameter, seen as one row, it begins.
        size: numbers in it; 0 where this rank has no part.
    """

    flat: torch.Tensor
    flat_start: int
    start: int
    size: int

    def of(self, flat: torch.Tensor) -> torch.Tensor:
        """The range of a tensor shaped like ``flat``: the weights themselves, or a moment."""
        return flat.detach().view(-1)[self.flat_start : self.flat_start + self.size]


class Partitions:
    """The fragments of all trained parameters of a DeepSpeed engine.

    Args:
        engine: that ``deepspeed.initialize`` returned.
    """

    def __init__(self, engine: Any) -> None:
        self._optimizer = getattr(engine.optimizer, "optimizer", engine.optimizer)
        self._whole = engine.zero_optimization_stage() == 0
        self._fragments = dict(_fragments(engine))
        self._shapes = {
            name: tuple(getattr(parameter, "ds_shape", parameter.shape))
            for name, parameter in engine.module.named_parameters()
            if parameter.requires_grad
        }

    def keys(self) -> list[str]:
        """The names of the optimizer's states, such as ``exp_avg``; none before the first update."""
        return sorted(
            {
                key
                for fragment in self._fragments.values()
                for key, value in self._optimizer.state.get(fragment.flat, {}).items()
                if torch.is_tensor(value) and value.shape == fragment.flat.shape
            }
        )

    def gather(self, key: str | None = None) -> Iterator[tuple[str, torch.Tensor]]:
        """Each parameter's master weights, or a state of the optimizer, whole; all ranks must iterate together.

        Args:
            key: of ``keys()``; None for the weights.

        Yields:
            Name and tensor in the parameter's shape, float32, on the CPU; what ranks other than the first get is of no
            use.
        """
        for name, fragment in self._fragments.items():
            flat = fragment.flat if key is None else self._optimizer.state[fragment.flat][key]
            shape = self._shapes[name]
            if self._whole:
                yield name, flat.detach().float().cpu()
                continue
            whole = torch.zeros(shape, dtype=torch.float32, device=flat.device)
            whole.view(-1)[fragment.start : fragment.start + fragment.size] = fragment.of(flat)
            if dist.get_world_size() > 1:
                dist.reduce(whole, dst=0)  # the parts of the ranks do not overlap: adding puts them side by side
            yield name, whole.cpu()

    @torch.no_grad()
    def restore(self, name: str, key: str | None, whole: torch.Tensor) -> None:
        """Sets this rank's part of a parameter's weights, or of a state of the optimizer.

        Args:
            name: of the parameter.
            key: of the state; None for the weights.
            whole: in the parameter's shape.
        """
        fragment = self._fragments[name]
        flat = fragment.flat
        if key is not None:
            state = self._optimizer.state[fragment.flat]
            if not state and self._is_torchs:
                self._set_step(fragment, 0)  # torch takes a state that is not empty for a whole one
            flat = state.setdefault(key, torch.zeros_like(fragment.flat))
        part = whole.reshape(-1)[fragment.start : fragment.start + fragment.size]
        fragment.of(flat).copy_(part)

    def set_updates(self, updates: int) -> None:
        """Tells the optimizer how many updates it has made: Adam's correction of its young moments hangs on it."""
        if not self._is_torchs:
            for group in self._optimizer.param_groups:
                group[STEP] = updates  # DeepSpeed's FusedAdam takes it from here too, for states that have none
            return
        for fragment in self._fragments.values():
            if updates or self._optimizer.state.get(fragment.flat):  # torch makes a state at the first update
                self._set_step(fragment, updates)

    @property
    def _is_torchs(self) -> bool:
        return type(self._optimizer).__module__.startswith("torch.")

    def _set_step(self, fragment: Fragment, updates: int) -> None:
        fused = self._optimizer.param_groups[0].get("fused")
        device = fragment.flat.device if fused else "cpu"  # where torch itself keeps it
        self._optimizer.state[fragment.flat][STEP] = torch.tensor(float(updates), device=device)


def _fragments(engine: Any) -> Iterator[tuple[str, Fragment]]:
    stage, optimizer = engine.zero_optimization_stage(), engine.optimizer
    flat_parts: dict[int, torch.Tensor] = {}
    if stage in (1, 2):
        groups = zip(optimizer.bit16_groups, optimizer.single_partition_of_fp32_groups, strict=True)
        flat_parts = {id(parameter): flat for parameters, flat in groups for parameter in parameters}
    for name, parameter in engine.module.named_parameters():
        if not parameter.requires_grad:
            continue
        if stage == 0:
            yield name, Fragment(parameter, 0, 0, parameter.numel())
        elif stage == 3:
            yield name, _zero3_fragment(optimizer, parameter)
        else:
            yield name, _zero12_fragment(flat_parts[id(parameter)], parameter)


def _zero12_fragment(flat: torch.Tensor, parameter: Any) -> Fragment:
    """ZeRO 1 and 2 cut the row of a group's parameters into equal parts, wherever the cuts fall."""
    mapping = parameter._hp_mapping
    if mapping is None:
        return Fragment(flat, 0, 0, 0)
    here, there = mapping.hp_fragment_address, mapping.lp_fragment_address
    return Fragment(flat, here.start, there.start, there.numel)


def _zero3_fragment(optimizer: Any, parameter: Any) -> Fragment:
    """ZeRO 3 cuts every parameter into equal parts, the last filled up."""
    subgroup, flat_start, size = optimizer.grad_position[optimizer.get_param_id(parameter)]
    start = min(size * dist.get_rank(), parameter.ds_numel)
    flat = optimizer.fp32_partitioned_groups_flat[subgroup]
    return Fragment(flat, flat_start, start, min(size, parameter.ds_numel - start))
