"""Corpora mixed by weight: the ratio holds at every moment, each corpus has its own epochs, and nothing else counts."""

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from chinesebert import ChineseBertConfig, ChineseBertForMaskedLM
from chinesebert.corpus.dataset import MaskedRows, PhasedRows
from chinesebert.corpus.order import KeyedPermutation, MixtureOrder, whole_ratio
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus, open_corpora
from chinesebert.errors import InputError
from chinesebert.masking import Masking
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.arguments import PretrainingArguments, checked_weights, parse_arguments
from chinesebert.training.batches import RankBatches
from chinesebert.training.checkpoints import Facts, find_checkpoint
from chinesebert.training.data import describe_mixture, repetition_warnings, unigram_entropy
from chinesebert.training.pretraining import run_facts
from chinesebert.training.timeline import Phase, Timeline

LENGTH = 64
# From a millionth to a million, as somebody writes them and as a program computes them.
WEIGHT = st.sampled_from([1, 2, 3, 0.1, 0.5, 0.25, 1 / 3, 1e-6]) | st.floats(1e-6, 1e6) | st.integers(1, 10**9)
MIXTURES = st.lists(st.tuples(st.integers(1, 60), WEIGHT), min_size=1, max_size=6)
SAMPLES = st.integers(0, 3000) | st.integers(0, 10**15)


def mixture_of(parts: list[tuple[int, float]], seed: int = 5) -> MixtureOrder:
    """The order of samples of corpora given as (rows, weight)."""
    return MixtureOrder([size for size, _ in parts], [weight for _, weight in parts], seed)


def corpus_of(order: MixtureOrder, row: int) -> int:
    """The number of the corpus that a row is of."""
    return int(np.searchsorted(np.cumsum(order.sizes), row, side="right"))


# ------------------------------------------------------------------------------------------------------------ the ratio


@given(MIXTURES, SAMPLES)
@example([(1, 1), (1, 1), (1, 1), (1, 1)], 10**15)
def test_counts_are_at_their_exact_share_after_any_number_of_samples(
    parts: list[tuple[int, float]], samples: int
) -> None:
    weights = [Fraction(str(weight)) for _, weight in parts]
    counts = mixture_of(parts).draws(samples)
    assert sum(counts) == samples
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - samples * weight / sum(weights)) <= Fraction(len(parts) - 1, 2)


@given(MIXTURES, SAMPLES)
def test_a_sample_is_the_next_draw_from_its_corpus(parts: list[tuple[int, float]], sample: int) -> None:
    order = mixture_of(parts)
    corpus, draw = order.draw(sample)
    before, after = order.draws(sample), order.draws(sample + 1)
    assert draw == before[corpus]
    assert [late - early for early, late in zip(before, after, strict=True)] == [
        int(number == corpus) for number in range(len(parts))
    ]


def test_a_step_sees_the_mixture() -> None:
    order = MixtureOrder([1000, 1000, 1000], [0.6, 0.3, 0.1], 0)
    for start in range(0, 2000, 20):
        drawn = np.bincount([order.draw(sample)[0] for sample in range(start, start + 20)], minlength=3)
        assert np.abs(drawn - [12, 6, 2]).max() <= 1


def test_a_tiny_weight_is_drawn_in_its_time() -> None:
    order = MixtureOrder([10, 10], [1, 1e-9], 0)
    assert order.draws(10**12) == [10**12 - 1000, 1000]


def test_a_corpus_alone_gives_every_sample() -> None:
    order = MixtureOrder([10], [0.3], 0)
    assert [order.draw(sample) for sample in (0, 7, 10**9)] == [(0, 0), (0, 7), (0, 10**9)]


@pytest.mark.parametrize(
    ("weights", "ratio"), [([0.6, 0.3, 0.1], [6, 3, 1]), ([20, 30], [2, 3]), ([1e-3, 1], [1, 1000]), ([7.5], [1])]
)
def test_weights_are_taken_as_they_were_written(weights: list[float], ratio: list[int]) -> None:
    assert whole_ratio(weights) == ratio


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_that_is_no_share_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        whole_ratio([1, weight])


@pytest.mark.parametrize(("sizes", "weights"), [([3, 0], [1, 1]), ([3], [1, 1]), ([], [])])
def test_a_mixture_needs_rows_and_weights(sizes: list[int], weights: list[float]) -> None:
    with pytest.raises(ValueError, match="corpora that have rows"):
        MixtureOrder(sizes, weights, 0)


# ---------------------------------------------------------------------------------------------------- epochs of corpora


@given(MIXTURES, st.integers(0, 1 << 40), st.integers(0, 300))
def test_no_row_comes_again_before_all_rows_of_its_corpus_have_come(
    parts: list[tuple[int, float]], seed: int, count: int
) -> None:
    order = mixture_of(parts, seed)
    rows = [order.row(sample) for sample in range(count)]
    for corpus, (size, _) in enumerate(parts):
        drawn = [row for row in rows if corpus_of(order, row) == corpus]
        for start in range(0, len(drawn), size):
            epoch = drawn[start : start + size]
            assert len(set(epoch)) == len(epoch)


@given(MIXTURES, st.integers(0, 10**12), st.lists(st.integers(0, 200), min_size=1))
def test_seeking_gives_what_walking_gives(parts: list[tuple[int, float]], start: int, places: list[int]) -> None:
    walked, sought = mixture_of(parts), mixture_of(parts)
    rows = [walked.row(start + step) for step in range(201)]
    assert [sought.row(start + place) for place in places] == [rows[place] for place in places]


def test_every_corpus_has_an_order_of_its_own() -> None:
    order = MixtureOrder([500, 500], [1, 1], 3)
    rows = [order.row(sample) for sample in range(2000)]
    one, two = ([row % 500 for row in rows if corpus_of(order, row) == corpus] for corpus in (0, 1))
    passes = [one[:500], one[500:], two[:500], two[500:]]
    for first, second in itertools.combinations(passes, 2):
        # Two independent permutations agree in one place on average (Poisson): ten would be no accident.
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 10


def test_the_order_of_a_mixture_is_that_of_the_first_version() -> None:
    order = MixtureOrder([40, 9, 2], [0.6, 0.3, 0.1], 11)
    assert [order.row(sample) for sample in range(20)] == [
        *(7, 45, 17, 5, 47, 50, 31, 34, 43, 26, 37, 42, 0, 9, 41, 49, 4, 23, 44, 16),
    ]


def test_epochs_count_how_often_each_corpus_has_been_read() -> None:
    assert MixtureOrder([60, 10, 40], [6, 3, 1], 0).epochs(200) == [2.0, 6.0, 0.5]


# ------------------------------------------------------------------------------------------------- samples of a mixture


@pytest.fixture(scope="module")
def corpora(corpora_directory: Path) -> list[PreparedCorpus]:
    """Two corpora of unequal size."""
    return open_corpora([corpora_directory / "train", corpora_directory / "heldout"])


@pytest.fixture(scope="module")
def parts(corpora: list[PreparedCorpus], small_tokenizer: ChineseBertTokenizer) -> tuple[RowPlan, RowDresser, Masking]:
    """What datasets of both corpora are made of."""
    tokenizer = small_tokenizer
    return (
        RowPlan(corpora, LENGTH),
        RowDresser(LENGTH, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id),
        Masking(tokenizer.mask_token_id, tokenizer.ordinary_token_ids(), tokenizer.default_pinyin_ids()),
    )


@pytest.fixture(scope="module")
def mixed(parts: tuple[RowPlan, RowDresser, Masking]) -> MaskedRows:
    """The training samples of seed 0, nine tenths of them from the smaller corpus."""
    return MaskedRows(*parts, weights=[1, 9])


def equal(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_a_plan_knows_the_rows_of_each_corpus(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    plan = parts[0]
    assert len(plan.corpus_rows) == 2
    assert sum(plan.corpus_rows) == len(plan)


def test_a_plan_counts_as_each_corpus_counts_alone(corpora: list[PreparedCorpus]) -> None:
    assert RowPlan(corpora, LENGTH).corpus_rows == [len(RowPlan([corpus], LENGTH)) for corpus in corpora]


def test_samples_come_from_the_corpora_by_weight(
    mixed: MaskedRows, corpora: list[PreparedCorpus], parts: tuple[RowPlan, RowDresser, Masking]
) -> None:
    blocks = [parts[0].locate(mixed.order.row(sample))[0] for sample in range(200)]
    assert sum(any(block is other for other in corpora[1].blocks) for block in blocks) == 180


def test_without_weights_corpora_are_one_pool(parts: tuple[RowPlan, RowDresser, Masking]) -> None:
    rows = MaskedRows(*parts, seed=3)
    size = len(rows)
    assert rows.mixture is None
    wanted = [KeyedPermutation(size, 3, epoch)[place] for epoch in range(3) for place in range(size)]
    assert [rows.order.row(sample) for sample in range(3 * size)] == wanted


def test_a_sample_of_a_mixture_is_the_same_from_every_instance(
    parts: tuple[RowPlan, RowDresser, Masking], mixed: MaskedRows
) -> None:
    other = MaskedRows(*parts, weights=[0.1, 0.9])
    numbers = [0, 1, 389, 5000, 10**12]
    again = {number: other[number] for number in reversed(numbers)}
    assert all(equal(mixed[number], again[number]) for number in numbers)


@pytest.mark.parametrize(("ranks", "micro"), [(1, 12), (2, 6), (3, 2), (12, 1)])
def test_a_step_has_the_same_rows_however_ranks_share_it(
    parts: tuple[RowPlan, RowDresser, Masking], mixed: MaskedRows, ranks: int, micro: int
) -> None:
    batch = 12
    rows = []
    for rank in range(ranks):
        own = MaskedRows(*parts, weights=[1, 9])  # each rank has its own
        batches = RankBatches(Timeline([Phase(6, LENGTH, micro)], batch), rank, ranks, first_step=5)
        rows += [own.order.row(sample) for numbers in batches for sample in numbers]
    assert sorted(rows) == sorted(mixed.order.row(sample) for sample in range(5 * batch, 6 * batch))


# --------------------------------------------------------------------------------------------------------- the settings


@pytest.fixture
def recipe(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smallest complete recipe, read as if without a launcher."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "recipe.yaml"
    settings = {
        "train_data": ["corpus"],
        "glyphs": "glyphs",
        "model": "model.json",
        "deepspeed": str(root / "configs" / "deepspeed" / "zero1.json"),
        "global_batch_size": 8,
        "per_device_train_batch_size": 4,
        "max_steps": 10,
        "output_dir": str(tmp_path / "out"),
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def test_weights_are_a_flag_or_a_key(recipe: Path) -> None:
    corpora = ["--train_data", "a", "b", "c"]
    assert parse_arguments(["--config", str(recipe), *corpora, "--data_weights", "6", "3", "1"]).data_weights == [
        6,
        3,
        1,
    ]
    recipe.write_text(recipe.read_text() + "data_weights: [0.6, 3.0e-1, 1e-1]\n")  # YAML reads 1e-1 as a string
    assert parse_arguments(["--config", str(recipe), *corpora]).data_weights == [0.6, 0.3, 0.1]


def test_without_weights_there_are_none(recipe: Path) -> None:
    assert parse_arguments(["--config", str(recipe)]).data_weights == []
    recipe.write_text(recipe.read_text() + "data_weights:\n")
    assert parse_arguments(["--config", str(recipe)]).data_weights == []


def test_weights_without_corpora_are_refused(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("train_data", "eval_data"))
    with pytest.raises(InputError, match="train_data is not set"):
        parse_arguments(["--config", str(recipe), "--data_weights", "1"])


@pytest.mark.parametrize("weights", [[1], [1, 2, 3]])
def test_every_corpus_needs_a_weight(weights: list[float]) -> None:
    with pytest.raises(InputError, match=f"has {len(weights)} weights for the 2 corpora"):
        checked_weights(["a", "b"], weights)


@pytest.mark.parametrize("weight", [0, -0.5, float("nan"), float("inf"), "much", None, [1]])
def test_a_weight_that_is_no_number_above_0_is_named_with_its_corpus(weight: Any) -> None:
    with pytest.raises(InputError, match=r"the weight of runs/b is .* above 0"):
        checked_weights(["runs/a", "runs/b"], [1, weight])


@pytest.mark.parametrize("weights", [0.5, {"a": 1}, "0.5 0.5"])
def test_weights_that_are_no_list_are_refused(weights: Any) -> None:
    with pytest.raises(InputError, match="write a list of numbers"):
        checked_weights(["a", "b"], weights)


@pytest.mark.parametrize("corpora", ["runs/a", {"runs/a": 0.6}])
def test_corpora_that_are_no_list_are_refused(recipe: Path, corpora: Any) -> None:
    recipe.write_text(yaml.safe_dump(yaml.safe_load(recipe.read_text()) | {"train_data": corpora}))
    with pytest.raises(InputError, match="write a list of corpora"):
        parse_arguments(["--config", str(recipe)])


# -------------------------------------------------------------------------------------------------------------- the run


def test_the_run_says_how_often_it_reads_each_corpus(corpora: list[PreparedCorpus]) -> None:
    assert describe_mixture(corpora, MixtureOrder([1000, 20], [3, 1], 0), 400) == [
        f"corpus 1   75.00% of the rows: 300 drawn from 1,000 = 0.30 epochs, {corpora[0].directory}",
        f"corpus 2   25.00% of the rows: 100 drawn from 20 = 5.00 epochs, {corpora[1].directory}",
    ]


@pytest.mark.parametrize(("samples", "warnings"), [(400, 0), (402, 1)])
def test_a_corpus_read_more_than_four_times_is_warned_of(samples: int, warnings: int) -> None:
    found = repetition_warnings(MixtureOrder([500, 50], [1, 1], 0), samples)
    assert [line[:18] for line in found] == ["warning: corpus 2 "] * warnings


def test_the_entropy_of_a_mixture_goes_by_the_weights(corpora: list[PreparedCorpus]) -> None:
    alone = [unigram_entropy([corpus]) for corpus in corpora]
    for nearly, wanted in (([1, 1e-9], alone[0]), ([1e-9, 1], alone[1])):
        assert unigram_entropy(corpora, nearly) == pytest.approx(wanted, abs=1e-5)
    assert unigram_entropy(corpora, [1, 1]) > sum(alone) / 2


@pytest.fixture
def facts(
    recipe: Path,
    corpora: list[PreparedCorpus],
    parts: tuple[RowPlan, RowDresser, Masking],
    small_tokenizer: ChineseBertTokenizer,
) -> Any:
    """The facts of a run with given weights."""
    args: PretrainingArguments = parse_arguments(["--config", str(recipe)])
    sizes = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    model = ChineseBertForMaskedLM(ChineseBertConfig(vocab_size=50, **sizes))

    def make(*weights: float) -> Facts:
        rows = PhasedRows([(0, MaskedRows(*parts, weights=weights))])
        return run_facts(args, small_tokenizer, model, rows, corpora)

    return make


def write_checkpoint(output_dir: Path, facts: Facts) -> Path:
    """A checkpoint as far as finding it goes."""
    path = output_dir / "checkpoint-3"
    path.mkdir()
    (path / "run.json").write_text(json.dumps({"facts": facts, "files": {}}))
    return path


@pytest.mark.parametrize(("first", "then"), [((1, 9), (2, 8)), ((1, 9), ()), ((), (1, 9)), ((1, 9), (9, 1))])
def test_a_run_does_not_go_on_with_other_weights(
    tmp_path: Path, facts: Any, first: tuple[float, ...], then: tuple[float, ...]
) -> None:
    write_checkpoint(tmp_path, facts(*first))
    with pytest.raises(InputError, match=r"was written with rows .*data_weights"):
        find_checkpoint(tmp_path, "auto", facts(*then))


def test_a_run_goes_on_with_the_same_ratio_in_another_unit(tmp_path: Path, facts: Any) -> None:
    path = write_checkpoint(tmp_path, facts(1, 9))
    assert find_checkpoint(tmp_path, "auto", facts(0.1, 0.9)) == path


def test_without_weights_a_checkpoint_holds_the_number_of_rows_as_ever(
    facts: Any, parts: tuple[RowPlan, RowDresser, Masking]
) -> None:
    assert facts()["rows"] == str(len(parts[0]))
