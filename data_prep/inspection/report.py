"""The report on a corpus: one HTML page with its pictures inside, which needs nothing else to be shown."""

import base64
import html
import os
from collections.abc import Iterator, Mapping, Sequence

from chinesebert.atomic import atomic_file
from data_prep.inspection.documents import ShownDocument, Word
from data_prep.inspection.sections import Section, sections
from data_prep.inspection.summary import Heteronym, Summary

_STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: #222;
       max-width: 1180px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; overflow-wrap: anywhere; }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; } td, th { padding: 1px 12px 1px 0; text-align: right; font-weight: normal; }
td:first-child, th:first-child { text-align: left; white-space: pre; } th { color: #666; }
.items span { display: inline-block; margin-right: 1.2em; }
.plots { display: flex; flex-wrap: wrap; gap: 1em; } figure { margin: 0; } figcaption { font-weight: 600; }
.plots img { width: 560px; max-width: 100%; }
.bar { display: flex; width: 320px; height: 14px; } .bar i { display: block; height: 100%; }
.document { margin: 0.6em 0 1.6em; line-height: 2.3; } .title, .left-out { color: #666; line-height: 1.5; }
.sentence { margin: 0; } .word { border-bottom: 2px solid #b8c9d6; margin-right: 0.45em; white-space: nowrap; }
rt { font-size: 0.6em; color: #555; padding: 0 0.15em; }
.number { color: #b5532c; font-size: 0.75em; margin-right: 0.7em; }
"""
_BAR_COLOURS = ("#33658a", "#e08e45", "#7fa86f", "#a86f9b")


def write_report(
    path: str | os.PathLike[str], summary: Summary, plots: Mapping[str, bytes], documents: Sequence[ShownDocument]
) -> None:
    """Writes the page; it appears under its name when it is complete.

    Args:
        path: of the HTML file.
        summary: what was counted.
        plots: what each shows -> PNG.
        documents: to be shown with their words and pinyin.

    Raises:
        InputError: the folder of ``path`` cannot be written, or ``path`` is a folder.
    """
    with atomic_file(path) as unfinished:
        unfinished.write_text("\n".join(_page(summary, plots, documents)) + "\n", encoding="utf-8")


def _page(summary: Summary, plots: Mapping[str, bytes], documents: Sequence[ShownDocument]) -> Iterator[str]:
    title = html.escape(summary.corpus)
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>Prepared corpus {title}</h1>"
    yield f"<p>Pinyin of {html.escape(summary.readings)}, words of {html.escape(summary.segmenter)}.</p>"
    yield '<div class="plots">'
    for name, png in plots.items():
        yield _figure(name, png)
    yield "</div>"
    for section in sections(summary):
        yield from _section(section)
        if section.title == "Heteronyms":
            yield from _heteronyms(summary.pinyin.most_frequent_heteronyms)
    if documents:
        yield "<h2>Documents chosen by chance</h2>"
    for document in documents:
        yield from _document(document)
    yield "</body>\n</html>"


def _figure(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    caption = html.escape(name)
    picture = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure><figcaption>{caption}</figcaption>{picture}</figure>"


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{html.escape(section.title)}</h2>\n<table>"
    if section.header:
        yield _row(section.header, "th")
    for row in section.rows:
        yield _row(row, "td")
    yield "</table>"
    for name, items in section.lists:
        if not items:
            continue
        spans = " ".join(f"<span>{html.escape(item)}</span>" for item in items)
        yield f'<p class="items">{html.escape(name)}:<br>{spans}</p>'


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _heteronyms(heteronyms: Sequence[Heteronym]) -> Iterator[str]:
    """A bar for each character, divided as its readings are."""
    yield "<table>"
    for heteronym in heteronyms:
        shown = list(heteronym.readings.items())[: len(_BAR_COLOURS)]
        parts = "".join(
            f'<i style="width: {count / heteronym.occurrences:.2%}; background: {colour}"></i>'
            for (_, count), colour in zip(shown, _BAR_COLOURS, strict=False)
        )
        shares = ", ".join(f"{name} {count / heteronym.occurrences:.1%}" for name, count in shown)
        bar = f'<td><div class="bar">{parts}</div></td>'
        yield f"<tr><td>{html.escape(heteronym.character)}</td>{bar}<td>{html.escape(shares)}</td></tr>"
    yield "</table>"


def _document(document: ShownDocument) -> Iterator[str]:
    yield f'<div class="document"><div class="title">{html.escape(document.title)}</div>'
    for number, sentence in enumerate(document.sentences, start=1):
        words = " ".join(map(_word, sentence))
        yield f'<p class="sentence"><span class="number">{number}</span>{words}</p>'
    if document.left_out:
        yield f'<div class="left-out">… and {document.left_out:,} more tokens</div>'
    yield "</div>"


def _word(word: Word) -> str:
    """A word with the pinyin over its characters; a word without any as it is."""
    if not word.pinyin:
        return f'<span class="word">{html.escape(word.text)}</span>'
    pairs = "".join(
        f"{html.escape(text)}<rt>{html.escape(syllable)}</rt>"
        for text, syllable in zip(word.written, word.syllables, strict=True)
    )
    return f'<span class="word"><ruby>{pairs}</ruby></span>'
