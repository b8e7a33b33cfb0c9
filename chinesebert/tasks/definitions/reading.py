"""Extractive reading of Wikipedia: CMRC 2018 (CLUE, the ChineseBERT paper), and DRCD in traditional characters."""

from collections.abc import Sequence

from chinesebert.tasks.reading_files import read_reading
from chinesebert.tasks.submission import OneObject
from chinesebert.tasks.task import Defaults, Files, Submission, Task


def _task(name: str, title: str, source: str, folders: tuple[str, ...] = (), **files: Sequence[Files]) -> Task:
    return Task(
        name=name,
        title=title,
        suite="clue",
        kind="reading",
        files=files,
        read=read_reading,
        metric="em",
        defaults=Defaults(
            "CLUE's own script",
            max_seq_length=512,
            doc_stride=128,
            per_device_train_batch_size=32,
            learning_rate=3e-5,
            num_train_epochs=2,
            extra={"per_device_eval_batch_size": 32},
        ),
        submissions=(Submission(f"{name}_predict.json", OneObject()),),
        source=source,
        folders=folders,
    )


TASKS = [
    _task(
        "cmrc2018",
        "answers are spans of a Wikipedia paragraph",
        "https://github.com/ymcui/cmrc2018",
        ("cmrc",),
        # The trial file, a sixth of the training data, trains where that is missing, as it is published with code.
        train=("cmrc2018_train.json", "train.json", "cmrc2018_trial.json", "trial.json"),
        dev=("cmrc2018_dev.json", "dev.json"),
        test=("cmrc2018_test.json", "cmrc2018_test_2k.json", "test.json"),
    ),
    _task(
        "drcd",
        "answers are spans of a Wikipedia paragraph, in traditional characters",
        "https://github.com/DRCKnowledgeTeam/DRCD",
        train=("DRCD_training.json", "drcd_train.json", "train.json"),
        dev=("DRCD_dev.json", "drcd_dev.json", "dev.json"),
        test=("DRCD_test.json", "drcd_test.json", "test.json"),
    ),
]
