"""Labelled texts and pairs, in the layouts in which such sets are published."""

from pathlib import Path

import pytest

from chinesebert.errors import InputError
from chinesebert.tasks.labelled_texts import LabelledTexts, several_labels
from chinesebert.tasks.text_columns import Columns

YES_NO = ("0", "1")
SINGLE = LabelledTexts(1, YES_NO)
PAIR = LabelledTexts(2, YES_NO)
PAIRS = [("怎么还款", "如何还钱", "1"), ("还款 日，几号", "额度多少", "0"), ("能提额吗", "几号还款", "0")]
TEXTS = [("菜很好吃", "1"), ("太慢，太贵 了", "0"), ("还会再来", "1")]


def written(path: Path, rows: list[str]) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def read_pairs(path: Path, reader: LabelledTexts = PAIR) -> list[tuple[str, str | None, object]]:
    return [(example.text, example.text_pair, example.label) for example in reader(path)]


PAIR_TABLES = {
    "LCQMC as published": ("a.tsv", [f"{a}\t{b}\t{y}" for a, b, y in PAIRS]),
    "LCQMC with names": ("a.tsv", ["text_a\ttext_b\tlabel", *(f"{a}\t{b}\t{y}" for a, b, y in PAIRS)]),
    "the original's": ("a.tsv", [f"{y}\t{a}\t{b}\t0" for a, b, y in PAIRS]),
    "CSV with names": ("a.csv", ["sentence1,sentence2,label", *(f"{a},{b},{y}" for a, b, y in PAIRS)]),
    "CSV that is called txt": ("a.txt", ["label,question1,question2", *(f"{y},{a},{b}" for a, b, y in PAIRS)]),
    "ATEC": ("a.csv", [f"{n}\t{a}\t{b}\t{y}" for n, (a, b, y) in enumerate(PAIRS, 3)]),
    "PyCLUE": ("a.txt", [f"{y}\t{a}\t{b}" for a, b, y in PAIRS]),
    "unknown name of a column": ("a.tsv", ["一\t二\tlabel", *(f"{a}\t{b}\t{y}" for a, b, y in PAIRS)]),
    "JSON lines": ("a.json", [f'{{"sentence1": "{a}", "sentence2": "{b}", "label": {y}}}' for a, b, y in PAIRS]),
    "byte order mark": ("a.tsv", ["\ufeffquery\ttitle\tlabel", *(f"{a}\t{b}\t{y}" for a, b, y in PAIRS)]),
    "byte order mark, no names": ("a.tsv", ["\ufeff" + "\t".join(PAIRS[0]), *map("\t".join, PAIRS[1:])]),
}


@pytest.mark.parametrize(("name", "rows"), PAIR_TABLES.values(), ids=PAIR_TABLES)
def test_pairs_are_found_in_every_published_layout(tmp_path: Path, name: str, rows: list[str]) -> None:
    assert read_pairs(written(tmp_path / name, rows)) == PAIRS


@pytest.mark.parametrize(("name", "rows"), PAIR_TABLES.values(), ids=PAIR_TABLES)
def test_windows_line_ends_make_no_difference(tmp_path: Path, name: str, rows: list[str]) -> None:
    assert read_pairs(written(tmp_path / name, [row + "\r" for row in rows])) == PAIRS


@pytest.mark.parametrize(
    ("name", "rows"),
    {
        "label first": ("a.tsv", [f"{y}\t{a}" for a, y in TEXTS]),
        "label last": ("a.tsv", [f"{a}\t{y}" for a, y in TEXTS]),
        "names": ("a.tsv", ["label\ttext_a", *(f"{y}\t{a}" for a, y in TEXTS)]),
        "names and ids": ("a.tsv", ["qid\tlabel\ttext_a", *(f"{n}\t{y}\t{a}" for n, (a, y) in enumerate(TEXTS))]),
        "CSV": ("a.csv", ["label,review", *(f"{y},{a}" for a, y in TEXTS)]),
        "JSON array": ("a.json", ["[", ",\n".join(f'{{"text": "{a}", "label": "{y}"}}' for a, y in TEXTS), "]"]),
    }.values(),
)
def test_single_texts_are_found_in_every_published_layout(tmp_path: Path, name: str, rows: list[str]) -> None:
    examples = list(SINGLE(written(tmp_path / name, rows)))
    assert [(example.text, example.label) for example in examples] == TEXTS
    assert [example.id for example in examples] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "rows"),
    {
        "two columns": ("a.tsv", [f"{a}\t{b}" for a, b, _ in PAIRS]),
        "ids": ("a.tsv", [f"{n}\t{a}\t{b}" for n, (a, b, _) in enumerate(PAIRS)]),
        "names": ("a.tsv", ["sentence1\tsentence2", *(f"{a}\t{b}" for a, b, _ in PAIRS)]),
        "empty labels": ("a.tsv", [f"{a}\t{b}\t" for a, b, _ in PAIRS]),
        "-1": ("a.tsv", [f"{a}\t{b}\t-1" for a, b, _ in PAIRS]),
        "JSON": ("a.json", [f'{{"sentence1": "{a}", "sentence2": "{b}"}}' for a, b, _ in PAIRS]),
        "JSON with nothing": ("a.json", [f'{{"s1": "{a}", "s2": "{b}", "label": null}}' for a, b, _ in PAIRS]),
    }.values(),
)
def test_a_test_split_has_no_labels(tmp_path: Path, name: str, rows: list[str]) -> None:
    assert read_pairs(written(tmp_path / name, rows)) == [(a, b, None) for a, b, _ in PAIRS]


def test_a_test_split_of_nothing_but_texts_keeps_its_empty_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "test.txt", ["好，很好", "", "坏"])
    assert [(example.id, example.text) for example in SINGLE(path)] == [(0, "好，很好"), (1, ""), (2, "坏")]


def test_a_text_at_the_end_of_a_row_may_hold_tabs(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", ["1\t一", "0\t二\t三"])
    assert [example.text for example in SINGLE(path)] == ["一", "二\t三"]


def test_texts_keep_their_spaces(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", ["1\t 一 ", "0\t二"])
    assert [example.text for example in SINGLE(path)] == [" 一 ", "二"]


def test_a_text_in_brackets_is_no_json(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", ["[泪]好\t1", "{坏}\t0"])
    assert [example.text for example in SINGLE(path)] == ["[泪]好", "{坏}"]


def test_ids_are_those_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", [f"{n}\t{a}\t{b}\t{y}" for n, (a, b, y) in zip((7, 5, 11), PAIRS, strict=True)])
    assert [example.id for example in PAIR(path)] == [7, 5, 11]


def test_the_question_of_several_pairs_is_not_their_id(tmp_path: Path) -> None:
    rows = ["qid\ttext_a\ttext_b\tlabel", "7\t谁\t他\t1", "7\t谁\t你\t0", "8\t哪\t这\t1"]
    assert [example.id for example in PAIR(written(tmp_path / "a.tsv", rows))] == [0, 1, 2]


def test_records_are_numbered_over_the_file_also_where_some_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", ["一\t二\t-", "三\t四\t1"])
    examples = list(LabelledTexts(2, YES_NO, dropped=("-",))(path))
    assert [(example.id, example.text, example.where) for example in examples] == [(1, "三", f"{path}:2")]


def test_other_spellings_of_a_label_are_known(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", ["一\t二\tyes", "三\t四\t0"])
    assert [label for _, _, label in read_pairs(path, LabelledTexts(2, YES_NO, renamed={"yes": "1"}))] == ["1", "0"]


def test_rows_of_other_languages_are_left_out(tmp_path: Path) -> None:
    names = "language\tgold_label\tsentence1\tsentence2\tpairID"
    path = written(tmp_path / "a.tsv", [names, "en\t1\ta\tb\t1", "zh\t1\t一\t二\t1", "zh\t0\t三\t四\t2"])
    assert read_pairs(path, LabelledTexts(2, YES_NO, only={"language": "zh"})) == [("一", "二", "1"), ("三", "四", "0")]


@pytest.mark.parametrize(
    ("reader", "rows", "message"),
    [
        (PAIR, ["一\t二\t1", "三\t四"], "a.tsv:2: has 2 columns, and the first line 3"),
        (PAIR, ["一\t二\t1", "三\t四\t1", "五\t六\t2"], r"a.tsv:3: the label '2' is none of 0, 1"),
        (
            PAIR,
            ["问一\t问二\t同义", "一\t二\t1", "三\t四\t0"],
            "a.tsv:1: the label .*If it is a line of names, take it out",
        ),
        (PAIR, ["1\t一", "0\t二"], "a.tsv:1: has 2 columns"),
        (SINGLE, ["一\t二\t1", "三\t四\t0"], "a.tsv:1: has 3 columns; is this a file of this task"),  # pairs
        (SINGLE, ["1\t一", "0"], "a.tsv:2: has 1 columns, and the first line 2"),
        (PAIR, ["体育\t一\t二", "体育\t三\t四"], "a.tsv:1: has 3 columns, none of which holds the labels 0, 1"),
        (SINGLE, ["体育\t一", "体育\t二"], "a.tsv:1: has 2 columns, none of which holds the labels"),
        (
            SINGLE,
            ['{"sentence1": "一", "label": "1"}'],
            "a.tsv:1: has no sentence .it has sentence1, label.; is this a file",
        ),
        (PAIR, ['{"text": "一", "label": "1"}'], "a.tsv:1: has no sentence1 and sentence2"),
        (SINGLE, ['{"sentence": ["一"], "label": "1"}'], "a.tsv:1: `sentence` is .*not a text"),
        (SINGLE, ['{"sentence": "一", "label": ["1"]}'], "a.tsv:1: `label` is .*not a label"),
        (LabelledTexts(1), ["甲\t一"], "a.tsv:1: does not name its 2 columns, .* --text_columns and --label_column"),
    ],
)
def test_what_is_not_of_the_task_is_refused_with_its_line(
    tmp_path: Path, reader: LabelledTexts, rows: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        list(reader(written(tmp_path / "a.tsv", rows)))


@pytest.mark.parametrize("told", [Columns(("问", "答"), "对"), Columns(("3", "1"), "2")], ids=["names", "numbers"])
def test_columns_may_be_told_by_name_or_number(tmp_path: Path, told: Columns) -> None:
    rows = ["答\t对\t问", "二\t是\t一", "四\t否\t三"]
    path = written(tmp_path / "a.tsv", rows)
    expected = [("一", "二", "是"), ("三", "四", "否")]
    assert read_pairs(path, LabelledTexts(2, columns=told, header=True)) == expected


def test_numbered_columns_need_no_line_of_names(tmp_path: Path) -> None:
    told = LabelledTexts(1, columns=Columns(("2",), "3", "1"))
    examples = list(told(written(tmp_path / "a.csv", ["a7,一,甲", "a8,二,乙"])))
    assert [(example.id, example.text, example.label) for example in examples] == [
        ("a7", "一", "甲"),
        ("a8", "二", "乙"),
    ]


def test_a_line_of_known_names_is_seen_under_numbers(tmp_path: Path) -> None:
    told = LabelledTexts(1, columns=Columns(("2",), "1"))
    for names in ("label\ttext", "label\t正文"):
        assert [example.text for example in told(written(tmp_path / "a.tsv", [names, "甲\t一", "乙\t二"]))] == [
            "一",
            "二",
        ]


def test_nothing_but_texts_need_no_label_column_that_is_told(tmp_path: Path) -> None:
    told = LabelledTexts(2, columns=Columns(("2", "3"), "1"))
    assert read_pairs(written(tmp_path / "a.tsv", ["一\t二"]), told) == [("一", "二", None)]


def test_a_told_column_that_is_missing_is_refused(tmp_path: Path) -> None:
    told = LabelledTexts(1, columns=Columns(("正文",)))
    with pytest.raises(InputError, match=r"a.tsv:1: has no column 正文 for text; it has label, text"):
        list(told(written(tmp_path / "a.tsv", ["label\ttext", "1\t一"])))


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (["a", "b"], ("a", "b")),
        ("a, b", ("a", "b")),
        ("", ()),
        ([], ()),
        (None, None),
        (3, ("3",)),
        (["a", "a"], ("a",)),
    ],
)
def test_a_text_may_have_several_labels(value: object, labels: object) -> None:
    assert several_labels(value, ",", "a:1") == labels


def test_labels_that_are_no_list_are_refused() -> None:
    with pytest.raises(InputError, match="a:1: the labels are"):
        several_labels({"a": 1}, ",", "a:1")
