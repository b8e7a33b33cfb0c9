"""The card of a model: the hub can read it, its code works, and it gives nothing of the machine away."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM, ChineseBertTokenizer
from chinesebert.training.model_card import CardCorpus, CardFacts, write_model_card

SIZES: dict[str, Any] = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


def facts(**changes: Any) -> CardFacts:
    settings: dict[str, Any] = {
        "name": "my-run",
        "config": ChineseBertConfig(**SIZES),
        "parameters": 1_234_567,
        "steps": 500,
        "tokens_seen": 9_876_543,
        "corpora": [CardCorpus("/home/somebody/corpora/web", 12_000, 3_400_000, 2.9)],
        "recipe": {
            "max_steps": 500,
            "learning_rate": 1e-4,
            "phases": [{"steps": 100, "max_length": 128}],
            "bf16": True,
            "output_dir": "/home/somebody/out",
            "train_data": ["/home/somebody/corpora/web"],
            "glyphs": "/home/somebody/glyphs",
        },
        "results": {"eval_loss": 4.5678, "eval_whole_word_word_accuracy": 0.1234},
        "results_step": 450,
        "versions": {"torch": "2.8.0"},
        "hardware": {"device": "a | b", "ranks": 2},
    }
    return CardFacts(**settings | changes)


def card(directory: Path, **changes: Any) -> str:
    return write_model_card(directory, facts(**changes)).read_text(encoding="utf-8")


def test_the_hub_can_read_the_metadata(tmp_path: Path) -> None:
    _, front, body = card(tmp_path).split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["language"] == ["zh"]
    assert metadata["library_name"] == "transformers"
    assert metadata["pipeline_tag"] == "fill-mask"
    assert "chinesebert" in metadata["tags"]
    assert "license" not in metadata
    assert "# license" in front
    assert body.startswith("\n# my-run\n")


def test_the_hubs_own_reader_takes_the_card(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    write_model_card(tmp_path, facts())
    assert ModelCard.load(tmp_path / "README.md").data.pipeline_tag == "fill-mask"


def test_the_card_says_what_was_done(tmp_path: Path) -> None:
    shown = card(tmp_path)
    for line in (
        "| parameters trained | 1,234,567 |",
        "| web | 12,000 | 3,400,000 | 2.90 |",
        "500 steps from scratch; 9,876,543 tokens of text were read.",
        "| learning_rate | 0.0001 |",
        "| phases | [{max_length: 128, steps: 100}] |",
        "| bf16 | true |",
        "On held-out text after 450 steps",
        "| loss (nats a masked token) | 4.568 |",
        "| masked whole words, all of the word right | 12.3% |",
        "| torch | 2.8.0 |",
        "| device | a \\| b |",
        "| ranks | 2 |",
    ):
        assert line in shown


def test_a_setting_that_was_changed_on_the_way_is_told_with_the_steps(tmp_path: Path) -> None:
    changes = [
        (100, {"learning_rate": [0.002, 0.001], "train_data": ["/home/somebody/a", "/home/somebody/b"]}),
        (1300, {"learning_rate": [0.001, 1e-4], "masking_probability_end": [0.3, None]}),
    ]
    shown = card(tmp_path, changes=changes)
    assert "| learning_rate | 0.002 to step 100, then 0.001 to step 1,300, then 0.0001 |" in shown
    assert "| masking_probability_end | 0.3 to step 1,300, then null |" in shown
    assert "somebody" not in shown


LENGTHS = [{"steps": 100, "max_length": 128}, {"max_length": 512}]
RECIPE: dict[str, Any] = {
    "max_length": 512,
    "phases": None,
    "data_weights": [],
    "batch_size_start": None,
    "batch_size_ramp_steps": 0,
    "masking_strategy": "wwm+char",
    "masking_probability": 0.15,
    "masking_probability_end": None,
    "whole_word_probability": 0.9,
    "pronunciation_loss_weight": None,
    "glyph_learning_rate_scale": 1.0,
    "optim": "adamw_torch",
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "| max_length | 512 |"),
        ({"phases": LENGTHS}, "| phases | [{max_length: 128, steps: 100}, {max_length: 512}] |"),
        ({"data_weights": [1.0, 3.0]}, "| data_weights | [1.0, 3.0] |"),
        ({"batch_size_start": 8, "batch_size_ramp_steps": 50}, "| batch_size_ramp_steps | 50 |"),
        ({"masking_probability_end": 0.3}, "| masking_probability_end | 0.3 |"),
        ({}, "| whole_word_probability | 0.9 |"),
        ({"glyph_learning_rate_scale": 0.1}, "| glyph_learning_rate_scale | 0.1 |"),
        ({}, "| dropout, of attention | 0.1, 0.1 |"),
    ],
    ids=str,
)
def test_what_made_the_model_is_on_the_card(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    assert line in card(tmp_path, recipe=RECIPE | changes).splitlines()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"phases": LENGTHS}, "max_length"),
        ({}, "phases"),
        ({}, "data_weights"),
        ({}, "batch_size_ramp_steps"),
        ({"masking_strategy": "span"}, "whole_word_probability"),
        ({"masking_strategy": "char"}, "whole_word_probability"),
        ({}, "masking_probability_end"),
        ({}, "pronunciation_loss_weight"),
        ({}, "glyph_learning_rate_scale"),
        ({}, "optim"),
    ],
    ids=str,
)
def test_what_had_no_part_in_the_model_is_not_on_the_card(tmp_path: Path, changes: dict[str, Any], name: str) -> None:
    assert f"| {name} |" not in card(tmp_path, recipe=RECIPE | changes)


def test_the_weight_of_the_second_loss_is_that_of_the_model(tmp_path: Path) -> None:
    """A recipe that leaves it open has that of the sizes, or of the model that was begun with."""
    shown = card(tmp_path, recipe=RECIPE, config=ChineseBertConfig(**SIZES, pronunciation_loss_weight=0.5))
    assert "| pronunciation_loss_weight | 0.5 |" in shown


def test_no_path_of_the_machine_is_told(tmp_path: Path) -> None:
    shown = card(tmp_path, started_from="/home/somebody/models/bert-base/")
    assert "somebody" not in shown
    assert "from the weights of bert-base;" in shown


def test_a_run_without_evaluation_says_so(tmp_path: Path) -> None:
    assert "No held-out text was evaluated." in card(tmp_path, results={}, results_step=None)


def test_the_code_of_the_card_works(
    tmp_path: Path,
    small_tokenizer: ChineseBertTokenizer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = ChineseBertConfig(
        **SIZES, vocab_size=len(small_tokenizer.tokens()), num_syllables=len(small_tokenizer.readings.syllables)
    )
    ChineseBertForMaskedLM(config).save_pretrained(tmp_path)
    small_tokenizer.save_pretrained(tmp_path)
    found = re.search(r"```python\n(.*?)```", card(tmp_path), re.DOTALL)
    assert found
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(found[1], names)
    assert names["logits"].shape[-1] == config.vocab_size
    assert "token_str" in capsys.readouterr().out
