"""What a text expresses, yes or no: ChnSentiCorp, EPRSTMT (FewCLUE), rumours on Weibo."""

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts
from chinesebert.tasks.task import Defaults
from chinesebert.tasks.text_tasks import tables, text_task

READ = LabelledTexts(1, ("0", "1"))

TASKS = [
    text_task(
        "chnsenticorp",
        "sentiment of reviews of hotels, books and computers",
        READ,
        Defaults(
            "ChineseBERT, tasks/ChnSetiCorp/README.md; length: its dataset class",
            max_seq_length=512,
            num_train_epochs=10,
            weight_decay=1e-4,
        ),
        source="https://github.com/pengming617/bert_classification",
    ),
    clue.task(
        "eprstmt",
        "sentiment of product reviews, few examples",
        LabelledTexts(1, ("Negative", "Positive")),
        Defaults("as CLUE's single texts; FewCLUE's baselines differ by method"),
        source=clue.FEW_SOURCE,
    ),
    text_task(
        "weibo_rumor",
        "microblogs reported as rumours: 0 is a rumour, 1 is none",
        READ,
        Defaults("none published; as ChnSentiCorp, shorter", max_seq_length=256, num_train_epochs=5),
        files=tables(train=("train_data.txt",), dev=("dev_data.txt",), test=("test_data.txt",)),
        source="https://github.com/thunlp/Chinese_Rumor_Dataset",
    ),
]
