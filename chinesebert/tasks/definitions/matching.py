"""Do two texts mean the same: AFQMC (CLUE), BUSTM (FewCLUE), LCQMC, BQ, CCKS 2018, ATEC, PAWS-X. 1 is yes."""

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.submission import CommaLines
from chinesebert.tasks.task import Defaults, Submission, Task

LABELS = ("0", "1")
READ = LabelledTexts(2, LABELS)
TABLES = {"train": table_names("train"), "dev": table_names("dev"), "test": table_names("test")}

TASKS = [
    Task(
        name="afqmc",
        title="two questions to Alipay's customer service",
        suite="clue",
        kind="classification",
        files=clue.FILES,
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults("CLUE's own script"),
        submissions=clue.submissions("afqmc_predict.json"),
        source=clue.SOURCE,
    ),
    Task(
        name="bustm",
        title="two utterances to a voice assistant, few examples",
        suite="clue",
        kind="classification",
        files=clue.FILES | {"dev": (*clue.FILES["dev"], "oppo_dev.tsv")},
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults("as AFQMC; FewCLUE's baselines differ by method"),
        submissions=clue.submissions("bustm_predict.json"),
        source=clue.FEW_SOURCE,
    ),
    Task(
        name="lcqmc",
        title="two questions of a question-and-answer site",
        suite="paper",
        kind="classification",
        files={split: (*names, *table_names(f"lcqmc_{split}", f"LCQMC_{split}")) for split, names in TABLES.items()},
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults("ChineseBERT's settings for LCQMC; length: CLUE's for pairs", num_train_epochs=7),
        source="http://icrc.hitsz.edu.cn/info/1037/1146.htm",
    ),
    Task(
        name="bq",
        title="two questions to the credit service of WeBank",
        suite="paper",
        kind="classification",
        files={split: (*names, *table_names(f"bq_{split}", f"BQ_{split}")) for split, names in TABLES.items()},
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults(
            "ChineseBERT, tasks/BQ/README.md: 4 texts x 4 steps x 4 GPUs; length: CLUE's for pairs",
            per_device_train_batch_size=64,
            learning_rate=3e-5,
            num_train_epochs=10,
            weight_decay=1e-3,
        ),
        source="http://icrc.hitsz.edu.cn/Article/show/175.html",
    ),
    Task(
        # The readme that lies with the data says that 0 is a match; the data has it the other way round, as BQ.
        name="ccks2018_matching",
        title="CCKS 2018 task 3: two questions to the credit service of WeBank",
        suite="ccks",
        kind="classification",
        files={
            "train": ("task3_train.txt", *table_names("train")),
            "dev": ("task3_dev.txt", *table_names("dev")),
            "test": ("test_with_id.txt", "task3_test*.txt", *table_names("test")),
        },
        read=LabelledTexts(
            2, LABELS, layouts=("first second label", "id first second label", "id first second", "first second")
        ),
        metric="f1",
        labels=LABELS,
        defaults=Defaults(
            "as BQ, which is the same data",
            per_device_train_batch_size=64,
            learning_rate=3e-5,
            num_train_epochs=10,
            weight_decay=1e-3,
        ),
        submissions=(Submission("result.csv", CommaLines(("test_id", "result"))),),
        source="https://www.biendata.xyz/competition/CCKS2018_3/",
    ),
    Task(
        name="atec",
        title="two questions to Alipay's customer service (ATEC 2018)",
        suite="paper",
        kind="classification",
        files={
            "train": (
                ("atec_nlp_sim_train.csv", "atec_nlp_sim_train_add.csv"),
                "atec_nlp_sim_train*.csv",
                *TABLES["train"],
            ),
            "dev": TABLES["dev"],
            "test": TABLES["test"],
        },
        read=LabelledTexts(2, LABELS, layouts=("id first second label", "first second label", "id first second")),
        metric="f1",
        labels=LABELS,
        defaults=Defaults("none published; as AFQMC, which was made from it"),
        source="https://dc.cloud.alipay.com/index#/topic/ranking?id=8",
    ),
    Task(
        name="paws_x",
        title="two sentences of the same words (PAWS-X, Chinese part)",
        suite="paper",
        kind="classification",
        files={
            "train": ("translated_train.tsv", *TABLES["train"]),
            "dev": ("dev_2k.tsv", *TABLES["dev"]),
            "test": ("test_2k.tsv", *TABLES["test"]),
        },
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults("none published for Chinese BERTs; as AFQMC"),
        source="https://github.com/google-research-datasets/paws/tree/master/pawsx",
    ),
]
