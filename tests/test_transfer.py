"""What the options of transfer train, at which rates, and what comes out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from chinesebert.errors import InputError
from chinesebert.finetuning.transfer.averaging import Teacher, WeightAverage, distances
from chinesebert.finetuning.transfer.depths import unfreeze_gradually
from chinesebert.finetuning.transfer.fgm import gradient_of, perturbed
from chinesebert.finetuning.transfer.r_drop import divergence
from chinesebert.finetuning.transfer.rows import score_rows
from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import (
    ChineseBertForMaskedLM,
    ChineseBertForQuestionAnswering,
    ChineseBertForTokenClassification,
)
from tests.test_modeling import (
    make_inputs,
    one_thread,  # noqa: F401  (a fixture that is used wherever it is known)
    tiny_config,
)
from tests.transfer_trainers import Recorder, State, changed, first_batch, make_trainer, weights

pytest.importorskip("accelerate")

HEAD = ("classifier.", "bert.pooler.", "bert.layer_mix.")


def part_of(name: str) -> str:
    """``head``, ``embeddings``, or the number of the layer."""
    if name.startswith(HEAD):
        return "head"
    return "embeddings" if "embeddings" in name else name.split(".")[3]


def parts_trained(trainer: Any) -> set[str]:
    """Trains, and says what has changed."""
    before = weights(trainer.model)
    trainer.train()
    return {part_of(name) for name in changed(before, weights(trainer.model))}


# ------------------------------------------------------------------------------------------------- what is trained


def test_all_weights_are_trained_by_default(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=2)
    before = weights(trainer.model)
    trainer.train()
    assert changed(before, weights(trainer.model)) == before.keys()


@pytest.mark.parametrize("layers", ["top", "mix"])
def test_a_frozen_encoder_leaves_the_head_to_train(tmp_path: Path, small_tokenizer: Any, layers: str) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=2, freeze_encoder=True, head_layers=layers)
    head = {name for name in weights(trainer.model) if name.startswith(HEAD)}
    before = weights(trainer.model)
    trainer.train()
    assert changed(before, weights(trainer.model)) == head


def test_a_frozen_encoder_drops_nothing_and_its_head_does(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=1, freeze_encoder=True, hidden_dropout=0.5)
    seen: list[torch.Tensor] = []
    trainer.model.bert.encoder.register_forward_hook(
        lambda module, args, output: seen.append(output.last_hidden_state.detach())
    )
    losses = []
    for _ in range(2):
        trainer.model.train()
        losses.append(trainer.compute_loss(trainer.model, first_batch(trainer)).item())
    assert torch.equal(seen[0], seen[1])
    assert losses[0] != losses[1]


@pytest.mark.parametrize("option", [{}, {"freeze_encoder": True}])
def test_the_embeddings_alone_can_feed_the_head(tmp_path: Path, small_tokenizer: Any, option: dict[str, Any]) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=2, head_layers="embeddings", **option)
    assert parts_trained(trainer) == ({"head"} if option else {"head", "embeddings"})


# ------------------------------------------------------------------------------------------------- rates of layers


def test_each_layer_learns_at_a_share_of_the_rate_of_the_layer_above(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, layer_lr_decay=0.5, learning_rate=8e-3, weight_decay=0.1)
    names = {parameter: name for name, parameter in trainer.model.named_parameters()}
    found: dict[str, set[float]] = {}
    for group in trainer.create_optimizer().param_groups:
        for parameter in group["params"]:
            name = names.pop(parameter)
            found.setdefault(part_of(name), set()).add(group["lr"])
            keeps = name.endswith("bias") or "LayerNorm" in name
            assert group["weight_decay"] == (0.0 if keeps else 0.1)
    assert not names, "every parameter is in one group"
    assert found == {"head": {8e-3}, "1": {4e-3}, "0": {2e-3}, "embeddings": {1e-3}}


def test_the_schedule_keeps_the_shares_and_logs_the_rate_of_the_head(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(
        tmp_path, small_tokenizer, layer_lr_decay=0.5, learning_rate=8e-3, max_steps=4, lr_scheduler_type="linear",
        logging_steps=1,
    )  # fmt: skip
    trainer.train()
    logged = [line["learning_rate"] for line in trainer.state.log_history if "learning_rate" in line]
    assert logged == pytest.approx([8e-3, 6e-3, 4e-3, 2e-3])


@pytest.mark.parametrize(
    ("steps", "parts"),
    [
        (1, {"head"}),
        (2, {"head"}),
        (3, {"head", "1"}),
        (5, {"head", "1", "0"}),
        (7, {"head", "1", "0", "embeddings"}),
    ],
)
def test_layers_are_unfrozen_from_the_top(tmp_path: Path, small_tokenizer: Any, steps: int, parts: set[str]) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=steps, gradual_unfreezing="2")
    assert parts_trained(trainer) == parts


@pytest.mark.parametrize(("epochs", "parts"), [(1, {"head"}), (2, {"head", "1"}), (3, {"head", "1", "0"})])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_layer_is_unfrozen_an_epoch(
    tmp_path: Path, small_tokenizer: Any, epochs: int, parts: set[str], accumulation: int
) -> None:
    trainer = make_trainer(
        tmp_path,
        small_tokenizer,
        num_train_epochs=epochs,
        gradual_unfreezing="epoch",
        gradient_accumulation_steps=accumulation,
    )
    assert parts_trained(trainer) == parts


def test_a_schedule_without_rates_of_groups_cannot_unfreeze() -> None:
    optimizer = torch.optim.AdamW(torch.nn.Linear(2, 2).parameters())
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(InputError, match="ReduceLROnPlateau; give another --lr_scheduler_type"):
        unfreeze_gradually(plateau, [0], 1)


# ------------------------------------------------------------------------------------------------------- averages


def trained_with_record(trainer: Any) -> list[State]:
    recorder = Recorder()
    trainer.add_callback(recorder)
    trainer.train()
    return recorder.steps


def assert_same(found: State, wanted: State) -> None:
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_the_result_is_the_mean_of_the_last_steps_weights(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=8, average_weights="last", average_share=0.5)
    steps = trained_with_record(trainer)[4:]
    wanted = {name: torch.stack([step[name] for step in steps]).mean(dim=0) for name in steps[0]}
    assert_same(weights(trainer.model), wanted)


def test_the_result_is_a_moving_average(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=5, average_weights="ema", average_decay=0.3)
    first, *steps = trained_with_record(trainer)
    wanted = first
    for number, step in enumerate(steps, start=1):
        kept = min(0.3, (1 + number) / (10 + number))
        wanted = {name: kept * wanted[name] + (1 - kept) * step[name] for name in step}
    assert_same(weights(trainer.model), wanted)


def test_what_is_evaluated_on_the_way_is_the_average_and_training_goes_on_from_the_last_step(
    tmp_path: Path, small_tokenizer: Any
) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, average_weights="ema")
    assert trainer.average is not None
    last = weights(trainer.model)
    trainer.average.average.update_parameters(trainer.model)
    with torch.no_grad():
        for parameter in trainer.average.average.module.parameters():
            parameter.zero_()
    metrics = trainer.evaluate(trainer.train_dataset)
    assert metrics["eval_loss"] == pytest.approx(torch.tensor(2.0).log().item())  # all scores are 0
    assert_same(weights(trainer.model), last)


def test_before_its_first_step_there_is_no_average_to_evaluate(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer)
    average = WeightAverage(trainer.model, "last")
    before = weights(trainer.model)
    with average.in_place(trainer.model):
        assert not changed(before, weights(trainer.model))


def test_the_teacher_is_the_mean_of_the_last_steps_weights(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, max_steps=5, self_distillation=1.0, teacher_steps=3)
    steps = trained_with_record(trainer)[-3:]
    assert trainer.teacher is not None
    wanted = {name: torch.stack([step[name] for step in steps]).mean(dim=0) for name in steps[0]}
    assert_same(weights(trainer.teacher.model), wanted)


def test_the_loss_has_the_squared_distance_to_the_teacher_s_scores(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, self_distillation=3.0, hidden_dropout=0.0)
    assert trainer.teacher is not None
    inputs = first_batch(trainer)
    plain = trainer.compute_loss(trainer.model.train(), inputs)
    torch.testing.assert_close(plain, trainer.model(**inputs).loss, msg="there is no teacher before the first step")
    teacher = trainer.teacher
    teacher.on_step_end(None, None, None, model=trainer.model)
    with torch.no_grad():
        teacher.model.classifier.weight.add_(0.5)
    wanted = plain + 3.0 * functional.mse_loss(trainer.model(**inputs).logits, teacher.model(**inputs).logits)
    torch.testing.assert_close(trainer.compute_loss(trainer.model, inputs), wanted)
    torch.testing.assert_close(trainer.compute_loss(trainer.model.eval(), inputs), plain)


def test_a_teacher_of_labelled_tokens_is_compared_at_these_only() -> None:
    torch.manual_seed(0)
    student, labels = torch.randn(2, 5, 3), torch.tensor([[-100, 1, 2, -100, -100], [-100, 0, -100, -100, -100]])
    teacher = torch.randn(2, 5, 3)
    inputs = {"labels": labels}
    found = distances(score_rows({"logits": student}, inputs), score_rows({"logits": teacher}, inputs)).mean()
    torch.testing.assert_close(found, functional.mse_loss(student[labels >= 0], teacher[labels >= 0]))
    assert isinstance(Teacher(torch.nn.Linear(2, 2), 1).model, torch.nn.Linear)


# --------------------------------------------------------------------------------------------------------- R-Drop


def symmetric_divergence(logits: torch.Tensor) -> torch.Tensor:
    """Of each row of the first half and its twin in the second, by torch's distributions."""
    one, other = (torch.distributions.Categorical(logits=half) for half in logits.chunk(2))
    kl = torch.distributions.kl_divergence
    return (kl(one, other) + kl(other, one)) / 2


def twice_the_same(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([value, value]) for name, value in inputs.items()}


def loss_and_outputs(trainer: Any, inputs: dict[str, torch.Tensor], count: int | None = None) -> tuple[Any, Any]:
    """The trainer's loss of a batch, and the model's outputs for the batch two times, with the same dropout."""
    extra = {} if count is None else {"num_items_in_batch": 2 * count}
    torch.manual_seed(5)
    outputs = trainer.model.train()(**twice_the_same(inputs), **extra)
    torch.manual_seed(5)
    return trainer.compute_loss(trainer.model, inputs, num_items_in_batch=count), outputs


def test_two_passes_over_a_text_are_to_agree(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, r_drop=4.0, hidden_dropout=0.3)
    inputs = first_batch(trainer)
    loss, outputs = loss_and_outputs(trainer, inputs)
    halves = [functional.cross_entropy(half, inputs["labels"]) for half in outputs.logits.chunk(2)]
    gap = symmetric_divergence(outputs.logits)
    assert gap.min() > 1e-5
    torch.testing.assert_close(loss, sum(halves) / 2 + 4.0 * gap.mean())


def other_model(kind: Any, **changes: Any) -> Any:
    torch.manual_seed(1)
    model = kind(tiny_config(hidden_dropout_prob=0.3, **changes))
    model.bert.embeddings.default_pinyin_ids.zero_()
    return model


@pytest.mark.parametrize("count", [None, 50])
def test_two_passes_are_to_agree_at_labelled_tokens(tmp_path: Path, small_tokenizer: Any, count: int | None) -> None:
    model = other_model(ChineseBertForTokenClassification, num_labels=3)
    trainer = make_trainer(tmp_path, small_tokenizer, model, r_drop=2.0)
    labels = torch.tensor([[-100, 1, 2, -100], [-100, 0, -100, -100]])
    loss, outputs = loss_and_outputs(trainer, make_inputs(2, 4) | {"labels": labels}, count)
    labelled = outputs.logits[torch.cat([labels, labels]) != IGNORE_INDEX]
    entropy = functional.cross_entropy(labelled, torch.tensor([1, 2, 0, 1, 2, 0]), reduction="sum") / 2
    wanted = (entropy + 2.0 * symmetric_divergence(labelled).sum()) / (count or 3)
    torch.testing.assert_close(loss, wanted)


def test_two_passes_are_to_agree_on_both_ends_of_an_answer(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, other_model(ChineseBertForQuestionAnswering), r_drop=2.0)
    ends = {"start_positions": torch.tensor([1, 2]), "end_positions": torch.tensor([3, 2])}
    loss, outputs = loss_and_outputs(trainer, make_inputs(2, 4) | ends)
    gap = (symmetric_divergence(outputs.start_logits) + symmetric_divergence(outputs.end_logits)) / 2
    torch.testing.assert_close(loss, outputs.loss + 2.0 * gap.mean())


def test_two_passes_are_to_agree_where_characters_are_corrected(tmp_path: Path, small_tokenizer: Any) -> None:
    trainer = make_trainer(tmp_path, small_tokenizer, other_model(ChineseBertForMaskedLM), r_drop=2.0)
    labels = torch.tensor([[-100, 110, 120, -100], [-100, 130, -100, -100]])
    loss, outputs = loss_and_outputs(trainer, make_inputs(2, 4) | {"labels": labels}, count=3)
    assert outputs.logits.shape[0] == 6, "the head runs at labelled places only"
    torch.testing.assert_close(loss, outputs.loss + 2.0 * symmetric_divergence(outputs.logits).mean())


def test_labels_that_are_decided_one_by_one_are_compared_one_by_one() -> None:
    logits = torch.tensor([[0.5, -1.0], [2.0, 0.1]])
    (rows,) = score_rows({"logits": logits}, {"labels": torch.zeros(2, 2)})
    torch.testing.assert_close(rows.softmax(dim=-1)[:, 0], logits.flatten().sigmoid())


def test_ends_of_spans_are_compared_one_by_one_where_they_count_as_their_kind_reads_them() -> None:
    logits, labels = torch.randn(2, 3, 4), torch.zeros(2, 3, 4, dtype=torch.int8)
    labels[0, 1, 2], labels[:, 2] = 1, IGNORE_INDEX
    (rows,) = score_rows({"logits": logits}, {"labels": labels}, prior=-4.6)
    torch.testing.assert_close(rows.softmax(dim=-1)[:, 0], (logits[:, :2].flatten() - 4.6).sigmoid())


def test_choices_that_only_fill_a_batch_are_not_compared() -> None:
    mask = torch.tensor([[[1, 1, 1], [1, 1, 0], [1, 0, 0]]]).repeat(2, 1, 1)  # three choices, the last is none
    logits = torch.tensor([[0.5, -1.0, 7.0], [1.5, 0.0, -7.0]])  # as sure of the first two, another place for the third
    assert divergence({"logits": logits}, {"attention_mask": mask}).tolist() == pytest.approx([0.0], abs=1e-6)
    (rows,) = score_rows({"logits": logits}, {"attention_mask": mask})
    torch.testing.assert_close(rows[:, :2], logits[:, :2])
    assert distances([rows[:1, 2:]], [rows[1:, 2:]]).tolist() == [0.0]


# ------------------------------------------------------------------------------------------------------------ FGM


def test_a_perturbation_goes_along_the_last_gradient_and_leaves_no_trace() -> None:
    weight = torch.nn.Parameter(torch.randn(5, 3))
    before = weight.detach().clone()
    weight.grad = torch.ones(5, 3)
    earlier = gradient_of(weight)
    last = torch.randn(5, 3)
    weight.grad += last
    with perturbed(weight, earlier, epsilon=0.7):
        torch.testing.assert_close(weight.detach() - before, 0.7 * last / last.norm())
    assert torch.equal(weight.detach(), before)


@pytest.mark.parametrize("gradient", [0.0, float("nan"), float("inf")])
def test_without_a_direction_nothing_is_perturbed(gradient: float) -> None:
    weight = torch.nn.Parameter(torch.randn(5, 3))
    before, earlier = weight.detach().clone(), gradient_of(weight)
    weight.grad = torch.full((5, 3), gradient)
    with perturbed(weight, earlier, epsilon=1.0):
        assert torch.equal(weight.detach(), before)


def test_a_perturbation_is_taken_back_when_its_pass_fails() -> None:
    weight = torch.nn.Parameter(torch.randn(5, 3))
    before = weight.detach().clone()
    weight.grad = torch.ones(5, 3)
    with pytest.raises(RuntimeError), perturbed(weight, torch.zeros(5, 3), epsilon=1.0):
        raise RuntimeError
    assert torch.equal(weight.detach(), before)


def test_a_step_adds_the_gradients_of_the_batch_and_of_its_adversary(tmp_path: Path, small_tokenizer: Any) -> None:
    """Also on top of gradients that are there: those of an earlier micro-batch."""
    trainer = make_trainer(tmp_path, small_tokenizer, fgm=0.5, hidden_dropout=0.0)
    trainer.current_gradient_accumulation_steps = 1
    model, inputs = trainer.model, first_batch(trainer)
    table = model.bert.embeddings.word_embeddings.weight
    before = table.detach().clone()
    found = []
    for _ in range(2):
        trainer.training_step(model, inputs)
        found.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    assert torch.equal(table.detach(), before)

    model.zero_grad()
    model(**inputs).loss.backward()
    with torch.no_grad():
        table.add_(0.5 * table.grad / table.grad.norm())
    model(**inputs).loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[0][name], parameter.grad, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(found[1][name], 2 * parameter.grad, atol=1e-6, rtol=1e-4)
