"""Reading the files of a checkpoint, from a directory or the hub: each damage is told with the file's name."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from .errors import InputError

SAFETENSORS = "model.safetensors"
PICKLED = "pytorch_model.bin"
# In the order in which they are preferred; an index names the shards of a large model.
_WEIGHT_FILES = (SAFETENSORS, f"{SAFETENSORS}.index.json", PICKLED, f"{PICKLED}.index.json")
_LFS_POINTER = b"version https://git-lfs.github.com/spec"
# What may be said to transformers about where files come from.
_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


def hub_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Those of ``from_pretrained``'s arguments that say where files come from."""
    return {name: kwargs[name] for name in _HUB_ARGUMENTS if kwargs.get(name) is not None}


def check_source(source: str | os.PathLike[str]) -> None:
    """Refuses what looks like a directory and is none; names of hub repositories look like ``user/name``."""
    name = str(source)
    if not os.path.isdir(name) and (name.startswith((".", "~", os.sep)) or name.count("/") > 1):
        raise InputError(f"{name}: there is no such directory; check the path")


def find_file(source: str | os.PathLike[str], name: str, hub: dict[str, Any]) -> Path | None:
    """Where the file ``name`` of a directory or hub repository lies on this machine; None where there is none.

    Raises:
        InputError: it is a pointer that Git LFS left in place of the file.
    """
    if os.path.isdir(source):
        path = Path(source, hub.get("subfolder", ""), name)
        found = path if path.is_file() else None
    else:
        from transformers.utils import cached_file

        try:
            cached = cached_file(source, name, **hub)
            found = Path(cached) if cached else None
        except OSError:  # no such file, or no such repository: what needs it says so
            found = None
    if found is not None:
        _refuse_lfs_pointer(found)
    return found


def need_file(source: str | os.PathLike[str], name: str, hub: dict[str, Any], purpose: str) -> Path:
    """As ``find_file``, for a file that must be there."""
    found = find_file(source, name, hub)
    if found is None and not os.path.isdir(source):
        raise InputError(f"{source}: there is no such directory, nor could such a repository with a {name} be reached")
    if found is None:
        raise InputError(f"{source}: has no {name} ({purpose}); download it again from where the checkpoint is from")
    return found


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises ``InputError`` with its name where it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON ({error}); download it again") from error


def read_settings(path: Path) -> dict[str, Any]:
    """As ``read_json``, for a file that holds values by name."""
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise InputError(f"{path}: holds no settings by name; download it again")
    return settings


def weight_files(source: str | os.PathLike[str], hub: dict[str, Any]) -> list[Path]:
    """The files that hold the weights, in the form transformers would choose: safetensors first."""
    for name in _WEIGHT_FILES:
        found = find_file(source, name, hub)
        if found is not None and name.endswith(".index.json"):
            shards = _shards(found)
            return [need_file(source, shard, hub, f"a part of the weights that {name} lists") for shard in shards]
        if found is not None:
            return [found]
    raise InputError(f"{source}: holds no weights ({SAFETENSORS} or {PICKLED}); is it the right directory?")


def _shards(index: Path) -> list[str]:
    try:
        shards = sorted(set(read_json(index)["weight_map"].values()))
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{index}: is not an index of weights ({error!r}); download it again") from error
    if not shards:
        raise InputError(f"{index}: lists no weights; download it again")
    return shards


def read_state_dict(source: str | os.PathLike[str], hub: dict[str, Any]) -> dict[str, torch.Tensor]:
    """All weights by name, on the CPU. Code in a pickle is never run.

    Raises:
        InputError: there are none, or a file is damaged or holds something else than tensors.
    """
    weights: dict[str, torch.Tensor] = {}
    for path in weight_files(source, hub):
        weights.update(_read_weights(path))
    return weights


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each kind of damage has its own exception, several of no public class
        raise InputError(_why_unreadable(path, error)) from error
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()
    ):
        raise InputError(f"{path}: holds no state dict (tensors by name); save model.state_dict() instead")
    return weights


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError) and "nsupported" in str(error):
        return (
            f"{path}: holds more than tensors; such a file could run code when it is read, so it was not read. Get the "
            f"weights from a source you trust, as {SAFETENSORS} if there is one"
        )
    first_line = str(error).strip().split("\n")[0] or type(error).__name__
    return (
        f"{path}: cannot be read as weights ({first_line}; {path.stat().st_size:,} bytes); download it again, it is "
        "probably cut short"
    )


def check_weight_files(source: str | os.PathLike[str], hub: dict[str, Any]) -> None:
    """Looks whether the weight files are whole; for those that transformers is to read. Only pickles are read for it.

    Raises:
        InputError: a file is missing, cut short, or a Git LFS pointer.
    """
    for path in weight_files(source, hub):
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError, safe_open

            try:
                with safe_open(path, framework="pt"):
                    pass
            except SafetensorError as error:
                raise InputError(_why_unreadable(path, error)) from error
        else:
            _read_weights(path)


def _refuse_lfs_pointer(path: Path) -> None:
    with open(path, "rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise InputError(
                f"{path}: is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository, or download "
                "the file"
            )
