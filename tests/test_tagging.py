"""Texts with spans as tags of their characters: inputs, windows, decoding, and runs."""

import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import pipeline

from chinesebert.errors import InputError
from chinesebert.tasks.examples import Span, SpanExample
from chinesebert.tasks.kinds import KINDS, Lengths
from chinesebert.tasks.kinds.characters import CharacterEncoder, windows
from chinesebert.tasks.kinds.tagging import Segmentation, Tagging, best_tags, longest, well_formed
from chinesebert.tasks.kinds.tagging import tagged as spans_of_tags
from chinesebert.tasks.segmented import word_spans
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from tests.finetuning_models import write_tiny_model
from tests.finetuning_runs import read_records, write, write_records
from tests.span_runs import inked, learn, scores_of_labels, spans, tagged

MIXED = "ＡI芯片2024年\t卖了 3.5万枚😀\ue000，銀行長𠮷野家é"  # \ue000 is in no vocabulary


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> Path:
    """A pretrained model, tiny."""
    return write_tiny_model(tmp_path_factory.mktemp("model"), small_tokenizer)


def inputs_of(text: str, tokenizer: ChineseBertTokenizer, **lengths: int) -> list[dict[str, Any]]:
    characters = CharacterEncoder(tokenizer, Lengths(**lengths))
    return [item for _, item, _ in characters.inputs(characters.tokens(text))]


# ---------------------------------------------------------------------------------------------------------- characters


def test_chinese_text_is_read_as_the_tokenizer_reads_it(small_tokenizer: ChineseBertTokenizer) -> None:
    text = "重庆银行的行长很重要"
    wanted = small_tokenizer(text)
    assert inputs_of(text, small_tokenizer) == [{name: wanted[name] for name in ("input_ids", "pinyin_ids")}]


def test_every_character_but_white_space_is_a_token_whatever_it_is(tokenizer: ChineseBertTokenizer) -> None:
    (item,) = inputs_of(MIXED, tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(item["input_ids"])
    written = "".join(MIXED.split())
    assert len(tokens) == len(item["pinyin_ids"])
    read = dict(zip(written.replace("\ue000", ""), tokens[1:-1], strict=True))
    assert (read["I"], read["2"], read["片"], read["é"]) == ("i", "2", "片", "e")


def test_texts_with_spaces_are_read_as_the_model_was_pretrained(small_tokenizer: ChineseBertTokenizer) -> None:
    assert inputs_of("重庆 银行\u3000行长\t", small_tokenizer) == inputs_of("重庆银行行长", small_tokenizer)
    assert inputs_of(" 我\n", small_tokenizer)[0]["input_ids"] == small_tokenizer(" 我\n")["input_ids"]


def test_a_span_goes_over_the_spaces_inside_of_it(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Tagging(["PER", "LOC"])
    example = SpanExample(0, " 张 三 在 北京", spans((1, 4, "PER"), (7, 9, "LOC")))
    encoded = kind.encode([example], small_tokenizer, Lengths())
    assert encoded.inputs[0]["labels"] == [-100, 1, 2, 0, 3, 4, -100]
    assert kind.decode([example], encoded, scores_of_labels(kind, encoded)) == [example.spans]


def test_a_window_reads_its_characters_in_the_context_of_the_whole_text(small_tokenizer: ChineseBertTokenizer) -> None:
    text = "他在银行"  # 行 is háng in 银行 and xíng by itself
    whole = inputs_of(text, small_tokenizer)[0]["pinyin_ids"]
    last = inputs_of(text, small_tokenizer, max_seq_length=3, doc_stride=0)[-1]
    assert last["pinyin_ids"][1] == whole[4] != small_tokenizer("行")["pinyin_ids"][1]


def test_an_empty_text_is_an_input_without_characters(small_tokenizer: ChineseBertTokenizer) -> None:
    ends = [small_tokenizer.cls_token_id, small_tokenizer.sep_token_id]
    assert inputs_of("", small_tokenizer) == [{"input_ids": ends, "pinyin_ids": [0, 0]}]


def test_inputs_without_room_for_a_character_are_refused(small_tokenizer: ChineseBertTokenizer) -> None:
    with pytest.raises(InputError, match="max_seq_length is 2: it must be at least 3"):
        CharacterEncoder(small_tokenizer, Lengths(max_seq_length=2))


# ------------------------------------------------------------------------------------------------------------- windows


@given(st.integers(0, 80), st.integers(1, 20), st.integers(0, 30))
def test_every_character_counts_in_the_one_window_where_it_has_most_context(
    length: int, size: int, shared: int
) -> None:
    cut = windows(length, size, shared)
    counted = [place for window in cut for place in range(window.first, window.last)]
    assert counted == list(range(length))
    for window in cut:
        assert window.end - window.start <= size
        for place in range(window.first, window.last):
            contexts = [min(place - w.start, w.end - 1 - place) for w in cut if w.start <= place < w.end]
            assert min(place - window.start, window.end - 1 - place) == max(contexts)


@given(st.integers(21, 80), st.integers(2, 20), st.integers(0, 30))
def test_neighbouring_windows_share_what_they_are_told_to(length: int, size: int, shared: int) -> None:
    cut = windows(length, size, shared)
    for earlier, later in itertools.pairwise(cut):
        assert earlier.end - later.start >= min(shared, size // 2)
        assert later.start > earlier.start


def test_a_text_that_fits_is_one_window() -> None:
    assert len(windows(10, 10, 5)) == 1
    assert [(window.start, window.end) for window in windows(11, 10, 5)] == [(0, 10), (1, 11)]


# ---------------------------------------------------------------------------------------------------------------- tags


def test_the_head_says_b_and_i_of_each_label() -> None:
    assert Tagging(["PER", "LOC"]).output_names() == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    assert KINDS["tagging"] is Tagging and KINDS["segmentation"] is Segmentation


def test_tags_of_spans(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Tagging(["PER", "LOC"])
    example = SpanExample(0, "张三李四在北京", spans((0, 2, "PER"), (2, 4, "PER"), (5, 7, "LOC")))
    (item,) = kind.encode([example], small_tokenizer, Lengths()).inputs
    assert item["labels"] == [-100, 1, 2, 1, 2, 0, 3, 4, -100]


def test_texts_without_spans_and_texts_whose_spans_nobody_knows_differ(small_tokenizer: ChineseBertTokenizer) -> None:
    encoded = Tagging(["PER"]).encode([SpanExample(0, "你好", ()), SpanExample(1, "你好")], small_tokenizer, Lengths())
    assert encoded.inputs[0]["labels"] == [-100, 0, 0, -100]
    assert "labels" not in encoded.inputs[1]


def test_a_label_that_training_did_not_have_is_not_learned_but_is_missed(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Tagging(["PER"])
    example = SpanExample(0, "张三", spans((0, 2, "GPE")))
    encoded = kind.encode([example], small_tokenizer, Lengths())
    assert encoded.inputs[0]["labels"] == [-100, 0, 0, -100]
    assert kind.score([example], [()])["recall"] == 0.0


def test_each_character_is_learned_in_one_window(small_tokenizer: ChineseBertTokenizer) -> None:
    text = "张三在北京和李四在重庆见了面"
    example = SpanExample(0, text, spans((3, 5, "LOC")))
    encoded = Tagging(["LOC"]).encode([example], small_tokenizer, Lengths(max_seq_length=8, doc_stride=3))
    assert len(encoded.inputs) > 2 and set(encoded.owners) == {0}
    assert sum(label != -100 for item in encoded.inputs for label in item["labels"]) == len(text)


def test_of_spans_inside_one_another_the_longest_is_learned(
    small_tokenizer: ChineseBertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    kind = Tagging(["book", "company"])
    example = SpanExample(0, "《某银行传》好看", spans((0, 6, "book"), (1, 4, "company")))
    with caplog.at_level(logging.WARNING):
        encoded = kind.encode([example], small_tokenizer, Lengths())
    assert "1 of the spans overlap a longer one" in caplog.text
    assert kind.decode([example], encoded, scores_of_labels(kind, encoded)) == [spans((0, 6, "book"))]
    assert kind.truth(example) == example.spans


def test_nothing_is_said_about_spans_that_touch(
    small_tokenizer: ChineseBertTokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    Tagging(["PER"]).encode(
        [SpanExample(0, "张三李四", spans((0, 2, "PER"), (2, 4, "PER")))], small_tokenizer, Lengths()
    )
    assert not caplog.records


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, tuple[Span, ...]]:
    text = draw(st.text(alphabet="张三在北京 aé１\u3000😀", max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=10)))
    labels = draw(st.lists(st.sampled_from(["PER", "LOC", ""]), min_size=len(cuts), max_size=len(cuts)))
    pieces = zip(itertools.pairwise(cuts), labels, strict=False)
    return text, spans(*((start, end, label) for (start, end), label in pieces if label))


@given(st.lists(texts_with_spans(), min_size=1, max_size=3), st.integers(3, 20), st.integers(0, 12))
@settings(max_examples=60)
def test_spans_come_back_from_right_scores_whatever_the_windows(
    small_tokenizer: ChineseBertTokenizer, texts: list[tuple[str, tuple[Span, ...]]], size: int, shared: int
) -> None:
    kind = Tagging(["PER", "LOC"])
    examples = [SpanExample(number, text, found) for number, (text, found) in enumerate(texts)]
    encoded = kind.encode(examples, small_tokenizer, Lengths(max_seq_length=size, doc_stride=shared))
    assert kind.decode(examples, encoded, scores_of_labels(kind, encoded)) == [inked(*each) for each in texts]


@given(st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), min_size=1, max_size=4))
@settings(max_examples=40)
def test_the_best_well_formed_sequence_of_tags_is_found(rows: list[list[int]]) -> None:
    scores = np.array(rows, dtype=np.float32)
    found = best_tags(scores)
    assert well_formed(found)
    candidates = (np.array(tags) for tags in itertools.product(range(5), repeat=len(rows)))
    best = max(scores[range(len(rows)), tags].sum() for tags in candidates if well_formed(tags))
    assert scores[range(len(rows)), found].sum() == best


def test_an_i_alone_becomes_a_span_or_none_by_its_score() -> None:
    likely, unlikely = [0.0, 3.0, 4.0], [4.0, 0.0, 5.0]  # O, B, I
    assert best_tags(np.array([likely, [0.0, 0.0, 4.0]])).tolist() == [1, 2]
    assert best_tags(np.array([unlikely, [4.0, 0.0, 0.0]])).tolist() == [0, 0]


def test_sequences_that_are_no_tags_of_spans_are_told_apart() -> None:
    for tags in ([2], [0, 2], [1, 4], [3, 4, 2]):
        assert not well_formed(np.array(tags))
    for tags in ([], [0], [1, 2, 2, 0], [1, 1, 2], [1, 3, 4]):
        assert well_formed(np.array(tags, dtype=np.int64))


def test_spans_of_tags_end_where_another_begins() -> None:
    assert spans_of_tags(np.array([1, 2, 1, 3, 4, 0])) == [(0, 2, 0), (2, 3, 0), (3, 5, 1)]


def test_the_longest_of_spans_that_overlap_stays() -> None:
    found = spans((0, 2, "A"), (1, 4, "B"), (3, 5, "C"), (6, 7, "D"))
    assert longest(found) == [Span(1, 4, "B"), Span(6, 7, "D")]


def test_a_record_names_what_spans_cover() -> None:
    example = SpanExample("x1", "张三在 北京", spans((0, 2, "PER")))
    assert Tagging(["PER"]).record(example, spans((4, 6, "LOC"))) == {
        "id": "x1",
        "prediction": [{"start": 4, "end": 6, "label": "LOC", "text": "北京"}],
        "label": [{"start": 0, "end": 2, "label": "PER", "text": "张三"}],
    }
    assert "label" not in Tagging(["PER"]).record(SpanExample(0, "张三"), ())


def test_a_batch_is_padded_and_labelled_if_all_texts_are(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Tagging(["PER"])
    examples = [SpanExample(0, "张三来了", spans((0, 2, "PER"))), SpanExample(1, "好", ()), SpanExample(2, "好")]
    inputs = kind.encode(examples, small_tokenizer, Lengths()).inputs
    batch = kind.collate(inputs[:2])
    assert batch["labels"].tolist() == [[-100, 1, 2, 0, 0, -100], [-100, 0, -100, -100, -100, -100]]
    assert batch["attention_mask"].sum(1).tolist() == [6, 3]
    assert "labels" not in kind.collate(inputs)


# --------------------------------------------------------------------------------------------------------------- words


@given(st.lists(st.text(alphabet="我们在银行a1", min_size=1, max_size=6), max_size=12), st.integers(3, 20))
@settings(max_examples=40)
def test_words_come_back_from_right_scores(small_tokenizer: ChineseBertTokenizer, words: list[str], size: int) -> None:
    kind = Segmentation(["WORD"])
    example = SpanExample(0, "".join(words), word_spans(words))
    encoded = kind.encode([example], small_tokenizer, Lengths(max_seq_length=size, doc_stride=2))
    assert kind.decode([example], encoded, scores_of_labels(kind, encoded)) == [word_spans(words)]


def test_white_space_belongs_to_no_word() -> None:
    kind = Segmentation(["WORD"])
    all_of_one_word = kind.spans(np.array([[0.0, 1.0]] * 5))
    found = kind.placed("我们 去\u3000银行", all_of_one_word, [0, 1, 3, 5, 6])
    assert [(span.start, span.end) for span in found] == [(0, 2), (3, 4), (5, 7)]
    assert kind.record(SpanExample(0, "我们 去\u3000银行"), found)["prediction"] == ["我们", "去", "银行"]


def test_an_empty_text_has_no_words() -> None:
    kind = Segmentation(["WORD"])
    assert kind.placed("", kind.spans(np.zeros((0, 2))), []) == ()


def test_a_character_that_is_read_over_stays_in_its_word(small_tokenizer: ChineseBertTokenizer) -> None:
    kind = Segmentation(["WORD"])
    example = SpanExample(0, "我们\u200b去", word_spans(["我们\u200b", "去"]))
    encoded = kind.encode([example], small_tokenizer, Lengths())
    assert len(encoded.inputs[0]["input_ids"]) == 5
    assert kind.decode([example], encoded, scores_of_labels(kind, encoded)) == [example.spans]


# ---------------------------------------------------------------------------------------------------------------- runs

PEOPLE, PLACES = ("王芳", "李大力", "赵明"), ("北京", "重庆市", "河边")


def cluener_records() -> list[dict[str, Any]]:
    """Nine sentences: who is where."""
    return [
        {
            "text": f"{who}昨天在{where}",
            "label": {
                "name": {who: [[0, len(who) - 1]]},
                "address": {where: [[len(who) + 3, len(who) + len(where) + 2]]},
            },
        }
        for who in PEOPLE
        for where in PLACES
    ]


@pytest.fixture(scope="module")
def cluener_run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A directory with a model fine-tuned on nine sentences, and its figures."""
    torch.set_num_threads(1)
    data, output = tmp_path_factory.mktemp("cluener"), tmp_path_factory.mktemp("run") / "out"
    for split in ("train", "dev"):
        write_records(data / f"{split}.json", cluener_records())
    test = [{"id": number, "text": record["text"]} for number, record in enumerate(cluener_records())]
    write_records(data / "test.json", test)
    return output, learn("clue", "cluener", model, data, output)


def test_a_model_learns_names(cluener_run: tuple[Path, dict[str, Any]]) -> None:
    figures = cluener_run[1]["dev"]
    assert figures["f1"] > 0.9 and figures["macro_f1"] > 0.9 and figures["f1_name"] > 0.9
    assert (figures["examples"], figures["inputs"], figures["cut"]) == (9, 9, 0)


def test_the_submission_of_cluener_is_as_its_training_data(cluener_run: tuple[Path, dict[str, Any]]) -> None:
    lines = read_records(cluener_run[0] / "cluener_predict.json")
    assert [line["id"] for line in lines] == list(range(9))
    for line, record in zip(lines, cluener_records(), strict=True):
        for mentions in line["label"].values():
            for mention, places in mentions.items():
                assert all(record["text"][start : end + 1] == mention for start, end in places)
    right = sum(line["label"] == record["label"] for line, record in zip(lines, cluener_records(), strict=True))
    assert right >= 7


def test_the_fine_tuned_directory_works_with_the_pipeline_of_transformers(
    cluener_run: tuple[Path, dict[str, Any]],
) -> None:
    find = pipeline("token-classification", str(cluener_run[0]), aggregation_strategy="simple", device="cpu")
    text = cluener_records()[0]["text"]
    found = [(entity["entity_group"], text[entity["start"] : entity["end"]]) for entity in find(text)]
    assert ("name", "王芳") in found and ("address", "北京") in found


def test_words_are_learned_and_written_as_the_bakeoffs_score_script_reads_them(model: Path, tmp_path: Path) -> None:
    sentences = [f"{who}  昨天  在  {where}" for who in PEOPLE for where in PLACES]
    for name in ("msr_training.utf8", "msr_dev.utf8", "msr_test_gold.utf8"):
        write(tmp_path / "data" / name, "\r\n".join(sentences) + "\r\n")
    summary = learn("paper", "msra_cws", model, tmp_path / "data", tmp_path / "out")
    assert summary["test"]["f1"] > 0.9 and summary["test"]["accuracy"] > 0.9
    made = (tmp_path / "out" / "msra_test_segmentation.utf8").read_text(encoding="utf-8").splitlines()
    assert [line.replace(" ", "") for line in made] == [line.replace(" ", "") for line in sentences]
    assert read_records(tmp_path / "out" / "predictions.jsonl")[0]["label"] == sentences[0].split()


def test_a_saved_model_predicts_what_it_predicted_when_it_was_trained(
    cluener_run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    test = [{"id": number, "text": record["text"]} for number, record in enumerate(cluener_records())]
    write_records(data / "test.json", test)
    learned = cluener_run[0]
    from chinesebert.finetuning.main import run

    run(
        "clue",
        [
            *("--task", "cluener", "--model_name_or_path", str(learned), "--data_dir", str(data)),
            *("--output_dir", str(tmp_path / "out"), "--do_predict", "--max_seq_length", "32", "--use_cpu"),
            *("--report_to", "none", "--disable_tqdm", "true"),
        ],
    )
    assert read_records(tmp_path / "out" / "predictions.jsonl") == read_records(learned / "predictions.jsonl")


def test_tag_files_of_a_long_text_are_read_in_windows(model: Path, tmp_path: Path) -> None:
    text = "".join(record["text"] + "，" for record in cluener_records())
    tags = ["O"] * len(text)
    tags[0], tags[1] = "B-PER.NAM", "E-PER.NAM"
    for split in ("train", "dev", "test"):
        write(tmp_path / "data" / f"{split}.all.bmes", tagged(text, tags))
    summary = learn(
        "paper", "weibo_ner", model, tmp_path / "data", tmp_path / "out", "--max_steps", "2", "--doc_stride", "8"
    )
    assert summary["dev"]["examples"] == 1 and summary["dev"]["inputs"] > 2 and summary["dev"]["cut"] == 0
