"""Personal data is masked; numbers of law, technology and trade are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.cleaning.personal_data import PersonalData

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def identity_number(first_17: str) -> str:
    """Completes an identity number with its check digit."""
    return first_17 + "10X98765432"[sum(int(d) * w for d, w in zip(first_17, WEIGHTS, strict=True)) % 11]


def mask(text: str) -> str:
    return str(PersonalData().outcome(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("电话13812345678。", "电话10000000000。"),
        ("手机：138-1234-5678（微信同号）", "手机：100-0000-0000（微信同号）"),
        ("请拨+86 138 1234 5678", "请拨+86 100 0000 0000"),
        ("联系人王某１３８１２３４５６７８", "联系人王某１００００００００００"),
        ("13812345678/13912345678,15012345678", "10000000000/10000000000,10000000000"),
        ("座机010-62345678-8001", "座机010-00000000-0000"),
        ("（021）5555 6666 转 23", "（021）0000 0000 转 00"),
        ("座机０１０－６２３４５６７８－８００１", "座机０１０－００００００００－００００"),
        ("（０２１）５５５５６６６６", "（０２１）００００００００"),
        ("电话：６２３４５６７８", "电话：００００００００"),
        ("+86-10-62345678", "+86-10-00000000"),
        ("电话：62345678", "电话：00000000"),
        ("Tel: 01062345678", "Tel: 01000000000"),
        ("写信到 zhang.san_1@mail.163.com 即可", "写信到 name@example.com 即可"),
        ("邮箱zhangsan＠qq.com。", "邮箱name@example.com。"),
        (f"身份证号{identity_number('11010119900307123')}。", "身份证号000000000000000000。"),
        ("身份证号码：110101900307123", "身份证号码：000000000000000"),
        ("卡号6222 0212 3456 7890 128", "卡号0000 0000 0000 0000 000"),
        ("加QQ：123456789，QQ群87654321", "加QQ：000000000，QQ群00000000"),
    ],
)
def test_personal_data_is_masked(text: str, expected: str) -> None:
    assert mask(text) == expected


def test_identity_number_that_ends_in_x_is_masked() -> None:
    number = next(n for tail in range(999) if (n := identity_number(f"11010119900307{tail:03}")).endswith("X"))
    assert mask(f"证件{number.lower()}") == "证件" + "0" * 18


@pytest.mark.parametrize(
    "text",
    [
        "第一百三十三条 违反本法第13812条、第28条的规定。",
        "国发〔2010〕13号，法释〔2008〕5号，GB 11643-1999，ISO/IEC 7812-1:2017",
        "2021-03-12 10:11:12，20210312101112，1609459200000，1970年1月1日",
        "圆周率是3.14159265358979323846，电子的质量是9.10938356×10⁻³¹千克",
        "ISBN 978-7-5327-1234-5，ISBN 7-5327-1234-5，ISSN 1000-1234，CN 11-1234/G4",
        "文件有13812345678字节，总产值13812345678元，编号第13812345678号",
        "版本 10.13.14.15，地址 192.168.100.200，0x13812345678，v13812345678",
        "统一社会信用代码91110108551385082Q，专利号ZL201310123456.7",
        "客服 400-820-8820、95588、12345、110",
        "git clone git@github.com:owner/name.git，icon@2x.png，root@localhost，name@example.com",
        "lodash@4.17.21 和 @babel/core",
        "订单号2021031213812345678901，条形码6901234567892",
        "身份证号110101199003071234的校验码是错的",
        "UUID 123e4567-e89b-12d3-a456-426614174000",
        "http://example.com/13812345678/a.html",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
        "人口1 412 120 000，坐标 116.407526,39.904030",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == text


def test_masked_text_is_not_masked_again() -> None:
    masked = mask(f"电话13812345678，座机010-62345678，{identity_number('11010119900307123')}，a@b.cn，QQ12345678")
    assert mask(masked) == masked


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_every_mobile_number_between_han_characters_becomes_the_same_mask(number: str) -> None:
    assert mask(f"电话{number}。") == "电话10000000000。"


@given(st.text(alphabet="0123456789-. ()", max_size=40))
def test_numbers_keep_their_length_and_form(text: str) -> None:
    masked = mask(f"号码{text}。")
    assert [c for c in masked if not c.isdigit()] == [c for c in f"号码{text.strip(chr(10))}。" if not c.isdigit()]


@pytest.mark.parametrize(
    ("switch", "text"),
    [
        ("phones", "电话13812345678"),
        ("emails", "zhangsan@163.com"),
        ("identity_numbers", "身份证" + identity_number("11010119900307123")),
        ("bank_cards", "卡号6222021234567890128"),
        ("qq_numbers", "QQ：123456789"),
    ],
)
def test_each_kind_can_be_left_as_it_is(switch: str, text: str) -> None:
    assert mask(text) != text
    assert PersonalData(**{switch: False}).outcome(text) == text
