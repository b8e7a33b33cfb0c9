"""Reads ``configs/cleaning/*.yaml``: which steps, in which order, with which thresholds."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chinesebert.errors import InputError
from data_prep.cleaning import STEPS, step_class
from data_prep.cleaning.step import CleaningStep
from data_prep.cleaning.thresholds import FileName, ThresholdError, check_threshold, threshold_types

# Where the shipped files are; ``web`` means web.yaml in it.
SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "cleaning"
_SECTIONS = ("steps", "duplicates", "decontamination")


@dataclass(frozen=True)
class Cleaning:
    """What a cleaning file says.

    Attributes:
        steps: in the order in which documents pass them.
        duplicates, decontamination: its sections of the same names, as they stand there; ``data_prep.duplicates`` and
            ``data_prep.decontamination`` know what they mean. None where the file has no such section.
    """

    steps: list[CleaningStep]
    duplicates: dict[str, Any] | None
    decontamination: dict[str, Any] | None

    def resolved(self) -> dict[str, Any]:
        """All settings with the defaults filled in, as plain JSON; equal for two runs that clean alike."""
        steps = [step.settings() for step in self.steps]
        return {"steps": steps, "duplicates": self.duplicates, "decontamination": self.decontamination}


def load_cleaning(given: str | Path) -> Cleaning:
    """The steps of a YAML file, given by its path, or by its name if it is a shipped one (``web``).

    Raises:
        InputError: there is no such file, it is not YAML, or it names an unknown step or threshold, gives a value of
            a wrong type or out of range, or lists a step twice.
    """
    path = find_configuration(given)
    content = _read(path)
    _refuse_unknown(path, "section", content, _SECTIONS)
    steps = content.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InputError(f"{path}: no list of 'steps' (write: steps: [{{name: length}}, …])")
    duplicates, decontamination = (_section(path, content, name) for name in _SECTIONS[1:])
    _refuse_repeated(path, steps)
    steps = [_build(path, number, entry) for number, entry in enumerate(steps, start=1)]
    return Cleaning(steps, duplicates, decontamination)


def _section(path: Path, content: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A section of names and values; ``duplicates:`` with nothing after it has the defaults."""
    if name not in content:
        return None
    section = content[name] or {}
    if not isinstance(section, dict):
        raise InputError(f"{path}: {name!r} is not a table of names and values")
    return section


def load_steps(given: str | Path) -> list[CleaningStep]:
    """The steps of ``load_cleaning``."""
    return load_cleaning(given).steps


def resolved(given: str | Path) -> dict[str, Any]:
    """The settings of a YAML file with all defaults filled in, as plain JSON: to notice that they have changed."""
    return load_cleaning(given).resolved()


def find_configuration(given: str | Path) -> Path:
    """The file that ``given`` names: a path, or the name of a shipped one.

    Raises:
        InputError: there is none.
    """
    path = Path(given)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}
    if str(given) in shipped:
        return shipped[str(given)]
    if path.name == str(given) and not path.suffix:
        raise InputError(f"{given}: no cleaning of this name{_suggestion(str(given), shipped)}; or give a YAML file")
    raise InputError(f"{given}: no such file; give a YAML file of cleaning steps, or one of: {', '.join(shipped)}")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML file that can be read ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a cleaning file; it begins with 'steps:' and lists them below")
    return content


def _refuse_repeated(path: Path, steps: list[Any]) -> None:
    names = [entry.get("name") for entry in steps if isinstance(entry, dict)]
    for name in names:
        if names.count(name) > 1:  # the table at the end of a run has a row a step
            raise InputError(f"{path}: step {name!r} is listed {names.count(name)} times; list it once")


def _build(path: Path, number: int, entry: Any) -> CleaningStep:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise InputError(f"{path}: step {number} has no name (write: - name: length)")
    thresholds = dict(entry)
    name = thresholds.pop("name")
    _refuse_unknown(path, "step", [name], STEPS)
    kind = step_class(name)
    where = f"{path}: step {number} ({name})"
    types = threshold_types(kind)
    _refuse_unknown(where, "threshold", thresholds, types)
    given = {key: _checked(f"{where}: {key}", value, types[key], path) for key, value in thresholds.items()}
    try:
        return kind(**given)
    except ThresholdError as error:
        raise InputError(f"{where}: {error}") from error


def _checked(where: str, value: Any, kind: Any, path: Path) -> Any:
    try:
        checked = check_threshold(value, kind)
    except ThresholdError as error:
        raise InputError(f"{where}: {error}") from error
    if FileName() in getattr(kind, "__metadata__", ()) and checked is not None:
        return str(path.parent / checked)
    return checked


def _refuse_unknown(where: str | Path, what: str, given: Iterable[Any], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"{where}: unknown {what} {name!r}{_suggestion(str(name), known)}")


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f" (known: {', '.join(known) or 'none'})"
