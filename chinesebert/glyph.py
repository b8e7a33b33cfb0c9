"""Glyph images: how every token of a vocabulary looks in three styles of writing.

ChineseBERT sees a character through three 24x24 grey images of it (section 3.1 of arXiv 2106.16038: FangSong, XingKai
and LiShu). :func:`render_glyphs` draws them with the fonts that a YAML file names and returns :class:`Glyphs`, which
saves to a folder and loads from it.

A font is asked for a character only if it really has it. What it draws for U+10FFFF, which is never a character, is
its "missing" box; a character whose drawing equals that box pixel for pixel, or has no ink, is not in the font and the
next font of the channel is asked. This needs Pillow alone, works for any font, and holds where the character map lies
(some brush fonts map thousands of characters to empty outlines).
"""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import statistics
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chinesebert.atomic import atomic_file
from chinesebert.checksums import file_sha256
from chinesebert.errors import InputError
from chinesebert.vocabulary import han_character, vocabulary_sha256

if TYPE_CHECKING:
    from PIL import Image

GLYPH_SIZE = 24
"""Side of an image in pixels (the paper's)."""
NUM_FONTS = 3
"""Channels of an image: the three styles."""
FORMAT_VERSION = 1

# Characters are drawn this many times too large and then reduced, so that every pixel is an average of 64.
_SUPERSAMPLING = 8
# Never a character in any version of Unicode, so every font draws its "missing" box for it.
_NONCHARACTER = "\U0010ffff"
# Well filled characters, alike in simplified, traditional and Japanese fonts. The middle of their ink says where a
# font's em square lies; over six fonts it is within 0.01 em of the median over the 3,755 hanzi of GB2312 level 1.
ANCHOR_CHARACTERS = "是有在我成地家明的年文字用方本高好生能新道情持春秋夜星林海河村花草果根流深北南相"
# Ink middle of a usual CJK font (0.5 em square raised by its ascent), for a font that has no anchor character.
_DEFAULT_INK_MIDDLE = (0.0, -0.36)
# Below this, starting a second process costs more than it saves (about 1 ms a character and 1 s a process).
_MIN_CHARACTERS_PER_WORKER = 1000


def drawable_character(token: str) -> str | None:
    """The character whose image ``token`` gets, or None where its image stays blank.

    One visible character stands for itself and ``##x`` for x if x is Chinese. Special tokens, longer tokens, white
    space, control, format, combining and private-use characters have no image.
    """
    character = han_character(token) or token
    if len(character) != 1 or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co"):
        return None
    return None if unicodedata.category(character)[0] in "ZM" else character


# ---------------------------------------------------------------------------------------------------------- font sets


@dataclasses.dataclass(frozen=True)
class Font:
    """One font file and how it is drawn."""

    path: Path
    size: float = 24.0
    """Em size in pixels of the finished image."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Horizontal and vertical stretch; (1, 0.75) writes flat characters."""
    stroke: float = 0.0
    """Pixels added to each side of a stroke, before stretching."""
    index: int = 0
    """Which font of a collection (.ttc)."""


@dataclasses.dataclass(frozen=True)
class Channel:
    """One style: a name and its fonts, the first that has a character draws it."""

    name: str
    fonts: tuple[Font, ...]


@dataclasses.dataclass(frozen=True)
class FontSet:
    """The fonts of the three channels, in the order of the images' second axis."""

    channels: tuple[Channel, ...]

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> "FontSet":
        """Reads a font set such as ``fonts/default.yaml``; font files are relative to the YAML's folder.

        Raises:
            InputError: the file is missing or malformed, or a font it names is missing or cannot be opened.
        """
        yaml_path = Path(path)
        content = _read_yaml(yaml_path)
        _check_keys(content, required={"channels"}, optional=set(), where=f"{yaml_path}")
        channels = content["channels"]
        if not isinstance(channels, list) or len(channels) != NUM_FONTS:
            found = len(channels) if isinstance(channels, list) else "no list"
            raise InputError(f"{yaml_path}: 'channels' needs exactly {NUM_FONTS} entries, one a style (found {found})")
        parsed = [
            _parse_channel(entry, f"{yaml_path}: channel {i}", yaml_path.parent) for i, entry in enumerate(channels)
        ]
        return cls(tuple(parsed))


def _read_yaml(path: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise _missing_package(error) from error
    try:
        return yaml.safe_load(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give the YAML that names the fonts (fonts/default.yaml)") from error
    except OSError as error:
        raise InputError(f"{path}: cannot read the font list ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error


def _missing_package(error: ImportError) -> InputError:
    return InputError(f"drawing glyphs needs the package '{error.name}'; run: pip install '.[prepare]'")


def _check_keys(entry: Any, required: set[str], optional: set[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected a mapping with {', '.join(sorted(required | optional))}")
    unknown = sorted(str(key) for key in set(entry) - required - optional)
    if unknown:
        known = ", ".join(sorted(required | optional))
        raise InputError(f"{where}: unknown key '{unknown[0]}'; the keys are {known}")
    missing = sorted(required - set(entry))
    if missing:
        raise InputError(f"{where}: the key '{missing[0]}' is missing")


def _parse_channel(entry: Any, where: str, folder: Path) -> Channel:
    _check_keys(entry, required={"name", "fonts"}, optional=set(), where=where)
    if not isinstance(entry["name"], str) or not entry["name"]:
        raise InputError(f"{where}: 'name' needs a text")
    if not isinstance(entry["fonts"], list) or not 1 <= len(entry["fonts"]) <= 127:
        raise InputError(f"{where}: 'fonts' needs a list of 1 to 127 fonts")
    fonts = [_parse_font(font, f"{where}, font {i}", folder) for i, font in enumerate(entry["fonts"])]
    return Channel(entry["name"], tuple(fonts))


def _parse_font(entry: Any, where: str, folder: Path) -> Font:
    _check_keys(entry, required={"file"}, optional={"size", "scale", "stroke", "index"}, where=where)
    if not isinstance(entry["file"], str) or not entry["file"]:
        raise InputError(f"{where}: 'file' needs the name of a font file")
    scale = entry.get("scale", [1, 1])
    if not isinstance(scale, list) or len(scale) != 2:
        raise InputError(f"{where}: 'scale' needs two numbers, [x, y]")
    font = Font(
        path=folder / entry["file"],
        size=_number(entry.get("size", GLYPH_SIZE), "size", where, 1, 4 * GLYPH_SIZE),
        scale=(_number(scale[0], "scale", where, 0.1, 10), _number(scale[1], "scale", where, 0.1, 10)),
        stroke=_number(entry.get("stroke", 0), "stroke", where, 0, GLYPH_SIZE / 4),
        index=int(_number(entry.get("index", 0), "index", where, 0, 1000)),
    )
    _check_font_file(font.path, where)
    _open_font(font)
    return font


def _number(value: Any, key: str, where: str, low: float, high: float) -> float:
    # bool is a kind of int in Python, and YAML reads "yes" as true.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{where}: '{key}' needs a number from {low} to {high}, not {value!r}")
    return float(value)


def _check_font_file(path: Path, where: str) -> None:
    """Raises ``InputError`` for a font that is missing or stands in Git LFS's place-holder."""
    if not path.is_file():
        raise InputError(f"{path}: no such font ({where}); put the file there or change 'file' in the YAML")
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            raise InputError(f"{path}: a Git LFS pointer, not the font itself; run 'git lfs pull' or copy the font")


def _open_font(font: Font) -> Any:
    """The font as Pillow's ``FreeTypeFont`` at the supersampled size.

    Basic layout, since Raqm may replace a character that the font lacks by its decomposition, and is not everywhere.
    """
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise _missing_package(error) from error
    size = font.size * _SUPERSAMPLING
    try:
        return ImageFont.truetype(str(font.path), size, index=font.index, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        hint = "give a TrueType, OpenType or WOFF2 font"
        if font.path.suffix == ".woff2":
            hint += "; WOFF2 needs a Pillow whose FreeType has Brotli, as Pillow's own wheels have"
        raise InputError(f"{font.path}: cannot be opened as a font ({error}); {hint}") from error


# ---------------------------------------------------------------------------------------------------------- rendering


class _Pen:
    """Draws characters with one font, all with the same shift: 一 and ，keep their place in the square.

    The horizontal anchor is the middle of the advance width, so that half-width Latin stands in the middle too; for
    Chinese characters, which share one width, that is the same as a constant shift from the origin.
    """

    def __init__(self, font: Font) -> None:
        self._font = _open_font(font)
        self._stroke = font.stroke * _SUPERSAMPLING
        side = GLYPH_SIZE * _SUPERSAMPLING
        # Stretching happens in the reduction to 24x24: a canvas of 192 x 256 gives characters of 3/4 of the height.
        self._canvas_size = (round(side / font.scale[0]), round(side / font.scale[1]))
        ink_x, ink_y = self._ink_middle(font.size * _SUPERSAMPLING)
        self._position = (round(self._canvas_size[0] / 2 - ink_x), round(self._canvas_size[1] / 2 - ink_y))
        self._missing_box = self._draw(_NONCHARACTER).tobytes()

    def _ink_middle(self, em: float) -> tuple[float, float]:
        """Median middle of the ink of the anchor characters, in pixels from the pen position; y grows downwards."""
        missing = bytes(self._font.getmask(_NONCHARACTER))
        present = [c for c in ANCHOR_CHARACTERS if bytes(self._font.getmask(c)) != missing]
        boxes = [self._font.getbbox(c, anchor="ms") for c in present]
        inked = [(left + right, top + bottom) for left, top, right, bottom in boxes if right > left and bottom > top]
        if not inked:
            return _DEFAULT_INK_MIDDLE[0] * em, _DEFAULT_INK_MIDDLE[1] * em
        return statistics.median(x for x, _ in inked) / 2, statistics.median(y for _, y in inked) / 2

    def _draw(self, character: str) -> "Image.Image":
        from PIL import Image, ImageDraw

        canvas = Image.new("L", self._canvas_size)
        draw = ImageDraw.Draw(canvas)
        draw.text(self._position, character, fill=255, font=self._font, anchor="ms", stroke_width=self._stroke)
        return canvas

    def image(self, character: str) -> np.ndarray | None:
        """uint8 [24, 24], ink 255, or None where the font lacks the character or draws nothing."""
        from PIL import Image

        canvas = self._draw(character)
        if canvas.tobytes() == self._missing_box:
            return None
        image = np.asarray(canvas.resize((GLYPH_SIZE, GLYPH_SIZE), Image.Resampling.HAMMING))
        return image if image.any() else None


class _ChannelPens:
    """The fonts of a channel, each opened when a character first needs it."""

    def __init__(self, channel: Channel) -> None:
        self._fonts = channel.fonts
        self._pens: list[_Pen] = []

    def draw(self, character: str) -> tuple[np.ndarray, int] | None:
        """The image uint8 [24, 24] and the index of its font, or None where no font has the character."""
        for index, font in enumerate(self._fonts):
            if index == len(self._pens):
                self._pens.append(_Pen(font))
            image = self._pens[index].image(character)
            if image is not None:
                return image, index
        return None


def _draw_characters(characters: Sequence[str], fonts: FontSet) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 24, 24] and sources int8 [N, 3] of characters; runs in a worker process."""
    images = np.zeros((len(characters), NUM_FONTS, GLYPH_SIZE, GLYPH_SIZE), dtype=np.uint8)
    sources = np.full((len(characters), NUM_FONTS), -1, dtype=np.int8)
    for number, channel in enumerate(fonts.channels):
        pens = _ChannelPens(channel)
        for row, character in enumerate(characters):
            drawn = pens.draw(character)
            if drawn is not None:
                images[row, number], sources[row, number] = drawn
    return images, sources


def _draw_in_parallel(characters: list[str], fonts: FontSet, workers: int) -> tuple[np.ndarray, np.ndarray]:
    workers = max(1, min(workers, len(characters) // _MIN_CHARACTERS_PER_WORKER))
    if workers == 1:
        return _draw_characters(characters, fonts)
    images = np.empty((len(characters), NUM_FONTS, GLYPH_SIZE, GLYPH_SIZE), dtype=np.uint8)
    sources = np.empty((len(characters), NUM_FONTS), dtype=np.int8)
    # "spawn": a fork of a process that runs threads (torch's, a tokenizer's) can hang.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(_draw_characters, characters[first::workers], fonts) for first in range(workers)]
        for first, part in enumerate(parts):
            images[first::workers], sources[first::workers] = part.result()
    return images, sources


def render_glyphs(tokens: Sequence[str], fonts: FontSet, workers: int = 2) -> "Glyphs":
    """Draws a vocabulary; the same tokens and fonts give the same bytes, whatever ``workers`` is.

    Args:
        tokens: the vocabulary, in the order of its ids. See :func:`drawable_character` for which get an image.
        fonts: the three channels.
        workers: processes at most; small vocabularies are drawn in this one. With more than one, call this from a
            program whose entry point is guarded by ``if __name__ == "__main__"``.

    Raises:
        InputError: a font cannot be opened, or ``workers`` is below 1.
    """
    if workers < 1:
        raise InputError(f"workers: at least 1 is needed, not {workers}")
    drawable = [drawable_character(token) for token in tokens]
    # Sorted and without repeats: x and ##x share an image.
    characters = sorted({character for character in drawable if character is not None})
    character_images, character_sources = _draw_in_parallel(characters, fonts, workers)
    row_of = {character: row for row, character in enumerate(characters)}
    rows = np.array([-1 if c is None else row_of[c] for c in drawable], dtype=np.int64)
    images = np.zeros((len(tokens), NUM_FONTS, GLYPH_SIZE, GLYPH_SIZE), dtype=np.uint8)
    sources = np.full((len(tokens), NUM_FONTS), -1, dtype=np.int8)
    images[rows >= 0] = character_images[rows[rows >= 0]]
    sources[rows >= 0] = character_sources[rows[rows >= 0]]
    return Glyphs(images, sources, _describe(tokens, fonts))


def _describe(tokens: Sequence[str], fonts: FontSet) -> dict[str, Any]:
    """What the images were made of: vocabulary, fonts with their checksums and settings, library versions."""
    import PIL
    from PIL import features

    return {
        "vocab_sha256": vocabulary_sha256(list(tokens)),
        "channels": [
            {"name": channel.name, "fonts": [_describe_font(font) for font in channel.fonts]}
            for channel in fonts.channels
        ],
        "pillow": PIL.__version__,
        "freetype": features.version_module("freetype2"),
    }


def _describe_font(font: Font) -> dict[str, Any]:
    settings = {"size": font.size, "scale": list(font.scale), "stroke": font.stroke, "index": font.index}
    return {"file": font.path.name, "sha256": file_sha256(font.path), **settings}


# --------------------------------------------------------------------------------------------------------- saved form

_IMAGES_FILE, _SOURCES_FILE, _METADATA_FILE = "glyphs.npy", "glyph_sources.npy", "glyphs.json"


@dataclasses.dataclass(frozen=True)
class Glyphs:
    """The images of a vocabulary of V tokens."""

    images: np.ndarray
    """uint8 [V, 3, 24, 24]: paper 0, ink 255."""
    sources: np.ndarray
    """int8 [V, 3]: which font of the channel's list drew the token, -1 = blank."""
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What ``glyphs.json`` says of vocabulary, fonts and versions."""

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes ``glyphs.npy``, ``glyph_sources.npy`` and ``glyphs.json`` into ``directory``."""
        folder = Path(directory)
        metadata = {
            **self.metadata,
            "format_version": FORMAT_VERSION,
            "vocab_size": len(self.images),
            "glyph_size": GLYPH_SIZE,
            "images_sha256": _array_sha256(self.images),
            "sources_sha256": _array_sha256(self.sources),
        }
        for name, array in ((_IMAGES_FILE, self.images), (_SOURCES_FILE, self.sources)):
            with atomic_file(folder / name) as path, path.open("wb") as file:
                np.save(file, array)
        with atomic_file(folder / _METADATA_FILE) as path:
            path.write_text(json.dumps(metadata, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | os.PathLike[str], mmap: bool = False) -> "Glyphs":
        """Reads what :meth:`save` wrote, and checks shapes, types and checksums.

        Args:
            directory: the folder.
            mmap: leave the images on disk, read-only; pages are shared between processes.

        Raises:
            InputError: a file is missing, of another format version, or not what was saved.
        """
        folder = Path(directory)
        metadata = _load_metadata(folder / _METADATA_FILE)
        size = metadata["vocab_size"]
        image_shape = (size, NUM_FONTS, GLYPH_SIZE, GLYPH_SIZE)
        images = _load_array(folder / _IMAGES_FILE, image_shape, np.uint8, metadata["images_sha256"], mmap)
        sources = _load_array(folder / _SOURCES_FILE, (size, NUM_FONTS), np.int8, metadata["sources_sha256"], mmap)
        return cls(images, sources, metadata)


def _array_sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


_REMAKE = "make the images again with 'python -m data_prep glyphs'"


def _load_metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror}); {_REMAKE}") from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); {_REMAKE}") from error
    version = metadata.get("format_version") if isinstance(metadata, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: format version {version}, this program reads version {FORMAT_VERSION}; {_REMAKE}")
    for key in ("vocab_size", "images_sha256", "sources_sha256"):
        if key not in metadata:
            raise InputError(f"{path}: the key '{key}' is missing; {_REMAKE}")
    return metadata


def _load_array(path: Path, shape: tuple[int, ...], dtype: type, sha256: str, mmap: bool) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error}); {_REMAKE}") from error
    except (ValueError, EOFError) as error:
        reason = "no complete NumPy array: broken off, or a Git LFS pointer"
        raise InputError(f"{path}: {reason}; copy the file again or {_REMAKE}") from error
    if array.shape != shape or array.dtype != dtype:
        wanted = f"{np.dtype(dtype).name} {list(shape)}"
        raise InputError(f"{path}: holds {array.dtype.name} {list(array.shape)}, expected {wanted}; {_REMAKE}")
    if _array_sha256(array) != sha256:
        raise InputError(f"{path}: its checksum differs from {_METADATA_FILE}; copy the file again or {_REMAKE}")
    return array
