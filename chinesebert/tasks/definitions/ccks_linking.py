"""Entity linking of short texts: CCKS 2019 and 2020 (DuEL 1.0 and 2.0)."""

from chinesebert.tasks.linking import EntityLinking
from chinesebert.tasks.task import Defaults, Submission, Task

# The kinds of things of DuEL 2.0, by the names that the data uses.
KINDS = {
    "Event": "事件活动",
    "Person": "人物",
    "Work": "作品",
    "Location": "区域场所",
    "Time&Calendar": "时间历法",
    "Brand": "品牌",
    "Natural&Geography": "自然地理",
    "Game": "游戏",
    "Biological": "生物",
    "Medicine": "药物",
    "Food": "食物",
    "Software": "软件",
    "Vehicle": "车辆",
    "Website": "网站平台",
    "Disease&Symptom": "疾病症状",
    "Organization": "组织机构",
    "Awards": "奖项",
    "Education": "教育",
    "Constellation": "星座",
    "Law&Regulation": "法律法规",
    "VirtualThings": "虚拟事物",
    "Diagnosis&Treatment": "诊断治疗方法",
    "Culture": "文化",
    "Other": "其他",
}

LINKING_2019 = EntityLinking(knowledge_bases=("kb_data", "kb_data.json", "kb.json"), nil_types={})
LINKING_2020 = EntityLinking(knowledge_bases=("kb.json", "kb_data", "kb_data.json"), nil_types=KINDS, least=0.5)

# Nobody published values for this alone: those of CLUE's script for sentence pairs, with a batch for more data.
DEFAULTS = Defaults("this project's choice", max_seq_length=128, per_device_train_batch_size=32, num_train_epochs=2)


def _task(year: int, linking: EntityLinking, files: dict[str, tuple[str, ...]], source: str) -> Task:
    return Task(
        name=f"ccks{year}_linking",
        title="which entity of a knowledge base a mention is, by scoring pairs",
        suite="ccks",
        kind="ranking",
        files=files,
        read=linking.read,
        metric="f1",
        labels=("0", "1"),
        defaults=DEFAULTS,
        submissions=(Submission("result.json", linking.write),),
        score=linking.score,
        source=source,
    )


TASKS = [
    _task(
        2019,
        LINKING_2019,
        {"train": ("train.json",), "dev": ("dev.json",), "test": ("test.json", "develop.json", "eval722.json")},
        "https://www.biendata.xyz/competition/ccks_2019_el/",
    ),
    _task(
        2020,
        LINKING_2020,
        {"train": ("train.json",), "dev": ("dev.json",), "test": ("test.json",)},
        "https://www.biendata.xyz/competition/ccks_2020_el/",
    ),
]
