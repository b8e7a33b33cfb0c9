"""``python -m data_prep corpus``: text -> prepared corpus (token ids, pinyin, word and sentence starts).

Cleaning, removal of duplicates and decontamination are asked for by flags. The work is done in ``DIR.unfinished``; the
same command run again goes on where it was stopped, and ``DIR`` appears when it is complete.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chinesebert.corpus.format import Manifest
from chinesebert.corpus.writer import EmptyCorpusError
from chinesebert.errors import InputError
from data_prep.decontamination import build_index
from data_prep.pipeline.executors import EXECUTORS, Runner, executor_options, process_pool, ray_cluster
from data_prep.pipeline.outcome import Outcome, read_outcome
from data_prep.pipeline.progress import progress_bar
from data_prep.pipeline.publication import (
    begin,
    check_rejected,
    check_replaceable,
    find_unfinished,
    is_complete,
    is_published,
    publish,
    publish_rejected,
)
from data_prep.pipeline.recipe import Recipe, check_places, load_recipe
from data_prep.pipeline.slurm_jobs import cancel_jobs_of_killed_runs
from data_prep.pipeline.stages import Plan, stages
from data_prep.pipeline.steps import load_annotator
from data_prep.pipeline.workspace import UnfinishedFolder, Workspace
from data_prep.readers import SUPPORTED
from data_prep.wording import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``data_prep corpus``."""
    parser.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="FILE",
        help=f"files, folders, globs, URLs that fsspec opens, or hf-dataset:NAME[[:CONFIG]:SPLIT]: {SUPPORTED}",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the prepared corpus to write")
    parser.add_argument("--text_field", default="text", help="field of JSON lines, column of Parquet with the text")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad record instead of skipping it")

    annotation = parser.add_argument_group("annotation")
    annotation.add_argument(
        "--tokenizer",
        metavar="DIR|vocab.txt",
        help="a saved tokenizer or a vocabulary file (default: the vocabulary of this package)",
    )
    annotation.add_argument("--words", metavar="FILE", help="a jieba user dictionary: 'word [frequency] [tag]' a line")
    annotation.add_argument("--readings", metavar="FILE", help="readings of a domain: '重庆 chong2 qing4' a line")

    cleaning = parser.add_argument_group("cleaning (docs/cleaning.md); nothing is dropped without these")
    cleaning.add_argument(
        "--cleaning",
        metavar="web|FILE.yaml",
        help="drop and mend documents as configs/cleaning/web.yaml or a file says",
    )
    cleaning.add_argument(
        "--remove_duplicates", action="store_true", help="drop exact and near duplicates; --cleaning web does so anyway"
    )
    cleaning.add_argument(
        "--decontaminate",
        nargs="+",
        metavar="PATH",
        help="evaluation sets, files or folders; documents that share text with them are dropped",
    )
    cleaning.add_argument("--rejected", metavar="DIR", help="keep what was dropped here, each document with the reason")

    running = parser.add_argument_group("running (docs/preparing-at-scale.md); the output is the same for all of these")
    running.add_argument("--workers", type=int, help="tasks at a time (default: 1, on clusters as many as there are)")
    running.add_argument("--executor", choices=EXECUTORS, default="local", help="where the tasks run")
    running.add_argument(
        "--executor_options",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="arguments of datatrove's executor: partition=cpu time=24:00:00 …",
    )
    running.add_argument("--overwrite", action="store_true", help="replace a corpus that is already there")
    running.add_argument("--restart", action="store_true", help="throw away what an unfinished run has done")


def run(args: argparse.Namespace) -> None:
    """Prepares the corpus and prints what was read, dropped and kept."""
    started = time.monotonic()
    options = executor_options(args.executor, args.executor_options)
    workers = _number_of_workers(args)
    check_places(args)
    recipe = load_recipe(args)
    output, folder = Path(args.output), UnfinishedFolder.beside(args.output)
    with folder.lock(), _terminated_as_interrupted():
        cancel_jobs_of_killed_runs(folder)
        if _is_done(output, folder, recipe, args):
            folder.clear()  # of a run that was killed while it cleaned up
            print(f"{output}: complete already, made with the same settings; --overwrite prepares it again")
            return
        check_replaceable(output)
        workspace = find_unfinished(folder, recipe, args.restart)
        if workspace:
            print(f"going on in {folder.directory}")
        outcome = _prepare(recipe, workspace or begin(folder, recipe), args, workers, options)
    _report(output, outcome, time.monotonic() - started)


def _is_done(output: Path, folder: UnfinishedFolder, recipe: Recipe, args: argparse.Namespace) -> bool:
    if not args.overwrite:
        return is_complete(output, recipe, args.strict)
    try:  # the run that was to overwrite may have been killed after its last step
        return is_published(folder.workspace()) and is_complete(output, recipe, args.strict)
    except InputError:
        return False  # it made another corpus


def _prepare(
    recipe: Recipe, workspace: Workspace, args: argparse.Namespace, workers: int, options: dict[str, Any]
) -> Outcome:
    try:
        check_rejected(workspace, args.rejected, args.overwrite)
        _run_stages(recipe, workspace, args, workers, options)
        outcome = read_outcome(workspace)
        publish(workspace, Path(args.output), args.rejected, recipe, outcome)
        return outcome
    except EmptyCorpusError as error:
        outcome = read_outcome(workspace)
        _show_losses(outcome)
        publish_rejected(workspace, args.rejected)
        workspace.unfinished.clear()  # nothing in it is worth going on with
        dropped = any(step.dropped for step in outcome.steps if step.name != "annotate")
        why = "all documents were dropped, see the table; change the thresholds" if dropped else error
        raise InputError(f"{', '.join(map(str, args.input))}: {why}") from error
    except InputError as error:
        raise InputError(f"{error}\n{_how_to_go_on(workspace)}") from error
    except OSError as error:
        raise InputError(f"{workspace.describe(error)}\n{_how_to_go_on(workspace)}") from error
    except KeyboardInterrupt:
        print(f"\n{_how_to_go_on(workspace)}")
        raise


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _number_of_workers(args: argparse.Namespace) -> int:
    if args.workers is None:
        return 1 if args.executor == "local" else -1
    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: give at least 1")
    return args.workers


def _run_stages(
    recipe: Recipe, workspace: Workspace, args: argparse.Namespace, workers: int, options: dict[str, Any]
) -> None:
    plan = Plan(
        workspace=workspace,
        sources=recipe.sources,
        text_field=recipe.text_field,
        strict=args.strict,
        steps=recipe.cleaning.steps if recipe.cleaning else [],
        duplicates=recipe.duplicates,
        decontamination=recipe.decontamination,
        keep_rejected=recipe.keep_rejected,
        fingerprint=recipe.fingerprint,
    )
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tasks are the parallelism; threads do not survive a fork
    if args.executor == "local":
        load_annotator(workspace, recipe.fingerprint).annotate(["加载"])  # before the fork: the workers share it
        pool = process_pool(workers)
    else:
        pool = process_pool(1)
    cluster = ray_cluster() if args.executor == "ray" else contextlib.nullcontext()
    with pool as processes, cluster:
        if recipe.decontamination and not workspace.evaluation_index.exists():
            report = build_index(args.decontaminate, workspace.evaluation_index, recipe.decontamination)
            print("\n".join(report.lines()))
        runner = Runner(args.executor, workspace, workers, options, processes)
        for stage in stages(plan):
            with progress_bar(workspace, stage.name, stage.label, stage.characters):
                started = time.monotonic()
                runner.run(stage)
            if not sys.stderr.isatty():  # no bar has been drawn: a line a stage for the log
                print(f"{stage.label}: done in {time.monotonic() - started:.1f} s", flush=True)
            if stage.name == "read":
                _check_read(read_outcome(workspace), args.strict)


def _check_read(outcome: Outcome, strict: bool) -> None:
    if not outcome.read[0]:
        raise EmptyCorpusError("there is no text in any record that could be read; give other files")
    if strict and (outcome.bad.counts or outcome.bad.files or outcome.bad.repaired):
        raise InputError("\n".join([*outcome.bad.lines(), "bad records under --strict; mend them, or run without it"]))


def _how_to_go_on(workspace: Workspace) -> str:
    return (
        f"what is done is kept in {workspace.unfinished.directory}: the same command goes on from there, with "
        "--restart it begins afresh"
    )


def _show_losses(outcome: Outcome) -> None:
    outcome.bad.report()
    if outcome.read[0]:
        print("\n".join(outcome.table()))


def _report(output: Path, outcome: Outcome, seconds: float) -> None:
    manifest = Manifest.load(output)
    size = sum(shard.bytes for shard in manifest.shards)
    outcome.bad.report()
    if outcome.steps:
        print("\n".join(outcome.table()))
    counts = [(manifest.documents, "document"), (manifest.sentences, "sentence"), (manifest.words, "word")]
    print(
        f"{output}: {', '.join(counted(*count) for count in counts)}, {counted(manifest.tokens, 'token')} "
        f"({manifest.unknown_tokens / manifest.tokens:.3%} unknown) in {seconds:.1f} s; "
        f"{size / manifest.tokens:.2f} bytes a token; unigram entropy {manifest.unigram_entropy():.3f} nats"
    )
