"""Splits: which files, which ids, which examples are trained on."""

import json
from pathlib import Path

import pytest

from chinesebert.errors import InputError
from chinesebert.finetuning.data import Splits, labels_for
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, missing_split, read_split, without_empty


def written(path: Path, *ids: int | None) -> Path:
    rows = [{"sentence1": "一", "sentence2": "二"} | ({} if number is None else {"id": number}) for number in ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_missing_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    task = get_task("afqmc")
    with pytest.raises(InputError, match=r"nowhere: there is no such folder; give --data_dir"):
        find_split(task, tmp_path / "nowhere", "dev")
    (tmp_path / "other.tsv").touch()
    assert find_split(task, tmp_path, "dev") == []
    message = str(missing_split(task, tmp_path, "dev"))
    assert "has no dev file of afqmc (dev.json or dev_few_all.json" in message
    assert "it has other.tsv. Name one with --dev_file FILE" in message
    with pytest.raises(InputError, match=r"x.json: there is no such file"):
        read_split(task, [tmp_path / "x.json"])


def test_names_that_differ_in_their_endings_are_named_as_one(tmp_path: Path) -> None:
    message = str(missing_split(get_task("lcqmc"), tmp_path, "dev"))
    assert "(dev.tsv/.txt/.csv/.json/.jsonl or lcqmc_dev.tsv/.txt/.csv/.json/.jsonl or " in message


def test_files_that_number_from_0_are_numbered_through(tmp_path: Path) -> None:
    files = [written(tmp_path / "a.json", None, None), written(tmp_path / "b.json", None, None)]
    assert [example.id for example in read_split(get_task("afqmc"), files, ids_count=True)] == [0, 1, 2, 3]


def test_published_ids_that_differ_are_kept(tmp_path: Path) -> None:
    files = [written(tmp_path / "a.json", 7, 3), written(tmp_path / "b.json", 12, 2)]
    assert [example.id for example in read_split(get_task("afqmc"), files, ids_count=True)] == [7, 3, 12, 2]


def test_ids_that_occur_twice_matter_only_to_predictions(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", 7, 7)
    assert len(read_split(get_task("afqmc"), [path])) == 2
    with pytest.raises(InputError, match=r"a.json:2: the id 7 is that of .*a.json:1 too; give each"):
        read_split(get_task("afqmc"), [path], ids_count=True)


def test_empty_texts_are_not_trained_on() -> None:
    good = TextExample(0, "一", "二")
    empty = [
        TextExample(1, "", where="a:2"),
        TextExample(2, " ", "二", where="a:3"),
        TextExample(3, "一", "\u3000", where="a:4"),
    ]
    assert without_empty([good, *empty]) == [good]


def test_a_model_of_other_labels_cannot_predict() -> None:
    with pytest.raises(InputError, match=r"other labels .* fine-tuned for afqmc, or --do_train"):
        labels_for(get_task("afqmc"), Splits(), ["100", "101"])


def test_the_model_that_predicts_says_the_order_of_labels() -> None:
    assert labels_for(get_task("afqmc"), Splits(), ["1", "0"]) == ["1", "0"]


def test_labels_are_those_of_all_training_examples_also_where_few_are_drawn() -> None:
    splits = Splits(train=[TextExample(0, "一", label="甲")], labels=["甲", "乙"])
    assert labels_for(get_task("csldcp"), splits, None) == ["甲", "乙"]
