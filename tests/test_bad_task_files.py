"""Files that are not what a task is published as: refused with file, line and remedy, never by a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest

from chinesebert.errors import InputError
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import read_split

IDIOMS: dict[str, Any] = {"content": "他#idiom#地走", "candidates": ["一心一意", "二话不说"], "answer": 0}
EVENTS: dict[str, Any] = {"id": "a", "content": "张三被捕"}
NOUN: dict[str, Any] = {"text": "小明说他来", "label": "true"}
SPANS: dict[str, Any] = {"span1_text": "小明", "span1_index": 0, "span2_text": "他", "span2_index": 3}
WITH_IDS: dict[str, Any] = {
    "tnews": {"sentence": "一条新闻", "label": "100"},
    "cluener": {"text": "王芳在北京", "label": {"name": {"王芳": [[0, 1]]}}},
    "ccks2019_ner": {"originalText": "头痛三天", "entities": []},
    "chid": IDIOMS,
    "ccks2020_fewshot_events": EVENTS,
    "ccks2020_event_subject": {"context": "某公司涉嫌违法", "type": [], "entity": []},
    "sighan15": {"source": "我喜换你", "target": "我喜欢你"},
}


def read(task: str, path: Path, content: str) -> list[Any]:
    path.write_text(content, encoding="utf-8")
    return read_split(get_task(task), [path], ids_count=True)


def record(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("task", WITH_IDS)
@pytest.mark.parametrize("wrong", [[1], 1.5, {"a": 1}, True])
def test_an_id_that_is_neither_text_nor_number_is_refused(tmp_path: Path, task: str, wrong: Any) -> None:
    with pytest.raises(InputError, match=r"x\.json:1: the id is .*, neither a text nor a whole number"):
        read(task, tmp_path / "x.json", record(WITH_IDS[task] | {"id": wrong}))


@pytest.mark.parametrize("task", WITH_IDS)
def test_a_record_whose_id_is_empty_is_numbered(tmp_path: Path, task: str) -> None:
    for nothing in (None, ""):
        [example] = read(task, tmp_path / "x.json", record(WITH_IDS[task] | {"id": nothing}))
        assert example.id == 0


def test_a_hash_of_digits_only_stays_a_text(tmp_path: Path) -> None:
    digits = "12345678901234567890123456789012"
    [example] = read("ccks2020_fewshot_events", tmp_path / "x.json", record(EVENTS | {"id": digits}))
    assert example.id == digits


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        ("tnews", "[1, 2]\n", "is 1, not a JSON object"),
        ("tnews", "null\n", ":1: is null, not a JSON object"),
        ("tnews", "id\tsentence\n1\t一\n", ":1: is not a JSON record"),
        ("ccks2019_ner", "王 B-PER\n", ":1: is not a JSON record"),
        ("ccks2020_fewshot_events", record(EVENTS | {"events": {}}), ":1: `events` is not a list of"),
        ("cluewsc2020", record(NOUN | {"target": SPANS | {"span1_text": ""}}), ":1: span1 is ''"),
        ("pku_cws", record(WITH_IDS["tnews"]), ":1: is a JSON record, not words with spaces"),
        ("pku_cws", "怎么 还款\t如何还\t1\n谁\t哪\t0\n", ":1: is a row of a table, not words"),
        ("pku_cws", "王 B-PER\n芳 I-PER\n\n好 O\n", ":1: is a character with a tag, not words"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path: Path, task: str, content: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read(task, tmp_path / "x.json", content)
    assert message in str(refused.value)


@pytest.mark.parametrize("answers", [{"text": "北京", "answer_start": 0}, {"text": None, "answer_start": [0]}])
def test_answers_side_by_side_must_be_lists(tmp_path: Path, answers: Any) -> None:
    content = {"context": "北京是首都", "id": "Q1", "question": "哪里？", "answers": answers}
    with pytest.raises(InputError, match="entry 1, Q1: `text` and `answer_start` of `answers` are not lists"):
        read("cmrc2018", tmp_path / "x.json", record([content]))
