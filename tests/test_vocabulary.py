"""Reading vocabulary files with all their traps, and building one of BERT's layout from text."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chinesebert.errors import InputError
from chinesebert.tokenization_chinesebert import DEFAULT_VOCABULARY
from chinesebert.vocabulary import (
    SPECIAL_TOKENS,
    han_character,
    is_ordinary,
    read_vocabulary,
    vocabulary_sha256,
)
from data_prep.__main__ import main

BERT_LAYOUT = {0: "[PAD]", 1: "[unused1]", 99: "[unused99]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
SIZE = 8000


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes the bytes of a vocabulary file."""

    def write(content: bytes) -> Path:
        path = tmp_path / "vocab.txt"
        path.write_bytes(content)
        return path

    return write


def gb2312_hanzi() -> set[str]:
    return {
        bytes([0xA0 + row, 0xA0 + cell]).decode("gb2312", "ignore") for row in range(16, 88) for cell in range(1, 95)
    } - {""}


# -------------------------------------------------------------------------------------------------------------- reading

SPECIAL_LINES = "\n".join(SPECIAL_TOKENS) + "\n"


def test_only_line_feeds_end_a_line(write: Callable[[bytes], Path]) -> None:
    tokens = ["\u2028", "\x85", "\x0b", "\x1c", "后"]  # all of these end a line for str.splitlines
    path = write((SPECIAL_LINES + "\n".join(tokens) + "\n").encode())
    assert read_vocabulary(path) == [*SPECIAL_TOKENS, *tokens]


def test_an_empty_line_is_a_token_with_an_id(write: Callable[[bytes], Path]) -> None:
    assert read_vocabulary(write((SPECIAL_LINES + "\n后\n").encode())) == [*SPECIAL_TOKENS, "", "后"]


def test_the_last_line_may_lack_its_line_feed(write: Callable[[bytes], Path]) -> None:
    assert read_vocabulary(write((SPECIAL_LINES + "后").encode())) == [*SPECIAL_TOKENS, "后"]


def test_windows_line_ends_are_no_part_of_a_token(write: Callable[[bytes], Path]) -> None:
    assert read_vocabulary(write((SPECIAL_LINES + "后\n").replace("\n", "\r\n").encode())) == [*SPECIAL_TOKENS, "后"]


def test_a_space_is_part_of_its_token(write: Callable[[bytes], Path]) -> None:
    assert read_vocabulary(write((SPECIAL_LINES + " \n\u3000\n").encode()))[-2:] == [" ", "\u3000"]


def test_a_repeated_token_is_refused_with_both_lines(write: Callable[[bytes], Path]) -> None:
    path = write((SPECIAL_LINES + "后\n前\n后\n").encode())
    with pytest.raises(InputError, match=f"{path}: line 8 repeats '后' of line 6"):
        read_vocabulary(path)


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_a_missing_special_token_is_named(write: Callable[[bytes], Path], token: str) -> None:
    path = write(SPECIAL_LINES.replace(f"{token}\n", "").encode())
    with pytest.raises(InputError) as error:
        read_vocabulary(path)
    assert str(error.value).startswith(f"{path}: the vocabulary has no {token} ")
    assert "python -m data_prep vocab" in str(error.value)


def test_an_empty_file_is_refused(write: Callable[[bytes], Path]) -> None:
    with pytest.raises(InputError, match="has no"):
        read_vocabulary(write(b""))


def test_a_vocabulary_that_is_not_utf8_is_refused_with_the_place(write: Callable[[bytes], Path]) -> None:
    path = write(SPECIAL_LINES.encode() + "后".encode("gbk"))
    with pytest.raises(InputError, match=f"{path}: .*not UTF-8.*{len(SPECIAL_LINES)}"):
        read_vocabulary(path)


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_a_vocabulary_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / name}: cannot read"):
        read_vocabulary(tmp_path / name)


def test_the_released_vocabulary_keeps_all_its_ids(shared: Path) -> None:
    tokens = read_vocabulary(shared / "golden" / "tokenizer" / "vocab.txt")
    assert len(tokens) == 23_236
    assert {"", "\u2028"} <= set(tokens)


# --------------------------------------------------------------------------------------------------------------- tokens


def test_the_hash_of_a_vocabulary_is_that_of_its_file(write: Callable[[bytes], Path]) -> None:
    content = (SPECIAL_LINES + "后\n\u2028\n").encode()
    assert vocabulary_sha256(read_vocabulary(write(content))) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("token", ["人", "##人", "〇", "㐀", "\U00020bb7", "\U0003134a", "豈"])
def test_a_han_token_stands_for_its_character(token: str) -> None:
    assert han_character(token) == token[-1]


@pytest.mark.parametrize("token", ["", "a", "##a", "，", "か", "人人", "[MASK]", "##", "人\n", "###人"])
def test_other_tokens_stand_for_no_han_character(token: str) -> None:
    assert han_character(token) is None


@pytest.mark.parametrize("token", [*SPECIAL_TOKENS, "[unused1]", "<S>", "<T>", "", " ", "\u2028"])
def test_a_token_that_prints_nothing_is_not_ordinary(token: str) -> None:
    assert not is_ordinary(token)


@pytest.mark.parametrize("token", ["人", "##ing", "，", "[", "unused1"])
def test_a_token_of_text_is_ordinary(token: str) -> None:
    assert is_ordinary(token)


# ------------------------------------------------------------------------------------------------------------- building


@pytest.fixture(scope="module")
def built_twice(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Vocabularies that two processes, with different hash seeds, built from the sample text at the same time."""
    paths = [tmp_path_factory.mktemp("built") / "vocab.txt" for _ in range(2)]
    sample = root / "data_prep" / "sample" / "train"
    latin = tmp_path_factory.mktemp("latin") / "latin.txt"
    latin.write_text("".join(f"python {n * 7919:x} q{n * n}wertyuiopasdfghjklzxcvbnm\n" * 2 for n in range(1000)))
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "data_prep", "vocab", "--input", str(sample), str(latin), "--output", str(path)]
            + ["--size", str(SIZE), "--min_count", "2"],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            stdout=subprocess.DEVNULL,
        )
        for seed, path in enumerate(paths, start=1)
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    return paths


def test_two_runs_build_the_same_bytes(built_twice: list[Path]) -> None:
    first, second = built_twice
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".json").read_bytes() == second.with_suffix(".json").read_bytes()


def test_the_first_ids_are_those_of_bert(built_twice: list[Path]) -> None:
    tokens = read_vocabulary(built_twice[0])
    assert {number: tokens[number] for number in BERT_LAYOUT} == BERT_LAYOUT


def test_every_hanzi_of_gb2312_has_an_id(built_twice: list[Path]) -> None:
    assert len(gb2312_hanzi()) == 6763
    assert gb2312_hanzi() - set(read_vocabulary(built_twice[0])) == set()


def test_the_size_is_the_one_asked_for(built_twice: list[Path]) -> None:
    assert len(read_vocabulary(built_twice[0])) == SIZE


def test_a_frequent_latin_word_and_all_letters_as_pieces_are_in(built_twice: list[Path]) -> None:
    tokens = set(read_vocabulary(built_twice[0]))
    assert "python" in tokens
    assert {f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"} <= tokens


def test_the_provenance_names_the_inputs_without_anybodys_folders(built_twice: list[Path], root: Path) -> None:
    text = built_twice[0].with_suffix(".json").read_text(encoding="utf-8")
    provenance = json.loads(text)
    news = root / "data_prep" / "sample" / "train" / "news.txt"
    assert provenance["inputs"]["news.txt"] == hashlib.sha256(news.read_bytes()).hexdigest()
    assert provenance["entries"] == SIZE
    assert provenance["sha256"] == hashlib.sha256(built_twice[0].read_bytes()).hexdigest()
    assert str(root) not in text


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A text with one character outside GB2312 five times and one four times."""
    path = tmp_path / "text.txt"
    path.write_text("龘龘龘龘龘靐靐靐靐 Café ＡＢＣ 中文\n", encoding="utf-8")
    return path


def build(text_file: Path, *flags: str) -> list[str]:
    output = text_file.parent / "built" / "vocab.txt"
    assert main(["vocab", "--input", str(text_file), "--output", str(output), *flags]) == 0
    return read_vocabulary(output)


def test_a_character_outside_gb2312_must_be_frequent(text_file: Path) -> None:
    tokens = build(text_file, "--min_count", "5")
    assert ("龘" in tokens, "靐" in tokens) == (True, False)


def test_characters_are_counted_as_the_tokenizer_will_see_them(text_file: Path) -> None:
    tokens = build(text_file, "--min_count", "1")
    assert {"ａ", "c", "e"} <= set(tokens)  # full-width letters are lowered too, é loses its accent
    assert {"Ａ", "C", "é"} & set(tokens) == set()


def test_a_size_without_room_for_the_characters_is_refused(
    text_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "out" / "vocab.txt"
    assert main(["vocab", "--input", str(text_file), "--output", str(output), "--size", "500"]) == 2
    assert capsys.readouterr().err.startswith("error: --size 500 is too small")
    assert not output.exists()


def test_a_text_without_a_character_is_refused_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    assert main(["vocab", "--input", str(tmp_path / "empty.txt"), "--output", str(tmp_path / "vocab.txt")]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "empty.txt") in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


def test_an_output_called_json_is_still_the_vocabulary(text_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "vocab.json"
    status = main(["vocab", "--input", str(text_file), "--output", str(output)])
    assert status == 2 or read_vocabulary(output)[103] == "[MASK]"


# ----------------------------------------------------------------------------------------------- the default vocabulary


@pytest.fixture(scope="module")
def default_tokens() -> list[str]:
    return read_vocabulary(DEFAULT_VOCABULARY)  # which refuses repeated tokens


def test_the_default_vocabulary_has_the_size_of_the_released_one(default_tokens: list[str]) -> None:
    assert 21_000 <= len(default_tokens) <= 24_000


def test_the_default_vocabulary_is_the_one_that_its_provenance_describes(default_tokens: list[str]) -> None:
    provenance = json.loads(DEFAULT_VOCABULARY.with_suffix(".json").read_text(encoding="utf-8"))
    assert provenance["sha256"] == hashlib.sha256(DEFAULT_VOCABULARY.read_bytes()).hexdigest()
    assert provenance["entries"] == len(default_tokens)


def test_the_default_vocabulary_has_the_layout_of_bert(default_tokens: list[str]) -> None:
    assert {number: default_tokens[number] for number in BERT_LAYOUT} == BERT_LAYOUT


def test_the_default_vocabulary_has_every_hanzi_of_gb2312(default_tokens: list[str]) -> None:
    assert gb2312_hanzi() - set(default_tokens) == set()


@pytest.mark.parametrize(
    "text", ["37.5℃", "¥100", "100㎡", "3×4", "ＡＢＣ１２３", "好😂😂吧", "①②★★→→", "二〇〇八", "あの"]
)
def test_symbols_joined_to_their_neighbours_are_known_to_the_default_vocabulary(text: str) -> None:
    from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

    assert "[UNK]" not in ChineseBertTokenizer.from_vocabulary().tokenize(text)
