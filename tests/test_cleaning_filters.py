"""The steps that drop by counting: length, Han, kinds of characters, lines, repetition, bad words."""

from pathlib import Path

import pytest

from chinesebert.errors import InputError
from data_prep.cleaning.bad_words import BadWords
from data_prep.cleaning.character_classes import count_characters
from data_prep.cleaning.character_mix import CharacterMix
from data_prep.cleaning.han_share import HanShare
from data_prep.cleaning.length import Length
from data_prep.cleaning.line_shape import LineShape
from data_prep.cleaning.repetition import Repetition
from data_prep.cleaning.step import CleaningStep, Dropped

PROSE = "市图书馆昨天重新开放，新增了一千多个座位，许多读者一早就来排队，馆长说以后每周开放七天。"


def reason(step: CleaningStep, text: str) -> str | None:
    """Why it is dropped; None where it is kept as it is."""
    outcome = step.outcome(text)
    assert isinstance(outcome, Dropped) or outcome is text
    return outcome.reason if isinstance(outcome, Dropped) else None


def test_characters_are_counted_by_kind() -> None:
    counts = count_characters("汉字〇𠮷々 Latin é Ａ 12３，。—“”!\n★|カナ한я　")
    assert (counts.han, counts.latin, counts.digits) == (5, 7, 3)
    assert (counts.punctuation, counts.symbols, counts.other_letters) == (6, 2, 4)
    assert counts.total == 27


class TestLength:
    def test_text_with_too_few_han_characters_is_dropped(self) -> None:
        assert reason(Length(min_han=8), "很好，good！谢谢你们大家") is None
        assert reason(Length(min_han=9), "很好，good！谢谢你们大家") == "too few Han characters"

    def test_sentences_are_counted_only_where_asked_for(self) -> None:
        text = "一个没有句号的标题就是这个样子"
        assert reason(Length(), text) is None
        assert reason(Length(min_sentences=1), text) == "too few sentences"

    @pytest.mark.parametrize("text", ["这句完了。那句也完了！", "真的吗？！真的……", "Done. 完成了这一件事 Yes."])
    def test_two_sentences_are_two(self, text: str) -> None:
        assert reason(Length(min_han=0, min_sentences=2), text) is None
        assert reason(Length(min_han=0, min_sentences=3), text) == "too few sentences"

    def test_decimal_point_ends_no_sentence(self) -> None:
        assert reason(Length(min_han=0, min_sentences=1), "圆周率约为3.14") == "too few sentences"


class TestKindsOfCharacters:
    def test_english_page_is_dropped(self) -> None:
        text = "The library reopened yesterday with a thousand new seats. 图书馆"
        assert reason(HanShare(), text) == "too little Han"

    def test_technical_article_with_many_english_terms_stays(self) -> None:
        text = (
            "我们先用 Docker Compose 启动 PostgreSQL 与 Redis 两个服务，再运行 npm install 安装依赖，"
            "最后用浏览器访问 localhost:8080，就可以看到登录的页面了。"
        )
        assert reason(HanShare(), text) is None
        assert reason(CharacterMix(), text) is None

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("中文很少 but the rest of this text is written in English", "too much: Latin"),
            ("型号 2019 08 31 4411 7730 1192 8854 1107 价格 3999 4999", "too much: digits"),
            ("★★★◆◆◆【热卖】★★★◆◆◆ ▲▲▲ 特价 ▼▼▼", "too much: symbols"),
            ("好好好！！！！！！！！，，，，，，。。。。", "too much: punctuation"),
            ("これは日本語のページです。図書館は昨日から再開しました。", "too much: letters of other scripts"),
        ],
    )
    def test_too_much_of_one_kind_is_named(self, text: str, expected: str) -> None:
        assert reason(CharacterMix(), text) == expected

    def test_picture_made_of_signs_is_dropped(self) -> None:
        picture = "  /\\_/\\   小猫\n ( o.o )  |___|\n  > ^ <   #####\n==========="
        assert reason(HanShare(), picture) == "too little Han"

    def test_white_space_does_not_count(self) -> None:
        assert reason(HanShare(min_han_share=1.0), "大 家　好\n早 上 好") is None


class TestLineShape:
    HEADLINES = (
        "2019年全市经济工作会议召开 [图]\n“最美图书馆”评选结果公布\n中小企业座谈会举行 2019-03-01\n"
        "我市新增公交线路3条\n第12届书展周末开幕 市民可免费入场\n专题：春季防火 更多>>\n教育局发布招生方案 2019-02-27"
    )

    def test_list_of_headlines_is_dropped(self) -> None:
        assert reason(LineShape(), self.HEADLINES) == "too many lines without sentences"

    def test_table_of_parameters_is_dropped(self) -> None:
        table = "品牌：海声\n型号：HS-35GW\n颜色：白色\n功率：1500W\n尺寸：80×30×20cm\n产地：广东\n保修：3年"
        assert reason(LineShape(), table) == "too many lines without sentences"

    def test_poem_without_punctuation_stays(self) -> None:
        poem = (
            "我把灯放在窗台上\n夜就往后退了一步\n远处的河水还在走\n它不认识任何一座桥\n你的信是去年的雪\n落在今年的屋顶"
        )
        assert reason(LineShape(), poem) is None

    def test_dialogue_stays(self) -> None:
        dialogue = "“你去哪里？”\n“去买书。”\n“什么书？”\n“还没有想好。”\n他笑了。\n“那就一起去吧！”"
        assert reason(LineShape(), dialogue) is None

    def test_article_with_headings_and_a_list_stays(self) -> None:
        article = f"安装方法\n{PROSE}\n第一步 下载\n{PROSE}\n第二步 运行\n{PROSE}"
        assert reason(LineShape(), article) is None

    def test_few_lines_are_not_judged(self) -> None:
        assert reason(LineShape(), "\n".join(self.HEADLINES.split("\n")[:5])) is None

    def test_teasers_that_break_off_are_dropped(self) -> None:
        assert reason(LineShape(), f"{PROSE[:20]}…\n" * 3 + f"{PROSE}\n" * 2 + PROSE) == "too many lines that break off"

    def test_list_of_bullets_is_dropped(self) -> None:
        assert reason(LineShape(), "\n".join(["· " + PROSE] * 7)) == "too many lines with bullets"


class TestRepetition:
    def test_repeated_lines_are_dropped(self) -> None:
        lines = ["春天来了", "夏天来了", "秋风起了", "大雪落下", "查看详情", *["查看详情"] * 4]
        assert reason(Repetition(), "\n".join(lines)) == "duplicate lines"

    def test_long_line_that_comes_again_is_dropped_by_its_characters(self) -> None:
        lines = [PROSE, *"甲乙丙丁", PROSE]
        assert reason(Repetition(), "\n".join(lines)) == "characters in duplicate lines"

    def test_keywords_in_all_combinations_are_dropped(self) -> None:
        places = ["东城", "西城", "海淀", "丰台", "朝阳", "石景山", "通州", "顺义", "大兴"]
        assert reason(Repetition(), " ".join(f"{place}搬家公司" for place in places)) == "top 3-gram"

    def test_review_pasted_several_times_is_dropped(self) -> None:
        assert reason(Repetition(), PROSE * 3) == "duplicate 8-grams"
        assert reason(Repetition(), PROSE * 2) == "duplicate 13-grams"

    def test_one_character_over_and_over_is_dropped(self) -> None:
        assert reason(Repetition(), "好" * 30) == "few different characters"
        assert reason(Repetition(), "哈" * 300) == "top 3-gram"

    def test_old_song_with_a_refrain_stays(self) -> None:
        song = "采采芣苢，薄言采之。采采芣苢，薄言有之。采采芣苢，薄言掇之。采采芣苢，薄言捋之。"
        assert reason(Repetition(), song) is None

    def test_statute_with_its_formulas_stays(self) -> None:
        articles = "第{}条 违反本条例规定，未{}的，由县级人民政府{}部门责令改正；不改正的，处{}元以上{}元以下罚款。"
        duties = ["设置标志", "公布价格", "保存记录", "接受检查", "提交报告", "缴纳费用", "培训人员", "更换设备"]
        offices = ["交通", "市场", "档案", "卫生", "水务", "财政", "教育", "工业"]
        numbers = "一二三四五六七八九"
        text = "\n".join(
            articles.format(numbers[i], duties[i], offices[i], numbers[i], numbers[i + 1]) for i in range(8)
        )
        assert reason(Repetition(), text) is None

    def test_latin_words_are_no_ngrams_of_letters(self) -> None:
        text = PROSE + "Kubernetes " * 20
        assert reason(Repetition(), text) is None

    def test_length_that_is_not_given_is_not_judged(self) -> None:
        step = Repetition(max_top_ngram={}, max_duplicate_ngrams={}, max_duplicate_line_characters=1.0)
        assert reason(step, PROSE * 5) is None

    @pytest.mark.parametrize("length", [1, 3, 13])
    def test_share_is_counted_exactly(self, length: int) -> None:
        text = "".join(chr(0x4E00 + number) for number in range(80)) + "一丁丂七丄丅丆万丈三上下丌" * 1
        share = 13 / 93
        assert reason(Repetition(max_top_ngram={}, max_duplicate_ngrams={length: share - 0.001}), text)
        assert reason(Repetition(max_top_ngram={}, max_duplicate_ngrams={length: share + 0.001}), text) is None


class TestBadWords:
    SPAM = "真人娱乐城注册送彩金，百家乐、时时彩、北京赛车pk10，六合彩开奖直播，老虎机稳赚，优惠开户。"

    def test_advertisement_is_dropped(self) -> None:
        assert reason(BadWords(), self.SPAM * 3) == "bad words"

    @pytest.mark.parametrize(
        "text",
        [
            "警方昨天通报，查获一处以棋牌室为掩护的赌场，现场有老虎机两台。" + PROSE,
            "刑法第三百零三条：以营利为目的，聚众赌博或者以赌博为业的，处三年以下有期徒刑、拘役或者管制，并处罚金。",
            "患者自述一夜情之后出现皮疹，医生建议做梅毒螺旋体检查，并告知性伴侣同时就诊。",
            "那妇人生得妖娆，众人背地里说她淫荡，她只作不知，照旧在门前卖茶。",
            "这款德州扑克的规则书写得清楚，适合家里人一起玩。",
        ],
    )
    def test_text_about_the_matter_stays(self, text: str) -> None:
        assert reason(BadWords(), text) is None

    def test_line_of_such_words_above_a_text_is_taken_out(self) -> None:
        line = "国产精品久久久久_亚洲综合一区二区三区_日韩欧美在线观看_成人午夜视频"
        assert BadWords().outcome(f"{line}\n{PROSE * 10}") == PROSE * 10

    def test_case_does_not_matter(self) -> None:
        assert reason(BadWords(), "BET365 PK10 A片 AV视频 " * 3) == "bad words"

    def test_list_of_the_user_takes_the_place_of_ours(self, tmp_path: Path) -> None:
        words = tmp_path / "words.txt"
        words.write_text("座位  # 只为试验\n读者\n\n", encoding="utf-8")
        step = BadWords(words_file=str(words), min_different_words=2)
        assert reason(step, PROSE) == "bad words"
        assert reason(step, self.SPAM) is None

    @pytest.mark.parametrize("content", [b"", b"# nothing\n\n", "词".encode("gbk")])
    def test_list_without_words_is_refused_with_its_name(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "words.txt"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"words\.txt"):
            BadWords(words_file=str(path))
