"""Pipelines for heads that transformers has none for (any more).

``transformers.pipeline`` of version 5 knows neither question answering nor multiple choice nor correction. Importing
``chinesebert`` registers these for any model that the Auto classes load; a task that transformers knows stays as it is.

::

    import chinesebert
    from transformers import pipeline

    pipeline("question-answering", model=directory)(question="谁来了？", context="昨天小王来了。")
    pipeline("multiple-choice", model=directory)(context="…", question="…", choices=["…", "…"])
    pipeline("spelling-correction", model=directory)("我今天很高心。")
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import transformers.pipelines
from transformers import AutoModelForMaskedLM, AutoModelForMultipleChoice, AutoModelForQuestionAnswering
from transformers.pipelines import PIPELINE_REGISTRY, Pipeline

from chinesebert.correction_pipeline import CorrectionPipeline
from chinesebert.tasks.definitions.chid import BLANK
from chinesebert.tasks.examples import ChoiceExample, ReadingExample
from chinesebert.tasks.kinds.base import Kind, Lengths
from chinesebert.tasks.kinds.choice import Choice
from chinesebert.tasks.kinds.reading import Reading


class ExamplePipeline(Pipeline):
    """A pipeline over a kind of task: an input is a dictionary, which becomes an example, encoded as for training."""

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True
    _fields: tuple[str, ...] = ()

    def __call__(self, inputs: Any = None, *, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Predicts a dictionary, given whole or by its entries (a dictionary back), or several (a list back).

        Args:
            inputs: a dictionary, or a list, generator or data set of such.
            batch_size: windows, of one long text, that the model reads at a time; all of them by default.
            kwargs: the entries of one dictionary; and options of the pipeline.
        """
        given = _taken(kwargs, *self._fields)
        if (inputs is None) != bool(given):
            raise ValueError(f"give {', '.join(self._fields)}, or a dictionary with them, or a list of those")
        if batch_size is not None:
            kwargs["windows"] = batch_size
        return super().__call__(given if inputs is None else inputs, batch_size=1, **kwargs)

    def _lengths(self, max_seq_len: int | None = None, doc_stride: int | None = None) -> Lengths:
        """As the model was fine-tuned, or as it can read; or as asked for."""
        config = self.model.config
        saved = getattr(config, "finetuning", None) or {}
        longest = saved.get("max_seq_length") or min(512, config.max_position_embeddings)
        return Lengths(
            max_seq_len or longest,
            saved.get("doc_stride", 128) if doc_stride is None else doc_stride,
            saved.get("truncation", "head"),
        )

    def _encoded(self, kind: Kind, example: Any, lengths: Lengths) -> dict[str, Any]:
        encoded = kind.encode([example], self.tokenizer, lengths)
        return {"inputs": kind.collate(encoded.inputs), "encoded": encoded, "example": example}

    def _forward(self, input_tensors: dict[str, Any], windows: int | None = None, **_: Any) -> dict[str, Any]:
        inputs = input_tensors["inputs"]
        outputs = [self.model(**part) for part in _parts(inputs, windows or self._batch_size)]
        names = [name for name in outputs[0] if name.endswith("logits")]
        scores = {name: torch.cat([output[name] for output in outputs]) for name in names}
        return {"scores": scores, "encoded": input_tensors["encoded"], "example": input_tensors["example"]}


def _parts(inputs: Mapping[str, torch.Tensor], size: int | None) -> Iterator[dict[str, torch.Tensor]]:
    rows = len(inputs["input_ids"])
    step = size or rows
    for start in range(0, rows, step):
        yield {name: value[start : start + step] for name, value in inputs.items()}


class QuestionAnsweringPipeline(ExamplePipeline):
    """Finds answers in a context: ``(question=…, context=…)`` gives ``{"score", "start", "end", "answer"}``.

    ``start`` and ``end`` count characters of the context, ``score`` is the probability among the spans that were looked
    at. Options, here or when the pipeline is made: ``top_k`` (a list of so many answers, where it is above 1),
    ``max_answer_len`` (tokens), ``max_seq_len`` and ``doc_stride`` (tokens of a window, and what windows share).
    """

    _fields = ("question", "context")

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = _taken(given, "max_seq_len", "doc_stride")
        during = _taken(given, "windows")
        after = _taken(given, "top_k", "max_answer_len")
        _refuse(given)
        return before, during, after

    def preprocess(self, input_: Any, **parameters: Any) -> dict[str, Any]:
        """Windows of one question and context."""
        example = ReadingExample(0, _text(input_, "context"), _text(input_, "question"))
        if not example.context.strip():
            raise ValueError("the context is empty")
        return self._encoded(Reading(), example, self._lengths(**parameters))

    def postprocess(self, model_outputs: dict[str, Any], top_k: int = 1, max_answer_len: int | None = None) -> Any:
        """The best spans over all windows."""
        kind = Reading()
        kind.max_answer_length = max_answer_len or kind.max_answer_length
        kind.n_best_size = max(top_k, kind.n_best_size)
        logits = model_outputs["scores"]
        scores = tuple(logits[name].float().numpy() for name in ("start_logits", "end_logits"))
        spans = kind.answers(model_outputs["encoded"], scores, 1)[0]
        total = np.logaddexp.reduce([span.score for span in spans]) if spans else 0.0
        context = model_outputs["example"].context
        answers = [
            {
                "score": float(np.exp(span.score - total)),
                "start": span.start,
                "end": span.end,
                "answer": context[span.start : span.end],
            }
            for span in spans[:top_k]
        ]
        if not answers:  # not one character of the context is a token
            answers = [{"score": 0.0, "start": 0, "end": 0, "answer": ""}]
        return answers[0] if top_k == 1 else answers


class MultipleChoicePipeline(ExamplePipeline):
    """Chooses: ``(context=…, question=…, choices=[…])`` gives ``{"label", "choice", "score", "scores"}``.

    ``label`` is the number of the choice, ``scores`` the probabilities of all. Without a question, where the context
    holds ``blank`` once (by default one of ChID's, ``#idiom#`` with or without a number), choices are tried in its
    place. Options: ``blank``, ``max_seq_len``.
    """

    _fields = ("context", "question", "choices")

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = _taken(given, "max_seq_len", "blank")
        during = _taken(given, "windows")
        _refuse(given)
        return before, during, {}

    def preprocess(self, input_: Any, blank: str | None = None, **parameters: Any) -> dict[str, Any]:
        """A row for each choice."""
        choices = input_.get("choices")
        if not isinstance(choices, list | tuple) or not choices or not all(isinstance(item, str) for item in choices):
            raise ValueError("`choices` must be a list of texts")
        context, question = _text(input_, "context"), input_.get("question") or ""
        places = list((BLANK if blank is None else re.compile(re.escape(blank))).finditer(context))
        place = places[0].span() if len(places) == 1 and not question else None
        example = ChoiceExample(0, context, question, tuple(choices), blank=place)
        return self._encoded(Choice(), example, self._lengths(**parameters))

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """Probabilities, and the best choice."""
        logits = model_outputs["scores"]["logits"].float()[0]
        best = int(logits.argmax())
        scores = logits.softmax(dim=-1).tolist()
        choices = model_outputs["example"].choices
        return {"label": best, "choice": choices[best], "score": scores[best], "scores": scores}


def _taken(given: dict[str, Any], *names: str) -> dict[str, Any]:
    """Takes out what has one of the names."""
    return {name: given.pop(name) for name in names if name in given}


def _text(given: Any, name: str) -> str:
    value = given.get(name) if isinstance(given, Mapping) else None
    if not isinstance(value, str):
        raise ValueError(f"an input is a dictionary whose `{name}` is a text, not {value!r}")
    return value


def _refuse(given: Mapping[str, Any]) -> None:
    if given:
        raise ValueError(f"unknown: {', '.join(given)}")


#: The task, its pipeline, and the Auto class that loads its models.
PIPELINES: dict[str, tuple[type[Pipeline], type]] = {
    "question-answering": (QuestionAnsweringPipeline, AutoModelForQuestionAnswering),
    "multiple-choice": (MultipleChoicePipeline, AutoModelForMultipleChoice),
    "spelling-correction": (CorrectionPipeline, AutoModelForMaskedLM),
}


def register_pipelines() -> None:
    """Makes ``transformers.pipeline`` know the tasks that it has no pipeline for.

    Versions that had a pipeline once say so instead of looking at what is registered: their notice is taken out.
    """
    known = PIPELINE_REGISTRY.get_supported_tasks()
    for task, (pipeline_class, auto_class) in PIPELINES.items():
        if task not in known:
            PIPELINE_REGISTRY.register_pipeline(task, pipeline_class=pipeline_class, pt_model=auto_class, type="text")
            getattr(transformers.pipelines, "REMOVED_TASKS", {}).pop(task, None)


register_pipelines()
