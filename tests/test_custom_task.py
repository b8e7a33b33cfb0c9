"""``--task custom``: the user's own files, from flags to predictions."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import pipeline

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import task_and_arguments
from chinesebert.finetuning.main import main
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM, ChineseBertForSequenceClassification
from chinesebert.tasks.custom import CustomArguments, custom_task
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

ROWS = [("球队赢了比赛", "体育"), ("房价又高了", "房产"), ("教练换了", "体育"), ("租了小屋", "房产")]
POSITIONS = 48


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    """A model directory as pretraining leaves it: two layers of 32."""
    torch.manual_seed(5)
    directory = tmp_path_factory.mktemp("pretrained")
    config = ChineseBertConfig(
        vocab_size=len(small_tokenizer.tokens()),
        num_syllables=len(small_tokenizer.readings.syllables),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        pinyin_embedding_dim=8,
    )
    ChineseBertForMaskedLM(config).save_pretrained(directory)
    small_tokenizer.save_pretrained(directory)
    return directory


def written(path: Path, rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def flags(model: Path, output: Path, *more: str, task: str = "custom") -> list[str]:
    return [
        *("--task", task, "--model_name_or_path", str(model), "--output_dir", str(output), "--max_seq_length", "16"),
        *("--num_train_epochs", "1", "--report_to", "none", "--disable_tqdm", "true", "--use_cpu", *more),
    ]


def told(**settings: Any) -> CustomArguments:
    return CustomArguments(**settings)


def read(args: CustomArguments, path: Path, data_dir: Path | None = None) -> list[tuple[Any, ...]]:
    task = custom_task(args, str(data_dir) if data_dir else None)
    return [(example.text, example.text_pair, example.label) for example in task.read(path)]


def test_columns_are_named_or_numbered_with_spaces_or_commas(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tsv", ["类别\t问\t答", "甲\t一\t二"])
    for columns, label in ((["问", "答"], "类别"), (["问,答"], "类别"), (["2", "3"], "1"), (["2,3"], "1")):
        args = told(kind="pair", text_columns=columns, label_column=label, header="yes")
        assert read(args, path) == [("一", "二", "甲")]


def test_known_names_of_columns_need_no_flags(tmp_path: Path) -> None:
    assert read(told(kind="single"), written(tmp_path / "x.csv", ["label,text", "甲,一"])) == [("一", None, "甲")]
    assert read(told(kind="single"), written(tmp_path / "x.json", ['{"text": "一", "label": 3}'])) == [
        ("一", None, "3")
    ]


def test_a_line_of_names_that_is_not_seen_is_said(tmp_path: Path) -> None:
    args = told(kind="single", text_columns=["2"], label_column="1", header="yes")
    assert read(args, written(tmp_path / "x.tsv", ["甲乙\t丙丁", "甲\t一"])) == [("一", None, "甲")]


def test_labels_are_listed_in_flags_or_in_a_file(tmp_path: Path) -> None:
    listed = written(tmp_path / "names.txt", ["甲", "乙"])
    for labels in (["甲", "乙"], ["甲,乙"], [str(listed)]):
        assert custom_task(told(kind="single", labels=labels)).labels == ("甲", "乙")
    with pytest.raises(InputError, match="labels: 甲 is named twice"):
        custom_task(told(kind="single", labels=["甲", "乙", "甲"]))


def test_a_folder_of_pyclue_is_read_without_flags(tmp_path: Path) -> None:
    written(tmp_path / "labels.txt", ["体育", "房产"])
    train = written(tmp_path / "train.txt", [f"{label}\t{text}" for text, label in ROWS])
    test = written(tmp_path / "test.txt", [f"假\t{text}" for text, _ in ROWS])
    assert read(told(kind="single"), train, tmp_path) == [(text, None, label) for text, label in ROWS]
    assert read(told(kind="single"), test, tmp_path) == [(text, None, None) for text, _ in ROWS]
    pairs = written(tmp_path / "dev.txt", ["体育\t一\t二", "房产\t三\t四"])
    assert read(told(kind="pair"), pairs, tmp_path) == [("一", "二", "体育"), ("三", "四", "房产")]


def test_several_labels_are_a_list_or_separated(tmp_path: Path) -> None:
    table = written(tmp_path / "x.tsv", ["text\tlabel", "一\t甲|乙", "二\t"])
    records = written(tmp_path / "x.json", ['{"text": "一", "label": ["甲", "乙"]}', '{"text": "二", "label": []}'])
    for path in (table, records):
        assert read(told(kind="multi_label", label_separator="|"), path) == [
            ("一", None, ("甲", "乙")),
            ("二", None, ()),
        ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "kind is not set: with --task custom, give --kind single"),
        ({"kind": "triple"}, "kind is triple"),
        ({"kind": "single", "text_columns": ["a", "b"]}, "text_columns names 2 columns"),
        ({"kind": "pair", "text_columns": ["a"]}, "text_columns names 1 columns"),
        ({"kind": "single", "header": "maybe"}, "header is maybe"),
        ({"kind": "single", "metric": "em"}, "metric is em: of --kind single it can be accuracy, macro_f1, f1"),
        ({"kind": "single", "metric": "f1", "labels": ["a", "b", "c"]}, "of two labels only"),
    ],
)
def test_flags_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        custom_task(told(**settings))


def test_flags_of_custom_tasks_are_refused_with_others(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label_column is for files of your own: give --task custom"):
        task_and_arguments(flags(tmp_path, tmp_path, "--do_train", "--label_column", "1", task="chnsenticorp"))


def test_a_recipe_says_what_the_task_is(tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text(
        "task: custom\nkind: pair\ntext_columns: [a, b]\nlabel_column: c\nheader: no\nlabels: [x, y]\n"
        f"do_train: true\nmodel_name_or_path: {tmp_path}\noutput_dir: {tmp_path}\nuse_cpu: true\nreport_to: none\n",
        encoding="utf-8",
    )
    task, args = task_and_arguments(["--config", str(recipe), "--max_seq_length", "16"])
    assert (task.name, task.kind, task.labels) == ("custom", "classification", ("x", "y"))
    assert args.max_seq_length == 16


def test_texts_of_one_label_are_trained_predicted_and_piped(model: Path, tmp_path: Path) -> None:
    train = written(tmp_path / "train.tsv", ["text\tlabel", *(f"{text}\t{label}" for text, label in ROWS), " \t体育"])
    test = written(tmp_path / "test.txt", ["球队输了", "", "房子"])
    files = ["--train_file", str(train), "--dev_file", str(train), "--test_file", str(test)]
    output = tmp_path / "run"
    assert (
        main("paper", flags(model, output, *files, "--kind", "single", "--do_train", "--do_eval", "--do_predict")) == 0
    )
    summary = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert summary["train_examples"] == 4 and summary["dev"]["examples"] == 5
    assert 0 <= summary["dev"]["accuracy"] <= 1
    predictions = [json.loads(line) for line in (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in predictions] == [0, 1, 2]
    assert {line["prediction"] for line in predictions} <= {"体育", "房产"}
    answers = pipeline("text-classification", model=str(output), device="cpu")(["球队输了", "房子"])
    assert [answer["label"] for answer in answers] == [predictions[0]["prediction"], predictions[2]["prediction"]]
    again = tmp_path / "again"
    only = flags(output, again, "--kind", "single", "--test_file", str(test), "--do_predict")
    assert main("paper", only) == 0
    assert (again / "predictions.jsonl").read_bytes() == (output / "predictions.jsonl").read_bytes()


def test_pairs_of_several_labels_are_trained_and_predicted(model: Path, tmp_path: Path) -> None:
    rows = [
        '{"a": "一", "b": "二", "y": ["甲", "乙"]}',
        '{"a": "三", "b": "四", "y": []}',
        '{"a": "五", "b": "六", "y": ["乙"]}',
    ]
    train = written(tmp_path / "train.json", rows)
    output = tmp_path / "run"
    command = ["--kind", "multi_label", "--text_columns", "a", "b", "--label_column", "y", "--train_file", str(train)]
    assert main("paper", flags(model, output, *command, "--dev_file", str(train), "--do_train", "--do_eval")) == 0
    figures = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["dev"]
    assert {"micro_f1", "macro_f1", "exact_match"} <= set(figures)
    trained = ChineseBertForSequenceClassification.from_pretrained(output)
    assert trained.config.problem_type == "multi_label_classification"
    assert trained.config.id2label == {0: "乙", 1: "甲"}


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        (["text\tlabel", "一\t甲", "二"], [], "train.tsv:3: has 1 columns, and the first line 2"),
        (["text", "一"], [], "train.tsv:2: has no label, which training needs"),
        (
            ["text\tlabel", "一\t甲", "二\t丙"],
            ["--labels", "甲", "乙"],
            "train.tsv:3: the label '丙' is none of custom's (甲, 乙)",
        ),
        (
            ["text\tlabel", "一\t甲"],
            ["--max_seq_length", "512"],
            f"has {POSITIONS} positions: give --max_seq_length {POSITIONS}",
        ),
        (["text\tlabel", "一\t甲"], ["--text_columns", "正文"], "train.tsv:1: has no column 正文 for text"),
        ([], [], "train.tsv: holds no examples"),
        (["text\tlabel", "\t甲"], [], "train.tsv: holds no example"),
    ],
    ids=["columns", "no labels", "unknown label", "positions", "no column", "empty file", "empty texts"],
)
def test_bad_input_ends_in_one_message(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[str], more: list[str], message: str
) -> None:
    train = written(tmp_path / "train.tsv", rows)
    command = flags(model, tmp_path / "run", "--kind", "single", "--train_file", str(train), "--do_train", *more)
    assert main("paper", command) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and message in said[0]
    assert not (tmp_path / "run").exists()


def test_a_label_that_training_does_not_have_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = written(tmp_path / "train.tsv", ["text\tlabel", "一\t甲", "二\t乙"])
    dev = written(tmp_path / "dev.tsv", ["text\tlabel", "三\t丙"])
    files = ["--train_file", str(train), "--dev_file", str(dev)]
    assert main("paper", flags(model, tmp_path / "run", "--kind", "single", *files, "--do_train", "--do_eval")) == 2
    assert "dev.tsv:2: the label '丙' is none of 乙, 甲" in capsys.readouterr().err


def test_another_script_s_task_is_sent_there(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("clue", flags(model, tmp_path, "--kind", "single", "--do_train")) == 2
    assert "custom is run by launch/finetune.py" in capsys.readouterr().err
