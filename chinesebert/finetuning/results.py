"""What a run leaves behind: ``metrics.json``, ``predictions.jsonl`` and the submission file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chinesebert.atomic import atomic_file
from chinesebert.tasks.kinds import Kind
from chinesebert.tasks.task import Task

#: The file of the predictions for each split.
PREDICTIONS = {"dev": "dev_predictions.jsonl", "test": "predictions.jsonl"}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes an object as indented JSON; the file appears when it is complete."""
    with atomic_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes lines; the file appears when it is complete."""
    with atomic_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_predictions(path: Path, kind: Kind, examples: Sequence[Any], predictions: Sequence[Any]) -> None:
    """A JSON line an example: ``id``, ``prediction``, and ``label`` where the file says what is right."""
    records = (kind.record(example, guess) for example, guess in zip(examples, predictions, strict=True))
    write_lines(path, (json.dumps(record, ensure_ascii=False) for record in records))


def write_submissions(
    directory: Path,
    task: Task,
    test_files: Sequence[Path],
    examples: Sequence[Any],
    predictions: Sequence[Any],
    write: bool = True,
) -> list[Path]:
    """The files that the benchmark's server takes for these test files; returns their paths.

    Args:
        directory: where they go.
        task: says which there are.
        test_files: that were predicted; older and newer ones may be for different submission files.
        examples, predictions: of all of the test files.
        write: False in all but one of the processes of a run.
    """
    names = {path.name for path in test_files}
    wanted = [item for item in task.submissions if item.test_file in names]
    if not wanted:
        wanted = [item for item in task.submissions if not item.test_file]
    if write:
        for submission in wanted:
            write_lines(directory / submission.name, submission.write(examples, predictions))
    return [directory / submission.name for submission in wanted]
