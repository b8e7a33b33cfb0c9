"""Which encoding a piece of Chinese text is in, told by its most frequent characters."""

import codecs

# The most frequent characters of modern Chinese (Jun Da's list, 2004), with the traditional forms of those that have
# one, and the commonest punctuation. They make up about half of any Chinese text, and under a twentieth of what comes
# out when text is decoded as something that it is not.
_FREQUENT = frozenset(
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日"
    "于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其"
    "這來國個說們為時會過學對後麼沒於還發當無開見經頭動兩長樣現將與進實點氣我們，。、：；？！“”《》（）「」\u3000"
)
# GB18030 contains GBK and GB2312; Python's big5hkscs contains Big5.
_CANDIDATES = ("gb18030", "big5hkscs", "utf-16-le", "utf-16-be")
# As iconv and people call them.
NAMES = {"gb18030": "GB18030", "big5hkscs": "BIG5", "utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE"}
_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CONVINCING = 0.2
# Chinese text has none; more NULs than these are UTF-16 with Latin letters in it, or what a crashed disk left.
NUL_SHARE = 0.2
_SAMPLE_BYTES = 1 << 16


def byte_order_mark(data: bytes) -> str | None:
    """The encoding that a UTF-16 byte order mark at the start tells."""
    return _BYTE_ORDER_MARKS.get(data[:2])


def guess_encoding(data: bytes) -> str | None:
    """The codec that makes Chinese text of ``data``, which is not UTF-8; None where none does."""
    marked = byte_order_mark(data)
    if marked:
        return marked
    sample = data[:_SAMPLE_BYTES]
    if sample.count(0) > NUL_SHARE * len(sample):
        return _utf_16_by_nul_bytes(sample)
    scores = {encoding: _share_of_frequent(sample.decode(encoding, errors="replace")) for encoding in _CANDIDATES}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] >= _CONVINCING else None


def _utf_16_by_nul_bytes(sample: bytes) -> str | None:
    """Latin letters, digits and spaces have a NUL in UTF-16, always on the same side."""
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if max(first, second) < 4 * min(first, second):
        return None
    return "utf-16-be" if first > second else "utf-16-le"


def _share_of_frequent(text: str) -> float:
    """Without ASCII, which half of the bytes of Chinese text in UTF-16 look like."""
    others = [character for character in text if character > "\x7f"]
    return sum(character in _FREQUENT for character in others) / len(others) if others else 0.0


def python_codec(label: str) -> str | None:
    """The codec for a name that a page declares, read as browsers do: GB2312 and GBK mean all of GB18030."""
    label = label.lower()
    if label in ("gb2312", "gbk", "gb_2312-80", "x-gbk", "chinese", "csgb2312"):
        return "gb18030"
    if label in ("big5", "big5-hkscs", "cn-big5", "x-x-big5"):
        return "big5hkscs"
    if label in ("iso-8859-1", "latin1", "ascii", "us-ascii", "windows-1252"):
        return "cp1252"
    try:
        "".encode(label)  # not codecs.lookup, which knows "rot13" and "hex" too
        return codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
