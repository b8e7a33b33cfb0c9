"""No document with text of an evaluation set stays, in whatever format the set was published, and no others go."""

import gzip
import json
import os
import pickle
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from chinesebert.errors import InputError
from data_prep.decontamination import (
    CommonPhrases,
    Decontaminate,
    DecontaminationSettings,
    EvaluationMatches,
    build_index,
    counting_stages,
    evaluation_fingerprint,
)
from data_prep.duplicates import DuplicateSettings, Signatures, matching_stages
from data_prep.evaluation_texts import read_texts

# 29 and 25 Han characters, and a title of 13.
QUESTION = "小明从学校走到图书馆用了二十分钟，回来时坐公交车只用了五分钟。"
PASSAGE = "长江在这里拐了一个大弯，两岸的梯田从山脚一直铺到云里。"
TITLE = "修桥的老人和他的三十本日记"
CHARACTERS = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"


def han(number: int, length: int) -> str:
    """Random Han characters, different ones for every number."""
    return "".join(random.Random(number).choices([chr(code) for code in range(0x4E00, 0x9FA6)], k=length))


def contains(index: Path, text: str) -> str | None:
    """The detail of why ``text`` is dropped, None where it is kept."""
    outcome = Decontaminate(index).clean(text)
    return None if isinstance(outcome, str) else outcome.detail


@pytest.fixture
def index_of(tmp_path: Path) -> Callable[..., Path]:
    """Texts -> the folder of an index of a plain text file with them, a text a line."""

    def build(*texts: str, wanted: DecontaminationSettings | None = None) -> Path:
        sets = tmp_path / "sets"
        sets.mkdir(exist_ok=True)
        (sets / "test.txt").write_text("\n".join(texts), encoding="utf-8")
        build_index([sets], tmp_path / "index", wanted)
        return tmp_path / "index"

    return build


# --------------------------------------------------------------------------------------------------- published formats


def conll(text: str, separator: str = "\t") -> str:
    """A character a line, with a tag."""
    return "".join(f"{character}{separator}O\n" for character in text)


FORMATS = {
    "pretty.json": json.dumps({"data": [{"paragraphs": [{"context": QUESTION + PASSAGE}]}]}, indent=2),
    "readable.json": json.dumps([{"a": [QUESTION, {"b": [PASSAGE]}]}], ensure_ascii=False, indent=2),
    "lines.jsonl": "\n".join(json.dumps({"id": n, "text": text}) for n, text in enumerate((QUESTION, PASSAGE))),
    "list.data": "[\n" + ",\n".join(json.dumps({"context": text}) for text in (QUESTION, PASSAGE)) + "\n]",
    "damaged.json": f'{{"text": "{QUESTION}"}}\n{{"text": "{PASSAGE}"}}\n{{"text": "断',
    "tokens.json": json.dumps({"tokens": list(QUESTION + "！" + PASSAGE), "tags": ["O"] * 56}),
    "table.tsv": f"label\ttext_a\ttext_b\n1\t{QUESTION}\t{PASSAGE}\n",
    "table.csv": f'sentence1,sentence2,label\n"{QUESTION}","{PASSAGE.replace("，", ",")}",0\n',
    "tabs.csv": f"7\t{QUESTION}\t{PASSAGE}\t0\n",
    "commas.csv": f"编号,内容,甲\n1,{PASSAGE.replace('，', ',')},乙\n2,丙,丙,{QUESTION}\n3\n",
    "quotation.csv": f'a,b\n1,"{QUESTION}\n2,{PASSAGE}\n',
    "bio.test": conll(QUESTION) + "\n" + conll(PASSAGE),
    "bmes.char": conll(QUESTION, " ") + "\n" + conll(PASSAGE, " "),
    "weibo.conll": "".join(f"{c}{n % 10}\tO\n" for n, c in enumerate(QUESTION)) + "\n" + conll(PASSAGE),
    "tree.conll": "".join(f"{n}\t{c}\t_\tNN\tNN\t_\t3\tnmod\t_\t_\n" for n, c in enumerate(QUESTION + PASSAGE, 1)),
    "segmented.utf8": "  ".join(QUESTION) + "\r\n" + " ".join(PASSAGE),
    "marked.sent": f"{QUESTION[:9]}▁{QUESTION[9]}▁{QUESTION[10:]}\n（{PASSAGE}）",
    "essay.sgml": f'<ESSAY title="甲">\n<P>{QUESTION}</P>\n<P>{PASSAGE}</P>\n</ESSAY>',
}


@pytest.mark.parametrize("name", FORMATS)
def test_texts_are_found_in_every_published_format(tmp_path: Path, name: str) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / name).write_bytes(FORMATS[name].encode())
    build_index([tmp_path / "sets"], tmp_path / "index")
    assert contains(tmp_path / "index", f"他说：“{QUESTION}”") == f"sets/{name}: {QUESTION[:21]}"
    assert contains(tmp_path / "index", PASSAGE) == f"sets/{name}: {PASSAGE[:21]}"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "big5hkscs", "utf-16"])
def test_texts_are_found_in_every_encoding_of_chinese(tmp_path: Path, encoding: str) -> None:
    text = "我們在這裡說的是一個人的時間，他沒有錢也沒有時間，可是他說這是好的。"
    (tmp_path / "old.txt").write_bytes((text + "\n").encode(encoding))
    assert read_texts(tmp_path / "old.txt") == [text]


def test_compressed_files_and_parquet_are_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "test.json.gz").write_bytes(gzip.compress(json.dumps([QUESTION]).encode()))
    pq.write_table(pa.table({"label": [1], "qa": [{"context": [PASSAGE]}]}), tmp_path / "test.parquet")
    assert read_texts(tmp_path / "test.json.gz") == [QUESTION]
    assert read_texts(tmp_path / "test.parquet") == [PASSAGE]


def test_cells_of_a_table_are_texts_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text('问题,回答\n"花呗,怎么还",去支付宝\n', encoding="utf-8")
    assert read_texts(tmp_path / "pairs.csv") == ["问题", "回答", "花呗,怎么还", "去支付宝"]


def test_segmented_sentences_of_different_length_are_no_conll(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("我 们 走\n你 们 也 走 吧 。\n好 。\n", encoding="utf-8")
    assert read_texts(tmp_path / "words.txt") == ["我 们 走", "你 们 也 走 吧 。", "好 。"]


def test_deeply_nested_json_is_read_as_lines(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000 + f'"{QUESTION}"' + "]" * 100_000, encoding="utf-8")
    (text,) = read_texts(tmp_path / "deep.json") or []
    assert QUESTION in text


# ------------------------------------------------------------------------------------------------------------- matching


def test_punctuation_white_space_and_digits_do_not_matter(index_of: Callable[..., Path]) -> None:
    changed = QUESTION.replace("，", "20\n").replace("图书馆", " “图书馆” ABC")
    assert contains(index_of(QUESTION), changed) == (
        "sets/test.txt: 小明从学校走到 “图书馆” ABC用了二十分钟20 回来时坐"
    )


def test_one_character_less_than_an_n_gram_is_not_enough(index_of: Callable[..., Path]) -> None:
    index = index_of(CHARACTERS)
    assert contains(index, f"天{CHARACTERS[:19]}地") is None
    assert contains(index, f"天{CHARACTERS[:20]}地") is not None


def test_runs_do_not_cross_from_text_to_text(index_of: Callable[..., Path]) -> None:
    index = index_of(CHARACTERS[:15] + "\n" + CHARACTERS[15:])
    assert contains(index, f"天{CHARACTERS}地") is None
    halves = [Document(text=text, id="") for text in (QUESTION[:14], QUESTION[14:])]
    assert list(Decontaminate(index_of(QUESTION)).run(iter(halves))) == halves


@pytest.mark.parametrize("document", [f"前一段\n{TITLE}\n后一段", f"说起{han(1, 9)}。{TITLE}？", f"《{TITLE}》"])
def test_a_short_text_is_found_where_it_is_a_sentence(index_of: Callable[..., Path], document: str) -> None:
    assert contains(index_of(TITLE, QUESTION), document) == f"sets/test.txt: {TITLE}"


def test_a_short_text_of_two_sentences_is_found_where_it_is_a_paragraph(index_of: Callable[..., Path]) -> None:
    index = index_of("你怎么还没走呢？我在等雨停下来。")
    assert contains(index, "她问：\n你怎么还没走呢？我在等雨停下来！\n他说。") is not None
    assert contains(index, "她问：你怎么还没走呢？我在等雨停下来！") is None


def test_a_short_text_within_a_sentence_is_no_match(index_of: Callable[..., Path]) -> None:
    assert contains(index_of(TITLE), f"我读过{TITLE}这本书。") is None


def test_texts_that_anybody_says_are_no_match(index_of: Callable[..., Path]) -> None:
    assert contains(index_of("为什么这么说呢？", QUESTION), "为什么这么说呢？") is None


def test_lengths_are_settings(index_of: Callable[..., Path]) -> None:
    index = index_of(QUESTION, "为什么这么说呢？", wanted=DecontaminationSettings(n_grams=10, shortest_text=4))
    assert contains(index, QUESTION[:10]) is not None
    assert contains(index, "为什么这么说呢") is not None


def test_text_in_other_scripts_is_not_looked_at(index_of: Callable[..., Path]) -> None:
    english = "The quick brown fox jumps over the lazy dog. 1234567890 1234567890"
    assert contains(index_of(english, QUESTION), english) is None


@given(st.lists(st.text("甲乙，。\n丙丁1", max_size=40), min_size=1, max_size=5))
def test_a_document_fares_the_same_alone_and_among_others(small_index: Path, texts: list[str]) -> None:
    step = Decontaminate(small_index)
    kept = [document.text for document in step.run(iter([Document(text=text, id="") for text in texts]))]
    assert kept == [text for text in texts if isinstance(step.clean(text), str)]


@given(st.text("甲乙，。\n丙丁1", max_size=40))
def test_matches_are_those_of_a_plain_search(small_index: Path, text: str) -> None:
    han_only = "".join(character for character in text if character in "甲乙丙丁")
    sentences = text.replace("。", "\n").split("\n") + text.split("\n")
    short = ["".join(c for c in sentence if c in "甲乙丙丁") == "丁丙丁" for sentence in sentences]
    expected = any(gram in han_only for gram in ("甲乙丙丁", "乙丙丁甲")) or any(short)
    assert (contains(small_index, text) is not None) == expected


@pytest.fixture(scope="module")
def small_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two 4-grams and a short text."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "test.txt").write_text("甲乙丙丁甲\n丁丙丁\n丁丁\n", encoding="utf-8")
    build_index([folder / "test.txt"], folder / "index", DecontaminationSettings(n_grams=4, shortest_text=3))
    return folder / "index"


def test_dropped_documents_are_tallied_and_kept_with_file_and_string(index_of: Callable[..., Path]) -> None:
    step = pickle.loads(pickle.dumps(Decontaminate(index_of(QUESTION))))
    step.rejected = []
    documents = [Document(text=text, id=text[:2]) for text in (PASSAGE, QUESTION, TITLE)]
    assert [document.id for document in step.run(iter(documents))] == [PASSAGE[:2], TITLE[:2]]
    assert step.tally.dropped_documents == {"contains evaluation text": 1}
    assert step.rejected[0].metadata == {
        "dropped_by": "decontamination",
        "reason": "contains evaluation text",
        "detail": f"sets/test.txt: {QUESTION[:21]}",
    }


# ------------------------------------------------------------------------------------------------------- common phrases


def run_all(index: Path, folder: Path, texts: list[str], duplicates: Path | None = None) -> list[str]:
    """The texts that stay when each is in a document of its own, two documents a chunk."""
    documents = [Document(text=text, id=f"d{number}") for number, text in enumerate(texts)]
    chunks = [documents[start : start + 2] for start in range(0, len(documents), 2)]
    for rank, chunk in enumerate(chunks):
        passed = EvaluationMatches(index, folder).run(iter(chunk), rank, len(chunks))
        if duplicates is None:
            assert list(passed) == chunk
        else:
            Signatures(duplicates, DuplicateSettings()).run(passed, rank, len(chunks))
    stages = matching_stages(duplicates, DuplicateSettings(), len(chunks)) if duplicates else []
    stages += counting_stages(index, folder, DecontaminationSettings(), len(chunks), duplicates)
    for _, (step,), tasks in stages:
        for rank in range(tasks):
            step.run(None, rank, tasks)
    step = Decontaminate(index, folder)
    return [document.text for rank, chunk in enumerate(chunks) for document in step.run(iter(chunk), rank)]


def test_a_phrase_in_more_than_ten_documents_is_common(index_of: Callable[..., Path], tmp_path: Path) -> None:
    index = index_of(QUESTION, PASSAGE)
    ten = [f"{PASSAGE}{han(number, 50)}" for number in range(10)]
    eleven = [f"{QUESTION}{han(number, 50)}" for number in range(11)]
    assert run_all(index, tmp_path / "counts", ten + eleven) == eleven
    assert run_all(index, tmp_path / "counts", [*ten, eleven[0] + PASSAGE]) == ten


def test_copies_of_a_document_do_not_make_its_text_common(index_of: Callable[..., Path], tmp_path: Path) -> None:
    page = han(1, 200) + QUESTION
    texts = [page + "转"[: number % 2] for number in range(30)]
    index = index_of(QUESTION)
    assert run_all(index, tmp_path / "counts", texts) == texts
    assert run_all(index, tmp_path / "counts", texts, tmp_path / "duplicates") == []


def test_without_counting_nothing_is_common() -> None:
    assert counting_stages("index", "folder", DecontaminationSettings(common_after=0), 3) == []


def test_counting_needs_the_matches_of_every_chunk(index_of: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"matches/00000\.npy: missing or damaged"):
        CommonPhrases(index_of(QUESTION), tmp_path / "counts", 1).run()
    with pytest.raises(InputError, match=r"common\.npy: missing or damaged"):
        Decontaminate(index_of(QUESTION), tmp_path / "counts").clean(QUESTION)


# ------------------------------------------------------------------------------------------------- the index, its files


def test_the_same_files_give_the_same_index(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    for number, text in enumerate((QUESTION, PASSAGE, QUESTION + PASSAGE)):
        (tmp_path / "sets" / f"{number}.txt").write_text(text, encoding="utf-8")
    for folder in ("one", "two", "two"):
        report = build_index([tmp_path / "sets"], tmp_path / folder)
    assert (report.files, report.texts, report.skipped) == (3, 3, [])
    assert report.n_grams == 10 + 6 + 19  # the third text adds those that reach from one sentence into the other
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_the_first_file_with_a_text_is_named(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(QUESTION, encoding="utf-8")
    build_index([tmp_path / "b.txt", tmp_path / "a.txt"], tmp_path / "index")
    assert (contains(tmp_path / "index", QUESTION) or "").startswith("b.txt: ")


@pytest.fixture
def same_names(tmp_path: Path) -> list[Path]:
    """Files of one name in different folders, some of them below a folder of the same name."""
    paths = [tmp_path / name / "test.txt" for name in ("a/set", "b/set", "c")]
    for path, text in zip(paths, (QUESTION, PASSAGE, TITLE), strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return paths


def test_files_of_one_name_are_told_apart_by_their_folders(same_names: list[Path], tmp_path: Path) -> None:
    build_index(same_names, tmp_path / "index")
    found = [(contains(tmp_path / "index", text) or "").partition(": ")[0] for text in (QUESTION, PASSAGE, TITLE)]
    assert found == ["a/set/test.txt", "b/set/test.txt", "c/test.txt"]


def test_a_change_in_any_of_several_files_of_one_name_is_noticed(same_names: list[Path]) -> None:
    before = evaluation_fingerprint(same_names)
    same_names[0].write_text(PASSAGE, encoding="utf-8")
    assert [name for name, digest in evaluation_fingerprint(same_names).items() if digest != before[name]] == [
        "a/set/test.txt"
    ]


def test_a_file_that_is_given_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/test.txt").write_text(QUESTION, encoding="utf-8")
    assert build_index([tmp_path / "sets", tmp_path / "sets/test.txt"], tmp_path / "index").files == 1


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool/test.txt").write_text(QUESTION, encoding="utf-8")
    (tmp_path / "sets/linked").symlink_to(tmp_path / "pool")
    (tmp_path / "pool/back").symlink_to(tmp_path / "sets")
    assert list(evaluation_fingerprint([tmp_path / "sets"])) == ["sets/linked/test.txt"]


def test_a_link_to_nowhere_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "test.txt").symlink_to(tmp_path / "moved.txt")
    with pytest.raises(InputError, match=r"test\.txt: cannot be opened"):
        build_index([tmp_path], tmp_path / "index")


def test_a_folder_that_may_not_be_looked_into_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sets/private").mkdir(parents=True)
    scan = os.scandir

    def refuse(folder: str) -> Any:
        if folder.endswith("private"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)  # root may look into every folder
    with pytest.raises(InputError, match=r"private: cannot look into this folder \(Permission denied\)"):
        build_index([tmp_path / "sets"], tmp_path / "index")


def test_sets_whose_texts_are_all_too_short_are_refused_with_the_length(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("你好\n为什么这么说呢？\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"test\.txt: no text of at least 13 Han characters.*shortest_text"):
        build_index([tmp_path], tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_settings_and_contents_tell_whether_an_index_is_still_good(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(QUESTION, encoding="utf-8")
    before = evaluation_fingerprint([tmp_path])
    assert list(before) == [f"{tmp_path.name}/a.txt"]
    (tmp_path / "a.txt").write_text(PASSAGE, encoding="utf-8")
    assert evaluation_fingerprint([tmp_path]) != before
    assert asdict(DecontaminationSettings.from_section({"n_grams": 13}, "x"))["n_grams"] == 13
    with pytest.raises(InputError, match="x: unknown setting 'ngrams'"):
        DecontaminationSettings.from_section({"ngrams": 13}, "x")


def test_what_is_no_chinese_text_is_passed_over_by_name(tmp_path: Path) -> None:
    (tmp_path / "sets" / ".git").mkdir(parents=True)
    (tmp_path / "sets" / ".git" / "hidden.txt").write_text(PASSAGE, encoding="utf-8")
    (tmp_path / "sets" / "labels.txt").write_text("finance\nsports\n", encoding="utf-8")
    (tmp_path / "sets" / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe\x80")
    (tmp_path / "sets" / "test.txt").write_text(QUESTION, encoding="utf-8")
    report = build_index([tmp_path / "sets"], tmp_path / "index")
    assert report.skipped == ["sets/labels.txt: no Chinese text", "sets/photo.png: not a text file"]
    assert report.lines()[0] == "evaluation sets: 1 file, 1 text, 10 different n-grams"
    assert contains(tmp_path / "index", PASSAGE) is None


def test_a_folder_without_chinese_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "test.txt").write_text(QUESTION, encoding="utf-8")
    with pytest.raises(InputError, match="empty: no Chinese text in it"):
        build_index([tmp_path / "test.txt", tmp_path / "empty"], tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        build_index([tmp_path / "nowhere"], tmp_path / "index")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.json.gz", gzip.compress(QUESTION.encode() * 9)[:-9], "damaged gzip file"),
        ("noise.txt", bytes(random.Random(1).choices(range(1, 256), k=4000)), "not UTF-8, GB18030, Big5 or UTF-16"),
        ("half.parquet", b"PAR1\x15\x04", "damaged Parquet file"),
    ],
)
def test_an_evaluation_file_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: {message}.*take the file away"):
        build_index([tmp_path], tmp_path / "index")


def test_a_damaged_index_is_refused(index_of: Callable[..., Path]) -> None:
    index = index_of(QUESTION)
    (index / "hashes.npy").write_bytes(b"")
    with pytest.raises(InputError, match="no index of evaluation sets, or a damaged one"):
        contains(index, QUESTION)


@pytest.mark.slow
def test_a_corpus_that_was_freed_of_the_tasks_stays_nearly_whole(shared: Path, tmp_path: Path) -> None:
    report = build_index([shared / "data" / "tasks"], tmp_path)
    assert report.files > 100
    with gzip.open(shared / "data" / "corpus" / "small.txt.gz", "rt", encoding="utf-8") as file:
        documents = [Document(text=text, id="") for text in file.read().strip().split("\n\n")]
    step = Decontaminate(tmp_path)
    step.rejected = []
    assert sum(1 for _ in step.run(iter(documents))) + len(step.rejected) == len(documents)
    details: list[Any] = [document.metadata["detail"] for document in step.rejected]
    assert len(details) <= 2, details  # short texts: the corpus was compared by strings of 20 characters only
