"""What a run starts from: new weights, a checkpoint of ours, a released one, a plain BERT; and what does not fit."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, BertForSequenceClassification

from chinesebert.errors import InputError
from chinesebert.glyph import Glyphs
from chinesebert.loading import layout_of
from chinesebert.modeling_chinesebert import (
    ChineseBertForMaskedLM,
    ChineseBertForSequenceClassification,
    ChineseBertModel,
)
from chinesebert.pinyin import Readings
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.starting_point import starting_model
from chinesebert.vocabulary import vocabulary_sha256
from tests import test_warm_start as plain
from tests import tiny_checkpoints
from tests.test_modeling import make_glyphs, make_labels, one_thread, tiny_config  # noqa: F401  (the last: a fixture)

SIZES = {
    "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
LENGTH = 32


def write_sizes(directory: Path, **changes: Any) -> str:
    path = directory / "sizes.json"
    path.write_text(json.dumps(SIZES | changes))
    return str(path)


def write_glyphs(directory: Path, tokens: list[str]) -> str:
    """Noise for images, which says what vocabulary it is for."""
    images = make_glyphs(len(tokens)).images
    sources = np.zeros((len(tokens), 3), dtype=np.int8)
    Glyphs(images, sources, {"vocab_sha256": vocabulary_sha256(tokens)}).save(directory)
    return str(directory)


def glyph_rows(model: Any) -> torch.Tensor:
    rows = model.bert.embeddings.glyph_embeddings.embedding.weight
    assert isinstance(rows, torch.Tensor)
    return rows


def batch(model: Any) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    embeddings = model.bert.embeddings
    size = (2, 8)
    return {
        "input_ids": torch.randint(5, embeddings.vocab_size, size, generator=generator),
        "pinyin_ids": torch.randint(embeddings.num_syllables + 1, size, generator=generator),
    }


@pytest.fixture(scope="module")
def glyphs(small_tokenizer: ChineseBertTokenizer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of images for the small vocabulary."""
    return write_glyphs(tmp_path_factory.mktemp("glyphs"), small_tokenizer.tokens())


@pytest.fixture(scope="module")
def own(small_tokenizer: ChineseBertTokenizer, glyphs: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of ours leaves in ``hf/``."""
    directory = tmp_path_factory.mktemp("run") / "hf"
    torch.manual_seed(0)
    sizes = write_sizes(tmp_path_factory.mktemp("sizes"), initializer_range=0.2)
    starting_model(small_tokenizer, LENGTH, sizes_file=sizes, glyphs=glyphs).save_pretrained(directory)
    small_tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the released layout."""
    state = tiny_checkpoints.released_state(tiny_checkpoints.reference_model())
    return tiny_checkpoints.write_released(tmp_path_factory.mktemp("released") / "tiny", state)


@pytest.fixture(scope="module")
def released_tokenizer(released: Path) -> ChineseBertTokenizer:
    return ChineseBertTokenizer.from_pretrained(released)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain Chinese BERT with a masked-language-model head."""
    directory = tmp_path_factory.mktemp("bert")
    plain.write_safetensors(directory)
    return directory


@pytest.fixture(scope="module")
def bert_tokenizer(bert: Path) -> ChineseBertTokenizer:
    """What ``data_prep corpus --tokenizer vocab.txt`` makes of its vocabulary."""
    return ChineseBertTokenizer.from_vocabulary(bert / "vocab.txt")


@pytest.fixture(scope="module")
def bert_glyphs(bert_tokenizer: ChineseBertTokenizer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_glyphs(tmp_path_factory.mktemp("bert_glyphs"), bert_tokenizer.tokens())


# ---------------------------------------------------------------------------------------------------------- new weights


def test_a_new_model_is_sized_by_its_tokenizer(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer, glyphs: str
) -> None:
    model = starting_model(small_tokenizer, LENGTH, sizes_file=write_sizes(tmp_path), glyphs=glyphs)
    assert model.config.vocab_size == len(small_tokenizer.tokens())
    assert model.config.num_syllables == len(small_tokenizer.readings.syllables)
    spelled = model.bert.embeddings.pinyin_embeddings.letter_ids.numpy()
    assert np.array_equal(spelled, small_tokenizer.readings.letter_ids())
    assert model.training
    assert glyph_rows(model).dtype == torch.uint8


def test_new_weights_are_a_function_of_the_seed(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer, glyphs: str
) -> None:
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model = starting_model(small_tokenizer, LENGTH, sizes_file=write_sizes(tmp_path), glyphs=glyphs)
        weights.append(model.bert.embeddings.map_fc.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_settings_of_a_new_model_are_those_asked_for(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer, glyphs: str
) -> None:
    model = starting_model(
        small_tokenizer,
        LENGTH,
        sizes_file=write_sizes(tmp_path),
        glyphs=glyphs,
        glyph_trainable=True,
        pronunciation_loss_weight=1,
        attention="eager",
    )
    assert glyph_rows(model).requires_grad
    assert model.pronunciation_head is not None
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hiden_size": 3}, "unknown sizes hiden_size"),
        ({"hidden_size": "32"}, r"sizes\.json: no model can be made"),
        ({"hidden_size": 33}, r"sizes\.json: no model can be made"),
        ({"max_position_embeddings": 31}, "max_length 32 is more than the 31 positions"),
        ({"pronunciation_loss_weight": -1}, "pronunciation_loss_weight is -1"),
    ],
)
def test_sizes_that_make_no_model_are_refused(
    tmp_path: Path, small_tokenizer: ChineseBertTokenizer, glyphs: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        starting_model(small_tokenizer, LENGTH, sizes_file=write_sizes(tmp_path, **changes), glyphs=glyphs)


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_sizes_file_is_named(tmp_path: Path, small_tokenizer: ChineseBertTokenizer, content: str) -> None:
    (tmp_path / "sizes.json").write_text(content)
    with pytest.raises(InputError, match=r"sizes\.json"):
        starting_model(small_tokenizer, LENGTH, sizes_file=str(tmp_path / "sizes.json"))


def test_neither_sizes_nor_a_checkpoint_is_refused(small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="how large the model is"):
        starting_model(small_tokenizer, LENGTH)


def test_a_new_model_needs_images_of_its_vocabulary(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="needs glyph images"):
        starting_model(small_tokenizer, LENGTH, sizes_file=write_sizes(tmp_path))
    others = write_glyphs(tmp_path / "glyphs", [*small_tokenizer.tokens(), "多"])
    with pytest.raises(InputError, match="another vocabulary than the corpus"):
        starting_model(small_tokenizer, LENGTH, sizes_file=write_sizes(tmp_path), glyphs=others)


# ------------------------------------------------------------------------------------------------- a checkpoint of ours


@torch.no_grad()
def test_a_checkpoint_of_ours_goes_on_with_its_weights(own: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    model = starting_model(small_tokenizer, LENGTH, init_from=str(own))
    assert model.training
    saved = ChineseBertForMaskedLM.from_pretrained(own)
    for name, value in saved.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_checkpoint_in_half_precision_is_trained_in_full(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    ChineseBertForMaskedLM.from_pretrained(own, dtype=torch.bfloat16).save_pretrained(tmp_path)
    small_tokenizer.save_pretrained(tmp_path)
    model = starting_model(small_tokenizer, LENGTH, init_from=str(tmp_path))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_sizes_that_agree_are_taken_and_dropout_is_theirs(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    sizes = write_sizes(tmp_path, hidden_dropout_prob=0.25)
    model = starting_model(small_tokenizer, LENGTH, init_from=str(own), sizes_file=sizes)
    assert model.config.hidden_dropout_prob == 0.25
    assert model.bert.encoder.layer[0].output.dropout.p == 0.25


def test_sizes_that_contradict_a_checkpoint_are_named(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    sizes = write_sizes(tmp_path, num_hidden_layers=3, intermediate_size=128)
    with pytest.raises(InputError, match="intermediate_size is 128, there 64; num_hidden_layers is 3, there 2"):
        starting_model(small_tokenizer, LENGTH, init_from=str(own), sizes_file=sizes)


def test_rows_longer_than_the_positions_of_a_checkpoint_are_refused(
    own: Path, small_tokenizer: ChineseBertTokenizer
) -> None:
    with pytest.raises(InputError, match=r"max_length 65 is more than the 64 positions of .*hf"):
        starting_model(small_tokenizer, 65, init_from=str(own))


def test_another_vocabulary_is_refused_with_the_way_out(own: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    tokens = small_tokenizer.tokens()
    tokens[500], tokens[501] = tokens[501], tokens[500]
    vocab = {token: number for number, token in enumerate(tokens)}
    corpus = ChineseBertTokenizer(vocab=vocab, readings=small_tokenizer.readings)
    with pytest.raises(InputError, match=rf"id 500 is .* data_prep corpus --tokenizer {own} …"):
        starting_model(corpus, LENGTH, init_from=str(own))
    longer = ChineseBertTokenizer(vocab=small_tokenizer.get_vocab() | {"多多": len(tokens)})
    with pytest.raises(InputError, match="one goes on"):
        starting_model(longer, LENGTH, init_from=str(own))


def other_readings(readings: Readings, **characters: str) -> Readings:
    return Readings({**readings.characters, **characters}, readings.phrases, "others", readings.segmentation)


@torch.no_grad()
def test_other_readings_are_taken_over_and_letters_keep_their_meaning(
    own: Path, small_tokenizer: ChineseBertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    readings = other_readings(small_tokenizer.readings, 我="aaa1")  # a syllable before all others
    corpus = ChineseBertTokenizer(vocab=small_tokenizer.get_vocab(), readings=readings)
    model = starting_model(corpus, LENGTH, init_from=str(own)).eval()
    assert "1 syllables are new to it: aaa1" in caplog.text
    saved = ChineseBertForMaskedLM.from_pretrained(own)
    assert model.config.num_syllables == saved.config.num_syllables + 1
    inputs = batch(saved)
    syllables = ("", *small_tokenizer.readings.syllables)
    number = {syllable: n for n, syllable in enumerate(("", *readings.syllables))}
    renumbered = torch.tensor([[number[syllables[n]] for n in row] for row in inputs["pinyin_ids"].tolist()])
    assert not torch.equal(renumbered, inputs["pinyin_ids"])
    found = model(inputs["input_ids"], renumbered).logits
    torch.testing.assert_close(found, saved(**inputs).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_model_with_other_readings_survives_saving(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    readings = other_readings(small_tokenizer.readings, 我="aaa1")
    corpus = ChineseBertTokenizer(vocab=small_tokenizer.get_vocab(), readings=readings)
    model = starting_model(corpus, LENGTH, init_from=str(own)).eval()
    model.save_pretrained(tmp_path)
    inputs = batch(model)
    assert torch.equal(ChineseBertForMaskedLM.from_pretrained(tmp_path)(**inputs).logits, model(**inputs).logits)


def test_the_head_of_pronunciations_keeps_the_row_of_every_syllable(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    first = starting_model(small_tokenizer, LENGTH, init_from=str(own), pronunciation_loss_weight=0.5)
    first.save_pretrained(tmp_path)
    small_tokenizer.save_pretrained(tmp_path)
    readings = other_readings(small_tokenizer.readings, 我="aaa1")
    corpus = ChineseBertTokenizer(vocab=small_tokenizer.get_vocab(), readings=readings)
    second = starting_model(corpus, LENGTH, init_from=str(tmp_path))
    assert second.config.pronunciation_loss_weight == 0.5  # as it was saved
    one, two = first.pronunciation_head, second.pronunciation_head
    assert one is not None
    assert two is not None
    old, new = (("", *known.syllables) for known in (small_tokenizer.readings, readings))
    places = [new.index(syllable) for syllable in old]
    assert places != list(range(len(old)))
    assert torch.equal(two.weight[places], one.weight)
    assert torch.equal(two.bias[places], one.bias)
    assert two.weight[new.index("aaa1")].isfinite().all()
    assert two.weight.requires_grad


def test_the_head_of_pronunciations_can_be_left_behind(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    model = starting_model(small_tokenizer, LENGTH, init_from=str(own), pronunciation_loss_weight=0.5)
    model.save_pretrained(tmp_path)
    small_tokenizer.save_pretrained(tmp_path)
    without = starting_model(small_tokenizer, LENGTH, init_from=str(tmp_path), pronunciation_loss_weight=0.0)
    assert without.pronunciation_head is None


def test_images_of_another_folder_are_not_taken(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = starting_model(small_tokenizer, LENGTH, init_from=str(own), glyphs=str(tmp_path / "not looked at"))
    assert "has glyph images of its own" in caplog.text
    assert torch.equal(glyph_rows(model), glyph_rows(ChineseBertForMaskedLM.from_pretrained(own)))


@torch.no_grad()
def test_frozen_images_can_be_trained_from_here_on(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    model = starting_model(small_tokenizer, LENGTH, init_from=str(own), glyph_trainable=True).eval()
    frozen = ChineseBertForMaskedLM.from_pretrained(own)
    assert glyph_rows(model).requires_grad
    assert "bert.embeddings.glyph_embeddings.embedding.weight" in dict(model.named_parameters())
    inputs = batch(model)
    torch.testing.assert_close(model(**inputs).logits, frozen(**inputs).logits, atol=1e-6, rtol=1e-6)
    model.save_pretrained(tmp_path)
    assert torch.equal(glyph_rows(ChineseBertForMaskedLM.from_pretrained(tmp_path)), glyph_rows(model))


def test_a_folded_checkpoint_is_refused(own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    ChineseBertForMaskedLM.from_pretrained(own, folded=True).save_pretrained(tmp_path)
    small_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="was saved folded"):
        starting_model(small_tokenizer, LENGTH, init_from=str(tmp_path))


def test_the_folder_of_a_run_names_the_model_in_it(own: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match=f"the model is in {own}: give that"):
        starting_model(small_tokenizer, LENGTH, init_from=str(own.parent))


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_a_model_is_refused(
    exists: bool, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    folder = tmp_path if exists else tmp_path / "none"
    with pytest.raises(InputError, match="has no config.json" if exists else "there is no such folder"):
        starting_model(small_tokenizer, LENGTH, init_from=str(folder))


@pytest.mark.parametrize("name", ["./model", "runs/demo/hf", "model/", "~/model", "a--b", "我的模型", "model.git"])
def test_what_can_be_no_name_on_the_hub_is_not_asked_for(
    name: str, small_tokenizer: ChineseBertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        InputError, match=r": there is no such folder; a run can begin with .*OUT/checkpoint-N/hf"
    ) as found:
        starting_model(small_tokenizer, LENGTH, init_from=name)
    assert str(found.value).startswith(f"{name}: ")
    assert "asking" not in caplog.text


def test_a_file_is_no_folder_to_begin_with(tmp_path: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"model\.safetensors: is a file; a run can begin with"):
        starting_model(small_tokenizer, LENGTH, init_from=str(tmp_path / "model.safetensors"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[BaseHTTPRequestHandler]]:
    """A hub on this machine that has nothing; its ``status`` and ``code`` are how it says so."""

    class Hub(BaseHTTPRequestHandler):
        status, code = 404, "RepoNotFound"

        def do_HEAD(self) -> None:
            self.send_response(self.status)
            self.send_header("X-Error-Code", self.code)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        pages = f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", pages)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Hub
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (404, "RepoNotFound", "has no such repository"),
        (403, "GatedRepo", "only to those who have asked for it"),
        (404, "EntryNotFound", "the repository of this name on the Hugging Face hub has no config.json"),
    ],
    ids=["no repository", "gated", "no config"],
)
def test_what_the_hub_does_not_have_is_told_with_why(
    hub: Any, small_tokenizer: ChineseBertTokenizer, status: int, code: str, answer: str
) -> None:
    hub.status, hub.code = status, code
    with pytest.raises(
        InputError, match=f"^runs/model: there is no such folder here, and .*{answer}.*; a run can begin"
    ):
        starting_model(small_tokenizer, LENGTH, init_from="runs/model")


def test_a_hub_that_cannot_be_reached_is_told_beside_the_folder(
    monkeypatch: pytest.MonkeyPatch, small_tokenizer: ChineseBertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # without it, it is asked for half a minute
    with pytest.raises(InputError, match=r"^runs/model: there is no such folder here, and .* could not be reached"):
        starting_model(small_tokenizer, LENGTH, init_from="runs/model")
    assert "asking the Hugging Face hub" in caplog.text


@pytest.mark.parametrize("kind", [ChineseBertModel, ChineseBertForSequenceClassification])
def test_a_checkpoint_without_a_head_for_masked_tokens_begins_one_and_says_so(
    kind: Any, own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind.from_pretrained(own).save_pretrained(tmp_path)
    small_tokenizer.save_pretrained(tmp_path)
    model = starting_model(small_tokenizer, LENGTH, init_from=str(tmp_path))
    assert "has no head for masked tokens" in caplog.text
    saved = ChineseBertForMaskedLM.from_pretrained(own)
    assert torch.equal(model.bert.embeddings.map_fc.weight, saved.bert.embeddings.map_fc.weight)


def test_a_checkpoint_that_lost_a_layer_is_refused(
    own: Path, small_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    saved = ChineseBertForMaskedLM.from_pretrained(own)
    state = {name: value for name, value in saved.state_dict().items() if ".layer.1." not in name}
    saved.save_pretrained(tmp_path, state_dict=state)
    small_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="tensors of the encoder"):
        starting_model(small_tokenizer, LENGTH, init_from=str(tmp_path))


def test_an_attention_that_is_not_there_is_refused(own: Path, small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="cannot be loaded with these settings"):
        starting_model(small_tokenizer, LENGTH, init_from=str(own), attention="no_such_attention")


# ------------------------------------------------------------------------------------------------ a released checkpoint


@torch.no_grad()
def test_a_released_checkpoint_goes_on_with_its_weights(
    released: Path, released_tokenizer: ChineseBertTokenizer
) -> None:
    model = starting_model(released_tokenizer, LENGTH, init_from=str(released)).eval()
    wanted = ChineseBertForMaskedLM.from_pretrained(released)
    inputs = batch(model)
    assert torch.equal(model(**inputs).logits, wanted(**inputs).logits)
    assert not any(parameter.requires_grad for parameter in model.bert.pooler.parameters())


@pytest.mark.parametrize("trainable", [None, True, False])
def test_glyph_rows_of_a_released_checkpoint_stay_floats_trained_or_frozen(
    trainable: bool | None, released: Path, released_tokenizer: ChineseBertTokenizer
) -> None:
    model = starting_model(released_tokenizer, LENGTH, init_from=str(released), glyph_trainable=trainable)
    rows = glyph_rows(model)
    assert rows.is_floating_point()
    assert rows.requires_grad == (trainable is not False)
    labels = make_labels(2, 8, share=0.5) % len(tiny_checkpoints.VOCABULARY)
    model(**batch(model), labels=labels).loss.backward()
    assert (rows.grad is not None) == (trainable is not False)


def test_a_converted_checkpoint_can_be_given_too(
    released: Path, released_tokenizer: ChineseBertTokenizer, tmp_path: Path
) -> None:
    ChineseBertForMaskedLM.from_pretrained(released).save_pretrained(tmp_path)
    released_tokenizer.save_pretrained(tmp_path)
    corpus = ChineseBertTokenizer.from_directory(tmp_path)  # as a corpus that was prepared with it has it
    for source in (released, tmp_path):
        model = starting_model(corpus, LENGTH, init_from=str(source))
        assert torch.equal(glyph_rows(model), glyph_rows(ChineseBertForMaskedLM.from_pretrained(released)))


def test_a_corpus_that_spells_the_neutral_tone_otherwise_is_refused_with_the_way_out(
    released: Path, released_tokenizer: ChineseBertTokenizer
) -> None:
    corpus = ChineseBertTokenizer(vocab=released_tokenizer.get_vocab(), readings=Readings.from_pypinyin())
    with pytest.raises(InputError, match=rf"de for de5.*chinesebert\.released convert {released} CONVERTED"):
        starting_model(corpus, LENGTH, init_from=str(released))


# --------------------------------------------------------------------------------------------------------- a plain BERT


@torch.no_grad()
def test_a_plain_bert_is_a_warm_start_with_images(
    bert: Path, bert_tokenizer: ChineseBertTokenizer, bert_glyphs: str
) -> None:
    model = starting_model(bert_tokenizer, LENGTH, init_from=str(bert), glyphs=bert_glyphs).eval()
    inputs = batch(model)
    wanted = BertForMaskedLM.from_pretrained(bert)(inputs["input_ids"]).logits
    torch.testing.assert_close(model(**inputs).logits, wanted, atol=1e-5, rtol=1e-5)
    assert glyph_rows(model).any()
    assert glyph_rows(model).dtype == torch.uint8


def test_the_images_of_a_plain_bert_can_be_trained(
    bert: Path, bert_tokenizer: ChineseBertTokenizer, bert_glyphs: str
) -> None:
    model = starting_model(
        bert_tokenizer, LENGTH, init_from=str(bert), glyphs=bert_glyphs, glyph_trainable=True, attention="eager"
    )
    assert glyph_rows(model).requires_grad
    assert float(glyph_rows(model).detach().max()) == 1
    assert model.config._attn_implementation == "eager"


def test_a_plain_bert_counts_syllables_as_the_corpus_does(
    bert: Path, bert_tokenizer: ChineseBertTokenizer, bert_glyphs: str
) -> None:
    readings = Readings({"我": "wo3", "的": "de"}, {}, "few")
    corpus = ChineseBertTokenizer(vocab=bert_tokenizer.get_vocab(), readings=readings)
    model = starting_model(corpus, LENGTH, init_from=str(bert), glyphs=bert_glyphs, pronunciation_loss_weight=0.5)
    assert model.config.num_syllables == 2
    assert np.array_equal(model.bert.embeddings.pinyin_embeddings.letter_ids, readings.letter_ids())
    assert model.pronunciation_head is not None
    assert model.pronunciation_head.out_features == 3


def test_a_plain_bert_without_images_is_refused_with_the_way_out(
    bert: Path, bert_tokenizer: ChineseBertTokenizer
) -> None:
    with pytest.raises(InputError, match=rf"data_prep glyphs --vocab {bert}/vocab\.txt"):
        starting_model(bert_tokenizer, LENGTH, init_from=str(bert))


def test_a_corpus_of_our_vocabulary_does_not_fit_a_plain_bert(
    bert: Path, small_tokenizer: ChineseBertTokenizer, glyphs: str
) -> None:
    with pytest.raises(InputError, match=rf"corpus --tokenizer {bert}/vocab\.txt"):
        starting_model(small_tokenizer, LENGTH, init_from=str(bert), glyphs=glyphs)


@pytest.mark.parametrize("write", [plain.write_encoder, lambda path: classifier(path)])
def test_a_plain_bert_without_a_head_for_masked_tokens_begins_one_and_says_so(
    write: Any,
    tmp_path: Path,
    bert_tokenizer: ChineseBertTokenizer,
    bert_glyphs: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path)
    model = starting_model(bert_tokenizer, LENGTH, init_from=str(tmp_path), glyphs=bert_glyphs)
    assert "has no head for masked tokens" in caplog.text
    assert model.cls.predictions.transform.dense.weight.isfinite().all()


def classifier(directory: Path) -> None:
    plain.new_bert(BertForSequenceClassification).save_pretrained(directory)
    plain.write_vocabulary(directory)


def test_a_plain_bert_that_lost_a_layer_is_refused(
    tmp_path: Path, bert: Path, bert_tokenizer: ChineseBertTokenizer, bert_glyphs: str
) -> None:
    shutil.copytree(bert, tmp_path / "bert")
    config = json.loads((bert / "config.json").read_text())
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(InputError, match="tensors of the encoder"):
        starting_model(bert_tokenizer, LENGTH, init_from=str(tmp_path / "bert"), glyphs=bert_glyphs)


# -------------------------------------------------------------------------------------------------------------- layouts


def test_every_layout_is_recognised(own: Path, released: Path, bert: Path) -> None:
    assert [layout_of(source) for source in (own, released, bert)] == ["own", "released", "bert"]


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(InputError, match="'gpt2' model"):
        layout_of(tmp_path)


def test_character_tables_of_a_smaller_model_are_not_set(small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="the tokenizer has"):
        ChineseBertModel(tiny_config()).set_readings(small_tokenizer)
