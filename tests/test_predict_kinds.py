"""launch/predict.py and pipelines on a directory of every kind of task: each line of input has its answer."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from chinesebert.finetuning.starting_model import starting_model
from chinesebert.tasks.examples import ChoiceExample
from chinesebert.tasks.kinds import KINDS, Lengths
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from launch.predict import main
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import write_records
from tests.test_linking import BASE, TRAIN
from tests.test_linking import lines as write_lines

TEXT = "他去银行了，她在家里。"
LONG = "比赛在雨里开始，冠军回到家乡。" * 40
# Spaces, a symbol of several letters, letters of another script, parts of characters, and what ends lines elsewhere.
ODD = " \t新房子 ㎏한국어😀e\u0301\u200b\u2028路\ufeff end "
QUESTION, CHOICES = "谁去了银行？", ["他", "她们", "房东"]
#: For each kind the task and labels of a model of it, and the fields of a record besides its text.
MODELS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "classification": ("chnsenticorp", ["0", "1"], {}),
    "multi_label": ("custom", ["钱", "家"], {}),
    "ranking": ("ccks2020_linking", ["0", "1"], {"text_pair": "银行是公司"}),
    "tagging": ("cluener", ["name", "scene"], {}),
    "segmentation": ("pku_cws", ["WORD"], {}),
    "pointers": ("ccks2020_event_subject", ["资金紧张", "涉嫌欺诈"], {}),
    "marked_character": ("polyphone", ["hang2", "xing2"], {"position": 5}),
    "reading": ("cmrc2018", [], {"question": QUESTION}),
    "choice": ("c3", [], {"question": QUESTION, "choices": CHOICES}),
    "correction": ("sighan15", [], {}),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> dict[str, Path]:
    """A directory for each kind, as its fine-tuning leaves it, but for the training."""
    directory = tmp_path_factory.mktemp("models")
    base = write_tiny_model(directory / "base", small_tokenizer)
    for name, (task, labels, fields) in MODELS.items():
        torch.manual_seed(1)
        model = starting_model(str(base), KINDS[name](labels), task, Lengths(32, 8), random_weights=True)
        model.config.finetuning["pairs"] = "text_pair" in fields
        model.save_pretrained(directory / name)
        small_tokenizer.save_pretrained(directory / name)
    return {name: directory / name for name in MODELS}


def record(kind: str, text: str) -> dict[str, Any]:
    """A record of the kind; the marked character of an odd text is one that is a token."""
    fields = dict(MODELS[kind][2])
    if "position" in fields and text == ODD:
        fields["position"] = text.index("路")
    return {("context" if kind in ("reading", "choice") else "text"): text, **fields}


def predicted(capsys: pytest.CaptureFixture[str], model: Path, source: Path, *more: str) -> list[Any]:
    capsys.readouterr()
    assert main(["--model", str(model), "--device", "cpu", "--input", str(source), *more]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.split("\n") if line]


@pytest.mark.parametrize("kind", MODELS)
def test_every_line_has_its_answer_whatever_stands_around_it(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    given = [json.dumps(record(kind, text), ensure_ascii=False) for text in (TEXT, LONG, ODD, TEXT)]
    path = tmp_path / "in.jsonl"
    path.write_bytes("\r\n".join(["\ufeff" + given[0], "", given[1], "  ", *given[2:]]).encode())
    found = predicted(capsys, models[kind], path, "--batch_size", "2")
    assert [line["id"] for line in found] == list(range(6))
    assert [line["prediction"] is None for line in found] == [False, True, False, True, False, False]
    alone = [predicted(capsys, models[kind], write_records(path, [record(kind, text)])) for text in (TEXT, LONG, ODD)]
    together = [found[0], found[2], found[4]]
    wanted = [pytest.approx(line["prediction"], abs=1e-4) for [line] in alone] if kind == "ranking" else None
    assert [line["prediction"] for line in together] == (wanted or [line["prediction"] for [line] in alone])
    for line, text in zip(together, (TEXT, LONG, ODD), strict=True):
        is_of_its_text(kind, line["prediction"], text)


def is_of_its_text(kind: str, prediction: Any, text: str) -> None:
    """Spans and answers are cut out of the text as it was given; words leave nothing out; a correction is as long."""
    if kind in ("tagging", "pointers"):
        assert all(text[span["start"] : span["end"]] == span["text"] for span in prediction)
    if kind == "segmentation":
        assert "".join(prediction) == "".join(text.split())
    if kind == "reading":
        assert prediction and prediction in text
    if kind == "choice":
        assert prediction in range(len(CHOICES))
    if kind == "correction":
        assert len(prediction) == len(text)


@pytest.mark.parametrize("kind", ["tagging", "segmentation", "pointers", "correction"])
def test_a_plain_line_is_a_text(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (tmp_path / "in.txt").write_text(f"{TEXT}\n", encoding="utf-8")
    (line,) = predicted(capsys, models[kind], tmp_path / "in.txt")
    assert line["text"] == TEXT and line["prediction"] is not None


@pytest.mark.parametrize("kind", sorted(set(MODELS) - {"marked_character"}))
def test_a_record_without_text_has_no_prediction(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    empty = {name: value if name == "choices" else " " for name, value in record(kind, " ").items()}
    (line,) = predicted(capsys, models[kind], write_records(tmp_path / "in.jsonl", [empty]))
    assert line["prediction"] is None


@pytest.mark.parametrize("kind", MODELS)
def test_half_a_character_is_refused(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps(record(kind, "他去了银行\ud83d")), encoding="ascii")
    assert main(["--model", str(models[kind]), "--device", "cpu", "--input", str(tmp_path / "in.jsonl")]) == 2
    error = capsys.readouterr().err
    assert "in.jsonl:1: `" in error and "has half a character, \\ud83d" in error


def test_the_blank_of_an_idiom_is_filled(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from chinesebert.finetuning.prediction import Predictor

    given = {"context": "他做事#idiom000012#，大家都说好。", "choices": ["一心一意", "画蛇添足"]}
    (line,) = predicted(capsys, models["choice"], write_records(tmp_path / "in.jsonl", [given]))
    example = ChoiceExample(0, given["context"], "", tuple(given["choices"]), blank=(3, 16))
    assert line["prediction"] == Predictor(str(models["choice"]), device="cpu")([example])[0].prediction
    assert line["text"]["context"] == given["context"]


def test_published_files_whose_records_are_more_than_texts_are_predicted(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(tmp_path / "kb.json", BASE)
    linked = predicted(capsys, models["ranking"], write_lines(tmp_path / "train.json", TRAIN), "--format", "task")
    assert linked[0]["candidate"] == "10001" and linked[0]["group"] == "1#0"
    (tmp_path / "event_entity_dev_data.csv").write_text(f"7\t{TEXT}\n", encoding="utf-8")
    events = predicted(capsys, models["pointers"], tmp_path / "event_entity_dev_data.csv", "--format", "task")
    assert [(line["id"], line["text"]) for line in events] == [("7", TEXT)]


def test_a_model_of_files_of_one_s_own_does_not_know_their_format(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.tsv").write_text(TEXT, encoding="utf-8")
    files = ["--input", str(tmp_path / "in.tsv"), "--format", "task"]
    assert main(["--model", str(models["multi_label"]), "--device", "cpu", *files]) == 2
    assert "the model was trained on files of your own" in capsys.readouterr().err


def test_corrections_of_a_pipeline_do_not_depend_on_its_batches(models: dict[str, Path]) -> None:
    from transformers import pipeline

    correct = pipeline("spelling-correction", model=str(models["correction"]), device="cpu")
    wanted = [correct(text)["text"] for text in (TEXT, LONG, "", ODD)]
    assert wanted[1] != LONG and [len(text) for text in wanted] == [len(TEXT), len(LONG), 0, len(ODD)]
    for found in (correct([TEXT, LONG, "", ODD], batch_size=4), correct([TEXT, LONG, "", ODD], batch_size=1)):
        assert [answer["text"] for answer in found] == wanted
    in_fours = pipeline("spelling-correction", model=str(models["correction"]), device="cpu", batch_size=4)
    assert [answer["text"] for answer in in_fours(text for text in (TEXT, LONG))] == wanted[:2]


@pytest.mark.parametrize(
    ("given", "options", "said"), [(TEXT, {"treshold": 0.5}, "unknown: treshold"), ({"text": TEXT}, {}, "a text, not")]
)
def test_what_is_wrong_with_a_correction_is_said(
    models: dict[str, Path], given: Any, options: dict[str, Any], said: str
) -> None:
    from transformers import pipeline

    correct = pipeline("spelling-correction", model=str(models["correction"]), device="cpu")
    with pytest.raises(ValueError, match=said):
        correct(given, **options)


def test_a_numbered_blank_is_one_too(models: dict[str, Path]) -> None:
    from transformers import pipeline

    choose = pipeline("multiple-choice", model=str(models["choice"]), device="cpu")
    choices = ["一心一意", "画蛇添足"]
    numbered, plain = (
        choose(context=f"他做事{blank}，好。", choices=choices) for blank in ("#idiom000012#", "#idiom#")
    )
    assert numbered["scores"] == pytest.approx(plain["scores"])
