"""Does a text follow from another: CMNLI, OCNLI and the diagnostics (CLUE, FewCLUE), XNLI.

The labels have one order in all of them, so that a model of one can be evaluated on another. Records with the label
"-", on which annotators did not agree, are left out, as all published scores do.
"""

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.task import Defaults, Task

LABELS = ("contradiction", "entailment", "neutral")
READ = LabelledTexts(2, LABELS, renamed={"contradictory": "contradiction"}, dropped=("-",), only={"language": "zh"})

TASKS = [
    Task(
        name="cmnli",
        title="entailment, translated from MNLI and XNLI",
        suite="clue",
        kind="classification",
        files=clue.FILES,
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults("CLUE's own script", learning_rate=3e-5, num_train_epochs=2),
        submissions=clue.submissions("cmnli_predict.json"),
        source=clue.SOURCE,
    ),
    Task(
        # The server gives 0 for `ocnli_predict.json`: https://github.com/CLUEbenchmark/CLUE/issues/104
        name="ocnli",
        title="entailment, written by Chinese speakers",
        suite="clue",
        kind="classification",
        files=clue.FILES
        | {"train": (*(f"train.{size}.json" for size in ("50k", "30k", "10k", "3k", "1k")), *clue.FILES["train"])},
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults("CLUE's own script", learning_rate=3e-5, num_train_epochs=2),
        submissions=clue.submissions("ocnli_50k_predict.json", few="ocnlif_predict.json"),
        source="https://github.com/CLUEbenchmark/OCNLI",
    ),
    Task(
        name="diagnostics",
        title="entailment by linguistic phenomena: predicted by a model of cmnli, never trained on",
        suite="clue",
        kind="classification",
        files={"test": ("diagnostics_test.json", "test.json")},
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults("as CMNLI, whose model predicts it", learning_rate=3e-5, num_train_epochs=2),
        submissions=clue.submissions("diagnostics_predict.json"),
        source=clue.SOURCE,
    ),
    Task(
        name="xnli",
        title="entailment, the Chinese part of XNLI",
        suite="paper",
        kind="classification",
        files={
            "train": (*table_names("xnli_train", "train"), "multinli.train.zh.tsv"),
            "dev": (*table_names("xnli_dev", "dev"), "xnli.dev.zh.tsv", "xnli.dev.tsv", "xnli.dev.jsonl"),
            "test": (*table_names("xnli_test", "test"), "xnli.test.zh.tsv", "xnli.test.tsv", "xnli.test.jsonl"),
        },
        read=READ,
        metric="accuracy",
        labels=LABELS,
        defaults=Defaults(
            "ChineseBERT's settings for XNLI: 8 texts x 2 GPUs; length: CLUE's for pairs",
            learning_rate=3e-5,
            num_train_epochs=5,
        ),
        source="https://github.com/facebookresearch/XNLI",
    ),
]
