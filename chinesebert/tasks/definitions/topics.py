"""Topics of short and long texts: TNEWS and IFLYTEK (CLUE, FewCLUE), CSLDCP (FewCLUE)."""

from chinesebert.tasks import clue
from chinesebert.tasks.labelled_texts import LabelledTexts
from chinesebert.tasks.task import Defaults, Task

TNEWS = tuple(str(number) for number in range(100, 117) if number not in (105, 111))
IFLYTEK = tuple(str(number) for number in range(119))

TASKS = [
    Task(
        # `keywords`, which lift scores by ten points, are not read, as in the published scores.
        name="tnews",
        title="titles of Toutiao news, 15 classes",
        suite="clue",
        kind="classification",
        files=clue.FILES,
        read=LabelledTexts(1, TNEWS),
        metric="accuracy",
        labels=TNEWS,
        defaults=Defaults("CLUE's own script"),
        submissions=clue.submissions("tnews11_predict.json", "tnews10_predict.json", "tnewsf_predict.json"),
        source=clue.SOURCE,
    ),
    Task(
        name="iflytek",
        title="descriptions of apps, 119 classes",
        suite="clue",
        kind="classification",
        files=clue.FILES,
        read=LabelledTexts(1, IFLYTEK),
        metric="accuracy",
        labels=IFLYTEK,
        defaults=Defaults("CLUE's own script"),
        submissions=clue.submissions("iflytek_predict.json", few="iflytekf_predict.json"),
        source=clue.SOURCE,
    ),
    Task(
        name="csldcp",
        title="disciplines of scientific papers, 67 classes",
        suite="clue",
        kind="classification",
        files=clue.FILES,
        read=LabelledTexts(1),
        metric="accuracy",
        defaults=Defaults("as IFLYTEK; FewCLUE's baselines differ by method", max_seq_length=256),
        submissions=clue.submissions("csldcp_predict.json"),
        source=clue.FEW_SOURCE,
    ),
]
