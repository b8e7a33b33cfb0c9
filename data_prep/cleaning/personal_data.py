"""Masks what belongs to a person: telephone numbers, e-mail addresses, identity numbers, bank card and QQ numbers.

A number keeps its form and becomes zeros (``138-1234-5678``: ``100-0000-0000``), an address becomes
``name@example.com``, so the sentence reads on. No mask is anybody's: mobile numbers begin with 13 to 19, not 10;
subscribers' numbers with 2 to 8; 000000 is no region, and eighteen zeros fail the check digit of identity numbers; bank
cards and QQ numbers never begin with 0; example.com belongs to nobody (RFC 2606). What is masked is not masked again.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from data_prep.cleaning.step import CleaningStep

_D = "[0-9０-９]"
_GAP = "[ \\-－—]?"
# Nothing but QQ numbers has fewer digits; most texts have no such number and are done.
_LONG_NUMBER = re.compile(rf"{_D}(?:{_GAP}[(（)）]?{_GAP}{_D}){{6}}")

# Neither in the middle of a longer number, name or address, nor behind a decimal point or the hyphen of an ISBN.
_START = r"(?<![0-9０-９A-Za-z_.．%\\\-－])(?<![A-Za-z_.\-/]/)"
_END = r"(?![0-9０-９A-Za-z_%])(?![.．\-－][0-9０-９])(?!\.[A-Za-z])"
# A quantity, or the number of a document: nothing to call.
_UNITS = "余|多|亿|万|元|美元|英镑|日元|吨|公里|千米|米|平方|立方|字节|秒|毫秒|微秒|纳秒|次|倍|股|号"
_NO_UNIT = rf"(?!\s?(?:{_UNITS}|[KMGT]?i?B\b|bytes?\b|bits?\b))"
_MOBILE = rf"[1１][3-9３-９]{_D}{_GAP}{_D}{{4}}{_GAP}{_D}{{4}}"
_SUBSCRIBER = rf"[2-8２-８]{_D}{{2,3}}[ \-－]?{_D}{{4}}"
_EXTENSION = rf"(?:(?:[\-－—]{{1,2}}|\s?(?:转|轉|ext\.?)\s?){_D}{{1,5}})?"
_AREA = rf"(?:[1１][0０]|[2２]{_D}|[3-9３-９]{_D}{{2}})"
_PHONE_NAMES = "电话|電話|手机|手機|热线|熱線|传真|傳真|座机|Tel|TEL|tel|Fax|FAX|Phone|phone"
_PHONE_WORD = rf"(?:{_PHONE_NAMES})(?:号码?|號碼?|是|为|為)?[.。]?\s?[:：]?\s?"

# The first two digits of an identity number: a province (GB/T 2260), or residents from Hong Kong, Macao, Taiwan.
_PROVINCES = "1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]"
_MONTH_AND_DAY = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
# GB 11643: weights of the first 17 digits; the check digit by their sum modulo 11.
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"
_UNION_PAY = "62"
_CARD_CONTEXT = re.compile(r"(?:卡号|卡號|账号|帐号|账户|帐户|银行|銀行|信用卡|借记卡|汇款|转账)\D{0,20}$")

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-/@])(?!git@)[A-Za-z0-9](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9])?[@＠]"
    r"(?![0-9]x\.|example\.)(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,5}[A-Za-z]{2,18}(?![A-Za-z0-9@])"
)
_EMAIL_MASK = "name@example.com"
_ZEROS = str.maketrans("123456789Xx１２３４５６７８９Ｘｘ", "0" * 11 + "０" * 11)
_HALF_WIDTH = str.maketrans("０１２３４５６７８９Ｘｘx", "0123456789XXX")


def _anything(match: re.Match[str]) -> bool:
    return True


def _is_identity(match: re.Match[str]) -> bool:
    number = match["masked"].translate(_HALF_WIDTH)
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return number[17] == _CHECK_DIGITS[total % 11]


def _is_card(match: re.Match[str]) -> bool:
    number = re.sub(r"\D", "", match["masked"])
    named = _CARD_CONTEXT.search(match.string, max(0, match.start() - 30), match.start())
    return bool(number.startswith(_UNION_PAY) or named) and _passes_luhn(number)


def _passes_luhn(number: str) -> bool:
    """ISO/IEC 7812-1: every second digit from the right doubled, digits summed, divisible by ten."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


@dataclass(frozen=True)
class _Kind:
    """Numbers of one kind: the group ``masked`` of ``pattern`` becomes zeros, but for its first ``kept`` characters."""

    pattern: re.Pattern[str]
    accepts: Callable[[re.Match[str]], bool] = _anything
    kept: int = 0

    def mask(self, text: str) -> str:
        return self.pattern.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        if not self.accepts(match):
            return match.group()
        begin, end = match.start("masked") - match.start(), match.end("masked") - match.start()
        begin += self.kept
        whole = match.group()
        return whole[:begin] + whole[begin:end].translate(_ZEROS) + whole[end:]


_IDENTITY = _Kind(
    re.compile(
        rf"(?<![0-9０-９A-Za-z_.])(?P<masked>[1-8１-８]{_D}{{5}}(?:19|20|18|１９|２０){_D}{{9}}[0-9０-９XxＸｘ])(?![0-9０-９A-Za-z_])"
    ),
    _is_identity,
)
_OLD_IDENTITY = _Kind(
    re.compile(rf"身份证\D{{0,8}}(?P<masked>(?:{_PROVINCES})[0-9]{{6}}{_MONTH_AND_DAY}[0-9]{{3}})(?![0-9])")
)
_BANK_CARD = _Kind(
    re.compile(
        rf"{_START}(?P<masked>[1-9](?:[0-9]{{14,18}}|[0-9]{{3}}(?:[ \-][0-9]{{4}}){{3}}(?:[ \-][0-9]{{1,3}})?))"
        rf"{_END}{_NO_UNIT}"
    ),
    _is_card,
)
_MOBILE_NUMBER = _Kind(
    re.compile(rf"{_START}(?:(?:\+|00)?86[ \-]?|\+?\(86\)[ ]?|0)?(?P<masked>{_MOBILE}){_END}{_NO_UNIT}"), kept=1
)
_LANDLINE_NUMBER = _Kind(
    re.compile(
        rf"{_START}(?:(?:\+|00)86[ \-]?(?:\(0\))?{_AREA}[ \-]?|86[ \-]{_AREA}[ \-]|"
        rf"[(（][0０]{_AREA}[)）][ \-－—]?|[0０]{_AREA}[ \-－—―]{{1,2}})"
        rf"(?P<masked>{_SUBSCRIBER}{_EXTENSION}){_END}{_NO_UNIT}"
    )
)
_NAMED_NUMBER = _Kind(
    re.compile(rf"{_PHONE_WORD}(?:[0０]{_AREA})?(?P<masked>{_SUBSCRIBER}{_EXTENSION}){_END}{_NO_UNIT}")
)
_QQ_NUMBER = _Kind(
    re.compile(
        r"(?:QQ|qq|扣扣)(?:[\u4e00-\u9fff]{0,4}(?:群|号|客服|码)){0,2}\s?[:：]?\s?(?P<masked>[1-9][0-9]{4,10})(?![0-9])"
    )
)


class PersonalData(CleaningStep):
    """Masks personal data; drops nothing.

    Args:
        phones: mask mobile and landline numbers.
        emails: mask e-mail addresses.
        identity_numbers: mask mainland identity numbers.
        bank_cards: mask bank card numbers.
        qq_numbers: mask QQ numbers.
    """

    name = "personal_data"

    def __init__(
        self,
        *,
        phones: bool = True,
        emails: bool = True,
        identity_numbers: bool = True,
        bank_cards: bool = True,
        qq_numbers: bool = True,
    ) -> None:
        super().__init__()
        self.phones = phones
        self.emails = emails
        self.identity_numbers = identity_numbers
        self.bank_cards = bank_cards
        self.qq_numbers = qq_numbers

    def clean(self, text: str) -> str:
        """The text with masks in place of personal data."""
        if self.emails and ("@" in text or "＠" in text):
            text = _EMAIL.sub(_EMAIL_MASK, text)
        if self.qq_numbers and ("QQ" in text or "qq" in text or "扣扣" in text):
            text = _QQ_NUMBER.mask(text)
        if _LONG_NUMBER.search(text):
            for kind in self._long_kinds():
                text = kind.mask(text)
        return text

    def _long_kinds(self) -> list[_Kind]:
        """Longest first: an identity number must not be taken for a card."""
        kinds: list[_Kind] = []
        if self.identity_numbers:
            kinds += [_IDENTITY, _OLD_IDENTITY]
        if self.bank_cards:
            kinds += [_BANK_CARD]
        if self.phones:
            kinds += [_MOBILE_NUMBER, _LANDLINE_NUMBER, _NAMED_NUMBER]
        return kinds
