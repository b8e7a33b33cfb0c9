"""CMRC 2018: extractive reading of Wikipedia paragraphs (CLUE and the ChineseBERT paper)."""

from chinesebert.tasks.reading_files import read_reading
from chinesebert.tasks.submission import OneObject
from chinesebert.tasks.task import Defaults, Submission, Task

TASKS = [
    Task(
        name="cmrc2018",
        title="answers are spans of a Wikipedia paragraph",
        suite="clue",
        kind="reading",
        files={
            # The trial file, a sixth of the training data, trains where that is missing, as it is published with code.
            "train": ("cmrc2018_train.json", "train.json", "cmrc2018_trial.json", "trial.json"),
            "dev": ("cmrc2018_dev.json", "dev.json"),
            "test": ("cmrc2018_test.json", "cmrc2018_test_2k.json", "test.json"),
        },
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
        submissions=(Submission("cmrc2018_predict.json", OneObject()),),
        source="https://github.com/ymcui/cmrc2018",
    )
]
