"""transformers' ``pipeline`` for the heads that it has no pipeline for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from chinesebert import pipelines
from chinesebert.modeling_chinesebert import ChineseBertForMultipleChoice, ChineseBertForQuestionAnswering
from chinesebert.tasks.examples import ChoiceExample, ReadingExample
from chinesebert.tasks.kinds import Lengths
from chinesebert.tasks.kinds.choice import Choice
from chinesebert.tasks.kinds.reading import Reading
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.test_modeling import make_glyphs, tiny_config

CONTEXT = "小城有三座桥。第一座桥建于1921年，由 Li Wei 设计；第二座桥建于1957年。"
LENGTHS = Lengths(max_seq_length=24, doc_stride=6)


def saved(directory: Path, kind: Any, tokenizer: ChineseBertTokenizer) -> str:
    """A directory as fine-tuning leaves it; large random weights, so that scores differ."""
    torch.manual_seed(3)
    sizes = {"vocab_size": len(tokenizer.tokens()), "num_syllables": len(tokenizer.readings.syllables)}
    model = kind(tiny_config(**sizes, finetuning={"max_seq_length": 24, "doc_stride": 6, "truncation": "head"}))
    model.set_character_tables(tokenizer, make_glyphs(sizes["vocab_size"]))
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Any:
    directory = saved(tmp_path_factory.mktemp("reading"), ChineseBertForQuestionAnswering, small_tokenizer)
    return pipeline("question-answering", model=directory, device="cpu")


@pytest.fixture(scope="module")
def chooser(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Any:
    directory = saved(tmp_path_factory.mktemp("choice"), ChineseBertForMultipleChoice, small_tokenizer)
    return pipeline("multiple-choice", model=directory, device="cpu")


def outputs(pipe: Any, kind: Any, example: Any, lengths: Lengths = LENGTHS) -> tuple[Any, Any]:
    """What the kind reads of an example, and what the pipeline's model says about it."""
    encoded = kind.encode([example], pipe.tokenizer, lengths)
    with torch.no_grad():
        return encoded, pipe.model(**kind.collate(encoded.inputs))


def test_an_answer_is_that_of_the_task_s_own_decoding(answerer: Any) -> None:
    example, kind = ReadingExample(0, CONTEXT, "哪年建的？"), Reading()
    encoded, given = outputs(answerer, kind, example)
    assert len(encoded.inputs) > 1
    wanted = kind.decode([example], encoded, (given.start_logits.numpy(), given.end_logits.numpy()))
    answer = answerer(question="哪年建的？", context=CONTEXT)
    assert answer["answer"] == wanted[0] == CONTEXT[answer["start"] : answer["end"]]
    assert 0 < answer["score"] <= 1


def test_several_answers_come_best_first(answerer: Any) -> None:
    answers = answerer(question="哪年？", context=CONTEXT, top_k=30)
    assert len(answers) == 30
    assert [answer["score"] for answer in answers] == sorted((answer["score"] for answer in answers), reverse=True)
    assert len({(answer["start"], answer["end"]) for answer in answers}) == 30
    assert sum(answer["score"] for answer in answers) <= 1 + 1e-6


def test_answers_are_not_longer_than_asked_for(answerer: Any) -> None:
    answers = answerer(question="哪年？", context="一二三四五六七八九十", top_k=10, max_answer_len=2)
    assert {len(answer["answer"]) for answer in answers} <= {1, 2}


def test_many_questions_are_answered_as_one_by_one_whatever_the_batch(answerer: Any) -> None:
    questions = [{"question": "哪年？", "context": CONTEXT}, {"question": "谁？", "context": "阿明来了。"}]
    wanted = [answerer(item) for item in questions]
    for found in (answerer(questions), answerer(questions, batch_size=2), list(answerer(item for item in questions))):
        assert [answer["answer"] for answer in found] == [answer["answer"] for answer in wanted]
        assert [answer["score"] for answer in found] == pytest.approx([answer["score"] for answer in wanted], rel=1e-3)


def test_windows_can_be_asked_for(answerer: Any) -> None:
    whole = answerer(question="哪年？", context=CONTEXT, max_seq_len=64)
    example, kind = ReadingExample(0, CONTEXT, "哪年？"), Reading()
    encoded, given = outputs(answerer, kind, example, Lengths(64))
    assert len(encoded.inputs) == 1
    [wanted] = kind.decode([example], encoded, (given.start_logits.numpy(), given.end_logits.numpy()))
    assert whole["answer"] == wanted


def test_a_choice_is_the_one_with_the_highest_score(chooser: Any) -> None:
    choices = ["三座", "一座", "没有"]
    found = chooser(context=CONTEXT, question="有几座桥？", choices=choices)
    example = ChoiceExample(0, CONTEXT, "有几座桥？", tuple(choices))
    _, given = outputs(chooser, Choice(), example)
    assert found["scores"] == pytest.approx(given.logits.softmax(dim=-1)[0].tolist(), rel=1e-4)
    assert found["label"] == int(given.logits.argmax()) and found["choice"] == choices[found["label"]]
    assert found["score"] == max(found["scores"]) and sum(found["scores"]) == pytest.approx(1)


def test_choices_stand_in_a_blank(chooser: Any) -> None:
    choices = ("三座", "一座")
    found = chooser(context="小城有#idiom#桥。", choices=list(choices))
    _, given = outputs(chooser, Choice(), ChoiceExample(0, "小城有□桥。", "", choices, blank=(3, 4)))
    assert found["scores"] == pytest.approx(given.logits.softmax(dim=-1)[0].tolist(), rel=1e-4)
    assert chooser(context="小城有__桥。", choices=list(choices), blank="__")["scores"] == pytest.approx(
        found["scores"]
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give question, context"),
        ({"question": "谁？"}, "`context` is a text"),
        ({"question": "谁？", "context": " "}, "the context is empty"),
        ({"question": "谁？", "context": "甲", "topk": 3}, "unknown: topk"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(answerer: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answerer(**given)


def test_choices_must_be_texts(chooser: Any) -> None:
    with pytest.raises(ValueError, match="`choices` must be a list of texts"):
        chooser(context="甲", question="乙", choices="丙")


def test_a_task_that_transformers_knows_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(PIPELINE_REGISTRY.supported_tasks)
    monkeypatch.setitem(pipelines.PIPELINES, "fill-mask", pipelines.PIPELINES["multiple-choice"])
    pipelines.register_pipelines()
    assert before == PIPELINE_REGISTRY.supported_tasks
    assert before["question-answering"]["impl"] is pipelines.QuestionAnsweringPipeline
