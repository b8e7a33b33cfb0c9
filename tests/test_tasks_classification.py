"""The tasks of one label a text or pair: files as published, submissions, and the real data where it lies at hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from chinesebert.errors import InputError
from chinesebert.finetuning.results import write_submissions
from chinesebert.tasks.definitions.cluewsc2020 import marked
from chinesebert.tasks.examples import TextExample
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, read_split
from chinesebert.tasks.submission import Lines

Record = dict[str, Any]


def written(path: Path, rows: list[str] | list[Record]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(task: str, path: Path) -> list[TextExample]:
    return read_split(get_task(task), [path], ids_count=True)


WSC: Record = {
    "target": {"span1_text": "小狗", "span1_index": 2, "span2_text": "它", "span2_index": 7},
    "idx": 4,
    "label": "true",
    "text": "门口小狗叫了，它饿了",
}

# Task, file name, rows as published, and what is read of the first: id, texts, label.
PUBLISHED: dict[str, tuple[str, str, list[Any], tuple[Any, ...]]] = {
    "afqmc": (
        "afqmc",
        "dev.json",
        [{"sentence1": "怎么还", "sentence2": "如何还", "label": "1"}],
        (0, "怎么还", "如何还", "1"),
    ),
    "tnews": (
        "tnews",
        "train.json",
        [{"label": "103", "label_desc": "news_sports", "sentence": "球队赢了", "keywords": "球队,比赛"}],
        (0, "球队赢了", None, "103"),
    ),
    "tnews of FewCLUE": (
        "tnews",
        "train_0.json",
        [{"label": 103, "sentence": "球队赢了", "id": 8}],
        (8, "球队赢了", None, "103"),
    ),
    "iflytek": (
        "iflytek",
        "dev.json",
        [{"label": "118", "label_des": "其他", "sentence": "记账"}],
        (0, "记账", None, "118"),
    ),
    "csldcp": (
        "csldcp",
        "dev_0.json",
        [{"content": "作物育种", "label": "作物学", "id": 5}],
        (5, "作物育种", None, "作物学"),
    ),
    "cmnli": (
        "cmnli",
        "dev.json",
        [{"sentence1": "下雨", "sentence2": "地湿", "label": "entailment"}],
        (0, "下雨", "地湿", "entailment"),
    ),
    "ocnli": (
        "ocnli",
        "train.50k.json",
        [
            {
                "level": "easy",
                "sentence1": "下雨",
                "sentence2": "天晴",
                "label": "contradiction",
                "label0": None,
                "id": 9,
            }
        ],
        (9, "下雨", "天晴", "contradiction"),
    ),
    "diagnostics": (
        "diagnostics",
        "diagnostics_test.json",
        [{"index": 3, "premise": "下雨", "hypothesis": "湿"}],
        (3, "下雨", "湿", None),
    ),
    "cluewsc2020": ("cluewsc2020", "train.json", [WSC], (0, "门口_小狗_叫了，[它]饿了", None, "true")),
    "csl": (
        "csl",
        "dev.json",
        [{"id": 7, "abst": "本文研究", "keyword": ["水", "电"], "label": "0"}],
        (7, "水；电", "本文研究", "0"),
    ),
    "eprstmt": (
        "eprstmt",
        "dev_0.json",
        [{"id": 2, "sentence": "好用", "label": "Positive"}],
        (2, "好用", None, "Positive"),
    ),
    "bustm": (
        "bustm",
        "test_public.json",
        [{"id": 6, "sentence1": "开灯", "sentence2": "把灯开了", "label": "1"}],
        (6, "开灯", "把灯开了", "1"),
    ),
    "oppo": ("bustm", "oppo_dev.tsv", ["开灯\t关灯\t0"], (0, "开灯", "关灯", "0")),
    "chnsenticorp": ("chnsenticorp", "dev.tsv", ["label\ttext_a", "1\t房间 很大"], (0, "房间 很大", None, "1")),
    "articles": ("thucnews", "cnews.val.txt", ["体育\t球队\t赢了", "财经\t股市"], (0, "球队\t赢了", None, "体育")),
    "titles": ("thucnews", "dev.txt", ["球队赢了 真好\t7", "股市涨了\t2"], (0, "球队赢了 真好", None, "sports")),
    "lcqmc": ("lcqmc", "train.txt", ["哪里买票\t在哪买票\t1"], (0, "哪里买票", "在哪买票", "1")),
    "lcqmc of the original": ("lcqmc", "train.tsv", ["1\t哪里 买票\t在哪 买票\t0"], (0, "哪里 买票", "在哪 买票", "1")),
    "bq": ("bq", "dev.csv", ["\ufeffsentence1,sentence2,label", "几号还,哪天还,1"], (0, "几号还", "哪天还", "1")),
    "xnli": ("xnli", "xnli_dev.tsv", ["下雨了\t天晴\tcontradictory"], (0, "下雨了", "天晴", "contradiction")),
    "xnli with names": (
        "xnli",
        "multinli.train.zh.tsv",
        ["premise\thypo\tlabel", "下 雨\t湿\tneutral"],
        (0, "下 雨", "湿", "neutral"),
    ),
    "ccks": ("ccks2018_matching", "task3_dev.txt", ["几号还\t哪天还\t1"], (0, "几号还", "哪天还", "1")),
    "ccks test": (
        "ccks2018_matching",
        "test_with_id.txt",
        ["0\t几号还\t哪天还", "1\t一\t二"],
        (0, "几号还", "哪天还", None),
    ),
    "atec": ("atec", "atec_nlp_sim_train.csv", ["\ufeff1\t几号还\t哪天还\t1"], (1, "几号还", "哪天还", "1")),
    "paws_x": ("paws_x", "dev_2k.tsv", ["id\tsentence1\tsentence2\tlabel", "5\t一\t二\t0"], (5, "一", "二", "0")),
    "weibo_rumor": ("weibo_rumor", "train_data.txt", ["0\t听说要涨价"], (0, "听说要涨价", None, "0")),
}


@pytest.mark.parametrize(("task", "name", "rows", "expected"), PUBLISHED.values(), ids=PUBLISHED)
def test_a_task_is_read_from_its_published_file(
    tmp_path: Path, task: str, name: str, rows: list[Any], expected: tuple[Any, ...]
) -> None:
    path = written(tmp_path / name, rows)
    example = read(task, path)[0]
    assert (example.id, example.text, example.text_pair, example.label) == expected
    assert any(path in find_split(get_task(task), tmp_path, split) for split in ("train", "dev", "test"))


@pytest.mark.parametrize("task", ["cmnli", "ocnli", "xnli"])
def test_pairs_on_which_annotators_disagree_are_left_out(tmp_path: Path, task: str) -> None:
    rows = [{"sentence1": "一", "sentence2": "二", "label": label} for label in ("-", "neutral")]
    assert [(example.id, example.label) for example in read(task, written(tmp_path / "dev.json", rows))] == [
        (1, "neutral")
    ]


def test_titles_have_the_classes_of_the_file_beside_them(tmp_path: Path) -> None:
    written(tmp_path / "class.txt", ["甲", "乙"])
    assert [example.label for example in read("thucnews", written(tmp_path / "dev.txt", ["一\t1", "二\t0"]))] == [
        "乙",
        "甲",
    ]
    with pytest.raises(InputError, match=r"dev.txt:2: the label '7' is none of"):
        read("thucnews", written(tmp_path / "dev.txt", ["一\t1", "二\t7", "三\t0", "四\t0"]))


def test_the_first_line_of_articles_is_an_example(tmp_path: Path) -> None:
    path = written(tmp_path / "cnews.train.txt", ["体育\t一", "财经\t二"])
    assert [example.text for example in read("thucnews", path)] == ["一", "二"]


@pytest.mark.parametrize(
    ("task", "name", "rows", "message"),
    [
        (
            "afqmc",
            "dev.json",
            [{"sentence1": "一", "sentence2": "二", "label": "neutral"}],
            r"dev.json:1: the label 'neutral' is none of afqmc's",
        ),
        (
            "tnews",
            "dev.json",
            [{"sentence": "一", "label": "103"}, {"sentence": "二", "label": "105"}],
            r"dev.json:2: the label '105'",
        ),
        (
            "iflytek",
            "dev.json",
            [{"sentence": "一", "label": "103", "label_desc": "news_sports", "keywords": ""}],
            "dev.json:1: has `label_desc`, as files of tnews",
        ),
        (
            "thucnews",
            "dev.json",
            [{"sentence": "一", "label": "103"}],
            "dev.json:1: the label '103' is none of thucnews's",
        ),
        ("iflytek", "test.json", [{"id": 0, "sentence": "一", "keywords": ""}], "has `keywords`, as files of tnews"),
        ("tnews", "dev.json", [{"sentence1": "一", "sentence2": "二", "label": "1"}], "dev.json:1: has no sentence "),
        ("csl", "dev.json", [{"sentence1": "一", "sentence2": "二", "label": "1"}], "dev.json:1: has no `keyword`"),
        ("csl", "dev.json", [{"abst": "一", "keyword": [1], "label": "1"}], "dev.json:1: `keyword` is .*not a list"),
        ("cluewsc2020", "dev.json", [{"text": "一", "label": "true"}], "dev.json:1: has no `target`"),
        ("cluewsc2020", "dev.json", [{"text": "一", "target": "它"}], "dev.json:1: `target` is 它"),
        ("chnsenticorp", "dev.tsv", ["体育\t一", "财经\t二"], "dev.tsv:1: has 2 columns, none of which"),
        ("chnsenticorp", "dev.tsv", [], "dev.tsv: holds no examples"),
        (
            "afqmc",
            "test.json",
            [{"id": 4, "sentence1": "一", "sentence2": "二"}] * 2,
            "test.json:2: the id 4 is that of .*test.json:1",
        ),
    ],
)
def test_another_benchmark_s_files_are_refused_with_their_line(
    tmp_path: Path, task: str, name: str, rows: list[Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(task, written(tmp_path / name, rows))


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("lcqmc", ("LCQMC.train.data", "LCQMC.valid.data", "LCQMC.test.data")),
        ("atec", ("ATEC.train.data", "ATEC.valid.data", "ATEC.test.data")),
        ("paws_x", ("PAWSX.train.data", "PAWSX.valid.data", "PAWSX.test.data")),
        ("bq", ("BQ.train.data", "BQ.valid.data", "BQ.test.data")),
        (
            "xnli",
            ("XNLI-MT-1.0/multinli/multinli.train.zh.tsv", "XNLI-1.0/xnli.dev.tsv", "XNLI-1.0/xnli.test.tsv"),
        ),
    ],
)
def test_files_are_found_as_others_pass_them_on_and_archives_unpack(
    tmp_path: Path, task: str, names: tuple[str, ...]
) -> None:
    for split, name in zip(("train", "dev", "test"), names, strict=True):
        assert find_split(get_task(task), tmp_path, split) == []
        path = written(tmp_path / name, ["一\t二\t1"])
        assert find_split(get_task(task), tmp_path, split) == [path]


@pytest.mark.parametrize(
    "change", [{"span1_index": 3}, {"span2_text": "他"}, {"span2_index": -1}, {"span1_index": "2"}]
)
def test_a_span_that_is_not_where_it_should_be_is_refused(tmp_path: Path, change: Record) -> None:
    path = written(tmp_path / "dev.json", [WSC, WSC | {"target": WSC["target"] | change}])
    with pytest.raises(InputError, match=r"dev.json:2: .*span"):
        read("cluewsc2020", path)


@pytest.mark.parametrize(
    ("noun", "pronoun", "expected"),
    [
        ((0, 1), (2, 3), "_甲_乙[丙]丁"),
        ((2, 3), (0, 1), "[甲]乙_丙_丁"),
        ((0, 1), (1, 2), "_甲_[乙]丙丁"),
        ((1, 2), (0, 1), "[甲]_乙_丙丁"),
        ((2, 4), (0, 1), "[甲]乙_丙丁_"),
    ],
)
def test_noun_and_pronoun_are_marked_in_any_order(
    noun: tuple[int, int], pronoun: tuple[int, int], expected: str
) -> None:
    assert marked("甲乙丙丁", noun, pronoun) == expected


# ------------------------------------------------------------------------------------------------------- submissions

TEST_FILES = {
    "afqmc": ("afqmc", "test.json", ["afqmc_predict.json"]),
    "tnews": ("tnews", "test.json", ["tnews11_predict.json"]),
    "tnews 1.1": ("tnews", "test1.1.json", ["tnews11_predict.json"]),
    "tnews 1.0": ("tnews", "test1.0.json", ["tnews10_predict.json"]),
    "tnews few": ("tnews", "test_public.json", ["tnewsf_predict.json"]),
    "iflytek": ("iflytek", "test.json", ["iflytek_predict.json"]),
    "iflytek few": ("iflytek", "test_public.json", ["iflytekf_predict.json"]),
    "cmnli": ("cmnli", "test.json", ["cmnli_predict.json"]),
    "ocnli": ("ocnli", "test.json", ["ocnli_50k_predict.json"]),
    "ocnli few": ("ocnli", "test_public.json", ["ocnlif_predict.json"]),
    "wsc": ("cluewsc2020", "test.json", ["cluewsc11_predict.json"]),
    "wsc 1.0": ("cluewsc2020", "test1.0.json", ["cluewsc10_predict.json"]),
    "wsc few": ("cluewsc2020", "test_public.json", ["cluewscf_predict.json"]),
    "csl": ("csl", "test.json", ["csl_predict.json"]),
    "csl few": ("csl", "test_public.json", ["cslf_predict.json"]),
    "diagnostics": ("diagnostics", "diagnostics_test.json", ["diagnostics_predict.json"]),
    "eprstmt": ("eprstmt", "test.json", ["eprstmt_predict.json"]),
    "bustm": ("bustm", "test.json", ["bustm_predict.json"]),
    "csldcp": ("csldcp", "test.json", ["csldcp_predict.json"]),
    "chnsenticorp": ("chnsenticorp", "test.tsv", []),
}


@pytest.mark.parametrize(("task", "name", "expected"), TEST_FILES.values(), ids=TEST_FILES)
def test_the_submission_is_called_as_the_server_wants_it(
    tmp_path: Path, task: str, name: str, expected: list[str]
) -> None:
    test_file = written(tmp_path / "data" / name, ["x"])
    made = write_submissions(tmp_path, get_task(task), [test_file], [TextExample(0, "一")], ["1"])
    assert [path.name for path in made] == expected


def test_the_test_file_of_fewclue_is_known_by_what_lies_beside_it(tmp_path: Path) -> None:
    written(tmp_path / "train_few_all.json", ["x"])
    test_file = written(tmp_path / "test.json", ["x"])
    made = write_submissions(tmp_path, get_task("tnews"), [test_file], [TextExample(0, "一")], ["103"])
    assert [path.name for path in made] == ["tnewsf_predict.json"]


def test_a_submission_may_be_called_otherwise(tmp_path: Path) -> None:
    test_file = written(tmp_path / "test.json", ["x"])
    made = write_submissions(
        tmp_path, get_task("cluewsc2020"), [test_file], [TextExample(0, "一")], ["true"], "wsc.json"
    )
    assert made == [tmp_path / "wsc.json"]


def test_a_submission_has_a_line_an_example_also_without_ids_or_text(tmp_path: Path) -> None:
    rows = [{"sentence": "一", "keywords": ""}, {"sentence": "", "keywords": ""}, {"sentence": "三", "keywords": ""}]
    test_file = written(tmp_path / "test.json", rows)
    examples = read("tnews", test_file)
    (made,) = write_submissions(tmp_path, get_task("tnews"), [test_file], examples, ["103", "116", "100"])
    assert made.read_text(encoding="utf-8") == (
        '{"id": 0, "label": "103"}\n{"id": 1, "label": "116"}\n{"id": 2, "label": "100"}\n'
    )


@pytest.mark.parametrize(("ids", "wanted"), [([2, 0, 1], [2, 0, 1]), ([591, 141, 0], [0, 1, 2]), ("bac", [0, 1, 2])])
def test_clue_gets_ids_from_0_without_gaps_the_published_ones_where_they_are_that(ids: Any, wanted: list[int]) -> None:
    lines = Lines()([TextExample(number, "一") for number in ids], ["a", "b", "c"])
    assert [json.loads(line)["id"] for line in lines] == wanted


def test_ccks_takes_csv_with_the_ids_of_the_test_file(tmp_path: Path) -> None:
    test_file = written(tmp_path / "test_with_id.txt", ["31\t一\t二", "17\t三\t四"])
    examples = read("ccks2018_matching", test_file)
    (made,) = write_submissions(tmp_path, get_task("ccks2018_matching"), [test_file], examples, ["1", "0"])
    assert made.read_text(encoding="utf-8") == "test_id,result\n31,1\n17,0\n"


# ------------------------------------------------------------------------------------------------- the real data

# Folder, task, and for each file how many records it has; "-" left out.
REAL = {
    "afqmc": ("afqmc", {"dev.json": 4316}),
    "atec": ("atec", {"atec_nlp_sim_train.csv": 8000}),
    "bq": ("bq", {"dev.csv": 10_000, "test.csv": 10_000}),
    "bustm": ("bustm", {"train_0.json": 32, "dev_few_all.json": 160, "test_public.json": 1772, "oppo_dev.tsv": 10_000}),
    "chnsenticorp": ("chnsenticorp", {"train.tsv": 9600, "dev.tsv": 1200, "test.tsv": 1200}),
    "cluewsc": ("cluewsc2020", {"train_few_all.json": 160, "dev_few_all.json": 159, "test_public.json": 976}),
    "csl": ("csl", {"train_few_all.json": 160, "dev_few_all.json": 160, "test_public.json": 2838}),
    "eprstmt": ("eprstmt", {"train_0.json": 32, "dev_0.json": 32, "test_public.json": 610}),
    "iflytek": ("iflytek", {"train_few_all.json": 1600, "dev_0.json": 690, "test_public.json": 900}),
    "ocnli": ("ocnli", {"train.10k.json": 6000 - 7, "dev.json": 3000 - 50}),
    "paws_x_zh": ("paws_x", {"dev.tsv": 2000}),
    "thucnews_titles": ("thucnews", {"dev.txt": 10_000, "test.txt": 10_000}),
    "tnews": ("tnews", {"train_few_all.json": 1185, "dev_few_all.json": 1098, "test_public.json": 2010}),
    "weibo_rumor": ("weibo_rumor", {"train_data.txt": 3019, "test_data.txt": 336}),
    "xnli_zh": ("xnli", {"dev.tsv": 2490, "test.tsv": 5010}),
}


@pytest.mark.parametrize("folder", REAL)
def test_the_real_files_are_read_to_the_last_record(shared: Path, folder: str) -> None:
    task, counts = REAL[folder]
    for name, count in counts.items():
        path = shared / "data" / "tasks" / folder / name
        if not path.exists():
            pytest.skip(f"{folder}/{name} is not among the shared data")
        examples = read(task, path)
        assert len(examples) == count
        assert all(example.label for example in examples)
