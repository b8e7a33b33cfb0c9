"""One run of one task: train, evaluate, predict."""

import time
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import FinetuningArguments, hyperparameters
from chinesebert.finetuning.data import Splits, labels_for, read_splits
from chinesebert.finetuning.results import write_json, write_predictions, write_submissions
from chinesebert.finetuning.starting_model import load_tokenizer, saved_task, starting_model
from chinesebert.finetuning.trainer import FinetuningTrainer, has_truth, score
from chinesebert.finetuning.transfer.companions import Companion, companion_figures, companions
from chinesebert.finetuning.transfer.settings import config_changes, given
from chinesebert.finetuning.transfer.trained import trained_data, trained_model
from chinesebert.finetuning.transfer.two_stages import first_settings
from chinesebert.tasks.dataset import BertDataset, require_labels
from chinesebert.tasks.kinds import KINDS, Kind, Lengths
from chinesebert.tasks.kinds.choice import Choice
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.task import Task
from chinesebert.training.environment import version_facts


def finetune(task: Task, args: FinetuningArguments) -> dict[str, Any]:
    """Does what the flags ask for and returns what ``metrics.json`` holds.

    Raises:
        InputError: files, model and settings do not go together; nothing has been written then.
    """
    output_dir = Path(str(args.output_dir))
    if (output_dir / "metrics.json").exists() and not args.overwrite_output_dir:
        raise InputError(f"{output_dir}: holds a finished run; give another --output_dir, or --overwrite_output_dir")
    source = str(args.model_name_or_path)
    splits = read_splits(task, args)
    kind = _kind(task, args, splits, source)
    tokenizer = load_tokenizer(source)
    lengths = Lengths(args.max_seq_length, args.doc_stride, args.truncation)  # type: ignore[arg-type]  # checked
    datasets = {
        name: _dataset(args, examples, kind, tokenizer, lengths) if examples else None
        for name, examples in (("train", splits.train), ("dev", splits.dev))
    }
    if datasets["dev"] is None:
        args.eval_strategy, args.save_strategy, args.load_best_model_at_end = "no", "no", False
    args.metric_for_best_model = f"eval_{task.metric}" if datasets["dev"] is not None else None
    args.greater_is_better = True
    others = companions(args, source, tokenizer) if args.do_train else []
    trainer = FinetuningTrainer(
        task=task,
        kind=kind,
        model=_model(task, kind, args, lengths, others),
        args=args,
        processing_class=tokenizer,
        train_dataset=trained_data(datasets["train"], others),
        eval_dataset=datasets["dev"],
    )
    started = time.monotonic()
    if args.do_train:
        trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
        trainer.save_model()
    results: dict[str, Any] = {"train_seconds": round(time.monotonic() - started, 1)} if args.do_train else {}
    if args.do_eval:
        results["dev"] = _evaluate(trainer, "dev", splits.dev, datasets["dev"], output_dir)
    if others:
        results["also_train"] = {other.task.name: companion_figures(other, args, tokenizer) for other in others}
    if args.do_predict:
        test = _dataset(args, splits.test, kind, tokenizer, lengths)
        results["test"] = _evaluate(trainer, "test", splits.test, test, output_dir, splits.files["test"])
    summary = _summary(task, args, splits, results)
    if trainer.is_world_process_zero():
        write_json(output_dir / "metrics.json", summary)
    return summary


def _first_stage(args: FinetuningArguments) -> str:
    """Trains the first task and returns the directory of its model."""
    task = get_task(str(args.first_task))
    settings = first_settings(task, args, hyperparameters(task))
    finetune(task, settings)
    return str(settings.output_dir)


def _model(task: Task, kind: Kind, args: FinetuningArguments, lengths: Lengths, others: list[Companion]) -> Any:
    """What is trained or used: the first task, where there is one, is trained here."""
    source = str(args.model_name_or_path)
    if not args.do_train:
        return starting_model(source, kind, task.name, lengths, args.random_weights)
    random_weights = args.random_weights and not args.first_task  # the first task began with them
    if args.first_task:
        source = _first_stage(args)
    model = starting_model(source, kind, task.name, lengths, random_weights, config_changes(args))
    return trained_model(model, args, others)


def _kind(task: Task, args: FinetuningArguments, splits: Splits, source: str) -> Kind:
    """The kind with its labels; and makes sure that what is trained or evaluated on has labels."""
    saved = saved_task(source)
    if not args.do_train and saved.get("kind") != task.kind:
        raise InputError(
            f"{source}: is not fine-tuned for {task.name} ({saved.get('task') or 'no task'}); "
            "give the output of a run of it, or --do_train"
        )
    kind = KINDS[task.kind](labels_for(task, splits, saved.get("labels")))
    if args.unique_choices:
        if not isinstance(kind, Choice):
            raise InputError(f"--unique_choices: {task.name} has no choices; take the flag away")
        kind.unique = True
    if args.do_train:
        kind.learn(splits.train)
    else:
        kind.restore(saved.get("state") or {})
    require_labels(splits.train, kind, "training")
    require_labels(splits.dev, kind, "evaluation")
    return kind


def _dataset(
    args: FinetuningArguments, examples: list[Any], kind: Kind, tokenizer: Any, lengths: Lengths
) -> BertDataset:
    """The examples as inputs; on several ranks the first tokenizes, and the others read its cache."""
    with args.main_process_first(desc="tokenization"):
        return BertDataset(tokenizer, examples, kind, lengths, cache=not args.no_cache)


def _evaluate(
    trainer: FinetuningTrainer,
    split: str,
    examples: list[Any],
    dataset: BertDataset | None,
    output_dir: Path,
    test_files: list[Path] | None = None,
) -> dict[str, Any]:
    """Predicts a split, scores it where it has labels, and writes predictions and submissions."""
    assert dataset is not None
    predictions = trainer.predict_examples(dataset)
    figures: dict[str, Any] = {"examples": len(examples), "inputs": len(dataset), "cut": dataset.encoded.cut}
    if has_truth(dataset.kind, examples):
        figures |= score(trainer.task, dataset.kind, examples, predictions)
    if trainer.is_world_process_zero():
        name = "predictions.jsonl" if split == "test" else f"{split}_predictions.jsonl"
        write_predictions(output_dir / name, dataset.kind, examples, predictions)
        if split == "test":
            made = write_submissions(
                output_dir, trainer.task, test_files or [], examples, predictions, trainer.args.submission_name
            )
            figures["submissions"] = [path.name for path in made]
    return figures


def _summary(task: Task, args: FinetuningArguments, splits: Splits, results: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": task.name,
        "metric": task.metric,
        "model": args.model_name_or_path,
        "random_weights": args.random_weights,
        "seed": args.seed,
        "train_examples": len(splits.train),
        **results,
        "files": {split: [str(path) for path in files] for split, files in splits.files.items()},
        "hyperparameters": {
            name: getattr(args, name)
            for name in (
                *("max_seq_length", "truncation", "doc_stride", "per_device_train_batch_size"),
                *("gradient_accumulation_steps", "learning_rate", "num_train_epochs", "max_steps", "warmup_steps"),
                *("weight_decay", "world_size"),
            )
        },
        "transfer": given(args),
        "versions": version_facts(),
    }
