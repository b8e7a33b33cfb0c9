"""Kinds of one label a text and of several: inputs, predictions, scores."""

import numpy as np
import pytest
import torch

from chinesebert.errors import InputError
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.kinds import KINDS, Encoded, Lengths
from chinesebert.tasks.kinds.classification import Classification, encode_texts
from chinesebert.tasks.kinds.multi_label import MultiLabel
from chinesebert.tasks.metrics.classification import classification_scores, multi_label_scores
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

NOTHING = Encoded([], [])


def test_accuracy_and_f1_of_labels_by_hand() -> None:
    truths, guesses = ["1", "1", "1", "0", "0"], ["1", "1", "0", "0", "1"]
    # Of label 1: 2 of 3 predicted are right, 2 of 3 are found; of label 0: 1 of 2, and 1 of 2.
    scores = classification_scores(truths, guesses, ["0", "1"])
    assert scores == pytest.approx({"accuracy": 3 / 5, "f1": 2 / 3, "macro_f1": (2 / 3 + 1 / 2) / 2})


def test_labels_that_occur_nowhere_do_not_count() -> None:
    scores = classification_scores(["a", "b"], ["a", "a"], ["a", "b", "c"])
    assert scores == pytest.approx({"accuracy": 1 / 2, "macro_f1": (2 / 3 + 0) / 2})


def test_nothing_predicted_of_the_label_that_counts_is_f1_of_0() -> None:
    assert classification_scores(["0", "0"], ["0", "0"], ["0", "1"])["f1"] == 0


def test_scores_of_several_labels_by_hand() -> None:
    truths = [["a", "b"], ["b"], [], ["c"]]
    guesses = [["a"], ["b", "c"], [], []]
    # 2 of 3 predicted decisions are right, 2 of 4 are found; by label: a 1, b 2/3, c 0; texts: only the third.
    assert multi_label_scores(truths, guesses, ["a", "b", "c", "d"]) == pytest.approx(
        {
            "micro_precision": 2 / 3,
            "micro_recall": 2 / 4,
            "micro_f1": 4 / 7,
            "macro_f1": (1 + 2 / 3 + 0) / 3,
            "exact_match": 1 / 4,
        }
    )


def test_texts_without_any_label_score_nothing_but_are_right() -> None:
    scores = multi_label_scores([[], []], [[], []], ["a"])
    assert scores["exact_match"] == 1
    assert scores["micro_f1"] == scores["macro_f1"] == 0


def test_an_unknown_label_is_refused_with_its_place(tokenizer: ChineseBertTokenizer) -> None:
    for kind, label in ((Classification(["a"]), "b"), (MultiLabel(["a"]), ("a", "b"))):
        with pytest.raises(InputError, match=r"x.tsv:7: the label 'b' is none of a; .*--labels"):
            kind.encode([TextExample(0, "一", label=label, where="x.tsv:7")], tokenizer, Lengths())


def test_an_empty_text_is_an_input_and_gets_a_prediction(tokenizer: ChineseBertTokenizer) -> None:
    kind = Classification(["a", "b"])
    encoded = kind.encode([TextExample(0, ""), TextExample(1, "", "")], tokenizer, Lengths())
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert [item["input_ids"] for item in encoded.inputs] == [[first, last], [first, last, last]]
    assert kind.collate(encoded.inputs)["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize(("pair", "least"), [(None, 3), ("明天天晴", 5)])
def test_inputs_have_room_for_every_text(tokenizer: ChineseBertTokenizer, pair: str | None, least: int) -> None:
    item, was_cut = encode_texts("今天下雨", pair, tokenizer, Lengths(least))
    assert was_cut and len(item["input_ids"]) == least == len(item["pinyin_ids"])
    with pytest.raises(InputError, match=f"max_seq_length is {least - 1}: . texts need {least}"):
        encode_texts("今天下雨", pair, tokenizer, Lengths(least - 1))


def test_a_text_beyond_the_length_is_cut_and_counted(tokenizer: ChineseBertTokenizer) -> None:
    examples = [TextExample(0, "好" * 2000, label="a"), TextExample(1, "好", label="a")]
    encoded = Classification(["a"]).encode(examples, tokenizer, Lengths(512))
    assert [len(item["input_ids"]) for item in encoded.inputs] == [512, 3]
    assert encoded.cut == 1


def test_every_label_is_decided_for_itself(tokenizer: ChineseBertTokenizer) -> None:
    kind = MultiLabel(["a", "b", "c"])
    examples = [TextExample(0, "一", label=("c", "a")), TextExample(1, "二", label=())]
    batch = kind.collate(kind.encode(examples, tokenizer, Lengths()).inputs)
    assert torch.equal(batch["labels"], torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    scores = np.array([[0.1, -0.1, 3.0], [-1.0, -2.0, -3.0]], dtype=np.float32)
    assert kind.decode(examples, NOTHING, scores) == [["a", "c"], []]
    assert [kind.truth(example) for example in examples] == [["a", "c"], []]
    assert kind.truth(TextExample(2, "三")) is None


def test_both_kinds_are_registered() -> None:
    assert KINDS["classification"] is Classification and KINDS["multi_label"] is MultiLabel
