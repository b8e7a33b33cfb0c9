"""Does a text follow from another: CMNLI, OCNLI and the diagnostics (CLUE, FewCLUE), XNLI.

The labels have one order in all of them, so that a model of one can be evaluated on another. Records with the label
"-", on which annotators did not agree, are left out, as all published scores do.
"""

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts, table_names
from chinesebert.tasks.task import Defaults
from chinesebert.tasks.text_tasks import text_task

LABELS = ("contradiction", "entailment", "neutral")
READ = LabelledTexts(2, LABELS, renamed={"contradictory": "contradiction"}, dropped=("-",), only={"language": "zh"})
_SCRIPT = Defaults("CLUE's own script", learning_rate=3e-5, num_train_epochs=2)

TASKS = [
    clue.task("cmnli", "entailment, translated from MNLI and XNLI", READ, _SCRIPT),
    clue.task(
        "ocnli",
        "entailment, written by Chinese speakers",
        READ,
        _SCRIPT,
        files=clue.FILES
        | {"train": (*(f"train.{size}.json" for size in ("50k", "30k", "10k", "3k", "1k")), *clue.FILES["train"])},
        # The server gives 0 for `ocnli_predict.json`: https://github.com/CLUEbenchmark/CLUE/issues/104
        submissions=clue.submissions("ocnli_50k_predict.json", few="ocnlif_predict.json"),
        source="https://github.com/CLUEbenchmark/OCNLI",
    ),
    clue.task(
        "diagnostics",
        "entailment by linguistic phenomena: predicted by a model of cmnli, never trained on",
        READ,
        Defaults("as CMNLI, whose model predicts it", learning_rate=3e-5, num_train_epochs=2),
        files={"test": ("diagnostics_test.json", "test.json")},
    ),
    text_task(
        "xnli",
        "entailment, the Chinese part of XNLI",
        READ,
        Defaults(
            "ChineseBERT's settings for XNLI: 8 texts x 2 GPUs; length: CLUE's for pairs",
            learning_rate=3e-5,
            num_train_epochs=5,
        ),
        files={
            # Two archives: XNLI-MT-1.0 with the training texts, XNLI-1.0 with the others.
            "train": (*table_names("xnli_train", "train"), "**/multinli.train.zh.tsv"),
            "dev": (*table_names("xnli_dev", "dev"), "xnli.dev.zh.tsv", "**/xnli.dev.tsv", "**/xnli.dev.jsonl"),
            "test": (*table_names("xnli_test", "test"), "xnli.test.zh.tsv", "**/xnli.test.tsv", "**/xnli.test.jsonl"),
        },
        source="https://github.com/facebookresearch/XNLI",
        folders=("xnli_zh",),
    ),
]
