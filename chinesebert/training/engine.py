"""DeepSpeed's engine as the loop uses it: optimizer, mixed precision, gradients over ranks, one update a step.

The gradient of a step is the sum over all masked tokens of the global batch, divided by their number, however the batch
is split. DeepSpeed averages over ranks and knows nothing of that number, so each micro-batch's loss is given to it as
``sum / number in the global batch x ranks``.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chinesebert.errors import InputError
from chinesebert.training.partitions import Partitions

OPTIMIZERS = ("adamw", "deepspeed_adam", "lamb")
# Filled in here: they follow from the recipe.
_FILLED_IN = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")


#: In a group of parameters: what its learning rate is multiplied by.
RATE_SCALE = "rate_scale"


class TrainingEngine:
    """One model in training, spread over ranks as the DeepSpeed configuration says.

    Weights are kept and updated in float32; with ``bf16`` the forward pass computes in bfloat16 where that is safe
    (``torch.autocast``). So every ZeRO stage computes the same, and a checkpoint holds the weights as they are.

    Args:
        model: with its weights, on the CPU or already on ``device``.
        optimizer: over ``parameter_groups(model)``.
        config: of DeepSpeed, whole.
        device: of this rank.
        bf16: whether the forward pass computes in bfloat16.

    Raises:
        InputError: DeepSpeed refuses the configuration.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        config: dict[str, Any],
        device: torch.device,
        bf16: bool = False,
    ) -> None:
        import deepspeed

        try:
            self._engine, *_ = deepspeed.initialize(model=model.to(device), optimizer=optimizer, config=config)
        except (ValueError, AssertionError, deepspeed.DeepSpeedConfigError) as error:
            raise InputError(f"DeepSpeed does not take its configuration: {' '.join(str(error).split())}") from error
        self._device, self._bf16 = device, bf16
        self._optimizer = optimizer
        self.model = model
        self.world_size: int = self._engine.world_size
        self.grad_norm = 0.0

    @property
    def partitions(self) -> Partitions:
        """Weights and optimizer state, whole."""
        return Partitions(self._engine)

    def compile(self) -> None:
        """Lets ``torch.compile`` make the forward and backward passes faster."""
        self._engine.compile()

    def autocast(self) -> torch.autocast:
        """The precision in which the model computes."""
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16)

    def forward(self, **inputs: Any) -> Any:
        """The model's outputs."""
        with self.autocast():
            return self._engine(**inputs)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Adds the gradient of one micro-batch.

        Args:
            loss: this micro-batch's part of the loss of the global batch: its sum over masked tokens, divided by the
                masked tokens of the whole global batch.
            last: whether it is this rank's last of the step; then gradients are added up over ranks.
        """
        # One that is not finite makes all gradients so, and the step is seen to be spoilt whatever part of it is.
        loss = loss * torch.where(torch.isfinite(loss.detach()), 1.0, torch.nan)
        self._engine.set_gradient_accumulation_boundary(is_boundary=last)
        self._engine.backward(loss * self.world_size, scale_wrt_gas=False)

    def step(self, learning_rate: float) -> bool:
        """Updates the weights; returns False where the gradients are not finite, and leaves everything as it was.

        All ranks come to the same answer: they look at the norm of the gradients of all of them.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group.get(RATE_SCALE, 1.0)
        if self._engine.zero_optimization_stage() == 0:
            return self._step_without_zero()
        self._engine.step()
        self.grad_norm = float(self._engine.get_global_grad_norm())
        return not self._engine.optimizer.overflow  # DeepSpeed has looked, and thrown the gradients away

    def _step_without_zero(self) -> bool:
        """Without ZeRO, DeepSpeed neither looks nor tells the norm."""
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        self.grad_norm = float(nn.utils.get_total_norm(gradients))
        finite = self.grad_norm < float("inf")  # False for NaN too
        if finite:
            self._engine.step()
        else:
            self._engine.zero_grad()
        return finite


def deepspeed_config(
    path: str, micro_batch_size: int, micro_batches: int, world_size: int, max_grad_norm: float
) -> dict[str, Any]:
    """A DeepSpeed configuration file, filled in for a run.

    Raises:
        InputError: it cannot be read, or sets what follows from the recipe.
    """
    config = _read_config(path)
    for name in (*_FILLED_IN, "optimizer", "scheduler"):
        if config.get(name, "auto") != "auto":
            raise InputError(f"{path}: {name} cannot be set here, the recipe decides it; remove it")
    for name in ("bf16", "fp16"):
        if config.get(name, {}).get("enabled", False) not in (False, "auto"):
            raise InputError(f"{path}: {name} cannot be set here; set bf16: true in the recipe")
    if any(name.startswith("offload") for name in config.get("zero_optimization", {})):
        raise InputError(f"{path}: offload to the CPU is not supported; use another ZeRO stage or more ranks")
    config = {name: value for name, value in config.items() if name not in ("bf16", "fp16", "optimizer", "scheduler")}
    return config | {
        "train_micro_batch_size_per_gpu": micro_batch_size,
        "gradient_accumulation_steps": micro_batches,
        "train_batch_size": micro_batch_size * micro_batches * world_size,
        "gradient_clipping": max_grad_norm,
        "zero_allow_untested_optimizer": True,
    }


def zero_stage(path: str) -> int:
    """The ZeRO stage of a DeepSpeed configuration file; raises ``InputError`` where it cannot be read."""
    stage: int = _read_config(path).get("zero_optimization", {}).get("stage", 0)
    return stage


def _read_config(path: str) -> dict[str, Any]:
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the DeepSpeed configuration ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("zero_optimization", {}), dict):
        raise InputError(f"{path}: is not a DeepSpeed configuration; see configs/deepspeed/zero1.json")
    if config.get("zero_optimization", {}).get("stage", 0) not in (0, 1, 2, 3):
        raise InputError(f"{path}: the stage of zero_optimization must be 0, 1, 2 or 3")
    return config


def parameter_groups(model: nn.Module, weight_decay: float, glyph_rate_scale: float = 1.0) -> list[dict[str, Any]]:
    """Weights with decay, biases and norms without (BERT).

    Args:
        model: its trained parameters are taken.
        weight_decay: of the weights.
        glyph_rate_scale: by what the learning rate of the map from pixels to the glyph vector is multiplied; that map
            is a group of its own where it is not 1.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    glyphs = {name for name in trained if name.endswith("glyph_map.weight")} if glyph_rate_scale != 1.0 else set()
    decayed = [parameter for name, parameter in trained.items() if parameter.ndim >= 2 and name not in glyphs]
    others = [parameter for parameter in trained.values() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    if glyphs:
        scaled = [trained[name] for name in sorted(glyphs)]
        groups.append({"params": scaled, "weight_decay": weight_decay, RATE_SCALE: glyph_rate_scale})
    return groups


def build_optimizer(
    name: str,
    groups: list[dict[str, Any]],
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    stage: int,
) -> torch.optim.Optimizer:
    """One of ``OPTIMIZERS``.

    Raises:
        InputError: it is unknown, needs a GPU or a package that is not there, or does not go with the ZeRO stage.
    """
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=epsilon, fused=True)
    if name == "deepspeed_adam":
        if not torch.cuda.is_available():
            raise InputError("optimizer deepspeed_adam needs a CUDA GPU; use adamw")
        from deepspeed.ops.adam import FusedAdam

        fused: torch.optim.Optimizer = FusedAdam(groups, lr=learning_rate, betas=betas, eps=epsilon, adam_w_mode=True)
        return fused
    if name == "lamb":
        return _build_lamb(groups, learning_rate, betas, epsilon, stage)
    raise InputError(f"optimizer {name}: is unknown; use one of {', '.join(OPTIMIZERS)}")


def _build_lamb(
    groups: list[dict[str, Any]], learning_rate: float, betas: tuple[float, float], epsilon: float, stage: int
) -> torch.optim.Optimizer:
    if stage > 0:
        raise InputError(
            f"optimizer lamb needs whole layers, for their norms, and ZeRO {stage} cuts them into parts; use "
            "configs/deepspeed/zero0.json, or adamw"
        )
    try:
        from pytorch_optimizer import Lamb
    except ImportError as error:
        raise InputError("optimizer lamb needs a package: pip install 'chinesebert-pretraining[lamb]'") from error
    # As its authors have it (You et al. 2020, algorithm 2, and their code): decay is part of a layer's step, which is
    # learning rate x norm from the first one on; biases and norms, which do not decay, move as with Adam.
    groups = [group | {"adam": group["weight_decay"] == 0} for group in groups]
    lamb: Any = Lamb(groups, lr=learning_rate, betas=betas, eps=epsilon, weight_decouple=False, adam_debias=True)
    lamb.clamp = float("inf")  # the package takes no norm for more than 10; those of a base model are 15 to 80
    optimizer: torch.optim.Optimizer = lamb
    return optimizer


def learning_rate_schedule(
    name: str, learning_rate: float, warmup_steps: int, steps: int, options: dict[str, Any] | None
) -> Callable[[int], float]:
    """The learning rate of each step, from 0: one of the schedules of transformers, as a function.

    Raises:
        InputError: the schedule is unknown, is no function of the step, or does not take the options.
    """
    from transformers import get_scheduler

    weight = nn.Parameter(torch.zeros(1))
    try:
        schedule = get_scheduler(name, torch.optim.SGD([weight], lr=1.0), warmup_steps, steps, dict(options or {}))
        (factor,) = schedule.lr_lambdas
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"lr_scheduler_type {name} with lr_scheduler_kwargs {options}: {error}") from error
    return lambda step: learning_rate * float(factor(step))
