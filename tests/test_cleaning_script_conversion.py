"""Conversion between traditional and simplified characters, and what is said where OpenCC is missing."""

import builtins
from typing import Any

import pytest

from chinesebert.errors import InputError
from data_prep.cleaning import script_conversion
from data_prep.cleaning.script_conversion import ScriptConversion


@pytest.fixture(autouse=True)
def _fresh_converters() -> None:
    script_conversion._converter.cache_clear()


def test_traditional_text_becomes_simplified() -> None:
    pytest.importorskip("opencc")
    assert ScriptConversion().outcome("頭髮發白，乾隆皇帝，乾燥。") == "头发发白，乾隆皇帝，干燥。"


def test_direction_is_chosen() -> None:
    pytest.importorskip("opencc")
    assert ScriptConversion(direction="s2twp").outcome("软件和鼠标") == "軟體和滑鼠"


def test_paragraphs_stay() -> None:
    pytest.importorskip("opencc")
    assert str(ScriptConversion().outcome("第一段。\n第二段說明。\n第三段。")).count("\n") == 2


def test_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_opencc(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "opencc":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_opencc)
    step = ScriptConversion()
    with pytest.raises(InputError, match=r"chinesebert-pretraining\[opencc\]"):
        step.outcome("說明")
