"""CPP: how is the marked character pronounced here (Park and Lee 2020, g2pM)."""

from collections.abc import Iterator
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tasks.examples import CharacterExample
from chinesebert.tasks.files import read_lines
from chinesebert.tasks.task import Defaults, Task

MARK = "▁"


def read(path: Path) -> Iterator[CharacterExample]:
    """``NAME.sent``: sentences in which one character stands between ▁; ``NAME.lb``: its pinyin, line by line.

    The pinyin ends with its tone, 5 is the neutral one, and ``u:`` is ü. Without the second file a tab may part
    sentence and pinyin.
    """
    labels_file = path.with_suffix(".lb")
    lines = list(read_lines(path))
    labels = [label.strip() for _, label in read_lines(labels_file)] if labels_file.exists() else None
    if labels is not None and len(labels) != len(lines):
        raise InputError(
            f"{path}: has {len(lines)} lines and {labels_file.name} {len(labels)}; they must match line by line"
        )
    for number, (where, line) in enumerate(lines):
        sentence, _, label = line.partition("\t")
        position = sentence.find(MARK)
        if sentence.count(MARK) != 2 or sentence[position + 2 : position + 3] != MARK:
            raise InputError(f"{where}: does not have one character between two {MARK} (U+2581); is this a .sent file?")
        label = labels[number] if labels is not None else label.strip()
        yield CharacterExample(number, sentence.replace(MARK, ""), position, label or None, where=where)


TASKS = [
    Task(
        name="polyphone",
        title="pronunciation of polyphonic characters (CPP)",
        suite="paper",
        kind="marked_character",
        files={split: (f"{split}.sent", f"{split}.tsv", f"{split}.txt") for split in ("train", "dev", "test")},
        read=read,
        metric="accuracy",
        defaults=Defaults(
            "within the grid of BERT (Devlin et al. 2019, appendix A.3); CPP's authors give those of an LSTM only",
            per_device_train_batch_size=32,
            learning_rate=5e-5,
        ),
        source="https://github.com/kakaobrain/g2pM",
        folders=("cpp", "g2pm", "polyphone_cpp"),
    )
]
