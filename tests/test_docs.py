"""The documentation can be followed: its commands parse, its links lead somewhere, both languages say the same."""

import re
import shlex
from pathlib import Path

import pytest

from data_prep.__main__ import COMMANDS, build_parser
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(path: Path) -> list[list[str]]:
    """Every command in a page's shell blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def data_prep_commands() -> list[list[str]]:
    found = [words[3:] for page in PAGES for words in commands(page) if words[1:3] == ["-m", "data_prep"]]
    return found + [shlex.split(line)[3:] for line in make_recipes() if "-m data_prep" in line]


def make_recipes() -> list[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return [line.strip().lstrip("@") for line in text.splitlines() if line.startswith("\t")]


@pytest.mark.parametrize("words", data_prep_commands(), ids=" ".join)
def test_a_documented_data_prep_command_parses(words: list[str]) -> None:
    args = build_parser(words[0]).parse_args(words)
    assert args.command == words[0]


@pytest.mark.parametrize("words", [w for page in PAGES for w in commands(page) if w[0] == "make"], ids=" ".join)
def test_a_documented_make_target_exists(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(words[1:]) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_commands_exist(page: Path) -> None:
    for words in commands(page):
        for word in words:
            if word.startswith(("launch/", "configs/", "fonts/", "tests/")):
                assert (ROOT / word).exists(), word


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_both_readmes_give_the_same_commands() -> None:
    assert commands(ROOT / "README.md") == commands(ROOT / "README.zh-CN.md")


def test_every_command_of_data_prep_has_its_module() -> None:
    for name in COMMANDS:
        assert (ROOT / "data_prep" / f"{name}.py").is_file()


def test_the_sample_text_is_large_and_repeats_nothing() -> None:
    for part, least in (("train", 20_000), ("heldout", 2_000)):
        lines = [
            line
            for path in sorted((ROOT / "data_prep" / "sample" / part).glob("*.txt"))
            for line in path.read_text(encoding="utf-8").split("\n")
            if line
        ]
        assert sum(len(re.findall("[\u4e00-\u9fff]", line)) for line in lines) >= least
        assert len(set(lines)) == len(lines)
