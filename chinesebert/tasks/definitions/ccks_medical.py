"""Named entities in medical records: CCKS 2017, 2018, 2019 (Yidu-S4K) and 2020."""

import json
from collections.abc import Iterator, Sequence
from functools import partial

from chinesebert.tasks.annotation_pairs import ORIGINAL
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.span_files import read_spans
from chinesebert.tasks.task import Defaults, Files, Submission, Task

# As the tag files that ccksyidu4k-ner made of the task of 2019 call them.
_IN_ENGLISH = {
    "ANATOMY": "解剖部位",
    "DISEASE": "疾病和诊断",
    "DRUG": "药物",
    "OPERATION": "手术",
    "TESTIMAGE": "影像检查",
    "TESTLAB": "实验室检验",
}
_DEFAULTS = Defaults(
    "our choice, after OntoNotes 4 of the ChineseBERT authors (records are longer)",
    max_seq_length=256,
    per_device_train_batch_size=16,
    learning_rate=3e-5,
    num_train_epochs=8,
    doc_stride=64,
)


def records(examples: Sequence[SpanExample], predictions: Sequence[Sequence[Span]]) -> Iterator[str]:
    """JSON lines as those of the training data."""
    for example, spans in zip(examples, predictions, strict=True):
        entities = [{"label_type": span.label, "start_pos": span.start, "end_pos": span.end} for span in spans]
        yield json.dumps({"originalText": example.text, "entities": entities}, ensure_ascii=False)


def _pairs(*folders: str) -> tuple[Files, ...]:
    """Texts of one of some folders, at any depth."""
    return tuple(f"{folder}/**/*{ORIGINAL}" for folder in folders)


def _task(
    year: int,
    title: str,
    labels: Sequence[str],
    submission: bool,
    folders: Sequence[str] = (),
    **files: Sequence[Files],
) -> Task:
    return Task(
        name=f"ccks{year}_ner",
        title=title,
        suite="ccks",
        kind="tagging",
        files=files,
        read=partial(read_spans, inclusive=year == 2017, labels=_IN_ENGLISH),
        metric="f1",
        labels=tuple(labels),
        defaults=_DEFAULTS,
        # The organisers name no file; the name is ours.
        submissions=(Submission(f"ccks{year}_ner_predict.json", records),) if submission else (),
        source="https://github.com/lingluodlut/Chinese-BioNLP lists the data and how to get it",
        folders=(f"ccks{year}_medical_ner", *folders),
    )


def _files(split: str, *published: Files) -> tuple[Files, ...]:
    """The files of a split under their published names, then under the usual ones."""
    return (*published, f"{split}.json", f"{split}.txt", f"{split}.char.bmes")


# Of 2017 and 2018, texts with their annotations in folders.
_FOLDERS = {
    "train": _files("train", *_pairs("train*"), f"*{ORIGINAL}", f"*/*{ORIGINAL}"),
    "dev": _files("dev", *_pairs("dev*", "valid*")),
    "test": _files("test", *_pairs("test*")),
}

TASKS = [
    _task(
        2017,
        "five types in medical records, CCKS 2017 task 2",
        ("症状和体征", "检查和检验", "疾病和诊断", "治疗", "身体部位"),
        False,
        ("ccks2017",),  # of other years there are other tasks, too
        **_FOLDERS,
    ),
    _task(
        2018,
        "five types in medical records, CCKS 2018 task 1",
        ("解剖部位", "症状描述", "独立症状", "药物", "手术"),
        False,
        (),
        **_FOLDERS,
    ),
    _task(
        2019,
        "six types in medical records, CCKS 2019 task 1 (Yidu-S4K)",
        tuple(_IN_ENGLISH.values()),
        True,
        ("yidu_s4k",),
        train=_files("train", ("*subtask1_training_part1.txt", "*subtask1_training_part2.txt"), "yidu.train"),
        dev=_files("dev", "yidu.validate"),
        test=_files("test", "*subtask1_test_set_with_answer.json", "yidu.test"),
    ),
    _task(
        2020,
        "six types in medical records, CCKS 2020 task 3",
        tuple(_IN_ENGLISH.values()),
        True,
        (),
        train=_files("train", "task1_train.txt"),
        dev=_files("dev"),
        test=_files("test", "ccks2020_2_task1_test_set_no_answer.txt", "task1_no_val_utf8.txt", "task1_no_val.txt"),
    ),
]
