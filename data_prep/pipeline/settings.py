"""What the bytes of a corpus depend on: written down at the first start, and compared when a command runs again."""

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError

# The packages whose version may change the result.
_PACKAGES = (
    *("chinesebert-pretraining", "jieba", "rjieba", "pypinyin", "ahocorasick-rs", "tokenizers", "ftfy", "opencc"),
    *("datatrove", "trafilatura", "lxml", "warcio"),
)
_SHOWN = 5


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


def _shown(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "none"
    text = f"{len(value)} entries" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "…"


def refuse_changes(before: dict[str, Any], now: dict[str, Any], where: Path, remedy: str) -> None:
    """Raises ``InputError`` naming what has changed, if anything has."""
    lines = changes(before, json.loads(json.dumps(now)))
    if lines:
        more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        raise InputError(
            f"{where}: was begun with other settings:\n  " + "\n  ".join(lines[:_SHOWN]) + f"{more}\n{remedy}"
        )
