"""The layout of the released ChineseBERT checkpoints: reading it exactly, and writing it.

    config.json            of a "bert" model; nothing in it says how large the glyph and pinyin branches are
    vocab.txt              one token a line; U+2028 and the empty string are tokens
    pytorch_model.bin      a pickled state dict; the glyph images are trained float rows in it
    config/pinyin_map.json, id2pinyin.json, pinyin2tensor.json     the alphabet, and how syllables are spelled
    config/*.npy           the images of one font each, [V, 24, 24]; only needed where the weights lack them

The port by JunnYu keeps the three tables inside ``tokenizer_config.json``; all else is the same.

    python -m chinesebert.released convert RELEASED_DIR OUTPUT      their layout -> ours
    python -m chinesebert.released export  OUR_DIR OUTPUT           ours -> theirs
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging

from .atomic import atomic_directory
from .configuration_chinesebert import ChineseBertConfig
from .embeddings_chinesebert import GLYPH_SCALE
from .errors import InputError
from .pinyin import PINYIN_ALPHABET, PINYIN_LENGTH, Readings, is_syllable
from .vocabulary import han_character, read_vocabulary
from .weights import PICKLED, find_file, need_file, read_json, read_settings

# What released checkpoints were trained on; later versions of pypinyin read 0.1-0.3 % of the characters otherwise.
READINGS = Path(__file__).parent / "assets" / "readings-pypinyin-0.38.1.json.gz"
PINYIN_MAP = "config/pinyin_map.json"
PINYIN2TENSOR = "config/pinyin2tensor.json"
ID2PINYIN = "config/id2pinyin.json"
FONTS = ("STFANGSO.TTF24.npy", "STXINGKA.TTF24.npy", "方正古隶繁体.ttf24.npy")

logger = logging.get_logger(__name__)

Source = str | os.PathLike[str]
_PURPOSE = "released ChineseBERT checkpoints spell their pinyin with it"
# Keys of a BERT's config.json that say nothing about the model, or are said in another way here.
BERT_LEFTOVERS = frozenset((
    "architectures", "auto_map", "directionality", "gradient_checkpointing", "model_type", "name_or_path",
    "output_past", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
    "pooler_type", "position_embedding_type", "tokenizer_class", "transformers_version",
))  # fmt: skip
_LEFTOVERS = BERT_LEFTOVERS | {"glyph_embedding_dim", "pinyin_embedding_size", "pinyin_map_len"}
_GLYPH_ROWS = "embeddings.glyph_embeddings.embedding.weight"


# --- reading ---------------------------------------------------------------------------------------------------------


def is_released(config: Mapping[str, Any], source: Source, hub: dict[str, Any]) -> bool:
    """Whether a ``config.json`` that is not of this package's layout is of a released checkpoint or a port."""
    names = " ".join(config.get("architectures") or [])
    if "GlyceBert" in names or "ChineseBert" in names or "pinyin_map_len" in config:
        return True
    return find_file(source, PINYIN2TENSOR, hub) is not None or find_file(source, PINYIN_MAP, hub) is not None


def translate_config(config: Mapping[str, Any], source: Source, hub: dict[str, Any]) -> dict[str, Any]:
    """A released ``config.json`` as ``ChineseBertConfig`` reads it."""
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise InputError(f"{source}: config.json asks for relative positions, which ChineseBERT does not have")
    architectures = [name.replace("Glyce", "Chinese") for name in config.get("architectures") or []]
    kept = {name: value for name, value in config.items() if name not in _LEFTOVERS}
    return {"type_vocab_size": 2} | kept | {
        "model_type": ChineseBertConfig.model_type,
        "architectures": architectures,
        "num_syllables": len(read_readings(source, hub).syllables),
        "glyph_trainable": True,
    }  # fmt: skip


def translate_state(
    state: dict[str, torch.Tensor], config: ChineseBertConfig, source: Source, hub: dict[str, Any]
) -> dict[str, torch.Tensor]:
    """A released state dict with the tables that this package keeps beside the weights."""
    if not config.glyph_trainable:
        raise InputError(f"{source}: its glyph images were trained and are no bytes; leave glyph_trainable as it is")
    prefix = "bert." if any(name.startswith("bert.") for name in state) else ""
    state = {name: value for name, value in state.items() if not name.endswith("embeddings.position_ids")}
    if not config.type_vocab_size:
        add_segment_to_positions(state, f"{prefix}embeddings.")
    fonts = _fonts(source, config, hub, needed=prefix + _GLYPH_ROWS not in state)
    if prefix + _GLYPH_ROWS not in state:
        rows = np.stack([font.astype(np.float32) for font in fonts], axis=1).reshape(config.vocab_size, -1)
        state[prefix + _GLYPH_ROWS] = torch.from_numpy(rows)
    readings = read_readings(source, hub)
    tokens = read_vocabulary(need_file(source, "vocab.txt", hub, "the vocabulary"))
    state[f"{prefix}embeddings.pinyin_embeddings.letter_ids"] = torch.from_numpy(readings.letter_ids())
    state[f"{prefix}embeddings.default_pinyin_ids"] = torch.from_numpy(readings.default_ids(tokens))
    return state


def add_segment_to_positions(state: dict[str, torch.Tensor], embeddings: str) -> None:
    """Adds segment vector 0, which every token of a single text gets, to the position vectors; the segments go."""
    segments = state.pop(f"{embeddings}token_type_embeddings.weight", None)
    if segments is not None:
        name = f"{embeddings}position_embeddings.weight"
        state[name] = state[name] + segments[0]


def _fonts(source: Source, config: ChineseBertConfig, hub: dict[str, Any], needed: bool) -> list[NDArray[Any]]:
    """The images of each font, ``[V, 24, 24]``; looks at those in a directory even where they are not needed.

    The original takes the files in the order in which the file system lists them; here it is that of their names, which
    is the order of the published listing.
    """
    folder = Path(source, hub.get("subfolder", ""), "config")
    paths = sorted(folder.glob("*.npy")) if os.path.isdir(source) else []
    if needed and len(paths) != config.num_glyph_fonts:
        paths = [need_file(source, f"config/{name}", hub, "the weights hold no glyph images") for name in FONTS]
    shape = (config.vocab_size, config.glyph_size, config.glyph_size)
    return [_font(path, shape) for path in paths]


def _font(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    find_file(path.parent, path.name, {})
    advice = "download it again, or delete it if the weights hold the glyph images (they do in released checkpoints)"
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: is not a complete .npy file ({error}); {advice}") from error
    if images.shape != shape:
        raise InputError(f"{path}: has shape {list(images.shape)}, the model's is {list(shape)}; {advice}")
    return images


def read_readings(source: Source, hub: dict[str, Any]) -> Readings:
    """The readings of a released directory: those of pypinyin 0.38.1, spelled by the tables of the directory.

    Raises:
        InputError: a table is missing or damaged.
    """
    ported = find_file(source, "tokenizer_config.json", hub)
    settings = read_settings(ported) if ported is not None else {}
    if ported is not None and {"pinyin_map", "pinyin2tensor"} & settings.keys():
        tables = (settings.get("pinyin_map"), settings.get("pinyin2tensor"))
        return spelled_readings(*tables, (f"{ported} (pinyin_map)", f"{ported} (pinyin2tensor)"))
    paths = [need_file(source, name, hub, _PURPOSE) for name in (PINYIN_MAP, PINYIN2TENSOR)]
    return spelled_readings(read_json(paths[0]), read_json(paths[1]), (str(paths[0]), str(paths[1])))


def spelled_readings(pinyin_map: Any, pinyin2tensor: Any, where: tuple[str, str]) -> Readings:
    """The readings of pypinyin 0.38.1, spelled by two tables of a released checkpoint.

    Args:
        pinyin_map: the content of ``pinyin_map.json``.
        pinyin2tensor: the content of ``pinyin2tensor.json``.
        where: the files to name where they are damaged.
    """
    letters, rows = _letters(pinyin_map, where[0]), _rows(pinyin2tensor, where[1])
    return _respelled(frozenset(letters.items()), frozenset(rows.items()))


def _letters(pinyin_map: Any, where: str) -> dict[str, int]:
    if pinyin_map is None:
        raise InputError(f"{where}: is missing; {_PURPOSE}: download it again")
    try:
        letters = {str(letter): int(number) for letter, number in pinyin_map["char2idx"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _no_table(where, repr(error)) from error
    if not letters or not all(0 <= number < len(PINYIN_ALPHABET) for number in letters.values()):
        raise _no_table(where, "its letters are not numbered 0 … 31")
    return letters


def _rows(pinyin2tensor: Any, where: str) -> dict[str, tuple[int, ...]]:
    if pinyin2tensor is None:
        raise InputError(f"{where}: is missing; {_PURPOSE}: download it again")
    try:
        rows = {str(syllable): tuple(map(int, row)) for syllable, row in pinyin2tensor.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _no_table(where, repr(error)) from error
    if not rows:
        raise _no_table(where, "it is empty")
    for syllable, row in rows.items():
        if len(row) != PINYIN_LENGTH or not all(0 <= letter < len(PINYIN_ALPHABET) for letter in row):
            raise _no_table(where, f"{syllable!r} is spelled {list(row)}, not {PINYIN_LENGTH} letters of 0 … 31")
        if (spelled := _as_text(row)) and not is_syllable(spelled):
            raise _no_table(where, f"{syllable!r} is spelled {spelled!r}, not letters and then a tone")
    return rows


def _no_table(where: str, reason: str) -> InputError:
    return InputError(f"{where}: is not a table of a released checkpoint ({reason}); download it again")


def _as_text(row: Iterable[int]) -> str:
    return "".join(PINYIN_ALPHABET[number] for number in row).rstrip("0")


@functools.lru_cache(maxsize=4)
def _respelled(letters: frozenset[tuple[str, int]], rows: frozenset[tuple[str, tuple[int, ...]]]) -> Readings:
    if not READINGS.is_file():
        raise InputError(f"{READINGS}: is missing; reinstall chinesebert to read released checkpoints")
    readings = Readings.load(READINGS)
    numbers, table = dict(letters), dict(rows)
    spelled = {syllable: _spelling(syllable, numbers, table) for syllable in readings.syllables} | {"": ""}
    characters = {character: spelled[syllable] for character, syllable in readings.characters.items()}
    phrases = {phrase: tuple(spelled[s] for s in syllables) for phrase, syllables in readings.phrases.items()}
    source = f"{readings.source}, as released"
    return Readings({c: s for c, s in characters.items() if s}, phrases, source, readings.segmentation)


def _spelling(syllable: str, letters: Mapping[str, int], rows: Mapping[str, tuple[int, ...]]) -> str:
    """A syllable of pypinyin as the original spells it, over ``PINYIN_ALPHABET``; "" for eight zeros.

    The table gives a syllable without a tone digit a 5; syllables that are not in it are spelled letter by letter and
    get none. Both kinds are in the released weights' training data.
    """
    row = rows.get(syllable)
    if row is None:
        row = tuple(letters[letter] for letter in syllable) if all(letter in letters for letter in syllable) else ()
    return _as_text(row)


# --- writing ---------------------------------------------------------------------------------------------------------


def export(source: Source, output: Source, overwrite: bool = False) -> None:
    """Writes a model and tokenizer of this package in the released layout, for the original code and its ports.

    What the layout has and our models lack is filled in: a pooler (untrained, as in the released checkpoints) and
    segment vectors (zeros).

    Raises:
        InputError: there is no model in ``source``, or it is one that the layout cannot hold.
    """
    model = load_saved(source)
    tokenizer = tokenizer_of(model, source)
    _check_exportable(source, model.config, tokenizer)
    state = _released_state(model)
    with atomic_directory(output, overwrite) as directory:
        (directory / "config").mkdir()
        _write_json(directory / "config.json", _released_config(model))
        (directory / "vocab.txt").write_bytes(("\n".join(tokenizer.tokens()) + "\n").encode())
        _write_tables(directory, tokenizer.readings, tokenizer.tokens())
        rows = next(value for name, value in state.items() if name.endswith(_GLYPH_ROWS))
        images = rows.double().view(len(rows), len(FONTS), model.config.glyph_size, model.config.glyph_size).numpy()
        for number, name in enumerate(FONTS):
            np.save(directory / "config" / name, images[:, number])
        # The old form of torch.save is the one that torch 1.5, which the original asks for, is sure to read.
        torch.save(state, directory / PICKLED, _use_new_zipfile_serialization=False)


def load_saved(source: Source) -> Any:
    """The model of a directory, of the class that its ``config.json`` names."""
    from .modeling_chinesebert import MODEL_CLASSES

    config = ChineseBertConfig.from_pretrained(source)
    name = (config.architectures or ["ChineseBertForMaskedLM"])[0]
    classes = {model.__name__: model for model in MODEL_CLASSES}
    if name not in classes:
        raise InputError(f"{source}: config.json names the architecture {name!r}, which this package does not have")
    return classes[name].from_pretrained(source)


def tokenizer_of(model: Any, source: Source) -> Any:
    """The tokenizer beside a model; raises ``InputError`` where its syllables are not the model's."""
    from .tokenization_chinesebert import ChineseBertTokenizer

    tokenizer = ChineseBertTokenizer.from_pretrained(source)
    if len(tokenizer.readings.syllables) != model.config.num_syllables:
        raise InputError(
            f"{source}: its tokenizer has {len(tokenizer.readings.syllables):,} syllables, its model "
            f"{model.config.num_syllables:,}; put the right tokenizer beside the model"
        )
    return tokenizer


def _check_exportable(source: Source, config: ChineseBertConfig, tokenizer: Any) -> None:
    if config.folded:
        raise InputError(f"{source}: is folded, and the released layout is not; export the directory it was made from")
    if config.head_layers != "top":
        raise InputError(
            f"{source}: its head reads other layers than the last (head_layers: {config.head_layers}), which the "
            "released layout cannot say; export it self-contained"
        )
    sizes = (config.pinyin_vocab_size, config.pinyin_length, config.pinyin_embedding_dim, config.glyph_dim)
    if sizes != (32, 8, 128, 1728):
        raise InputError(
            f"{source}: other pinyin or glyph sizes {sizes} than the released layout has (32, 8, 128, 1728)"
        )
    added = sorted(tokenizer.get_added_vocab().keys() - set(tokenizer.all_special_tokens))
    if added:
        logger.warning(f"{source}: the released layout cannot say that these are added tokens: {', '.join(added)}")
    if len(tokenizer.tokens()) != config.vocab_size:
        raise InputError(f"{source}: {len(tokenizer.tokens())} tokens, but the model has {config.vocab_size}")


def _released_config(model: Any) -> dict[str, Any]:
    config = model.config
    names = "hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act hidden_dropout_prob "
    names += (
        "attention_probs_dropout_prob max_position_embeddings initializer_range layer_norm_eps pad_token_id vocab_size"
    )
    written = {name: getattr(config, name) for name in names.split()}
    if "Classification" in type(model).__name__:
        # The original passes over keys that it does not know.
        labels = ("id2label", "label2id", "problem_type", "classifier_dropout", "token_classifier_mlp")
        written |= {name: getattr(config, name) for name in labels}
    architecture = type(model).__name__.replace("Chinese", "Glyce")
    return written | {
        "architectures": [architecture],
        "model_type": "bert",
        "type_vocab_size": config.type_vocab_size or 2,
        "glyph_embedding_dim": config.glyph_dim,  # what the ports look for; the original passes over it
        "pinyin_map_len": config.pinyin_vocab_size,
    }


@torch.no_grad()
def _released_state(model: Any) -> dict[str, torch.Tensor]:
    """The state dict with the names, types and extra rows of the released checkpoints; tied weights stay one tensor."""
    base, config = model.base_model, model.config
    prefix = "bert." if model is not base else ""
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    state = {name: value for name, value in state.items() if not name.startswith("pronunciation_head.")}
    for name in ("embeddings.pinyin_embeddings.letter_ids", "embeddings.default_pinyin_ids"):
        del state[prefix + name]
    rows = state[prefix + _GLYPH_ROWS]
    if not rows.is_floating_point():
        state[prefix + _GLYPH_ROWS] = rows.float() * GLYPH_SCALE
    state[f"{prefix}embeddings.position_ids"] = torch.arange(config.max_position_embeddings)[None]
    if not config.type_vocab_size:
        state[f"{prefix}embeddings.token_type_embeddings.weight"] = torch.zeros(2, config.hidden_size)
    if base.pooler is None:
        generator = torch.Generator().manual_seed(0)
        weight = torch.empty(config.hidden_size, config.hidden_size)
        state[f"{prefix}pooler.dense.weight"] = weight.normal_(std=config.initializer_range, generator=generator)
        state[f"{prefix}pooler.dense.bias"] = torch.zeros(config.hidden_size)
    return state


def _write_tables(directory: Path, readings: Readings, tokens: Iterable[str]) -> None:
    letters = {letter: number for number, letter in enumerate(PINYIN_ALPHABET)}
    rows = dict(zip(("", *readings.syllables), readings.letter_ids().tolist(), strict=True))
    # pypinyin gives a neutral tone no digit; the key is what it gives. It has four readings that no letters spell.
    tensors = {syllable.removesuffix("5"): rows[syllable] for syllable in readings.syllables}
    tensors |= {f"ê{tone}": rows[""] for tone in range(1, 5)}
    heard = _all_readings(readings)
    characters = [han_character(token) for token in tokens]
    _write_json(directory / PINYIN_MAP, {"idx2char": list(PINYIN_ALPHABET), "char2idx": letters})
    _write_json(directory / PINYIN2TENSOR, tensors)
    _write_json(
        directory / ID2PINYIN,
        {str(n): [rows[s] for s in heard.get(c or "", [""])] for n, c in enumerate(characters)},
    )


def _all_readings(readings: Readings) -> dict[str, list[str]]:
    """Every reading that a character has, alone or in a phrase, the most common one first."""
    heard: dict[str, dict[str, None]] = {character: {s: None} for character, s in readings.characters.items()}
    for phrase, syllables in readings.phrases.items():
        for character, syllable in zip(phrase, syllables, strict=True):
            if syllable:
                heard.setdefault(character, {})[syllable] = None
    return {character: list(syllables) for character, syllables in heard.items()}


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


# --- program ---------------------------------------------------------------------------------------------------------


def convert(source: Source, output: Source, overwrite: bool = False) -> None:
    """Writes a released checkpoint in this package's layout, which needs neither pypinyin nor the original's tables."""
    model = load_saved(source)
    tokenizer = tokenizer_of(model, source)
    with atomic_directory(output, overwrite) as directory:
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)


def main(arguments: list[str] | None = None) -> int:
    """``python -m chinesebert.released``; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m chinesebert.released", description="The layout of the released ChineseBERT checkpoints."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (
        ("convert", "a released checkpoint (or a port's) -> the layout of this package"),
        ("export", "a checkpoint of this package -> the released layout, for the original code and its ports"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("source", help="directory, or name of a repository on the hub")
        command.add_argument("output", help="directory to write")
        command.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    args = parser.parse_args(arguments)
    logging.disable_progress_bar()
    try:
        {"convert": convert, "export": export}[args.command](args.source, args.output, args.overwrite)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.output}: {', '.join(sorted(path.name for path in Path(args.output).iterdir()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
