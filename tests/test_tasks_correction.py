"""Spelling correction: files as published, one token a character, decoding, and a run of the script."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chinesebert import ChineseBertForMaskedLM, ChineseBertTokenizer
from chinesebert.correction_pipeline import CorrectionPipeline
from chinesebert.errors import InputError
from chinesebert.finetuning.main import main
from chinesebert.finetuning.prediction import Predictor
from chinesebert.tasks.correction_files import read_corrections
from chinesebert.tasks.definitions.sighan import write
from chinesebert.tasks.examples import CorrectionExample
from chinesebert.tasks.kinds import Encoded, Lengths
from chinesebert.tasks.kinds.characters import CharacterEncoder, Tokens, windows
from chinesebert.tasks.kinds.correction import Correction
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, read_split
from tests.finetuning_models import write_tiny_model


def write_file(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def pairs(path: Path) -> list[tuple[str, str | None]]:
    return [(example.text, example.target) for example in read_corrections(path)]


# ------------------------------------------------------------------------------------------------------------- readers

ESSAYS = """<ESSAY title="遊記">
<TEXT>
<PASSAGE id="A2-0001-1">我們坐火車去，車站前面有一家很大的書占。</PASSAGE>
<PASSAGE id="A2-0001-2">明天見！</PASSAGE>
</TEXT>
<MISTAKE id="A2-0001-1" location="18">
<WRONG>書占</WRONG>
<CORRECTION>書店</CORRECTION>
</MISTAKE>
</ESSAY>
"""


def test_essays_of_2014_and_2015_are_read_passage_by_passage(tmp_path: Path) -> None:
    path = write_file(tmp_path / "A2.sgml", ESSAYS.replace("\n", "\r\n"))
    first, second = read_corrections(path)
    assert first.target == "我們坐火車去，車站前面有一家很大的書店。"
    assert (second.text, second.target) == ("明天見！", "明天見！")
    assert (first.id, first.where) == ("A2-0001-1", f"{path}:3")


def test_the_mistake_of_a_repeated_word_is_the_one_at_the_location(tmp_path: Path) -> None:
    essay = (
        '<ESSAY><TEXT><PASSAGE id="x">在見了，下次在見。</PASSAGE></TEXT><MISTAKE id="x" location="7">'
        "<WRONG>在見</WRONG><CORRECTION>再見</CORRECTION></MISTAKE></ESSAY>"
    )
    assert pairs(write_file(tmp_path / "a.sgml", essay)) == [("在見了，下次在見。", "在見了，下次再見。")]
    moved = essay.replace('"7"', '"9"')  # a few published locations are off by some characters
    assert pairs(write_file(tmp_path / "b.sgml", moved)) == [("在見了，下次在見。", "在見了，下次再見。")]


def test_annotations_that_replace_no_single_characters_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = ESSAYS.replace("書店", "書店裡")
    absent = ESSAYS.replace("<WRONG>書占", "<WRONG>圖占")
    for content, reason in ((longer, "書占 becomes 書店裡"), (absent, "does not contain 圖占")):
        with warnings_of(caplog, monkeypatch):
            assert pairs(write_file(tmp_path / "a.sgml", content)) == [("明天見！", "明天見！")]
        assert "1 of 2 sentences are left out" in caplog.text
        assert reason in caplog.text


def test_a_file_in_which_no_sentence_fits_its_target_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "train.txt", "怎么还款\t怎样把钱还上\t1\n借钱的人\t谁在借钱\t0\n")  # of a pair task
    with pytest.raises(InputError, match=r"train\.txt:1: single characters cannot mend any of the 2 sentences"):
        pairs(path)


def warnings_of(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Catches what is said through transformers' logger, which does not reach the root's handlers."""
    import logging

    caplog.clear()
    monkeypatch.setattr(logging.getLogger("chinesebert"), "propagate", True)
    return caplog.at_level("WARNING")


def test_the_sample_set_of_2013_is_read_with_and_without_mistakes(tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "sample.txt",
        '<DOC Nid="00001">\n<P>他努立讀書。</P>\n<TEXT>\n<MISTAKE wrong_position=3>\n<WRONG>努立</WRONG>\n'
        "<CORRECT>努力</CORRECT>\n</MISTAKE>\n</TEXT>\n</DOC>\n\n"
        '<DOC Nid="10001">\n<P>天氣很好。</P>\n<TEXT>\n<MISTAKE wrong_position=0>\n</MISTAKE>\n</TEXT>\n</DOC>\n',
    )
    assert pairs(path) == [("他努立讀書。", "他努力讀書。"), ("天氣很好。", "天氣很好。")]


def test_wang271k_is_read(tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "train.sgml",
        "<SENTENCE>\n<TEXT>他门都来了，很告兴。</TEXT>\n<MISTAKE>\n<LOCATION>2</LOCATION>\n<WRONG>门</WRONG>\n"
        "<CORRECTION>们</CORRECTION>\n</MISTAKE>\n<MISTAKE>\n<LOCATION>8</LOCATION>\n<WRONG>告</WRONG>\n"
        "<CORRECTION>高</CORRECTION>\n</MISTAKE>\n</SENTENCE>\n",
    )
    assert pairs(path) == [("他门都来了，很告兴。", "他们都来了，很高兴。")]


def test_damaged_characters_of_the_official_files_do_not_stop_reading(tmp_path: Path) -> None:
    path = tmp_path / "B1.sgml"
    path.write_bytes(ESSAYS.encode().replace("明天見".encode(), "明天".encode() + b"\xe8\xa6") + b" " * 3000)
    assert pairs(path)[1][0] == "明天\ufffd！"


@pytest.mark.parametrize("mark", ["(NID=07) ", "(pid=07)\t"])
@pytest.mark.parametrize(
    ("names"), [("FinalTest_SubTask2.txt", "FinalTest_SubTask2_Truth.txt"), ("TestInput.txt", "TestTruth.txt")]
)
def test_official_test_sentences_find_their_truth(tmp_path: Path, mark: str, names: tuple[str, str]) -> None:
    path = write_file(tmp_path / names[0], f"{mark}我喜換貓和勾。\n{mark.replace('07', '08')}很好。\n")
    assert pairs(path) == [("我喜換貓和勾。", None), ("很好。", None)]
    write_file(tmp_path / names[1], "08, 0 \n07, 3, 歡, 6, 狗\n")
    assert pairs(path) == [("我喜換貓和勾。", "我喜歡貓和狗。"), ("很好。", "很好。")]
    assert [example.id for example in read_corrections(path)] == ["07", "08"]


def test_a_truth_of_positions_alone_leaves_the_sentences_without_it(tmp_path: Path) -> None:
    path = write_file(tmp_path / "SubTask1.txt", "(NID=0001) 我喜換貓。\n(NID=0002) 很好。\n")
    write_file(tmp_path / "SubTask1_Truth.txt", "0001, 3\n0002, 0\n")
    assert pairs(path) == [("我喜換貓。", None), ("很好。", None)]


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ("1, 9, 歡\n", r"TestTruth.txt:1: position 9 with '歡' does not fit a sentence of 5 characters"),
        ("2, 0\n", r"TestInput.txt:1: 1 is not in .*TestTruth.txt"),
        ("1, 3\n2, 1, 歡\n", r"TestTruth.txt:1: is not `id, position, character"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(tmp_path: Path, truth: str, message: str) -> None:
    path = write_file(tmp_path / "TestInput.txt", "(pid=1)\t我喜換貓。\n")
    write_file(tmp_path / "TestTruth.txt", truth)
    with pytest.raises(InputError, match=message):
        list(read_corrections(path))


def test_parallel_files_are_read_line_by_line(tmp_path: Path) -> None:
    path = write_file(tmp_path / "test15_error.txt", "\ufeff我喜换猫。\r\n很好。\r\n")
    write_file(tmp_path / "test15_correct.txt", "我喜欢猫。\n很好。\n")
    assert pairs(path) == [("我喜换猫。", "我喜欢猫。"), ("很好。", "很好。")]
    write_file(tmp_path / "test15_correct.txt", "我喜欢猫。\n")
    with pytest.raises(InputError, match=r"has 2 lines and test15_correct.txt 1"):
        list(read_corrections(path))


@pytest.mark.parametrize(
    "content",
    [
        "我喜换猫。\t我喜欢猫。\n",
        "\ufeffsource\ttarget\r\n我喜换猫。\t我喜欢猫。\r\n",
        "A-1\t我喜换猫。\t我喜欢猫。\t[(3, '欢')]\n",
        "1\t我喜换猫。\t我喜欢猫。\n",
        '[{"original_text": "我喜换猫。", "correct_text": "我喜欢猫。", "wrong_ids": [2]}]',
        '{"source": "我喜换猫。", "target": "我喜欢猫。"}\n',
    ],
)
def test_tables_and_json_are_read(tmp_path: Path, content: str) -> None:
    assert pairs(write_file(tmp_path / "file.tsv", content)) == [("我喜换猫。", "我喜欢猫。")]


def test_a_csv_file_is_read(tmp_path: Path) -> None:
    path = write_file(tmp_path / "file.csv", 'source,target\n"我,喜换猫。","我,喜欢猫。"\n')
    assert pairs(path) == [("我,喜换猫。", "我,喜欢猫。")]


def test_the_tables_of_realise_find_their_truth(tmp_path: Path) -> None:
    path = write_file(tmp_path / "test.sighan15.tsv", "A2-1\t我喜换猫。\nA2-2\t很好。\n")
    write_file(tmp_path / "test.sighan15.lbl.tsv", "A2-1, 3, 欢\nA2-2, 0\n")
    assert pairs(path) == [("我喜换猫。", "我喜欢猫。"), ("很好。", "很好。")]


def test_other_lines_are_texts_without_the_truth(tmp_path: Path) -> None:
    assert pairs(write_file(tmp_path / "some.txt", "我喜换猫。\n\n很好。\n")) == [
        ("我喜换猫。", None),
        ("很好。", None),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A2-1, 3, 欢\nA2-2, 0\n", "holds the truth alone"),
        ("<html><body>很好</body></html>", "has no <ESSAY>, <DOC> or <SENTENCE>"),
        ('{"sentence1": "一", "sentence2": "二"}\n', r":1: has no `original_text` or `source`"),
        ("一\t二\n一\n", r":2: has 1 columns, and the first line 2"),
        ("(pid=1)\t很好\n很好\n", r":2: does not begin with \(pid="),
    ],
)
def test_files_of_something_else_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_corrections(write_file(tmp_path / "file.txt", content)))


@pytest.mark.parametrize(
    ("year", "training", "test"),
    [
        (
            "13",
            ("SampleSet/Bakeoff2013_SampleSet_WithError_1.txt", "SampleSet/Bakeoff2013_SampleSet_WithoutError_1.txt"),
            "FinalTest/FinalTest_SubTask2.txt",
        ),
        ("14", ("Training/B1_training.sgml", "Training/C1_training.sgml"), "Test/CLP14_CSC_TestInput.txt"),
        (
            "15",
            ("Training/SIGHAN15_CSC_A2_Training.sgml", "Training/SIGHAN15_CSC_B2_Training.sgml"),
            "Test/SIGHAN15_CSC_TestInput.txt",
        ),
    ],
)
def test_the_official_archives_are_read_as_they_unpack(
    tmp_path: Path, year: str, training: Sequence[str], test: str
) -> None:
    for name in (*training, test, "Dryrun/SIGHAN15_CSC_DryInput.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_file(tmp_path / name, "")
    task = get_task(f"sighan{year}")
    assert find_split(task, tmp_path, "train") == [tmp_path / name for name in training]
    assert find_split(task, tmp_path, "test") == [tmp_path / test]


def test_submissions_are_lines_of_the_official_tool(tmp_path: Path) -> None:
    examples = [CorrectionExample("A2-1", "我喜换猫和勾"), CorrectionExample("A2-2", "很好")]
    assert list(write(examples, ["我喜欢猫和狗", "很好"])) == ["A2-1, 3, 欢, 6, 狗", "A2-2, 0"]


@pytest.mark.parametrize(
    ("folder", "name", "count", "wrong", "labelled"),
    [
        ("csc_sighan13", "raw_Bakeoff2013_SampleSet_WithError_00001-00350.txt", 350, 350, True),
        ("csc_sighan13", "raw_Bakeoff2013_SampleSet_WithoutError_10001-10350.txt", 350, 0, True),
        ("csc_sighan13", "raw_FinalTest_SubTask1.txt", 1000, 0, False),
        ("csc_sighan13", "raw_FinalTest_SubTask2.txt", 1000, 996, True),  # four annotations change nothing
        ("csc_sighan13", "train13_error.txt", 700, 340, True),
        ("csc_sighan13", "test13_error.txt", 1000, 971, True),
        ("csc_sighan14", "raw_C1_training.sgml", 342, 342, True),
        ("csc_sighan14", "raw_CLP14_CSC_TestInput.txt", 1062, 529, True),  # two more have such annotations only
        ("csc_sighan14", "train14_error.txt", 3437, 3358, True),
        ("csc_sighan14", "test14_error.txt", 1062, 520, True),
    ],
)
def test_published_files_are_read_whole(
    shared: Path, folder: str, name: str, count: int, wrong: int, labelled: bool
) -> None:
    path = shared / "data" / "tasks" / folder / name
    if not path.exists():
        pytest.skip(f"{name} is not in the folder of shared data")
    found = pairs(path)
    assert len(found) == count
    assert all((target is not None) == labelled for _, target in found)
    assert sum(target not in (None, text) for text, target in found) == wrong


@pytest.mark.parametrize(
    ("year", "names"),
    [
        ("13", ["raw_Bakeoff_SampleSet_WithError_1-2.txt", "raw_Bakeoff_SampleSet_WithoutError_3-4.txt"]),
        ("14", ["B1_training.sgml", "C1_training.sgml"]),
        ("15", ["SIGHAN15_CSC_A2_Training.sgml", "SIGHAN15_CSC_B2_Training.sgml"]),
        ("15", ["train.sgml"]),
    ],
)
def test_official_training_files_make_up_the_split_together(tmp_path: Path, year: str, names: list[str]) -> None:
    for name in names:
        write_file(tmp_path / name, ESSAYS)
    task = get_task(f"sighan{year}")
    files = find_split(task, tmp_path, "train")
    assert [path.name for path in files] == names
    assert len(read_split(task, files)) == 2 * len(names)


# ---------------------------------------------------------------------------------------------- one token a character


def encode_characters(text: str, tokenizer: ChineseBertTokenizer) -> Tokens:
    return CharacterEncoder(tokenizer, Lengths()).tokens(text)


def test_chinese_text_gets_the_tokens_and_readings_of_the_tokenizer(tokenizer: ChineseBertTokenizer) -> None:
    text = "重庆的重要银行行长在长大，还得还。"
    batch = tokenizer(text, add_special_tokens=False)
    assert encode_characters(text, tokenizer) == (batch["input_ids"], batch["pinyin_ids"], list(range(len(text))))


def test_words_of_other_scripts_are_split_and_spaces_have_no_token(tokenizer: ChineseBertTokenizer) -> None:
    ids, pinyin, positions = encode_characters("我 用\u2028Python写é", tokenizer)
    assert positions == [0, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert tokenizer.convert_ids_to_tokens(ids)[2:9] == ["p", "y", "t", "h", "o", "n", "写"]
    assert [bool(number) for number in pinyin] == [True, True, *[False] * 6, True, False]


@settings(max_examples=40)
@given(text=st.text(max_size=30))
def test_no_character_gets_two_tokens(small_tokenizer: ChineseBertTokenizer, text: str) -> None:
    ids, pinyin, positions = encode_characters(text, small_tokenizer)
    assert len(ids) == len(pinyin) == len(positions)
    assert positions == sorted(set(positions))
    assert all(0 <= position < len(text) for position in positions)


@given(count=st.integers(0, 200), size=st.integers(1, 40), shared=st.integers(0, 60))
def test_windows_answer_for_every_token_once(count: int, size: int, shared: int) -> None:
    answered: list[int] = []
    for window in windows(count, size, shared):
        assert 0 <= window.start <= window.first <= window.last <= window.end <= count
        assert window.end - window.start <= size
        answered += range(window.first, window.last)
    assert answered == list(range(count))


# ----------------------------------------------------------------------------------------------------- inputs, answers


def encode(
    texts: Sequence[tuple[str, str | None]], tokenizer: ChineseBertTokenizer, size: int = 64, stride: int = 8
) -> tuple[Correction, list[CorrectionExample], Encoded]:
    kind = Correction()
    examples = [CorrectionExample(number, *pair) for number, pair in enumerate(texts)]
    return kind, examples, kind.encode(examples, tokenizer, Lengths(size, stride))


def answers(encoded: Encoded, changes: dict[tuple[int, int], int]) -> tuple[Any, Any]:
    """As if the model gave back every input, with some tokens changed, all with probability 0.7."""
    longest = max(len(item["input_ids"]) for item in encoded.inputs)
    tokens = np.full((len(encoded.inputs), longest), -100)
    for row, item in enumerate(encoded.inputs):
        tokens[row, : len(item["input_ids"])] = item["input_ids"]
    for place, token in changes.items():
        tokens[place] = token
    return tokens, np.full(tokens.shape, 0.7, np.float32)


def test_every_chinese_character_is_labelled_with_the_right_one(tokenizer: ChineseBertTokenizer) -> None:
    _, _, encoded = encode([("我喜换猫，3只", "我喜欢猫，3只")], tokenizer)
    wanted = tokenizer.convert_tokens_to_ids([*"我喜欢猫"])
    assert encoded.inputs[0]["labels"] == [-100, *wanted, -100, -100, *tokenizer.convert_tokens_to_ids(["只"]), -100]
    assert encoded.inputs[0]["input_ids"][3] == tokenizer.convert_tokens_to_ids("换")


def test_what_the_vocabulary_lacks_is_not_learned(tokenizer: ChineseBertTokenizer) -> None:
    _, _, encoded = encode([("一𠮷二", "一𠮷二")], tokenizer)
    assert encoded.inputs[0]["labels"][2] == -100 != encoded.inputs[0]["labels"][1]


def test_a_replaced_character_is_put_in_its_place(tokenizer: ChineseBertTokenizer) -> None:
    kind, examples, encoded = encode([("猫 很Good，喜换", None)], tokenizer)
    place = encoded.offsets[0].index((9, 10))
    better = tokenizer.convert_tokens_to_ids("欢")
    assert kind.decode(examples, encoded, answers(encoded, {(0, place): better})) == ["猫 很Good，喜欢"]


@pytest.mark.parametrize("token", ["[UNK]", "##s", "，", "a", "[SEP]"])
def test_the_original_stays_where_the_model_says_no_chinese_character(
    tokenizer: ChineseBertTokenizer, token: str
) -> None:
    number = tokenizer.convert_tokens_to_ids(token)
    assert token == "[UNK]" or number != tokenizer.unk_token_id
    kind, examples, encoded = encode([("喜换", None)], tokenizer)
    assert kind.decode(examples, encoded, answers(encoded, {(0, 2): number})) == ["喜换"]


def test_only_chinese_characters_are_replaced_and_rare_ones_survive(tokenizer: ChineseBertTokenizer) -> None:
    text = "a，\uf90a𠮷"  # U+F90A is read as 金; 𠮷 is unknown
    kind, examples, encoded = encode([(text, None)], tokenizer)
    assert kind.decode(examples, encoded, answers(encoded, {})) == [text]
    better = tokenizer.convert_tokens_to_ids("欢")
    changed = {(0, place): better for place in range(6)}
    assert kind.decode(examples, encoded, answers(encoded, changed)) == ["a，欢欢"]


def test_a_threshold_keeps_what_the_model_is_not_sure_of(tokenizer: ChineseBertTokenizer) -> None:
    kind, examples, encoded = encode([("喜换", None)], tokenizer)
    scores = answers(encoded, {(0, 2): tokenizer.convert_tokens_to_ids("欢")})
    for threshold, text in ((0.6, "喜欢"), (0.8, "喜换")):
        kind.threshold = threshold
        assert kind.decode(examples, encoded, scores) == [text]


def test_long_and_empty_texts_are_corrected_whole(tokenizer: ChineseBertTokenizer) -> None:
    text, target = "喜换" * 40, "喜欢" * 40
    kind, examples, encoded = encode([("", ""), (text, target)], tokenizer, size=20)
    assert encoded.owners.count(0) == 1 < encoded.owners.count(1)
    better = tokenizer.convert_tokens_to_ids("欢")
    labelled = sum(label != -100 for item in encoded.inputs for label in item["labels"])
    assert labelled == len(text)
    changes = {
        (row, place): better
        for row, item in enumerate(encoded.inputs)
        for place, token in enumerate(item["input_ids"])
        if token == tokenizer.convert_tokens_to_ids("换")
    }
    assert kind.decode(examples, encoded, answers(encoded, changes)) == ["", target]


def test_of_the_scores_the_likeliest_token_and_its_probability_are_kept() -> None:
    logits = torch.tensor([[[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]])
    tokens, probabilities = Correction().summarise(logits)
    assert tokens.tolist() == [[1, 0]]
    torch.testing.assert_close(probabilities, logits.softmax(-1).max(-1).values)


def test_predictions_say_what_was_replaced() -> None:
    record = Correction().record(CorrectionExample("x", "喜换", "喜欢"), "喜环")
    assert record == {
        "id": "x", "text": "喜换", "prediction": "喜环", "edits": [[1, "换", "环"]], "label": "喜欢"
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ training

TRAINED = [("他门都来了。", "他们都来了。"), ("我门很高兴。", "我们很高兴。"), ("大家都来了。", "大家都来了。")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_tokenizer: ChineseBertTokenizer) -> tuple[Path, Path]:
    """A tiny model, and what the script made of it on three sentences."""
    directory = tmp_path_factory.mktemp("correction")
    model = write_tiny_model(directory / "model", small_tokenizer)
    data, output = directory / "data", directory / "out"
    data.mkdir()
    table = "".join(f"{text}\t{target}\n" for text, target in TRAINED)
    for split in ("train", "dev"):
        write_file(data / f"{split}.tsv", table)
    write_file(data / "test.tsv", "".join(f"{text}\n" for text, _ in TRAINED))
    arguments = {
        "task": "sighan15", "data_dir": data, "model_name_or_path": model, "output_dir": output, "max_seq_length": 32,
        "learning_rate": 1e-2, "num_train_epochs": 60, "gradient_accumulation_steps": 1, "eval_strategy": "no",
        "save_strategy": "no", "load_best_model_at_end": False, "report_to": "none", "disable_tqdm": True,
    }  # fmt: skip
    flags = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    assert main("paper", [*flags, "--do_train", "--do_eval", "--do_predict"]) == 0
    return output, model


def test_the_script_trains_scores_and_writes_predictions(trained: tuple[Path, Path]) -> None:
    output, _ = trained
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["metric"] == "sighan_sentence_correction_f1"
    assert metrics["dev"]["sighan_sentence_correction_f1"] == 1
    assert metrics["dev"]["sighan_false_positive_rate"] == 0
    lines = (output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == [target for _, target in TRAINED]
    assert (output / "sighan15_result.txt").read_text(encoding="utf-8") == "0, 2, 们\n1, 2, 们\n2, 0\n"


def test_the_pipeline_corrects_texts(trained: tuple[Path, Path]) -> None:
    output, _ = trained
    pipeline = CorrectionPipeline(
        model=ChineseBertForMaskedLM.from_pretrained(output), tokenizer=ChineseBertTokenizer.from_pretrained(output)
    )
    first, second = pipeline(["他门都来了。", "大家都来了。"])
    assert (first["text"], second["text"]) == ("他们都来了。", "大家都来了。")
    edit = first["edits"][0]
    assert (edit["position"], edit["wrong"], edit["right"]) == (1, "门", "们")
    assert 0.5 < edit["score"] <= 1
    assert pipeline("他门都来了。", threshold=1.1)["edits"] == []


def correct(trained: tuple[Path, Path], output: Path, *more: str, task: str = "sighan15") -> int:
    """Evaluates the trained model on what it was trained on."""
    data = trained[0].parent / "data"
    names = {"task": task, "data_dir": data, "model_name_or_path": trained[0], "output_dir": output}
    return main("paper", [word for name, value in names.items() for word in (f"--{name}", str(value))] + [*more])


def test_a_flag_sets_how_sure_a_replacement_must_be(trained: tuple[Path, Path], tmp_path: Path) -> None:
    assert correct(trained, tmp_path, "--do_eval", "--correction_threshold", "1", "--report_to", "none") == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["dev"]["sighan_sentence_correction_recall"] == 0  # no probability is above 1
    assert metrics["settings"]["correction_threshold"] == 1


def test_a_model_remembers_how_sure_a_replacement_must_be(trained: tuple[Path, Path], tmp_path: Path) -> None:
    flags = ("--max_steps", "1", "--max_seq_length", "32", "--learning_rate", "0", "--correction_threshold", "1")
    assert correct(trained, tmp_path, "--do_train", *flags, "--eval_strategy", "no", "--report_to", "none") == 0
    text = CorrectionExample(0, TRAINED[0][0])
    assert Predictor(str(tmp_path))([text])[0].prediction == text.text
    pipeline = CorrectionPipeline(
        model=ChineseBertForMaskedLM.from_pretrained(tmp_path), tokenizer=ChineseBertTokenizer.from_pretrained(tmp_path)
    )
    assert pipeline(text.text)["edits"] == []
    assert pipeline(text.text, threshold=0.0)["text"] == TRAINED[0][1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--correction_threshold", "1.5"), "correction_threshold is 1.5: it is a probability, from 0 to 1"),
        (("--correction_threshold", "0.5", "--do_train"), "--correction_threshold: lcqmc is no spelling correction"),
    ],
)
def test_a_threshold_that_means_nothing_is_refused(
    trained: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    pairs = write_file(tmp_path / "pairs.tsv", "你好\t你好吗\t1\n他好\t他们好\t0\n")
    files = ("--train_file", str(pairs), "--dev_file", str(pairs))
    assert correct(trained, tmp_path / "out", "--do_eval", *files, *more, task="lcqmc") == 2
    assert message in capsys.readouterr().err
