"""Draws a vocabulary in three fonts: the glyph images that a model is made with.

    python -m data_prep glyphs --vocab vocab.txt --fonts fonts/default.yaml --output DIR --preview sheet.png

Writes ``glyphs.npy``, ``glyph_sources.npy`` and ``glyphs.json`` (see :class:`chinesebert.glyph.Glyphs`).
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chinesebert.atomic import atomic_directory, atomic_file
from chinesebert.errors import InputError
from chinesebert.glyph import (
    GLYPH_SIZE,
    NUM_FONTS,
    FontSet,
    Glyphs,
    drawable_character,
    render_glyphs,
)
from chinesebert.vocabulary import han_character, read_vocabulary

if TYPE_CHECKING:
    from PIL import Image

# What a look at the sheet should show first: common, dense, lone-stroke and traditional characters, punctuation
# (its place in the square), Latin and digits (half width).
PREVIEW_GROUPS = (
    "的一是不了人我在有中国上大来天地永和东书爱龙",
    "龘囊矗齉麤鑫淼焱嚷罐籍露攥戆颧蠹鑲麟鹽灣廳體",
    "丨丶丿乙亅口日曰己已巳未末土士王玉〇凸凹回十",
    "國說語書愛門馬魚鳥龍龜發開學經濟歷東無電後這",
    "，。、；：？！“”（）《》【】…—·～「」￥",
    ",.;:?!\"'()[]<>-_+=*/&%$#@",
    "0123456789abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGMWZéüαβяあのカ①②→○●★℃㎡％ａＡ１",
)
# Further Chinese characters, spread evenly over the vocabulary: rare ones show where the fallback fonts take over.
_SPREAD_CHARACTERS = 240
_COLUMNS, _ZOOM, _LABEL_HEIGHT, _GAP = 24, 2, 12, 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's flags."""
    parser.add_argument("--vocab", type=Path, required=True, help="vocabulary, one token a line")
    parser.add_argument("--fonts", type=Path, required=True, help="YAML with the three fonts (fonts/default.yaml)")
    parser.add_argument("--output", type=Path, required=True, help="folder to create for the images")
    parser.add_argument("--preview", type=Path, help="also draw a sheet of a few hundred characters into this PNG file")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes (default 2); the result does not depend on it"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace --output if it is there already")


def run(args: argparse.Namespace) -> None:
    """Draws, saves and prints what was drawn by which font."""
    if args.preview is not None and args.preview.suffix.lower() != ".png":
        raise InputError(f"{args.preview}: --preview writes a PNG picture; give a name that ends with .png")
    tokens = read_vocabulary(args.vocab)
    fonts = FontSet.from_yaml(args.fonts)
    with atomic_directory(args.output, overwrite=args.overwrite) as folder:
        started = time.perf_counter()
        glyphs = render_glyphs(tokens, fonts, workers=args.workers)
        seconds = time.perf_counter() - started
        glyphs.save(folder)
    if args.preview is not None:
        with atomic_file(args.preview) as path:
            preview_sheet(tokens, glyphs).save(path, format="PNG")
    print("\n".join(summary(tokens, fonts, glyphs)))
    print(f"{seconds:.1f} s; wrote {args.output}")


def summary(tokens: Sequence[str], fonts: FontSet, glyphs: Glyphs) -> Iterator[str]:
    """Lines of a table: per channel tokens with an image, and Chinese characters by font and without an image."""
    # ##x repeats x's image; characters are counted once.
    row_of = {character: row for row, token in enumerate(tokens) if (character := han_character(token))}
    han = list(row_of.items())
    yield f"{len(tokens)} tokens, {len(han)} Chinese characters"
    for number, channel in enumerate(fonts.channels):
        with_image = int((glyphs.sources[:, number] >= 0).sum())
        yield f"channel {number} {channel.name}: {with_image} tokens with an image"
        supplied_by = [int(glyphs.sources[row, number]) for _, row in han]
        for index, font in enumerate(channel.fonts):
            yield f"    {font.path.name:28s} {supplied_by.count(index):6d} Chinese characters"
        blank = [character for (character, _), source in zip(han, supplied_by, strict=True) if source < 0]
        yield f"    {'no image':28s} {len(blank):6d} {' '.join(blank[:20])}".rstrip()


def preview_sheet(tokens: Sequence[str], glyphs: Glyphs) -> "Image.Image":
    """A picture of a few hundred characters, the three channels one above the other, the code point below."""
    from PIL import Image, ImageDraw, ImageFont

    rows = _preview_rows(tokens)
    cell_width = GLYPH_SIZE * _ZOOM + _GAP
    cell_height = NUM_FONTS * (GLYPH_SIZE * _ZOOM + 1) + _LABEL_HEIGHT + _GAP
    lines = -(-len(rows) // _COLUMNS)
    sheet = Image.new("L", (_COLUMNS * cell_width + _GAP, max(lines, 1) * cell_height + _GAP), color=210)
    draw, label_font = ImageDraw.Draw(sheet), ImageFont.load_default(size=9)
    for place, row in enumerate(rows):
        left, top = _GAP + place % _COLUMNS * cell_width, _GAP + place // _COLUMNS * cell_height
        for channel in range(NUM_FONTS):
            image = Image.fromarray(255 - np.asarray(glyphs.images[row, channel]))
            image = image.resize((GLYPH_SIZE * _ZOOM, GLYPH_SIZE * _ZOOM), Image.Resampling.NEAREST)
            sheet.paste(image, (left, top + channel * (GLYPH_SIZE * _ZOOM + 1)))
        label = f"{ord(tokens[row]):04X}"
        draw.text((left, top + NUM_FONTS * (GLYPH_SIZE * _ZOOM + 1)), label, fill=0, font=label_font)
    return sheet


def _preview_rows(tokens: Sequence[str]) -> list[int]:
    """Ids on the sheet: of :data:`PREVIEW_GROUPS` what the vocabulary has, then evenly spread characters."""
    row_of = {token: row for row, token in enumerate(tokens) if drawable_character(token) == token}
    rows = [row_of[character] for group in PREVIEW_GROUPS for character in group if character in row_of]
    shown = set(rows)
    others = [row for token, row in row_of.items() if han_character(token) and row not in shown]
    return rows + others[:: max(1, len(others) // _SPREAD_CHARACTERS)]
