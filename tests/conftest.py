"""What the tests share: the bundled sample text, a small vocabulary over it, and corpora prepared from it."""

from pathlib import Path

import pytest
from hypothesis import settings

from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import SPECIAL_TOKEN_IDS

# A property test's first example may wait for a dictionary to load, or for a busy machine.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data_prep" / "sample"
SHARED = ROOT.parent / "shared"


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
def corpus(corpora_directory: Path) -> PreparedCorpus:
    """The prepared sample text."""
    return PreparedCorpus(corpora_directory / "train")
