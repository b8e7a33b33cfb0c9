"""Adapters (LoRA: Hu et al., ICLR 2022, arXiv 2106.09685) through ``peft``: layers stay, small matrices are added."""

import re
from pathlib import Path
from typing import Any

from torch import nn

from chinesebert.errors import InputError
from chinesebert.finetuning.transfer.settings import TransferArguments

ADAPTER = "adapter"


def with_adapters(model: Any, args: TransferArguments) -> Any:
    """A ``PeftModel`` with adapters in the encoder and a head that is trained whole.

    Raises:
        InputError: ``lora_targets`` names no linear layer of the encoder.
    """
    import peft

    layers = [name for name, part in model.base_model.encoder.named_modules() if isinstance(part, nn.Linear)]
    for target in args.lora_targets:
        if not any(name.endswith(f".{target}") for name in layers):
            raise InputError(
                f"--lora_targets {target}: the encoder has no such linear layer; give e.g. query value dense"
            )
    config = peft.LoraConfig(
        r=args.lora_rank,
        lora_alpha=args.lora_alpha,
        lora_dropout=args.lora_dropout,
        target_modules=rf".*\.encoder\.layer\..*\.({'|'.join(map(re.escape, args.lora_targets))})",
        modules_to_save=_head_modules(model),
    )
    return peft.get_peft_model(model, config)


def _head_modules(model: Any) -> list[str]:
    """Names of what is trained whole: the head, the pooler, the mixture of the layers.

    Of a masked language model only the transform in front of the decoder, whose rows are the word embeddings.
    """
    base = model.base_model
    inside = [
        f"{model.base_model_prefix}.{name}" for name in ("pooler", "layer_mix") if getattr(base, name) is not None
    ]
    if base.has_decoder:
        return ["cls.predictions.transform", *(name for name in inside if "pooler" not in name)]
    heads = [name for name, part in model.named_children() if part is not base and any(True for _ in part.parameters())]
    return heads + inside


def merged(model: Any, directory: Path | None) -> Any:
    """The model with the adapters added to its weights, as any other; writes the adapters to ``directory`` before."""
    if directory is not None:
        model.save_pretrained(directory / ADAPTER)
    return model.merge_and_unload()
