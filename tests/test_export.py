"""Exports: folded, self-contained, ONNX; each read back by what it is for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from chinesebert import ChineseBertForMaskedLM, ChineseBertTokenizer
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.export import ONNX_FILE, main
from chinesebert.modeling_chinesebert import MODEL_CLASSES

TEXTS = ["重庆的银行很重要。", "我喜欢music"]

# Loads a directory where neither this package nor what its tokenizer prefers can be imported.
READ_ALONE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("chinesebert", "pypinyin", "ahocorasick_rs"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

directory, texts, output = sys.argv[1], sys.argv[3:], sys.argv[2]
tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
inputs = tokenizer(texts, padding=True, return_tensors="pt")
model = AutoModelForMaskedLM.from_pretrained(directory, trust_remote_code=True)
folded = AutoModelForMaskedLM.from_pretrained(directory, trust_remote_code=True, folded=True)
labels = AutoModelForSequenceClassification.from_pretrained(directory, trust_remote_code=True, num_labels=3)
with torch.no_grad():
    torch.save([dict(inputs), model(**inputs).logits, folded(**inputs).logits, labels(**inputs).logits], output)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    """A directory with a small model, as ``save_pretrained`` writes it."""
    directory = tmp_path_factory.mktemp("saved")
    make_model(ChineseBertForMaskedLM, small_tokenizer).save_pretrained(directory)
    small_tokenizer.save_pretrained(directory)
    return directory


def make_model(kind: type, tokenizer: ChineseBertTokenizer) -> torch.nn.Module:
    torch.manual_seed(0)
    config = ChineseBertConfig(
        vocab_size=len(tokenizer.tokens()),
        num_syllables=len(tokenizer.readings.syllables),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.2,
    )
    model = kind(config).eval()
    embeddings = model.base_model.embeddings
    embeddings.glyph_embeddings.embedding.weight.random_(0, 256)
    embeddings.pinyin_embeddings.letter_ids.copy_(torch.from_numpy(tokenizer.readings.letter_ids()))
    return model


def run_alone(directory: Path, tmp_path: Path) -> list:
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", READ_ALONE, str(directory), str(tmp_path / "outputs.pt"), *TEXTS]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    return torch.load(tmp_path / "outputs.pt")


def test_a_self_contained_directory_works_without_this_package(saved: Path, tmp_path: Path) -> None:
    assert main(["self-contained", str(saved), str(tmp_path / "alone")]) == 0
    inputs, logits, folded, labels = run_alone(tmp_path / "alone", tmp_path)

    wanted = ChineseBertTokenizer.from_pretrained(saved)(TEXTS, padding=True, return_tensors="pt")
    for name, value in wanted.items():
        assert torch.equal(inputs[name], value), name
    with torch.no_grad():
        torch.testing.assert_close(logits, ChineseBertForMaskedLM.from_pretrained(saved)(**wanted).logits)
    torch.testing.assert_close(folded, logits, atol=1e-5, rtol=1e-5)
    assert labels.shape == (2, 3)


def test_a_self_contained_directory_names_a_class_for_every_task(saved: Path, tmp_path: Path) -> None:
    assert main(["self-contained", str(saved), str(tmp_path / "alone")]) == 0
    classes = json.loads((tmp_path / "alone" / "config.json").read_text())["auto_map"]
    names = {name.rsplit(".", 1)[-1] for name in classes.values()}
    assert names == {kind.__name__ for kind in MODEL_CLASSES} | {"ChineseBertConfig"}
    assert classes["AutoModelForMaskedLM"] == "modeling_chinesebert.ChineseBertForMaskedLM"


def test_a_folded_directory_gives_the_same_outputs_and_is_smaller(saved: Path, tmp_path: Path) -> None:
    assert main(["folded", str(saved), str(tmp_path / "folded")]) == 0
    tokenizer = ChineseBertTokenizer.from_pretrained(tmp_path / "folded")
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        folded = ChineseBertForMaskedLM.from_pretrained(tmp_path / "folded")(**inputs).logits
        torch.testing.assert_close(
            folded, ChineseBertForMaskedLM.from_pretrained(saved)(**inputs).logits, atol=1e-5, rtol=1e-5
        )
    sizes = [(path / "model.safetensors").stat().st_size for path in (tmp_path / "folded", saved)]
    assert sizes[0] < sizes[1]


def marked(kind: type) -> object:
    """Kinds are slow to export (10 s each) and differ little; the fast tests have one."""
    return pytest.param(kind, id=kind.__name__, marks=() if kind is ChineseBertForMaskedLM else pytest.mark.slow)


@pytest.mark.parametrize("kind", map(marked, MODEL_CLASSES))
def test_onnxruntime_gives_the_outputs_of_the_model(
    kind: type, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = make_model(kind, small_tokenizer)
    model.save_pretrained(tmp_path / "model")
    small_tokenizer.save_pretrained(tmp_path / "model")
    assert main(["onnx", str(tmp_path / "model"), str(tmp_path / "onnx")]) == 0

    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / ONNX_FILE))
    inputs = small_tokenizer(TEXTS, padding=True, return_tensors="np")
    feed = {name: value[:, None] if "Choice" in kind.__name__ else value for name, value in inputs.items()}
    found = session.run(None, feed)
    with torch.no_grad():
        wanted = model(**{name: torch.from_numpy(value) for name, value in feed.items()}).to_tuple()
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two.numpy(), atol=1e-5, rtol=1e-4)


def test_a_missing_model_is_one_line_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["folded", str(tmp_path / "missing"), str(tmp_path / "out")]) == 2
    assert str(tmp_path / "missing") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_kept(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["folded", str(saved), str(tmp_path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
