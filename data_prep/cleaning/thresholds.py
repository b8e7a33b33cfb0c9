"""The types of thresholds: what a step's arguments may be, and the check of what a YAML file gives for them."""

import inspect
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class Range:
    """From ``least`` to ``most``, both allowed; no ``most`` means that there is none."""

    least: float
    most: float | None = None

    def __str__(self) -> str:
        return f"from {self.least:g} to {self.most:g}" if self.most is not None else f"of {self.least:g} or more"


@dataclass(frozen=True)
class FileName:
    """A path, given relative to the YAML file that names it."""


# A part of a whole: 0.05 is 5 %.
Share = Annotated[float, Range(0.0, 1.0)]
# How many.
Count = Annotated[int, Range(0)]
# The length of an n-gram in characters -> the share of the text that may be made of such n-grams.
SharesByLength = dict[Annotated[int, Range(1, 64)], Share]
# A file that the user may name; None: the one that comes with the step, or none.
OptionalFile = Annotated[str | None, FileName()]

_TYPE_NAMES = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    dict: "a table of n: share",
    str: "text",
}


class ThresholdError(ValueError):
    """A value does not fit its threshold; the message says what would, without naming file or step."""


def threshold_types(step: type) -> dict[str, Any]:
    """The arguments that ``step`` takes, with their types (``Annotated``, where there is a range)."""
    hints = typing.get_type_hints(step.__init__, include_extras=True)  # type: ignore[misc]
    return {name: hints[name] for name in inspect.signature(step).parameters}


def check_threshold(value: Any, kind: Any) -> Any:
    """``value`` as the type ``kind`` says.

    Raises:
        ThresholdError: it is of another type or out of range.
    """
    if typing.get_origin(kind) is Annotated:
        base, limits = typing.get_args(kind)
        return _check_range(_check_type(value, base), limits)
    if typing.get_origin(kind) is Literal:
        return _check_choice(value, typing.get_args(kind))
    if typing.get_origin(kind) is dict:
        key_kind, value_kind = typing.get_args(kind)
        entries = _check_type(value, dict).items()
        return {check_threshold(key, key_kind): check_threshold(entry, value_kind) for key, entry in entries}
    return _check_type(value, kind)


def _check_range(value: Any, limits: Range | FileName) -> Any:
    if isinstance(limits, FileName):
        return value
    # Written so that "not a number" fails too.
    if not (value >= limits.least and (limits.most is None or value <= limits.most)):
        raise ThresholdError(f"{value} is out of range; give a number {limits}")
    return value


def _check_choice(value: Any, choices: tuple[Any, ...]) -> Any:
    if value not in choices:
        raise ThresholdError(f"{value!r} is none of {', '.join(map(str, choices))}")
    return value


def _check_type(value: Any, kind: Any) -> Any:
    allowed = typing.get_args(kind) or (kind,)
    if float in allowed and type(value) is int:
        return float(value)
    if type(value) not in allowed:
        wanted = " or ".join(_TYPE_NAMES[entry] for entry in allowed if entry is not type(None))
        raise ThresholdError(f"{value!r} is not {wanted}")
    return value
