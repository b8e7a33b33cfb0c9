"""What pretraining gives: every task whose data are at hand, begun with one model and another.

``python -m benchmarks.finetuning --data_dir DATA --output_dir OUT --models small=MODEL random=random:MODEL``

Each run is the real script in a process of its own, with ``configs/finetune/cpu_small.yaml`` and the flags below, which
are the same for all models. ``random:MODEL`` keeps a model's sizes, glyphs and tokenizer, and draws its weights.
Finished runs are not run again. The table: ``python -m launch.compare OUT/*/``.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chinesebert.finetuning.record import METRICS_FILE

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs/finetune/cpu_small.yaml"
_SCRIPTS = {"clue": "finetune_clue.py", "ccks": "finetune_ccks.py", "paper": "finetune.py"}

#: What is trained on where there are some hundred examples: as many steps as elsewhere, roughly.
_FEW = "--num_train_epochs 20 --per_device_train_batch_size 16"
#: Where the files at hand are one split, a part of it is held out to be the dev set.
_HELD_OUT = "--validation_share 0.25"
_ONE_SPLIT = f"{_HELD_OUT} --do_predict false"
_NO_TEST = "--do_predict false"


@dataclass(frozen=True)
class Experiment:
    """A task and what its runs are given.

    Attributes:
        task: a name of the registry, or ``custom``.
        script: ``clue``, ``ccks`` or ``paper``.
        folder: of the data, below ``--data_dir``.
        flags: on top of the recipe; ``{}`` stands for the folder.
        name: of the folder of its runs; the task's by default.
    """

    task: str
    script: str
    folder: str
    flags: str = ""
    name: str = ""


#: The flags say which published files are at hand; a whole CLUE needs none of them.
EXPERIMENTS = (
    Experiment("afqmc", "clue", "afqmc", f"--train_file {{}}/dev.json {_ONE_SPLIT}"),
    Experiment("bustm", "clue", "bustm", "--train_file {}/oppo_dev.tsv"),
    Experiment("c3", "clue", "c3", "--max_seq_length 192 --max_train_samples 500 --max_eval_samples 500"),
    Experiment("chid", "clue", "chid", "--num_train_epochs 10 --max_eval_samples 500"),
    Experiment("cluener", "clue", "cluener"),
    Experiment("cluewsc2020", "clue", "cluewsc", f"{_FEW} --num_train_epochs 10"),
    Experiment("cmrc2018", "clue", "cmrc2018", "--train_file {}/cmrc2018_dev.json --dev_file {}/cmrc2018_trial.json "
               f"--max_seq_length 256 --max_train_samples 500 --max_eval_samples 400 {_NO_TEST}"),
    Experiment("csl", "clue", "csl", _FEW),
    Experiment("eprstmt", "clue", "eprstmt", _FEW),
    Experiment("iflytek", "clue", "iflytek", "--num_train_epochs 5"),
    Experiment("ocnli", "clue", "ocnli", _NO_TEST),
    Experiment("tnews", "clue", "tnews", "--num_train_epochs 10"),
    Experiment("ccks2019_ner", "ccks", "ccks2019_medical_ner", "--max_train_samples 1000"),
    Experiment("ccks2020_event_subject", "ccks", "ccks2020_event_subject",
               f"--train_file {{}}/val.data {_HELD_OUT} --num_train_epochs 10"),
    Experiment("atec", "paper", "atec", _ONE_SPLIT),
    Experiment("bq", "paper", "bq", f"--train_file {{}}/dev.csv {_HELD_OUT}"),
    Experiment("chnsenticorp", "paper", "chnsenticorp", "--max_seq_length 128"),
    Experiment("paws_x", "paper", "paws_x_zh", f"--train_file {{}}/dev.tsv {_ONE_SPLIT}"),
    Experiment("polyphone", "paper", "polyphone_cpp", f"--train_file {{}}/dev.sent {_ONE_SPLIT}"),
    Experiment("resume_ner", "paper", "resume_ner"),
    Experiment("sighan13", "paper", "csc_sighan13", f"{_HELD_OUT} --num_train_epochs 10"),
    Experiment("sighan14", "paper", "csc_sighan14", _HELD_OUT),
    Experiment("thucnews", "paper", "thucnews_titles", f"--train_file {{}}/dev.txt {_HELD_OUT} --max_seq_length 64"),
    Experiment("weibo_ner", "paper", "weibo_ner", "--num_train_epochs 10"),
    Experiment("weibo_rumor", "paper", "weibo_rumor", f"{_HELD_OUT} --max_seq_length 128"),
    Experiment("xnli", "paper", "xnli_zh", f"--train_file {{}}/dev.tsv {_HELD_OUT}"),
    Experiment("msra_cws", "paper", "cws_sighan2005", f"--train_file {{}}/msr_test_gold.utf8 {_ONE_SPLIT}"),
    Experiment("pku_cws", "paper", "cws_sighan2005", f"--train_file {{}}/pku_test_gold.utf8 {_ONE_SPLIT}"),
    Experiment("cityu_cws", "paper", "cws_sighan2005", f"--train_file {{}}/cityu_test_gold.utf8 {_ONE_SPLIT}"),
    Experiment("sxu_cws", "paper", "cws_sxu", _HELD_OUT),
    Experiment("ud_gsd_cws", "paper", "ud_chinese_gsd", "--num_train_epochs 10"),
    Experiment("weibo_treebank_cws", "paper", "weibo_treebank", "--num_train_epochs 10"),
    Experiment("custom", "paper", "smp2019_nlu", f"--kind single --train_file {{}}/train.json {_ONE_SPLIT} "
               "--text_columns text --label_column domain", name="smp2019_domain"),
)  # fmt: skip


def main() -> int:
    """Runs what is not finished; returns the exit status (1 where a run failed)."""
    args = build_parser().parse_args()
    models = dict(model.split("=", 1) for model in args.models)
    chosen = [experiment for experiment in EXPERIMENTS if not args.tasks or experiment.task in args.tasks]
    for experiment in chosen:
        if not (args.data_dir / experiment.folder).is_dir():
            print(f"left out: {experiment.task}: {args.data_dir / experiment.folder} is not there")
    runs = [
        (experiment, name, model)
        for experiment in chosen
        if (args.data_dir / experiment.folder).is_dir()
        for name, model in models.items()
    ]
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // args.jobs)), **os.environ}
    with ThreadPoolExecutor(args.jobs) as pool:
        statuses = list(pool.map(lambda run: run_one(args, run[0], run[1], run[2], environment), runs))
    return int(any(statuses))


def build_parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True, help="folder with a folder for each data set")
    parser.add_argument("--output_dir", type=Path, required=True, help="gets a folder a model, with one a task in it")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=DIR", help="NAME=random:DIR draws weights")
    parser.add_argument("--tasks", nargs="+", default=[], help="only these")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; they share the cores")
    parser.add_argument("--flags", default="", help='for all runs, on top of theirs: --flags="--bf16"')
    return parser


def run_one(args: argparse.Namespace, experiment: Experiment, name: str, model: str, env: dict[str, str]) -> int:
    """Runs one task on one model, and says how long it took; its log lies beside its folder."""
    output = args.output_dir / name / (experiment.name or experiment.task)
    if (output / METRICS_FILE).is_file():
        return 0
    output.parent.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    with output.with_name(f"{output.name}.log").open("w", encoding="utf-8") as log:
        flags = list(_flags(args, experiment, model, output))
        status = subprocess.run([sys.executable, *flags], cwd=ROOT, env=env, stdout=log, stderr=log).returncode
    took = time.perf_counter() - begun
    print(f"{name:12} {output.name:24} {took:6.0f} s" + (f"  FAILED: see {log.name}" if status else ""), flush=True)
    return status


def _flags(args: argparse.Namespace, experiment: Experiment, model: str, output: Path) -> Iterator[str]:
    folder = (args.data_dir / experiment.folder).resolve()
    yield str(ROOT / "launch" / _SCRIPTS[experiment.script])
    yield from ("--config", str(CONFIG), "--task", experiment.task)
    if experiment.task != "custom":
        yield from ("--data_dir", str(folder))
    yield from ("--model_name_or_path", str(Path(model.removeprefix("random:")).resolve()))
    if model.startswith("random:"):
        yield "--random_weights"
    yield from ("--output_dir", str(output.resolve()))
    yield from (part.replace("{}", str(folder)) for part in f"{experiment.flags} {args.flags}".split())


if __name__ == "__main__":
    sys.exit(main())
