"""C3: multiple-choice reading from exams of Chinese as a foreign language; d: dialogues, m: other texts (CLUE)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.examples import ChoiceExample
from chinesebert.tasks.files import field_of, id_of, read_json, text_of
from chinesebert.tasks.submission import Lines
from chinesebert.tasks.task import Defaults, Submission, Task


def read(path: Path) -> Iterator[ChoiceExample]:
    """An array of ``[[line of the text, …], [{question, choice, answer}, …], id]``; an example a question.

    Questions of CLUE's test files have an ``id``; the others are numbered over the whole file.

    Raises:
        InputError: the file has another form, or an answer is none of the choices.
    """
    texts = read_json(path)
    if not isinstance(texts, list):
        raise InputError(f"{path}: is not a list of texts with questions; is this a file of c3?")
    number = 0
    for place, entry in enumerate(texts, start=1):
        where = f"{path}: text {place}"
        for record in _questions(entry, where):
            yield ChoiceExample(
                id_of(record, ("id",), where, number),
                "\n".join(entry[0]),
                text_of(record, "question", where),
                _choices(record, where),
                _label(record, where),
                where=where,
            )
            number += 1


def _questions(entry: Any, where: str) -> list[dict[str, Any]]:
    if not (isinstance(entry, list) and len(entry) >= 2 and all(isinstance(part, list) for part in entry[:2])):
        raise InputError(f"{where}: is not [[lines], [questions], id]; is this a file of c3?")
    if not all(isinstance(line, str) for line in entry[0]) or not all(isinstance(item, dict) for item in entry[1]):
        raise InputError(f"{where}: is not [[lines], [questions], id]; is this a file of c3?")
    return entry[1]


def _choices(record: dict[str, Any], where: str) -> tuple[str, ...]:
    choices = field_of(record, "choice", where)
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, str) for choice in choices):
        raise InputError(f"{where}: `choice` is not a list of texts")
    return tuple(choices)


def _label(record: dict[str, Any], where: str) -> int | None:
    """The number of the answer among the choices; CLUE's own script compares in lower case."""
    answer = record.get("answer")
    if not answer:
        return None
    choices = [choice.strip().lower() for choice in _choices(record, where)]
    if not isinstance(answer, str) or answer.strip().lower() not in choices:
        raise InputError(f"{where}: the answer {answer!r} is none of the choices ({', '.join(record['choice'])})")
    return choices.index(answer.strip().lower())


TASKS = [
    Task(
        name="c3",
        title="multiple-choice reading of dialogues and texts",
        suite="clue",
        kind="choice",
        files={
            "train": (("m-train.json", "d-train.json"), ("c3-m-train.json", "c3-d-train.json"), "train.json"),
            "dev": (("m-dev.json", "d-dev.json"), ("c3-m-dev.json", "c3-d-dev.json"), "dev.json"),
            "test": ("test1.1.json", "test.json", "test1.0.json", ("c3-m-test.json", "c3-d-test.json")),
        },
        read=read,
        metric="accuracy",
        defaults=Defaults(
            "CLUE's own script",
            max_seq_length=512,
            per_device_train_batch_size=24,
            num_train_epochs=8,
            extra={"per_device_eval_batch_size": 8},  # texts are read once a choice
        ),
        submissions=(
            Submission("c311_predict.json", Lines()),
            Submission("c310_predict.json", Lines(), test_file="test1.0.json"),
        ),
        source="https://github.com/nlpdata/c3",
    )
]
