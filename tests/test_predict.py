"""launch/predict.py: what it reads, what it writes, and what it refuses."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chinesebert.errors import InputError
from chinesebert.finetuning.main import main as finetune
from chinesebert.finetuning.prediction import Predictor
from chinesebert.finetuning.records import needed, read_lines_as
from chinesebert.tasks.examples import (
    CharacterExample,
    ChoiceExample,
    CorrectionExample,
    ReadingExample,
    SpanExample,
    TextExample,
)
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from launch.predict import main
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import LABELS, flags, read_records, write_afqmc, write_records, write_tnews


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", small_tokenizer)


@pytest.fixture(scope="module")
def tnews(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the twelve titles of its training data by heart."""
    directory = tmp_path_factory.mktemp("tnews")
    argv = flags(base, write_tnews(directory / "data"), directory / "run", "--num_train_epochs", "25")
    assert finetune("clue", [*argv, "--eval_strategy", "no", "--save_strategy", "no"]) == 0
    return directory / "run"


@pytest.fixture(scope="module")
def afqmc(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("afqmc")
    assert finetune("clue", flags(base, write_afqmc(directory / "data"), directory / "run", task="afqmc")) == 0
    return directory / "run"


def predicted(capsys: pytest.CaptureFixture[str], model: Path, *more: str) -> list[Any]:
    """The lines that the command writes."""
    capsys.readouterr()
    assert main(["--model", str(model), "--device", "cpu", *more]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.split("\n") if line]


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    assert main([*argv]) == 2
    return capsys.readouterr().err


def test_lines_of_text_get_their_labels(tnews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = [(text, label) for label, texts in LABELS.items() for text in texts]
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text, _ in truth), encoding="utf-8")
    found = predicted(capsys, tnews, "--input", str(tmp_path / "in.txt"), "--batch_size", "5")
    assert [(line["text"], line["prediction"]) for line in found] == truth
    assert [line["id"] for line in found] == list(range(12))
    assert all(0.5 < line["score"] <= 1 for line in found)


def test_every_line_has_its_answer_also_an_empty_one(
    tnews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_bytes("\ufeff球队昨晚赢了比赛\r\n\n  \n他跑得很快".encode())
    found = predicted(capsys, tnews, "--input", str(tmp_path / "in.txt"))
    assert [line["text"] for line in found] == ["球队昨晚赢了比赛", "", "  ", "他跑得很快"]
    assert [line["prediction"] is None for line in found] == [False, True, True, False]


def test_standard_input_is_read(
    tnews: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("新房子在河的对岸\u2028他\n".encode()), "ascii"))
    (line,) = predicted(capsys, tnews, "--input", "-")
    assert line["text"] == "新房子在河的对岸\u2028他"  # which does not end a line


def test_an_empty_input_makes_an_empty_output(tnews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").touch()
    assert predicted(capsys, tnews, "--input", str(tmp_path / "in.txt")) == []


def test_json_lines_keep_their_ids(tnews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"id": "a7", "sentence": "他跑得很快"}, {"text": "他跑得很快"}]
    found = predicted(capsys, tnews, "--input", str(write_records(tmp_path / "in.json", records)))
    assert [line["id"] for line in found] == ["a7", 1]
    assert found[0]["prediction"] == found[1]["prediction"] == "103"


def test_a_file_as_the_task_is_published_shows_what_is_right(
    tnews: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = predicted(capsys, tnews, "--input", str(tnews.parent / "data" / "dev.json"), "--format", "task")
    assert [line["label"] for line in found] == [label for label, texts in LABELS.items() for _ in texts]
    dev = read_records(tnews / "dev_predictions.jsonl")  # of the run itself: equal, however inputs are batched
    assert [line["prediction"] for line in found] == [line["prediction"] for line in dev]


def test_output_goes_to_a_file(tnews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text("他跑得很快\n", encoding="utf-8")
    assert predicted(capsys, tnews, "--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "o.jsonl")) == []
    assert read_records(tmp_path / "o.jsonl")[0]["prediction"] == "103"


def test_a_failed_prediction_leaves_no_output(tnews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_bytes("好\n".encode() * 40 + b"\xff\xfe\n")
    files = ["--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "o.jsonl")]
    assert "is not UTF-8" in refused(capsys, "--model", str(tnews), *files)
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_pairs_have_a_tab_between_them(afqmc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.tsv").write_text('怎么还款\t如何还钱\n{"sentence1": "一", "sentence2": "二"}\n', encoding="utf-8")
    found = predicted(capsys, afqmc, "--input", str(tmp_path / "in.tsv"))
    assert [line["prediction"] in ("0", "1") for line in found] == [True, True]
    assert found[1]["text"] == {"text": "一", "text_pair": "二"}


@pytest.mark.parametrize(
    ("line", "message"),
    [("怎么还款", ":1: has 1 texts; this model reads two texts"), ('{"text": "一"}', ":1: has no `text_pair`")],
)
def test_one_text_for_a_model_of_pairs_is_refused(
    afqmc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    (tmp_path / "in.tsv").write_text(line, encoding="utf-8")
    assert message in refused(capsys, "--model", str(afqmc), "--input", str(tmp_path / "in.tsv"))


def test_the_folder_of_several_seeds_stands_for_the_best(tnews: Path, tmp_path: Path) -> None:
    shutil.copytree(tnews, tmp_path / "seed-1")
    (tmp_path / "best").symlink_to("seed-1")
    (prediction,) = Predictor(str(tmp_path), device="cpu")([TextExample(0, "他跑得很快")])
    assert prediction.prediction == "103"


@pytest.mark.parametrize(
    ("model", "message"), [("missing", "there is no such model directory"), (".", "holds no fine-tuned model")]
)
def test_a_folder_without_a_fine_tuned_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, message: str
) -> None:
    (tmp_path / "in.txt").touch()
    files = ["--input", str(tmp_path / "in.txt")]
    assert message in refused(capsys, "--model", str(tmp_path / model), *files)


def test_a_pretrained_model_is_refused(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").touch()
    message = refused(capsys, "--model", str(base), "--input", str(tmp_path / "in.txt"))
    assert "holds no fine-tuned model" in message and "launch/finetune" in message


def test_a_damaged_configuration_is_refused(tnews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    (tmp_path / "in.txt").touch()
    files = ["--input", str(tmp_path / "in.txt")]
    assert "config.json: is not JSON" in refused(capsys, "--model", str(tmp_path), *files)


def test_a_device_that_is_not_there_is_refused(tnews: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--input", str(tnews / "config.json"), "--device", "abacus"]
    assert "--device abacus: cannot be used" in refused(capsys, "--model", str(tnews), *files)


def test_a_missing_input_is_refused(tnews: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no such file" in refused(capsys, "--model", str(tnews), "--input", "nowhere.txt")


def test_a_tab_in_a_single_text_is_part_of_it() -> None:
    (line,) = read_lines_as(TextExample, ["一\t二\n"], "x")
    assert line.example == TextExample(0, "一\t二")


def test_a_text_may_begin_with_a_brace() -> None:
    (line,) = read_lines_as(SpanExample, ["{笑} 好\n"], "x")
    assert line.example == SpanExample(0, "{笑} 好")


@pytest.mark.parametrize(
    ("record", "example"),
    [
        ({"text": "甲"}, SpanExample(0, "甲")),
        ({"originalText": "甲", "entities": []}, SpanExample(0, "甲")),
        ({"text": "甲"}, CorrectionExample(0, "甲")),
        ({"question": "谁？", "context": "甲"}, ReadingExample(0, "甲", "谁？")),
        ({"text": "银行", "position": 1}, CharacterExample(0, "银行", 1)),
        ({"context": "甲", "question": "谁？", "choice": ["乙", "丙"]}, ChoiceExample(0, "甲", "谁？", ("乙", "丙"))),
    ],
)
def test_a_record_has_the_fields_of_its_kind(record: dict[str, Any], example: Any) -> None:
    (line,) = read_lines_as(type(example), [json.dumps(record)], "x")
    assert line.example == example


def test_a_character_is_marked_in_its_text() -> None:
    (line,) = read_lines_as(CharacterExample, ["他去银_行_了\n"], "x")
    assert line.example == CharacterExample(0, "他去银行了", 3)


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        (ReadingExample, "甲", 'x:1: this model reads JSON {"context": …, "question": …} a line'),
        (ReadingExample, '{"context": "甲"}', "x:1: has no `question` (it has context)"),
        (ReadingExample, '{"context": 1, "question": "谁"}', "x:1: `context` must be a text"),
        (ChoiceExample, '{"context": "", "question": "", "choices": []}', "x:1: `choices` must be a list of texts"),
        (CharacterExample, "银行", "x:1: this model reads one character in its context: mark it"),
        (CharacterExample, '{"text": "银行", "position": 2}', "x:1: `position` is 2, which is outside of the text"),
        (CharacterExample, '{"text": "银行", "position": true}', "x:1: `position` must be a number"),
    ],
)
def test_a_line_that_the_model_does_not_read_is_refused(kind: Any, line: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        list(read_lines_as(kind, [line], "x"))
    assert str(raised.value).startswith(message)


def test_what_is_needed_is_said_for_every_kind() -> None:
    for kind in (TextExample, SpanExample, CorrectionExample, ReadingExample, ChoiceExample, CharacterExample):
        assert "this model reads" in needed(kind, pairs=False)
