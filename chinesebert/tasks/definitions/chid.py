"""ChID: which idiom fills the blank (CLUE, FewCLUE, and the first release)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from chinesebert.tasks.examples import ChoiceExample
from chinesebert.tasks.files import field_of, id_of, read_json, read_lines, read_records
from chinesebert.tasks.submission import Lines, OneObject
from chinesebert.tasks.task import Defaults, Submission, Task

BLANK = re.compile(r"#idiom\d*#")
OTHER_BLANK = "[MASK]" * 4  # what CLUE's own script makes of the other blanks of a text


def read(path: Path) -> Iterator[ChoiceExample]:
    """JSON lines; an example a blank. Three forms:

    - CLUE: ``content``, a list of texts with blanks ``#idiom000123#``, and ``candidates``, ten idioms for all of them.
      The answers lie beside the file: ``train_answer.json`` for ``train.json``, one object of numbers by blank (or
      ``train_answer.csv``, lines ``#idiom000123#,3``). The blank's name is the example's id.
    - FewCLUE: ``content``, a text with one blank ``#idiom#``, seven ``candidates``, and ``answer``, a number.
    - The first release: ``content``, a text with blanks ``#idiom#``, a list of ``candidates`` for each, and their
      ``groundTruth``, idioms.

    Raises:
        InputError: the file has another form, or an answer is missing or none of the candidates.
    """
    answers = _answers_beside(path)
    number = 0
    for record_number, (where, record) in enumerate(read_records(path)):
        texts = _texts(record, where)
        blanks = [(text, match) for text in texts for match in BLANK.finditer(text)]
        if not blanks:
            raise InputError(f"{where}: `content` has no blank (#idiom#); is this a file of chid?")
        lists = _candidates(record, len(blanks), where)
        shared = isinstance(record["candidates"][0], str)
        for place, ((text, match), choices) in enumerate(zip(blanks, lists, strict=True)):
            name = match.group()
            before = BLANK.sub(OTHER_BLANK, text[: match.start()])
            context = f"{before}{name}{BLANK.sub(OTHER_BLANK, text[match.end() :])}"
            yield ChoiceExample(
                name if name != "#idiom#" else id_of(record, ("id",), where, number) if len(blanks) == 1 else number,
                context,
                "",
                choices,
                _label(record, place, name, choices, answers, where),
                blank=(len(before), len(before) + len(name)),
                group=f"{path.name}:{record_number}" if shared and len(blanks) > 1 else None,
                where=where,
            )
            number += 1


def _texts(record: Mapping[str, Any], where: str) -> list[str]:
    content = field_of(dict(record), "content", where)
    texts = content if isinstance(content, list) else [content]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{where}: `content` is neither a text nor a list of texts")
    return texts


def _candidates(record: Mapping[str, Any], blanks: int, where: str) -> list[tuple[str, ...]]:
    """The candidates of each blank."""
    candidates = field_of(dict(record), "candidates", where)
    if isinstance(candidates, list) and candidates and all(isinstance(item, str) for item in candidates):
        return [tuple(candidates)] * blanks
    lists = candidates if isinstance(candidates, list) else []
    if len(lists) != blanks or not all(isinstance(item, list) and item for item in lists):
        raise InputError(f"{where}: `candidates` is neither a list of idioms nor one for each of the {blanks} blanks")
    return [tuple(map(str, item)) for item in lists]


def _answers_beside(path: Path) -> dict[str, int] | None:
    """The numbers by blank from the file of answers, None where there is none."""
    for suffix in (".json", ".csv"):
        beside = path.with_name(f"{path.stem}_answer{suffix}")
        if not beside.exists():
            continue
        if suffix == ".csv":
            rows = [(where, line.split(",")) for where, line in read_lines(beside) if line.strip()]
            answers = {row[0].strip(): _whole(row[-1], where) for where, row in rows}
        else:
            content = read_json(beside)
            if not isinstance(content, dict):
                raise InputError(f"{beside}: is not an object of numbers by blank")
            answers = {name: _whole(value, f"{beside}: {name}") for name, value in content.items()}
        return answers
    return None


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not str(value).strip().isdecimal():
        raise InputError(f"{where}: the answer is {value!r}, not the number of a candidate")
    return int(value)


def _label(
    record: Mapping[str, Any],
    place: int,
    name: str,
    choices: Sequence[str],
    answers: Mapping[str, int] | None,
    where: str,
) -> int | None:
    if "groundTruth" in record:
        truths = record["groundTruth"]
        if not isinstance(truths, list) or len(truths) <= place or truths[place] not in choices:
            raise InputError(f"{where}: `groundTruth` has no candidate for blank {place + 1}")
        return list(choices).index(truths[place])
    if answers is not None and name != "#idiom#":
        if name not in answers:
            raise InputError(f"{where}: the file of answers beside it has none for {name}; are they of one release?")
        number = answers[name]
    elif record.get("answer") is not None:
        number = _whole(record["answer"], where)
    elif where.rsplit(":", 1)[0].endswith("train.json") and name != "#idiom#":
        raise InputError(f"{where}: has no answers: put train_answer.json of the same release beside it")
    else:
        return None
    if number >= len(choices):
        raise InputError(f"{where}: the answer of {name} is {number}, but there are {len(choices)} candidates")
    return number


def _is_fewclue(examples: Sequence[ChoiceExample]) -> bool:
    return not str(examples[0].id).startswith("#idiom")


TASKS = [
    Task(
        name="chid",
        title="which idiom fills the blank",
        suite="clue",
        kind="choice",
        files={
            "train": ("train.json", "train_few_all.json", "train_0.json", "train_data.json", "train_data.txt"),
            "dev": ("dev.json", "dev_few_all.json", "dev_0.json", "dev_data.json", "dev_data.txt"),
            "test": (
                "test1.1.json",
                "test.json",
                "test1.0.json",
                "test_public.json",
                "test_data.json",
                "test_data.txt",
            ),
        },
        read=read,
        metric="accuracy",
        defaults=Defaults(
            "CLUE's own script",
            max_seq_length=64,
            per_device_train_batch_size=24,
            warmup_steps=0.06,
            extra={"per_device_eval_batch_size": 32},
        ),
        submissions=(
            Submission("chid11_predict.json", OneObject(), fits=lambda examples: not _is_fewclue(examples)),
            Submission("chid10_predict.json", OneObject(), test_file="test1.0.json"),
            Submission("chidf_predict.json", Lines(label="answer"), fits=_is_fewclue),
        ),
        source="https://github.com/CLUEbenchmark/CLUE",
    )
]
