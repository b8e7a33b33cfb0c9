"""Polyphones: the files of CPP, inputs that do not give the answer away, candidates, and a run of the script."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chinesebert import ChineseBertTokenizer
from chinesebert.errors import InputError
from chinesebert.finetuning.main import main
from chinesebert.finetuning.starting_model import saved_task
from chinesebert.tasks.definitions.polyphone import read
from chinesebert.tasks.examples import CharacterExample
from chinesebert.tasks.kinds import Encoded, Lengths
from chinesebert.tasks.kinds.marked_character import MarkedCharacter
from tests.finetuning_models import write_tiny_model

TRAINED = [
    ("他▁长▁大了。", "zhang3"),
    ("我们▁长▁大了。", "zhang3"),
    ("这条路很▁长▁。", "chang2"),
    ("她头发不▁长▁。", "chang2"),
    ("我们都▁得▁去。", "dei3"),
    ("他走▁得▁很快。", "de5"),
]


def write_files(folder: Path, name: str, rows: list[tuple[str, str]], labels: bool = True) -> Path:
    path = folder / f"{name}.sent"
    path.write_text("".join(f"{sentence}\n" for sentence, _ in rows), encoding="utf-8")
    if labels:
        path.with_suffix(".lb").write_text("".join(f"{label}\n" for _, label in rows), encoding="utf-8")
    return path


def examples_of(rows: list[tuple[str, str | None]]) -> list[CharacterExample]:
    return [
        CharacterExample(number, sentence.replace("▁", ""), sentence.index("▁"), label)
        for number, (sentence, label) in enumerate(rows)
    ]


def learned(labels: list[str] | None = None) -> MarkedCharacter:
    kind = MarkedCharacter(labels or sorted({label for _, label in TRAINED}))
    kind.learn(examples_of([*TRAINED]))
    return kind


# --------------------------------------------------------------------------------------------------------------- files


def test_sentences_and_labels_are_read_from_two_files(tmp_path: Path) -> None:
    path = write_files(tmp_path, "train", [("▁了▁解。", "liao3"), ("来▁了▁。", "le5")])
    first, second = read(path)
    assert first == CharacterExample(0, "了解。", 0, "liao3")
    assert second == CharacterExample(1, "来了。", 1, "le5")
    assert second.where == f"{path}:2"


def test_labels_may_be_missing_or_stand_behind_a_tab(tmp_path: Path) -> None:
    assert [example.label for example in read(write_files(tmp_path, "test", TRAINED, labels=False))] == [None] * 6
    path = tmp_path / "train.tsv"
    path.write_text("来▁了▁。\tle5\r\n", encoding="utf-8")
    assert [*read(path)] == [CharacterExample(0, "来了。", 1, "le5")]


@pytest.mark.parametrize("sentence", ["来了。", "来▁了。", "来▁了解▁。", "▁来▁▁了▁", "来▁▁。"])
def test_a_sentence_without_one_marked_character_is_refused(tmp_path: Path, sentence: str) -> None:
    path = write_files(tmp_path, "train", [("来▁了▁。", "le5"), (sentence, "le5")])
    with pytest.raises(InputError, match=r"train.sent:2: does not have one character between two ▁"):
        list(read(path))


def test_files_of_different_lengths_are_refused(tmp_path: Path) -> None:
    path = write_files(tmp_path, "train", TRAINED)
    path.with_suffix(".lb").write_text("le5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"has 6 lines and train.lb 1"):
        list(read(path))


def test_the_published_file_is_read_whole(shared: Path) -> None:
    path = shared / "data" / "tasks" / "polyphone_cpp" / "dev.sent"
    if not path.exists():
        pytest.skip("CPP is not in the folder of shared data")
    examples = list(read(path))
    assert len(examples) == 9727
    assert len({example.label for example in examples}) == 575
    assert len({example.text[example.position] for example in examples}) == 620


# -------------------------------------------------------------------------------------------------------------- inputs


def encode(rows: list[tuple[str, str | None]], tokenizer: Any, size: int = 64) -> tuple[MarkedCharacter, Encoded]:
    kind = learned()
    return kind, kind.encode(examples_of(rows), tokenizer, Lengths(size))


def test_the_marked_character_has_no_pinyin_and_its_neighbours_have(tokenizer: ChineseBertTokenizer) -> None:
    _, encoded = encode([("他▁长▁大了", "zhang3")], tokenizer)
    item, whole = encoded.inputs[0], tokenizer("他长大了")
    assert item["input_ids"] == whole["input_ids"]
    assert whole["pinyin_ids"][2] > 0
    assert item["pinyin_ids"] == [*whole["pinyin_ids"][:2], 0, *whole["pinyin_ids"][3:]]


def test_only_the_marked_character_is_labelled(tokenizer: ChineseBertTokenizer) -> None:
    kind, encoded = encode([("他▁长▁大了", "zhang3")], tokenizer)
    assert encoded.inputs[0]["labels"] == [-100, -100, kind.numbers["zhang3"], -100, -100, -100]


@pytest.mark.parametrize("before", [0, 3, 40, 80])
def test_of_a_long_text_the_part_around_the_character_is_read(tokenizer: ChineseBertTokenizer, before: int) -> None:
    _, encoded = encode([("猫" * before + "▁长▁" + "狗" * (80 - before), "chang2")], tokenizer, size=20)
    item = encoded.inputs[0]
    place = next(place for place, label in enumerate(item["labels"]) if label != -100)
    assert len(item["input_ids"]) == 20
    assert item["input_ids"][place] == tokenizer.convert_tokens_to_ids("长")
    assert encoded.cut == 1
    if before == 40:
        assert 9 <= place <= 11


def test_a_place_that_is_no_token_is_refused(tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="character 1 of the text is no token of its own"):
        encode([("p▁y▁thon", "a")], tokenizer)


# --------------------------------------------------------------------------------------------------------- predictions


def test_of_a_batch_the_scores_of_the_marked_characters_are_kept(tokenizer: ChineseBertTokenizer) -> None:
    kind, encoded = encode([("他▁长▁大了", "zhang3"), ("▁得▁去", None)], tokenizer)
    batch = kind.collate(encoded.inputs)
    logits = torch.randn(*batch["input_ids"].shape, len(kind.labels))
    kept = kind.keep(logits, batch["labels"])
    assert torch.equal(kept, torch.stack([logits[0, 2], logits[1, 1]]))


def test_only_labels_that_the_character_has_in_training_are_predicted(tokenizer: ChineseBertTokenizer) -> None:
    rows: list[tuple[str, str | None]] = [("他▁长▁大", None), ("▁得▁去", None), ("▁了▁解", None)]
    kind, encoded = encode(rows, tokenizer)
    assert kind.labels == ["chang2", "de5", "dei3", "zhang3"]
    scores = np.array([[0.1, 0.9, 0.0, 0.2], [0.9, 0.2, 0.3, 0.8], [0.1, 0.9, 0.0, 0.2]], np.float32)
    predictions = kind.decode(examples_of(rows), encoded, scores)
    assert predictions == ["zhang3", "dei3", "de5"]  # training has not seen 了: any label
    whole = np.zeros((3, 6, 4), np.float32)
    for row, place in enumerate((2, 1, 1)):
        whole[row, place] = scores[row]
    assert kind.decode(examples_of(rows), encoded, whole) == predictions


def test_what_was_learned_is_saved_and_restored() -> None:
    kind, other = learned(), MarkedCharacter(learned().labels)
    other.restore(json.loads(json.dumps(kind.state())))
    assert other.candidates == {"得": ["de5", "dei3"], "长": ["chang2", "zhang3"]}


def test_accuracy_is_counted_over_all_and_by_character() -> None:
    examples = examples_of([("▁长▁", "chang2"), ("▁长▁", "chang2"), ("▁长▁", "zhang3"), ("▁得▁", "de5")])
    scores = learned().score(examples, ["chang2", "zhang3", "chang2", "de5"])
    assert scores["accuracy"] == pytest.approx(2 / 4)
    assert scores["macro_accuracy"] == pytest.approx((1 / 3 + 1) / 2)


# ------------------------------------------------------------------------------------------------------------- the run


def test_the_script_trains_and_a_second_run_predicts_with_its_candidates(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer
) -> None:
    model = write_tiny_model(tmp_path / "model", small_tokenizer)
    write_files(tmp_path, "train", TRAINED)
    write_files(tmp_path, "dev", [*TRAINED, ("▁了▁解", "liao3")])  # a label that training does not have
    write_files(tmp_path, "test", TRAINED, labels=False)
    common = ["--task", "polyphone", "--data_dir", str(tmp_path), "--report_to", "none", "--disable_tqdm", "true"]
    common += ["--max_seq_length", "64", "--use_cpu"]
    training = ["--do_train", "--do_eval", "--learning_rate", "1e-2", "--num_train_epochs", "40"]
    training += ["--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "false"]
    paths = ["--model_name_or_path", str(model), "--output_dir", str(tmp_path / "out")]
    assert main("paper", [*common, *paths, *training]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["dev"]["accuracy"] == pytest.approx(6 / 7)
    assert saved_task(str(tmp_path / "out"))["state"] == learned().state()

    paths = ["--model_name_or_path", str(tmp_path / "out"), "--output_dir", str(tmp_path / "again")]
    assert main("paper", [*common, *paths, "--do_predict"]) == 0
    lines = (tmp_path / "again" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == [label for _, label in TRAINED]
