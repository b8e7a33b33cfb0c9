"""``BertDataset``: the original's use, tasks and examples of one's own, batches, and the cache of its tokenization."""

import json
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

import chinesebert
from chinesebert import BertDataset, BertMaskDataset, ChineseBertTokenizer
from chinesebert.errors import InputError
from chinesebert.tasks.cache import cached, fingerprint
from chinesebert.tasks.examples import (
    Answer,
    CharacterExample,
    ChoiceExample,
    CorrectionExample,
    ReadingExample,
    Span,
    SpanExample,
    TextExample,
)
from chinesebert.tasks.kinds import KINDS, Encoded, Lengths
from chinesebert.tasks.kinds.classification import Classification
from chinesebert.tasks.kinds.correction import Correction
from chinesebert.tasks.own_examples import as_examples
from tests.small_corpora import flip_bit
from tests.tiny_checkpoints import reference_model, released_state, write_ported, write_released

ROWS = [("很好看", "1"), ("一点也不好看", "0"), ("还行", "1")]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in the released layout."""
    return write_released(tmp_path_factory.mktemp("released") / "model", released_state(reference_model()))


def cache_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


# ------------------------------------------------------------------------------------------------- the original's use


def test_a_sentence_comes_as_ids_and_flat_letters(released: Path) -> None:
    input_ids, pinyin_ids = BertDataset(released).tokenize_sentence("我喜欢猫")
    assert input_ids.dtype == pinyin_ids.dtype == torch.int64
    tokenizer = ChineseBertTokenizer.from_pretrained(released)
    assert input_ids.tolist() == tokenizer("我喜欢猫")["input_ids"]
    assert pinyin_ids.shape == (8 * 6,)
    # Letters count from 6, as in the released table: w is 28, o is 20; the tone comes behind.
    assert pinyin_ids.view(6, 8)[1].tolist() == [28, 20, 3, 0, 0, 0, 0, 0]
    assert not pinyin_ids.view(6, 8)[[0, -1]].any()


def test_the_model_takes_a_sentence_as_it_comes(released: Path) -> None:
    model = chinesebert.ChineseBertModel.from_pretrained(released).eval()
    dataset = BertDataset(str(released))
    input_ids, letters = dataset.tokenize_sentence("我喜欢猫")
    flat = model(input_ids[None], letters[None]).last_hidden_state
    ours = model(**dataset.tokenizer("我喜欢猫", return_tensors="pt")).last_hidden_state
    torch.testing.assert_close(flat, ours)


def test_a_sentence_that_is_too_long_is_refused(released: Path) -> None:
    for dataset in (BertDataset(released, 5), BertDataset(released, max_length=5)):
        with pytest.raises(InputError, match="6 tokens, more than max_length 5"):
            dataset.tokenize_sentence("我喜欢猫")


def test_a_masked_token_has_no_pinyin(released: Path) -> None:
    whole_ids, whole_letters = BertDataset(released).tokenize_sentence("我喜欢猫")
    input_ids, letters = BertMaskDataset(released).mask_sentence("我喜欢猫", location=1)
    expected_ids, expected_letters = whole_ids.clone(), whole_letters.view(-1, 8).clone()
    expected_ids[2] = ChineseBertTokenizer.from_pretrained(released).mask_token_id
    expected_letters[2] = 0
    assert torch.equal(input_ids, expected_ids)
    assert torch.equal(letters, expected_letters.view(-1))


def test_vocabulary_and_tables_may_be_named_as_in_the_original(released: Path) -> None:
    named = BertMaskDataset(str(released / "vocab.txt"), str(released / "config"))
    whole = BertMaskDataset(released)
    for first, second in zip(named.mask_sentence("重庆的银行", 2), whole.mask_sentence("重庆的银行", 2), strict=True):
        assert torch.equal(first, second)


def test_a_port_gives_the_same(released: Path, tmp_path: Path) -> None:
    ported = write_ported(tmp_path / "model", released_state(reference_model()))
    for first, second in zip(
        BertDataset(ported).tokenize_sentence("我喜欢猫"),
        BertDataset(released).tokenize_sentence("我喜欢猫"),
        strict=True,
    ):
        assert torch.equal(first, second)


@pytest.mark.parametrize("location", [-1, 4])
def test_only_tokens_of_the_sentence_are_masked(released: Path, location: int) -> None:
    with pytest.raises(InputError, match=f"location {location}: the sentence has tokens 0 … 3"):
        BertMaskDataset(released).mask_sentence("我喜欢猫", location)


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        BertDataset(tmp_path)
    with pytest.raises(InputError, match=r"pinyin_map\.json"):
        BertMaskDataset(tmp_path / "vocab.txt", tmp_path)


def test_sentences_equal_the_original_implementation(shared: Path) -> None:
    directory = shared / "golden"
    if not (directory / "tokenization.jsonl").exists():
        pytest.skip("the original's tokens are not in the folder of shared data")
    dataset = BertDataset(directory / "tokenizer")
    lines = (directory / "tokenization.jsonl").read_text(encoding="utf-8").split("\n")
    for golden in map(json.loads, lines[:60]):  # test_released.py compares all of them
        input_ids, letters = dataset.tokenize_sentence(golden["text"])
        assert input_ids.tolist() == golden["input_ids"]
        assert letters.view(-1, 8).tolist() == golden["pinyin_ids"]


def test_importing_the_package_loads_no_tasks() -> None:
    code = "import sys, chinesebert; print([m for m in sys.modules if m.startswith(('chinesebert.tasks', 'datasets'))])"
    environment = os.environ | {"CHINESEBERT_WITHOUT_MODELS": "1"}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert shown.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="BertDataSet"):
        _ = chinesebert.BertDataSet  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------- tasks, own examples


def test_a_split_of_a_task_is_read_and_batched(tmp_path: Path, tokenizer: ChineseBertTokenizer) -> None:
    records = [
        {"sentence": "股市今天又涨了", "label": "114", "id": 0},
        {"sentence": "猫", "label": "100", "id": 1},
    ]
    (tmp_path / "train.json").write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    dataset = BertDataset.from_task("tnews", tmp_path, "train", tokenizer)
    assert dataset[0]["input_ids"] == tokenizer("股市今天又涨了")["input_ids"]
    assert dataset[0]["pinyin_ids"] == tokenizer("股市今天又涨了")["pinyin_ids"]
    batch = next(iter(DataLoader(dataset, batch_size=2, collate_fn=dataset.collate)))
    assert batch["input_ids"].shape == batch["pinyin_ids"].shape == (2, 9)
    assert batch["attention_mask"].sum(dim=1).tolist() == [9, 3]
    assert batch["labels"].tolist() == [12, 0]
    with pytest.raises(InputError, match="has no dev file of tnews"):
        BertDataset.from_task("tnews", tmp_path, "dev", tokenizer)


def test_tuples_are_examples(tokenizer: ChineseBertTokenizer) -> None:
    dataset = BertDataset(tokenizer, ROWS, "classification")
    assert dataset.kind.labels == ["0", "1"]
    assert [item["labels"] for item in dataset] == [1, 0, 1]
    given = BertDataset(tokenizer, ROWS, "classification", labels=[1, 0])
    assert [item["labels"] for item in given] == [0, 1, 0]


def test_texts_may_be_longer_than_inputs(tokenizer: ChineseBertTokenizer) -> None:
    dataset = BertDataset(tokenizer, ["很好看" * 10], lengths=Lengths(12))
    assert len(dataset[0]["input_ids"]) == 12
    assert "labels" not in dataset[0]


@pytest.mark.parametrize(
    ("given", "example"),
    [
        ("很好", TextExample(0, "很好")),
        (("很好",), TextExample(0, "很好")),
        (("很好", 1), TextExample(0, "很好", None, "1")),
        (("很好", None), TextExample(0, "很好")),
        (("很好", "不错", 1), TextExample(0, "很好", "不错", "1")),
        (("很好", ["a", "b"]), TextExample(0, "很好", None, ("a", "b"))),
        ({"text": "很好", "label": 1, "id": "x"}, TextExample("x", "很好", None, "1")),
        (("北京很大", [(0, 2, "LOC")]), SpanExample(0, "北京很大", (Span(0, 2, "LOC"),))),
        (("长大", 0, "zhang3"), CharacterExample(0, "长大", 0, "zhang3")),
        (("猫很大", "什么很大", [("猫", 0)]), ReadingExample(0, "猫很大", "什么很大", (Answer("猫", 0),))),
        (("猫很大", "什么很大", ["猫", "狗"], 0), ChoiceExample(0, "猫很大", "什么很大", ("猫", "狗"), 0)),
        (("喜换", "喜欢"), CorrectionExample(0, "喜换", "喜欢")),
    ],
)
def test_strings_tuples_and_dictionaries_become_examples(given: Any, example: Any) -> None:
    assert as_examples([given], type(example)) == [example]
    assert as_examples([example], type(example)) == [example]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sentence": "很好"}, "example 1: .* is no TextExample: .*there is no sentence"),
        ({"label": "1"}, "example 1: .*text"),
        (("a", "b", "c", "d"), "it must have 1 to 3 items"),
        ((5, "1"), "text is 5, not a text"),
        (None, "it must have 1 to 3 items"),
    ],
)
def test_what_is_no_example_is_refused_by_number(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_examples(["很好", given], TextExample)


def test_a_warning_names_labels_that_training_did_not_have(
    tokenizer: ChineseBertTokenizer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("chinesebert"), "propagate", True)
    known = SpanExample(0, "张三在北京", (Span(0, 2, "PER"),), where="dev.txt:1")
    other = SpanExample(1, "李四来了", (Span(0, 2, "NR"),), where="dev.txt:7")
    for kind in ("tagging", "pointers"):
        caplog.clear()
        BertDataset(tokenizer, [known, other], KINDS[kind](["LOC", "PER"]), cache=False)
        [told] = caplog.messages
        assert told.startswith("dev.txt:7: the label 'NR' is none of the training data's (LOC, PER)")
        caplog.clear()
        BertDataset(tokenizer, [known], KINDS[kind](["LOC", "PER"]), cache=False)
        assert not caplog.messages


def test_an_unknown_kind_is_refused(tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="there is no kind classify; there are: classification"):
        BertDataset(tokenizer, ROWS, "classify")


# ------------------------------------------------------------------------------------------------------------- a cache


class Counting(Classification):
    """Counts how often it tokenizes."""

    calls = 0

    def encode(self, *args: Any) -> Encoded:
        type(self).calls += 1
        return super().encode(*args)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    monkeypatch.setattr(Counting, "calls", 0)
    return Counting


def make(tokenizer: ChineseBertTokenizer, kind: Any, folder: Path, **options: Any) -> BertDataset:
    return BertDataset(tokenizer, ROWS, kind, cache_dir=folder, **options)


def test_examples_are_tokenized_once(tokenizer: ChineseBertTokenizer, counting: type[Counting], tmp_path: Path) -> None:
    first = make(tokenizer, counting(["0", "1"]), tmp_path)
    again = make(tokenizer, counting(["0", "1"]), tmp_path)
    plain = make(tokenizer, counting(["0", "1"]), tmp_path, cache=False)
    assert counting.calls == 2  # the last has no cache
    assert [*first] == [*again] == [*plain]
    assert again[-1] == plain[-1]
    assert len(cache_files(tmp_path)) == 1


def test_windows_and_their_places_come_back(tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    rows = [("喜换" * 20, "喜欢" * 20), ("很好", None)]
    made, read = (
        BertDataset(tokenizer, rows, "correction", Lengths(12, 4), cache=cache, cache_dir=tmp_path)
        for cache in (False, True)
    )
    assert [*read] == [*made]
    assert list(read.encoded.offsets) == made.encoded.offsets
    assert read.encoded.offsets[-1] == made.encoded.offsets[-1]
    assert read.encoded.owners == made.encoded.owners
    assert len(cache_files(tmp_path)) == 1


def test_a_cached_data_set_can_be_decoded(tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    BertDataset(tokenizer, [("喜换", None)], "correction", cache_dir=tmp_path)
    kind = Correction()
    dataset = BertDataset(tokenizer, [("喜换", None)], kind, cache_dir=tmp_path)
    scores = torch.zeros(1, 4, len(tokenizer.tokens()))
    scores[0, 2, tokenizer.convert_tokens_to_ids("欢")] = 9
    scores[0, 1, tokenizer.convert_tokens_to_ids("喜")] = 9
    kept = tuple(values.numpy() for values in kind.summarise(scores))
    assert kind.decode(dataset.examples, dataset.encoded, kept) == ["喜欢"]


def test_inputs_of_any_depth_and_with_gaps_come_back(tmp_path: Path) -> None:
    encoded = Encoded([{"input_ids": [[1, 2], [3]], "labels": 1}, {"input_ids": [[4]]}], [0, 1], cut=3)
    for _ in range(2):
        found = cached(tmp_path, "key", lambda: encoded)
        assert (list(found.inputs), found.owners, found.cut) == (encoded.inputs, encoded.owners, 3)
        assert len(found.offsets) == 0
    assert found.inputs is not encoded.inputs
    assert found.inputs[:1] == encoded.inputs[:1]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"where": "elsewhere:7"}, True),
        ({"label": "0"}, False),
        ({"text": "很好 "}, False),
        ({"text_pair": ""}, False),
        ({"id": 1}, False),
    ],
)
def test_the_key_says_what_the_examples_are_not_where_they_lie(
    tokenizer: ChineseBertTokenizer, change: dict[str, Any], same: bool
) -> None:
    fields = {"id": 0, "text": "很好", "text_pair": None, "label": "1", "where": "train.tsv:1"}
    keys = {
        fingerprint([TextExample(**values)], Classification(["0", "1"]), tokenizer, Lengths())  # type: ignore[arg-type]
        for values in (fields, fields | change)
    }
    assert (len(keys) == 1) == same


def test_the_key_depends_on_tokenizer_kind_labels_and_lengths(
    tokenizer: ChineseBertTokenizer, small_tokenizer: ChineseBertTokenizer
) -> None:
    examples = [TextExample(0, "很好", None, "1")]
    kinds = [Classification(["0", "1"]), Classification(["1", "0"]), Counting(["0", "1"])]
    keys = {fingerprint(examples, kind, tokenizer, Lengths()) for kind in kinds}
    keys |= {fingerprint(examples, kinds[0], small_tokenizer, Lengths())}
    keys |= {
        fingerprint(examples, kinds[0], tokenizer, lengths) for lengths in (Lengths(64), Lengths(truncation="tail"))
    }
    assert len(keys) == 6


@pytest.mark.parametrize("how", ["cut", "bit", "empty"])
def test_a_damaged_cache_is_made_anew(
    tokenizer: ChineseBertTokenizer, counting: type[Counting], tmp_path: Path, how: str
) -> None:
    wanted = [*make(tokenizer, counting(["0", "1"]), tmp_path)]
    path = cache_files(tmp_path)[0]
    sound = path.read_bytes()
    if how == "bit":
        flip_bit(path, len(sound) // 2, 3)
    else:
        path.write_bytes(sound[:-40] if how == "cut" else b"")
    assert [*make(tokenizer, counting(["0", "1"]), tmp_path)] == wanted
    assert counting.calls == 2
    assert path.read_bytes() == sound
    assert cache_files(tmp_path) == [path]


def test_several_may_make_the_same_cache_at_once(tmp_path: Path) -> None:
    encoded = Encoded([{"input_ids": [*range(number)]} for number in range(300)], [*range(300)])
    together = threading.Barrier(8)

    def run(_: int) -> list[dict[str, Any]]:
        together.wait()
        return list(cached(tmp_path, "key", lambda: encoded).inputs)

    with ThreadPoolExecutor(8) as pool:
        assert all(found == encoded.inputs for found in pool.map(run, range(8)))
    assert [path.name for path in cache_files(tmp_path)] == ["key.arrow"]


def test_without_a_folder_that_can_be_written_nothing_is_kept(tokenizer: ChineseBertTokenizer, tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder", encoding="utf-8")
    dataset = make(tokenizer, "classification", occupied / "cache")
    assert [item["labels"] for item in dataset] == [1, 0, 1]


def test_inputs_that_cannot_be_kept_are_used_as_they_are(tmp_path: Path) -> None:
    strange = Encoded([{"input_ids": object()}], [0])
    assert cached(tmp_path, "key", lambda: strange) is strange
    assert cache_files(tmp_path) == []


def test_the_environment_says_where_caches_lie(
    tokenizer: ChineseBertTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHINESEBERT_CACHE", str(tmp_path / "set"))
    BertDataset(tokenizer, ROWS)
    assert len(cache_files(tmp_path / "set" / "tasks")) == 1
    monkeypatch.delenv("CHINESEBERT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    BertDataset(tokenizer, ROWS)
    assert len(cache_files(tmp_path / "home" / ".cache" / "chinesebert" / "tasks")) == 1
