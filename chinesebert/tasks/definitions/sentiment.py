"""What a text expresses, yes or no: ChnSentiCorp, EPRSTMT (FewCLUE), rumours on Weibo."""

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.task import Defaults, Task

TASKS = [
    Task(
        name="chnsenticorp",
        title="sentiment of reviews of hotels, books and computers",
        suite="paper",
        kind="classification",
        files={"train": table_names("train"), "dev": table_names("dev"), "test": table_names("test")},
        read=LabelledTexts(1, ("0", "1")),
        metric="accuracy",
        labels=("0", "1"),
        defaults=Defaults(
            "ChineseBERT, tasks/ChnSetiCorp/README.md; length: its dataset class",
            max_seq_length=512,
            num_train_epochs=10,
            weight_decay=1e-4,
        ),
        source="https://github.com/pengming617/bert_classification",
    ),
    Task(
        name="eprstmt",
        title="sentiment of product reviews, few examples",
        suite="clue",
        kind="classification",
        files=clue.FILES,
        read=LabelledTexts(1, ("Negative", "Positive")),
        metric="accuracy",
        labels=("Negative", "Positive"),
        defaults=Defaults("as CLUE's single texts; FewCLUE's baselines differ by method"),
        submissions=clue.submissions("eprstmt_predict.json"),
        source=clue.FEW_SOURCE,
    ),
    Task(
        name="weibo_rumor",
        title="microblogs reported as rumours: 0 is a rumour, 1 is none",
        suite="paper",
        kind="classification",
        files={
            "train": ("train_data.txt", *table_names("train")),
            "dev": ("dev_data.txt", *table_names("dev")),
            "test": ("test_data.txt", *table_names("test")),
        },
        read=LabelledTexts(1, ("0", "1")),
        metric="accuracy",
        labels=("0", "1"),
        defaults=Defaults("none published; as ChnSentiCorp, shorter", max_seq_length=256, num_train_epochs=5),
        source="https://github.com/thunlp/Chinese_Rumor_Dataset",
    ),
]
