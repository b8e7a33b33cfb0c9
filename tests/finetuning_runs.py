"""Fine-tuning runs of a few seconds for tests: TNEWS and AFQMC as published, with our own sentences."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SPORT = ("球队昨晚赢了比赛", "他跑得很快", "教练说明天再练", "冠军回到家乡", "比赛在雨里开始", "球迷等了一夜")
HOUSE = (
    "新房子在河的对岸",
    "这里的房价又高了",
    "他们租了一间小屋",
    "楼下要修一条路",
    "房东把门换了",
    "小区里种了很多树",
)
LABELS = {"103": SPORT, "106": HOUSE}


def write(path: Path, content: str) -> Path:
    """A file in UTF-8, and the folder for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


def write_records(path: Path, records: Iterable[Any]) -> Path:
    """A file of JSON lines."""
    return write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def titles(labelled: bool = True) -> list[dict[str, Any]]:
    """Twelve titles as TNEWS has them."""
    return [
        {"id": number, "sentence": text} | ({"label": label, "label_desc": "news"} if labelled else {})
        for number, (text, label) in enumerate((text, label) for label, texts in LABELS.items() for text in texts)
    ]


def questions(labelled: bool = True) -> list[dict[str, Any]]:
    """Six pairs as AFQMC has them; without ids, as its training file."""
    return [
        {"sentence1": first, "sentence2": second} | ({"label": str(number % 2)} if labelled else {})
        for number, (first, second) in enumerate(zip(SPORT, HOUSE, strict=True))
    ]


def write_tnews(directory: Path) -> Path:
    """The folder of TNEWS; the test split has no labels."""
    for split in ("train", "dev"):
        write_records(directory / f"{split}.json", titles())
    write_records(directory / "test.json", titles(labelled=False))
    return directory


def write_afqmc(directory: Path) -> Path:
    """The folder of AFQMC; the test split has no labels."""
    for split in ("train", "dev"):
        write_records(directory / f"{split}.json", questions())
    write_records(directory / "test.json", questions(labelled=False))
    return directory


def flags(model: Path, data: Path, output: Path, *more: str, task: str = "tnews") -> list[str]:
    """The command line of a run of a few seconds that trains, evaluates and predicts."""
    return [
        *("--task", task, "--model_name_or_path", str(model), "--data_dir", str(data), "--output_dir", str(output)),
        *("--do_train", "--do_eval", "--do_predict", "--num_train_epochs", "1", "--learning_rate", "1e-2"),
        *("--max_seq_length", "16", "--per_device_train_batch_size", "4", "--report_to", "none", "--disable_tqdm"),
        *("true", "--use_cpu", *more),
    ]


def read_json(path: Path) -> Any:
    """A file that is one JSON value."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_records(path: Path) -> list[Any]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
