"""Entity linking as pair scoring: files, knowledge base, decisions, scores, and a run to the submission."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chinesebert.errors import InputError
from chinesebert.finetuning.arguments import parse_arguments
from chinesebert.finetuning.data import read_splits
from chinesebert.finetuning.main import main
from chinesebert.tasks.definitions.ccks_linking import KINDS, LINKING_2019, LINKING_2020
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.kinds import Encoded, Lengths
from chinesebert.tasks.kinds.ranking import Ranking
from chinesebert.tasks.knowledge_base import MOST_CHARACTERS, knowledge_base_beside
from chinesebert.tasks.linking import EntityLinking, LinkingExample
from chinesebert.tasks.metrics.linking import linking_scores
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import read_split
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.finetuning_models import write_tiny_model

BASE = [
    {
        "alias": ["小河", "Little River"],
        "subject_id": "10001",
        "subject": "小河村",
        "type": "Location|Other",
        "data": [{"predicate": "人口", "object": "三百"}, {"predicate": "摘要", "object": "山下的村子。"}],
    },
    {"alias": ["小河"], "subject_id": "10002", "subject": "小河", "type": "Work", "data": []},
    {"alias": [], "subject_id": "10003", "subject": "大山", "type": "Natural&Geography", "data": []},
]


def lines(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def text(text_id: str, content: str, *mentions: tuple[str, int, str | None]) -> dict[str, Any]:
    data = [
        {"mention": mention, "offset": str(offset)} | ({} if kb_id is None else {"kb_id": kb_id})
        for mention, offset, kb_id in mentions
    ]
    return {"text_id": text_id, "text": content, "mention_data": data}


TRAIN = [
    text("1", "小河后面是大山", ("小河", 0, "10001"), ("大山", 5, "10003")),
    text("2", "电影小河很好看，阿明说。", ("小河", 2, "10002"), ("阿明", 8, "NIL_Person")),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines(tmp_path / "kb.json", BASE)
    lines(tmp_path / "train.json", TRAIN)
    return tmp_path


def read(path: Path, linking: EntityLinking = LINKING_2020) -> list[LinkingExample]:
    return list(linking.read(path))


# -------------------------------------------------------------------------------------------------------------- files


def test_the_knowledge_base_knows_entities_by_every_name(folder: Path) -> None:
    base = knowledge_base_beside(folder / "train.json", ("kb_data", "kb.json"))
    assert [entity.id for entity in base.candidates("小河")] == ["10001", "10002"]
    assert [entity.id for entity in base.candidates("LITTLE river")] == ["10001"]
    assert [entity.id for entity in base.candidates("小河村")] == ["10001"]
    assert base.candidates("阿明") == []
    first = base.candidates("小河村")[0]
    assert first.types == ("Location", "Other")
    assert first.description == "小河村，Location、Other。摘要：山下的村子。；人口：三百"


def test_the_knowledge_base_is_read_again_when_it_changes(folder: Path) -> None:
    assert len(knowledge_base_beside(folder / "train.json", ("kb.json",)).candidates("小河")) == 2
    lines(folder / "kb.json", BASE[:1])
    assert len(knowledge_base_beside(folder / "train.json", ("kb.json",)).candidates("小河")) == 1


def test_2019_s_lists_of_types_are_read_and_long_descriptions_are_cut(tmp_path: Path) -> None:
    facts = [{"predicate": "摘要", "object": "长" * 1000}]
    lines(tmp_path / "kb_data", [BASE[0] | {"type": ["Thing", "Place"], "data": facts}])
    entity = knowledge_base_beside(tmp_path / "train.json", ("kb_data",)).candidates("小河")[0]
    assert entity.types == ("Thing", "Place") and len(entity.description) == MOST_CHARACTERS


def test_a_candidate_is_an_example(folder: Path) -> None:
    examples = read(folder / "train.json")
    assert [example.id for example in examples] == list(range(len(examples)))
    first, second, third = examples[:3]
    assert first.text == second.text == "【小河】后面是大山" and third.text == "小河后面是【大山】"
    assert first.text_pair.startswith("小河村，") and first.candidate == "10001"  # type: ignore[union-attr]
    assert [example.label for example in (first, second, third)] == ["1", "0", "1"]
    assert first.group == second.group != third.group
    assert first.truth == second.truth == "10001"


def test_a_mention_that_is_not_in_the_base_has_the_kinds_of_things_as_candidates(folder: Path) -> None:
    examples = [example for example in read(folder / "train.json") if "【阿明】" in example.text]
    assert [example.candidate for example in examples] == [f"NIL_{kind}" for kind in KINDS]
    assert [example.candidate for example in examples if example.label == "1"] == ["NIL_Person"]
    [only] = [example for example in read(folder / "train.json", LINKING_2019) if "【阿明】" in example.text]
    assert only.candidate == "NIL"


def test_a_test_file_without_ids_can_be_predicted(folder: Path) -> None:
    path = lines(folder / "test.json", [text("9", "小河", ("小河", 0, None))])
    examples = read_split(get_task("ccks2020_linking"), [path], ids_count=True)
    assert [(example.label, example.truth) for example in examples] == [(None, None)] * 2


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([text("1", "看小河", ("小河", 0, "1"))], r":1: at 0 stands '看小', not the mention '小河'; it stands at 1"),
        ([text("1", "看大山", ("小河", 0, "1"))], r":1: at 0 .* it does not stand in the text"),
        ([text("1", "小河"), text("1", "大山")], r":2: the text_id 1 is that of .*:1 too"),
        ([{"text_id": "1", "text": "小河"}], r":1: has no `mention_data`"),
        ([{"text": "小河"}], r":1: has no `text_id`"),
        ([{"text_id": "1", "text": "河", "mention_data": [{"mention": "河", "offset": "x"}]}], r":1: .* offset 'x'"),
        ([{"text_id": "1", "text": "河", "mention_data": [{"offset": "0"}]}], r":1: has no `mention`"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, records: list[Any], said: str) -> None:
    path = lines(folder / "dev.json", records)
    with pytest.raises(InputError, match=said):
        read(path)


def test_a_missing_knowledge_base_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs the knowledge base.*kb.json or kb_data"):
        read(lines(tmp_path / "train.json", TRAIN))


def test_an_offset_may_be_a_number_and_case_may_differ(folder: Path) -> None:
    record = {"text_id": "1", "text": "到LITTLE River去", "mention_data": [{"mention": "little river", "offset": 1}]}
    [example] = read(lines(folder / "dev.json", [record]))
    assert example.text == "到【LITTLE River】去" and example.candidate == "10001"


def test_candidates_of_a_mention_stay_together(folder: Path) -> None:
    records = [text(str(n), "小河后面是大山", ("小河", 0, "10001"), ("大山", 5, "10003")) for n in range(10)]
    lines(folder / "train.json", records)
    lines(folder / "dev.json", records)
    flags = ["--task", "ccks2020_linking", "--data_dir", str(folder), "--model_name_or_path", "m", "--output_dir", "o"]
    task = get_task("ccks2020_linking")
    splits = read_splits(task, parse_arguments([*flags, "--do_train", "--do_eval", "--max_eval_samples", "4"], task))
    assert [example.group for example in splits.dev] == ["0#0", "0#0", "0#1", "1#0", "1#0"]
    (folder / "dev.json").unlink()
    splits = read_splits(task, parse_arguments([*flags, "--do_train", "--validation_share", "0.25"], task))
    held, trained = ({example.group for example in part} for part in (splits.dev, splits.train))
    assert len(held) == 5 and not held & trained and len(splits.dev) + len(splits.train) == 30


# ---------------------------------------------------------------------------------------------- decisions and figures


def test_the_best_candidate_wins_unless_it_is_too_unlikely(folder: Path) -> None:
    examples = read(folder / "train.json")
    probabilities = [0.0] * len(examples)
    for example, probability in (("10001", 0.7), ("10002", 0.6)):
        probabilities[[item.candidate for item in examples].index(example)] = probability
    film = [n for n, item in enumerate(examples) if item.group == "2#0"]
    probabilities[film[0]], probabilities[film[1]] = 0.3, 0.4
    someone = {item.candidate: n for n, item in enumerate(examples) if item.group == "2#1"}
    probabilities[someone["NIL_Food"]] = 0.2
    wanted = {"1#0": "10001", "1#1": "NIL_Natural&Geography", "2#0": "NIL_Work", "2#1": "NIL_Food"}
    assert LINKING_2020.decide(examples, probabilities) == wanted
    lenient = EntityLinking(("kb.json",), {})  # as in 2019: always the best
    assert lenient.decide(examples, probabilities)["2#0"] == "10002"


def test_figures_of_2020_count_every_mention() -> None:
    truths = ["1", "2", "NIL_Work|NIL_Other", "NIL_Person"]
    guesses = ["1", "3", "NIL_Other", "4"]
    assert linking_scores(truths, guesses, nil_counts=True) == {
        "f1": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "accuracy": 0.5,
    }


def test_figures_of_2019_count_links_alone() -> None:
    truths = ["1", "2", "NIL", "NIL", "5"]
    guesses = ["1", "3", "NIL", "4", "NIL"]
    scores = linking_scores(truths, guesses, nil_counts=False)
    # One of three links is right, and one of three entities is found; two of five mentions are right.
    assert scores == pytest.approx({"f1": 1 / 3, "precision": 1 / 3, "recall": 1 / 3, "accuracy": 2 / 5})


def test_figures_without_a_link_are_zero() -> None:
    scores = linking_scores(["NIL"], ["NIL"], nil_counts=False)
    assert scores == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": 1.0}


def test_an_entity_that_is_no_candidate_counts_as_missed(folder: Path) -> None:
    lines(folder / "dev.json", [text("1", "小河", ("小河", 0, "10003")), text("2", "大山", ("大山", 0, "10003"))])
    examples = read(folder / "dev.json")
    scores = LINKING_2020.score(examples, [0.9, 0.1, 0.9])
    assert scores["reachable"] == 0.5 and scores["f1"] == 0.5


def test_ranking_predicts_the_probability_of_yes() -> None:
    kind = Ranking(["0", "1"])
    examples = [
        TextExample(n, "甲", "乙", label, group=group) for n, (label, group) in enumerate(("0a", "1a", "0b", "1b"))
    ]
    logits = np.log(np.array([[3, 1], [1, 3], [1, 1], [3, 1]], dtype=np.float32))
    predictions = kind.decode(examples, Encoded([], []), logits)
    assert predictions == pytest.approx([0.25, 0.75, 0.5, 0.25])
    assert kind.score(examples, predictions) == {"accuracy": 0.5}
    assert kind.record(examples[0], 0.25) == {
        "group": "a",
        "candidate": None,
        "id": 0,
        "prediction": 0.25,
        "label": "0",
    }


def test_pairs_are_collated(folder: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    examples = read(folder / "train.json")[:3]
    encoded = Ranking(["0", "1"]).encode(examples, small_tokenizer, Lengths(32))
    batch = Ranking(["0", "1"]).collate(encoded.inputs)
    assert batch["labels"].tolist() == [1, 0, 1]
    assert batch["input_ids"][0, : len(encoded.inputs[0]["input_ids"])].tolist() == list(encoded.inputs[0]["input_ids"])


# ---------------------------------------------------------------------------------------------------------------- run


def test_a_run_ends_with_scores_and_the_submission(folder: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    model = write_tiny_model(folder / "model", small_tokenizer)
    lines(folder / "dev.json", TRAIN)
    published = [text("7", "大山和小河", ("大山", 0, None), ("小河", 3, None)), text("8", "阿明", ("阿明", 0, None))]
    lines(folder / "test.json", published)
    command = [
        *("--task", "ccks2020_linking", "--data_dir", str(folder), "--model_name_or_path", str(model)),
        *("--output_dir", str(folder / "out"), "--do_train", "--do_eval", "--do_predict", "--max_steps", "2"),
        *("--max_seq_length", "32", "--report_to", "none", "--use_cpu", "--disable_tqdm", "true"),
    ]
    assert main("ccks", command) == 0
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert set(metrics["dev"]) >= {"f1", "precision", "recall", "accuracy", "reachable"}
    made = [json.loads(line) for line in (folder / "out" / "result.json").read_text().splitlines()]
    assert [(line["text_id"], line["text"]) for line in made] == [("7", "大山和小河"), ("8", "阿明")]
    for line, given in zip(made, published, strict=True):
        assert [{"mention": item["mention"], "offset": item["offset"]} for item in line["mention_data"]] == given[
            "mention_data"
        ]
    assert made[0]["mention_data"][0]["kb_id"] in ("10003", "NIL_Natural&Geography")
    assert made[1]["mention_data"][0]["kb_id"].removeprefix("NIL_") in KINDS
