"""Do two texts mean the same: AFQMC (CLUE), BUSTM (FewCLUE), LCQMC, BQ, CCKS 2018, ATEC, PAWS-X. 1 is yes."""

from collections.abc import Sequence
from dataclasses import replace

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.submission import CommaLines
from chinesebert.tasks.task import SPLITS, Defaults, Submission
from chinesebert.tasks.text_tasks import tables, text_task

LABELS = ("0", "1")
READ = LabelledTexts(2, LABELS)

_BQ = Defaults(
    "ChineseBERT, tasks/BQ/README.md: 4 texts x 4 steps x 4 GPUs; length: CLUE's for pairs",
    per_device_train_batch_size=64,
    learning_rate=3e-5,
    num_train_epochs=10,
    weight_decay=1e-3,
)


def _named(*prefixes: str) -> dict[str, tuple[str, ...]]:
    """The usual names, those with the name of the set before them, and those of text2vec (``LCQMC.valid.data``)."""
    return {
        split: (
            *table_names(split),
            *table_names(*(f"{prefix}_{split}" for prefix in prefixes)),
            *_of_text2vec(split, prefixes),
        )
        for split in SPLITS
    }


def _of_text2vec(split: str, prefixes: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{'valid' if split == 'dev' else split}.data" for prefix in prefixes)


TASKS = [
    clue.task("afqmc", "two questions to Alipay's customer service", READ, Defaults("CLUE's own script")),
    clue.task(
        "bustm",
        "two utterances to a voice assistant, few examples",
        READ,
        Defaults("as AFQMC; FewCLUE's baselines differ by method"),
        files=clue.FILES | {"dev": (*clue.FILES["dev"], "oppo_dev.tsv")},
        source=clue.FEW_SOURCE,
    ),
    text_task(
        "lcqmc",
        "two questions of a question-and-answer site",
        READ,
        Defaults("ChineseBERT's settings for LCQMC; length: CLUE's for pairs", num_train_epochs=7),
        files=_named("lcqmc", "LCQMC"),
        source="http://icrc.hitsz.edu.cn/info/1037/1146.htm",
    ),
    text_task(
        "bq",
        "two questions to the credit service of WeBank",
        READ,
        _BQ,
        files=_named("bq", "BQ"),
        source="http://icrc.hitsz.edu.cn/Article/show/175.html",
    ),
    text_task(
        # The readme that lies with the data says that 0 is a match; the data has it the other way round, as BQ.
        "ccks2018_matching",
        "CCKS 2018 task 3: two questions to the credit service of WeBank",
        LabelledTexts(
            2, LABELS, layouts=("first second label", "id first second label", "id first second", "first second")
        ),
        replace(_BQ, source="as BQ, which is the same data"),
        suite="ccks",
        files=tables(train=("task3_train.txt",), dev=("task3_dev.txt",), test=("test_with_id.txt", "task3_test*.txt")),
        metric="f1",
        submissions=(Submission("result.csv", CommaLines(("test_id", "result"))),),
        source="https://www.biendata.xyz/competition/CCKS2018_3/",
    ),
    text_task(
        "atec",
        "two questions to Alipay's customer service (ATEC 2018)",
        LabelledTexts(2, LABELS, layouts=("id first second label", "first second label", "id first second")),
        Defaults("none published; as AFQMC, which was made from it"),
        files=tables(
            train=(
                ("atec_nlp_sim_train.csv", "atec_nlp_sim_train_add.csv"),
                "atec_nlp_sim_train*.csv",
                *_of_text2vec("train", ("ATEC",)),
            ),
            dev=_of_text2vec("dev", ("ATEC",)),
            test=_of_text2vec("test", ("ATEC",)),
        ),
        metric="f1",
        source="https://dc.cloud.alipay.com/index#/topic/ranking?id=8",
    ),
    text_task(
        "paws_x",
        "two sentences of the same words (PAWS-X, Chinese part)",
        READ,
        Defaults("none published for Chinese BERTs; as AFQMC"),
        files=tables(
            train=("translated_train.tsv", *_of_text2vec("train", ("PAWSX",))),
            dev=("dev_2k.tsv", *_of_text2vec("dev", ("PAWSX",))),
            test=("test_2k.tsv", *_of_text2vec("test", ("PAWSX",))),
        ),
        source="https://github.com/google-research-datasets/paws/tree/master/pawsx",
        folders=("pawsx", "paws_x_zh", "pawsx_zh"),
    ),
]
