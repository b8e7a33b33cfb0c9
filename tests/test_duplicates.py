"""Of documents that are alike the first is kept, whatever the number of chunks, workers and interrupted tries."""

import pickle
import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

import data_prep.duplicates
from chinesebert.errors import InputError
from data_prep.duplicates import (
    ChooseKept,
    DropDuplicates,
    DuplicateSettings,
    NearMatches,
    Signatures,
    dropped_documents,
    matching_stages,
    minhash_signatures,
)
from data_prep.ngrams import (
    NormalisedTexts,
    document_batches,
    han_table,
    letters_table,
    ngram_hashes,
    prefix_sums,
    span_hashes,
)
from data_prep.signature_files import SignatureFiles

DEFAULT = DuplicateSettings()
HAN = [chr(code) for code in range(0x4E00, 0x9FA6)]


def han(number: int, length: int) -> str:
    """Random Han characters, different ones for every number."""
    return "".join(random.Random(number).choices(HAN, k=length))


def chunks_of(texts: Iterable[str], size: int = 2) -> list[list[Document]]:
    """Documents with ids d0, d1 …, ``size`` a chunk."""
    documents = [Document(text=text, id=f"d{number}") for number, text in enumerate(texts)]
    return [documents[start : start + size] for start in range(0, len(documents), size)]


def compare(folder: Path, chunks: list[list[Document]], wanted: DuplicateSettings = DEFAULT) -> None:
    """Everything up to the decision which documents are dropped."""
    for rank, chunk in enumerate(chunks):
        Signatures(folder, wanted).run(iter(chunk), rank, len(chunks))
    match(folder, len(chunks), wanted)


def match(folder: Path, chunks: int, wanted: DuplicateSettings = DEFAULT) -> None:
    """The stages after the signatures."""
    for _, steps, tasks in matching_stages(folder, wanted, chunks):
        for rank in range(tasks):
            for step in steps:
                step.run(None, rank, tasks)


def drop(folder: Path, chunks: list[list[Document]]) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """The ids that stay, and id -> (reason, detail) of the dropped documents."""
    kept: list[str] = []
    rejected: list[Document] = []
    for rank, chunk in enumerate(chunks):
        step = DropDuplicates(folder)
        step.rejected = rejected
        kept += [document.id for document in step.run(iter(chunk), rank, len(chunks))]
    return kept, {document.id: (document.metadata["reason"], document.metadata["detail"]) for document in rejected}


@pytest.fixture
def deduplicate(tmp_path: Path) -> Callable[..., tuple[list[str], dict[str, tuple[str, str]]]]:
    """Texts -> what ``drop`` says about them."""

    def run(texts: list[str], wanted: DuplicateSettings = DEFAULT, size: int = 2) -> Any:
        chunks = chunks_of(texts, size)
        compare(tmp_path, chunks, wanted)
        return drop(tmp_path, chunks)

    return run


# ------------------------------------------------------------------------------------------------------------- settings


def test_settings_come_from_a_section_and_go_to_json() -> None:
    given_settings = DuplicateSettings.from_section({"near": False, "similarity": 0.8}, "web.yaml: duplicates")
    assert asdict(given_settings) == {**asdict(DEFAULT), "near": False, "similarity": 0.8}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"similarty": 0.8}, "unknown setting 'similarty'"),
        ({"similarity": 70}, "similarity: 70.0 is out of range"),
        ({"buckets": 2.5}, "buckets: 2.5 is not a whole number"),
        ({"near": "yes"}, "near: 'yes' is not true or false"),
        ({"n_grams": 0}, "n_grams: 0 is out of range"),
    ],
)
def test_wrong_settings_are_refused_by_name(section: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"web.yaml: duplicates: {message}"):
        DuplicateSettings.from_section(section, "web.yaml: duplicates")


# ----------------------------------------------------------------------------------------------------- exact duplicates


@pytest.mark.parametrize(
    "copy",
    [
        "今天天气很好，我们去公园。ＡＢＣ１２３",
        "今天天气很好！\n我们去公园abc 123",
        "「今天天气很好我们去公园」ABC—123",
    ],
)
def test_a_text_that_differs_in_punctuation_width_and_case_only_is_an_exact_duplicate(
    deduplicate: Callable[..., Any], copy: str
) -> None:
    kept, dropped = deduplicate(["今天天气很好,我们去公园.ABC123", copy])
    assert (kept, dropped) == (["d0"], {"d1": ("exact duplicate", "of d0")})


def test_texts_too_short_for_an_n_gram_can_be_exact_duplicates(deduplicate: Callable[..., Any]) -> None:
    assert deduplicate(["好。", "不好", "好"]) == (["d0", "d1"], {"d2": ("exact duplicate", "of d0")})


def test_texts_without_any_letter_are_compared_as_they_are(deduplicate: Callable[..., Any]) -> None:
    assert deduplicate(["……", "！！！", "……"]) == (["d0", "d1"], {"d2": ("exact duplicate", "of d0")})


def test_traditional_and_simplified_texts_are_different(deduplicate: Callable[..., Any]) -> None:
    assert deduplicate(["國際電話", "国际电话"])[1] == {}


def test_exact_duplicates_alone_leave_near_ones(deduplicate: Callable[..., Any]) -> None:
    text = han(1, 200)
    kept, _ = deduplicate([text, text + "好", text], DuplicateSettings(near=False))
    assert kept == ["d0", "d1"]


# ------------------------------------------------------------------------------------------------------ near duplicates


def test_a_text_with_an_added_sentence_is_a_near_duplicate_of_the_first(deduplicate: Callable[..., Any]) -> None:
    text = han(1, 200)
    kept, dropped = deduplicate([han(2, 200), text, han(3, 200), text + "转自" + han(4, 10)])
    reason, detail = dropped.pop("d3")
    assert (kept, dropped, reason) == (["d0", "d1", "d2"], {}, "near duplicate")
    name, _, similarity = detail.partition(", similarity ")
    assert name == "of d1"
    assert float(similarity) == pytest.approx(196 / 208, abs=0.07)  # three standard errors


def test_a_document_is_dropped_once_for_the_first_of_its_kind(deduplicate: Callable[..., Any]) -> None:
    text = han(1, 200)
    kept, dropped = deduplicate([text + "甲", text + "乙", text + "甲。", text + "丙"])
    assert kept == ["d0"]
    assert {name: (reason, detail[:5]) for name, (reason, detail) in dropped.items()} == {
        "d1": ("near duplicate", "of d0"),
        "d2": ("exact duplicate", "of d0"),
        "d3": ("near duplicate", "of d0"),
    }


def test_unlike_ends_of_a_chain_both_stay(deduplicate: Callable[..., Any]) -> None:
    text = han(1, 2800)
    # Each shares two thirds with the next, the first only 0.43 with the last.
    kept, dropped = deduplicate([text[:2000], text[400:2400], text[800:]], DuplicateSettings(similarity=0.55))
    assert (kept, list(dropped)) == (["d0", "d2"], ["d1"])


def test_an_exact_copy_of_a_near_duplicate_is_dropped_for_the_kept_document(deduplicate: Callable[..., Any]) -> None:
    text = han(1, 200)
    _, dropped = deduplicate([text, text + "好", text + "好。"])
    assert dropped["d2"] == dropped["d1"]
    assert dropped["d2"][0] == "near duplicate"


def test_a_long_chain_needs_no_deep_recursion(deduplicate: Callable[..., Any]) -> None:
    text = han(1, 3 * 3000 + 60)
    windows = [text[start : start + 60] for start in range(0, 9000, 3)]
    kept, dropped = deduplicate(windows, DuplicateSettings(similarity=0.6), size=500)
    assert kept[0] == "d0"
    assert 300 < len(kept) < 1200  # windows three characters on are 0.9 alike, twelve on 0.65
    assert len(kept) + len(dropped) == 3000


def test_documents_with_half_their_text_in_common_all_stay(deduplicate: Callable[..., Any]) -> None:
    template = han(0, 150)
    assert deduplicate([template + han(number, 150) for number in range(1, 200)], size=50)[1] == {}


def test_real_texts_with_a_changed_character_in_seventy_are_found(
    deduplicate: Callable[..., Any], sample_paragraphs: list[str]
) -> None:
    texts = list(dict.fromkeys(text for text in sample_paragraphs if len(text) >= 100))
    changed = ["".join("龘" if place % 70 == 35 else c for place, c in enumerate(text)) for text in texts]
    _, dropped = deduplicate(texts + changed, size=64)
    expected = {f"d{number + len(texts)}": f"of d{number}" for number in range(len(texts))}
    found = {name: detail.partition(",")[0] for name, (_, detail) in dropped.items()}
    assert found.items() <= expected.items()
    assert len(found) > 0.98 * len(expected)


@given(st.lists(st.text("天地玄黄宇宙", min_size=1, max_size=12), min_size=1, max_size=12), st.integers(1, 4))
def test_every_different_text_keeps_its_first_document(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int
) -> None:
    folder, chunks = tmp_path_factory.mktemp("exact"), chunks_of(texts, size)
    compare(folder, chunks, DuplicateSettings(near=False))
    assert drop(folder, chunks)[0] == [f"d{texts.index(text)}" for text in dict.fromkeys(texts)]


@settings(max_examples=30)
@given(st.lists(st.text("天地", min_size=1, max_size=30), min_size=1, max_size=12), st.integers(1, 4))
def test_every_dropped_document_resembles_an_earlier_kept_one(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int
) -> None:
    folder, chunks = tmp_path_factory.mktemp("near"), chunks_of(texts, size)
    lenient = DuplicateSettings(n_grams=3, similarity=0.5)
    compare(folder, chunks, lenient)
    kept, dropped = drop(folder, chunks)
    signatures = minhash_signatures(NormalisedTexts(texts, letters_table()), lenient)
    for name, (reason, detail) in dropped.items():
        document, earlier = int(name[1:]), int(detail.removeprefix("of d").partition(",")[0])
        assert earlier < document and f"d{earlier}" in kept
        same = texts[document] == texts[earlier]
        assert same if reason == "exact duplicate" else np.mean(signatures[document] == signatures[earlier]) >= 0.5


# ----------------------------------------------------------------------------------------------------------- signatures


def test_estimated_similarity_has_no_bias_and_the_error_of_theory() -> None:
    errors = []
    for trial in range(300):
        text = han(trial, 1004)  # 1,000 n-grams, of which each half has 750: half of all are common
        signatures = minhash_signatures(NormalisedTexts([text[:754], text[250:]], letters_table()), DEFAULT)
        errors.append(np.mean(signatures[0] == signatures[1]) - 0.5)
    assert abs(np.mean(errors)) < 3 * 0.0456 / 300**0.5
    assert np.std(errors) == pytest.approx((0.25 / 120) ** 0.5, rel=0.15)


@given(st.lists(st.text("天地玄黄，abc１", max_size=15), min_size=1, max_size=6))
def test_a_signature_does_not_depend_on_the_texts_around_it(texts: list[str]) -> None:
    together = minhash_signatures(NormalisedTexts(texts, letters_table()), DEFAULT)
    alone = [minhash_signatures(NormalisedTexts([text], letters_table()), DEFAULT)[0] for text in texts]
    assert np.array_equal(together, alone)


@given(st.text("天地玄黄", min_size=1, max_size=20), st.text("天地玄黄", max_size=20), st.text(max_size=20))
def test_a_run_of_characters_has_one_hash_wherever_it_stands(run: str, before: str, after: str) -> None:
    alone = prefix_sums(NormalisedTexts([run], han_table()).codes)
    among = prefix_sums(NormalisedTexts([before + run + after], han_table()).codes)
    start = np.array([len(before)])
    expected = span_hashes(alone, np.array([0]), np.array([len(run)]))
    assert expected == span_hashes(among, start, start + len(run))
    assert expected == ngram_hashes(among, len(run))[start]


def test_different_runs_have_different_hashes() -> None:
    codes = NormalisedTexts([han(1, 200_000)], han_table()).codes
    assert len(np.unique(ngram_hashes(prefix_sums(codes), 7))) == 200_000 - 6


@pytest.mark.parametrize(
    ("text", "normalised"),
    [("Ａ１，ｂ！", "a1b"), ("〇 ㎏ ﬁ ①", "〇ﬁ1"), ("⼀豈", "一豈"), ("𠀀\U000e0041é½", "𠀀é½"), ("。\n", "")],
)
def test_normalisation_keeps_letters_digits_and_han_in_one_form(text: str, normalised: str) -> None:
    assert "".join(map(chr, NormalisedTexts([text], letters_table()).codes)) == normalised


def test_batches_hold_whole_documents_in_order() -> None:
    documents = [Document(text="字" * length, id=str(length)) for length in (3, 0, 9, 2, 1)]
    assert [[len(document.text) for document in batch] for batch in document_batches(documents, 5)] == [
        [3, 0, 9],
        [2, 1],
    ]


# ---------------------------------------------------------------------------------------- workers, kills and leftovers


@pytest.fixture(scope="module")
def corpus() -> list[list[Document]]:
    """Five chunks, the fourth of them empty, with duplicates across them."""
    generator = random.Random(1)
    texts: list[str] = []
    for number in range(120):
        original = generator.choice(texts) if texts and number % 3 == 0 else han(number, generator.randint(2, 300))
        texts.append(original + "好" * (number % 2))
    chunks = chunks_of(texts, 30)
    return [*chunks[:3], [], chunks[3]]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_datatrove_executors_give_the_same_for_any_number_of_workers(
    tmp_path: Path, corpus: list[list[Document]]
) -> None:
    from datatrove.executor import LocalPipelineExecutor

    few_tasks = DuplicateSettings(buckets=4)
    compare(tmp_path / "steps", corpus, few_tasks)
    source = tmp_path / "chunks.pickle"
    source.write_bytes(pickle.dumps(corpus))
    for workers in (1, 2):
        folder = tmp_path / f"workers-{workers}"
        stages = [("signatures", [PickledChunk(source), Signatures(folder, few_tasks)], len(corpus))]
        for name, pipeline, tasks in stages + matching_stages(folder, few_tasks, len(corpus)):
            logs = str(tmp_path / "logs" / str(workers) / name)
            LocalPipelineExecutor(pipeline, tasks=tasks, workers=workers, logging_dir=logs).run()
        assert files(folder) == files(tmp_path / "steps")


class PickledChunk:
    """A reader: yields chunk ``rank``."""

    def __init__(self, source: Path):
        self.source = source

    def __call__(self, data: None, rank: int, world_size: int) -> Iterable[Document]:
        return iter(pickle.loads(self.source.read_bytes())[rank])


def test_the_number_of_documents_sorted_at_once_does_not_matter(
    tmp_path: Path, corpus: list[list[Document]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(tmp_path / "at-once", corpus)
    monkeypatch.setattr(data_prep.duplicates, "_DOCUMENTS_AT_ONCE", 7)
    monkeypatch.setattr(data_prep.duplicates, "_SIGNATURES_AT_ONCE", 2)
    compare(tmp_path / "in-parts", corpus)
    outcomes = [drop(tmp_path / name, corpus) for name in ("at-once", "in-parts")]
    assert outcomes[0] == outcomes[1] and outcomes[0][1]


def test_one_large_group_is_compared_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count, at_once = 300, 16
    random_numbers = np.random.RandomState(0)
    kinds = random_numbers.randint(0, 1 << 32, (5, 20, 6), dtype=np.uint32)
    signatures = kinds[random_numbers.randint(0, 5, count)].transpose(1, 0, 2)
    signatures[0] = 7  # so that they all share the first bucket
    files = SignatureFiles(tmp_path, 1)
    files.write(0, [b"d"] * count, np.arange(2 * count, dtype=np.uint64).reshape(-1, 2), signatures)
    files.write_pairs("exact", [])
    NearMatches(tmp_path, DEFAULT, 1).run()
    expected = sorted(files.read_pairs("near-000").tolist())

    sizes: list[int] = []
    rows = SignatureFiles.rows
    monkeypatch.setattr(data_prep.duplicates, "_SIGNATURES_AT_ONCE", at_once)
    monkeypatch.setattr(SignatureFiles, "rows", lambda self, numbers: sizes.append(len(numbers)) or rows(self, numbers))
    NearMatches(tmp_path, DEFAULT, 1).run()
    assert sorted(files.read_pairs("near-000").tolist()) == expected
    assert len(expected) == count - 5
    assert max(sizes) <= at_once + 5


def test_tasks_may_run_again_in_any_order(tmp_path: Path, corpus: list[list[Document]]) -> None:
    compare(tmp_path / "once", corpus)
    for rank in (4, 0, 2, 2, 3, 1, 0):
        Signatures(tmp_path / "again", DEFAULT).run(iter(corpus[rank]), rank, len(corpus))
    match(tmp_path / "again", len(corpus))
    ChooseKept(tmp_path / "again", DEFAULT, len(corpus)).run()
    assert files(tmp_path / "again") == files(tmp_path / "once")


def test_a_task_that_dies_leaves_nothing_that_looks_complete(tmp_path: Path, corpus: list[list[Document]]) -> None:
    def dying() -> Iterable[Document]:
        yield from corpus[0][:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Signatures(tmp_path, DEFAULT).run(dying(), 0, 1)
    assert files(tmp_path) == {}
    with pytest.raises(InputError, match=r"documents/00000\.npy: missing"):
        match(tmp_path, 1)


def test_chunks_of_an_earlier_larger_run_are_not_looked_at(tmp_path: Path) -> None:
    text = han(1, 100)
    compare(tmp_path, chunks_of(["甲乙丙", "丁", "戊", text]))
    chunks = chunks_of([han(2, 100), text])
    compare(tmp_path, chunks)
    assert drop(tmp_path, chunks) == (["d0", "d1"], {})


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    compare(tmp_path, chunks_of(["甲", "乙"]))
    (tmp_path / "signatures/00000.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"signatures/00000\.npy: cannot read it"):
        match(tmp_path, 1)


def test_a_chunk_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    compare(tmp_path, chunks_of(["甲", "乙"]))
    with pytest.raises(InputError, match="chunk 0 has 1 documents now, had 2"):
        drop(tmp_path, chunks_of(["甲"]))


def test_dropped_documents_are_tallied_and_known_by_number(tmp_path: Path) -> None:
    chunks = chunks_of(["甲乙丙丁", "甲乙丙，丁", "戊", "甲乙丙丁"])
    compare(tmp_path, chunks)
    step = DropDuplicates(tmp_path)
    assert [document.id for document in step.run(iter(chunks[0]), 0, 2)] == ["d0"]
    assert step.tally.dropped_documents == {"exact duplicate": 1}
    assert step.tally.dropped_characters == {"exact duplicate": 5}
    assert [dropped_documents(tmp_path, chunk).tolist() for chunk in range(2)] == [[1], [1]]
