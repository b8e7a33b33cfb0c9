"""The YAML of cleaning steps: what is read, what is refused and how it is said."""

import json
import re
from pathlib import Path

import pytest

from chinesebert.errors import InputError
from data_prep.cleaning import STEPS
from data_prep.cleaning.configuration import SHIPPED, find_configuration, load_cleaning, load_steps, resolved
from data_prep.duplicates import DuplicateSettings


@pytest.fixture
def given(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Writes a YAML file."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def message(path: Path | str) -> str:
    with pytest.raises(InputError) as error:
        load_cleaning(path)
    return str(error.value)


def test_steps_come_in_the_order_of_the_file(given) -> None:  # type: ignore[no-untyped-def]
    path = given("steps:\n  - name: length\n  - {name: encoding}\n  - {name: han_share, min_han_share: 0.5}\n")
    assert [step.name for step in load_steps(path)] == ["length", "encoding", "han_share"]


def test_thresholds_of_the_file_replace_the_defaults(given) -> None:  # type: ignore[no-untyped-def]
    step = load_steps(given("steps: [{name: length, min_han: 25}]"))[0]
    assert step.settings() == {"name": "length", "min_han": 25, "min_sentences": 0}


def test_whole_number_is_good_for_a_share(given) -> None:  # type: ignore[no-untyped-def]
    assert load_steps(given("steps: [{name: han_share, min_han_share: 1}]"))[0].settings()["min_han_share"] == 1.0


def test_section_on_duplicates_is_passed_through(given) -> None:  # type: ignore[no-untyped-def]
    cleaning = load_cleaning(given("steps: [{name: length}]\nduplicates: {similarity: 0.8}\n"))
    assert cleaning.duplicates == {"similarity": 0.8}


def test_resolved_settings_are_plain_json_with_the_defaults(given) -> None:  # type: ignore[no-untyped-def]
    settings = resolved(given("steps: [{name: repetition, max_top_ngram: {4: 0.2}}]"))
    assert json.loads(json.dumps(settings)) == settings
    assert settings["steps"][0]["max_top_ngram"] == {"4": 0.2}
    assert settings["steps"][0]["min_han"] == 50


def test_changed_list_of_words_changes_the_resolved_settings(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = given("steps: [{name: bad_words, words_file: words.txt}]")
    (tmp_path / "words.txt").write_text("甲\n乙\n", encoding="utf-8")
    first = resolved(path)
    (tmp_path / "words.txt").write_text("# 顺序不要紧\n乙\n甲\n", encoding="utf-8")
    assert resolved(path) == first
    (tmp_path / "words.txt").write_text("甲\n丙\n", encoding="utf-8")
    assert resolved(path) != first


def test_resolved_settings_do_not_depend_on_the_place_of_the_file(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = "steps: [{name: bad_words, words_file: words.txt}]"
    (tmp_path / "words.txt").write_text("甲\n", encoding="utf-8")
    first = resolved(given(text))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "words.txt").write_text("甲\n", encoding="utf-8")
    (elsewhere / "other.yaml").write_text(text, encoding="utf-8")
    assert resolved(elsewhere / "other.yaml") == first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps: [{name: lenght}]", "unknown step 'lenght'; did you mean 'length'?"),
        (
            "steps: [{name: length, min_hann: 3}]",
            "step 1 (length): unknown threshold 'min_hann'; did you mean 'min_han'?",
        ),
        ("steps: [{name: length, xyz: 3}]", "unknown threshold 'xyz' (known: min_han, min_sentences)"),
        ("steps: [{name: length, min_han: many}]", "step 1 (length): min_han: 'many' is not a whole number"),
        ("steps: [{name: length, min_han: 1.5}]", "min_han: 1.5 is not a whole number"),
        ("steps: [{name: length, min_han: true}]", "min_han: True is not a whole number"),
        ("steps: [{name: length, min_han: -1}]", "min_han: -1 is out of range; give a number of 0 or more"),
        ("steps: [{name: han_share, min_han_share: 30}]", "30.0 is out of range; give a number from 0 to 1"),
        ("steps: [{name: han_share, min_han_share: .nan}]", "nan is out of range"),
        ("steps: [{name: han_share, min_han_share: 3e-1x}]", "'3e-1x' is not a number"),
        ("steps: [{name: personal_data, phones: 1}]", "phones: 1 is not true or false"),
        ("steps: [{name: script_conversion, direction: t2x}]", "direction: 't2x' is none of t2s, tw2s"),
        ("steps: [{name: repetition, max_top_ngram: {0: 0.2}}]", "max_top_ngram: 0 is out of range"),
        ("steps: [{name: repetition, max_top_ngram: [3, 0.2]}]", "is not a table of n: share"),
        ("steps: [{name: length}, {name: length}]", "step 'length' is listed 2 times"),
        ("steps: [{min_han: 3}]", "step 1 has no name"),
        ("steps: [length]", "step 1 has no name"),
        ("steps: []", "no list of 'steps'"),
        ("step: [{name: length}]", "unknown section 'step'; did you mean 'steps'?"),
        ("steps: [{name: length}]\nduplicates: [1]", "'duplicates' is not a table"),
        ("- length", "not a cleaning file"),
        ("steps: [{name: length}", "not a YAML file that can be read"),
        ("steps: [{name: bad_words, words_file: none.txt}]", "none.txt: cannot read the list of words"),
    ],
)
def test_mistake_in_the_file_is_named_with_what_to_do(given, text: str, expected: str) -> None:  # type: ignore[no-untyped-def]
    path = given(text)
    said = message(path)
    assert expected in said
    assert path.parent.name in said


def test_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gbk.yaml"
    path.write_bytes("steps: [{name: length}] # 长度".encode("gbk"))
    assert str(path) in message(path)


def test_unknown_shipped_name_suggests_the_nearest() -> None:
    assert message("wbe") == "wbe: no cleaning of this name; did you mean 'web'?; or give a YAML file"


def test_missing_file_is_named() -> None:
    assert message("missing/file.yaml").startswith("missing/file.yaml: no such file")


def test_shipped_file_is_found_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_configuration("web") == SHIPPED / "web.yaml"


def test_shipped_file_lists_every_step_but_the_optional_conversion() -> None:
    assert [step.name for step in load_steps("web")] == [name for name in STEPS if name != "script_conversion"]


def test_shipped_file_gives_every_threshold_and_the_constructors_the_same_defaults() -> None:
    for step in load_steps("web"):
        assert type(step)().settings() == step.settings()
        given = set(step.settings()) - {"name", "words_file"}
        text = (SHIPPED / "web.yaml").read_text(encoding="utf-8")
        section = text.split(f"- name: {step.name}\n")[1].split("- name:")[0]
        assert all(f"    {threshold}: " in section for threshold in given)


def test_shipped_file_says_where_each_threshold_comes_from() -> None:
    sources = (
        r"\b(here|measured|Gopher|FineWeb|ChineseWebText|WuDaoCorpora|GB|only|Jaccard|characters|times|the same)\b"
    )
    block = ""
    for line in (SHIPPED / "web.yaml").read_text(encoding="utf-8").split("steps:\n")[1].splitlines():
        if re.match(r"    \w+: ", line) and "true" not in line:
            assert re.search(sources, line.partition("#")[2] + block), line
        block = block + line if line.strip().startswith("#") else ""


def test_shipped_section_on_duplicates_means_something() -> None:
    assert DuplicateSettings.from_section(load_cleaning("web").duplicates, "web.yaml").near
