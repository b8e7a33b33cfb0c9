"""The card of a trained model: ``README.md`` of its ``hf/`` directory, in the form that the Hugging Face hub reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from chinesebert.atomic import atomic_file
from chinesebert.configuration_chinesebert import ChineseBertConfig

CARD_FILE = "README.md"
_METADATA = {
    "language": ["zh"],
    "library_name": "transformers",
    "pipeline_tag": "fill-mask",
    "tags": ["chinesebert", "fill-mask", "masked-lm", "glyph", "pinyin"],
}
_LICENSE = "# license: …   yours to choose; the texts the model was trained on may have a say in it"
# Settings of a recipe that made the model what it is, in this order; paths, and what only says how a run is kept, are
# nobody else's business.
_SHOWN_SETTINGS = (
    "data_weights",
    "max_steps",
    "global_batch_size",
    "max_length",
    "phases",
    "batch_size_start",
    "batch_size_increment",
    "batch_size_ramp_steps",
    "masking_strategy",
    "masking_probability",
    "masking_probability_end",
    "whole_word_probability",
    "single_sentence_probability",
    "isolate_documents",
    "pronunciation_loss_weight",
    "optimizer",
    "learning_rate",
    "glyph_learning_rate_scale",
    "warmup_steps",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "weight_decay",
    "max_grad_norm",
    "bf16",
    "seed",
)
# Values of settings that ask for nothing.
_NOTHING: dict[str, tuple[Any, ...]] = {
    "data_weights": (None, []),
    "phases": (None, []),
    "pronunciation_loss_weight": (None, 0),
    "glyph_learning_rate_scale": (None, 1),
    "lr_scheduler_kwargs": (None, {}),
}
_RESULTS = (
    ("eval_loss", "loss (nats a masked token)", "{:.3f}"),
    ("eval_whole_word_loss", "loss, whole words masked", "{:.3f}"),
    ("eval_whole_word_word_accuracy", "masked whole words, all of the word right", "{:.1%}"),
    ("eval_whole_word_char_accuracy", "masked whole words, tokens right", "{:.1%}"),
    ("eval_character_loss", "loss, single characters masked", "{:.3f}"),
    ("eval_character_char_accuracy", "masked single characters right", "{:.1%}"),
)
_LOADING = """```python
import chinesebert  # of the package chinesebert-pretraining; registers the model with transformers
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

path = "."  # this directory, or the name of its repository on the hub
tokenizer = AutoTokenizer.from_pretrained(path)
model = AutoModelForMaskedLM.from_pretrained(path)

inputs = tokenizer("今天的天气很[MASK]。", return_tensors="pt")  # input_ids, pinyin_ids, attention_mask
logits = model(**inputs).logits

fill_mask = pipeline("fill-mask", model=model, tokenizer=tokenizer)
print(fill_mask("今天的天气很[MASK]。"))
```"""
_LIMITS = (
    "It was trained to fill in masked characters and nothing else: fine-tune it before using it for a task.",
    "Like any model trained on such text, it repeats what the text says, prejudice and error included.",
    "Pinyin is read from a dictionary by phrases, without understanding: characters with several readings are "
    "sometimes read wrongly. The dictionary is part of the tokenizer.",
    "Characters that are not in the vocabulary are [UNK]; those that the fonts do not have are blank images.",
)


@dataclass(frozen=True)
class CardCorpus:
    """A corpus that the model was trained on: its name, its size, and how often it was read."""

    name: str
    documents: int
    tokens: int
    epochs: float


@dataclass(frozen=True)
class CardFacts:
    """What a card says.

    Attributes:
        name: of the model; that of the run's folder, say.
        config: of the model.
        parameters: that were trained.
        steps: optimizer steps.
        tokens_seen: tokens of text that were read, repeats included.
        corpora: that it was trained on; of a name that is a path, only the last part is told.
        recipe: the resolved settings of the run, as they were at its end.
        changes: (step, {setting: [before, after]}) where it went on with other settings.
        results: of the last evaluation, by the names of the log (``eval_…``); empty without one.
        results_step: of that evaluation.
        versions, hardware: ``environment``'s.
        started_from: what it was continued from; None from scratch.
    """

    name: str
    config: ChineseBertConfig
    parameters: int
    steps: int
    tokens_seen: int
    corpora: Sequence[CardCorpus]
    recipe: Mapping[str, Any]
    changes: Sequence[tuple[int, Mapping[str, Sequence[Any]]]] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    results_step: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    started_from: str | None = None


def write_model_card(directory: Path, facts: CardFacts) -> Path:
    """Writes the card into the directory of a model; returns its path.

    Raises:
        InputError: the directory cannot be written.
    """
    path = directory / CARD_FILE
    with atomic_file(path) as unfinished:
        unfinished.write_text("\n".join(_card(facts)) + "\n", encoding="utf-8")
    return path


def _card(facts: CardFacts) -> Iterator[str]:
    yield "---"
    yield yaml.safe_dump(_METADATA, sort_keys=False).strip()
    yield f"{_LICENSE}\n---\n"
    yield f"# {facts.name}\n"
    yield (
        "A ChineseBERT ([Sun et al., ACL 2021](https://arxiv.org/abs/2106.16038)): a masked language model that reads "
        "every Chinese character as a token, by its images in several fonts, and by its pinyin in context.\n"
    )
    yield f"## How to load it\n\n{_LOADING}\n"
    yield "## Sizes\n"
    yield from _table(("", ""), _sizes(facts))
    yield "## Training data\n"
    corpora = [
        (_bare(item.name), f"{item.documents:,}", f"{item.tokens:,}", f"{item.epochs:.2f}") for item in facts.corpora
    ]
    yield from _table(("corpus", "documents", "tokens", "times read"), corpora)
    yield "## Training\n"
    start = "from scratch" if facts.started_from is None else f"from the weights of {_bare(facts.started_from)}"
    yield f"{facts.steps:,} steps {start}; {facts.tokens_seen:,} tokens of text were read.\n"
    yield from _table(("setting", "value"), _settings(facts))
    yield from _results(facts)
    yield "## Made with\n"
    yield from _table(("", ""), [(name, _cell(value)) for name, value in {**facts.versions, **facts.hardware}.items()])
    yield "## Limits\n"
    yield from (f"- {limit}" for limit in _LIMITS)


def _sizes(facts: CardFacts) -> Iterator[tuple[str, str]]:
    config = facts.config
    yield "parameters trained", f"{facts.parameters:,}"
    yield (
        "layers, hidden size, heads",
        f"{config.num_hidden_layers}, {config.hidden_size}, {config.num_attention_heads}",
    )
    yield "longest input", f"{config.max_position_embeddings} tokens"
    yield "vocabulary", f"{config.vocab_size:,} tokens, {config.num_syllables:,} syllables"
    trained = "trained" if config.glyph_trainable else "not trained"
    yield "glyphs", f"{config.num_glyph_fonts} fonts of {config.glyph_size} x {config.glyph_size} pixels, {trained}"


def _settings(facts: CardFacts) -> Iterator[tuple[str, str]]:
    config = facts.config
    # What a recipe leaves open is as the model has it.
    recipe = {**facts.recipe, "pronunciation_loss_weight": config.pronunciation_loss_weight}
    for name in _SHOWN_SETTINGS:
        earlier = [(step, changed[name][0]) for step, changed in facts.changes if name in changed]
        if earlier or _decides(name, recipe):
            until = [f"{_cell(value)} to step {step:,}" for step, value in earlier]
            yield name, ", then ".join([*until, _cell(recipe.get(name))])
    yield "dropout, of attention", f"{config.hidden_dropout_prob}, {config.attention_probs_dropout_prob}"


def _decides(name: str, recipe: Mapping[str, Any]) -> bool:
    """Whether a setting has a part in a run with this recipe."""
    if name == "max_length":  # each phase has its own
        return not recipe.get("phases") and name in recipe
    if name == "batch_size_ramp_steps":
        return bool(recipe.get("batch_size_start"))
    if name == "whole_word_probability":  # the other strategies do not look at it
        return recipe.get("masking_strategy") == "wwm+char" and name in recipe
    return recipe.get(name) not in _NOTHING.get(name, (None,))


def _results(facts: CardFacts) -> Iterator[str]:
    yield "## Results\n"
    shown = [(label, form.format(facts.results[name])) for name, label, form in _RESULTS if name in facts.results]
    if not shown:
        yield "No held-out text was evaluated.\n"
        return
    after = "" if facts.results_step is None else f" after {facts.results_step:,} steps"
    yield f"On held-out text{after}, with masks that are the same for every run:\n"
    yield from _table(("measure", "value"), shown)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|---" * len(header) + "|"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def _bare(name: str) -> str:
    """The last part of a path: where things lie on a machine is not to be published."""
    return Path(name).name or name


def _cell(value: Any) -> str:
    return (
        value
        if isinstance(value, str)
        else yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    )
