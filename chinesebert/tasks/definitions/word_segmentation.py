"""Word segmentation: MSRA and PKU of the ChineseBERT paper, the other sets of the Bakeoffs, and treebanks."""

from collections.abc import Sequence
from dataclasses import replace

from chinesebert.tasks.segmented import WORD, read_segmented, read_treebank, segmented_lines
from chinesebert.tasks.task import Defaults, Files, Submission, Task

_DEFAULTS = Defaults(
    "our choice, after OntoNotes 4 of the ChineseBERT authors (they publish none for segmentation)",
    max_seq_length=256,
    per_device_train_batch_size=16,
    learning_rate=3e-5,
    num_train_epochs=3,
    doc_stride=64,
)


def _bakeoff(name: str, title: str, source: str, folders: Sequence[str], **files: Sequence[Files]) -> Task:
    """A set of a Bakeoff; without a dev file, as published, hold some out with --validation_share."""
    return Task(
        name=f"{name}_cws",
        title=title,
        suite="paper",
        kind="segmentation",
        files=files,
        read=read_segmented,
        metric="f1",
        labels=(WORD,),
        defaults=_DEFAULTS,
        submissions=(Submission(f"{name}_test_segmentation.utf8", segmented_lines),),
        source=source,
        folders=tuple(folders),
    )


def _sighan2005(name: str, title: str, prefix: str = "") -> Task:
    prefix = prefix or name
    gold, raw = f"{prefix}_test_gold.utf8", f"{prefix}_test.utf8"
    return _bakeoff(
        name,
        title,
        "http://sighan.cs.uchicago.edu/bakeoff2005/",
        (prefix, "icwb2", "cws_sighan2005"),  # of several sets, whose names their files have
        train=(f"{prefix}_training.utf8", f"training/{prefix}_training.utf8", "train.txt"),
        dev=(f"{prefix}_dev.utf8", "dev.txt"),
        test=(gold, f"gold/{gold}", raw, f"testing/{raw}", "test.txt"),
    )


def _treebank(name: str, title: str, source: str, folders: Sequence[str]) -> Task:
    task = _bakeoff(
        name,
        title,
        source,
        folders,
        **{
            split: (f"{split}.conll", f"{split}.conllx", f"{split}.conllu", f"*-{split}.conllu")
            for split in ("train", "dev", "test")
        },
    )
    return replace(task, read=read_treebank)


TASKS = [
    _sighan2005("msra", "words in news, MSRA of SIGHAN 2005", "msr"),
    _sighan2005("pku", "words in news, PKU of SIGHAN 2005"),
    _sighan2005("cityu", "words in news in traditional characters, CityU of SIGHAN 2005"),
    _bakeoff(
        "sxu",
        "words in news, SXU of SIGHAN 2008",
        "https://github.com/hankcs/multi-criteria-cws",
        ("sxu", "cws_sxu"),
        train=("train.txt", "train-all.txt", "sxu_training.utf8"),
        dev=("dev.txt",),
        test=("test.txt", "sxu_test_gold.utf8"),
    ),
    _treebank(
        "ud_gsd",
        "words in encyclopaedic text, UD Chinese GSD",
        "https://universaldependencies.org",
        ("ud_gsd", "ud_chinese_gsd"),
    ),
    _treebank("weibo_treebank", "words in microblogs", "Wang et al., EMNLP 2014", ("weibo_treebank",)),
]
