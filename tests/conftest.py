"""What the tests share: the bundled sample text, a small vocabulary over it, and corpora prepared from it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.glyph import FontSet, render_glyphs
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import SPECIAL_TOKEN_IDS, read_vocabulary
from tests.pretraining_runs import NO_DROPOUT, stage, write_sizes
from tests.rank_server import RankServer

# A property test's first example may wait for a dictionary to load, or for a busy machine.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# A shell starts what it runs in the background with Ctrl-C ignored, and processes that tests start would ignore it too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data_prep" / "sample"
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tokenized examples are kept in a folder of the tests, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHINESEBERT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data that is not part of the project; tests that need it skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("the folder of shared data is not beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def sample_paragraphs() -> list[str]:
    """Every paragraph of the bundled training text."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((SAMPLE / "train").glob("*.txt")))
    return [line for line in text.split("\n") if line]


@pytest.fixture(scope="session")
def small_vocabulary(tmp_path_factory: pytest.TempPathFactory, sample_paragraphs: list[str]) -> Path:
    """A vocabulary file with every character of the sample text (about 2,700 entries) and a few Latin pieces."""
    tokens = [f"[unused{number}]" for number in range(max(SPECIAL_TOKEN_IDS.values()) + 1)]
    for token, number in SPECIAL_TOKEN_IDS.items():
        tokens[number] = token
    characters = sorted(set("".join(sample_paragraphs).lower()) - {" "})
    pieces = ["python", "##ing", "read", "##a", "##e", "##n", "##s", "##t", "##0", "##1", "##2", "##5", "20"]
    tokens += characters + [piece for piece in pieces if piece not in characters]
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_bytes(("\n".join(tokens) + "\n").encode())
    return path


@pytest.fixture(scope="session")
def small_tokenizer(small_vocabulary: Path) -> ChineseBertTokenizer:
    """A tokenizer over the small vocabulary. Do not change it: tests share it."""
    return ChineseBertTokenizer.from_vocabulary(small_vocabulary)


@pytest.fixture(scope="session")
def tokenizer() -> ChineseBertTokenizer:
    """The default tokenizer. Do not change it: tests share it."""
    return ChineseBertTokenizer.from_vocabulary()


@pytest.fixture(scope="session")
def corpora_directory(tmp_path_factory: pytest.TempPathFactory, small_vocabulary: Path) -> Path:
    """A folder with ``train`` and ``heldout``: the sample text, prepared with the small vocabulary by the program."""
    from data_prep.__main__ import main

    directory = tmp_path_factory.mktemp("corpora")
    for part in ("train", "heldout"):
        command = ["corpus", "--input", str(SAMPLE / part), "--output", str(directory / part)]
        assert main([*command, "--tokenizer", str(small_vocabulary)]) == 0
    return directory


@pytest.fixture(scope="session")
def glyphs(tmp_path_factory: pytest.TempPathFactory, small_vocabulary: Path) -> Path:
    """A folder of glyph images of the small vocabulary."""
    directory = tmp_path_factory.mktemp("glyphs")
    tokens = read_vocabulary(small_vocabulary)
    render_glyphs(tokens, FontSet.from_yaml(ROOT / "fonts" / "default.yaml"), workers=2).save(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory, corpora_directory: Path, glyphs: Path) -> dict[str, Any]:
    """Settings of a run of a few seconds, with dropout, without an output_dir. Do not change it: tests share it."""
    return {
        "train_data": [str(corpora_directory / "train")],
        "glyphs": str(glyphs),
        "model": write_sizes(tmp_path_factory.mktemp("sizes") / "model.json"),
        "deepspeed": stage(1),
        "max_length": 64,
        "global_batch_size": 8,
        "per_device_train_batch_size": 4,
        "max_steps": 8,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_steps": 1000,
        "seed": 11,
        "report_to": "none",
        "disable_tqdm": True,
    }


@pytest.fixture(scope="session")
def exact_recipe(tiny_recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same without dropout, which ranks draw for themselves."""
    return tiny_recipe | {"model": write_sizes(tmp_path_factory.mktemp("sizes") / "model.json", **NO_DROPOUT)}


@pytest.fixture(scope="session")
def rank_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RankServer]:
    """Runs pretraining on ranks that need not import anything."""
    server = RankServer(tmp_path_factory.mktemp("ranks"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def corpus(corpora_directory: Path) -> PreparedCorpus:
    """The prepared sample text."""
    return PreparedCorpus(corpora_directory / "train")
