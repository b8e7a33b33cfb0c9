"""What the tasks of CLUE and FewCLUE have in common: names of files, and of what their servers take."""

from typing import Any

from chinesebert.tasks.labelled_texts import LabelledTexts
from chinesebert.tasks.submission import Lines
from chinesebert.tasks.task import Defaults, Reader, Submission, Task
from chinesebert.tasks.text_tasks import text_task

SOURCE = "https://github.com/CLUEbenchmark/CLUE"
FEW_SOURCE = "https://github.com/CLUEbenchmark/FewCLUE"

#: CLUE's files, and FewCLUE's: all shots, or the first of its draws.
FILES = {
    "train": ("train.json", "train_few_all.json", "train_0.json"),
    "dev": ("dev.json", "dev_few_all.json", "dev_0.json"),
    "test": ("test.json", "test1.1.json", "test1.0.json", "test_public.json"),
}

#: One of these lies beside every test file of FewCLUE, which are called as CLUE's are.
FEW_FILES = ("test_public.json", "train_few_all.json", "train_0.json")


def submissions(name: str, earlier: str = "", few: str = "") -> tuple[Submission, ...]:
    """The submissions of a task, under the names of CLUE's note of 2021-09-04.

    Args:
        name: of the file for the present test set.
        earlier: for version 1.0 of the test set, ``test1.0.json``.
        few: for FewCLUE; sets that are also in CLUE have an f in the name (``tnewsf_predict.json``).
    """
    made = [Submission(name, Lines())]
    if earlier:
        made.append(Submission(earlier, Lines(), test_file="test1.0.json"))
    if few:
        made.append(Submission(few, Lines(), beside=FEW_FILES))
    return tuple(made)


def task(name: str, title: str, reader: LabelledTexts | Reader, defaults: Defaults, **others: Any) -> Task:
    """A task of classification, see ``text_task``: with CLUE's files, and the submission ``NAME_predict.json``."""
    usual = {"files": FILES, "submissions": submissions(f"{name}_predict.json"), "source": SOURCE}
    return text_task(name, title, reader, defaults, suite="clue", **{**usual, **others})
