"""Runs of ``data_prep corpus`` for tests: text with something for every filter, small chunks, and what came out."""

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.pinyin import Readings
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import SPECIAL_TOKEN_IDS
from data_prep.__main__ import main
from data_prep.pipeline import stages
from data_prep.pipeline.workspace import UnfinishedFolder

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data_prep" / "sample"
CHUNK = 4_000
CLEANING = """
steps:
  - {name: encoding}
  - {name: personal_data}
  - {name: length, min_han: 10}
  - {name: han_share}
duplicates: {buckets: 4, hashes_per_bucket: 4}
decontamination: {}
"""
# What the subprocesses run: chunks and groups of files are so large that a test would otherwise have one of each.
_WITH_SMALL_CHUNKS = """
import sys
import data_prep.pipeline.stages as stages
stages._SMALLEST_CHUNK, stages._GROUP_BYTES = int(sys.argv.pop(1)), 1
from data_prep.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def sample_documents(part: str = "train") -> list[str]:
    """The documents of the bundled sample text, paragraphs on lines."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((SAMPLE / part).glob("*.txt"))]
    return [document.strip() for text in texts for document in text.split("\n\n") if document.strip()]


@dataclass(frozen=True)
class WebText:
    """Input with documents that are kept, changed, and dropped by every step of ``CLEANING``.

    Attributes:
        inputs: a text file and a file of JSON lines, two lines of which are bad.
        evaluation: what one document has leaked from.
        cleaning: the file of steps.
        documents: where it stands -> text, of all that can be read, in order.
    """

    inputs: tuple[Path, Path]
    evaluation: Path
    cleaning: Path
    documents: dict[str, str]

    def flags(self) -> list[str]:
        """All cleaning there is."""
        return ["--cleaning", str(self.cleaning), "--decontaminate", str(self.evaluation)]


def write_web_text(folder: Path) -> WebText:
    """Writes the files: some 50,000 characters, 13 chunks of ``CHUNK``."""
    good = sample_documents()
    leaked = sample_documents("heldout")[0]
    first = [*good[:60], "好", "This page is in English. " * 20 + "这一页只有十几个汉字而已", good[3], leaked]
    second = [*good[60:], _with_changes(good[70]), "联系电话：13812345678，欢迎随时来电咨询。", good[61], "\ufffd" * 40]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.txt").write_text("\n\n".join(first) + "\n", encoding="utf-8")
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in second]
    lines[5:5] = ["{not json", '{"body": "x"}']
    (folder / "b.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / "dev.txt").write_text(leaked, encoding="utf-8")
    (folder / "cleaning.yaml").write_text(CLEANING, encoding="utf-8")
    inputs = folder / "a.txt", folder / "b.jsonl"
    starts = [1 + sum(text.count("\n") + 2 for text in first[:number]) for number in range(len(first))]
    documents = {f"{inputs[0]}:{line}": text for line, text in zip(starts, first, strict=True)}
    numbers = [line for line in range(1, len(lines) + 1) if line not in (6, 7)]
    documents |= {f"{inputs[1]}:{line}": text for line, text in zip(numbers, second, strict=True)}
    return WebText(inputs, folder / "evaluation", folder / "cleaning.yaml", documents)


def _with_changes(text: str) -> str:
    """A near duplicate: every 200th character is another."""
    return "".join("某" if place % 200 == 199 and sign >= "\u4e00" else sign for place, sign in enumerate(text))


@functools.cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory()  # removed when the tests end


@functools.cache
def quick_tokenizer() -> Path:
    """A saved tokenizer of the characters of the sample text: the default one takes half a second of every run."""
    characters = set("".join([*sample_documents(), *sample_documents("heldout"), "蓝莓布丁配方"]).lower()) - {" ", "\n"}
    tokens = [f"[unused{number}]" for number in range(max(SPECIAL_TOKEN_IDS.values()) + 1)]
    for token, number in SPECIAL_TOKEN_IDS.items():
        tokens[number] = token
    vocabulary = Path(_folder().name) / "vocab.txt"
    vocabulary.write_text("\n".join([*tokens, *sorted(characters)]) + "\n", encoding="utf-8")
    tokenizer = ChineseBertTokenizer.from_vocabulary(vocabulary)
    known = Readings.from_pypinyin()
    tokenizer.readings = Readings(
        {character: syllable for character, syllable in known.characters.items() if character in characters},
        {"重庆": known.phrases["重庆"], "银行": known.phrases["银行"]},
        "pypinyin, a part",
    )
    tokenizer.save_pretrained(Path(_folder().name) / "tokenizer")
    return Path(_folder().name) / "tokenizer"


def corpus_command(inputs: Sequence[Path], output: Path, *flags: str) -> list[str]:
    """The arguments of the program; with the quick tokenizer where no other is given."""
    tokenizer = [] if "--tokenizer" in flags else ["--tokenizer", str(quick_tokenizer())]
    return ["corpus", "--input", *map(str, inputs), "--output", str(output), *tokenizer, *flags]


def prepare(inputs: Sequence[Path], output: Path, *flags: str, chunk: int = CHUNK, group_bytes: int = 1) -> int:
    """Runs the program in this process, with small chunks and a task for each file; returns its exit status."""
    with small_chunks(chunk, group_bytes):
        return main(corpus_command(inputs, output, *flags))


@contextlib.contextmanager
def small_chunks(characters: int = CHUNK, group_bytes: int = 1) -> Iterator[None]:
    """Chunks of so many characters, and a task for each input file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_SMALLEST_CHUNK", characters)
        patch.setattr(stages, "_GROUP_BYTES", group_bytes)
        yield


def start(inputs: Sequence[Path], output: Path, *flags: str, **options: object) -> "subprocess.Popen[str]":
    """Starts the program with small chunks as the first process of a new group, its output in a pipe."""
    command = [sys.executable, "-c", _WITH_SMALL_CHUNKS, str(CHUNK), *corpus_command(inputs, output, *flags)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **(streams | options))  # type: ignore[call-overload]


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def decoded_documents(corpus: Path) -> list[str]:
    """The documents of a corpus as the tokens that they became, in order."""
    prepared = PreparedCorpus(corpus)
    tokens = prepared.load_tokenizer().tokens()
    found = []
    for block in prepared.blocks:
        for start, end in zip(block.document_starts[:-1], block.document_starts[1:], strict=True):
            found.append(" ".join(tokens[number] for number in block.input_ids[start:end]))
    return found


def unfinished_folder(output: Path) -> Path:
    """Where an unfinished run keeps its work."""
    return UnfinishedFolder.beside(output).directory


def workspace_of(output: Path) -> Path:
    """The folder of the run that is at work, or was; a name that nothing has where there is none."""
    workspace = UnfinishedFolder.beside(output).workspace()
    return workspace.directory if workspace else unfinished_folder(output) / "none"


def completed_tasks(output: Path) -> list[str]:
    """``STAGE/TASK`` of every task that a run has completed so far."""
    done = (workspace_of(output) / "logs").glob("*/completions/*")
    return sorted(f"{path.parent.parent.name}/{path.name}" for path in done)


def processes_of_group(group: int) -> list[int]:
    """The processes of a process group that are alive."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            # pid (name) state parent group …; the name may hold spaces
            state, _, of_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z" and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found
