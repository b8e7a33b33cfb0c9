"""THUCNews: topics of Sina news, ten classes; as articles with named classes, or as titles with numbered ones."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from chinesebert.errors import InputError
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.files import read_lines
from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.task import Defaults
from chinesebert.tasks.text_columns import some
from chinesebert.tasks.text_tasks import text_task

ARTICLES = ("体育", "娱乐", "家居", "房产", "教育", "时尚", "时政", "游戏", "科技", "财经")
TITLES = (
    *("finance", "realty", "stocks", "education", "science"),
    *("society", "politics", "sports", "game", "entertainment"),
)


def read(path: Path) -> Iterator[TextExample]:
    """Articles (``cnews.*``: ``class<TAB>text``), or titles (``title<TAB>number``) with classes named by ``class.txt``.

    Every line counts; the original leaves out the first as if it were a line of names. Numbers become the names in
    ``class.txt`` beside the file, or those with which the titles are published.

    Raises:
        InputError: a label is none of either, or the file holds no labelled texts.
    """
    listed = path.with_name("class.txt")
    names = [line.strip() for _, line in read_lines(listed) if line.strip()] if listed.exists() else TITLES
    classes = {str(number): name for number, name in enumerate(names)}
    for example in LabelledTexts(1, (*ARTICLES, *classes))(path):
        if example.label is not None and example.label not in {*ARTICLES, *classes, *names}:
            raise InputError(
                f"{example.where}: the label {example.label!r} is none of thucnews's ({some(ARTICLES)}; or the numbers "
                "of titles); is this a file of this task?"
            )
        yield dataclasses.replace(example, label=classes.get(str(example.label), example.label))


TASKS = [
    text_task(
        "thucnews",
        "topics of news, 10 classes: articles, or titles",
        read,
        Defaults(
            "ChineseBERT, tasks/THUCNew/README.md; length: its dataset class",
            max_seq_length=512,
            per_device_train_batch_size=8,
            num_train_epochs=5,
        ),
        files={
            "train": ("cnews.train.txt", *table_names("train")),
            "dev": ("cnews.val.txt", "cnews.dev.txt", *table_names("dev", "val")),
            "test": ("cnews.test.txt", *table_names("test")),
        },
        source="https://github.com/gaussic/text-classification-cnn-rnn; titles: "
        "https://github.com/649453932/Chinese-Text-Classification-Pytorch",
        folders=("cnews", "thucnews_titles"),
    )
]
