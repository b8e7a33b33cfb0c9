"""The corpus program as a pipeline: what it writes for any number of workers, what it says, and how it goes on."""

import argparse
import contextlib
import dataclasses
import errno
import fcntl
import gzip
import io
import itertools
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.corpus.format import Manifest
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from data_prep.__main__ import main
from data_prep.duplicates import NearMatches
from data_prep.pipeline import publication, stages, steps
from data_prep.pipeline.recipe import check_places
from data_prep.pipeline.settings import changes, load_settings, refuse_changes
from data_prep.pipeline.stages import chunk_characters, group_sources
from data_prep.pipeline.workspace import UnfinishedFolder, Workspace
from data_prep.readers import Source
from tests.conftest import ROOT
from tests.corpus_runs import (
    CLEANING,
    WebText,
    completed_tasks,
    decoded_documents,
    digests,
    prepare,
    quick_tokenizer,
    sample_documents,
    start,
    unfinished_folder,
    workspace_of,
    write_web_text,
)

Captured = pytest.CaptureFixture[str]


@dataclasses.dataclass(frozen=True)
class Run:
    """A complete run: its command, what it wrote and printed."""

    text: WebText
    corpus: Path
    rejected: Path
    printed: list[str]

    def flags(self) -> list[str]:
        """All cleaning, and a folder for what is dropped."""
        return [*self.text.flags(), "--rejected", str(self.rejected)]

    def preparation(self) -> dict[str, Any]:
        """How it was made, and what became of the documents."""
        return json.loads((self.corpus / "preparation.json").read_text(encoding="utf-8"))

    def rejected_documents(self) -> list[dict[str, str]]:
        """The lines of all files of dropped documents."""
        return [json.loads(line) for file in sorted(self.rejected.iterdir()) for line in gzip.open(file, "rt")]


@pytest.fixture(scope="module")
def web_text(tmp_path_factory: pytest.TempPathFactory) -> WebText:
    """Input with something for every filter. Do not change it."""
    return write_web_text(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def run(web_text: WebText, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The input prepared with all cleaning by one worker. Do not change it."""
    folder = tmp_path_factory.mktemp("run")
    printed = io.StringIO()
    flags = [*web_text.flags(), "--rejected", str(folder / "rejected")]
    with contextlib.redirect_stdout(printed):
        assert prepare(web_text.inputs, folder / "corpus", *flags) == 0
    return Run(web_text, folder / "corpus", folder / "rejected", printed.getvalue().split("\n"))


@contextlib.contextmanager
def interrupted(step: type, rank: int) -> Iterator[None]:
    """Ctrl-C comes when task ``rank`` reaches this step."""
    original = step.run  # type: ignore[attr-defined]

    def run(self: Any, data: Any = None, of_rank: int = 0, world_size: int = 1) -> Any:
        if of_rank == rank:
            raise KeyboardInterrupt
        return original(self, data, of_rank, world_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "run", run)
        yield


@contextlib.contextmanager
def recorded(step: type) -> Iterator[list[int]]:
    """The tasks that reach this step."""
    original = step.run  # type: ignore[attr-defined]
    ranks: list[int] = []

    def run(self: Any, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        ranks.append(rank)
        return original(self, data, rank, world_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "run", run)
        yield ranks


@pytest.fixture(scope="module")
def half_done(web_text: WebText, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a run that was interrupted at its fifth chunk of annotation. Do not change it."""
    folder = tmp_path_factory.mktemp("half")
    with interrupted(steps.Annotate, 5):
        assert prepare(web_text.inputs, folder / "c", *web_text.flags(), "--rejected", str(folder / "r")) == 130
    return unfinished_folder(folder / "c")


@pytest.fixture
def unfinished(half_done: Path, tmp_path: Path) -> Path:
    """An output whose workspace is a copy of the interrupted one."""
    shutil.copytree(half_done, unfinished_folder(tmp_path / "corpus"))
    return tmp_path / "corpus"


@pytest.fixture
def complete(run: Run, tmp_path: Path) -> Path:
    """A copy of the complete corpus."""
    return Path(shutil.copytree(run.corpus, tmp_path / "complete"))


def with_tokens(text: WebText) -> int:
    """How many documents there are; of one that is all U+FFFD no token is left."""
    return sum(set(document) != {"\ufffd"} for document in text.documents.values())


def refused(capsys: Captured, status: int) -> str:
    """What a refusal prints."""
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    return error


# ------------------------------------------------------------------------------------------------------- the same bytes


@pytest.mark.parametrize("workers", ["2", "4"])
def test_the_bytes_do_not_depend_on_the_number_of_workers(run: Run, tmp_path: Path, workers: str) -> None:
    flags = [*run.text.flags(), "--rejected", str(tmp_path / "rejected"), "--workers", workers]
    assert prepare(run.text.inputs, tmp_path / "corpus", *flags) == 0
    assert digests(tmp_path / "corpus") == digests(run.corpus)
    assert digests(tmp_path / "rejected") == digests(run.rejected)


@pytest.mark.parametrize(("chunk", "group_bytes"), [(1500, 1), (1_000_000, 32_000_000)], ids=["many", "one"])
def test_the_corpus_does_not_depend_on_the_size_of_chunks(
    run: Run, tmp_path: Path, chunk: int, group_bytes: int
) -> None:
    flags = [*run.text.flags(), "--rejected", str(tmp_path / "rejected")]
    assert prepare(run.text.inputs, tmp_path / "corpus", *flags, chunk=chunk, group_bytes=group_bytes) == 0
    assert digests(tmp_path / "corpus") == digests(run.corpus)


def test_the_rejected_folder_holds_files_of_documents_and_nothing_else(run: Run) -> None:
    names = [path.name for path in run.rejected.iterdir()]
    assert names and all(re.fullmatch(r"(clean|annotate)-\d{8}\.jsonl\.gz", name) for name in names)


# ------------------------------------------------------------------------------------------------------------ the table


def test_what_came_in_went_out_or_was_dropped(run: Run) -> None:
    outcome = run.preparation()["outcome"]
    dropped = [counts for step in outcome["steps"] for counts in step["dropped"].values()]
    changed = sum(step["removed_characters"] for step in outcome["steps"])
    documents, characters = outcome["read"]
    texts = run.text.documents.values()
    assert (documents, characters) == (len(texts), sum(map(len, texts)))
    assert documents - sum(counts[0] for counts in dropped) == outcome["kept"][0]
    assert characters - sum(counts[1] for counts in dropped) - changed == outcome["kept"][1]


def test_the_corpus_holds_as_many_documents_as_the_table_says(run: Run) -> None:
    assert Manifest.load(run.corpus).documents == run.preparation()["outcome"]["kept"][0]


def test_documents_without_a_token_are_not_counted_as_kept(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "重庆的银行。"}\n{"text": "\\u200b"}\n', encoding="utf-8")
    assert prepare([tmp_path / "in.jsonl"], tmp_path / "out", "--remove_duplicates") == 0
    preparation = json.loads((tmp_path / "out" / "preparation.json").read_text(encoding="utf-8"))
    assert preparation["outcome"]["kept"][0] == Manifest.load(tmp_path / "out").documents


@pytest.mark.parametrize(
    ("step", "reason", "documents"),
    [
        ("encoding", "unreadable characters", 1),
        ("length", "too few Han characters", 1),
        ("han_share", "too little Han", 1),
        ("duplicates", "exact duplicate", 2),
        ("duplicates", "near duplicate", 1),
        ("decontamination", "contains evaluation text", 1),
    ],
)
def test_the_table_has_a_line_for_every_step_and_reason(run: Run, step: str, reason: str, documents: int) -> None:
    (line,) = [line for line in run.printed if line.startswith(f"  {step}: {reason} ")]
    assert line.split(f"{step}: {reason}")[1].split()[0] == f"-{documents}"


def test_the_table_begins_and_ends_with_all_documents(run: Run) -> None:
    outcome = run.preparation()["outcome"]
    cells = {line.split()[0]: line.split()[1::2] for line in run.printed if line.startswith(("in ", "out "))}
    assert cells["in"] == [f"{number:,}" for number in outcome["read"]]
    assert cells["out"] == [f"{number:,}" for number in outcome["kept"]]


def test_the_table_shows_what_a_step_changed(run: Run) -> None:
    assert any(re.match(r"  personal_data +1 changed ", line) for line in run.printed)


def test_the_table_counts_documents_that_are_kept_as_their_evaluation_text_is_common(
    tmp_path: Path, capsys: Captured
) -> None:
    formula = "本法自公布之日起施行，由国务院负责解释并且制定实施细则和有关的办法。"
    leaked = "南方的春天来得早，山上的花开了一片又一片，孩子们每天放学以后都去看。"
    documents = [f"第{number}部法律说了许多不同的事。\n{formula}" for number in "一二三四五六七八九十百千"]
    (tmp_path / "in.txt").write_text("\n\n".join([*documents, leaked, f"{leaked}\n{formula}"]), encoding="utf-8")
    (tmp_path / "dev.txt").write_text(f"{formula}\n{leaked}\n", encoding="utf-8")
    assert prepare([tmp_path / "in.txt"], tmp_path / "out", "--decontaminate", str(tmp_path / "dev.txt")) == 0
    table = capsys.readouterr().out
    assert re.search(r"\n  decontamination: only phrases of many documents +12 kept\n", table)
    assert re.search(r"\n  decontamination: contains evaluation text +-2 ", table)
    (step,) = json.loads((tmp_path / "out/preparation.json").read_text(encoding="utf-8"))["outcome"]["steps"]
    assert step["kept"] == {"only phrases of many documents": 12}


def test_no_table_is_printed_where_nothing_may_be_dropped(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "in.txt").write_text("重庆的银行。", encoding="utf-8")
    assert prepare([tmp_path / "in.txt"], tmp_path / "out") == 0
    assert "characters" not in capsys.readouterr().out


def test_every_dropped_document_is_kept_with_its_reason(run: Run) -> None:
    lines = run.rejected_documents()
    outcome = run.preparation()["outcome"]
    counted = {
        (step["name"], reason): tuple(counts) for step in outcome["steps"] for reason, counts in step["dropped"].items()
    }
    found = Counter((line["dropped_by"], line["reason"]) for line in lines)
    sizes: Counter[tuple[str, str]] = Counter()
    for line in lines:
        sizes[line["dropped_by"], line["reason"]] += len(line["text"])
    assert {key: (found[key], sizes[key]) for key in found} == counted


def test_a_dropped_document_names_the_line_it_came_from(run: Run) -> None:
    assert {line["source"] for line in run.rejected_documents()} <= set(run.text.documents)
    for line in run.rejected_documents():
        assert line["text"].replace("\ufe0f", "") == run.text.documents[line["source"]].replace("\ufe0f", "")


def test_no_document_is_lost_or_doubled(run: Run) -> None:
    tokenizer = ChineseBertTokenizer.from_directory(quick_tokenizer())
    gone = {line["source"] for line in run.rejected_documents()}
    left = [text for source, text in run.text.documents.items() if source not in gone]
    masked = [text.replace("13812345678", "10000000000").replace("\ufe0f", "") for text in left]
    ids = [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in masked]
    assert decoded_documents(run.corpus) == [" ".join(tokenizer.convert_ids_to_tokens(row)) for row in ids]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_corpus_of_which_all_is_dropped_is_an_error_with_the_table(
    web_text: WebText, tmp_path: Path, capsys: Captured, workers: str
) -> None:
    (tmp_path / "all.yaml").write_text("steps: [{name: length, min_han: 100000}]\nduplicates: {}")
    flags = ["--cleaning", str(tmp_path / "all.yaml"), "--decontaminate", str(web_text.evaluation)]
    flags += ["--workers", workers, "--rejected", str(tmp_path / "rejected")]
    status = prepare(web_text.inputs, tmp_path / "out", *flags)
    captured = capsys.readouterr()
    assert status == 2
    assert f"error: {web_text.inputs[0]}, {web_text.inputs[1]}: all documents were dropped" in captured.err
    assert re.search(r"length: too few Han characters +-107  100\.00%", captured.out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.yaml", "rejected"]
    assert list((tmp_path / "rejected").iterdir())  # to see why


# ------------------------------------------------------------------------------------------------------- going on again


@pytest.mark.parametrize(
    ("step", "rank"),
    [(steps.ReadInputs, 1), (steps.WriteChunk, 6), (NearMatches, 2), (steps.Annotate, 5), (steps.Assemble, 0)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    run: Run, tmp_path: Path, capsys: Captured, step: type, rank: int
) -> None:
    command = [run.text.inputs, tmp_path / "corpus", *run.text.flags(), "--rejected", str(tmp_path / "rejected")]
    with interrupted(step, rank):
        assert prepare(*command) == 130
    assert f"what is done is kept in {tmp_path / 'corpus.unfinished'}: the same command goes" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.unfinished"]
    assert prepare(*command) == 0
    assert f"going on in {tmp_path / 'corpus.unfinished'}" in capsys.readouterr().out
    assert digests(tmp_path / "corpus") == digests(run.corpus)
    assert digests(tmp_path / "rejected") == digests(run.rejected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "rejected"]


def test_a_rerun_does_only_what_is_missing(run: Run, unfinished: Path) -> None:
    done = completed_tasks(unfinished)
    with (
        recorded(steps.ReadInputs) as read,
        recorded(steps.WriteChunk) as cleaned,
        recorded(NearMatches) as matched,
        recorded(steps.Annotate) as annotated,
    ):
        flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r")]
        assert prepare(run.text.inputs, unfinished, *flags) == 0
    chunks = sum(task.startswith("clean/") for task in done)
    assert (read, cleaned, matched) == ([], [], [])
    assert annotated == list(range(5, chunks))


def test_a_rerun_may_have_another_number_of_workers(run: Run, unfinished: Path) -> None:
    flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r"), "--workers", "2"]
    assert prepare(run.text.inputs, unfinished, *flags) == 0
    assert digests(unfinished) == digests(run.corpus)


def test_half_written_files_of_a_killed_task_do_not_reach_the_output(run: Run, unfinished: Path) -> None:
    workspace = Workspace(workspace_of(unfinished))
    leftovers = [
        workspace.directory / "pieces" / "00000005.arrow.elsewhere-1.tmp",
        workspace.directory / "clean" / "00000002.arrow.elsewhere-1.tmp",
        workspace.rejected / ".clean-00000007.jsonl.gz.unfinished-1-aaaaaaaa",  # as chinesebert.atomic names them
        workspace.directory / "counts" / "clean" / ".00000003.json.unfinished-1-aaaaaaaa",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    (workspace.directory / ".corpus.unfinished-1-aaaaaaaa").mkdir()
    flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r")]
    assert prepare(run.text.inputs, unfinished, *flags) == 0
    assert digests(unfinished) == digests(run.corpus)
    assert digests(unfinished.parent / "r") == digests(run.rejected)


def test_a_run_that_ended_between_its_last_two_steps_is_finished_by_the_next(
    run: Run, unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r")]
    original = publication.replace_directory

    def replace(new: Path, final: Path) -> None:
        if final == unfinished:
            raise KeyboardInterrupt  # the rejected documents have their name, the corpus not yet
        original(new, final)

    with monkeypatch.context() as patch:
        patch.setattr(publication, "replace_directory", replace)
        assert prepare(run.text.inputs, unfinished, *flags) == 130
    assert prepare(run.text.inputs, unfinished, *flags) == 0
    assert digests(unfinished) == digests(run.corpus)
    assert digests(unfinished.parent / "r") == digests(run.rejected)


@pytest.fixture
def published(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus whose run was killed when it had its name, before the workspace was removed."""
    flags = [*run.text.flags(), "--rejected", str(tmp_path / "r")]
    with monkeypatch.context() as patch:
        patch.setattr(UnfinishedFolder, "clear", lambda folder: None)
        assert prepare(run.text.inputs, tmp_path / "corpus", *flags) == 0
    assert unfinished_folder(tmp_path / "corpus").exists()
    return tmp_path / "corpus"


def test_a_run_that_was_killed_after_its_last_step_is_complete(run: Run, published: Path, capsys: Captured) -> None:
    capsys.readouterr()
    flags = [*run.text.flags(), "--rejected", str(published.parent / "r")]
    assert prepare(run.text.inputs, published, *flags) == 0
    assert "complete already" in capsys.readouterr().out
    assert not unfinished_folder(published).exists()


def test_overwriting_after_a_kill_at_the_end_writes_a_whole_corpus(run: Run, published: Path) -> None:
    flags = [*run.text.flags(), "--rejected", str(published.parent / "r"), "--overwrite"]
    assert prepare(run.text.inputs, published, *flags) == 0
    assert digests(published) == digests(run.corpus)
    assert digests(published.parent / "r") == digests(run.rejected)


def test_overwriting_with_other_settings_after_a_kill_at_the_end_is_not_refused(run: Run, published: Path) -> None:
    assert prepare(run.text.inputs, published, "--overwrite") == 0
    assert Manifest.load(published).documents == with_tokens(run.text)


@contextlib.contextmanager
def interrupted_while_deleting(folder: Path, entries: int) -> Iterator[None]:
    """Ctrl-C comes when so many entries of a workspace have been deleted: the settings first, the logs last.

    A folder lists its entries in any order, and this is the worst: what says which tasks are complete goes last.
    """
    delete_folder, delete_file = shutil.rmtree, Path.unlink
    left = itertools.count(entries, -1)

    def check() -> None:
        if next(left) <= 0:
            raise KeyboardInterrupt

    def rmtree(path: Any, *args: Any, **options: Any) -> None:
        if Path(path) == folder:
            for entry in sorted(folder.iterdir(), key=lambda entry: (entry.is_dir(), entry.name == "logs", entry.name)):
                check()
                delete_folder(entry) if entry.is_dir() else delete_file(entry)
        delete_folder(path, *args, **options)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == folder / "settings.json":
            check()
        delete_file(path, missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", rmtree)
        patch.setattr(Path, "unlink", unlink)
        yield


@pytest.mark.parametrize("entries", [0, 1, 3, 6, 9])
def test_overwriting_after_a_kill_while_the_work_is_cleared_away_writes_a_whole_corpus(
    run: Run, unfinished: Path, entries: int
) -> None:
    flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r"), "--overwrite"]
    with interrupted_while_deleting(workspace_of(unfinished), entries):
        prepare(run.text.inputs, unfinished, *flags)
    assert prepare(run.text.inputs, unfinished, *flags) == 0
    assert digests(unfinished) == digests(run.corpus)


@pytest.mark.parametrize("entries", [0, 1, 3, 6, 9])
def test_a_restart_that_was_killed_while_it_cleared_the_work_away_does_not_mix_old_and_new(
    run: Run, unfinished: Path, entries: int
) -> None:
    with interrupted_while_deleting(workspace_of(unfinished), entries):
        assert prepare(run.text.inputs, unfinished, "--restart") == 130
    status = prepare(run.text.inputs, unfinished)
    if status:  # the old settings are still known: then it is told so
        status = prepare(run.text.inputs, unfinished, "--restart")
    assert status == 0
    assert Manifest.load(unfinished).documents == with_tokens(run.text)


@pytest.mark.parametrize("entries", [0, 1, 3, 6, 9])
def test_after_a_restart_that_was_killed_the_same_command_writes_the_whole_corpus(
    run: Run, unfinished: Path, entries: int
) -> None:
    flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r")]
    with interrupted_while_deleting(workspace_of(unfinished), entries):
        assert prepare(run.text.inputs, unfinished, *flags, "--restart") == 130
    assert prepare(run.text.inputs, unfinished, *flags) == 0
    assert digests(unfinished) == digests(run.corpus)
    assert digests(unfinished.parent / "r") == digests(run.rejected)


def test_a_complete_run_is_not_done_again(run: Run, complete: Path, capsys: Captured) -> None:
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    with recorded(steps.ReadInputs) as read:
        assert prepare(run.text.inputs, complete, *run.flags()) == 0
    assert read == []
    assert f"{complete}: complete already, made with the same settings; --overwrite" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before
    assert not unfinished_folder(complete).exists()


def test_a_complete_run_does_not_take_the_work_of_another_away(run: Run, complete: Path) -> None:
    # Two shells: one prepares the corpus again with --overwrite, the other gives the command without it.
    folder = UnfinishedFolder.beside(complete)
    with folder.lock():
        workspace = folder.begin()
        prepare(run.text.inputs, complete, *run.flags())
        assert workspace.directory.is_dir()


def test_two_runs_at_a_time_are_refused(run: Run, unfinished: Path, capsys: Captured) -> None:
    flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r")]
    before = digests(unfinished_folder(unfinished))
    with UnfinishedFolder.beside(unfinished).lock():
        error = refused(capsys, prepare(run.text.inputs, unfinished, *flags))
    assert f"{unfinished_folder(unfinished)}: another run is preparing this corpus; wait for it" in error
    assert digests(unfinished_folder(unfinished)) == before


def test_the_lock_of_a_folder_that_was_just_deleted_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = UnfinishedFolder(tmp_path / "corpus.unfinished")
    lock_file = fcntl.flock
    with contextlib.ExitStack() as first:
        first.enter_context(folder.lock())

        def end_first(file: Any, operation: int) -> None:  # the second has opened the file, and not yet locked it
            first.close()
            lock_file(file, operation)

        monkeypatch.setattr(fcntl, "flock", end_first)
        with folder.lock():
            assert (folder.directory / "lock").exists()
            with pytest.raises(Exception, match="another run is preparing this corpus"), folder.lock():
                pass
    assert not folder.directory.exists()


# ------------------------------------------------------------------------------------------------------- other settings


@contextlib.contextmanager
def changed_file(path: Path) -> Iterator[None]:
    """The file is another for the time being."""
    content, status = path.read_bytes(), path.stat()
    path.write_bytes(content + b"\n")
    yield
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def touched_file(path: Path) -> Iterator[None]:
    """The file has been written again, as long as before."""
    status = path.stat()
    os.utime(path)
    yield
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def other(tmp_path: Path, small_vocabulary: Path) -> dict[str, Path]:
    """Other files to give."""
    (tmp_path / "given").mkdir()
    contents = {
        "words": "蓝莓布丁\n",
        "readings": "重庆 zhong4 qing4\n",
        "longer": CLEANING.replace("min_han: 10", "min_han: 11"),
        "fewer": CLEANING.replace("  - {name: encoding}\n", ""),
        "similar": CLEANING.replace("buckets: 4,", "buckets: 4, similarity: 0.8,"),
        "distant": CLEANING.replace("decontamination: {}", "decontamination: {n_grams: 30}"),
        "more.txt": "另一个文件。\n",
    }
    paths = {name: tmp_path / "given" / name for name in contents}
    for name, content in contents.items():
        paths[name].write_text(content, encoding="utf-8")
    return paths | {"vocabulary": small_vocabulary}


# What is added to the command (a later flag takes the place of an earlier one) -> what the refusal names.
OTHER_SETTINGS: dict[str, tuple[Callable[[dict[str, Path]], Sequence[str | Path]], str]] = {
    "tokenizer": (
        lambda other: ["--tokenizer", other["vocabulary"]],
        "  tokenizer: SHA-256 [0-9a-f]{8}…, was SHA-256 [0-9a-f]{8}…",
    ),
    "words": (lambda other: ["--words", other["words"]], "  words: SHA-256 [0-9a-f]{8}…, was none"),
    "readings": (lambda other: ["--readings", other["readings"]], r"  readings: .*1 override.*, was .pypinyin"),
    "threshold": (lambda other: ["--cleaning", other["longer"]], r"  cleaning\[2\]\.min_han: 11, was 10"),
    "step": (lambda other: ["--cleaning", other["fewer"]], "  cleaning: 3 entries, was 4 entries"),
    "duplicates": (lambda other: ["--cleaning", other["similar"]], r"  duplicates\.similarity: 0\.8, was 0\.7"),
    "decontamination": (lambda other: ["--cleaning", other["distant"]], r"  decontamination\.n_grams: 30, was 20"),
    "evaluation": (lambda other: ["--decontaminate", other["words"]], "  evaluation files.*dev.txt: none, was "),
    "text field": (lambda other: ["--text_field", "body"], '  text_field: "body", was "text"'),
}


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_an_unfinished_run_with_another_setting_is_refused_and_kept(
    run: Run, unfinished: Path, other: dict[str, Path], capsys: Captured, name: str
) -> None:
    added, message = OTHER_SETTINGS[name]
    before = digests(unfinished_folder(unfinished))
    command = [*run.text.flags(), "--rejected", str(unfinished.parent / "r"), *map(str, added(other))]
    error = refused(capsys, prepare(run.text.inputs, unfinished, *command))
    assert re.search(rf"{unfinished_folder(unfinished)}: was begun with other settings:(\n.*)*\n{message}", error)
    assert "run the command as before to go on, or with --restart" in error
    assert digests(unfinished_folder(unfinished)) == before


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_a_complete_corpus_with_another_setting_is_refused_and_kept(
    run: Run, complete: Path, other: dict[str, Path], capsys: Captured, name: str
) -> None:
    added, message = OTHER_SETTINGS[name]
    error = refused(capsys, prepare(run.text.inputs, complete, *run.flags(), *map(str, added(other))))
    assert re.search(rf"^error: {complete}: was made with other settings:(\n.*)*\n{message}", error)
    assert "--output" in error and "--overwrite" in error
    assert digests(complete) == digests(run.corpus)


@pytest.mark.parametrize("change", [changed_file, touched_file])
@pytest.mark.parametrize("name", ["unfinished", "complete"])
def test_an_input_that_changed_is_named(
    run: Run, name: str, change: Callable[[Path], Any], capsys: Captured, request: pytest.FixtureRequest
) -> None:
    output = request.getfixturevalue(name)
    with change(run.text.inputs[1]):
        error = refused(
            capsys, prepare(run.text.inputs, output, *run.text.flags(), "--rejected", str(output.parent / "r"))
        )
    file = r"[\d,]+ bytes of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    assert re.search(rf"\n  input {run.text.inputs[1]}: has changed: {file}, was {file}\n", error)


@pytest.mark.parametrize("name", ["unfinished", "complete"])
def test_an_input_that_was_added_is_named(
    run: Run, name: str, other: dict[str, Path], capsys: Captured, request: pytest.FixtureRequest
) -> None:
    output = request.getfixturevalue(name)
    flags = [*run.text.flags(), "--rejected", str(output.parent / "r")]
    error = refused(capsys, prepare([*run.text.inputs, other["more.txt"]], output, *flags))
    assert f"\n  input {other['more.txt']}: was not there before\n" in error


@pytest.mark.parametrize("name", ["unfinished", "complete"])
def test_an_input_that_is_missing_is_named_and_nothing_else(
    run: Run, name: str, capsys: Captured, request: pytest.FixtureRequest
) -> None:
    output = request.getfixturevalue(name)
    flags = [*run.text.flags(), "--rejected", str(output.parent / "r")]
    error = refused(capsys, prepare(run.text.inputs[:1], output, *flags))
    assert error.count("\n  ") == 1
    assert f"\n  input {run.text.inputs[1]}: is not given, or not there, any more\n" in error


@pytest.mark.parametrize("name", ["unfinished", "complete"])
def test_inputs_in_another_order_are_refused(
    run: Run, name: str, capsys: Captured, request: pytest.FixtureRequest
) -> None:
    # The order of the input is the order of the corpus, and of which duplicate is kept.
    output = request.getfixturevalue(name)
    flags = [*run.text.flags(), "--rejected", str(output.parent / "r")]
    error = refused(capsys, prepare(run.text.inputs[::-1], output, *flags))
    assert "\n  the inputs are given in another order\n" in error


def test_inputs_in_another_order_do_not_lose_documents_of_a_run_interrupted_while_reading(
    run: Run, tmp_path: Path
) -> None:
    with interrupted(steps.ReadInputs, 1):
        assert prepare(run.text.inputs, tmp_path / "out") == 130
    if prepare(run.text.inputs[::-1], tmp_path / "out") == 0:
        assert Manifest.load(tmp_path / "out").documents == with_tokens(run.text)


def test_a_change_of_whether_dropped_documents_are_kept_is_named(run: Run, unfinished: Path, capsys: Captured) -> None:
    error = refused(capsys, prepare(run.text.inputs, unfinished, *run.text.flags()))
    assert "\n  rejected: false, was true" in error


def test_an_evaluation_file_that_changed_is_named(run: Run, unfinished: Path, capsys: Captured) -> None:
    with changed_file(run.text.evaluation / "dev.txt"):
        flags = [*run.text.flags(), "--rejected", str(unfinished.parent / "r")]
        error = refused(capsys, prepare(run.text.inputs, unfinished, *flags))
    assert "\n  evaluation files.evaluation/dev.txt: " in error


def test_evaluation_files_of_the_same_name_are_told_apart(web_text: WebText, tmp_path: Path, capsys: Captured) -> None:
    paths = [tmp_path / folder / "dev.txt" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("春江潮水连海平，海上明月共潮生。滟滟随波千万里，何处春江无月明。" + path.parent.name)
    command = [web_text.inputs, tmp_path / "out", "--decontaminate", *map(str, paths)]
    with interrupted(steps.Annotate, 0):
        assert prepare(*command) == 130
    capsys.readouterr()
    paths[0].write_text("江流宛转绕芳甸，月照花林皆似霰。空里流霜不觉飞，汀上白沙看不见。")
    assert "evaluation files" in refused(capsys, prepare(*command))


def test_what_does_not_change_the_bytes_may_change(run: Run, complete: Path) -> None:
    assert prepare(run.text.inputs, complete, *run.flags(), "--workers", "2") == 0


def test_restart_throws_an_unfinished_run_away(run: Run, unfinished: Path) -> None:
    with recorded(steps.ReadInputs) as read:
        assert prepare(run.text.inputs, unfinished, "--restart") == 0
    assert read == [0, 1]
    assert Manifest.load(unfinished).documents == with_tokens(run.text)


def test_overwrite_replaces_a_corpus_of_other_settings(run: Run, complete: Path) -> None:
    assert prepare(run.text.inputs, complete, "--overwrite") == 0
    assert Manifest.load(complete).documents == with_tokens(run.text)


def test_an_interrupted_overwrite_keeps_the_old_corpus(run: Run, complete: Path) -> None:
    with interrupted(steps.Annotate, 2):
        assert prepare(run.text.inputs, complete, "--overwrite") == 130
    assert digests(complete) == digests(run.corpus)


def test_an_existing_folder_is_not_taken_for_rejected_documents(
    run: Run, tmp_path: Path, capsys: Captured, other: dict[str, Path]
) -> None:
    folder = other["words"].parent
    error = refused(capsys, prepare(run.text.inputs, tmp_path / "out", *run.text.flags(), "--rejected", str(folder)))
    assert f"--rejected {folder}: exists already; give another folder, or --overwrite" in error
    assert other["words"].exists()


def test_the_output_is_not_taken_for_rejected_documents(run: Run, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "out"
    error = refused(capsys, prepare(run.text.inputs, out, *run.text.flags(), "--rejected", str(out)))
    assert f"--rejected {out}: lies in the output" in error


def test_rejected_documents_inside_the_output_are_refused_or_kept(run: Run, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "out" / "rejected"
    status = prepare(run.text.inputs, tmp_path / "out", *run.text.flags(), "--rejected", str(folder))
    if status == 0:
        assert digests(folder) == digests(run.rejected)
    else:
        assert f"--rejected {folder}: " in refused(capsys, status)


def test_an_output_inside_an_input_folder_is_refused_or_its_files_are_no_input(
    tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "in.txt").write_text("重庆的银行。\n", encoding="utf-8")
    with interrupted(steps.Annotate, 0):
        status = prepare([tmp_path], tmp_path / "out")
    if status == 2:
        assert str(tmp_path / "out") in refused(capsys, status)
        return
    assert prepare([tmp_path], tmp_path / "out") == 0  # it goes on
    assert Manifest.load(tmp_path / "out").documents == 1
    assert prepare([tmp_path], tmp_path / "out") == 0  # it is complete
    assert prepare([tmp_path], tmp_path / "out", "--overwrite") == 0
    assert Manifest.load(tmp_path / "out").documents == 1


@pytest.mark.timeout(20)
def test_an_output_that_is_no_file_and_no_folder_is_refused_and_kept(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    os.mkfifo(tmp_path / "pipe")  # as a device: nothing that may be replaced
    error = refused(capsys, prepare(run.text.inputs, tmp_path / "pipe"))
    assert str(tmp_path / "pipe") in error
    assert (tmp_path / "pipe").is_fifo()


# --------------------------------------------------------------------------------------------------- words and readings


def annotated(corpus: Path) -> list[str]:
    """The words of a corpus, each with its syllables."""
    prepared = PreparedCorpus(corpus)
    tokenizer = prepared.load_tokenizer()
    words: list[str] = []
    for block in prepared.blocks:
        syllables = tokenizer.convert_pinyin_ids_to_syllables((block.pinyin_and_starts & 0x3FFF).tolist())
        tokens = tokenizer.convert_ids_to_tokens(block.input_ids.tolist())
        for token, syllable, packed in zip(tokens, syllables, block.pinyin_and_starts.tolist(), strict=True):
            if packed & 0x8000:
                words.append("")
            words[-1] += token + syllable
    return words


@pytest.fixture
def domain(tmp_path: Path) -> list[Path]:
    """A text with a word and a reading that only its domain knows."""
    (tmp_path / "in.txt").write_text("蓝莓布丁配方在重庆。", encoding="utf-8")
    return [tmp_path / "in.txt"]


def test_user_words_are_words_of_the_corpus(domain: list[Path], tmp_path: Path) -> None:
    (tmp_path / "words").write_text("蓝莓布丁配方\n", encoding="utf-8")
    assert prepare(domain, tmp_path / "out", "--words", str(tmp_path / "words")) == 0
    assert annotated(tmp_path / "out")[0] == "蓝lan2莓mei2布bu4丁ding1配pei4方fang1"
    assert Manifest.load(tmp_path / "out").segmenter.endswith(" with 1 user word")


USELESS_WORDS = "蓝莓布丁配方\nEdu Trust认证 2000\n卡尔·马克思\n蓝莓 0\n"


def test_user_words_that_jieba_cannot_find_are_skipped_counted_and_named(
    domain: list[Path], tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "words"
    path.write_text(USELESS_WORDS, encoding="utf-8")
    assert prepare(domain, tmp_path / "out", "--words", str(path)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(str(path))]
    assert [line.removeprefix(str(path))[:3] for line in lines] == [":2:", ":3:", ":4:", ": s"]
    assert lines[-1].endswith(": skipped 3 lines (the first are named above)")
    assert Manifest.load(tmp_path / "out").segmenter.endswith(" with 1 user word")


def test_a_user_word_that_jieba_cannot_find_is_refused_under_strict(
    domain: list[Path], tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "words"
    path.write_text(USELESS_WORDS, encoding="utf-8")
    error = refused(capsys, prepare(domain, tmp_path / "out", "--words", str(path), "--strict"))
    assert error.startswith(f"error: {path}:2: jieba cuts at ' '")


def test_user_words_reach_the_workers(domain: list[Path], tmp_path: Path) -> None:
    (tmp_path / "words").write_text("蓝莓布丁配方\n", encoding="utf-8")
    for workers in ("1", "2"):
        assert prepare(domain, tmp_path / workers, "--words", str(tmp_path / "words"), "--workers", workers) == 0
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_overridden_readings_are_those_of_the_corpus_and_of_its_tokenizer(domain: list[Path], tmp_path: Path) -> None:
    (tmp_path / "readings").write_text("重庆 zhong4 qing1 # by mistake\n", encoding="utf-8")
    assert prepare(domain, tmp_path / "out", "--readings", str(tmp_path / "readings")) == 0
    assert "重zhong4庆qing1" in annotated(tmp_path / "out")
    tokenizer = PreparedCorpus(tmp_path / "out").load_tokenizer()
    pinyin = tokenizer("重庆", add_special_tokens=False)["pinyin_ids"]
    assert tokenizer.convert_pinyin_ids_to_syllables(pinyin) == ["zhong4", "qing1"]
    assert " with 1 override" in Manifest.load(tmp_path / "out").readings


@pytest.mark.parametrize(
    ("flag", "content", "message"),
    [
        ("--words", "蓝莓，布丁\n布丁 配方\n", ":1: jieba cuts at '，'"),
        ("--words", "蓝莓 0\n", ":1: the frequency of '蓝莓' is 0; give at least 1"),
        ("--words", "\n \n", ": holds no words; write one a line"),
        ("--words", "蓝莓".encode("gbk"), ": cannot read the words"),
        (
            "--readings",
            "重庆 chong2 qing4\n重庆 chong2\n",
            r":2: '重庆' differs in its numbers of characters \(2\) and of syllables \(1\)",
        ),
        ("--readings", "重庆 chong2 qinq4\n", ":1: 'qinq4' is no syllable .* did you mean .*qing4"),
        ("--readings", "A股 a gu3\n", ":1: 'A' is not a Han character"),
        ("--readings", "# nothing\n", ": holds no readings; write lines such as"),
        ("--readings", "重庆".encode("gbk"), ": cannot read the readings"),
    ],
)
def test_a_bad_line_of_words_or_readings_is_named(
    domain: list[Path], tmp_path: Path, capsys: Captured, flag: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / "given"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    error = refused(capsys, prepare(domain, tmp_path / "out", flag, str(path)))
    assert re.search(f"^error: {path}{message}", error)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["given", "in.txt"]


@pytest.mark.parametrize("flag", ["--words", "--readings", "--cleaning", "--decontaminate"])
def test_a_given_file_that_is_not_there_is_named(
    domain: list[Path], tmp_path: Path, capsys: Captured, flag: str
) -> None:
    error = refused(capsys, prepare(domain, tmp_path / "out", flag, str(tmp_path / "none.yaml")))
    assert f"error: {tmp_path / 'none.yaml'}: " in error


# ------------------------------------------------------------------------------------------------------------ bad input

GOOD = "重庆的银行。长大！\n\n一个不是。\n\n" * 20


def _parquet(**columns: list[Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


# Name of the file -> its content, where it is bad, and why.
BAD_INPUTS: dict[str, tuple[bytes, str, str]] = {
    "line.txt": (GOOD.encode() + "坏行\n".encode("gbk") + GOOD.encode(), ":81", "not UTF-8"),
    "encoding.txt": (GOOD.encode("gb18030"), "", "not UTF-8, probably GB18030"),
    "cut.txt.gz": (gzip.compress(GOOD.encode() * 99)[:-9], "", "damaged gzip file"),
    "field.jsonl": ('{"text": "好"}\n{"body": "好"}\n'.encode(), ":2", "no field 'text'"),
    "columns.parquet": (_parquet(body=["好"]), "", "no column 'text'"),
    "numbers.parquet": (_parquet(text=[1]), "", "column 'text' is not text"),
    "cut.parquet": (_parquet(text=["好"] * 99)[:-9], "", "damaged Parquet file"),
    "empty.txt": (b"", "", "empty"),
    "empty.jsonl": (b"", "", "empty"),
    "empty.txt.gz": (b"", "", "damaged gzip file"),
    "empty.parquet": (b"", "", "damaged Parquet file"),
}


@pytest.fixture
def bad_input(tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """A good file, and the bad one that the test is about."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text(GOOD, encoding="utf-8")
    (folder / request.param).write_bytes(BAD_INPUTS[request.param][0])
    return [folder / "a.txt", folder / request.param]


@pytest.mark.parametrize("bad_input", BAD_INPUTS, indirect=True)
def test_bad_input_is_named_counted_and_skipped(bad_input: list[Path], tmp_path: Path, capsys: Captured) -> None:
    _, place, reason = BAD_INPUTS[bad_input[1].name]
    assert prepare(bad_input, tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert f"  {bad_input[1]}{place}: {reason}" in told
    remedy = {"encoding.txt": "iconv -f GB18030 -t UTF-8 FILE > NEW.txt", "columns.parquet": "with --text_field"}
    assert remedy.get(bad_input[1].name, "") in told
    (skipped,) = Manifest.load(tmp_path / "out").skipped.items()
    assert skipped[0].startswith(reason) and skipped[1] == 1
    assert Manifest.load(tmp_path / "out").documents >= 40


@pytest.mark.parametrize("bad_input", BAD_INPUTS, indirect=True)
def test_bad_input_is_refused_under_strict(bad_input: list[Path], tmp_path: Path, capsys: Captured) -> None:
    _, place, reason = BAD_INPUTS[bad_input[1].name]
    error = refused(capsys, prepare(bad_input, tmp_path / "out", "--strict"))
    assert error.startswith(f"error: {bad_input[1]}{place}: {reason}")
    assert not (tmp_path / "out").exists()


def test_a_file_that_only_repeats_blank_lines_is_no_corpus(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "in.txt").write_text("\n \n", encoding="utf-8")
    error = refused(capsys, prepare([tmp_path / "in.txt"], tmp_path / "out"))
    assert f"{tmp_path / 'in.txt'}: there is no text" in error


def test_nul_bytes_are_taken_out_and_named(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "in.txt").write_bytes(GOOD.encode() + "重\0庆".encode())
    assert prepare([tmp_path / "in.txt"], tmp_path / "out") == 0
    assert f"  {tmp_path / 'in.txt'}:81: NUL characters removed" in capsys.readouterr().out
    assert decoded_documents(tmp_path / "out")[-1] == "重 庆"


def test_records_that_were_read_before_strict_was_given_are_refused_all_the_same(
    tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "好"}\n{"body": "好"}\n', encoding="utf-8")
    with interrupted(steps.Annotate, 0):
        assert prepare([tmp_path / "in.jsonl"], tmp_path / "out") == 130
    capsys.readouterr()
    error = refused(capsys, prepare([tmp_path / "in.jsonl"], tmp_path / "out", "--strict"))
    assert f"{tmp_path / 'in.jsonl'}:2: no field 'text'" in error


@pytest.mark.slow
def test_a_single_line_of_200_mb_is_read(tmp_path: Path) -> None:
    with open(tmp_path / "in.txt", "w", encoding="utf-8") as file:
        for _ in range(670):
            file.write("重庆的银行。长大！" * 11_111)  # 100,000 characters, 300,000 bytes
    assert prepare([tmp_path / "in.txt"], tmp_path / "out", chunk=1_000_000) == 0
    assert Manifest.load(tmp_path / "out").tokens == 670 * 11_111 * 9


# ------------------------------------------------------------------------------------------------------------ full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of the given size; called again it changes the size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size: str) -> Path:
        option = f"remount,size={size}" if folder.is_mount() else f"size={size}"
        command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("may not mount a file system")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refused_for_lack_of_room(capsys: Captured, status: int, disk: Path) -> None:
    """The error names the disk or a file on it, and nothing looks complete."""
    error = refused(capsys, status).splitlines()[0]
    assert "No space left on device" in error and str(disk) in error
    assert [path.name for path in disk.iterdir()] in ([], ["corpus.unfinished"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_named_where_the_error_does_not_say_which_file_it_was(
    run: Run, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    def run_out_of_room(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as write() does

    monkeypatch.setattr(steps.Annotate, "run", run_out_of_room)
    error = refused(capsys, prepare(run.text.inputs, tmp_path / "out", "--workers", workers))
    assert error.startswith(f"error: {tmp_path / 'out.unfinished'}: No space left on device\n")


# The tokenizer takes 140 kB; then come chunks, pieces, shards and the tokenizer again.
@pytest.mark.parametrize(
    ("size", "workers"), [("40k", "1"), ("100k", "1"), ("150k", "1"), ("700k", "1"), ("700k", "2"), ("1400k", "2")]
)
def test_a_disk_that_fills_up_is_named_and_the_run_goes_on_when_there_is_room(
    run: Run, small_disk: Callable[[str], Path], capsys: Captured, size: str, workers: str
) -> None:
    disk = small_disk(size)
    flags = [*run.text.flags(), "--rejected", str(disk / "rejected"), "--workers", workers]
    refused_for_lack_of_room(capsys, prepare(run.text.inputs, disk / "corpus", *flags), disk)
    small_disk("50m")
    assert prepare(run.text.inputs, disk / "corpus", *flags) == 0
    assert digests(disk / "corpus") == digests(run.corpus)
    assert digests(disk / "rejected") == digests(run.rejected)


@pytest.mark.slow
def test_a_disk_may_fill_up_again_and_again(run: Run, small_disk: Callable[[str], Path], capsys: Captured) -> None:
    for size in itertools.count(60, 60):
        disk = small_disk(f"{size}k")
        flags = [*run.text.flags(), "--rejected", str(disk / "rejected")]
        status = prepare(run.text.inputs, disk / "corpus", *flags)
        if status == 0:
            break
        refused_for_lack_of_room(capsys, status, disk)
    assert size > 1000
    assert digests(disk / "corpus") == digests(run.corpus)
    assert digests(disk / "rejected") == digests(run.rejected)


# ------------------------------------------------------------------------------------------------------------- progress


@pytest.mark.slow
def test_the_progress_bar_shows_documents_speed_and_time_left(tmp_path: Path, run: Run) -> None:
    terminal, end = pty.openpty()
    ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    text = "\n\n".join(run.text.documents.values())
    (tmp_path / "in.txt").write_text(text * 6, encoding="utf-8")  # takes longer than the pause between two drawings
    flags = ["--cleaning", "web"]
    process = start([tmp_path / "in.txt"], tmp_path / "out", *flags, stderr=end, stdout=subprocess.DEVNULL)
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # at the end of the program the terminal is gone
        while piece := os.read(terminal, 4096):
            shown += piece
    os.close(terminal)
    assert process.wait() == 0
    bars = re.split("[\r\n]", shown.decode())
    assert any(
        re.search(r"cleaning: +\d+%.*\[\d\d:\d\d<\d\d:\d\d, .* characters/s, [\d,]+ documents\]", bar) for bar in bars
    )
    assert any(bar.startswith("annotating: 100%") for bar in bars)


def test_nothing_is_drawn_where_there_is_no_terminal(web_text: WebText, tmp_path: Path, capfd: Any) -> None:
    assert prepare(web_text.inputs, tmp_path / "out") == 0
    assert capfd.readouterr().err == ""


# ----------------------------------------------------------------------------------------------------------- properties

SOURCES = st.lists(st.integers(0, 40_000_000)).map(
    lambda sizes: [Source(f"/{number}.txt", "text", size) for number, size in enumerate(sizes)]
)


@given(SOURCES)
def test_groups_hold_every_source_once_and_in_order(sources: list[Source]) -> None:
    groups = group_sources(sources)
    assert list(itertools.chain.from_iterable(groups)) == sources
    assert all(groups)


@given(SOURCES)
def test_a_group_is_one_file_or_small_files(sources: list[Source]) -> None:
    for group in group_sources(sources):
        assert len(group) == 1 or (sum(source.size for source in group) <= stages._GROUP_BYTES)
        assert len(group) == 1 or all(source.size for source in group)  # a size that is not known may be large


@given(SOURCES)
def test_neighbouring_groups_would_not_fit_together(sources: list[Source]) -> None:
    known = [source for source in sources if source.size]
    for one, two in itertools.pairwise(group_sources(known)):
        assert sum(source.size for source in [*one, two[0]]) > stages._GROUP_BYTES


@given(st.integers(0, 1 << 50), st.integers(0, 1 << 50))
def test_more_input_never_makes_smaller_chunks(one: int, two: int) -> None:
    small, large = sorted((one, two))
    assert stages._SMALLEST_CHUNK <= chunk_characters(small) <= chunk_characters(large)


@given(st.integers(0, 1 << 50))
def test_there_are_not_many_more_chunks_than_the_most(size: int) -> None:
    chunks = size / 3 / chunk_characters(size)  # three bytes a character
    assert chunks <= stages._MOST_CHUNKS * 1.01


SETTINGS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("abc", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
TABLES = st.dictionaries(st.text("abc", min_size=1, max_size=2), SETTINGS, max_size=4)


def _is(one: Any, two: Any) -> bool:
    """Whether they are the same JSON; a key with null is as good as none."""
    if isinstance(one, dict) and isinstance(two, dict):
        return all(_is(one.get(key), two.get(key)) for key in one | two)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_is, one, two))
    return one == two


@given(TABLES, TABLES)
def test_nothing_has_changed_exactly_where_settings_are_equal(before: Any, now: Any) -> None:
    assert (changes(before, now) == []) == _is(before, now)


@given(TABLES)
def test_settings_that_went_through_a_file_are_unchanged(settings: Any) -> None:
    assert changes(json.loads(json.dumps(settings)), settings) == []


def test_a_change_is_named_by_its_way_through_the_settings() -> None:
    before = {"cleaning": [{"name": "length", "min_han": 10}, {"name": "encoding"}], "words": None}
    now = {"cleaning": [{"name": "length", "min_han": 20}, {"name": "encoding"}], "words": "x"}
    assert changes(before, now) == ["cleaning[0].min_han: 20, was 10", 'words: "x", was none']


def test_many_changes_are_counted_after_the_first_five() -> None:
    with pytest.raises(Exception, match=r"(?s)  e: 1, was 0\n  and 3 more\nremedy"):
        refuse_changes(dict.fromkeys("abcdefgh", 0), dict.fromkeys("abcdefgh", 1), Path("x"), "remedy")


def test_damaged_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(Exception, match=f"{tmp_path / 'settings.json'}: cannot be read"):
        load_settings(tmp_path / "settings.json")


# -------------------------------------------------------------------------------------------------------- other places


def test_overwriting_replaces_nothing_but_a_corpus(tmp_path: Path, web_text: WebText, capsys: Captured) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    error = refused(capsys, prepare(web_text.inputs, tmp_path / "mine", "--overwrite"))
    assert "is no prepared corpus" in error
    flags = ["--rejected", str(tmp_path / "mine"), "--overwrite", "--remove_duplicates"]
    assert "exists already" in refused(capsys, prepare(web_text.inputs, tmp_path / "out", *flags))
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_an_output_around_its_input_is_refused(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "in.txt").write_text("重庆的银行。", encoding="utf-8")
    error = refused(capsys, prepare([tmp_path / "text" / "in.txt"], tmp_path / "text", "--overwrite"))
    assert "this input lies in" in error
    assert (tmp_path / "text" / "in.txt").exists()


@pytest.mark.parametrize("pattern", ["*", "**", "**/*.txt", "*/*.json", "[a-z]*/", "out*/*/*.txt"])
def test_an_output_that_a_glob_of_the_input_finds_is_refused(tmp_path: Path, capsys: Captured, pattern: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/in.txt").write_text("重庆的银行。", encoding="utf-8")
    error = refused(capsys, prepare([tmp_path / "data" / pattern], tmp_path / "data/out"))
    assert f"{tmp_path}/data/out: lies in the input {tmp_path}/data/{pattern}".rstrip("/") in error


def test_rejected_documents_that_a_glob_of_the_input_finds_are_refused(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "data").mkdir()
    flags = ["--rejected", str(tmp_path / "data/rejected"), "--remove_duplicates"]
    error = refused(capsys, prepare([tmp_path / "data/*/*.gz"], tmp_path / "out", *flags))
    assert "data/rejected: lies in the input" in error


@pytest.mark.parametrize("pattern", ["*.txt", "text/*", "text/**/*.txt", "*/in.*", "**/*.warc.gz"])
def test_an_output_beside_what_a_glob_finds_is_allowed(pattern: str, tmp_path: Path) -> None:
    for name in ("data/in.txt", "data/text/in.txt", "data/text/deep/in.warc.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("重庆的银行。", encoding="utf-8")
    args = argparse.Namespace(input=[tmp_path / "data" / pattern], output=str(tmp_path / "data/out"), rejected=None)
    check_places(args)  # does not raise


def test_an_input_that_a_link_leads_to_in_the_output_is_refused(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/in.txt").write_text("重庆的银行。", encoding="utf-8")
    (tmp_path / "text").mkdir()
    (tmp_path / "text/linked").symlink_to(tmp_path / "out")
    error = refused(capsys, prepare([tmp_path / "text"], tmp_path / "out", "--overwrite"))
    assert f"{tmp_path}/text/linked: this input lies in {tmp_path}/out, which is to be written" in error


def test_an_output_that_is_a_url_is_refused(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "in.txt").write_text("重庆的银行。", encoding="utf-8")
    assert main(["corpus", "--input", str(tmp_path / "in.txt"), "--output", "s3://bucket/corpus"]) == 2
    assert "not to URLs" in capsys.readouterr().err


def test_preparing_text_does_not_wait_for_torch(tmp_path: Path) -> None:
    # It takes longer to load than a small corpus takes to prepare.
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(sample_documents()[:3]), encoding="utf-8")
    command = [sys.executable, "-X", "importtime", "-m", "data_prep", "corpus", "--input", str(path), "--output"]
    done = subprocess.run([*command, str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "chinesebert" in loaded
    assert "torch" not in loaded
