"""Finds what to read: files, folders and globs, here or wherever fsspec reaches, and Hugging Face data sets."""

import contextlib
import difflib
import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chinesebert.errors import InputError
from data_prep.readers.huggingface import PREFIX, find_dataset, how_to_name, is_saved
from data_prep.readers.sources import SUPPORTED, UNKNOWN, Source, is_remote, kind_of
from data_prep.readers.streams import why_unreachable
from data_prep.wording import counted

# What file systems call the thing that changes when a file does, most telling first.
_VERSION_KEYS: tuple[str, ...] = (
    *("ETag", "etag", "Content-MD5", "md5Hash", "content_hash", "checksum", "blob_id", "CRC"),
    *("Last-Modified", "LastModified", "last_modified", "mtime", "updated", "modified", "created"),
)
_MAGIC = "*?["
# So many files are named of those that are passed over.
_TOLD = 5


def find_inputs(inputs: Iterable[str | Path]) -> list[Source]:
    """The sources that ``inputs`` name, in that order; what a folder or glob holds, sorted by name.

    An input is a file, a folder (searched to the bottom; names that begin with a dot are passed over), a glob
    (``data/**/*.txt``), a URL of any of these that fsspec opens (``s3://…``, ``hf://datasets/…``, ``https://…``,
    ``zip://*.json::FILE.zip``), or ``hf-dataset:NAME[[:CONFIG]:SPLIT]``.

    A file that is named several times, by links too, is a source once, in its first place. What is passed over for
    that, and files of other kinds in folders, are told on stderr.

    Raises:
        InputError: there is no such input, it cannot be looked into, is of another kind, or holds no file to read.
    """
    found: dict[Any, Source] = {}
    again = []
    for given in inputs:
        for source in _find(str(given)):
            if found.setdefault(_identity(source), source) is not source:
                again.append(source.url)
    _tell("named more than once, read once", again)
    return list(found.values())


def _identity(source: Source) -> Any:
    """The same for all names of a file."""
    if source.is_local:
        with contextlib.suppress(OSError):
            status = os.stat(source.url)
            return status.st_dev, status.st_ino
    return source.url


def _tell(what: str, names: list[str]) -> None:
    """Says on stderr how many files that is true of, and which the first ones are."""
    if names:
        more = "" if len(names) <= _TOLD else ", …"
        print(f"{counted(len(names), 'file')} {what}: {', '.join(names[:_TOLD])}{more}", file=sys.stderr)


def _find(given: str) -> list[Source]:
    if given.startswith(PREFIX):
        return find_dataset(given)
    if given.startswith("file://"):
        given = given.removeprefix("file://")
    return _find_remote(given) if is_remote(given) else _find_local(given)


def _known_kinds(found: list[Source], given: str, what: str) -> list[Source]:
    sources = [source for source in found if source.kind != UNKNOWN]
    if not sources:
        raise InputError(f"{given}: {what}; give {SUPPORTED}")
    _tell("of another kind passed over", [source.url for source in found if source.kind == UNKNOWN])
    return sources


# --------------------------------------------------------------------------------------------------------------- local


def _find_local(given: str) -> list[Source]:
    path = os.path.abspath(given)  # workers on other machines may be in another folder
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return _find_glob(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); see that it can be read") from error
    if stat.S_ISDIR(mode):
        return _known_kinds(_in_folder(path), path, "no files to read in this folder")
    return _known_kinds([_local_source(path)], path, "cannot read this kind of file")


def _find_glob(path: str) -> list[Source]:
    if not glob.has_magic(path):
        raise InputError(f"{path}: no such file or folder{_nearest(path)}")
    matches = sorted(glob.glob(path, recursive=True), key=_parts)
    if not matches:
        raise InputError(f"{path}: nothing matches")
    found = [source for match in matches for source in _matched(match)]
    return _known_kinds(found, path, "no file to read matches")


def _matched(match: str) -> list[Source]:
    return _in_folder(match) if os.path.isdir(match) else [_local_source(match)]


def _in_folder(folder: str) -> list[Source]:
    if is_saved(folder):
        raise InputError(f"{folder}: this was saved by Hugging Face datasets; write {how_to_name(folder)}")
    paths = sorted(walk(folder), key=_parts)
    return [_local_source(path) for path in paths]


def walk(folder: str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[str]:
    """All files below a folder, in no order, but those whose name or folder begins with a dot.

    Links to folders are followed, but not in circles: ``above`` are the device and inode of the folders around it. A
    link to nowhere counts as a file, so that it is named when it is read.

    Raises:
        InputError: a folder cannot be looked into.
    """
    try:
        status = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError as error:
        raise InputError(
            f"{folder}: cannot look into this folder ({error.strerror}); see that it can be read"
        ) from error
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry.path):  # entry.is_dir() raises where a link leads to itself
            yield from walk(entry.path, above | {identity})
        elif entry.is_symlink() or entry.is_file():
            yield entry.path


def _local_source(path: str) -> Source:
    kind = kind_of(path)
    try:
        status = os.stat(path)
    except OSError:
        return Source(path, kind)
    return Source(path, kind, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def _nearest(path: str) -> str:
    """The most similar name in the same folder, or how far the path exists."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return "" if os.path.dirname(folder) == folder else f"; there is no folder {folder} either"
    try:
        similar = difflib.get_close_matches(name, os.listdir(folder), n=1)
    except OSError:
        return ""
    return f"; did you mean {os.path.join(folder, similar[0])}?" if similar else ""


def _parts(path: str) -> list[str]:
    return path.split("/")


# -------------------------------------------------------------------------------------------------------------- remote


def _find_remote(given: str) -> list[Source]:
    import fsspec

    try:
        file_system, path = fsspec.url_to_fs(given)
        found = _list_remote(file_system, path, given)
    except FileNotFoundError as error:
        if reason := why_unreachable(given, error):
            raise InputError(f"{given}: cannot be reached ({reason}); see that the server is up") from error
        raise InputError(f"{given}: no such file or folder") from error
    except ImportError as error:  # it says which package to install
        raise InputError(f"{given}: {error}") from error
    except Exception as error:  # every file system has its own
        raise InputError(
            f"{given}: cannot look there ({type(error).__name__}: {error}); see that the address and the permission "
            "to read it are right"
        ) from error
    return _known_kinds(found, given, "no files to read there")


def _list_remote(file_system: Any, path: str, given: str) -> list[Source]:
    start = given.partition("::")[0]
    # The name of a file may hold a question mark before parameters of the address.
    magic = _MAGIC.replace("?", "") if start.startswith(("http://", "https://")) else _MAGIC
    if any(character in start for character in magic):
        matches = file_system.glob(path, detail=True)
        infos: dict[str, Any] = {}
        for name, info in matches.items():
            infos |= file_system.find(name, detail=True) if info["type"] == "directory" else {name: info}
        root = ""
    else:
        info = file_system.info(path)
        is_folder = info["type"] == "directory"
        infos = file_system.find(path, detail=True) if is_folder else {path: info}
        root = path if is_folder else ""
    visible = [name for name in infos if not _hidden(name, root)]
    return [_remote_source(file_system, name, infos[name], given) for name in sorted(visible, key=_parts)]


def _hidden(name: str, root: str) -> bool:
    return bool(root) and any(part.startswith(".") for part in _parts(name.removeprefix(root)))


def _remote_source(file_system: Any, name: str, info: dict[str, Any], given: str) -> Source:
    _, separator, container = given.partition("::")  # zip://*.txt::s3://…/text.zip
    url = file_system.unstrip_protocol(name) + separator + container
    size = info.get("size") or 0
    change = next((str(info[key]) for key in _VERSION_KEYS if info.get(key)), "")
    return Source(url, kind_of(url), size, f"{size}-{change}" if change else "")
