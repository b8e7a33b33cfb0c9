"""The heads: what they score, how they count their losses, and that transformers' Trainer trains them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding, Trainer, TrainingArguments

from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import (
    ChineseBertForMultipleChoice,
    ChineseBertForQuestionAnswering,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
    ChineseBertTokenClassifierMLP,
)
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.test_modeling import (
    SYLLABLES,
    Inputs,
    assert_same_gradients,
    gradients,
    make_inputs,
    make_model,
    one_thread,  # noqa: F401  (a fixture that is used wherever it is known)
    tiny_config,
)

# ------------------------------------------------------------------------------------------------ one label a text


def classify(labels: torch.Tensor, **changes: Any) -> tuple[Any, Any]:
    """A model and its outputs for as many texts as there are labels."""
    model = make_model(ChineseBertForSequenceClassification, **changes)
    return model, model(**make_inputs(len(labels), 6), labels=labels)


def test_a_text_gets_one_score_a_label() -> None:
    model = make_model(ChineseBertForSequenceClassification, num_labels=5)
    assert model(**make_inputs(3, 6)).logits.shape == (3, 5)


def test_a_text_is_classified_by_its_pooled_first_token() -> None:
    model = make_model(ChineseBertForSequenceClassification, num_labels=5)
    inputs = make_inputs(3, 6)
    pooled = model.bert.pooler(model.bert(**inputs).last_hidden_state)
    assert torch.equal(model(**inputs).logits, model.classifier(pooled))


@pytest.mark.parametrize("problem_type", [None, "single_label_classification"])
def test_label_numbers_ask_for_cross_entropy(problem_type: str | None) -> None:
    labels = torch.tensor([0, 2, 1])
    _, outputs = classify(labels, num_labels=3, problem_type=problem_type)
    torch.testing.assert_close(outputs.loss, functional.cross_entropy(outputs.logits, labels))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_one_number_a_text_asks_for_the_squared_error(problem_type: str | None, rows: int) -> None:
    labels = torch.tensor([0.5, -2.0, 1.0])[:rows]
    _, outputs = classify(labels, num_labels=1, problem_type=problem_type)
    torch.testing.assert_close(outputs.loss, functional.mse_loss(outputs.logits[:, 0], labels))


def test_several_numbers_a_text_are_regressed_on_request() -> None:
    labels = torch.randn(3, 2)
    _, outputs = classify(labels, num_labels=2, problem_type="regression")
    torch.testing.assert_close(outputs.loss, functional.mse_loss(outputs.logits, labels))


@pytest.mark.parametrize("problem_type", [None, "multi_label_classification"])
def test_several_labels_a_text_are_decided_one_by_one(problem_type: str | None) -> None:
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    _, outputs = classify(labels, num_labels=3, problem_type=problem_type)
    torch.testing.assert_close(outputs.loss, functional.binary_cross_entropy_with_logits(outputs.logits, labels))


@pytest.mark.parametrize(
    "kind", [ChineseBertForSequenceClassification, ChineseBertForTokenClassification, ChineseBertForMultipleChoice]
)
@pytest.mark.parametrize(("own", "used"), [(None, 0.3), (0.1, 0.1), (0.0, 0.0)])
def test_a_classifier_drops_as_much_as_the_encoder_unless_told_otherwise(
    kind: Any, own: float | None, used: float
) -> None:
    assert kind(tiny_config(hidden_dropout_prob=0.3, classifier_dropout=own)).dropout.p == used


# ----------------------------------------------------------------------------------------------- one label a token


def token_labels(rows: int, length: int, share: float = 0.7) -> torch.Tensor:
    """Labels 0 … 2 at so many of the tokens, -100 elsewhere."""
    generator = torch.Generator().manual_seed(3)
    labelled = torch.rand(rows, length, generator=generator) < share
    return torch.randint(3, (rows, length), generator=generator).masked_fill(~labelled, IGNORE_INDEX)


@pytest.mark.parametrize("two_layers", [False, True], ids=["linear", "mlp"])
def test_every_token_gets_one_score_a_label(two_layers: bool) -> None:
    model = make_model(ChineseBertForTokenClassification, num_labels=3, token_classifier_mlp=two_layers)
    assert model(**make_inputs(2, 7)).logits.shape == (2, 7, 3)


def test_the_two_layer_head_is_linear_tanh_linear_under_the_original_s_names() -> None:
    model = make_model(ChineseBertForTokenClassification, num_labels=3, token_classifier_mlp=True)
    state = {name: value for name, value in model.state_dict().items() if name.startswith("classifier.")}
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "classifier.dense_layer.weight": (32, 32),
        "classifier.dense_layer.bias": (32,),
        "classifier.dense_to_labels_layer.weight": (3, 32),
        "classifier.dense_to_labels_layer.bias": (3,),
    }
    inputs = make_inputs(2, 7)
    states = model.bert(**inputs).last_hidden_state
    first = functional.linear(states, state["classifier.dense_layer.weight"], state["classifier.dense_layer.bias"])
    wanted = functional.linear(
        first.tanh(), state["classifier.dense_to_labels_layer.weight"], state["classifier.dense_to_labels_layer.bias"]
    )
    torch.testing.assert_close(model(**inputs).logits, wanted)


def test_a_saved_directory_remembers_the_two_layer_head(tmp_path: Path) -> None:
    model = make_model(ChineseBertForTokenClassification, num_labels=3, token_classifier_mlp=True)
    model.save_pretrained(tmp_path)
    loaded = ChineseBertForTokenClassification.from_pretrained(tmp_path)
    assert isinstance(loaded.classifier, ChineseBertTokenClassifierMLP)
    assert torch.equal(loaded(**make_inputs(2, 7)).logits, model(**make_inputs(2, 7)).logits)


def test_the_loss_is_the_mean_over_the_labelled_tokens() -> None:
    model, labels = make_model(ChineseBertForTokenClassification, num_labels=3), token_labels(4, 9)
    outputs = model(**make_inputs(4, 9), labels=labels)
    torch.testing.assert_close(outputs.loss, functional.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten()))


def test_tokens_without_a_label_do_not_count() -> None:
    model = make_model(ChineseBertForTokenClassification, num_labels=3).train()
    loss = model(**make_inputs(2, 7), labels=torch.full((2, 7), IGNORE_INDEX)).loss
    loss.backward()
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(model).values())


@pytest.mark.parametrize("micro_batches", [2, 3, 6])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_loss_and_gradients_of_a_global_batch_are_the_same_for_any_split(micro_batches: int, as_tensor: bool) -> None:
    inputs, labels = make_inputs(6, 9), token_labels(6, 9)
    count: Any = (labels != IGNORE_INDEX).sum()
    found, losses = [], []
    for parts in (1, micro_batches):
        model = make_model(ChineseBertForTokenClassification, num_labels=3).train()
        losses.append(0.0)
        for rows in torch.arange(6).chunk(parts):
            micro = {name: ids[rows] for name, ids in inputs.items()}
            number = count if as_tensor else int(count)
            loss = model(**micro, labels=labels[rows], num_items_in_batch=number).loss
            loss.backward()
            losses[-1] += loss.item()
        found.append(gradients(model))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert_same_gradients(*found)


# ----------------------------------------------------------------------------------------------- spans as answers


def answer(starts: list[int], ends: list[int]) -> Any:
    model = make_model(ChineseBertForQuestionAnswering)
    return model(**make_inputs(len(starts), 8), start_positions=torch.tensor(starts), end_positions=torch.tensor(ends))


def test_every_token_is_scored_as_first_and_as_last_of_the_answer() -> None:
    outputs = make_model(ChineseBertForQuestionAnswering)(**make_inputs(3, 8))
    assert outputs.start_logits.shape == outputs.end_logits.shape == (3, 8)
    assert not torch.equal(outputs.start_logits, outputs.end_logits)


def test_the_loss_of_an_answer_is_the_mean_of_both_ends() -> None:
    outputs = answer([1, 0, 7], [3, 0, 7])
    start = functional.cross_entropy(outputs.start_logits, torch.tensor([1, 0, 7]))
    end = functional.cross_entropy(outputs.end_logits, torch.tensor([3, 0, 7]))
    torch.testing.assert_close(outputs.loss, (start + end) / 2)


def test_an_answer_that_was_cut_off_does_not_count() -> None:
    outputs = answer([1, 9, 2], [3, 12, 8])
    start = functional.cross_entropy(outputs.start_logits[[0, 2]], torch.tensor([1, 2]))
    end = functional.cross_entropy(outputs.end_logits[[0]], torch.tensor([3]))
    torch.testing.assert_close(outputs.loss, (start + end) / 2)


def test_a_batch_whose_answers_were_all_cut_off_has_loss_zero() -> None:
    assert answer([9, 9], [12, 12]).loss.item() == 0


def test_answers_may_be_given_as_a_column() -> None:
    model, inputs = make_model(ChineseBertForQuestionAnswering), make_inputs(3, 8)
    start, end = torch.tensor([1, 0, 7]), torch.tensor([3, 0, 7])
    column = model(**inputs, start_positions=start[:, None], end_positions=end[:, None]).loss
    assert torch.equal(column, model(**inputs, start_positions=start, end_positions=end).loss)


# -------------------------------------------------------------------------------------------------------- choices


def make_choices(questions: int, choices: int, length: int) -> Inputs:
    inputs = make_inputs(questions * choices, length)
    return {name: ids.view(questions, choices, length) for name, ids in inputs.items()}


def test_every_choice_is_scored_as_if_it_were_alone() -> None:
    model, inputs = make_model(ChineseBertForMultipleChoice), make_choices(2, 3, 6)
    scores = model(**inputs).logits
    assert scores.shape == (2, 3)
    for question in range(2):
        for choice in range(3):
            alone = {name: ids[question : question + 1, choice : choice + 1] for name, ids in inputs.items()}
            torch.testing.assert_close(model(**alone).logits[0, 0], scores[question, choice], atol=1e-5, rtol=1e-5)


def test_the_loss_of_choices_is_cross_entropy_over_them() -> None:
    labels = torch.tensor([2, 0])
    outputs = make_model(ChineseBertForMultipleChoice)(**make_choices(2, 3, 6), labels=labels)
    torch.testing.assert_close(outputs.loss, functional.cross_entropy(outputs.logits, labels))


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (2, 3, 48)], ids=str)
@pytest.mark.parametrize("folded", [False, True])
def test_choices_take_letters_for_syllables(shape: tuple[int, ...], folded: bool) -> None:
    model, inputs = make_model(ChineseBertForMultipleChoice), make_choices(2, 3, 6)
    wanted = model(**inputs).logits
    letters = model.bert.embeddings.pinyin_embeddings.letter_ids[inputs["pinyin_ids"]].long().view(shape)
    spelled = (model.fold() if folded else model)(inputs["input_ids"], letters).logits
    torch.testing.assert_close(spelled, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_all_that_the_encoder_takes_is_taken_for_each_choice() -> None:
    model = make_model(ChineseBertForMultipleChoice, type_vocab_size=2)
    inputs = make_choices(2, 3, 6) | {
        "attention_mask": torch.tensor([1, 1, 1, 1, 0, 0]).expand(2, 3, 6),
        "position_ids": torch.arange(6, 12).expand(2, 3, 6),
        "token_type_ids": torch.tensor([0, 0, 1, 1, 0, 0]).expand(2, 3, 6),
        "inputs_embeds": torch.randn(2, 3, 6, 32),
    }
    flat = {name: values.flatten(end_dim=1) for name, values in inputs.items()}
    wanted = model.classifier(model.bert(**flat).pooler_output).view(2, 3)
    torch.testing.assert_close(model(**inputs).logits, wanted)
    for name in inputs:
        fewer = {other: values for other, values in inputs.items() if other != name}
        assert name == "input_ids" or not torch.allclose(model(**fewer).logits, wanted, atol=1e-3), name


def test_choices_without_any_text_are_refused() -> None:
    with pytest.raises(ValueError, match="give input_ids"):
        make_model(ChineseBertForMultipleChoice)(pinyin_ids=torch.randint(SYLLABLES, (2, 3, 6)))


# -------------------------------------------------------------------------------------------------------- trainer

TEXTS = ["重庆银行", "长大", "我爱音乐快乐", "好"]


def full_model(kind: Any, tokenizer: ChineseBertTokenizer, **changes: Any) -> Any:
    """A tiny model with the sizes of a real tokenizer."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer.tokens()), "num_syllables": len(tokenizer.readings.syllables)}
    return kind(tiny_config(**sizes, **changes))


def train_two_steps(model: Any, rows: list[dict[str, Any]], collator: Any, directory: Path) -> list[float]:
    """The losses that Trainer reports of two steps of SGD, each over all rows in two uneven micro-batches."""
    arguments = TrainingArguments(
        str(directory), max_steps=2, per_device_train_batch_size=2, gradient_accumulation_steps=2, optim="sgd",
        learning_rate=0.005, use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no", logging_steps=1,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    trainer.train()
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]


def test_trainer_trains_a_text_classifier(small_tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    rows = [dict(small_tokenizer(text)) | {"label": number % 2} for number, text in enumerate(TEXTS)]
    model = full_model(ChineseBertForSequenceClassification, small_tokenizer)
    first, second = train_two_steps(model, rows, DataCollatorWithPadding(small_tokenizer), tmp_path)
    assert second < first


def test_trainer_counts_every_labelled_token_of_a_global_batch_alike(
    small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    rows = [dict(small_tokenizer(text)) for text in TEXTS]
    for row in rows:
        row["labels"] = [IGNORE_INDEX, *(number % 3 for number in row["input_ids"][1:-1]), IGNORE_INDEX]
    model = full_model(ChineseBertForTokenClassification, small_tokenizer, num_labels=3)
    wanted = mean_loss_of_tokens(model, rows)
    collator = DataCollatorForTokenClassification(small_tokenizer)
    first, second = train_two_steps(model, rows, collator, tmp_path)
    assert first == pytest.approx(wanted, abs=1e-3)  # Trainer reports four digits
    assert second < first


@torch.no_grad()
def mean_loss_of_tokens(model: Any, rows: list[dict[str, Any]]) -> float:
    """The mean over the labelled tokens of all rows, row by row."""
    total, count = 0.0, 0
    for row in rows:
        batch = {name: torch.tensor([values]) for name, values in row.items()}
        tokens = int((batch["labels"] != IGNORE_INDEX).sum())
        total, count = total + model(**batch).loss.item() * tokens, count + tokens
    return total / count
