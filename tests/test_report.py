"""The report of a run, from its log: what the page and the terminal show, and what is refused."""

import base64
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from chinesebert.errors import InputError
from chinesebert.training.cloze import hidden_character, read_cloze, with_mask
from chinesebert.training.environment import hardware_facts, version_facts
from chinesebert.training.report import write_report, write_report_if_possible
from chinesebert.training.run_log import RunLog, log_path
from chinesebert.training.run_record import read_run
from launch.report import main as report
from tests.conftest import ROOT

SENTENCES = ("请把门【关】上。", "春天来了，花都【开】了。")
FACTS = {"unigram_entropy": 6.5, "parameters": 1234567, "versions": {"torch": "2.8.0"}, "hardware": {"ranks": 2}}


def guesses(step: int) -> list[dict[str, object]]:
    """The right one after step 20."""
    first = [["关", 0.7], ["打", 0.1]] if step > 20 else [["<的>", 0.2], ["了", 0.1]]
    return [{"sentence": SENTENCES[0], "guesses": first}, {"sentence": SENTENCES[1], "guesses": [["开", 0.5]]}]


def logged_run(run: Path, last: int = 40) -> Path:
    """A run that was logged every ten steps, killed and gone on with once, with a step that was skipped."""
    with RunLog(run) as log:
        log.event(0, "start", **FACTS)
        for step in range(10, last + 1, 10):
            if step == 30:
                log.event(20, "resume", checkpoint="checkpoint-20", **FACTS)
                log.event(25, "skipped", loss=float("nan"))
            log.train(
                step,
                loss=8.0 - step / 10,
                char_accuracy=step / 100,
                word_accuracy=step / 200,
                learning_rate=1e-4,
                grad_norm=2.0 / step,
                epoch=step / 20,
                tokens_seen=step * 1000,
                tokens_per_second=5000.0,
                mfu=0.35,
                padding=0.004,
                data_wait=0.01,
                memory_gb=1.5,
                batch_size=16,
                length=64,
            )
            log.evaluation(
                step,
                eval_loss=8.1 - step / 10,
                eval_whole_word_loss=8.2 - step / 10,
                eval_whole_word_char_accuracy=step / 120,
                eval_whole_word_word_accuracy=step / 240,
                eval_character_loss=8.0 - step / 10,
                eval_character_char_accuracy=step / 110,
            )
            log.cloze(step, guesses(step))
        log.event(last, "saved", checkpoint=f"checkpoint-{last}")
    (run / "recipe.yaml").write_text(yaml.safe_dump({"max_steps": 100, "note": "<b>甲</b>"}, allow_unicode=True))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return logged_run(tmp_path / "my run")


def test_the_page_needs_nothing_else(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|https?://|url\(", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_the_page_shows_everything_that_was_logged(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert titles[0] == "Masked-LM loss"
    for word in ("Accuracy", "Learning rate", "gradient", "Speed", "MFU", "Padding", "data", "Memory"):
        assert any(word in title for title in titles), word
    assert "40 of 100" in page
    assert "1 restarts, 1 skipped steps, 1 saves, 0 failed saves" in page
    assert "6.500 nats" in page
    assert "<td>torch</td><td>2.8.0</td>" in page
    assert "<td>ranks</td><td>2</td>" in page
    assert "checkpoint-20" in page
    assert "1,234,567 trained" in page


def test_constants_get_no_picture(run: Path) -> None:
    assert "Rows in a step" not in write_report(run).read_text(encoding="utf-8")
    with RunLog(run, step=40) as log:
        log.train(50, batch_size=32, length=64)
    page = write_report(run).read_text(encoding="utf-8")
    assert "Rows in a step" in page
    assert "Length of rows" not in page


def test_right_guesses_stand_out_and_nothing_is_taken_for_markup(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"<tr><td>{SENTENCES[0]}"))
    assert row.count("<td>") == 1 + 4
    assert "<td>&lt;的&gt; 20%</td>" in row
    assert "<b>关 70%</b> &nbsp;打 10%" in row
    assert "<b>甲</b>" not in page


def test_at_most_six_steps_of_guesses_are_shown_with_the_first_and_the_last(tmp_path: Path) -> None:
    page = write_report(logged_run(tmp_path / "run", last=300)).read_text(encoding="utf-8")
    header = next(line for line in page.splitlines() if line.startswith("<tr><th></th><th>10<"))
    assert header.count("<th>") == 7
    assert header.endswith("<th>300</th></tr>")


def test_a_copy_of_the_logs_alone_is_enough(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run / "logs", copy)
    path = write_report(copy)
    assert path == copy / "report.html"
    assert "Masked-LM loss" in path.read_text(encoding="utf-8")
    assert write_report(run / "logs").read_text(encoding="utf-8").count("max_steps") == 1  # beside it is the recipe


def test_a_recipe_in_the_log_serves_where_there_is_no_other(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.event(0, "start", recipe={"max_steps": 7, "seed": 3})
    assert read_run(tmp_path).recipe == {"max_steps": 7, "seed": 3}


def test_a_run_that_was_just_killed_has_a_report(run: Path) -> None:
    path = log_path(run)
    path.write_bytes(path.read_bytes()[:-7])
    assert "Masked-LM loss" in write_report(run).read_text(encoding="utf-8")


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_run_that_has_logged_next_to_nothing_has_a_report(tmp_path: Path, lines: int) -> None:
    with RunLog(tmp_path) as log:
        for step in range(lines):
            log.train(step, loss=None, grad_norm=0.0)
    assert write_report(tmp_path).exists()
    assert report([str(tmp_path)]) == 0


def test_runs_can_be_laid_over_each_other(run: Path, tmp_path: Path) -> None:
    other = logged_run(tmp_path / "other", last=20)
    output = tmp_path / "both.html"
    assert report([str(run), "--output", str(output), "--compare", str(other)]) == 0
    assert "Beside other runs" in output.read_text(encoding="utf-8")
    assert not (run / "report.html").exists()


def test_the_terminal_shows_start_and_end(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "loss.png"
    assert report([str(run), "--plot", str(plot)]) == 0
    shown = capsys.readouterr().out
    assert "unigram entropy of the corpus  6.500 nats" in shown
    assert "training loss  7.000 at step 10  ->  4.000 at step 40" in shown
    assert "held-out loss  7.100 at step 10  ->  4.100 at step 40" in shown
    assert "masked characters 36.4%, whole words 16.7%, tokens of whole words 33.3%" in shown
    row = next(line for line in shown.splitlines() if line.startswith(SENTENCES[0]))
    assert row.endswith("关 70%  打 10%")
    assert f"report   {run / 'report.html'}" in shown
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report([str(tmp_path)]) == 2
    assert f"error: {tmp_path}: holds no logs/metrics.jsonl" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_damaged_line_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_path(run)
    path.write_text("{oops\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert report([str(run)]) == 2
    assert f"{path}:1: " in capsys.readouterr().err


def test_cloze_needs_a_model(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report([str(run), "--cloze", str(ROOT / "configs" / "pretrain" / "cloze.txt")]) == 2
    assert f"{run / 'hf'}: is missing" in capsys.readouterr().err


def test_without_matplotlib_a_line_says_what_is_missing(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = write_report_if_possible(run)
    assert line.startswith("report   not written: the report needs matplotlib: pip install")
    assert "\n" not in line
    assert report([str(run)]) == 0
    assert "training loss" in capsys.readouterr().out
    assert report([str(run), "--output", str(run / "page.html")]) == 2
    with pytest.raises(InputError, match="matplotlib"):
        write_report(run)


def test_a_page_that_cannot_be_written_does_not_fail_a_run(run: Path) -> None:
    (run / "report.html").mkdir()
    assert "not written" in write_report_if_possible(run)


def test_cloze_sentences_hide_one_character(tmp_path: Path) -> None:
    path = tmp_path / "cloze.txt"
    path.write_text("# 说明\n\n他【去】了。\n", encoding="utf-8")
    (sentence,) = read_cloze(path)
    assert hidden_character(sentence) == "去"
    assert with_mask(sentence, "[MASK]") == "他[MASK]了。"
    for bad in ("没有括号。", "【两】【个】", "【两个】"):
        path.write_text(f"他【去】了。\n{bad}\n", encoding="utf-8")
        with pytest.raises(InputError, match=r"cloze\.txt:2: "):
            read_cloze(path)


def test_versions_and_hardware_are_known() -> None:
    import torch

    versions, hardware = version_facts(), hardware_facts(torch.device("cpu"), 2)
    assert versions["torch"] == torch.__version__.split("+")[0] or versions["torch"] == torch.__version__
    assert {"python", "transformers"} <= set(versions)
    assert hardware["ranks"] == 2
    assert hardware["device"].endswith("(CPU)")
