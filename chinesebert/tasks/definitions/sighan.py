"""SIGHAN 2013, 2014 and 2015: Chinese spelling check, essays of pupils (2013) and of learners of Chinese."""

from collections.abc import Iterator, Sequence

from chinesebert.tasks.correction_files import read_corrections
from chinesebert.tasks.examples import CorrectionExample
from chinesebert.tasks.metrics.correction import correction_scores, edits
from chinesebert.tasks.task import Defaults, Files, Submission, Task

# The official training files (traditional characters) and test sentences of each year; they are in the folders of the
# archive that it is published as (`Training`, `Test`, `SampleSet`, `FinalTest`), or in one.
_OFFICIAL: dict[str, tuple[tuple[Files, ...], str]] = {
    "13": ((("**/*SampleSet_WithError*.txt", "**/*SampleSet_WithoutError*.txt"),), "**/*FinalTest_SubTask2.txt"),
    "14": (
        (("**/*B1_training.sgml", "**/*C1_training.sgml"), "**/*B1_training.sgml", "**/*C1_training.sgml"),
        "**/*CLP14_CSC_TestInput.txt",
    ),
    "15": (
        (
            ("**/*SIGHAN15_CSC_A2_Training.sgml", "**/*SIGHAN15_CSC_B2_Training.sgml"),
            "**/*SIGHAN15_CSC_A2_Training.sgml",
            "**/*SIGHAN15_CSC_B2_Training.sgml",
        ),
        "**/*SIGHAN15_CSC_TestInput.txt",
    ),
}


def write(examples: Sequence[CorrectionExample], predictions: Sequence[str]) -> Iterator[str]:
    """What the official tools read: ``id, position, character, …``, positions from 1, or ``id, 0``."""
    for example, prediction in zip(examples, predictions, strict=True):
        cells = [f"{place + 1}, {new}" for place, new in edits(example.text, prediction).items()]
        yield ", ".join([str(example.id), *(cells or ["0"])])


def score_2013(examples: Sequence[CorrectionExample], predictions: Sequence[str]) -> dict[str, float]:
    """All figures, and with the prefix ``without_de_`` those that leave 地 and 得 out of the predictions."""
    texts, targets = [example.text for example in examples], [str(example.target) for example in examples]
    without = correction_scores(texts, targets, predictions, ignored="地得")
    return correction_scores(texts, targets, predictions) | {
        f"without_de_{name}": value for name, value in without.items()
    }


def _task(year: str) -> Task:
    train, test = _OFFICIAL[year]
    anything = {
        split: (f"{split}.tsv", f"{split}.json", f"{split}_error.txt", f"{split}.txt") for split in ("train", "dev")
    }
    return Task(
        name=f"sighan{year}",
        title=f"spelling correction, SIGHAN 20{year}",
        suite="paper",
        kind="correction",
        files={
            # Simplified ones first: that is what models are trained on, and compared by.
            "train": (
                f"train{year}_error.txt",
                (f"train.sighan{year}-1.tsv", f"train.sighan{year}-2.tsv"),
                f"train.sighan{year}.tsv",
                *train,
                "train.sgml",
                *anything["train"],
            ),
            "dev": (f"dev{year}_error.txt", *anything["dev"]),
            "test": (
                f"test{year}_error.txt",
                f"test.sighan{year}.tsv",
                test,
                *("test.tsv", "test.json", "test_error.txt", "test.txt"),
            ),
        },
        read=read_corrections,
        metric="sighan_sentence_correction_f1",
        defaults=Defaults(
            "train.sh of SCOPE (Li et al. 2022, a ChineseBERT), which trains on SIGHAN 13 to 15 and Wang271K together "
            "and drops sentences of 192 tokens and more",
            max_seq_length=192,
            doc_stride=64,
            per_device_train_batch_size=32,
            learning_rate=5e-5,
            num_train_epochs=30,
            # Scores of the whole vocabulary at every place: 64 sentences would take a gigabyte.
            extra={"gradient_accumulation_steps": 2, "per_device_eval_batch_size": 16},
        ),
        submissions=(Submission(f"sighan{year}_result.txt", write),),
        score=score_2013 if year == "13" else None,
        source="http://nlp.ee.ncu.edu.tw/resource/csc.html",
        folders=(f"sighan20{year}", f"csc_sighan{year}", f"csc_sighan20{year}"),
    )


TASKS = [_task(year) for year in _OFFICIAL]
