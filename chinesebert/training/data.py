"""The data of a pretraining run: masked rows to train on, held-out rows to measure with."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from chinesebert.corpus.dataset import HeldOutRows, LinearRate, MaskedRows, PhasedRows
from chinesebert.corpus.format import entropy
from chinesebert.corpus.order import MixtureOrder
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus, check_same_tokenizer, open_corpora
from chinesebert.masking import Masking
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.arguments import PretrainingArguments

# Held-out text is laid out and masked the same way at every evaluation and in every run, whatever a run trains with, so
# that the figures of runs with rows of one length can be compared. Shares are those of the paper.
_EVALUATION_SEED = 0
_EVALUATION_MASKING = 0.15
_EVALUATION_SINGLE_SENTENCES = 0.1
_EVALUATION_ISOLATES_DOCUMENTS = True
# The ways of masking that held-out text is measured with: whole words and characters are not equally hard.
_EVALUATION_MASKS = {"whole_word": "wwm", "character": "char"}
# Text seen up to four times is worth nearly as much as new text, after that soon less (Muennighoff et al. 2023,
# "Scaling Data-Constrained Language Models", arXiv 2305.16264; measured on left-to-right models).
_WORTHWHILE_EPOCHS = 4


def open_data(args: PretrainingArguments) -> tuple[list[PreparedCorpus], list[PreparedCorpus]]:
    """The corpora to train on and those held out.

    Raises:
        InputError: one of them cannot be opened, or they were made with different tokenizers.
    """
    corpora = open_corpora(args.train_data)
    held_out = open_corpora(args.eval_data) if args.eval_data else []
    for corpus in held_out:
        check_same_tokenizer(corpora[0], corpus)
    return corpora, held_out


def build_rows(
    args: PretrainingArguments, corpora: list[PreparedCorpus], tokenizer: ChineseBertTokenizer
) -> PhasedRows:
    """The masked rows of all phases of a run."""
    timeline, rate = args.timeline, None
    if args.masking_probability_end is not None:
        samples = timeline.consumed_samples(timeline.steps)
        rate = LinearRate(args.masking_probability, args.masking_probability_end, samples)
    masking = build_masking(tokenizer, args.masking_strategy, args.masking_probability, args.whole_word_probability)
    rows: dict[int, MaskedRows] = {}
    for length in {phase.length for phase in timeline.phases}:
        dresser = build_dresser(tokenizer, length, args.isolate_documents)
        plan = RowPlan(corpora, length)
        rows[length] = MaskedRows(
            plan, dresser, masking, args.single_sentence_probability, args.seed, args.data_weights, rate
        )
    starts = zip(timeline.first_samples(), timeline.phases, strict=True)
    return PhasedRows([(first, rows[phase.length]) for first, phase in starts])


class HeldOutKind(NamedTuple):
    """Which rows of held-out text: what masks them (``whole_word``, ``character``), and their length in tokens."""

    masks: str
    length: int


def build_held_out_rows(
    args: PretrainingArguments, corpora: list[PreparedCorpus], tokenizer: ChineseBertTokenizer
) -> dict[HeldOutKind, HeldOutRows]:
    """The rows of held-out text, of the length of each phase, masked by whole words and by characters."""
    rows: dict[HeldOutKind, HeldOutRows] = {}
    for length in sorted({phase.length for phase in args.timeline.phases}):
        plan = RowPlan(corpora, length)
        dresser = build_dresser(tokenizer, length, _EVALUATION_ISOLATES_DOCUMENTS)
        for name, strategy in _EVALUATION_MASKS.items():
            masking = build_masking(tokenizer, strategy, _EVALUATION_MASKING)
            rows[HeldOutKind(name, length)] = HeldOutRows(
                plan, dresser, masking, _EVALUATION_SINGLE_SENTENCES, _EVALUATION_SEED
            )
    return rows


def describe_held_out(rows: Mapping[HeldOutKind, HeldOutRows], most: int) -> list[str]:
    """A line for each length: how many rows an evaluation reads, of how many."""
    lengths = {kind.length: len(of_kind) for kind, of_kind in rows.items()}
    return [
        f"held out {min(most, count):,} of {count:,} rows of {length}, evenly spaced, masked in two ways"
        + ("; eval_max_rows reads more" if most < count else "")
        for length, count in lengths.items()
    ]


def build_dresser(tokenizer: ChineseBertTokenizer, length: int, isolate_documents: bool) -> RowDresser:
    """What puts [CLS] and [SEP] around the text of a row."""
    return RowDresser(length, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, isolate_documents)


def build_masking(
    tokenizer: ChineseBertTokenizer, strategy: str, probability: float, whole_word_probability: float = 1.0
) -> Masking:
    """What masks the rows; ``whole_word_probability`` is for the strategy ``wwm+char`` alone."""
    return Masking(
        tokenizer.mask_token_id,
        tokenizer.ordinary_token_ids(),
        tokenizer.default_pinyin_ids(),
        probability,
        whole_word_probability,
        strategy,
    )


def epochs(rows: PhasedRows, samples: int) -> dict[str, float]:
    """The passes over the data that so many samples make, by name; of a mixture also those over each corpus, from 1."""
    seen = {"epoch": rows.epochs(samples)}
    mixture = rows.phases[0].mixture
    if mixture is not None and len(rows.phases) == 1:
        numbered = enumerate(mixture.epochs(samples), start=1)
        seen |= {f"epochs_corpus_{number}": round(passes, 4) for number, passes in numbered}
    return seen


def describe_mixture(corpora: list[PreparedCorpus], mixture: MixtureOrder, samples: int) -> list[str]:
    """A line for each corpus: what the first ``samples`` samples read of it."""
    rows = zip(corpora, mixture.ratio, mixture.draws(samples), mixture.sizes, strict=True)
    return [
        f"corpus {number} {part / sum(mixture.ratio):8.2%} of the rows: {drawn:,} drawn from {size:,} = "
        f"{drawn / size:.2f} epochs, {corpus.directory}"
        for number, (corpus, part, drawn, size) in enumerate(rows, start=1)
    ]


def repetition_warnings(mixture: MixtureOrder, samples: int) -> list[str]:
    """A line for each corpus that the first ``samples`` samples read too often."""
    return [
        f"warning: corpus {number} is read more than {_WORTHWHILE_EPOCHS} times; text that comes again that often "
        "teaches less and less: lower its weight, shorten the run or add text"
        for number, epochs in enumerate(mixture.epochs(samples), start=1)
        if epochs > _WORTHWHILE_EPOCHS
    ]


def unigram_entropy(corpora: list[PreparedCorpus], weights: Sequence[float] = ()) -> float:
    """The entropy, in nats, of the tokens of several corpora together, each counted by its weight or by its size."""
    counts = np.zeros(corpora[0].manifest.vocabulary_size)
    sizes = [corpus.manifest.tokens for corpus in corpora]
    for corpus, size, weight in zip(corpora, sizes, weights or sizes, strict=True):
        for token, count in corpus.manifest.token_counts.items():
            counts[int(token)] += count * weight / size
    return entropy(counts[counts > 0])
