"""The files of tasks with spans as published: names, words, events; what is read, refused and submitted."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chinesebert.errors import InputError
from chinesebert.tasks.annotation_pairs import read_pairs
from chinesebert.tasks.checked_spans import checked_span
from chinesebert.tasks.conll import read_conll
from chinesebert.tasks.definitions import ccks2020_event_subject, ccks2020_fewshot_events
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.kinds import KINDS
from chinesebert.tasks.registry import all_tasks, get_task
from chinesebert.tasks.segmented import read_segmented, read_treebank
from chinesebert.tasks.span_files import read_spans
from chinesebert.tasks.span_records import read_span_records
from chinesebert.tasks.splits import find_split, read_split
from tests.finetuning_runs import write, write_records
from tests.span_runs import spans, tagged

TEXT = "张三在北京"
FOUND = spans((0, 2, "PER"), (3, 5, "LOC"))


def read(task: str, path: Path) -> list[Any]:
    """A file as a run reads it."""
    return read_split(get_task(task), [path])


def submitted(task: str, examples: Sequence[Any], predictions: Sequence[Sequence[Span]]) -> list[str]:
    return list(get_task(task).submissions[0].write(examples, predictions))


# ------------------------------------------------------------------------------------------------------------ tag files


@pytest.mark.parametrize("separator", [" ", "\t", " \t"])
@pytest.mark.parametrize(
    "tags",
    [
        "B-PER I-PER O B-LOC I-LOC",
        "B-PER E-PER O B-LOC E-LOC",
        "B_PER E_PER O B_LOC E_LOC",
        "B-PER L-PER O B-LOC L-LOC",
        "b-PER i-PER o b-LOC i-LOC",
        "I-PER I-PER O I-LOC I-LOC",
    ],
    ids=["BIO", "BMES", "underscore", "BILOU", "lower case", "without B"],
)
def test_every_way_of_tagging_says_the_same(tags: str, separator: str, tmp_path: Path) -> None:
    path = write(tmp_path / "train", tagged(TEXT, tags.split(), separator) * 2)
    examples = list(read_conll(path))
    assert [(example.id, example.text, example.spans) for example in examples] == [(0, TEXT, FOUND), (1, TEXT, FOUND)]
    assert [example.where for example in examples] == [f"{path}:1", f"{path}:7"]


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-A M-A E-A S-B O", [(0, 3, "A"), (3, 4, "B")]),
        ("S-A S-A B-A E-A B-A", [(0, 1, "A"), (1, 2, "A"), (2, 4, "A"), (4, 5, "A")]),
        ("B-A B-A I-A I-B O", [(0, 1, "A"), (1, 3, "A"), (3, 4, "B")]),
        ("O M-A E-A M-A O", [(1, 3, "A"), (3, 4, "A")]),
        ("U-A O B-PER.NAM I-PER.NAM I-PER.NOM", [(0, 1, "A"), (2, 4, "PER.NAM"), (4, 5, "PER.NOM")]),
    ],
)
def test_spans_end_where_the_next_tag_does_not_go_on(
    tags: str, found: list[tuple[int, int, str]], tmp_path: Path
) -> None:
    (example,) = read_conll(write(tmp_path / "x", tagged(TEXT, tags.split())))
    assert example.spans == spans(*found)


def test_byte_order_marks_windows_lines_and_odd_blank_lines_are_passed_over(tmp_path: Path) -> None:
    content = "\ufeff-DOCSTART- O\r\n\r\n张 B-PER\r\n三 I-PER\r\n \r\n\t\r\n\r\n好 O"
    examples = list(read_conll(write(tmp_path / "x", content)))
    assert [(example.text, example.spans) for example in examples] == [("张三", spans((0, 2, "PER"))), ("好", ())]


@pytest.mark.parametrize("line", [" \tB-A", "  B-A", "\u3000\tB-A", "\u3000 B-A", "\tB-A", " B-A", "\u2028 B-A"])
def test_white_space_is_a_character_like_any_other(line: str, tmp_path: Path) -> None:
    (example,) = read_conll(
        write(tmp_path / "x", f"甲\tO\n{line}\n乙\tI-A\n" if "\t" in line else f"甲 O\n{line}\n乙 I-A\n")
    )
    assert len(example.text) == 3 and example.text[1].isspace()
    assert example.spans == spans((1, 3, "A"))


def test_columns_between_character_and_tag_are_passed_over(tmp_path: Path) -> None:
    (example,) = read_conll(write(tmp_path / "x", "张 NR B-X B-PER\n三 NR I-X I-PER\n"))
    assert (example.text, example.spans) == ("张三", spans((0, 2, "PER")))


@pytest.mark.parametrize("names", ["text_a\tlabel\n", ""])
def test_texts_of_msra_as_ernie_has_them_are_a_line_each(names: str, tmp_path: Path) -> None:
    path = write(
        tmp_path / "train.tsv", f"{names}" + "张\x02三\x02在\x02北\x02京\tB-PER\x02I-PER\x02O\x02B-LOC\x02I-LOC\n" * 2
    )
    assert find_split(get_task("msra_ner"), tmp_path, "train") == [path]
    assert [(example.id, example.text, example.spans) for example in read("msra_ner", path)] == [
        (0, TEXT, FOUND),
        (1, TEXT, FOUND),
    ]


def test_texts_on_lines_without_tags_have_no_spans(tmp_path: Path) -> None:
    path = write(tmp_path / "test.tsv", "text_a\n张\x02三\n。\n李\x02四\n")
    texts = [(example.text, example.spans) for example in read_conll(path)]
    assert texts == [("张三", None), ("。", None), ("李四", None)]


def test_a_text_with_more_characters_than_tags_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", "张\x02三\tB-PER\x02I-PER\n李\x02四\tO\n")
    with pytest.raises(InputError, match=r"train\.tsv:2: has 2 characters, but 1 tags"):
        list(read_conll(path))


@pytest.mark.parametrize("task", ["msra_ner", "ontonotes4", "resume_ner", "weibo_ner"])
@pytest.mark.parametrize("name", ["dev.txt", "dev.bmes", "val.conll"])
def test_tag_files_under_usual_names_are_found(task: str, name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, tagged(TEXT, ["O"] * len(TEXT), " "))
    assert find_split(get_task(task), tmp_path, "dev") == [path]


def test_digits_glued_to_all_characters_are_taken_off(tmp_path: Path) -> None:
    (example,) = read_conll(write(tmp_path / "x", "北0\tB-A\n京1\tI-A\n20\tO\n01\tO\ne12\tO\n\ufffd\ufffd0\tO\n"))
    assert (example.text, example.spans) == ("北京20e\ufffd\ufffd", spans((0, 2, "A")))


def test_digits_of_the_text_itself_stay(tmp_path: Path) -> None:
    (example,) = read_conll(write(tmp_path / "x", "iPhone15 B-A\n好 O\n2 O\n"))
    assert (example.text, example.spans) == ("iPhone15好2", spans((0, 8, "A")))


def test_a_file_without_tags_has_texts_without_spans(tmp_path: Path) -> None:
    examples = list(read_conll(write(tmp_path / "x", "你\n好\n\n再\n见\n")))
    assert [(example.text, example.spans) for example in examples] == [("你好", None), ("再见", None)]


def test_a_line_without_a_tag_among_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x:2: is '三', without a tag"):
        list(read_conll(write(tmp_path / "x", "张 B-PER\n三\n")))


@pytest.mark.parametrize("tag", ["PER", "X-PER", "B", "0", "_"])
def test_what_is_no_tag_is_refused_with_its_line(tag: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"x:2: '{tag}' is no tag"):
        list(read_conll(write(tmp_path / "x", f"张 B-PER\n三 {tag}\n")))


def test_tags_of_words_need_a_label_to_be_read(tmp_path: Path) -> None:
    (example,) = read_conll(write(tmp_path / "x", tagged(TEXT, list("BESBE"))), bare="WORD")
    assert example.spans == spans((0, 2, "WORD"), (2, 3, "WORD"), (3, 5, "WORD"))


@pytest.mark.parametrize("name", ["weiboNER_2nd_conll.train", "train.all.bmes"])
def test_weibo_is_found_and_read_in_both_published_forms(name: str, tmp_path: Path) -> None:
    glued = name.startswith("weibo")
    lines = ["我0\tB-PER.NOM", "们1\tI-PER.NOM"] if glued else ["我 B-PER.NOM", "们 E-PER.NOM"]
    write(tmp_path / name, "\n".join(lines) + "\n")
    (path,) = find_split(get_task("weibo_ner"), tmp_path, "train")
    (example,) = read("weibo_ner", path)
    assert (example.text, example.spans) == ("我们", spans((0, 2, "PER.NOM")))


def test_a_tag_file_of_another_task_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.char.bmes", tagged("高勇", ["B-NAME", "E-NAME"]))
    with pytest.raises(InputError, match=r"train.char.bmes:1: the label 'NAME' is none of ontonotes4's"):
        read("ontonotes4", path)
    assert read("resume_ner", path)[0].spans == spans((0, 2, "NAME"))


# -------------------------------------------------------------------------------------------------------------- offsets


def test_ends_are_exclusive_whatever_the_file_counts() -> None:
    assert checked_span(TEXT, 0, 2, "PER", "f:1", "张三") == Span(0, 2, "PER")
    assert checked_span(TEXT, "0", "1", "PER", "f:1", "张三", inclusive=True) == Span(0, 2, "PER")


@pytest.mark.parametrize(
    ("start", "end", "mention", "inclusive", "hint"),
    [
        (3, 4, "北京", False, "with the last one included they would be"),
        (
            3,
            5,
            "北京",
            True,
            r"the span 3–5 .* not within its text of 5 characters; it would be with the last one excl",
        ),
        (0, 2, "张三", True, "with the last one excluded they would be"),
        (1, 3, "张三", False, "it is 1 character earlier: was white space or a character taken off the text"),
        (1, 3, "北京", False, "it is 2 characters later: was the text added to"),
        (0, 2, "李四", False, "the mention is nowhere in the text"),
        (0, 2, "", False, "the mention is nowhere in the text"),
        (3, 3, None, False, "it would be with the last one included"),
        (4, 9, None, False, "was the text shortened or stripped"),
        (-1, 2, None, False, "not within its text"),
        (2, 1, None, False, "not within its text"),
    ],
)
def test_a_mention_that_is_not_at_its_place_is_refused_with_what_would_fit(
    start: int, end: int, mention: str | None, inclusive: bool, hint: str
) -> None:
    with pytest.raises(InputError, match=rf"^f:7: .*{hint}"):
        checked_span(TEXT, start, end, "PER", "f:7", mention, inclusive)


@pytest.mark.parametrize("start", [None, "x", 1.5, True, [0]])
def test_offsets_that_are_no_numbers_are_refused(start: Any) -> None:
    with pytest.raises(InputError, match=r"f:7: the start of a span is .*, not a number"):
        checked_span(TEXT, start, 2, "PER", "f:7")


# -------------------------------------------------------------------------------------------------------- JSON records


def test_records_of_ccks_and_their_relatives_are_read(tmp_path: Path) -> None:
    ours = {"originalText": TEXT, "entities": [{"label_type": "PER", "start_pos": 0, "end_pos": 2, "overlap": 0}]}
    others = {"id": "a", "text": TEXT, "entities": [{"type": "PER", "start_idx": 0, "end_idx": 2, "entity": "张三"}]}
    bare = {"text": "\u3000没有", "entities": []}
    unlabelled = {"text": TEXT}
    path = write_records(tmp_path / "x.json", [ours, others, bare, unlabelled])
    examples = list(read_span_records(path))
    assert [example.id for example in examples] == [0, "a", 2, 3]
    assert [example.spans for example in examples] == [spans((0, 2, "PER"))] * 2 + [(), None]
    assert examples[2].text == "\u3000没有"
    array = write(tmp_path / "y.json", json.dumps([others], ensure_ascii=False))
    assert next(read_span_records(array)).spans == spans((0, 2, "PER"))


@pytest.mark.parametrize("field", ["label", "labels", "entities"])
def test_spans_may_be_triples_as_doccano_writes_them(field: str, tmp_path: Path) -> None:
    records = [{"id": 7, "text": TEXT, field: [[0, 2, "PER"], [3, 5, "LOC"]]}, {"id": 8, "text": TEXT, field: []}]
    path = write_records(tmp_path / "admin.jsonl", records)
    assert [(example.id, example.spans) for example in read_span_records(path)] == [(7, FOUND), (8, ())]


@pytest.mark.parametrize(
    "content",
    [
        tagged("好 ", ["O", "O"]) + tagged(TEXT, ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]),
        tagged("[{", ["O", "O"]) + tagged(TEXT, ["B-PER", "I-PER", "O", "B-LOC", "I-LOC"]),
        '{"text": "好 ", "entities": []}\n{"text": "张三在北京", '
        '"label": {"PER": {"张三": [[0, 1]]}, "LOC": {"北京": [[3, 4]]}}}',
        '[\n {"text": "", "spans": []},\n {"text": "张三在北京", "spans": [{"start": 0, "end": 2, "label": "PER"}, '
        '{"start": 3, "end": 5, "label": "LOC"}]}\n]',
    ],
    ids=["tags", "tags of brackets", "CLUENER", "array"],
)
def test_the_form_of_a_file_is_seen_from_what_it_holds(content: str, tmp_path: Path) -> None:
    examples = list(read_spans(write(tmp_path / "x", content)))
    assert [example.spans for example in examples] == [(), FOUND]


def test_a_record_with_spans_of_another_form_is_refused(tmp_path: Path) -> None:
    path = write_records(tmp_path / "x.json", [{"text": TEXT, "entities": [[0, 2]]}])
    with pytest.raises(InputError, match=r"x.json:1: its spans are no list of objects"):
        list(read_span_records(path))


def test_a_mention_of_a_record_is_checked(tmp_path: Path) -> None:
    entity = {"type": "PER", "start": 0, "end": 1, "mention": "张三"}
    path = write_records(tmp_path / "x.json", [{"text": TEXT, "entities": [entity]}])
    with pytest.raises(InputError, match=r"x.json:1: .* with the last one included"):
        list(read_span_records(path))
    assert next(read_span_records(path, inclusive=True)).spans == spans((0, 2, "PER"))


# -------------------------------------------------------------------------------------------------------------- CLUENER


def cluener_line(text: str = "王芳和李明在河边", **label: Any) -> dict[str, Any]:
    return {"text": text, "label": label or {"name": {"王芳": [[0, 1]], "李明": [[3, 4]]}, "scene": {"河边": [[6, 7]]}}}


def test_cluener_is_read_and_written_alike(tmp_path: Path) -> None:
    path = write_records(tmp_path / "dev.json", [cluener_line(), {"id": 7, "text": "没有"}])
    labelled, other = read("cluener", path)
    assert labelled.spans == spans((0, 2, "name"), (3, 5, "name"), (6, 8, "scene"))
    assert (other.id, other.spans) == (7, None)
    lines = [json.loads(line) for line in submitted("cluener", [labelled, other], [labelled.spans, ()])]
    assert lines == [{"id": 0, "label": cluener_line()["label"]}, {"id": 1, "label": {}}]


def test_a_mention_twice_in_a_text_is_submitted_with_both_places() -> None:
    example = SpanExample(3, "王芳说王芳", None)
    (line,) = submitted("cluener", [example], [spans((0, 2, "name"), (3, 5, "name"))])
    assert json.loads(line) == {"id": 0, "label": {"name": {"王芳": [[0, 1], [3, 4]]}}}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"name": {"王芳": [[0, 2]]}}, "are '王芳和', but the mention is '王芳'; with the last one excluded"),
        ({"name": {"王芳": [[1, 2]]}}, "it is 1 character earlier"),
        ({"name": {"王芳": [0, 1]}}, "`label` is not"),
        ({"name": ["王芳"]}, "`label` is not"),
        ({"city": {"王芳": [[0, 1]]}}, "the label 'city' is none of cluener's"),
    ],
)
def test_what_is_not_cluener_is_refused(label: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_records(tmp_path / "train.json", [cluener_line(), cluener_line(**label)])
    with pytest.raises(InputError, match=rf"train.json:2: .*{message}"):
        read("cluener", path)


# -------------------------------------------------------------------------------------------------------- CCKS, medical

RECORD = "，患者头痛三天，行CT检查。"


def write_pair(folder: Path, name: str, annotations: str | None, text: str = RECORD) -> Path:
    if annotations is not None:
        write(folder / f"{name}.txt", annotations)
    return write(folder / f"{name}.txtoriginal.txt", text)


def test_the_task_of_2017_has_folders_of_pairs_and_counts_the_last_character(tmp_path: Path) -> None:
    write_pair(tmp_path / "病史特点", "病史特点-2", "CT\t9\t10\t检查和检验\n头痛\t3\t4\t症状和体征\n")
    write_pair(tmp_path / "一般项目", "一般项目-1", "")
    task = get_task("ccks2017_ner")
    examples = read_split(task, find_split(task, tmp_path, "train"))
    assert [example.id for example in examples] == ["一般项目-1", "病史特点-2"]
    assert [example.spans for example in examples] == [(), spans((9, 11, "检查和检验"), (3, 5, "症状和体征"))]
    assert [example.text for example in examples] == [RECORD, RECORD]


def test_a_folder_can_be_named_instead_of_its_files(tmp_path: Path) -> None:
    write_pair(tmp_path / "a" / "b", "x-1", "头痛\t3\t4\t症状和体征\n")
    assert [example.id for example in read("ccks2017_ner", tmp_path)] == ["x-1"]


def test_training_and_test_folders_are_told_apart(tmp_path: Path) -> None:
    task = get_task("ccks2018_ner")
    write_pair(tmp_path / "train", "入院记录现病史-1", "头痛\t3\t5\t独立症状\n")
    write_pair(tmp_path / "test" / "deep", "入院记录现病史-2", None)
    (train,) = read_split(task, find_split(task, tmp_path, "train"))
    (test,) = read_split(task, find_split(task, tmp_path, "test"), ids_count=True)
    assert (train.id, train.spans) == ("入院记录现病史-1", spans((3, 5, "独立症状")))
    assert (test.id, test.spans) == ("入院记录现病史-2", None)


def test_offsets_of_another_years_task_are_refused(tmp_path: Path) -> None:
    path = write_pair(tmp_path, "x", "头痛\t3\t4\t独立症状\n")
    with pytest.raises(InputError, match=r"x.txt:1: .*with the last one included they would be: is this .* another"):
        read("ccks2018_ner", path)


def test_offsets_of_a_text_that_was_stripped_are_refused(tmp_path: Path) -> None:
    path = write_pair(tmp_path, "x", "头痛\t3\t4\t症状和体征\n", RECORD[1:])
    with pytest.raises(
        InputError, match=r"x.txt:1: .* it is 1 character earlier: was white space or a character taken"
    ):
        read("ccks2017_ner", path)


@pytest.mark.parametrize("line", ["头痛\t3\t4", "头痛", "头痛\t3\t4\t症状和体征\t?"])
def test_a_line_that_is_no_annotation_is_refused(line: str, tmp_path: Path) -> None:
    path = write_pair(tmp_path, "x", f"\n{line}\n")
    with pytest.raises(InputError, match=r"x.txt:2: has \d columns, not mention, start, end and category"):
        list(read_pairs(path, inclusive=True))


def test_a_mention_with_a_space_in_it_is_one(tmp_path: Path) -> None:
    path = write_pair(tmp_path, "x", "CT 检查\t1\t5\t检查和检验\n", "行CT 检查")
    assert next(read_pairs(path, inclusive=True)).spans == spans((1, 6, "检查和检验"))


def test_an_annotation_file_named_as_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x.txt: is no text; texts are NAME.txtoriginal.txt"):
        list(read_pairs(write(tmp_path / "x.txt", ""), inclusive=True))


@pytest.mark.parametrize("year", [2019, 2020])
def test_the_tasks_of_2019_and_2020_have_records_and_do_not_count_the_last_character(year: int, tmp_path: Path) -> None:
    entity = {"label_type": "影像检查", "start_pos": 9, "end_pos": 11, "overlap": 0}
    path = write_records(tmp_path / "x.txt", [{"originalText": RECORD, "entities": [entity]}])
    (example,) = read(f"ccks{year}_ner", path)
    assert example.spans == spans((9, 11, "影像检查"))
    (line,) = submitted(f"ccks{year}_ner", [example], [example.spans])
    assert read(f"ccks{year}_ner", write(tmp_path / "y.txt", line))[0].spans == example.spans


def test_the_two_training_files_of_2019_are_read_as_one(tmp_path: Path) -> None:
    entity = {"label_type": "影像检查", "start_pos": 9, "end_pos": 11}
    for part in (1, 2):
        name = f"subtask1_training_part{part}.txt"
        write(tmp_path / name, "\ufeff" + json.dumps({"originalText": RECORD, "entities": [entity]}) + "\r\n")
    task = get_task("ccks2019_ner")
    examples = read_split(task, find_split(task, tmp_path, "train"))
    assert [(example.id, len(example.spans)) for example in examples] == [(0, 1), (1, 1)]


def test_tags_of_the_conversion_of_2019_get_the_names_of_the_task(tmp_path: Path) -> None:
    path = write(tmp_path / "yidu.train", tagged("行CT", ["O", "B-TESTIMAGE", "I-TESTIMAGE"], "\t"))
    assert read("ccks2019_ner", path)[0].spans == spans((1, 3, "影像检查"))


def test_labels_of_another_years_task_are_refused(tmp_path: Path) -> None:
    entity = {"label_type": "症状描述", "start_pos": 3, "end_pos": 5}
    path = write_records(tmp_path / "x.txt", [{"originalText": RECORD, "entities": [entity]}])
    with pytest.raises(InputError, match=r"x.txt:1: the label '症状描述' is none of ccks2020_ner's"):
        read("ccks2020_ner", path)


# ------------------------------------------------------------------------------------------------------ CCKS, addresses


def test_addresses_are_read_and_submitted_with_their_tags(tmp_path: Path) -> None:
    path = write(tmp_path / "final_test.txt", "1\x01上海市9号\n2\x01 河边\n")
    examples = read("ccks2021_address", path)
    assert [(example.id, example.text, example.spans) for example in examples] == [
        ("1", "上海市9号", None),
        ("2", " 河边", None),
    ]
    found = [spans((0, 3, "city"), (3, 4, "houseno")), ()]
    assert submitted("ccks2021_address", examples, found) == [
        "1\x01上海市9号\x01B-city I-city E-city S-houseno O",
        "2\x01 河边\x01O O O",
    ]
    train = write(tmp_path / "train.conll", tagged("上海市9号", ["B-city", "I-city", "E-city", "S-houseno", "O"]))
    assert read("ccks2021_address", train)[0].spans == found[0]


def test_a_line_of_names_above_addresses_is_no_address(tmp_path: Path) -> None:
    path = write(tmp_path / "final_test.txt", "id\x01text\n1\x01杭州市\n")
    assert [(example.id, example.text) for example in read("ccks2021_address", path)] == [("1", "杭州市")]


def test_a_line_of_addresses_without_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t.txt:2: has no \\x01 between id and text"):
        read("ccks2021_address", write(tmp_path / "t.txt", "1\x01上海\n北京\n"))


# --------------------------------------------------------------------------------------------------------- CCKS, events


def test_rows_of_one_text_are_its_events_wherever_the_company_stands(tmp_path: Path) -> None:
    text = "甲公司骗人，甲公司跑路，乙公司没有"
    rows = [
        f"11\t{text}\t涉嫌欺诈\t甲公司",
        f"12\t{text}\t失联跑路\t甲公司",
        "13\t天气很好\tNaN\tNaN",
        "14\t业绩不好\t业绩下滑\tNaN",
        "15\t丙集团出事\t涉嫌传销\t丁集团",
    ]
    path = write(tmp_path / "event_entity_train_data_label.csv", "\n".join(rows) + "\n")
    first, *others = read("ccks2020_event_subject", path)
    assert (first.id, first.subjects) == ("11", (("失联跑路", "甲公司"), ("涉嫌欺诈", "甲公司")))
    assert first.spans == spans((0, 3, "失联跑路"), (0, 3, "涉嫌欺诈"), (6, 9, "失联跑路"), (6, 9, "涉嫌欺诈"))
    assert [(example.spans, example.subjects) for example in others] == [
        ((), ()),
        ((), ()),
        ((), (("涉嫌传销", "丁集团"),)),  # cannot be found, and is missed
    ]


def test_test_rows_without_answers_are_read_and_submitted(tmp_path: Path) -> None:
    path = write(tmp_path / "event_entity_dev_data.csv", '21\t甲公司骗"人\n22\t甲公司骗"人\n')
    examples = read("ccks2020_event_subject", path)
    assert [(example.id, example.text, example.spans) for example in examples] == [
        ("21", '甲公司骗"人', None),
        ("22", '甲公司骗"人', None),
    ]
    found = [spans((0, 3, "涉嫌欺诈"), (0, 3, "涉嫌传销")), ()]
    assert submitted("ccks2020_event_subject", examples, found) == ["21\t涉嫌欺诈\t甲公司", "21\t涉嫌传销\t甲公司"]


def test_records_of_events_count_the_last_character(tmp_path: Path) -> None:
    records = [
        {"id": "3", "context": "甲公司骗人", "type": ["涉嫌欺诈", "涉嫌传销"], "entity": [[[0, 2], [0, 2]], [[0, 2]]]},
        {"id": "4", "context": "甲公司骗人", "type": [], "entity": []},
    ]
    path = write(tmp_path / "val.data", json.dumps(records))
    first, other = read("ccks2020_event_subject", path)
    assert first.spans == spans((0, 3, "涉嫌传销"), (0, 3, "涉嫌欺诈"))
    assert first.subjects == (("涉嫌传销", "甲公司"), ("涉嫌欺诈", "甲公司"))
    assert other.spans is None


@pytest.mark.parametrize("entity", [[[0, 2]], [[[0, 2]], [[0, 2]]], None, [[[0, 9]]]])
def test_places_that_do_not_fit_their_types_or_text_are_refused(entity: Any, tmp_path: Path) -> None:
    record = {"id": "3", "context": "甲公司骗人", "type": ["涉嫌欺诈"], "entity": entity}
    with pytest.raises(InputError, match=r"val.data: record 1: (`entity` is not a list|the span 0–9)"):
        read("ccks2020_event_subject", write(tmp_path / "val.data", json.dumps([record])))


def test_subjects_are_scored_as_pairs_of_type_and_company() -> None:
    text = "甲公司骗人，甲公司跑路，乙公司没有"
    truth = ccks2020_event_subject.SubjectExample(
        1, text, spans((0, 3, "A"), (6, 9, "A")), subjects=(("A", "甲公司"), ("B", "丙公司"))
    )
    elsewhere = spans((6, 9, "A"), (12, 15, "A"))  # 甲公司 is right wherever it is found, 乙公司 is wrong
    scores = ccks2020_event_subject.score([truth], [elsewhere])
    assert scores == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert ccks2020_event_subject.score([SpanExample(2, text, spans((0, 3, "A")))], [spans((6, 9, "A"))])["f1"] == 1.0


EVENT = {
    "type": "收购",
    "mentions": [
        {"role": "sub-org", "span": [0, 3], "word": "甲公司"},
        {"role": "trigger", "span": [3, 5], "word": "收购"},
    ],
}


def test_events_become_spans_of_type_and_role_and_events_again(tmp_path: Path) -> None:
    path = write_records(
        tmp_path / "x.json",
        [{"id": "e1", "content": "甲公司收购乙公司", "events": [EVENT]}, {"id": "e2", "content": "无"}],
    )
    first, other = read("ccks2020_fewshot_events", path)
    assert first.spans == spans((0, 3, "收购-sub-org"), (3, 5, "收购-trigger"))
    assert other.spans is None
    lines = [json.loads(line) for line in submitted("ccks2020_fewshot_events", [first, other], [first.spans, ()])]
    assert lines == [{"id": "e1", "events": [EVENT]}, {"id": "e2", "events": []}]


def test_arguments_go_to_the_nearest_trigger_of_their_type() -> None:
    text = "甲减持一成，乙减持两成，丙质押"
    found = spans(
        *((0, 1, "减持-sub"), (1, 3, "减持-trigger"), (3, 5, "减持-share"), (6, 7, "减持-sub")),
        *((7, 9, "减持-trigger"), (9, 11, "减持-share"), (12, 13, "质押-sub")),
    )
    events = ccks2020_fewshot_events.events_of(text, found)
    said = [(event["type"], [mention["word"] for mention in event["mentions"]]) for event in events]
    assert said == [("减持", ["甲", "减持", "一成"]), ("减持", ["乙", "减持", "两成"]), ("质押", ["丙"])]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"type": "收购"}, "`events` is not a list"),
        ({"type": "收购", "mentions": [{"role": "a", "span": [0]}]}, "`events` is not a list|missing"),
        (
            {"type": "收购", "mentions": [{"role": "a", "span": [0, 2], "word": "甲公司"}]},
            "but the mention is '甲公司'; with the last one included",
        ),
    ],
)
def test_events_of_another_form_are_refused(event: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_records(tmp_path / "x.json", [{"id": "e1", "content": "甲公司收购乙公司", "events": [event]}])
    with pytest.raises(InputError, match=rf"x.json:1: .*({message})"):
        read("ccks2020_fewshot_events", path)


# ---------------------------------------------------------------------------------------------------------------- words


def test_segmented_text_keeps_all_its_characters_and_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "pku_training.utf8", "\ufeff共同  创造  ２００１年  \r\n\r\n“  的\u3000未来\n")
    examples = read("pku_cws", path)
    assert [example.text for example in examples] == ["共同创造２００１年", "", "“的未来"]
    assert [[example.text[s.start : s.end] for s in example.spans] for example in examples] == [
        ["共同", "创造", "２００１年"],
        [],
        ["“", "的", "未来"],
    ]
    lines = submitted("pku_cws", examples, [example.spans for example in examples])
    assert lines == ["共同  创造  ２００１年", "", "“  的  未来"]


def test_text_that_nobody_segmented_has_no_words(tmp_path: Path) -> None:
    examples = list(read_segmented(write(tmp_path / "pku_test.utf8", "共同创造\n未来\n")))
    assert [(example.text, example.spans) for example in examples] == [("共同创造", None), ("未来", None)]


def test_files_of_the_bakeoff_are_found_where_it_has_them(tmp_path: Path) -> None:
    train = write(tmp_path / "training" / "msr_training.utf8", "甲  乙\n")
    gold = write(tmp_path / "gold" / "msr_test_gold.utf8", "甲  乙\n")
    write(tmp_path / "gold" / "pku_test_gold.utf8", "甲  乙\n")
    task = get_task("msra_cws")
    assert find_split(task, tmp_path, "train") == [train] and find_split(task, tmp_path, "test") == [gold]


def test_words_of_a_treebank_are_read(tmp_path: Path) -> None:
    content = "# text = 你好吗\n1-2\t你好\t_\n1\t你\t_\n2\t好\t_\n\n1\t吗\t_\n"
    examples = list(read_treebank(write(tmp_path / "dev.conllu", content)))
    assert [(example.text, example.spans) for example in examples] == [
        ("你好", spans((0, 1, "WORD"), (1, 2, "WORD"))),
        ("吗", spans((0, 1, "WORD"))),
    ]


# ------------------------------------------------------------------------------------------------------------- registry


def test_every_task_with_spans_can_be_run() -> None:
    tasks = [task for task in all_tasks().values() if task.kind in ("tagging", "pointers", "segmentation")]
    wanted = (
        "ccks2017_ner ccks2018_ner ccks2019_ner ccks2020_event_subject ccks2020_fewshot_events ccks2020_ner "
        "ccks2021_address cityu_cws cluener msra_cws msra_ner ontonotes4 pku_cws resume_ner sxu_cws weibo_ner"
    )
    assert set(wanted.split()) <= {task.name for task in tasks}
    for task in tasks:
        kind = KINDS[task.kind](task.labels or ("X",))
        example = SpanExample(0, TEXT, spans((0, 2, kind.labels[0])))
        figures = (task.score or kind.score)([example], [example.spans])
        assert figures[task.metric] == 1.0 and task.source and task.defaults.source
        for submission in task.submissions:
            assert list(submission.write([example], [example.spans]))


# ------------------------------------------------------------------------------------------------------- published data

PUBLISHED = [
    # Task, folder, and for each split the texts and spans; texts as the folder's README counts them.
    ("cluener", "cluener", {"train": (10_748, 23_971), "dev": (1_343, 3_072), "test": (1_345, None)}),
    # 1.89, 0.39 and 0.42 thousand names are what the literature counts.
    ("weibo_ner", "weibo_ner", {"train": (1_350, 1_895), "dev": (270, 389), "test": (270, 418)}),
    ("resume_ner", "resume_ner", {"train": (3_821, 13_440), "dev": (463, 1_497), "test": (477, 1_630)}),
    (
        "ccks2019_ner",
        "ccks2019_medical_ner",
        {"train": (3_800, 10_892), "dev": (1_273, 3_658), "test": (2_035, 6_002)},
    ),
    ("ccks2020_event_subject", "ccks2020_event_subject", {"dev": (900, 2_456), "test": (900, None)}),
    ("pku_cws", "cws_sighan2005", {"test": (1_944, 104_372)}),
    ("msra_cws", "cws_sighan2005", {"test": (3_985, 106_873)}),
    ("cityu_cws", "cws_sighan2005", {"test": (1_492, 40_936)}),
    ("sxu_cws", "cws_sxu", {"train": (3_500, 108_031), "test": (3_654, 113_527)}),
    ("ud_gsd_cws", "ud_chinese_gsd", {"train": (500, 12_100), "dev": (500, 12_663), "test": (500, 12_012)}),
    ("weibo_treebank_cws", "weibo_treebank", {"train": (813, 14_774), "dev": (95, 1_843), "test": (92, 1_860)}),
]


@pytest.mark.parametrize(("name", "folder", "splits"), PUBLISHED, ids=[name for name, _, _ in PUBLISHED])
def test_published_files_are_read_whole(
    name: str, folder: str, splits: dict[str, tuple[int, int | None]], shared: Path
) -> None:
    directory = shared / "data" / "tasks" / folder
    if not directory.is_dir():
        pytest.skip(f"{folder} is not among the shared data")
    task = get_task(name)
    for split, (texts, found) in splits.items():
        examples = read_split(task, find_split(task, directory, split), ids_count=split == "test")
        assert len(examples) == texts, split
        if found is None:
            assert all(example.spans is None for example in examples)
        else:
            assert sum(len(example.spans) for example in examples) == found, split
