"""What a run writes to ``output_dir`` besides checkpoints: recipe and log at its start, the model at its end."""

import filecmp
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from chinesebert.atomic import atomic_directory, atomic_file, create_parent
from chinesebert.errors import InputError
from chinesebert.training import evaluation
from chinesebert.training.announcements import Changes, Subject, card_facts, start_facts
from chinesebert.training.arguments import PretrainingArguments
from chinesebert.training.checkpoints import (
    HF_DIRECTORY,
    RECIPE_FILE,
    Progress,
    SaveError,
    later_checkpoints,
    on_first_rank,
    remove_unfinished,
    set_aside,
)
from chinesebert.training.model_card import CARD_FILE, write_model_card
from chinesebert.training.report import REPORT_FILE
from chinesebert.training.run_log import RunLog, log_path


def refuse_file(output_dir: Path) -> None:
    """Raises ``InputError`` where ``output_dir`` is no folder: before a large corpus has been read for nothing."""
    if os.path.exists(output_dir) and not os.path.isdir(output_dir):  # no error where a folder above is closed to us
        raise InputError(f"{output_dir}: is a file; give --output_dir a folder, which need not exist yet")


def open_output(subject: Subject, checkpoint: Path | None, progress: Progress, changed: Changes) -> RunLog | None:
    """Writes the recipe, and what is known at the start to the log; on the first rank, which gets the log.

    Raises:
        InputError: something cannot be written (no permission, a full disk), on all ranks.
    """
    logs: list[RunLog] = []

    def begin() -> None:
        logs.append(_write_start(subject, checkpoint, progress, changed))

    try:
        on_first_rank(begin)
    except SaveError as error:
        raise InputError(str(error)) from error
    return logs[0] if logs else None


def _write_start(subject: Subject, checkpoint: Path | None, progress: Progress, changed: Changes) -> RunLog:
    output_dir = Path(subject.args.output_dir or "")
    try:
        create_parent(output_dir / RECIPE_FILE)
        remove_unfinished(output_dir)
        aside = set_aside(output_dir, checkpoint, log_path(output_dir))
        _save_recipe(subject, output_dir)
        log = RunLog(output_dir, progress.step)
    except OSError as error:
        raise InputError(
            f"{output_dir}: the run cannot begin, since nothing can be written there ({error.strerror or error}); free "
            "space, or give another --output_dir"
        ) from error
    come_from: dict[str, Any] = {"checkpoint": checkpoint.name} if checkpoint else {}
    if changed:
        come_from["changed"] = changed
    if aside:
        come_from["set_aside"] = aside.name
        print(f"aside    {aside}: the checkpoints that this run does not come from, with their log", flush=True)
    log.event(progress.step, "resume" if checkpoint else "start", **start_facts(subject), **come_from)
    return log


def _save_recipe(subject: Subject, output_dir: Path) -> None:
    """Writes the resolved settings beside the checkpoints."""
    with atomic_file(output_dir / RECIPE_FILE) as unfinished:
        unfinished.write_text(yaml.safe_dump(subject.settings(), allow_unicode=True), encoding="utf-8")


def is_complete(args: PretrainingArguments, checkpoint: Path, progress: Progress) -> bool:
    """Whether a run whose last step is done has nothing left to do but to publish its model.

    It has where it was stopped before its last evaluation, or where its folder has no log, or checkpoints that are not
    of this run: those of a run that goes back. To be asked on the first rank alone, with the answer shared.

    Raises:
        InputError: the log cannot be read.
    """
    output_dir = Path(args.output_dir or "")
    if not log_path(output_dir).is_file() or later_checkpoints(output_dir, checkpoint):
        return False
    return not evaluation.is_missing(args, progress.step)


def has_report(output_dir: Path) -> bool:
    """Whether there is a report of all that the log says."""
    report, log = output_dir / REPORT_FILE, log_path(output_dir)
    return report.is_file() and log.is_file() and report.stat().st_mtime_ns >= log.stat().st_mtime_ns


def publish_model(subject: Subject, progress: Progress, checkpoint: Path) -> None:
    """Puts the model of the run's last checkpoint in ``output_dir/hf``, with a card, where it is not there yet.

    The card is written again where the log has grown since: by an evaluation that was made up for.

    Raises:
        InputError: it cannot be written, on all ranks.
    """
    output_dir = Path(subject.args.output_dir or "")

    def publish() -> None:
        if _same_weights(checkpoint / HF_DIRECTORY, output_dir / HF_DIRECTORY):
            card = output_dir / HF_DIRECTORY / CARD_FILE
            if not card.is_file() or card.stat().st_mtime_ns < log_path(output_dir).stat().st_mtime_ns:
                write_model_card(card.parent, card_facts(subject, progress))
            return
        with atomic_directory(output_dir / HF_DIRECTORY, overwrite=True) as directory:
            shutil.copytree(checkpoint / HF_DIRECTORY, directory, dirs_exist_ok=True)
            write_model_card(directory, card_facts(subject, progress))

    try:
        on_first_rank(publish)
    except SaveError as error:
        raise InputError(
            f"{output_dir / HF_DIRECTORY}: the model could not be written ({error}); it is in the last checkpoint, and "
            "the same command writes it again"
        ) from error


def _same_weights(one: Path, two: Path) -> bool:
    first, second = one / "model.safetensors", two / "model.safetensors"
    return second.is_file() and filecmp.cmp(first, second)  # looks inside where times differ; a copy keeps its time
