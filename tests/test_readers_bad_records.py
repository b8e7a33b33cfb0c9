"""What is kept about bad records: counts, a few places, and the sum over many tasks."""

import json

import pytest

from chinesebert.errors import InputError
from data_prep.readers import BadRecords
from data_prep.readers.bad_records import EXAMPLES_PER_REASON, UnreadableFile


def counted(first: int, last: int) -> BadRecords:
    """Something of everything, from so many lines."""
    bad = BadRecords()
    for line in range(first, last):
        bad.add(f"a.jsonl:{line}", "not valid JSON", "Expecting value")
        bad.repair(f"a.jsonl:{line}", "NUL characters removed")
        bad.pass_over(f"a.warc:record {line}", "not HTML")
        bad.add_file(f"{line}.gz", UnreadableFile("damaged gzip file", "it ends too early"))
    return bad


def test_examples_are_few_whatever_the_number() -> None:
    bad = counted(0, 1000)
    assert bad.counts == {"not valid JSON": 1000}
    assert {len(examples) for examples in bad.examples.values()} == {EXAMPLES_PER_REASON}
    assert bad.examples["not valid JSON"][0] == "a.jsonl:0: not valid JSON (Expecting value)"


def test_the_first_examples_of_every_reason_are_kept() -> None:
    bad = counted(0, 100)
    bad.add("b.jsonl:1", "not UTF-8")
    assert bad.examples["not UTF-8"] == ["b.jsonl:1: not UTF-8"]


def test_a_long_detail_becomes_one_short_line() -> None:
    bad = BadRecords()
    bad.add("a:1", "bad", "line\n" * 10_000)
    assert len(bad.examples["bad"][0]) < 400
    assert "\n" not in bad.examples["bad"][0]


def test_tasks_put_together_are_as_one() -> None:
    together = counted(0, 3)
    together.merge(counted(3, 40))
    assert together == counted(0, 40)


def test_merging_leaves_the_other_as_it_was() -> None:
    other = counted(0, 3)
    together = BadRecords()
    together.merge(other)
    together.merge(other)
    assert other == counted(0, 3)
    assert together.counts == {"not valid JSON": 6}


@pytest.mark.parametrize("bad", [BadRecords(), BadRecords(strict=True), counted(0, 7)], ids=["none", "strict", "all"])
def test_it_goes_through_json_unchanged(bad: BadRecords) -> None:
    assert BadRecords.from_dict(json.loads(json.dumps(bad.to_dict()))) == bad


def test_nothing_bad_is_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    BadRecords().report()
    assert capsys.readouterr().out == ""


def test_the_report_has_number_reason_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    counted(1, 1235).report()
    lines = capsys.readouterr().out.splitlines()
    assert "skipped 1,234 bad records: not valid JSON" in lines
    assert "repaired 1,234 records: NUL characters removed" in lines
    assert "passed over 1,234 records: not HTML" in lines
    assert "did not read, or not wholly, 1,234 files: damaged gzip file" in lines
    assert "  a.jsonl:1: not valid JSON (Expecting value)" in lines
    assert len(lines) == 4 * (1 + EXAMPLES_PER_REASON)


def test_one_is_not_many() -> None:
    assert counted(0, 1).lines()[0] == "did not read, or not wholly, 1 file: damaged gzip file"


def test_strict_refuses_with_place_reason_and_remedy() -> None:
    with pytest.raises(InputError, match=r"^a:1: bad \(very\); mend or remove it, or run without --strict to skip it$"):
        BadRecords(strict=True).add("a:1", "bad", "very")
    with pytest.raises(InputError, match=r"^a\.gz: bad; fetch .*, or run without --strict to go on with what can be"):
        BadRecords(strict=True).add_file("a.gz", UnreadableFile("bad"))
    with pytest.raises(InputError, match=r"^a:1: NUL; mend it, or run without --strict to have it repaired$"):
        BadRecords(strict=True).repair("a:1", "NUL")


def test_strict_lets_pass_what_was_never_text() -> None:
    bad = BadRecords(strict=True)
    bad.pass_over("a.warc:record 1", "not HTML")
    assert bad.passed_over == {"not HTML": 1}
