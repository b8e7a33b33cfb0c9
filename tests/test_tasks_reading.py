"""Extractive reading: CMRC 2018 and DRCD from their files, windows, spans, and a run to the submission file."""

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import pipeline

from chinesebert.errors import InputError
from chinesebert.finetuning.main import main
from chinesebert.tasks.dataset import BertDataset
from chinesebert.tasks.examples import Answer, ReadingExample
from chinesebert.tasks.kinds import KINDS, Lengths
from chinesebert.tasks.kinds.reading import MOST_QUESTION_TOKENS, Reading, best_spans, windows
from chinesebert.tasks.reading_files import nearest, read_reading
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, read_split
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.finetuning_models import write_tiny_model

SHARED = Path(__file__).parents[2] / "shared" / "data" / "tasks" / "cmrc2018"
CONTEXT = "  小城有三座桥。第一座桥建于1921年，由 Li Wei 设计；第二座桥建于1957年。"


def squad(*questions: dict[str, Any], context: str = CONTEXT) -> dict[str, Any]:
    return {"version": "v1.0", "data": [{"paragraphs": [{"id": "T_0", "context": context, "qas": list(questions)}]}]}


def question(
    name: str = "T_0_Q_0", text: str = "第一座桥建于哪年？", answers: Any = (("1921年", 14),)
) -> dict[str, Any]:
    record: dict[str, Any] = {"id": name, "question": text}
    if answers is not None:
        record["answers"] = [{"text": answer, "answer_start": start} for answer, start in answers]
    return record


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def read(path: Path) -> list[ReadingExample]:
    return list(read_reading(path))


# -------------------------------------------------------------------------------------------------------------- files


def test_the_form_of_squad_is_read(tmp_path: Path) -> None:
    start = CONTEXT.index("1921")
    path = written(tmp_path / "train.json", squad(question(answers=[("1921年", start), ("1921", start)])))
    [example] = read(path)
    assert (example.id, example.context, example.question) == ("T_0_Q_0", CONTEXT, "第一座桥建于哪年？")
    assert example.answers == (Answer("1921年", start), Answer("1921", start))
    assert example.where.startswith(f"{path}: ") and "T_0_Q_0" in example.where


def test_the_form_of_the_first_release_is_read(tmp_path: Path) -> None:
    records = [
        {
            "context_id": "T_0",
            "context_text": CONTEXT,
            "title": "桥",
            "qas": [{"query_id": "T_0_QUERY_0", "query_text": "谁设计的？", "answers": ["Li Wei", "李伟"]}],
        }
    ]
    [example] = read(written(tmp_path / "cmrc2018_trial.json", records))
    assert example.answers == (Answer("Li Wei", CONTEXT.index("Li")), Answer("李伟", -1))


@pytest.mark.parametrize("lines", [True, False])
def test_a_record_a_question_is_read(tmp_path: Path, lines: bool) -> None:
    records = [
        {"id": f"q{n}", "context": CONTEXT, "question": "?", "answers": {"text": ["三座"], "answer_start": [5]}}
        for n in range(2)
    ]
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    (tmp_path / "dev.json").write_text(text)
    assert [example.answers for example in read(tmp_path / "dev.json")] == [(Answer("三座", 5),)] * 2


def test_byte_order_marks_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = json.dumps(squad(question(answers=[("三座", 5)])), ensure_ascii=False, indent=1).replace("\n", "\r\n")
    (tmp_path / "dev.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(tmp_path / "dev.json")[0].answers == (Answer("三座", 5),)


def test_an_answer_gets_the_nearest_place_where_it_stands(tmp_path: Path) -> None:
    first, second = CONTEXT.index("座桥建于"), CONTEXT.rindex("座桥建于")
    for given_start, start in (
        (first + 2, first),
        (second - 1, second),
        (second + 9, second),
        (-1, first),
        (999, second),
    ):
        [example] = read(written(tmp_path / "dev.json", squad(question(answers=[("座桥建于", given_start)]))))
        assert example.answers == (Answer("座桥建于", start),)


@given(st.text("甲乙", max_size=12), st.text("甲乙", min_size=1, max_size=3), st.integers(-2, 15))
def test_nearest_is_the_nearest(context: str, text: str, start: int) -> None:
    places = [place for place in range(len(context)) if context.startswith(text, place)]
    found = nearest(context, text, start)
    if places:
        assert found in places and abs(found - start) == min(abs(place - start) for place in places)
    else:
        assert found == -1


@pytest.mark.parametrize("answers", [None, []])
def test_a_test_file_without_answers_can_be_predicted(tmp_path: Path, answers: Any) -> None:
    record = question(answers=None) | ({} if answers is None else {"answers": answers})
    [example] = read(written(tmp_path / "test.json", squad(record)))
    assert example.answers is None and Reading().truth(example) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (squad(question(), question()), "T_0_Q_0.*the id T_0_Q_0 occurs twice"),
        (squad(question(), context=" \n"), "T_0_Q_0.*the context is empty"),
        (squad(question(answers=[("火车站", 3)])), "T_0_Q_0.*'火车站' does not stand in the context"),
        (squad(question() | {"is_impossible": True}), "1 of 1 questions .*T_0_Q_0, is_impossible.*cannot be learned"),
        (squad(question(answers=[("YES", -1)])), "1 of 1 questions .*T_0_Q_0, answered by YES"),
        (squad({"id": "x"}), "entry 1, x: has no `question`"),
        (squad(question(answers=[(5, 3)])), "T_0_Q_0: an answer is"),
        ([{"sentence": "甲", "label": "1"}], "entry 1: has no `context`"),
        ({"sentence": "甲", "label": "1"}, "entry 1: has no `context`"),
        ({"data": {}}, "neither `data` nor a list"),
        ([[["甲"], [], "1"]], "neither `data` nor a list"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, said: str) -> None:
    path = written(tmp_path / "dev.json", content)
    with pytest.raises(InputError, match=rf"{path}.*{said}"):
        read(path)


def test_questions_without_a_span_for_an_answer_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("chinesebert"), "propagate", True)
    questions = [
        question("1") | {"is_impossible": "false"},  # as text, as CJRC has it
        question("2", answers=[("YES", -1)]) | {"is_impossible": "false"},
        question("3", answers=[]) | {"is_impossible": "true"},
        question("4", answers=[]) | {"is_impossible": True},
        question("5"),
    ]
    path = written(tmp_path / "big_train_data.json", squad(*questions))
    assert [example.id for example in read(path)] == ["1", "5"]
    [told] = caplog.messages
    assert told.startswith(f"{path}: 3 of 5 questions") and "2, answered by YES" in told


def test_a_span_that_reads_no_is_an_answer(tmp_path: Path) -> None:
    context = "公司名为NO乐队。"
    record = squad(question(answers=[("NO", 4)]), context=context)
    [example] = read(written(tmp_path / "dev.json", record))
    assert example.answers == (Answer("NO", 4),)


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "dev.json", squad(question()))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match=r"is not JSON.*is the file complete"):
        read(path)


@pytest.mark.parametrize(("file", "count"), [("cmrc2018_trial.json", 1002), ("cmrc2018_dev.json", 3219)])
def test_the_published_file_is_read_whole(file: str, count: int) -> None:
    if not (SHARED / file).exists():
        pytest.skip("needs ../shared/data/tasks/cmrc2018, which is not there")
    examples = read_split(get_task("cmrc2018"), [SHARED / file], ids_count=True)
    assert len(examples) == count
    for example in examples:
        placed = [answer for answer in example.answers if answer.start >= 0]
        assert placed and all(example.context.startswith(answer.text, answer.start) for answer in placed)


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("cmrc2018", {"train": "cmrc2018_train.json", "dev": "cmrc2018_dev.json", "test": "test.json"}),
        ("cmrc2018", {"train": "cmrc2018_trial.json", "dev": "dev.json"}),
        ("drcd", {"train": "DRCD_training.json", "dev": "DRCD_dev.json", "test": "DRCD_test.json"}),
        ("drcd", {"train": "train.json", "dev": "dev.json", "test": "test.json"}),
    ],
)
def test_published_names_are_found(tmp_path: Path, task: str, names: dict[str, str]) -> None:
    for name in names.values():
        written(tmp_path / name, squad(question(answers=[("三座", 5)])))
    for split in ("train", "dev", "test"):
        expected = [tmp_path / names[split]] if split in names else []
        assert find_split(get_task(task), tmp_path, split) == expected


# ------------------------------------------------------------------------------------------------------------ windows


@given(st.integers(0, 200), st.integers(2, 40), st.integers(0, 60))
def test_windows_cover_every_token_and_share_what_is_asked(tokens: int, room: int, shared: int) -> None:
    found = list(windows(tokens, room, shared))
    assert found[0][0] == 0 and found[-1][1] == tokens
    assert all(end - start <= room for start, end in found)
    for (_, end), (start, _) in itertools.pairwise(found):
        assert end - start == min(shared, room // 2)


def encode(tokenizer: ChineseBertTokenizer, *examples: ReadingExample, lengths: Lengths) -> Any:
    return Reading().encode(examples, tokenizer, lengths)


def test_an_input_is_question_and_window(small_tokenizer: ChineseBertTokenizer) -> None:
    example = ReadingExample(0, "小城有三座桥。", "有什么？")
    encoded = encode(small_tokenizer, example, lengths=Lengths(64))
    [item] = encoded.inputs
    assert list(item["input_ids"]) == small_tokenizer("有什么？", "小城有三座桥。")["input_ids"]
    assert list(item["pinyin_ids"]) == small_tokenizer("有什么？", "小城有三座桥。")["pinyin_ids"]
    assert "start_positions" not in item
    assert encoded.offsets[0] == [(0, 0)] * 6 + [(n, n + 1) for n in range(7)] + [(0, 0)]


def test_positions_point_at_the_answer_in_every_window_that_holds_it(small_tokenizer: ChineseBertTokenizer) -> None:
    context = "一二三四五六七八九十" * 4
    start = 17
    example = ReadingExample(0, context, "几？", (Answer(context[start : start + 4], start),))
    encoded = encode(small_tokenizer, example, lengths=Lengths(max_seq_length=17, doc_stride=6))
    holds = 0
    for item, offsets in zip(encoded.inputs, encoded.offsets, strict=True):
        assert len(item["input_ids"]) == len(offsets) <= 17
        first, last = item["start_positions"], item["end_positions"]
        visible = [offset for offset in offsets if offset != (0, 0)]
        if visible[0][0] <= start and visible[-1][1] >= start + 4:
            assert (offsets[first][0], offsets[last][1]) == (start, start + 4)
            holds += 1
        else:
            assert (first, last) == (0, 0)  # [CLS]
    assert holds >= 1 and len(encoded.inputs) > holds
    assert set(encoded.owners) == {0}


def test_the_first_reference_in_the_context_is_trained(small_tokenizer: ChineseBertTokenizer) -> None:
    example = ReadingExample(0, "小城有三座桥。", "几？", (Answer("四座", -1), Answer("三座", 3)))
    [item] = encode(small_tokenizer, example, lengths=Lengths(32)).inputs
    assert (item["start_positions"], item["end_positions"]) == (4 + 3, 4 + 4)


def test_long_questions_are_cut_and_counted(small_tokenizer: ChineseBertTokenizer) -> None:
    examples = [ReadingExample(n, "小城有三座桥。" * 60, text) for n, text in enumerate(("几" * 200, "几"))]
    encoded = encode(small_tokenizer, *examples, lengths=Lengths(160))
    assert encoded.cut == 1
    assert encoded.offsets[0].index((0, 1)) == MOST_QUESTION_TOKENS + 2
    assert all(len(item["input_ids"]) <= 160 for item in encoded.inputs)


# -------------------------------------------------------------------------------------------------------------- spans


def scores(length: int, **points: float) -> np.ndarray:
    row = np.zeros(length, dtype=np.float32)
    for name, value in points.items():
        row[int(name[1:])] = value
    return row


def test_a_span_ends_where_or_after_it_begins_and_is_not_too_long() -> None:
    offsets = [(0, 0), (0, 0), *((n, n + 1) for n in range(6)), (0, 0)]
    starts, ends = scores(9, _0=9, _6=5, _3=4), scores(9, _0=9, _8=9, _7=3, _2=7, _5=1)
    best = best_spans(starts, ends, offsets, 3, most=3)
    assert (best[0].start, best[0].end, best[0].score) == (4, 6, 8)  # 6..7; [CLS] and [SEP] are no answers
    assert (best[1].start, best[1].end, best[1].score) == (0, 1, 7)  # the end 2 after the start 2
    assert [span.score for span in best] == sorted((span.score for span in best), reverse=True)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 10_000))
def test_spans_are_those_of_a_search_through_all(length: int, most: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    starts, ends = generator.normal(size=(2, length)).astype(np.float32)
    offsets = [(n, n + 1) for n in range(length)]
    every = [float(starts[i]) + float(ends[j]) for i in range(length) for j in range(i, min(length, i + most))]
    found = best_spans(starts, ends, offsets, 5, most)
    assert [span.score for span in found] == pytest.approx(sorted(every, reverse=True)[:5])


def test_the_best_window_answers_with_text_as_published(small_tokenizer: ChineseBertTokenizer) -> None:
    example = ReadingExample(0, CONTEXT, "谁？")
    kind = Reading()
    encoded = kind.encode([example], small_tokenizer, Lengths(max_seq_length=18, doc_stride=7))
    assert len(encoded.inputs) > 2
    shape = len(encoded.inputs), 18
    starts, ends = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    where = CONTEXT.index("Li Wei")
    for row, offsets in enumerate(encoded.offsets):
        first = [n for n, offset in enumerate(offsets) if offset[0] == where and offset[1]]
        last = [n for n, offset in enumerate(offsets) if offset[1] == where + 6]
        if first and last:
            starts[row, first[0]], ends[row, last[0]] = 5, 5
    starts[:, 0] = ends[:, 0] = 99  # [CLS] is no answer, whatever its score
    assert kind.decode([example], encoded, (starts, ends)) == ["Li Wei"]


def test_a_context_without_a_token_has_the_empty_answer(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Reading()
    encoded = kind.encode([ReadingExample(0, "\u200b", "谁？")], small_tokenizer, Lengths(16))
    row = np.zeros((1, 16), np.float32)
    assert kind.decode([ReadingExample(0, "\u200b", "谁？")], encoded, (row, row)) == [""]


def test_a_data_set_collates_windows(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    written(tmp_path / "dev.json", squad(question(answers=[("三座", 5)]), question("b", answers=[("1957年", 40)])))
    lengths = Lengths(max_seq_length=30, doc_stride=8)
    dataset = BertDataset.from_task("cmrc2018", tmp_path, "dev", small_tokenizer, lengths=lengths)
    batch = dataset.collate([dataset[n] for n in range(len(dataset))])
    assert batch["input_ids"].shape == batch["pinyin_ids"].shape == (len(dataset), 30)
    assert batch["start_positions"].shape == (len(dataset),)
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(item["input_ids"]) for item in dataset.encoded.inputs]


# ---------------------------------------------------------------------------------------------------------------- run


def test_a_run_ends_with_scores_and_the_submission(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    model = write_tiny_model(tmp_path / "model", small_tokenizer)
    start = CONTEXT.index("1921")
    for name in ("train", "dev"):
        written(
            tmp_path / f"{name}.json",
            squad(question(answers=[("1921年", start)]), question("b", answers=[("三座", 5)])),
        )
    written(tmp_path / "test.json", squad(question("T_1", answers=None), question("T_2", "几座？", answers=None)))
    out = tmp_path / "out"
    command = [
        *("--task", "cmrc2018", "--data_dir", str(tmp_path), "--model_name_or_path", str(model)),
        *("--output_dir", str(out), "--do_train", "--do_eval", "--do_predict", "--max_steps", "2"),
        *("--max_seq_length", "32", "--doc_stride", "8", "--report_to", "none", "--use_cpu", "--disable_tqdm", "true"),
    ]
    assert main("clue", command) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["dev"]) >= {"em", "f1", "average"} and 0 <= metrics["dev"]["f1"] <= 1
    submission = json.loads((out / "cmrc2018_predict.json").read_text())
    assert list(submission) == ["T_1", "T_2"]
    assert all(answer and answer in CONTEXT for answer in submission.values())
    saved = json.loads((out / "config.json").read_text())["finetuning"]
    assert saved["kind"] == "reading" and KINDS[saved["kind"]] is Reading
    answer = pipeline("question-answering", model=str(out), device="cpu")(
        question="第一座桥建于哪年？", context=CONTEXT
    )
    assert answer["answer"] == submission["T_1"]
