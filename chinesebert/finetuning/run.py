"""One run of one task: train, evaluate, predict."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback, set_seed

from chinesebert.errors import InputError
from chinesebert.finetuning.announcements import announce
from chinesebert.finetuning.arguments import FinetuningArguments, hyperparameters
from chinesebert.finetuning.checkpoints import checkpoint_to_resume, clear, remove_checkpoints, save_finished_model
from chinesebert.finetuning.data import Splits, labels_for, read_splits
from chinesebert.finetuning.interrupts import StopBetweenSteps
from chinesebert.finetuning.model_card import write_finetuned_card
from chinesebert.finetuning.process import say
from chinesebert.finetuning.progress import finetuning_progress
from chinesebert.finetuning.record import (
    METRICS_FILE,
    SETTINGS_FILE,
    differences,
    files_of,
    read_metrics,
    settings_of,
)
from chinesebert.finetuning.results import PREDICTIONS, write_json, write_predictions, write_submissions
from chinesebert.finetuning.starting_model import load_tokenizer, saved_task, starting_model, whole_on_every_rank
from chinesebert.finetuning.trainer import FinetuningTrainer, has_truth, score
from chinesebert.finetuning.transfer.companions import Companion, companion_figures, companions
from chinesebert.finetuning.transfer.settings import config_changes
from chinesebert.finetuning.transfer.trained import trained_data, trained_model
from chinesebert.finetuning.transfer.two_stages import first_settings
from chinesebert.tasks.dataset import BertDataset, require_labels
from chinesebert.tasks.kinds import KINDS, Kind, Lengths
from chinesebert.tasks.kinds.choice import Choice
from chinesebert.tasks.kinds.correction import Correction
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.task import Task
from chinesebert.training.environment import version_facts


@dataclass
class Prepared:
    """What a run works on: the examples of its splits, as the model reads them, and the kind that knows them.

    Attributes:
        others: tasks that are trained along.
    """

    splits: Splits
    kind: Kind
    tokenizer: Any
    lengths: Lengths
    datasets: Mapping[str, BertDataset]
    others: list[Companion]


def finetune(task: Task, args: FinetuningArguments) -> dict[str, Any]:
    """Does what the flags ask for and returns what ``metrics.json`` holds.

    Raises:
        InputError: files, model and settings do not go together; nothing has been written then.
        Interrupted: a signal has ended the run.
    """
    output_dir, started = Path(str(args.output_dir)), time.monotonic()
    if (output_dir / METRICS_FILE).exists() and not args.overwrite_output_dir:
        raise InputError(f"{output_dir}: holds a finished run; give another --output_dir, or --overwrite_output_dir")
    settings = settings_of(args)
    checkpoint = checkpoint_to_resume(args, output_dir, settings) if args.do_train else None
    prepared = prepare(task, args)
    announce(task, args, prepared.splits, prepared.datasets)
    trainer = _trainer(task, args, prepared)
    results = _train(trainer, args, settings, checkpoint) if args.do_train else {}
    for split in ("dev", "test"):
        if {"dev": args.do_eval, "test": args.do_predict and bool(prepared.splits.test)}[split]:
            results[split] = _evaluate(trainer, split, prepared, output_dir)
    if prepared.others:
        results["also_train"] = {
            other.task.name: companion_figures(other, args, prepared.tokenizer) for other in prepared.others
        }
    summary = _summary(task, args, prepared, settings, results)
    summary["seconds"] = round(time.monotonic() - started, 1)
    if trainer.is_world_process_zero():
        if args.do_train:
            write_finetuned_card(output_dir, task, prepared.kind, summary)
            if args.save_strategy == "best":  # kept to end with the best model and to go on: neither is needed now
                remove_checkpoints(output_dir)
        write_json(output_dir / METRICS_FILE, summary)  # last: it says that the run is finished
    return summary


def prepare(task: Task, args: FinetuningArguments) -> Prepared:
    """Reads and encodes what the run needs, so that whatever is wrong in it shows before the training.

    Raises:
        InputError: files, model and settings do not go together.
    """
    source = str(args.model_name_or_path)
    splits = read_splits(task, args)
    kind = _kind(task, args, splits, source)
    tokenizer = load_tokenizer(source)
    lengths = Lengths(args.max_seq_length, args.doc_stride, args.truncation)  # type: ignore[arg-type]  # checked
    by_name = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    with args.main_process_first(desc="tokenization"):  # the first rank tokenizes, the others read its cache
        datasets = {
            name: BertDataset(tokenizer, examples, kind, lengths, cache=not args.no_cache)
            for name, examples in by_name.items()
            if examples
        }
    others = companions(args, tokenizer) if args.do_train else []
    return Prepared(splits, kind, tokenizer, lengths, datasets, others)


def _kind(task: Task, args: FinetuningArguments, splits: Splits, source: str) -> Kind:
    """The kind with its labels; and makes sure that what is trained or evaluated on has labels."""
    saved = saved_task(source)
    if not args.do_train and saved.get("kind") != task.kind:
        raise InputError(
            f"{source}: is not fine-tuned for {task.name} ({saved.get('task') or 'no task'}); "
            "give the output of a run of it, or --do_train"
        )
    kind = KINDS[task.kind](labels_for(task, splits, saved.get("labels")))
    require_labels(splits.train, kind, "training")
    require_labels(splits.dev, kind, "evaluation")
    if args.do_train:
        kind.learn(splits.train)
    else:
        kind.restore(saved.get("state", {}))
    _decide_as_told(kind, task, args)
    return kind


def _decide_as_told(kind: Kind, task: Task, args: FinetuningArguments) -> None:
    """Sets how predictions come from scores, where flags say it."""
    if args.unique_choices:
        if not isinstance(kind, Choice):
            raise InputError(f"--unique_choices: {task.name} has no choices; take the flag away")
        kind.unique = True
    if args.correction_threshold is not None:
        if not isinstance(kind, Correction):
            raise InputError(f"--correction_threshold: {task.name} is no spelling correction; take the flag away")
        kind.threshold = args.correction_threshold


def _trainer(task: Task, args: FinetuningArguments, prepared: Prepared) -> FinetuningTrainer:
    dev = prepared.datasets.get("dev")
    if dev is None:
        args.eval_strategy, args.save_strategy, args.load_best_model_at_end = "no", "no", False
    args.metric_for_best_model = f"eval_{task.metric}" if dev is not None else None
    args.greater_is_better = True
    trainer = FinetuningTrainer(
        task=task,
        kind=prepared.kind,
        model=_model(task, args, prepared),
        args=args,
        processing_class=prepared.tokenizer,
        train_dataset=trained_data(prepared.datasets.get("train"), prepared.others),
        eval_dataset=dev,
    )
    for theirs in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(theirs)
    trainer.add_callback(finetuning_progress(bars=not args.disable_tqdm))
    return trainer


def _model(task: Task, args: FinetuningArguments, prepared: Prepared) -> Any:
    """What is trained or used; the first task, where there is one, is trained here."""
    source = str(args.model_name_or_path)
    if not args.do_train:
        with whole_on_every_rank(args):
            return starting_model(source, prepared.kind, task.name, prepared.lengths, args.random_weights)
    random_weights = args.random_weights and not args.first_task  # the first task began with them
    if args.first_task:
        source = _first_stage(args)
    set_seed(args.seed)  # the head is drawn before the Trainer, which seeds too, is there
    changes = config_changes(args)
    with whole_on_every_rank(args):
        model = starting_model(source, prepared.kind, task.name, prepared.lengths, random_weights, changes)
    model.config.finetuning["pairs"] = any(  # so that prediction knows what to ask for
        getattr(example, "text_pair", None) is not None for example in prepared.splits.train
    )
    return trained_model(model, args, prepared.others)


def _first_stage(args: FinetuningArguments) -> str:
    """Trains the first task, unless an earlier start of this run has, and returns the directory of its model."""
    task = get_task(str(args.first_task))
    first = first_settings(task, args, hyperparameters(task))
    directory = Path(first.output_dir)
    finished = None if args.overwrite_output_dir else read_metrics(directory)
    if finished is not None and not differences(finished.get("settings", {}), settings_of(first)):
        say(f"  the first task, {task.name}, is finished: {directory}")
    else:
        finetune(task, first)
    return str(directory)


def _train(
    trainer: FinetuningTrainer, args: FinetuningArguments, settings: dict[str, Any], checkpoint: str | None
) -> dict[str, Any]:
    output_dir, started = Path(str(args.output_dir)), time.monotonic()
    if trainer.is_world_process_zero():
        if checkpoint is None:
            clear(output_dir)
        write_json(output_dir / SETTINGS_FILE, settings)
    if checkpoint is not None:
        say(f"  goes on from {checkpoint}")
    with StopBetweenSteps() as stop:
        trainer.add_callback(stop)
        trainer.train(resume_from_checkpoint=checkpoint)
        trainer.remove_callback(stop)
    save_finished_model(trainer, output_dir)
    state = trainer.state
    return {
        "train_seconds": round(time.monotonic() - started, 1),
        "train_steps": state.global_step,
        "best_step": state.best_global_step,
        "best_dev": state.best_metric,
    }


def _evaluate(trainer: FinetuningTrainer, split: str, prepared: Prepared, output_dir: Path) -> dict[str, Any]:
    """Predicts a split, scores it where it has labels, and writes predictions and submissions."""
    dataset, splits = prepared.datasets[split], prepared.splits
    examples = dataset.examples
    predictions = trainer.predict_examples(dataset)
    figures: dict[str, Any] = {"examples": len(examples), "inputs": len(dataset), "cut": dataset.encoded.cut}
    if has_truth(dataset.kind, examples):
        figures |= score(trainer.task, dataset.kind, examples, predictions)
    if trainer.is_world_process_zero():
        write_predictions(output_dir / PREDICTIONS[split], dataset.kind, examples, predictions)
    if split == "test" and not splits.test_is_cut:  # a server takes whole files only
        write = trainer.is_world_process_zero()
        name = trainer.args.submission_name
        made = write_submissions(output_dir, trainer.task, splits.files["test"], examples, predictions, name, write)
        figures["submissions"] = [path.name for path in made]
    return figures


def _summary(
    task: Task, args: FinetuningArguments, prepared: Prepared, settings: dict[str, Any], results: dict[str, Any]
) -> dict[str, Any]:
    return {
        "task": task.name,
        "suite": task.suite,
        "kind": prepared.kind.name,
        "metric": task.metric,
        "model": args.model_name_or_path,
        "random_weights": args.random_weights,
        "seed": args.seed,
        "labels": prepared.kind.labels,
        "train_examples": len(prepared.splits.train),
        **results,
        "files": files_of(prepared.splits),
        "settings": settings,
        "versions": version_facts(),
    }
