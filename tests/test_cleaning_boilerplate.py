"""Lines of the page go, lines of the text stay, also where they begin alike."""

import pytest

from data_prep.cleaning.boilerplate import Boilerplate
from data_prep.cleaning.step import Dropped

PROSE = "市图书馆昨天重新开放，新增了一千多个座位，许多读者一早就来排队，馆长说以后每周开放七天。"

LINES_OF_THE_PAGE = """
首页 > 新闻中心 > 行业动态
您现在的位置：首页 >> 政务公开 >> 通知公告
上一篇：2019年工作总结
下一篇：没有了
责任编辑：王小明
来源：新华网 作者：张三
版权所有 © 2020 某某公司
Copyright © 2010-2020 Example Inc. All Rights Reserved.
京ICP备12345678号-1 京公网安备 11010502000001号
点击查看更多
点击阅读全文>>
展开全文
扫码关注我们的公众号
手机浏览器扫描二维码访问
欢迎关注我们的微信公众号：科技早知道
关于我们 | 联系我们 | 网站地图 | 法律声明
要闻 国内 国际 军事 财经 体育 娱乐
C++博客 :: 首页 :: 联系 :: 管理
登录 注册
请先登录后再发表评论
您还没有登录，请先登录
忘记密码？
本网站使用cookies以改善您的浏览体验，继续浏览即表示您同意我们的政策。
浏览次数：1234
阅读(1234) 评论(5)
发布时间：2020-01-02 10:11
2020-01-02 10:11:12
【字体：大 中 小】
发布时间：2020-01-02 10:11 来源：新华网 作者：张三 浏览次数：12
2020年1月2日 | 来源：人民日报
时间：2020-01-02 来源：本站
打印本页
打印本页 关闭窗口
【打印本页】 【关闭窗口】
免责声明
免责声明：本文来自网友投稿，仅代表作者观点，与本站立场无关。
分享到：微信 微博 QQ空间
返回顶部
未经授权，不得转载。
免责声明：本网站部分内容来自网络，如有侵权请联系删除。
相关阅读：
热门标签：装修 设计 家具
暂无评论
加载更多
上一章 目录 下一章
二手房业务流程.docx 第3页 / 共18页
友情链接：新浪 搜狐 网易
版權所有 不得轉載
"""

LINES_OF_THE_TEXT = """
版权所有者有权禁止他人复制其作品。
未经著作权人许可，复制、发行其作品的，应当承担民事责任。
前款规定的数据处理者未经委托方同意，不得访问、使用网络数据。
来源于民间的故事，总是最动人的。
点击“开始”按钮，选择控制面板，打开网络设置。
登录系统以后，输入密码，就能看到文件。
上一篇文章里，我们讲了如何安装。
关注微信公众号的人越来越多，这让他很高兴。
查看更多关于安装的说明，可以看文档。
分享快乐，快乐加倍。
写评论是一种艺术
尚未注册的商标
位置：北京市朝阳区
床前明月光 疑是地上霜
合同中的免责声明，必须写明理由。
时间：2020-01-02 地点：北京
2020年1月2日 星期四
来源：新华社记者在前方发来的消息说，当地天气很好。
他打印本页的时候，关闭窗口的声音响了。
历史
他回到首页，发现标题已经改了。
你的浏览器里有一段历史，它叫缓存。
第三条 网站应当在首页公布联系方式、投诉渠道。
"""


@pytest.mark.parametrize(
    "line",
    LINES_OF_THE_PAGE.strip().split("\n"),
)
def test_line_of_the_page_goes(line: str) -> None:
    assert Boilerplate().outcome(f"{PROSE}\n{line}\n{PROSE}") == f"{PROSE}\n{PROSE}"


@pytest.mark.parametrize(
    "line",
    LINES_OF_THE_TEXT.strip().split("\n"),
)
def test_line_of_the_text_stays(line: str) -> None:
    text = f"{PROSE}\n{line}\n{PROSE}"
    assert Boilerplate().outcome(text) is text


def test_credits_at_the_end_of_a_paragraph_are_cut_off() -> None:
    text = f"{PROSE}（责任编辑：王明）\n{PROSE}【打印】【关闭】\n{PROSE}(来源:新华社)"
    assert Boilerplate().outcome(text) == f"{PROSE}\n{PROSE}\n{PROSE}"


def test_page_of_navigation_is_dropped() -> None:
    page = "首页 > 新闻\n登录 注册\n上一篇：通知\n下一篇：公告\n版权所有 © 某公司\n京ICP备12345678号\n今天的天气不错。"
    assert Boilerplate().outcome(page) == Dropped("mostly boilerplate", "87% of the characters")


def test_long_paragraph_that_begins_like_boilerplate_stays() -> None:
    text = "来源：" + PROSE * 2
    assert Boilerplate().outcome(text) is text


def test_share_decides() -> None:
    text = f"{PROSE}\n京ICP备12345678号-1"
    assert isinstance(Boilerplate(max_boilerplate_share=0.1).outcome(text), Dropped)
