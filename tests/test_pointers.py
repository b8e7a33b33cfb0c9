"""Spans that may overlap, as start and end scores of each label: inputs, loss, decoding, and runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import pipeline

from chinesebert.tasks.examples import SpanExample
from chinesebert.tasks.kinds import KINDS, Lengths
from chinesebert.tasks.kinds.pointers import Pointers
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import read_records, write, write_records
from tests.span_runs import inked, learn, scores_of_labels, spans

LABELS = ["欺诈", "传销"]


def test_the_head_says_start_and_end_of_each_label() -> None:
    assert KINDS["pointers"] is Pointers
    assert Pointers(LABELS).output_names() == ["start-欺诈", "end-欺诈", "start-传销", "end-传销"]


def test_one_place_may_be_of_two_labels(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Pointers(LABELS)
    example = SpanExample(0, "某公司出事", spans((0, 3, "欺诈"), (0, 3, "传销")))
    encoded = kind.encode([example], small_tokenizer, Lengths())
    labels = kind.collate(encoded.inputs)["labels"]
    assert labels.dtype == torch.int8
    assert labels[0].tolist() == [
        [-100] * 4,
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [-100] * 4,
    ]
    found = kind.decode([example], encoded, scores_of_labels(kind, encoded))
    assert found == [spans((0, 3, "传销"), (0, 3, "欺诈"))]


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, Any]:
    """Texts with spans of which those of one label lie one behind the other."""
    text = draw(st.text(alphabet="某公司出了事 a", min_size=1, max_size=40))
    found = []
    for label in LABELS:
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
        found += [(start, end, label) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    return text, tuple(sorted(spans(*found)))


@given(st.lists(texts_with_spans(), min_size=1, max_size=3), st.integers(3, 20), st.integers(0, 12))
@settings(max_examples=60)
def test_spans_come_back_from_right_scores_whatever_the_windows(
    small_tokenizer: ChineseBertTokenizer, texts: list[tuple[str, Any]], size: int, shared: int
) -> None:
    kind = Pointers(LABELS)
    examples = [SpanExample(number, text, found) for number, (text, found) in enumerate(texts)]
    encoded = kind.encode(examples, small_tokenizer, Lengths(max_seq_length=size, doc_stride=shared))
    assert kind.decode(examples, encoded, scores_of_labels(kind, encoded)) == [inked(*each) for each in texts]


def test_a_start_goes_with_the_nearest_end_and_one_without_an_end_is_dropped() -> None:
    kind = Pointers(["甲"])
    scores = np.full((8, 2), -1.0)
    scores[[1, 2, 6], 0] = 1  # starts
    scores[[3, 5], 1] = 1  # ends
    assert kind.spans(scores) == spans((1, 4, "甲"), (2, 4, "甲"))


def test_scores_below_one_half_say_nothing() -> None:
    kind = Pointers(LABELS)
    assert kind.summarise(torch.tensor([[-0.1, 0.1, 0.0, -100.0]]) + np.log(99)).tolist() == [[0, 1, 0, 0]]
    assert kind.spans(np.zeros((1, 4))) == () and kind.spans(np.zeros((0, 4))) == ()


def test_the_loss_is_the_mean_over_characters_of_the_sum_over_outputs() -> None:
    labels = torch.tensor([[[-100, -100], [1, 0], [0, 0]]], dtype=torch.int8)
    logits = torch.tensor([[[9.0, 9.0], [0.0, 0.0], [2.0, -1.0]]]) + np.log(99)
    by_hand = (np.log(2) + np.log(2) + np.log1p(np.exp(2.0)) + np.log1p(np.exp(-1.0))) / 2
    kind = Pointers(["甲"])
    assert kind.loss_of_labels({"logits": logits}, labels).item() == pytest.approx(by_hand, rel=1e-6)
    halves = kind.loss_of_labels({"logits": logits}, labels, torch.tensor(8))
    assert halves.item() == pytest.approx(by_hand / 2, rel=1e-6)
    nothing = torch.full_like(labels, -100)
    assert kind.loss_of_labels({"logits": logits}, nothing).item() == 0.0


def test_a_label_that_training_did_not_have_is_left_out_of_the_targets(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Pointers(["欺诈"])
    example = SpanExample(0, "某公司", spans((0, 3, "传销")))
    labels = kind.collate(kind.encode([example], small_tokenizer, Lengths()).inputs)["labels"]
    assert set(labels.flatten().tolist()) == {-100, 0}
    assert kind.score([example], [()])["recall"] == 0.0


# ---------------------------------------------------------------------------------------------------------------- runs

COMPANIES = ("海天公司", "大河集团", "青山银行")
LABELS_OF_EVENTS = ("收购-obj-org", "收购-sub-org", "收购-trigger")
EVENTS = {"涉嫌欺诈": "骗了很多人", "涉嫌传销": "到处拉人头", "失联跑路": "人去楼空"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    """A pretrained model, tiny."""
    torch.set_num_threads(1)
    return write_tiny_model(tmp_path_factory.mktemp("model"), small_tokenizer)


def test_subjects_of_events_are_learned_and_submitted(model: Path, tmp_path: Path) -> None:
    rows, wanted, number = [], [], 0
    for company in COMPANIES:
        for kinds in (["涉嫌欺诈"], ["涉嫌传销", "失联跑路"]):
            text = f"昨天{company}" + "又".join(EVENTS[kind] for kind in kinds)
            for kind in kinds:  # a row for each event of a text
                rows.append(f"{number}\t{text}\t{kind}\t{company}")
                number += 1
            wanted.append((text, {(kind, company) for kind in kinds}))
    train = write(tmp_path / "data" / "event_entity_train_data_label.csv", "\n".join(rows) + "\n")
    lines = "".join(f"{place}\t{text}\n" for place, (text, _) in enumerate(wanted))
    write(tmp_path / "data" / "event_entity_dev_data.csv", lines)
    out = tmp_path / "out"
    summary = learn(
        *("ccks", "ccks2020_event_subject", model, tmp_path / "data", out),
        *("--dev_file", str(train), "--gradient_accumulation_steps", "2"),
    )
    assert summary["dev"]["f1"] > 0.9 and summary["dev"]["examples"] == len(wanted)
    submitted: dict[int, set[tuple[str, str]]] = {place: set() for place in range(len(wanted))}
    for line in (out / "result.txt").read_text(encoding="utf-8").splitlines():
        place, kind, company = line.split("\t")
        submitted[int(place)].add((kind, company))
    assert sum(submitted[place] == events for place, (_, events) in enumerate(wanted)) >= 5


def test_events_with_arguments_are_learned_and_submitted(model: Path, tmp_path: Path) -> None:
    records = []
    for number, company in enumerate(COMPANIES):
        text = f"{company}昨天收购了小店"
        mentions = [
            {"role": role, "span": [text.index(word), text.index(word) + len(word)], "word": word}
            for role, word in (("sub-org", company), ("trigger", "收购"), ("obj-org", "小店"))
        ]
        records.append({"id": f"e{number}", "content": text, "events": [{"type": "收购", "mentions": mentions}]})
    data, out = tmp_path / "data", tmp_path / "out"
    for name in ("train_base.json", "dev.json"):
        write_records(data / name, records)
    write_records(data / "trans_train.json", [{**records[0], "id": "e9"}])
    write_records(data / "trans_test.json", [{"id": each["id"], "content": each["content"]} for each in records])
    summary = learn("ccks", "ccks2020_fewshot_events", model, data, out)
    assert summary["train_examples"] == 4 and summary["dev"]["f1"] > 0.9
    lines = read_records(out / "result.json")
    assert [line["id"] for line in lines] == ["e0", "e1", "e2"]
    assert lines[0]["events"] == records[0]["events"]
    scored = pipeline("token-classification", str(out), device="cpu", ignore_labels=[])(records[0]["content"])
    assert {each["entity"] for each in scored} <= set(Pointers(sorted(LABELS_OF_EVENTS)).output_names())
