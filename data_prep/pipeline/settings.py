"""What the bytes of a corpus depend on: written down at the first start, and compared when a command runs again."""

import datetime
import importlib.metadata
import json
import platform
import re
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from data_prep.pipeline.workspace import SUFFIX

# The packages whose version may change the result.
_PACKAGES = (
    *("chinesebert-pretraining", "jieba", "rjieba", "pypinyin", "ahocorasick-rs", "tokenizers", "ftfy", "opencc"),
    *("datatrove", "trafilatura", "lxml", "warcio"),
)
_SHOWN = 5
_ORDER = "order of inputs"
_LOCAL_FILE = re.compile(r"(?P<bytes>\d+) bytes, \d+-(?P<changed>\d{18,20})")
_DIGEST = re.compile("[0-9a-f]{64}")


def package_versions() -> dict[str, str]:
    """The installed versions of the packages that take part; those that are missing are left out."""
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def load_settings(path: Path) -> dict[str, Any] | None:
    """The settings in a file; None where there is none.

    Raises:
        InputError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete {path.parent} to start afresh") from error
    return content["settings"] if isinstance(content, dict) and "settings" in content else content


def changes(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two settings, a line each: ``cleaning.steps[2].share: 0.2, was 0.3``."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        parts = [changes(before.get(key), now.get(key), f"{name}.{key}" if name else str(key)) for key in keys]
        return [line for part in parts for line in part]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        parts = [changes(*pair, f"{name}[{number}]") for number, pair in enumerate(zip(before, now, strict=True))]
        return [line for part in parts for line in part]
    return [] if before == now else [f"{name}: {_shown(now)}, was {_shown(before)}"]


def _input_changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What differs between the input files, in words."""
    lines = []
    for url in [*before, *(url for url in now if url not in before)]:
        if url not in now:
            lines.append(f"input {url}: is not given, or not there, any more")
        elif url not in before:
            lines.append(f"input {url}: was not there before")
        elif before[url] != now[url]:
            lines.append(f"input {url}: has changed: {_shown_file(now[url])}, was {_shown_file(before[url])}")
    return lines


def _shown_file(described: str) -> str:
    """Size and time of change of a local file; what else tells the versions of a remote one apart as it stands."""
    match = _LOCAL_FILE.fullmatch(described)
    if match is None:
        return described
    changed = datetime.datetime.fromtimestamp(int(match["changed"]) / 1e9)
    return f"{int(match['bytes']):,} bytes of {changed.isoformat(' ', 'milliseconds')}"


def _shown(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return f"SHA-256 {value[:8]}…"
    text = f"{len(value)} entries" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "…"


def _told_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """As ``changes``, but for the input files, whose numbers tell people nothing."""
    if not (isinstance(before.get("inputs"), dict) and isinstance(now.get("inputs"), dict)):
        return changes(before, now)
    lines = _input_changes(before["inputs"], now["inputs"])
    if not lines and before.get(_ORDER) != now.get(_ORDER):
        lines = ["the inputs are given in another order"]
    return lines + changes(_without_inputs(before), _without_inputs(now))


def _without_inputs(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in ("inputs", _ORDER)}


def refuse_changes(before: dict[str, Any], now: dict[str, Any], where: Path, remedy: str) -> None:
    """Raises ``InputError`` naming what has changed, if anything has."""
    lines = _told_changes(before, json.loads(json.dumps(now)))
    if lines:
        verb = "begun" if where.name.endswith(SUFFIX) else "made"
        more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        raise InputError(
            f"{where}: was {verb} with other settings:\n  " + "\n  ".join(lines[:_SHOWN]) + f"{more}\n{remedy}"
        )
