"""Settings from a YAML recipe and the flags that override it: unknown names are refused with the nearest known one."""

import argparse
import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from transformers import HfArgumentParser

from chinesebert.errors import InputError

A = TypeVar("A")

#: Called with the names given and where they were given; raises InputError for those that cannot be set.
Check = Callable[[Iterable[str], str], None]


def parse_settings(
    arguments: type[A],
    argv: Sequence[str],
    check: Check | None = None,
    defaults: Mapping[str, Any] | None = None,
    is_shown: Callable[[str], bool] | None = None,
) -> A:
    """Reads ``--config FILE`` and the flags that override it into a dataclass of arguments.

    Args:
        arguments: the dataclass.
        argv: the command line.
        check: refuses more than unknown names.
        defaults: instead of the dataclass's own; recipe and flags override them.
        is_shown: whether ``--help`` tells of a setting; of all by default.

    Raises:
        InputError: the recipe cannot be read, or a key or flag is unknown, refused, or has no such value.
    """
    parser = _Parser(arguments, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help="YAML recipe; flags override it")
    if is_shown is not None:
        parser.show(is_shown)
    names = {item.name for item in dataclasses.fields(arguments) if item.init}  # type: ignore[arg-type]
    # Launchers append --local_rank; transformers takes the rank from the environment.
    flags = [arg for arg in argv if not arg.startswith("--local_rank")]
    given = {arg[2:].split("=")[0].replace("-", "_") for arg in flags if arg.startswith("--")}
    _refuse_unknown(given, names | {"config", "help"} | {f"no_{name}" for name in names}, "flag --", "the command line")
    if check is not None:
        check(given, "the command line")
    recipe = value_of("config", flags)
    settings = {} if recipe is None else read_recipe(recipe, names, check)
    parser.set_defaults(**{**(defaults or {}), **settings})
    args: A
    args, *_, left = parser.parse_args_into_dataclasses(flags, return_remaining_strings=True, look_for_args_file=False)
    if left:
        raise InputError(f"the command line: {left[0]} belongs to no flag; see --help for all of them")
    return args


def value_of(name: str, flags: Sequence[str]) -> str | None:
    """What a flag of the command line is set to, before the rest is read; None where it is not given."""
    parser = _Quiet(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{name}")
    value: str | None = getattr(parser.parse_known_args(list(flags))[0], name)
    return value


class _Parser(HfArgumentParser):
    """Says what is wrong in a line, where argparse prints hundreds first."""

    def show(self, is_shown: Callable[[str], bool]) -> None:
        """Leaves the other flags out of ``--help``."""
        for action in self._actions:
            if action.dest not in ("help", "config") and not is_shown(action.dest.removeprefix("no_")):
                action.help = argparse.SUPPRESS

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


class _Quiet(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def read_recipe(path: str, names: Iterable[str] | None = None, check: Check | None = None) -> dict[str, Any]:
    """The settings of a recipe; with ``names``, those must be among them.

    Raises:
        InputError: it cannot be read, is not YAML, or sets what is unknown or refused.
    """
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a YAML recipe ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict):
        raise InputError(f"{path}: is not a YAML recipe (it must be a list of `name: value` lines)")
    if names is not None:
        _refuse_unknown(map(str, settings), names, "key ", path)
    if check is not None:
        check(map(str, settings), path)
    return settings


def _refuse_unknown(given: Iterable[str], known: Iterable[str], kind: str, where: str) -> None:
    known = sorted(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; see --help for all of them"
            raise InputError(f"{where}: unknown {kind}{name}{hint}")
