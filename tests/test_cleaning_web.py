"""``configs/cleaning/web.yaml`` as a whole: good texts of every kind come out as they went in, bad ones are dropped."""

import gzip
import time
from pathlib import Path

import pytest
from datatrove.data import Document

from data_prep.cleaning.configuration import load_steps
from data_prep.cleaning.step import CleaningStep, Dropped

GOOD = {
    "news": "新华社电　市图书馆3月12日重新开放，新增座位1200个，当天共接待读者8600人次，比去年同期增长15.3%。\n"
    "馆长表示，以后每周开放七天，晚上九点闭馆；自习室须提前一天预约。",
    "poem in a line": "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。",
    "poem in lines": "我把灯放在窗台上\n夜往后退了一步\n远处的河水还在走\n不认识一座桥\n你的信是去年的雪\n落在今年屋顶",
    "song": "采采芣苢，薄言采之。采采芣苢，薄言有之。采采芣苢，薄言掇之。采采芣苢，薄言捋之。采采芣苢，薄言袺之。",
    "classical prose": "子曰：「學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？人不知而不慍，不亦君子乎？」\n"
    "有子曰：「其為人也孝弟，而好犯上者，鮮矣；不好犯上，而好作亂者，未之有也。」",
    "review": "耳机收到了，音质不错，就是线有点短，戴久了耳朵疼，给四星吧",
    "angry review": "差评！！！用了两天就坏了，客服也不理人，再也不买了！！！",
    "statute": "第一条　为了规范地名管理，适应社会发展需要，制定本办法。\n第二条　本办法所称地名，包括：\n"
    "（一）山、河、湖、海等自然地理实体名称；\n（二）省、市、县、乡等行政区划名称；\n（三）街、路、巷等名称。\n"
    "第三条　县级以上人民政府负责本行政区域内的地名管理工作。\n第四条　违反本办法的，处500元以上5000元以下罚款。",
    "technology": "React 16.8 引入了 Hooks，函数组件可以用 useState 保存状态，用 useEffect 处理副作用。\n"
    "先运行 npm install react@16.8.0，再把 componentDidMount 里的逻辑移到 useEffect 中，第二个参数传空数组 [] 即可。\n"
    "注意：依赖写错会造成重复渲染，可以打开 eslint-plugin-react-hooks 检查。",
    "dialogue": "“你去哪里？”\n“去买书。”\n“什么书？”\n“还没有想好。”\n他笑了。\n“那就一起去吧！”\n“好。”",
    "medicine": "问：怀孕三个月，阴道有少量出血，要紧吗？\n"
    "答：先兆流产的可能性较大，建议卧床休息，禁止性生活，及时到医院做B超，并查HCG和孕酮。",
    "abstract": "目的:探讨高血压的影响.方法:测定58例患者的内径(D)、峰值速度(PSV).结果:差异有统计学意义(P<0.05).",
    "novel": "话说那李三输了银子，整日长吁短叹。娘子劝道：这赌字原不是正经营生，何苦来？李三道：你妇道人家晓得什么！",
    "report on a crime": "公安机关近日破获一起利用网站组织的赌球案件，抓获犯罪嫌疑人12名，涉案资金达3000余万元。"
    "办案民警介绍，嫌疑人以高赔率为诱饵发展会员，再层层抽头。",
}

BAD = {
    "navigation": (
        "boilerplate",
        "首页 > 新闻中心 > 公司新闻\n登录 注册\n关于我们 | 产品中心 | 联系我们\n上一篇：公司召开年会\n下一篇：没有了\n"
        "点击查看更多\n版权所有 © 2015 某某有限公司\n京ICP备12345678号\n欢迎新老客户来电咨询。",
    ),
    "UTF-8 read as GBK": (
        "encoding",
        "今天上午，市图书馆重新开放。许多读者，一早就来排队了。".encode().decode("gbk", "replace"),
    ),
    "lost characters": ("encoding", "锟斤拷锟斤拷锟斤拷锟接ｏ拷锟斤拷锟斤拷，锟斤拷锟斤拷锟斤拷锟斤拷。"),
    "page of script": (
        "html_residue",
        "<div>\nvar list = document.getElementById('list');\nfor (var i = 0; i < 10; i++) { list.append(i); }\n"
        "window.onload = function() { show(list); };\n</div>\n加载中",
    ),
    "English": ("length", "The library reopened yesterday, and many readers came early in the morning. 图书馆"),
    "English with a Chinese summary": (
        "han_share",
        "The library reopened yesterday, and many readers came early in the morning to find a seat. " * 3
        + "市图书馆昨天重新开放，许多读者一早就来了。",
    ),
    "picture of signs": (
        "han_share",
        "┏━━━━━━━━━━━━┓\n┃　今天天气真好啊┃\n┃★☆★☆★☆★☆★☆┃\n┗━━━━━━━━━━━━┛\n分享给大家 (￣▽￣)／ ＝＝＝＝",
    ),
    "lottery numbers": (
        "character_mix",
        "双色球第2019031期开奖号码查询结果 03 08 14 19 22 31 蓝球 07\n第2019032期号码 02 09 11 18 27 33 蓝球 12\n"
        "第2019033期开奖号码 05 06 17 21 24 30 蓝球 16",
    ),
    "Japanese": ("character_mix", "市の図書館は昨日から再開しました。座席が増えて、朝から多くの読者が並んでいます。"),
    "table of parameters": (
        "line_shape",
        "品牌：海声\n型号：HS-35GW\n颜色分类：白色 灰色\n额定功率：1500W\n产品尺寸：80×30×20cm\n保修：3年",
    ),
    "headlines": (
        "line_shape",
        "全市经济工作会议召开 部署2019年任务\n“最美图书馆”评选结果公布\n企业座谈会举行 2019-03-01\n新增3条公交线路\n"
        "第12届书展周末开幕\n专题：春季森林防火\n教育局发布中小学招生方案",
    ),
    "repeated lines": (
        "repetition",
        "\n".join(["这款手机拍照很清楚，推荐大家购买。"] * 6 + ["物流很快，包装也好。", "第二次买了，一直很满意。"]),
    ),
    "keywords": (
        "repetition",
        "，".join(
            f"{place}搬家公司" for place in ["东城", "西城", "海淀", "丰台", "朝阳", "通州", "顺义", "大兴", "昌平"]
        ),
    ),
    "gambling": (
        "bad_words",
        "澳门新葡京真人娱乐，注册送彩金，百家乐、老虎机、时时彩、六合彩应有尽有，信誉平台，优惠开户，稳赚不赔，"
        "更有美女荷官在线发牌，北京赛车pk10天天开奖。",
    ),
    "adult": (
        "bad_words",
        "国产精品久久久久，亚洲综合一区二区三区，成人视频免费观看，激情小说，偷拍自拍，看点什么都有。",
    ),
}


@pytest.fixture(scope="module")
def steps() -> list[CleaningStep]:
    """The row of steps as shipped."""
    return load_steps("web")


def pass_through(steps: list[CleaningStep], text: str) -> tuple[str, Dropped | None, str]:
    """The text as far as it came, why it was dropped, and by which step."""
    for step in steps:
        outcome = step.outcome(text)
        if isinstance(outcome, Dropped):
            return text, outcome, step.name
        text = outcome
    return text, None, ""


@pytest.mark.parametrize("kind", GOOD)
def test_good_text_comes_out_as_it_went_in(steps: list[CleaningStep], kind: str) -> None:
    assert pass_through(steps, GOOD[kind]) == (GOOD[kind], None, "")


@pytest.mark.parametrize("kind", BAD)
def test_bad_text_is_dropped_by_the_step_for_it(steps: list[CleaningStep], kind: str) -> None:
    step, text = BAD[kind]
    _, dropped, by = pass_through(steps, text)
    assert (by, bool(dropped and dropped.reason)) == (step, True)


def test_soup_of_markup_and_navigation_around_an_article_leaves_the_article(steps: list[CleaningStep]) -> None:
    article = GOOD["news"].split("\n")
    page = (
        '<div class="nav">首页 &gt; 新闻</div>\n<p align="center">' + article[0] + "</p>\n"
        "<script>var a = 1;</script>\n<p>&nbsp;&nbsp;" + article[1] + "（责任编辑：王明）</p>\n"
        "电话：010-62345678 联系人：张先生，欢迎来信提出宝贵意见。\n上一篇：通知<br>版权所有 © 某网"
    )
    contact = "电话：010-00000000 联系人：张先生，欢迎来信提出宝贵意见。"
    assert pass_through(steps, page)[0] == "\n".join([*article, contact])


def test_cleaned_text_is_not_changed_by_cleaning_again(steps: list[CleaningStep]) -> None:
    text = "<p>\ufeff联系电话13812345678，邮箱a@b.cn，我们周一到周五上班，周末休息，欢迎随时来信。</p>\n上一篇：通知"
    once = pass_through(steps, text)[0]
    assert pass_through(steps, once) == (once, None, "")


def test_steps_run_as_a_pipeline_and_count(steps: list[CleaningStep]) -> None:
    texts = [*GOOD.values(), *(text for _, text in BAD.values())]
    data = iter([Document(text=text, id=f"a.txt:{line}") for line, text in enumerate(texts, start=1)])
    row = load_steps("web")
    for step in row:
        data = step.run(data)
    assert [document.text for document in data] == list(GOOD.values())
    assert sum(sum(step.tally.dropped_documents.values()) for step in row) == len(BAD)


def test_bundled_sample_text_stays(steps: list[CleaningStep], root: Path) -> None:
    for path in (root / "data_prep" / "sample").rglob("*.txt"):
        for text in path.read_text(encoding="utf-8").split("\n\n"):
            assert pass_through(steps, text.strip())[1] is None, text[:80]


def documents(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [text.strip("\n") for text in file.read().split("\n\n") if text.strip()]


def test_hardly_any_document_of_a_clean_corpus_is_dropped(shared: Path) -> None:
    """Measured: 25 of 73,975; ten times as many would be a mistake in a step."""
    texts = documents(shared / "data" / "corpus" / "small.txt.gz")
    row = load_steps("web")
    dropped = [outcome for text in texts if (outcome := pass_through(row, text)[1])]
    assert len(dropped) <= 0.004 * len(texts)


def test_cleaning_is_fast_enough(shared: Path) -> None:
    """At least 1.5 million characters a second on an idle core (measured: 3.6); a third is left for busy machines."""
    texts = documents(shared / "data" / "corpus" / "small.txt.gz")
    row = load_steps("web")
    pass_through(row, texts[0])
    started = time.process_time()
    for text in texts:
        pass_through(row, text)
    assert sum(map(len, texts)) / (time.process_time() - started) > 0.5e6
