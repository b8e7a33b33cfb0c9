"""What every cleaning step does: passes on, drops, counts, keeps its settings, goes to another process."""

import pickle

import pytest
from datatrove.data import Document

from data_prep.cleaning import STEPS, step_class
from data_prep.cleaning.step import CleaningStep, Dropped
from data_prep.cleaning.thresholds import threshold_types


class WithoutCrosses(CleaningStep):
    """Removes ×, drops what is crossed out."""

    name = "without_crosses"

    def clean(self, text: str) -> str | Dropped:
        return Dropped("crossed out", "all of it") if text.startswith("××") else text.replace("×", "")


def run(step: CleaningStep, *texts: str) -> list[Document]:
    return list(step.run(iter([Document(text=text, id=f"a.txt:{line}") for line, text in enumerate(texts, start=1)])))


def test_kept_documents_pass_in_order_with_their_ids() -> None:
    kept = run(WithoutCrosses(), "一", "××二", "三×")
    assert [(document.id, document.text) for document in kept] == [("a.txt:1", "一"), ("a.txt:3", "三")]


def test_dropped_documents_are_counted_by_reason_in_documents_and_characters() -> None:
    step = WithoutCrosses()
    run(step, "××二", "××三四", "五")
    assert step.tally.dropped_documents == {"crossed out": 2}
    assert step.tally.dropped_characters == {"crossed out": 7}


def test_changes_are_counted() -> None:
    step = WithoutCrosses()
    run(step, "一×二×", "三")
    assert (step.tally.changed_documents, step.tally.removed_characters) == (1, 2)


def test_dropped_documents_are_kept_with_step_and_reason_where_asked_for() -> None:
    step = WithoutCrosses()
    step.rejected = []
    run(step, "××二")
    assert step.rejected[0].text == "××二"
    assert step.rejected[0].metadata == {
        "dropped_by": "without_crosses",
        "reason": "crossed out",
        "detail": "all of it",
    }


def test_paragraphs_that_a_step_leaves_blank_or_indented_are_put_in_order() -> None:
    assert WithoutCrosses().outcome("一\n×\n× 二 ×\n三") == "一\n二\n三"


def test_text_of_which_nothing_is_left_is_dropped() -> None:
    assert WithoutCrosses().outcome("×\n×") == Dropped("nothing left")


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> CleaningStep:
    """Each step that there is, with its defaults."""
    return step_class(request.param)()


def test_step_is_called_as_its_module(step: CleaningStep) -> None:
    assert type(step).__module__ == f"data_prep.cleaning.{step.name}"


def test_step_keeps_every_threshold_under_its_name(step: CleaningStep) -> None:
    assert set(step.settings()) == {"name", *threshold_types(type(step))}


def test_step_leaves_a_plain_paragraph_as_the_same_object(step: CleaningStep) -> None:
    text = "今天上午，孩子们在老师的带领下参观了博物馆，看到了许多两千年前的青铜器。\n大家都说，这一天过得很有意义。"
    outcome = step.outcome(text)
    assert outcome is text or (step.name == "script_conversion" and outcome == text)


def test_step_works_after_the_way_to_another_process(step: CleaningStep) -> None:
    step.outcome("用过的步骤也要能够传到别的进程里去，哪怕它已经查过词表。")
    again = pickle.loads(pickle.dumps(step))
    assert again.settings() == step.settings()
    assert isinstance(again.outcome("这一句话没有什么特别的地方，应当原样留下来。"), str)


@pytest.mark.parametrize("text", ["", " ", "\n", "。", "a", "𠮷", "<", "&", "{", "|", "1" * 30, "文" * 100_000])
def test_step_survives_odd_texts(step: CleaningStep, text: str) -> None:
    assert isinstance(step.outcome(text), str | Dropped)
