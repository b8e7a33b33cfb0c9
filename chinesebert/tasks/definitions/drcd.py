"""DRCD: extractive reading of Wikipedia paragraphs in traditional characters."""

from chinesebert.tasks.reading_files import read_reading
from chinesebert.tasks.submission import OneObject
from chinesebert.tasks.task import Defaults, Submission, Task

TASKS = [
    Task(
        name="drcd",
        title="answers are spans of a Wikipedia paragraph, in traditional characters",
        suite="clue",
        kind="reading",
        files={
            "train": ("DRCD_training.json", "drcd_train.json", "train.json"),
            "dev": ("DRCD_dev.json", "drcd_dev.json", "dev.json"),
            "test": ("DRCD_test.json", "drcd_test.json", "test.json"),
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
        submissions=(Submission("drcd_predict.json", OneObject()),),
        source="https://github.com/DRCKnowledgeTeam/DRCD",
    )
]
