"""Multiple choice: C3 and ChID from their files, what a choice looks like to the model, and a run to the submission."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import pipeline

from chinesebert.errors import InputError
from chinesebert.finetuning.main import main
from chinesebert.modeling_chinesebert import ChineseBertForMultipleChoice
from chinesebert.tasks.examples import ChoiceExample
from chinesebert.tasks.kinds import Encoded, Lengths
from chinesebert.tasks.kinds.choice import Choice, around, distinct
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, read_split
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.finetuning_models import write_tiny_model
from tests.test_modeling import tiny_config

SHARED = Path(__file__).parents[2] / "shared" / "data" / "tasks"
IDIOMS = ["画龙点睛", "守株待兔", "亡羊补牢", "井底之蛙"]


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def text(*questions: dict[str, Any]) -> list[Any]:
    return [["男：下雨了吗？", "女：还没有，可是天很黑。"], list(questions), "7-1"]


def question(choices: int = 4, answer: int | None = 1, **more: Any) -> dict[str, Any]:
    given_choices = ["下雨了", "没下雨", "下雪了", "天晴了"][:choices]
    record: dict[str, Any] = {"question": "天气怎么样？", "choice": given_choices}
    return record | ({} if answer is None else {"answer": given_choices[answer]}) | more


def read(task: str, path: Path) -> list[ChoiceExample]:
    return list(get_task(task).read(path))  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------------- C3


def test_c3_has_an_example_a_question(tmp_path: Path) -> None:
    path = written(tmp_path / "d-train.json", [text(question(), question(2, 0)), text(question(3, 2))])
    first, second, third = read("c3", path)
    assert first.context == "男：下雨了吗？\n女：还没有，可是天很黑。" and first.question == "天气怎么样？"
    assert [len(example.choices) for example in (first, second, third)] == [4, 2, 3]
    assert [example.label for example in (first, second, third)] == [1, 0, 2]
    assert [example.id for example in (first, second, third)] == [0, 1, 2]
    assert third.where == f"{path}: text 2"


def test_c3_s_two_files_are_one_split(tmp_path: Path) -> None:
    written(tmp_path / "c3-m-dev.json", [text(question())])
    written(tmp_path / "c3-d-dev.json", [text(question(), question())])
    files = find_split(get_task("c3"), tmp_path, "dev")
    assert [path.name for path in files] == ["c3-m-dev.json", "c3-d-dev.json"]
    assert [example.id for example in read_split(get_task("c3"), files)] == [0, 1, 2]


def test_c3_s_test_questions_keep_their_ids_and_need_no_answer(tmp_path: Path) -> None:
    examples = read(
        "c3", written(tmp_path / "test1.1.json", [text(question(answer=None, id=0), question(answer=None, id=9))])
    )
    assert [(example.id, example.label) for example in examples] == [(0, None), (9, None)]


def test_c3_finds_the_answer_whatever_its_case(tmp_path: Path) -> None:
    record = {"question": "?", "choice": ["DVD", "CD"], "answer": "cd "}
    assert read("c3", written(tmp_path / "m-dev.json", [text(record)]))[0].label == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data": []}, "is not a list of texts"),
        ([{"sentence": "甲"}], "text 1: is not"),
        ([text(question() | {"answer": "刮风了"})], "text 1: the answer '刮风了' is none of the choices"),
        ([text({"question": "?"})], "text 1: has no `choice`"),
        ([text({"question": "?", "choice": []})], "`choice` is not a list"),
    ],
)
def test_what_is_wrong_in_c3_is_named(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read("c3", written(tmp_path / "m-dev.json", content))


@pytest.mark.parametrize(("split", "count"), [("train", 1062 + 679), ("dev", 1825 + 1991), ("test", 1890 + 2002)])
def test_c3_s_published_files_are_read_whole(split: str, count: int) -> None:
    if not (SHARED / "c3").exists():
        pytest.skip("needs ../shared/data/tasks/c3, which is not there")
    task = get_task("c3")
    examples = read_split(task, find_split(task, SHARED / "c3", split), ids_count=True)
    assert len(examples) == count
    assert all(2 <= len(example.choices) <= 4 and example.label < len(example.choices) for example in examples)


# --------------------------------------------------------------------------------------------------------------- ChID


def chid_record(**more: Any) -> dict[str, Any]:
    contents = ["他的文章#idiom000001#，令人叫好；改稿是#idiom000002#。", "别#idiom000003#了。"]
    return {"content": contents, "candidates": IDIOMS} | more


def test_clue_s_chid_has_an_example_a_blank_and_answers_beside_it(tmp_path: Path) -> None:
    path = lines(tmp_path / "train.json", chid_record())
    written(tmp_path / "train_answer.json", {"#idiom000001#": 0, "#idiom000002#": 2, "#idiom000003#": 1})
    examples = read("chid", path)
    assert [example.id for example in examples] == ["#idiom000001#", "#idiom000002#", "#idiom000003#"]
    assert [example.label for example in examples] == [0, 2, 1]
    assert len({example.group for example in examples}) == 1
    for example in examples:
        start, end = example.blank  # type: ignore[misc]
        assert example.context[start:end] == example.id
    assert examples[1].context == f"他的文章{'[MASK]' * 4}，令人叫好；改稿是#idiom000002#。"


def test_answers_may_be_a_table(tmp_path: Path) -> None:
    path = lines(tmp_path / "train.json", chid_record())
    (tmp_path / "train_answer.csv").write_text("#idiom000001#,0\r\n#idiom000002#,2\r\n#idiom000003#,1\r\n")
    assert [example.label for example in read("chid", path)] == [0, 2, 1]


def test_fewclue_s_chid_has_its_answer_with_it(tmp_path: Path) -> None:
    record = {"id": 242, "candidates": IDIOMS, "content": "他#idiom#。", "answer": 3}
    [example] = read("chid", lines(tmp_path / "dev_0.json", record))
    assert (example.id, example.label, example.blank, example.group) == (242, 3, (1, 8), None)


def test_the_first_release_has_candidates_for_each_blank(tmp_path: Path) -> None:
    record = {
        "content": "先#idiom#，后#idiom#。",
        "candidates": [IDIOMS, IDIOMS[:2]],
        "groundTruth": ["亡羊补牢", "画龙点睛"],
        "realCount": 2,
    }
    examples = read("chid", lines(tmp_path / "train_data.json", record, record))
    assert [example.label for example in examples] == [2, 0, 2, 0]
    assert [example.id for example in examples] == [0, 1, 2, 3]
    assert [len(example.choices) for example in examples[:2]] == [4, 2]
    assert examples[1].context == f"先{'[MASK]' * 4}，后#idiom#。"


def test_chid_without_answers_can_be_predicted(tmp_path: Path) -> None:
    assert {example.label for example in read("chid", lines(tmp_path / "test1.1.json", chid_record()))} == {None}


@pytest.mark.parametrize(
    ("record", "answers", "said"),
    [
        (chid_record(), None, r"train.json:1: has no answers: put train_answer.json"),
        (chid_record(), {"#idiom000001#": 0}, r"train.json:1: .* has none for #idiom000002#"),
        (chid_record(), {"#idiom000001#": 4}, r"train.json:1: the answer of #idiom000001# is 4, but there are 4"),
        (chid_record(), {"#idiom000001#": "画"}, r"train_answer.json: #idiom000001#: the answer is '画'"),
        (chid_record(content="没有空"), None, r"train.json:1: `content` has no blank"),
        (chid_record(candidates=[]), None, r"`candidates` is neither"),
        (chid_record(groundTruth=["不在其中"]), None, r"`groundTruth` has no candidate for blank 1"),
        ({"sentence": "甲", "label": "1"}, None, r"train.json:1: has no `content`"),
    ],
)
def test_what_is_wrong_in_chid_is_named(tmp_path: Path, record: Any, answers: Any, said: str) -> None:
    path = lines(tmp_path / "train.json", record)
    if answers is not None:
        written(tmp_path / "train_answer.json", answers)
    with pytest.raises(InputError, match=said):
        read("chid", path)


@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("train_0.json", 42),
        ("dev_0.json", 42),
        ("train_few_all.json", 202),
        ("dev_few_all.json", 202),
        ("test_public.json", 2002),
    ],
)
def test_chid_s_published_files_are_read_whole(file: str, count: int) -> None:
    if not (SHARED / "chid").exists():
        pytest.skip("needs ../shared/data/tasks/chid, which is not there")
    examples = read_split(get_task("chid"), [SHARED / "chid" / file], ids_count=file.startswith("test"))
    assert len(examples) == count
    assert all(len(example.choices) == 7 and example.label in range(7) for example in examples)


# ------------------------------------------------------------------------------------------------------------- inputs


def rows(tokenizer: ChineseBertTokenizer, example: ChoiceExample, **lengths: Any) -> tuple[list[str], int]:
    """The texts that the model reads, a choice each, and how many examples were cut."""
    encoded = Choice().encode([example], tokenizer, Lengths(**lengths))
    [item] = encoded.inputs
    for ids, pinyin in zip(item["input_ids"], item["pinyin_ids"], strict=True):
        assert len(ids) == len(pinyin) <= lengths["max_seq_length"]
    return ["".join(tokenizer.convert_ids_to_tokens(list(ids))) for ids in item["input_ids"]], encoded.cut


def test_a_choice_comes_after_context_and_question(small_tokenizer: ChineseBertTokenizer) -> None:
    example = ChoiceExample(0, "天很大", "什么", ("大", "小"))
    assert rows(small_tokenizer, example, max_seq_length=64) == (
        ["[CLS]天很大[SEP]什么[SEP]大[SEP]", "[CLS]天很大[SEP]什么[SEP]小[SEP]"],
        0,
    )
    assert rows(small_tokenizer, ChoiceExample(0, "天", "", ("大",)), max_seq_length=64)[0] == ["[CLS]天[SEP]大[SEP]"]


@pytest.mark.parametrize(
    ("truncation", "kept"), [("head", "一二三四"), ("tail", "七八九十"), ("head+tail", "一八九十")]
)
def test_the_context_is_cut_and_question_and_choice_are_not(
    small_tokenizer: ChineseBertTokenizer, truncation: str, kept: str
) -> None:
    example = ChoiceExample(0, "一二三四五六七八九十", "什么", ("大人", "小"))
    found, cut = rows(small_tokenizer, example, max_seq_length=12, truncation=truncation)
    assert found[0] == f"[CLS]{kept}[SEP]什么[SEP]大人[SEP]" and cut == 1


def test_long_questions_and_choices_leave_a_third_to_the_context(small_tokenizer: ChineseBertTokenizer) -> None:
    example = ChoiceExample(0, "一" * 20, "大" * 20, ("小" * 20, "中"))
    found, cut = rows(small_tokenizer, example, max_seq_length=13)
    assert found[0] == "[CLS]一一一[SEP]大大大[SEP]小小小[SEP]" and cut == 1


def test_a_choice_stands_in_the_blank_with_what_is_around_it(small_tokenizer: ChineseBertTokenizer) -> None:
    context = "一二三四五六七八九十□一二三四五六七八九十"
    example = ChoiceExample(0, context, "", ("大人", "小"), blank=(10, 11))
    found, cut = rows(small_tokenizer, example, max_seq_length=10)
    assert found == ["[CLS]八九十大人一二三[SEP]", "[CLS]八九十小一二三四[SEP]"] and cut == 1
    assert rows(small_tokenizer, example, max_seq_length=64)[0][1] == f"[CLS]{context.replace('□', '小')}[SEP]"


def test_other_blanks_are_masks(small_tokenizer: ChineseBertTokenizer) -> None:
    example = ChoiceExample(0, "[MASK][MASK]了□", "", ("大",), blank=(13, 14))
    assert rows(small_tokenizer, example, max_seq_length=16)[0] == ["[CLS][MASK][MASK]了大[SEP]"]


@given(st.integers(0, 40), st.integers(0, 6), st.integers(0, 40), st.integers(1, 30))
def test_around_keeps_the_middle_in_the_middle(before: int, middle: int, after: int, most: int) -> None:
    start, end, total = before, before + middle, before + middle + after
    first, last = around(start, end, total, most)
    assert 0 <= first <= start and last <= total
    assert last - first == min(total, most)
    if middle <= most:
        assert last >= end
        left, right = start - first, last - end
        assert abs(left - right) <= 1 or left == before or right == after


def test_examples_with_fewer_choices_are_padded(small_tokenizer: ChineseBertTokenizer) -> None:
    examples = [ChoiceExample(0, "天", "何", ("大", "小", "多"), 2), ChoiceExample(1, "天很大", "何", ("大", "小"), 0)]
    batch = Choice().collate(Choice().encode(examples, small_tokenizer, Lengths()).inputs)
    assert batch["input_ids"].shape == batch["pinyin_ids"].shape == batch["attention_mask"].shape == (2, 3, 9)
    assert batch["attention_mask"].sum(dim=-1).tolist() == [[7, 7, 7], [9, 9, 1]]
    assert batch["labels"].tolist() == [2, 0]


def test_absent_choices_count_neither_in_the_loss_nor_in_the_decision(small_tokenizer: ChineseBertTokenizer) -> None:
    examples = [ChoiceExample(0, "天", "何", ("大", "小", "多"), 2), ChoiceExample(1, "天很大", "何", ("大", "小"), 0)]
    kind = Choice()
    sizes = {"vocab_size": len(small_tokenizer.tokens()), "num_syllables": len(small_tokenizer.readings.syllables)}
    torch.manual_seed(0)
    model = ChineseBertForMultipleChoice(tiny_config(**sizes)).eval()
    encoded = kind.encode(examples, small_tokenizer, Lengths())
    together, logits = losses(model, kind, encoded.inputs)
    alone = [losses(model, kind, [item])[0] for item in encoded.inputs]
    assert together == pytest.approx(sum(alone) / 2, rel=1e-4)
    scores = logits.copy()
    scores[1, 2] = 99
    assert kind.decode(examples, encoded, scores)[1] == int(logits[1, :2].argmax())


def losses(model: Any, kind: Choice, inputs: list[dict[str, Any]]) -> tuple[float, np.ndarray]:
    batch = kind.collate(inputs)
    with torch.no_grad():
        outputs = model(**batch)
    loss = kind.loss(outputs, batch)
    assert loss is not None and torch.isfinite(loss)
    return loss.item(), outputs.logits.numpy()


# ---------------------------------------------------------------------------------------------------------- decisions


def test_choices_within_a_record_can_be_made_unique() -> None:
    examples = [
        *(ChoiceExample(n, "□", "", ("甲", "乙", "丙"), group="a") for n in range(3)),
        ChoiceExample(3, "□", "", ("甲", "乙", "丙")),
    ]
    # Each likes 甲 best, the second most of all; of the other two the third is surer of 丙 than the first of 乙.
    scores = np.array([[2, 1.5, 0], [9, 0, 0], [2, 0, 1.9], [2, 1, 0]], dtype=np.float32)
    kind = Choice()
    assert kind.decode(examples, Encoded([], []), scores) == [0, 0, 0, 0]
    kind.unique = True
    assert kind.decode(examples, Encoded([], []), scores) == [1, 0, 2, 0]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_distinct_choices_are_distinct_while_there_are_some(count: int, choices: int, seed: int) -> None:
    found = distinct(list(np.random.default_rng(seed).normal(size=(count, choices)).astype(np.float32)))
    assert len(found) == count and len(set(found)) == min(count, choices)


def test_accuracy_is_the_share_of_right_choices() -> None:
    examples = [ChoiceExample(n, "", "", ("甲", "乙"), n % 2) for n in range(4)]
    assert Choice().score(examples, [0, 1, 1, 1]) == {"accuracy": 0.75}


# ---------------------------------------------------------------------------------------------------------------- run


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("pretrained"), small_tokenizer)


def finetune(task: str, data: Path, model: Path, *flags: str) -> int:
    return main(
        "clue",
        [
            *("--task", task, "--data_dir", str(data), "--model_name_or_path", str(model)),
            *("--output_dir", str(data / "out"), "--max_steps", "2", "--max_seq_length", "32"),
            *(
                "--per_device_train_batch_size",
                "2",
                "--report_to",
                "none",
                "--use_cpu",
                "--disable_tqdm",
                "true",
                *flags,
            ),
        ],
    )


@pytest.mark.parametrize(("file", "submission"), [("test1.1.json", "c311"), ("test1.0.json", "c310")])
def test_c3_runs_to_its_submission(tmp_path: Path, pretrained: Path, file: str, submission: str) -> None:
    for name in ("m-train.json", "d-train.json", "m-dev.json", "d-dev.json"):
        written(tmp_path / name, [text(question(), question(2)), text(question(3))])
    written(tmp_path / file, [text(question(answer=None, id=0), question(2, None, id=1))])
    assert finetune("c3", tmp_path, pretrained, "--do_train", "--do_eval", "--do_predict") == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["dev"]["examples"] == 6 and 0 <= metrics["dev"]["accuracy"] <= 1
    made = [json.loads(line) for line in (tmp_path / "out" / f"{submission}_predict.json").read_text().splitlines()]
    assert [line["id"] for line in made] == [0, 1]
    assert made[0]["label"] in range(4) and made[1]["label"] in range(2)
    given = {"context": "\n".join(text()[0]), "question": question()["question"]}
    chooser = pipeline("multiple-choice", model=str(tmp_path / "out"), device="cpu")
    assert chooser(**given, choices=question()["choice"])["label"] == made[0]["label"]


def test_chid_runs_to_its_submission(tmp_path: Path, pretrained: Path) -> None:
    for name in ("train", "dev"):
        lines(tmp_path / f"{name}.json", chid_record())
        written(tmp_path / f"{name}_answer.json", {"#idiom000001#": 0, "#idiom000002#": 2, "#idiom000003#": 1})
    lines(tmp_path / "test1.1.json", chid_record())
    flags = ("--do_train", "--do_eval", "--do_predict", "--unique_choices")
    assert finetune("chid", tmp_path, pretrained, *flags) == 0
    made = json.loads((tmp_path / "out" / "chid11_predict.json").read_text())
    assert list(made) == ["#idiom000001#", "#idiom000002#", "#idiom000003#"]
    assert len(set(made.values())) == 3 and set(made.values()) < set(range(4))
    assert not (tmp_path / "out" / "chidf_predict.json").exists()


def test_fewclue_s_chid_gets_fewclue_s_submission(tmp_path: Path) -> None:
    [example] = read("chid", lines(tmp_path / "test.json", {"id": 5, "candidates": IDIOMS, "content": "他#idiom#。"}))
    [wanted] = [item for item in get_task("chid").submissions if not item.test_file and item.fits([example])]  # type: ignore[misc]
    assert wanted.name == "chidf_predict.json"
    assert list(wanted.write([example], [2])) == ['{"id": 0, "answer": 2}']


def test_unique_choices_are_refused_where_there_are_none(
    tmp_path: Path, pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train.json", "dev.json"):
        lines(tmp_path / name, {"sentence1": "甲", "sentence2": "乙", "label": "1"})
    assert finetune("afqmc", tmp_path, pretrained, "--do_train", "--unique_choices") == 2
    assert "--unique_choices: afqmc has no choices" in capsys.readouterr().err
