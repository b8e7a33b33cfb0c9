"""Topics of short and long texts: TNEWS and IFLYTEK (CLUE, FewCLUE), CSLDCP (FewCLUE)."""

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts
from chinesebert.tasks.task import Defaults

TNEWS = tuple(str(number) for number in range(100, 117) if number not in (105, 111))
IFLYTEK = tuple(str(number) for number in range(119))

TASKS = [
    clue.task(
        # `keywords`, which lift scores by ten points, are not read, as in the published scores.
        "tnews",
        "titles of Toutiao news, 15 classes",
        LabelledTexts(1, TNEWS),
        Defaults("CLUE's own script"),
        submissions=clue.submissions("tnews11_predict.json", "tnews10_predict.json", "tnewsf_predict.json"),
    ),
    clue.task(
        "iflytek",
        "descriptions of apps, 119 classes",
        # All labels of TNEWS are among these.
        LabelledTexts(1, IFLYTEK, foreign={"label_desc": "tnews", "keywords": "tnews"}),
        Defaults("CLUE's own script"),
        submissions=clue.submissions("iflytek_predict.json", few="iflytekf_predict.json"),
    ),
    clue.task(
        "csldcp",
        "disciplines of scientific papers, 67 classes",
        LabelledTexts(1),
        Defaults("as IFLYTEK; FewCLUE's baselines differ by method", max_seq_length=256),
        source=clue.FEW_SOURCE,
    ),
]
