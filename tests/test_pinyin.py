"""Readings in context are exactly pypinyin's, are saved for good, and are spelled in the released alphabet."""

import dataclasses
import functools
import gzip
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pypinyin import Style, pinyin
from pypinyin.constants import PHRASES_DICT, PINYIN_DICT

from chinesebert.errors import InputError
from chinesebert.pinyin import PINYIN_ALPHABET, Readings

NOT_READ = "\0"


def read_by_pypinyin(text: str) -> list[str]:
    """pypinyin's first reading of every character, "" where it has none."""
    readings = pinyin(
        text, style=Style.TONE3, heteronym=True, errors=lambda characters: [[NOT_READ] for _ in characters]
    )
    return [first.replace(NOT_READ, "") for first, *_ in readings]


@pytest.fixture(scope="module")
def readings() -> Readings:
    return Readings.from_pypinyin()


def read(readings: Readings, text: str) -> list[str]:
    """The syllable of every character by the project's matcher, "" where it has none."""
    return [readings.syllables[number - 1] if number else "" for number in readings.syllable_ids(text)]


# ---------------------------------------------------------------------------------------------------- equal to pypinyin


def test_the_sample_text_is_read_as_pypinyin_reads_it(readings: Readings, sample_paragraphs: list[str]) -> None:
    for text in sample_paragraphs:
        assert read(readings, text) == read_by_pypinyin(text), text


def test_the_phrases_are_read_as_pypinyin_reads_them(readings: Readings) -> None:
    for phrase in itertools.islice(PHRASES_DICT, 0, None, 5):
        assert read(readings, phrase) == read_by_pypinyin(phrase), phrase


def test_single_characters_are_read_as_pypinyin_reads_them(readings: Readings) -> None:
    for code in itertools.islice(PINYIN_DICT, 0, None, 5):
        assert read(readings, chr(code)) == read_by_pypinyin(chr(code)), hex(code)


def test_characters_that_pypinyin_passes_over_have_no_reading(readings: Readings) -> None:
    codes = [*range(0x20, 0xD800, 7), *range(0xE000, 0x33000, 7)]
    differing = [hex(code) for code in codes if read(readings, chr(code)) != read_by_pypinyin(chr(code))]
    assert differing == []


def test_the_beginnings_of_phrases_are_read_as_pypinyin_reads_them(readings: Readings) -> None:
    # Where a run of Han characters ends inside what could have become a phrase, pypinyin reads the rest one by one.
    beginnings = {phrase[:end] for phrase in PHRASES_DICT for end in range(3, len(phrase))}
    differing = [text for text in sorted(beginnings) if read(readings, text) != read_by_pypinyin(text)]
    assert differing == []


@functools.lru_cache(maxsize=1)
def phrases() -> list[str]:
    return sorted(PHRASES_DICT)


@st.composite
def phrase_fragments(draw: st.DrawFn) -> str:
    phrase = phrases()[draw(st.integers(0, len(phrases()) - 1))]
    start = draw(st.integers(0, len(phrase) - 1))
    return phrase[start : draw(st.integers(start + 1, len(phrase)))]


OTHER = [
    "Python",
    "3.5",
    "２０２６",
    "ＡＢ",
    "😀",
    "👨‍👩‍👧",
    "𠮷",
    "𪜎",
    "豈",
    "〇",
    "㐀",
    "，",
    "。",
    " ",
    "\u2028",
    "é",
    "か",
    "龘",
]
MIXED = st.lists(
    phrase_fragments() | st.sampled_from(OTHER) | st.characters(exclude_categories=["Cs"]), max_size=12
).map("".join)


@settings(max_examples=400, deadline=None)
@given(text=MIXED)
@example(text="放长线，钓大鱼")
@example(text="")
@example(text="重")
def test_any_mixture_is_read_as_pypinyin_reads_it(readings: Readings, text: str) -> None:
    assert read(readings, text) == (read_by_pypinyin(text) if text else [])


def test_a_corpus_is_read_as_pypinyin_reads_it(readings: Readings, shared: Path) -> None:
    with gzip.open(shared / "data" / "corpus" / "small.txt.gz") as file:
        text = file.read(300_000).decode("utf-8", errors="ignore")
    differing = [line for line in text.split("\n") if line and read(readings, line) != read_by_pypinyin(line)]
    assert differing == []


# ----------------------------------------------------------------------------------------------------------- in context


@pytest.mark.parametrize(
    ("text", "syllables"),
    [
        ("重庆的重要", "chong2 qing4 de zhong4 yao4"),
        ("银行行走", "yin2 hang2 xing2 zou3"),
        ("一个不是", "yi2 ge4 bu2 shi4"),
        ("长城，长大。", "chang2 cheng2 - zhang3 da4 -"),
        ("女绿", "nv3 lv4"),
        ("音乐快乐", "yin1 yue4 kuai4 le4"),
    ],
)
def test_a_polyphone_is_read_by_its_phrase(readings: Readings, text: str, syllables: str) -> None:
    assert [syllable or "-" for syllable in read(readings, text)] == syllables.split()


def test_a_phrase_is_not_read_across_a_comma(readings: Readings) -> None:
    assert read(readings, "重，庆")[0] == "zhong4"


def test_every_character_outside_the_bmp_takes_one_place(readings: Readings) -> None:
    assert read(readings, "😀重庆😀") == ["", "chong2", "qing4", ""]


def test_a_reading_without_context_is_the_most_common_one(readings: Readings) -> None:
    assert readings.syllables[readings.character_syllable_id("重") - 1] == "zhong4"
    assert readings.character_syllable_id("a") == 0


# ----------------------------------------------------------------------------------------------- inventory and spelling


def test_syllables_are_numbered_from_one_in_alphabetical_order() -> None:
    readings = Readings({"中": "zhong1", "啊": "a", "女": "nv3"}, {}, "test")
    assert readings.syllables == ("a", "nv3", "zhong1")
    assert readings.syllable_ids("中啊女x") == [3, 1, 2, 0]


def test_letters_spell_every_syllable_in_the_released_alphabet(readings: Readings) -> None:
    letters = readings.letter_ids()
    assert letters.shape == (len(readings.syllables) + 1, 8)
    spelled = ["".join(PINYIN_ALPHABET[letter] for letter in row if letter) for row in letters]
    assert spelled == ["", *readings.syllables]


def test_the_alphabet_is_that_of_the_released_checkpoints(shared: Path) -> None:
    released = json.loads((shared / "golden" / "tokenizer" / "config" / "pinyin_map.json").read_text(encoding="utf-8"))
    assert "".join(released["idx2char"]) == PINYIN_ALPHABET


def test_u_umlaut_is_written_v_before_its_tone() -> None:
    assert Readings({"绿": "lv4"}, {}, "test").letter_ids()[1].tolist() == [17, 27, 4, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("syllable", ["lü4", "zhōng", "zhong6", "4", "zhuangzhuang1", "Ni3"])
def test_something_that_is_no_syllable_is_refused(syllable: str) -> None:
    with pytest.raises(InputError, match=f"somewhere: '{syllable}' is not a syllable"):
        Readings({"字": syllable}, {}, "somewhere")


# ------------------------------------------------------------------------------------------------------- saved for good


def test_a_saved_dictionary_loads_equal(readings: Readings, tmp_path: Path, sample_paragraphs: list[str]) -> None:
    readings.save(tmp_path / "readings.json")
    loaded = Readings.load(tmp_path / "readings.json")
    assert loaded == readings
    assert loaded.fingerprint == readings.fingerprint
    text = "".join(sample_paragraphs[:50])
    assert loaded.syllable_ids(text) == readings.syllable_ids(text)


def test_a_loaded_dictionary_reads_by_itself_and_not_by_pypinyin(tmp_path: Path) -> None:
    Readings({"重": "xi1", "庆": "ha4"}, {"重庆": ("la1", "")}, "another").save(tmp_path / "readings.json")
    loaded = Readings.load(tmp_path / "readings.json")
    assert read(loaded, "重庆重银庆") == ["la1", "", "xi1", "", "ha4"]


def test_a_file_written_anew_is_loaded_anew(tmp_path: Path) -> None:
    path = tmp_path / "readings.json"
    Readings({"重": "xi1"}, {}, "old").save(path)
    assert Readings.load(path).source == "old"
    Readings({"重": "xi2"}, {}, "new").save(path)
    assert Readings.load(path).source == "new"


def test_equal_readings_have_equal_fingerprints_in_any_order() -> None:
    one = Readings({"重": "xi1", "庆": "ha4"}, {"重庆": ("la1", "le"), "庆重": ("a", "e")}, "s")
    two = Readings({"庆": "ha4", "重": "xi1"}, {"庆重": ("a", "e"), "重庆": ("la1", "le")}, "s")
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize(
    "change",
    [{"characters": {"重": "xi2"}}, {"phrases": {"重庆": ("la1", "")}}],
    ids=["character", "phrase"],
)
def test_another_reading_is_another_fingerprint(change: dict[str, dict]) -> None:
    one = Readings({"重": "xi1"}, {"重庆": ("la1", "le")}, "s")
    assert dataclasses.replace(one, **change).fingerprint != one.fingerprint


def test_a_used_dictionary_can_be_pickled(readings: Readings) -> None:
    ids = readings.syllable_ids("重庆的银行")  # builds the automaton, which cannot be pickled
    assert pickle.loads(pickle.dumps(readings)).syllable_ids("重庆的银行") == ids


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"characters": {}, "phrases": []}',
        '{"characters": {"重": 4}, "phrases": {}, "source": "s"}',
    ],
)
def test_a_damaged_dictionary_is_refused_by_name(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "readings.json"
    path.write_text(damaged, encoding="utf-8")
    with pytest.raises(InputError, match=f"{path}: is not a reading dictionary"):
        Readings.load(path)


def test_a_phrase_with_too_few_syllables_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "readings.json"
    content = {"format": 1, "source": "s", "characters": {"重": "xi1"}, "phrases": {"重庆": "xi1"}}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=str(path)):  # else every later character shifts by one
        Readings.load(path).syllable_ids("重庆重")


def test_a_dictionary_of_another_format_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "readings.json"
    path.write_text(json.dumps({"format": 99, "source": "s", "characters": {}, "phrases": {}}), encoding="utf-8")
    with pytest.raises(InputError, match=str(path)):
        Readings.load(path)


def test_a_dictionary_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "readings.json"
    path.write_bytes('{"characters": {"重": "xi1"}}'.encode("gbk"))
    with pytest.raises(InputError, match=str(path)):
        Readings.load(path)


def test_a_missing_dictionary_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'none.json'}: cannot read the reading dictionary"):
        Readings.load(tmp_path / "none.json")


# ----------------------------------------------------------------------------------------------- readings of the user's


def overridden(readings: Readings, folder: Path, content: str | bytes) -> Readings:
    """The readings with those of a file on top."""
    path = folder / "readings.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return readings.with_overrides(path)


def test_an_overridden_word_is_read_so_wherever_it_is_found(readings: Readings, tmp_path: Path) -> None:
    changed = overridden(readings, tmp_path, "重庆 zhong4 qing1\n")
    assert read(changed, "在重庆，重庆人") == ["zai4", "zhong4", "qing1", "", "zhong4", "qing1", "ren2"]


def test_an_overridden_character_is_read_so_outside_phrases(readings: Readings, tmp_path: Path) -> None:
    changed = overridden(readings, tmp_path, "重 chong2\n")
    assert read(changed, "重") == ["chong2"]
    assert read(changed, "重要") == read(readings, "重要")
    assert changed.character_syllable_id("重") == changed.syllables.index("chong2") + 1


def test_a_longer_phrase_of_the_dictionary_goes_first(readings: Readings, tmp_path: Path) -> None:
    changed = overridden(readings, tmp_path, "音乐 yin1 le4\n")
    assert read(changed, "音乐") == ["yin1", "le4"]
    assert read(changed, "音乐老师") == ["yin1", "yue4", "lao3", "shi1"]


def test_overrides_do_not_change_the_ids_of_syllables(readings: Readings, tmp_path: Path) -> None:
    changed = overridden(readings, tmp_path, "重庆 zhong4 qing1\n囍 xi1\n")
    assert changed.syllables == readings.syllables


def test_overrides_leave_the_given_readings_as_they_were(readings: Readings, tmp_path: Path) -> None:
    before = readings.fingerprint
    overridden(readings, tmp_path, "重庆 zhong4 qing1\n")
    assert read(readings, "重庆") == ["chong2", "qing4"]
    assert readings.fingerprint == before


@pytest.mark.parametrize(
    ("content", "syllables"),
    [
        ("旅行 lü3 xing2", ["lv3", "xing2"]),
        ("旅行 LV3 Xing2", ["lv3", "xing2"]),
        ("行的 hang2 de5", ["hang2", "de"]),
        ("行的 hang2 de", ["hang2", "de"]),
        ("\ufeff旅行\thang2   xing1  # why", ["hang2", "xing1"]),
        ("# a comment\n\n旅行 hang2 xing1\r\n", ["hang2", "xing1"]),
    ],
    ids=["umlaut", "capitals", "fifth tone", "no tone", "tab and mark", "comments"],
)
def test_syllables_may_be_written_as_people_write_them(
    readings: Readings, tmp_path: Path, content: str, syllables: list[str]
) -> None:
    word = "行的" if "行的" in content else "旅行"
    assert read(overridden(readings, tmp_path, content), word) == syllables


def test_a_neutral_tone_is_a_five_where_the_dictionary_marks_it_so(tmp_path: Path) -> None:
    marked = Readings({"的": "de5", "一": "yi1"}, {}, "released")
    assert read(overridden(marked, tmp_path, "一的 yi1 de5"), "一的") == ["yi1", "de5"]


def test_the_last_line_of_a_word_counts(readings: Readings, tmp_path: Path) -> None:
    changed = overridden(readings, tmp_path, "重庆 zhong4 qing1\n重庆 chong2 qing1\n")
    assert read(changed, "重庆") == ["chong2", "qing1"]


def test_the_source_names_the_overrides_by_what_they_say(readings: Readings, tmp_path: Path) -> None:
    one = overridden(readings, tmp_path, "重庆 zhong4 qing1\n银行 yin2 xing2\n")
    reordered = overridden(readings, tmp_path, "# by word\n银行 yin2 xing2\n重庆 zhong4 qing1\n")
    another = overridden(readings, tmp_path, "重庆 zhong4 qing1\n银行 yin2 xing1\n")
    assert one.source.startswith(f"{readings.source} with 2 overrides (")
    assert (one.source, one.fingerprint) == (reordered.source, reordered.fingerprint)
    assert one.source != another.source and one.fingerprint != another.fingerprint


def test_overridden_readings_are_saved_and_loaded(readings: Readings, tmp_path: Path) -> None:
    changed = overridden(readings, tmp_path, "重庆 zhong4 qing1\n囍 xi1\n")
    changed.save(tmp_path / "readings.json")
    loaded = Readings.load(tmp_path / "readings.json")
    assert loaded == changed
    assert read(loaded, "重庆囍") == ["zhong4", "qing1", "xi1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "重庆 chong2 qing4\n重庆 chong2\n",
            ":2: '重庆' differs in its numbers of characters (2) and of syllables (1); write one for each",
        ),
        ("重庆\n", ":1: '重庆' differs in its numbers of characters (2) and of syllables (0)"),
        ("重 庆 chong2 qing4\n", ":1: '重' differs in its numbers of characters (1) and of syllables (3)"),
        ("A股 a gu3\n", ":1: 'A' is not a Han character"),
        ("重庆 chong2 qinq4\n", ":1: 'qinq4' is no syllable of this reading dictionary; did you mean "),
        ("重庆 chóng qìng\n", ":1: 'chóng' is no syllable of this reading dictionary; did you mean chong2?"),
        ("绿 LǛ\n", ":1: 'lǜ' is no syllable of this reading dictionary; did you mean lv4?"),
        ("重庆 chong2 xyz9\n", ":1: 'xyz9' is no syllable of this reading dictionary; "),
        ("# nothing\n\n", ": holds no readings; write lines such as: 重庆 chong2 qing4"),
        ("", ": holds no readings"),
        ("重庆 chong2 qing4".encode("gbk"), ": cannot read the readings"),
    ],
)
def test_a_file_of_readings_that_cannot_be_used_is_named(
    readings: Readings, tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError) as error:
        overridden(readings, tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path / 'readings.txt'}{message}")


def test_a_missing_file_of_readings_is_named(readings: Readings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path / 'none'}: cannot read the readings"):
        readings.with_overrides(tmp_path / "none")


# Words that the dictionary has not, some that it has, and parts of phrases; each with syllables of its own.
OVERRIDES = {
    "重庆": ["zhong4", "qing1"],
    "蓝莓": ["lan4", "mei4"],
    "长线": ["zhang3", "xian1"],
    "银行行": ["yin1", "xing2", "hang2"],
    "行长": ["xing2", "chang2"],
    "一个不": ["yi4", "ge3", "bu4"],
    "乐": ["yue4"],
}
_PYPINYIN_WITH_OVERRIDES = """
import json, sys
from pypinyin import Style, load_phrases_dict, load_single_dict, pinyin
from pypinyin.contrib.tone_convert import tone3_to_tone
from pypinyin.seg import mmseg

overrides, texts = json.load(sys.stdin)
load_phrases_dict({w: [[tone3_to_tone(s)] for s in ss] for w, ss in overrides.items() if len(w) > 1})
load_single_dict({ord(w): tone3_to_tone(ss[0]) for w, ss in overrides.items() if len(w) == 1})
mmseg.retrain(mmseg.seg)
none = lambda characters: [[""] for _ in characters]
print(json.dumps([[r[0] for r in pinyin(t, style=Style.TONE3, heteronym=True, errors=none)] for t in texts]))
"""


def test_overrides_do_what_pypinyins_own_dictionaries_of_the_user_do(
    readings: Readings, tmp_path: Path, sample_paragraphs: list[str]
) -> None:
    lines = [f"{word} {' '.join(syllables)}" for word, syllables in OVERRIDES.items()]
    changed = overridden(readings, tmp_path, "\n".join(lines))
    made = ["".join(words) for words in itertools.permutations([*OVERRIDES, "放", "快"], 3)]
    texts = [*made, *sample_paragraphs[:200], "放长线钓大鱼", "放长线", "银行行长", "音乐快乐"]
    command = [sys.executable, "-c", _PYPINYIN_WITH_OVERRIDES]
    answer = subprocess.run(command, input=json.dumps([OVERRIDES, texts]), capture_output=True, text=True, check=True)
    for text, expected in zip(texts, json.loads(answer.stdout), strict=True):
        assert read(changed, text) == expected, text
