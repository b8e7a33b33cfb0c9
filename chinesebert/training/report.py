"""The report on a run: one HTML page with its curves inside, which needs nothing else to be shown."""

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.training.cloze import hidden_character
from chinesebert.training.curves import draw_comparison, draw_curves, require_matplotlib
from chinesebert.training.run_log import Entry
from chinesebert.training.run_record import RunRecord, read_run

REPORT_FILE = "report.html"
_CLOZE_STEPS = 6
_EVENTS_SHOWN = 100
_STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: #222;
       max-width: 1180px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; overflow-wrap: anywhere; }
h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; } td, th { padding: 1px 14px 1px 0; text-align: left; font-weight: normal;
        vertical-align: top; overflow-wrap: anywhere; }
th { color: #666; } td:first-child { white-space: nowrap; } b { color: #33658a; }
.plots { display: flex; flex-wrap: wrap; gap: 1em; } figure { margin: 0; } figcaption { font-weight: 600; }
.plots img { max-width: 100%; } .note { color: #666; }
"""


def write_report(run: Path, output: Path | None = None, others: Sequence[Path] = ()) -> Path:
    """Writes the page from the log of a run, finished, in progress or killed.

    Args:
        run: the folder of the run, or its folder of logs.
        output: the HTML file; ``report.html`` in ``run`` without it. It is replaced when the new one is complete.
        others: runs whose losses are shown beside those of this one.

    Returns:
        The HTML file.

    Raises:
        InputError: a folder holds no log, a line of one is damaged, the page cannot be written, or there is no
            matplotlib.
    """
    require_matplotlib("the report")
    records = [read_run(path) for path in (run, *others)]
    page = "\n".join(_page(records[0], records[1:])) + "\n"
    path = output or run / REPORT_FILE
    with atomic_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return path


def write_report_if_possible(run: Path) -> str:
    """For the end of a run, which a report must not make fail: writes it, and returns a line that says where it is, or
    why there is none."""
    try:
        return f"report   {write_report(run)}"
    except (InputError, OSError) as error:
        return f"report   not written: {error}"


def _page(record: RunRecord, others: Sequence[RunRecord]) -> Iterator[str]:
    title = html.escape(record.directory.resolve().name)
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>Pretraining run {title}</h1>"
    yield from _table(_summary(record))
    yield '<h2>Curves</h2>\n<div class="plots">'
    for name, png in draw_curves(record).items():
        yield _figure(name, png)
    yield '</div>\n<p class="note">Dotted: the run went on after a stop. Red ticks: skipped steps.</p>'
    if others:
        yield "<h2>Beside other runs</h2>"
        yield _figure("Masked-LM loss", draw_comparison([record, *others]))
    yield from _cloze(record.of_kind("cloze"))
    yield from _events(record.events())
    yield from _section("Recipe", record.recipe)
    yield from _section("Hardware", record.fact("hardware"))
    yield from _section("Versions", record.fact("versions"))
    yield "</body>\n</html>"


def _summary(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Name and value of what the run has come to."""
    if not record.entries:
        yield "state", "nothing logged yet"
        return
    last = record.entries[-1]
    most = record.recipe.get("max_steps")
    yield "steps", f"{last['step']:,}" + (f" of {most:,}" if isinstance(most, int) else "")
    yield "logged", f"{_moment(record.entries[0])} to {_moment(last)}"
    parameters = record.fact("parameters")
    if parameters is not None:
        yield "parameters", f"{parameters:,} trained"
    for name, label, form in _SUMMARY:
        value = record.last(name)
        if value is not None:
            yield label, format(value, form)
    entropy = record.fact("unigram_entropy")
    if entropy is not None:
        yield "unigram entropy of the corpus", f"{entropy:.3f} nats (what knowing frequencies alone scores)"
    counted = ", ".join(f"{len(record.events(name))} {label}" for name, label in _COUNTED)
    yield "on the way", counted


_SUMMARY = (
    ("epoch", "epochs", ".2f"),
    ("tokens_seen", "tokens read", ",.0f"),
    ("loss", "training loss", ".3f"),
    ("eval_loss", "held-out loss", ".3f"),
    ("eval_whole_word_char_accuracy", "held-out, tokens of masked whole words", ".1%"),
    ("eval_whole_word_word_accuracy", "held-out, masked whole words", ".1%"),
    ("eval_character_char_accuracy", "held-out, masked characters", ".1%"),
    ("tokens_per_second", "tokens of text a second", ",.0f"),
    ("mfu", "MFU", ".1%"),
)
_COUNTED = (("resume", "restarts"), ("skipped", "skipped steps"), ("saved", "saves"), ("save_failed", "failed saves"))


def _moment(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.get("time", 0), timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> Iterator[str]:
    """Cells are escaped."""
    yield "<table>"
    if header:
        yield _row(map(html.escape, header), "th")
    for row in rows:
        yield _row(map(html.escape, row), "td")
    yield "</table>"


def _row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _figure(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    caption = html.escape(name)
    picture = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure><figcaption>{caption}</figcaption>{picture}</figure>"


def _section(title: str, facts: Mapping[str, Any] | None) -> Iterator[str]:
    if facts:
        yield f"<h2>{html.escape(title)}</h2>"
        yield from _table([name, _shown(value)] for name, value in facts.items())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _cloze(entries: Sequence[Entry]) -> Iterator[str]:
    """A row a sentence, a column each for some of the steps: the best guess, bold where right."""
    at = {
        entry["step"]: {item["sentence"]: item["guesses"] for item in entry.get("sentences", ())} for entry in entries
    }
    if not at:
        return
    steps = _spread(sorted(at), _CLOZE_STEPS)
    yield "<h2>Cloze</h2>\n<p class='note'>The character in 【】 is hidden; the best guess after so many steps, and of "
    yield "the last ones the next best.</p>\n<table>"
    yield _row(["", *(f"{step:,}" for step in steps)], "th")
    for sentence in at[steps[-1]]:
        cells = [_guesses(sentence, at[step].get(sentence, []), step == steps[-1]) for step in steps]
        yield _row([html.escape(sentence), *cells], "td")
    yield "</table>"


def _spread(steps: list[int], most: int) -> list[int]:
    """At most so many of the steps, evenly, with the first and the last."""
    if len(steps) <= most:
        return steps
    return [steps[round(number * (len(steps) - 1) / (most - 1))] for number in range(most)]


def _guesses(sentence: str, guesses: Sequence[Sequence[Any]], every: bool) -> str:
    shown = []
    for token, probability in guesses if every else guesses[:1]:
        text = f"{html.escape(str(token))} {probability:.0%}"
        shown.append(f"<b>{text}</b>" if token == hidden_character(sentence) else text)
    return " &nbsp;".join(shown)


def _events(events: Sequence[Entry]) -> Iterator[str]:
    if not events:
        return
    yield "<h2>Events</h2>"
    if len(events) > _EVENTS_SHOWN:
        yield f'<p class="note">The last {_EVENTS_SHOWN} of {len(events):,}.</p>'
    yield from _table(
        (
            [_moment(event), f"{event['step']:,}", str(event.get("event")), _details(event)]
            for event in events[-_EVENTS_SHOWN:]
        ),
        ("time", "step", "event", ""),
    )


# Shown elsewhere on the page.
_NOT_DETAILS = {"step", "time", "kind", "event", "versions", "hardware", "recipe", "unigram_entropy", "parameters"}


def _details(event: Entry) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in event.items() if name not in _NOT_DETAILS)
