"""Named entities in tag files: Weibo, OntoNotes 4 (both in the ChineseBERT paper), MSRA, Resume."""

from chinesebert.tasks.conll import read_conll
from chinesebert.tasks.task import SPLITS, Defaults, Task


def _usual(split: str) -> tuple[str, ...]:
    """Names that tag files have everywhere, after those that a set was published under."""
    endings = ("char.bmes", "bmes", "char.bio", "bio", "conll", "txt", "tsv")
    names = ("dev", "val", "valid") if split == "dev" else (split,)
    return tuple(f"{name}.{ending}" for name in names for ending in endings)


_WEIBO = tuple(f"{kind}.{form}" for kind in ("GPE", "LOC", "ORG", "PER") for form in ("NAM", "NOM"))

TASKS = [
    Task(
        name="weibo_ner",
        title="names and nominal mentions in microblogs",
        suite="paper",
        kind="tagging",
        files={
            # As Peng and Dredze published it, and as LatticeLSTM's successors and the ChineseBERT authors use it.
            split: (
                *(f"weiboNER_2nd_conll.{split}", f"weiboNER_2nd_conll.{split}.txt", f"weiboNER.conll.{split}"),
                f"{split}.all.bmes",
                *_usual(split),
            )
            for split in SPLITS
        },
        read=read_conll,
        metric="f1",
        labels=_WEIBO,
        defaults=Defaults(
            "the ChineseBERT authors' README (base model); doc_stride our choice",
            max_seq_length=150,
            per_device_train_batch_size=2,
            learning_rate=4e-5,
            num_train_epochs=10,
            doc_stride=32,
            extra={"adam_beta2": 0.98},
        ),
        source="https://github.com/hltcoe/golden-horse",
    ),
    Task(
        name="ontonotes4",
        title="names in news, 4 types",
        suite="paper",
        kind="tagging",
        files={split: _usual(split) for split in SPLITS},
        read=read_conll,
        metric="f1",
        labels=("GPE", "LOC", "ORG", "PER"),
        defaults=Defaults(
            "the ChineseBERT authors' README (base model); doc_stride our choice",
            max_seq_length=275,
            per_device_train_batch_size=26,
            learning_rate=3e-5,
            num_train_epochs=5,
            weight_decay=0.001,
            doc_stride=64,
            extra={"adam_beta2": 0.98},
        ),
        source="https://catalog.ldc.upenn.edu/LDC2011T03 in the split of Che et al., NAACL 2013",
    ),
    Task(
        name="msra_ner",
        title="names in news, 3 types",
        suite="paper",
        kind="tagging",
        files={
            split: (
                *(f"msra_{split}_bio.txt", f"msra_{split}_bio", f"example.{split}"),
                *_usual(split),
                *(("train_dev.char.bmes",) if split == "train" else ()),
            )
            for split in SPLITS
        },
        read=read_conll,
        metric="f1",  # labels are NR, NS and NT in one published form, PER, LOC and ORG in another
        defaults=Defaults(
            "as for OntoNotes 4 (none published for this model)",
            max_seq_length=256,
            per_device_train_batch_size=24,
            learning_rate=3e-5,
            num_train_epochs=5,
            doc_stride=64,
        ),
        source="Levow, The Third International Chinese Language Processing Bakeoff, 2006",
    ),
    Task(
        name="resume_ner",
        title="names, titles, education in résumés, 8 types",
        suite="paper",
        kind="tagging",
        files={split: _usual(split) for split in SPLITS},
        read=read_conll,
        metric="f1",
        labels=("CONT", "EDU", "LOC", "NAME", "ORG", "PRO", "RACE", "TITLE"),
        defaults=Defaults(
            "as for OntoNotes 4 (none published for this model)",
            max_seq_length=192,
            per_device_train_batch_size=16,
            learning_rate=3e-5,
            num_train_epochs=5,
            doc_stride=64,
        ),
        source="https://github.com/jiesutd/LatticeLSTM",
    ),
]
