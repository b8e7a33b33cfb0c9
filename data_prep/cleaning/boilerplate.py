"""Removes lines that belong to the page and not to the text: navigation, copyright, log-in, sharing, cookies …"""

import re

from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import Count, Share

# Lines that begin so are boilerplate whatever follows, as long as they are short.
_BEGINNINGS = (
    # Where on the site
    r"(?:您|你|当前|目前|现在|所在|所處)(?:的|所在|现在|当前|目前|所處|在)*位置是?\s*[:：]",
    r"[【\[<《«←]*\s*(?:上|下|前|后|後)一?[篇页頁章条條](?:文章|新闻|新聞)?\s*[】\]>》»→]*\s*[:：|｜>»]",
    r"(?:相关|相關|热门|熱門|推荐|最新|更多|精彩|延伸|往期|猜你喜欢)的?"
    r"(?:阅读|閱讀|文章|新闻|新聞|推荐|资讯|专题|链接|连结|连接|連結|回顾|搜索|标签|標簽|標籤|帖子|主题)\s*(?:[:：>»|]|$)",
    r"(?:本文|文章|原文|转载|永久)(?:链接|地址|网址|标签|关键[词字]|出处)\s*[:：]",
    # Owner, rights, law
    r"(?:Copyright|©|\(c\)\s*\d{4}|版权所有(?![者人权])|版權所有(?![者人權])|All\s+Rights\s+Reserved)",
    r".{0,40}(?:ICP备|ICP证|公网安备|京ICP|网安备|增值电信业务经营许可证|互联网新闻信息服务许可证|网络文化经营许可证)",
    r".{0,30}(?:未经|未經)[^。]{0,16}(?:许可|授权|同意|允許|許可|授權)[^。]{0,12}(?:不得|禁止|严禁|谢绝|请勿|嚴禁)[^。]{0,10}(?:转载|镜像|轉載|摘编)",
    r"(?:本站|本网|本网站|本平台)(?:所有|部分|所发布|所刊载|内容|文章|资源|转载|收录|仅)[^。]{0,40}(?:版权|侵权|删除|不代表|转载)",
    r".{0,20}(?:如有|若有|如涉及|如果)[^。]{0,12}(?:侵权|版权问题|侵犯)[^。]{0,30}(?:联系|删除|通知|告知)",
    r"(?:友情链接|友情連結|技术支持|主办单位|承办单位|网站标识码|网站维护|客服热线|客服电话|举报电话|举报邮箱|违法和不良信息举报\S{0,4})\s*[:：]",
    r"免[责責][声聲申]明\s*(?:[:：]|$)",
    # Libraries of documents, forums, blogs, pages of novels
    r"(?:上传人|上傳人|文档编号|文档序号|文档分类|下载积分|资源描述|下载资源)\s*(?:[:：]|$)",
    r".{0,60}第\s?\d+\s?页\s*[/,，]?\s*共\s?\d+\s?页",
    r"(?:精华|精華|发帖|發帖|帖子|威望|积分|積分|注册时间|註冊時間|注冊時間|最后登录|最後登錄|在线时间|在線時間|级别|級別)"
    r"(?:主题|主題|数量|數量|数|数目|總數)?\s*[:：]\s*\S+$",
    r"Posted (?:on|at|by)\b|posts?\s*[-(:]\s*\d+\s*[,)]",
    r".{0,60}(?:阅读|閱讀|浏览|瀏覽)\s*[(（:：]\s*\d+\s*[)）]?\s*(?:评论|評論)\s*[(（:：]\s*\d+",
    r"(?:书迷|書迷)(?:正在|還在|还在)(?:阅读|閱讀|看)\s*[:：]",
    r".{0,40}(?:看[后後]求收藏|接[着著]再看更方便|无弹窗|無彈窗|请收藏本站|請收藏本站|最快更新.{0,12}最新章节|手机用户请浏览)",
    # Cookies and browsers
    r"(?:本站|本网站|本網站|此网站|该网站|我们的?网站|继续浏览).{0,24}cookies?(?![A-Za-z])",
    r"(?:您|你)(?:的|使用的|正在使用的|当前的?)*(?:浏览器|瀏覽器)(?:不支持|版本过低|版本太低|未启用|禁用了)",
    r"(?:网友|文明上网|请自觉遵守).{0,20}(?:个人观点|理性发言|互联网相关)",
)
# Lines that begin so are boilerplate if little and no punctuation follows.
_BEGINNINGS_OF_SHORT_LINES = (
    # Who and when
    r"(?:责任|責任|值班|见习|实习|网络|本文|执行)?(?:编辑|責編|责编|校对|审核|编审|编校|監製|編輯)\s*[:：]",
    r"(?:文章|信息|新闻|新聞)?(?:来源|來源|稿源|出处)\s*[:：]",
    r"(?:发布|發布|更新|录入|添加|发表)(?:日期|时间|時間|于)\s*[:：]?\s*(?:20|19)\d\d",
    r"(?:浏览|点击|阅读|访问|人气|評論|评论|回复|点赞|收藏|查看)(?:次数|数|率|量)?\s*[:：(（\[【]\s*\d",
    r"[【\[]?(?:字体|字号)(?:大小)?\s*[:：]?\s*[【\[]?\s*[大中小]",
    # Reading on, sharing, following
    r"(?:请|點擊|点击|点此|点这里|戳这里)(?:点击)?(?:此处|这里|下方|图片|链接|可|按钮|标题|上方|蓝字|“?阅读原文”?)*"
    r"(?:查看|阅读|浏览|展开|加载|进入|关注|返回|放大|看大图)(?:更多|全文|原文|原图|大图|详情|下一?页|我们|$)",
    r"(?:查看|阅读|加载|展开|显示|浏览|收起)(?:全文|更多|原文|剩余|余下|大图|详情|下一?页|评论)(?:$|[\s>》»…(（])",
    r"(?:微信|手机|手機|浏览器|瀏覽器|长按|请|请用|立即|快来|用)*(?:扫码|扫一扫|扫描|识别|掃描|掃碼)(?:上方|下方|左侧|右侧|此处|图中|以下|上面|下面)?的?"
    r"(?:二维码|二維碼|关注|下载|加|进群|分享|登录|查看|阅读)",
    r"(?:欢迎|敬请|请|长按|点击|立即|赶快|记得)*(?:关注|添加|订阅|搜索)(?:我们的?|本站的?|本刊的?|官方|我的)*(?:微信|公众号|微博|订阅号|公众平台)",
    r"(?:一键)?(?:分享|转发|轉發|收藏|打印|列印)(?:到|至|给)?(?:本文|本页|本页面|此文|文章|好友|朋友圈|微信|微博|QQ|空间)*\s*(?:[:：到至]|$)",
    r"(?:返回|回到)(?:首页|頂部|顶部|列表|目录|网站首页|主页|書目|书目|书页|栏目)",
    r"设为首页|加入收藏|收藏本站|加入书签|放入书架|推荐本书|投推荐票|章节报错",
    # Accounts and comments
    r"(?:(?:您|你)(?:还未|尚未|还没有)登[录陆入]，)?(?:请|您需要|您还未|您尚未|您还没有|你还没有)先?(?:登录|登陆|登錄|登入|注册|註冊)",
    r"(?:会员|用户|免费|立即|已有账号|没有账号|忘记|找回)[？?，]?\s*(?:登录|登陆|登入|注册|密码)(?:[？?]|$)",
    r"(?:用户名|密码|验证码|帳號|账号)\s*[:：]?$",
    r"(?:我要|发表|写|全部|最新|热门|网友|暂无|已有\s?\d*\s?条?)评论\s*(?:[(（\d:：]|$)",
    r"(?:请)?(?:启用|开启)\s?(?:JavaScript|JS|Flash|Cookie)",
)
_LITTLE = r"[^，。；！？,;!?]{0,20}[。！!]?"
_BOILERPLATE = re.compile(
    f"(?:{'|'.join(_BEGINNINGS)}).*|(?:{'|'.join(_BEGINNINGS_OF_SHORT_LINES)}){_LITTLE}", re.IGNORECASE
)

# What a site's menus offer. A line that is one of these is no heading of an article.
_FUNCTIONS = """
首页 首頁 网站首页 主页 登录 登錄 登陆 注册 註冊 退出 会员中心 个人中心 我的收藏 我的订单 购物车 購物車 关于我们
關於我們 联系我们 聯絡我們 加入我们 招贤纳士 诚聘英才 人才招聘 网站地图 網站地圖 站点地图 友情链接 法律声明 隐私政策
隱私權政策 版权声明 广告服务 广告合作 商务合作 意见反馈 用户反馈 在线留言 留言板 帮助中心 客服中心 投诉建议 手机版
电脑版 触屏版 app下载 下载中心 设为首页 加入收藏 收藏本站 返回顶部 回顶部 返回首页 新闻中心 公司简介 公司新闻 行业新闻
产品中心 产品展示 成功案例 企业文化 企业简介 资质荣誉 更多 更多>> more 搜索 搜一搜 打印 关闭 分享 收藏 举报 回复 点赞
打印本页 打印此页 我要打印 打印文章 关闭窗口 关闭本页
上一页 下一页 上一篇 下一篇 上一章 下一章 末页 尾页 目录 阅读原文 展开全文 评论
"""
# The sections of news sites and portals: a menu where several stand in a line, but any of them may be a heading.
_SECTIONS = """
新闻 要闻 国内 国际 军事 财经 股票 基金 体育 娱乐 科技 数码 手机 汽车 房产 家居 教育 文化 旅游 健康 时尚 女性 母婴
美食 游戏 动漫 视频 图片 博客 论坛 微博 微信 贴吧 问答 百科 专题 社区 社会 历史 读书 彩票 星座 招聘 商城 团购 全部
热门 推荐 最新 排行榜 分类 标签 地方 观点 直播 音乐 电影 小说 理财 保险 银行 时政 法治 公益 环保 能源 食品 人事 反腐
理论 港澳 台湾 华人 滚动 客户端 常见问题 免责声明
"""
_MENU_ITEMS = frozenset(_FUNCTIONS.split() + _SECTIONS.split())
_FUNCTION_ITEMS = frozenset(_FUNCTIONS.split())
_HOME = frozenset(["首页", "首頁", "主页", "主頁", "网站首页", "home"])
_SEPARATOR = re.compile(r"\s*[|｜丨┊┆›»>＞→·•:]+\s*|\s+[-—/]\s+|\s+")
_BREADCRUMB = re.compile("[>＞›»]|::")
_LONGEST_MENU_ITEM = 12
_STAMP = re.compile(
    r"[【\[(（]?(?:19|20)\d\d[-/.年]\d{1,2}[-/.月]\d{1,2}日?\s*\d{1,2}[:：]\d{2}(?:[:：]\d{2})?[】\])）]?"
)
# When, from where, by whom, read by how many: two or more of these are a line by themselves.
_DATE = r"(?:19|20)\d\d[-/.年]\d{1,2}[-/.月]\d{1,2}日?(?:\s*\d{1,2}[:：]\d{2}(?:[:：]\d{2})?)?"
_BYLINE_PART = (
    rf"(?:(?:(?:发布|發布|更新|录入|添加|发表)?(?:日期|时间|時間)\s*[:：]\s*)?{_DATE}|"
    r"(?:文章|信息|新闻|新聞)?(?:来源|來源|稿源|出处|作者|记者|責任編輯|责任编辑|责编|编辑|"
    r"发布[者人]|浏览|点击|阅读|人气)(?:次数|数|量)?\s*[:：]\s*[^\s，。；！？：]{1,20})"
)
_BYLINE = re.compile(rf"{_BYLINE_PART}(?:[\s|｜]+{_BYLINE_PART})+")
# Ends of paragraphs that are good otherwise.
_CREDITS = re.compile(
    r"[（(【\[](?:责任编辑|責任編輯|责编|编辑|来源|來源|原标题|原標題|校对)[:：][^（）()【】\[\]\n]{0,30}[)）\]】]"
    r"[ \t]*$|"
    r"(?:[【\[](?:(?:我要)?打印(?:本页|本文|此页)?|关闭(?:窗口|本页)?|收藏|返回顶部|(?:我要)?纠错|查看评论)"
    r"[】\]][ \t]*){1,5}$",
    re.MULTILINE,
)


class Boilerplate(CleaningStep):
    """Removes lines of boilerplate; drops a text that mostly was such.

    Args:
        max_boilerplate_share: of all characters, in lines that were removed.
        max_line_length: in characters; a longer line is a paragraph that only begins like boilerplate.
        min_menu_items: how many names of sections in one line make it a menu.
    """

    name = "boilerplate"

    def __init__(
        self, *, max_boilerplate_share: Share = 0.5, max_line_length: Count = 80, min_menu_items: Count = 3
    ) -> None:
        super().__init__()
        self.max_boilerplate_share = max_boilerplate_share
        self.max_line_length = max_line_length
        self.min_menu_items = min_menu_items

    def clean(self, text: str) -> str | Dropped:
        """The text without such lines, or ``mostly boilerplate``."""
        kept = _CREDITS.sub("", text)
        lines = kept.split("\n")
        prose = [line for line in lines if len(line) > self.max_line_length or not self._is_boilerplate(line)]
        if len(prose) < len(lines):
            kept = "\n".join(prose)
        removed = len(text) - len(kept)
        if removed > self.max_boilerplate_share * len(text):
            return Dropped("mostly boilerplate", f"{removed / len(text):.0%} of the characters")
        return kept if removed else text

    def _is_boilerplate(self, line: str) -> bool:
        return bool(_BOILERPLATE.fullmatch(line) or _STAMP.fullmatch(line) or _BYLINE.fullmatch(line)) or self._is_menu(
            line
        )

    def _is_menu(self, line: str) -> bool:
        items = [item for item in _SEPARATOR.split(line.lower()) if item]
        if len(items) < 2:
            return line.lower() in _FUNCTION_ITEMS
        if _BREADCRUMB.search(line) and not _HOME.isdisjoint(items):
            return True
        if max(map(len, items)) > _LONGEST_MENU_ITEM:
            return False
        named = sum(item in _MENU_ITEMS for item in items)
        return named >= self.min_menu_items or (named > 1 and 2 * named >= len(items))
