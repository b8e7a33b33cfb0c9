"""Tags, entities, style sheets and code go; text about HTML and mathematics stays."""

import time

import pytest

from data_prep.cleaning.html_residue import HtmlResidue
from data_prep.cleaning.step import Dropped

PROSE = "这一段介绍了网站的由来，也说明了以后的打算，读者可以自己判断。"


def outcome(text: str) -> str | Dropped:
    return HtmlResidue().outcome(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>今天天气很好。</p><p>明天也好。</p>", "今天天气很好。\n明天也好。"),
        ("第一行<br/>第二行<BR>第三行", "第一行\n第二行\n第三行"),
        ('他<strong>很</strong><span style="color:red">高兴</span>。', "他很高兴。"),
        ('见<a href="http://example.com/?a=1&amp;b=2" target="_blank">这里</a>。', "见这里。"),
        ("你好<!-- 注释\n两行 -->世界<script>alert('<b>')</script><style>p{color:red}</style>。", "你好世界。"),
        ("&ldquo;好&rdquo;&nbsp;&copy;&#x4e2d;&#22269;&yen;100", "“好” ©中国¥100"),
        ("&amp;nbsp;缩进&nbsp；&nbsp两格&#8203;", "缩进  两格"),
        ("&lt;p&gt;转义过的段落&lt;/p&gt;", "转义过的段落"),
        ("&lt;div class='a'&gt;第一行&lt;br&gt;第二行", "第一行\n第二行"),
        ("<p>第一行&lt;br&gt;第二行</p>", "第一行\n第二行"),
        ("[b]粗[i]斜[/i][/b]，[B]大写[/b]。", "粗斜，大写。"),
        ('正文在这里<a href="http://www.example.com/', "正文在这里"),
        ("[url=http://example.com]链接[/url]，图[img]http://example.com/a.jpg[/img]。", "链接，图。"),
        (".TRS_Editor P{line-height:2;font-family:宋体;}\n关于印发通知的决定", "关于印发通知的决定"),
        (".a{color:#fff;margin:0 auto}.b a:hover{display:none;}关于印发通知的决定", "关于印发通知的决定"),
    ],
)
def test_markup_is_taken_out(text: str, expected: str) -> None:
    assert outcome(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "使用 <div> 标签，或者“<span>”元素，以及 `<b>`。",
        "类型是 List<String>，头文件是 <iostream>。",
        "若 a < b 且 c > d，则 f(x) = x² + 1；其中 x ≠ 0。",
        "地址是 http://example.com/?a=1&copy=2&lt=3，AT&T 和 R&D 不变。",
        "音标 [i] 和 [u] 的读法；数组 a[0]、a[i]。",
        "路径是 [/home]，元素是 a[b]。",
        "当配置了 {headless: false} 之后，就可以看到 Chrome 的操作。",
        "设置 body { color: red } 之后，文字变成红色。",
        "《<红楼梦>研究》<前言>",
    ],
)
def test_text_with_signs_stays(text: str) -> None:
    assert outcome(text) == text


@pytest.mark.parametrize("tag", ["br", "p", "br/"])
def test_an_escaped_tag_that_prose_speaks_of_stays(tag: str) -> None:
    assert outcome(f"换行时写 &lt;{tag}&gt; 就可以了，不必关闭。") == f"换行时写 <{tag}> 就可以了，不必关闭。"


def test_script_lines_are_taken_out_of_an_article() -> None:
    script = 'var hm = document.createElement("script");\n(function() {\n  s.parentNode.insertBefore(hm, s);\n})();'
    assert outcome(f"{PROSE * 6}\n{script}\n{PROSE}") == f"{PROSE * 6}\n{PROSE}"


def test_comments_in_chinese_do_not_make_code_prose() -> None:
    assert outcome(f"{PROSE * 3}\nint total = sum(a, b); // 求和") == PROSE * 3


def test_document_that_is_mostly_code_is_dropped() -> None:
    code = "\n".join(f"for (int i = {n}; i < 10; i++) {{ sum += a[i]; }}" for n in range(10))
    assert outcome(f"{PROSE}\n{code}") == Dropped("mostly code", "94% of the characters")


def test_style_sheet_alone_leaves_nothing() -> None:
    assert outcome("body{margin:0;padding:0}\n.nav{float:left}") == Dropped("nothing left")


def test_much_markup_around_good_text_is_no_reason_to_drop_it() -> None:
    assert outcome(f'<div class="content" id="main-article-body-of-the-page"><p align="justify">{PROSE}</p></div>' * 3)


@pytest.mark.parametrize("piece", ["<p ", "<!--", "<script>", "&", "a{color:", "[img]", "{", '<a href="', "<style>-->"])
def test_damaged_markup_takes_no_longer(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.perf_counter()
    outcome(text)
    assert time.perf_counter() - started < 2
