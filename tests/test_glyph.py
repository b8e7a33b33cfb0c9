"""How tokens become images: which are drawn, where the ink lies, how images are saved, and what bad input is told."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chinesebert import glyph
from chinesebert.errors import InputError
from chinesebert.glyph import FontSet, Glyphs, drawable_character, render_glyphs
from chinesebert.vocabulary import SPECIAL_TOKENS, han_character, read_vocabulary
from data_prep.__main__ import main

REPOSITORY = Path(__file__).resolve().parent.parent
FONTS = REPOSITORY / "fonts"
COMMON = "的一是不了我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么"
TOKENS = [*SPECIAL_TOKENS, "", "\u2028", " ", "人", "##人", "##a", "ing", "，", "a", "東"]


@pytest.fixture(scope="module")
def fonts() -> FontSet:
    return FontSet.from_yaml(FONTS / "default.yaml")


@pytest.fixture(scope="module")
def glyphs(fonts: FontSet) -> Glyphs:
    return render_glyphs(TOKENS, fonts)


def one_font(path: Path, **settings: object) -> FontSet:
    """A font set whose three channels all have the same single font."""
    channel = glyph.Channel("only", (glyph.Font(path, **settings),))
    return FontSet((channel,) * 3)


def ink_middle(image: np.ndarray) -> tuple[float, float]:
    """Row and column of the centre of mass of an image [24, 24]."""
    rows, columns = np.mgrid[0:24, 0:24] + 0.5
    weights = image / image.sum()
    return float((rows * weights).sum()), float((columns * weights).sum())


# ----------------------------------------------------------------------------------------------- which tokens are drawn


@pytest.mark.parametrize("token", ["人", "東", "，", "a", "7", "○", "〇", "\U00020bb7", "##人", "##\U00020bb7"])
def test_one_visible_character_is_drawn(token):
    assert drawable_character(token) == token[-1]


@pytest.mark.parametrize(
    "token",
    ["", "[PAD]", "[MASK]", "[UNK]", "ing", "##ing", "##a", "##，", "人人", "##人人", "#人", "e\u0301", "㍿株"]
    + [" ", "\u3000", "\t", "\u2028", "\x00", "\u200b", "\ufeff", "\u0301", "\ufe0f", "\ue000", "\U0010fffd"],
)
def test_everything_else_stays_blank(token):
    assert drawable_character(token) is None


@given(st.text(max_size=4))
def test_a_drawable_character_is_visible_and_part_of_its_token(token):
    character = drawable_character(token)
    if character is None:
        return
    assert token in (character, f"##{character}")
    assert unicodedata.category(character)[0] not in "ZM"


@given(st.characters())
def test_continuation_pieces_are_drawn_for_chinese_only(character):
    assert (drawable_character(f"##{character}") is not None) == bool(han_character(character))


def test_blank_tokens_are_zero_and_have_no_source(glyphs):
    for token in (*SPECIAL_TOKENS, "", "\u2028", " ", "##a", "ing"):
        row = TOKENS.index(token)
        assert not glyphs.images[row].any()
        assert glyphs.sources[row].tolist() == [-1, -1, -1]


def test_continuation_piece_looks_like_its_character(glyphs):
    plain, piece = TOKENS.index("人"), TOKENS.index("##人")
    assert glyphs.images[plain].any(axis=(1, 2)).all()
    assert np.array_equal(glyphs.images[plain], glyphs.images[piece])


def test_shapes_and_types(glyphs):
    assert glyphs.images.shape == (len(TOKENS), 3, 24, 24)
    assert glyphs.images.dtype == np.uint8
    assert glyphs.sources.shape == (len(TOKENS), 3)
    assert glyphs.sources.dtype == np.int8


# ---------------------------------------------------------------------------------------------- what the ink looks like


def test_character_of_no_font_is_blank_not_a_box(fonts):
    drawn = render_glyphs(["\U0010fffd", "\u0378", "\U0003fffd", "\ufffe", "\U0010ffff"], fonts)
    assert not drawn.images.any()
    assert (drawn.sources == -1).all()


def test_font_that_lacks_a_character_does_not_draw_its_missing_box():
    # The source font of this file has the simplified characters of GB2312 only.
    drawn = render_glyphs(["东", "東", "龘", "あ"], one_font(FONTS / "xingkai.woff2"))
    assert drawn.sources[:, 0].tolist() == [0, -1, -1, -1]
    assert not drawn.images[1:].any()


def test_next_font_of_the_channel_is_asked(glyphs):
    row = TOKENS.index("東")
    assert glyphs.sources[row, 0] == 0
    assert (glyphs.sources[row, 1:] > 0).all()
    assert glyphs.images[row].any(axis=(1, 2)).all()


def test_punctuation_keeps_its_place_in_the_square(fonts):
    for comma, stop, opening, dash in render_glyphs(["，", "。", "“", "一"], fonts).images.swapaxes(0, 1):
        assert ink_middle(comma)[0] > 15
        assert ink_middle(stop)[0] > 15
        assert ink_middle(opening)[0] < 10
        assert abs(ink_middle(dash)[0] - 12) < 2.5


def test_full_width_comma_lies_to_the_lower_left(glyphs):
    # In channels 1 and 2 the fonts themselves put it low in the middle.
    row, column = ink_middle(glyphs.images[TOKENS.index("，"), 0])
    assert row > 15
    assert column < 9


def test_chinese_characters_stand_in_the_middle(fonts):
    images = render_glyphs(list(COMMON), fonts).images
    for channel in range(3):
        middles = np.array([ink_middle(image[channel]) for image in images])
        assert np.abs(middles.mean(axis=0) - 12).max() < 0.7


def test_half_width_latin_stands_in_the_middle(glyphs):
    for image in glyphs.images[TOKENS.index("a")]:
        assert abs(ink_middle(image)[1] - 12) < 2


def test_scale_makes_characters_flat():
    plain = render_glyphs(["国"], one_font(FONTS / "brush-kai.woff2")).images[0, 0]
    flat = render_glyphs(["国"], one_font(FONTS / "brush-kai.woff2", scale=(1.0, 0.7))).images[0, 0]
    assert plain.any(axis=1).sum() - flat.any(axis=1).sum() >= 5
    assert abs(int(plain.any(axis=0).sum()) - int(flat.any(axis=0).sum())) <= 1


def test_stroke_makes_characters_bolder():
    plain = render_glyphs(["国"], one_font(FONTS / "fangsong-like.woff2")).images
    bold = render_glyphs(["国"], one_font(FONTS / "fangsong-like.woff2", stroke=0.5)).images
    assert bold.mean() > 1.3 * plain.mean()


# ---------------------------------------------------------------------------------------------------------- determinism


def test_an_image_does_not_depend_on_the_other_tokens(fonts, glyphs):
    alone = render_glyphs(["東"], fonts)
    assert np.array_equal(alone.images[0], glyphs.images[TOKENS.index("東")])


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_workers(monkeypatch):
    chain = (glyph.Font(FONTS / "xingkai.woff2"), glyph.Font(FONTS / "xingkai-mouhitsu.woff2", stroke=0.2))
    fonts = FontSet((glyph.Channel("running", chain),) * 3)
    tokens = [chr(code) for code in range(0x4E00, 0x4E00 + 300)] + ["[PAD]", "##一", "，"]
    alone = render_glyphs(tokens, fonts, workers=1)
    monkeypatch.setattr(glyph, "_MIN_CHARACTERS_PER_WORKER", 50)
    shared = render_glyphs(tokens, fonts, workers=2)
    assert set(np.unique(alone.sources)) == {-1, 0, 1}
    assert alone.images.tobytes() == shared.images.tobytes()
    assert alone.sources.tobytes() == shared.sources.tobytes()
    assert alone.metadata == shared.metadata


def test_no_tokens_give_no_images(fonts):
    assert render_glyphs([], fonts).images.shape == (0, 3, 24, 24)


def test_workers_below_one_are_refused(fonts):
    with pytest.raises(InputError, match="workers"):
        render_glyphs(["人"], fonts, workers=0)


# ---------------------------------------------------------------------------------------------------- reading the input


def font_yaml(font: str = "{file: x.ttf}", channels: int = 3) -> str:
    return "channels:\n" + "".join(f"  - {{name: c{i}, fonts: [{font}]}}\n" for i in range(channels))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (font_yaml(channels=2), "exactly 3"),
        ("channels: 7\n", "exactly 3"),
        ("- 1\n", "expected a mapping"),
        ("channels: [\n", "not valid YAML"),
        (font_yaml() + "fallback: []\n", "unknown key 'fallback'"),
        (font_yaml("{file: x.ttf, bold: 1}"), "unknown key 'bold'"),
        (font_yaml("{size: 24}"), "'file' is missing"),
        (font_yaml("{file: x.ttf, size: big}"), "'size' needs a number"),
        (font_yaml("{file: x.ttf, size: 0}"), "'size' needs a number"),
        (font_yaml("{file: x.ttf, stroke: yes}"), "'stroke' needs a number"),
        (font_yaml("{file: x.ttf, scale: 0.8}"), "'scale' needs two numbers"),
        (font_yaml("{file: x.ttf}"), "x.ttf: no such font"),
        ("channels:\n" + "  - {name: a, fonts: []}\n" * 3, "'fonts' needs a list"),
    ],
)
def test_bad_font_list_says_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "fonts.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        FontSet.from_yaml(path)
    assert str(tmp_path) in str(caught.value)


def test_missing_font_list_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml: no such file"):
        FontSet.from_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS pointer"),
        (b"this is a text, no font", "cannot be opened as a font"),
        (b"", "cannot be opened as a font"),
    ],
)
def test_file_that_is_no_font_is_named(tmp_path, content, message):
    (tmp_path / "x.ttf").write_bytes(content)
    (tmp_path / "fonts.yaml").write_text(font_yaml())
    with pytest.raises(InputError, match=f"x.ttf.*{message}"):
        FontSet.from_yaml(tmp_path / "fonts.yaml")


def test_fonts_are_found_beside_their_yaml(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "x.ttf").write_bytes((FONTS / "xingkai-mouhitsu.woff2").read_bytes())
    (tmp_path / "own" / "fonts.yaml").write_text(font_yaml("{file: x.ttf, size: 20}"))
    monkeypatch.chdir(tmp_path)
    font = FontSet.from_yaml("own/fonts.yaml").channels[2].fonts[0]
    assert (font.size, font.scale, font.stroke) == (20.0, (1.0, 1.0), 0.0)


# ----------------------------------------------------------------------------------------------------------- saved form


def test_saved_images_load_again(glyphs, tmp_path):
    glyphs.save(tmp_path / "new")
    for mmap in (False, True):
        loaded = Glyphs.load(tmp_path / "new", mmap=mmap)
        assert np.array_equal(loaded.images, glyphs.images)
        assert np.array_equal(loaded.sources, glyphs.sources)
        assert isinstance(loaded.images, np.memmap) == mmap
    assert loaded.metadata["vocab_size"] == len(TOKENS)
    assert loaded.metadata["channels"][1]["fonts"][0]["file"] == "xingkai.woff2"


def test_saving_twice_gives_equal_bytes(glyphs, tmp_path):
    for name in ("a", "b"):
        glyphs.save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["glyph_sources.npy", "glyphs.json", "glyphs.npy"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def change_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_metadata(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("glyphs.npy", change_byte, "checksum"),
        ("glyph_sources.npy", change_byte, "checksum"),
        ("glyphs.npy", lambda path: path.write_bytes(path.read_bytes()[:-100]), "no complete NumPy array"),
        ("glyphs.npy", lambda path: path.write_bytes(b"version https://git-lfs"), "Git LFS pointer"),
        ("glyphs.npy", lambda path: path.write_bytes(b""), "no complete NumPy array"),
        ("glyphs.npy", lambda path: np.save(path, np.zeros((2, 3, 24, 24), np.uint8)), "expected uint8"),
        ("glyphs.npy", lambda path: path.unlink(), "cannot read"),
        ("glyphs.json", lambda path: path.unlink(), "cannot read"),
        ("glyphs.json", lambda path: path.write_text("{"), "not valid JSON"),
        ("glyphs.json", lambda path: change_metadata(path, format_version=99), "format version 99"),
    ],
)
@pytest.mark.parametrize("mmap", [False, True])
def test_damaged_files_are_refused_by_name(glyphs, tmp_path, name, damage, message, mmap):
    glyphs.save(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}.*{message}"):
        Glyphs.load(tmp_path, mmap=mmap)


def test_metadata_names_the_vocabulary_by_its_checksum(glyphs, tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("".join(f"{token}\n" for token in TOKENS).encode())
    assert glyphs.metadata["vocab_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


# -------------------------------------------------------------------------------------------------------------- program


@pytest.fixture()
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.txt"
    path.write_bytes("".join(f"{token}\n" for token in TOKENS + list(COMMON)).encode())
    return path


def test_program_draws_a_vocabulary(vocabulary, tmp_path):
    from PIL import Image

    command = [sys.executable, "-m", "data_prep", "glyphs", "--vocab", vocabulary, "--fonts", FONTS / "default.yaml"]
    command += ["--output", tmp_path / "out", "--preview", tmp_path / "sheet.png"]
    done = subprocess.run([str(part) for part in command], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no image" in done.stdout
    loaded = Glyphs.load(tmp_path / "out")
    assert loaded.metadata["vocab_sha256"] == hashlib.sha256(vocabulary.read_bytes()).hexdigest()
    assert len(loaded.images) == len(read_vocabulary(vocabulary))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.size[0] > 500


def test_program_does_not_overwrite_unasked(vocabulary, tmp_path, capsys):
    arguments = ["glyphs", "--vocab", str(vocabulary), "--fonts", str(FONTS / "default.yaml")]
    output = tmp_path / "out"
    output.mkdir()
    (output / "mine.txt").write_text("keep")
    assert main([*arguments, "--output", str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (output / "mine.txt").read_text() == "keep"
    assert main([*arguments, "--output", str(output), "--overwrite"]) == 0
    assert not (output / "mine.txt").exists()


def test_program_reports_bad_input_without_traceback(tmp_path, capsys):
    arguments = ["glyphs", "--vocab", str(tmp_path / "none.txt"), "--fonts", "x.yaml", "--output", str(tmp_path / "o")]
    assert main(arguments) == 2
    assert "none.txt" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_glyphs_are_a_frozen_value(glyphs):
    with pytest.raises(dataclasses.FrozenInstanceError):
        glyphs.images = None
