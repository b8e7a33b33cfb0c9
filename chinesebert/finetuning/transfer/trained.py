"""What a run trains: the model as the options of transfer want it, and the data of all its tasks."""

from collections.abc import Sequence
from typing import Any

from chinesebert.finetuning.arguments import FinetuningArguments
from chinesebert.finetuning.transfer.companions import Companion, companion_model
from chinesebert.finetuning.transfer.freezing import freeze_encoder
from chinesebert.finetuning.transfer.mixture import SharedEncoder, TaskMixture
from chinesebert.tasks.dataset import BertDataset


def trained_model(model: Any, args: FinetuningArguments, others: Sequence[Companion]) -> Any:
    """The model with frozen parts, with adapters, or with the heads of the other tasks.

    Raises:
        InputError: the adapters' settings do not fit the model.
    """
    if args.freeze_encoder:
        freeze_encoder(model)
    if args.lora_rank:
        from chinesebert.finetuning.transfer.lora import with_adapters

        return with_adapters(model, args)
    if not others:
        return model
    for other in others:
        other.model = companion_model(other, args)
    return SharedEncoder([model, *(other.model for other in others)])


def trained_data(dataset: BertDataset | None, others: Sequence[Companion]) -> BertDataset | TaskMixture | None:
    """The data set of the task, or that of all tasks."""
    return TaskMixture([dataset, *(other.train for other in others)]) if others and dataset is not None else dataset
