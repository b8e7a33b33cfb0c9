"""The benchmark of corpus preparation: that it measures all it says, and compares what comes out."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import data_prep as benchmark
from benchmarks.original_chain import OriginalChain, split_sentences
from chinesebert.corpus.annotate import sentence_starts
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

CHARACTERS = 3_000


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a tiny run of the stages writes."""
    path = tmp_path_factory.mktemp("benchmark") / "figures.json"
    options = ["--characters", str(CHARACTERS), "--rounds", "2", "--json", str(path)]
    benchmark.main(["--sections", "stages", *options])
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_stage_is_timed_for_both(figures: dict[str, Any]) -> None:
    stages = figures["stages"]["stages"]
    assert list(stages) == list(benchmark.TARGETS)
    for figure in stages.values():
        assert set(figure["seconds"]) == set(figure["characters_per_second"]) == {"original", "ours"}
        assert all(len(seconds) == 2 for seconds in figure["seconds"].values())
        assert figure["ratio"] > 0


def test_the_outputs_of_both_are_compared_and_equal(figures: dict[str, Any]) -> None:
    assert figures["stages"]["different"] == {"token ids": 0, "syllables": 0, "word starts": 0}


def test_the_text_is_about_as_long_as_asked_for(figures: dict[str, Any]) -> None:
    assert CHARACTERS <= figures["stages"]["characters"] < 2 * CHARACTERS
    assert 4 < figures["stages"]["bytes_a_token"] < benchmark.BYTES_TARGET


def test_machine_and_versions_are_written_down(figures: dict[str, Any]) -> None:
    assert figures["machine"]["cores"]
    assert {"python", "jieba", "pypinyin", "tokenizers", "rjieba"} <= figures["versions"].keys()


def test_a_difference_would_be_seen(sample_paragraphs: list[str], tmp_path: Path) -> None:
    tokenizer = ChineseBertTokenizer.from_vocabulary()
    (tmp_path / "in.txt").write_text("重庆的银行。", encoding="utf-8")
    from data_prep.__main__ import main

    assert main(["corpus", "--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "corpus")]) == 0
    found = benchmark._differences(tmp_path / "corpus", ["重庆的很行。"], OriginalChain(), tokenizer)
    assert found["token ids"] == 1 and found["syllables"] >= 1


def test_sentences_joined_are_the_text(sample_paragraphs: list[str]) -> None:
    sentences = split_sentences(sample_paragraphs)
    assert "".join(sentences) == "".join(sample_paragraphs)
    assert all(sentence_starts(sentence).sum() == 1 for sentence in sentences)


def test_the_original_chain_says_what_its_three_calls_say() -> None:
    ids, syllables, starts = OriginalChain().annotate("重庆reading好")
    assert syllables[:2] == ["chong2", "qing4"] and syllables[-1] == "hao3"
    assert len(ids) == len(syllables) == len(starts)
    assert starts[:3] == [True, False, True] and starts[-1]


def test_documents_are_grouped_in_order_and_none_is_lost() -> None:
    texts = ["字" * 100_000, "词" * 200_000, "句", "篇" * 300_000]
    groups = benchmark.batches(texts)
    assert [text for group in groups for text in group] == texts
    assert len(groups) == 2


def test_a_text_is_repeated_up_to_a_length_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_FILE_CHARACTERS", 5)
    files = sorted(benchmark.write_text(tmp_path, ["一二三", "四五"], 12).iterdir())
    assert [file.read_text(encoding="utf-8").split() for file in files] == [
        ["一二三", "四五"],
        ["一二三", "四五"],
        ["一二三"],
    ]


def test_the_whole_command_is_timed_with_its_memory(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("重庆的银行。", encoding="utf-8")
    seconds, peak = benchmark.run_command(tmp_path / "in.txt", tmp_path / "corpus", 1)
    assert (tmp_path / "corpus" / "manifest.json").is_file()
    assert seconds > 0
    assert peak > 50_000_000  # Python with its packages


@pytest.mark.slow
def test_a_command_that_fails_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(subprocess.SubprocessError, match="exit status 2"):
        benchmark.run_command(tmp_path / "none.txt", tmp_path / "corpus", 1)


@pytest.mark.slow
def test_scaling_and_memory_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    options = ["--characters", "2000", "--corpus_characters", "20000", "--rounds", "1", "--json", str(path)]
    benchmark.main(["--sections", "scaling", "memory", *options])
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert set(figures["scaling"]["seconds"]) == {"1", "2"}
    assert set(figures["memory"]["peak_bytes"]) == {"2000", "20000"}
    assert figures["scaling"]["ratio"] > 0 and figures["memory"]["ratio"] > 0
