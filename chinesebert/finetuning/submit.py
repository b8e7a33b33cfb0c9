"""``submit.zip``: the files of a benchmark's tasks in one archive, checked as its server would."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.finetuning.results import PREDICTIONS
from chinesebert.tasks.files import read_lines, read_text

SUBMIT_FILE = "submit.zip"  # CLUE takes no other name


def write_submit_zip(path: Path, files: Sequence[Path]) -> None:
    """An archive with the files at its top level; it appears when it is complete, and equal files make equal bytes."""
    with atomic_file(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files, key=lambda file: file.name):
            entry = zipfile.ZipInfo(file.name)  # dated 1980
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, file.read_bytes())


def check_submission(path: Path, labels: Sequence[str], numbered: bool) -> None:
    """Compares a submission file with the predictions beside it, ``predictions.jsonl``.

    JSON lines with an ``id`` must be those of the test split, in order; one JSON object must have a key for each.
    Labels must be what was predicted, and, where there is a list of labels, texts from it. Of other formats it is known
    only that they are not empty.

    Args:
        path: the file.
        labels: all labels of the task; empty for tasks without.
        numbered: the benchmark wants ids from 0 on without gaps.

    Raises:
        InputError: the file would be refused, or scored wrongly; the message says where.
    """
    predictions = [json.loads(line) for _, line in read_lines(path.with_name(PREDICTIONS["test"]))]
    whole = _json(read_text(path))
    if isinstance(whole, dict) and "id" not in whole:
        _check_object(path, whole, predictions)
        return
    lines = list(read_lines(path))
    if not lines:
        raise InputError(f"{path}: is empty")
    records = [_json(line) for _, line in lines]
    if all(isinstance(record, dict) and "id" in record for record in records):
        _check_records(path, records, predictions, labels, numbered)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _check_object(path: Path, answers: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]) -> None:
    ids = {str(item["id"]) for item in predictions}
    for what, names in (("is missing", ids - set(answers)), ("is none of the test split", set(answers) - ids)):
        if names:
            raise InputError(f"{path}: the id {min(names)} {what} ({len(names)} in all)")


def _check_records(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    predictions: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    numbered: bool,
) -> None:
    if len(records) != len(predictions):
        raise InputError(f"{path}: has {len(records)} lines, but the test split {len(predictions)}")
    for number, (record, prediction) in enumerate(zip(records, predictions, strict=True)):
        where = f"{path}:{number + 1}"
        if record["id"] != prediction["id"] and record["id"] != number:
            raise InputError(f"{where}: the id is {record['id']}, but that of the test split {prediction['id']}")
        label, guess = record.get("label", record.get("answer")), prediction["prediction"]  # FewCLUE's ChID: answer
        if labels and isinstance(guess, str) and label not in list(labels):
            raise InputError(f"{where}: the label {label!r} is none of the task's")
        if isinstance(guess, str | int) and label != guess:
            raise InputError(f"{where}: the label {label!r} is not what was predicted, {guess!r}")
    missing = {*range(len(records))} - {record["id"] for record in records}
    if numbered and missing:
        raise InputError(f"{path}: the id {min(missing)} is missing: the server wants ids from 0 on without gaps")
