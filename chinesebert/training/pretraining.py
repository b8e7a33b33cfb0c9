"""Builds what a pretraining run needs from its settings: data, model, trainer."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml
from transformers import ProgressCallback, set_seed

from chinesebert.atomic import atomic_file, create_parent
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.corpus.dataset import HeldOutRows, MaskedRows
from chinesebert.corpus.format import entropy
from chinesebert.corpus.order import MixtureOrder
from chinesebert.corpus.packing import RowDresser, RowPlan
from chinesebert.corpus.reader import PreparedCorpus, check_same_tokenizer, open_corpora
from chinesebert.errors import InputError
from chinesebert.glyph import Glyphs
from chinesebert.masking import Masking
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.arguments import PretrainingArguments
from chinesebert.training.callbacks import PretrainingProgress
from chinesebert.training.checkpoints import RECIPE_FILE, checkpoint_step, find_checkpoint
from chinesebert.training.trainer import PretrainingTrainer
from chinesebert.vocabulary import vocabulary_sha256

# Held-out text is masked the same way at every evaluation, and in every run, so that runs can be compared.
_EVALUATION_SEED = 0
# Text seen up to four times is worth nearly as much as new text, after that soon less (Muennighoff et al. 2023,
# "Scaling Data-Constrained Language Models", arXiv 2305.16264; measured on left-to-right models).
_WORTHWHILE_EPOCHS = 4
_Rows = TypeVar("_Rows", bound=MaskedRows)


def pretrain(args: PretrainingArguments) -> None:
    """Runs pretraining from start, or from where it stopped, to its end; leaves the model in ``output_dir/hf``."""
    corpora = open_corpora(args.train_data)
    held_out = open_corpora(args.eval_data) if args.eval_data else []
    for corpus in held_out:
        check_same_tokenizer(corpora[0], corpus)
    tokenizer = corpora[0].load_tokenizer()
    set_seed(args.seed)  # the new weights are to hang on the seed too
    model = build_model(args, tokenizer, load_glyphs(args.glyphs or "", tokenizer))
    rows = build_rows(MaskedRows, args, corpora, tokenizer, args.seed, args.data_weights)
    facts = run_facts(args, tokenizer, model, rows)
    checkpoint = find_checkpoint(Path(args.output_dir or ""), args.resume, facts)
    if checkpoint is not None and checkpoint_step(checkpoint) >= args.max_steps:
        if args.process_index == 0:
            print(
                f"finished already: {checkpoint} of {args.max_steps:,} steps; to go on, raise --max_steps", flush=True
            )
        return
    create_parent(Path(args.output_dir or "") / RECIPE_FILE)  # on every rank, so that all of them stop where it fails
    if args.process_index == 0:
        save_recipe(args)

    trainer = PretrainingTrainer(
        facts,
        model=model,
        args=args,
        train_dataset=rows,
        eval_dataset=build_rows(HeldOutRows, args, held_out, tokenizer, _EVALUATION_SEED) if held_out else None,
        processing_class=tokenizer,
    )
    if not args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(PretrainingProgress)
    if trainer.is_world_process_zero():
        _describe(args, corpora, trainer)
        print(f"resume   {checkpoint or 'none, starts afresh'}", flush=True)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_final_model()
    if trainer.is_world_process_zero() and rows.mixture is not None:
        samples = trainer.state.global_step * args.global_batch_size
        print("mixture  this run has read", *describe_mixture(corpora, rows.mixture, samples), sep="\n", flush=True)


def run_facts(
    args: PretrainingArguments, tokenizer: ChineseBertTokenizer, model: ChineseBertForMaskedLM, rows: MaskedRows
) -> dict[str, int | str]:
    """What must be equal for a run to go on from a checkpoint: the model, and all that the order of samples needs."""
    return {
        "world_size": args.world_size,
        "global_batch_size": args.global_batch_size,
        "max_length": args.max_length,
        "seed": args.seed,
        "rows": _rows_drawn_from(rows),
        "tokenizer": tokenizer.fingerprint,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _rows_drawn_from(rows: MaskedRows) -> int | str:
    """The number of rows; of a mixture, how many each corpus has and at what ratio they are drawn."""
    if rows.mixture is None:
        return len(rows)
    sizes, ratio = " + ".join(map(str, rows.mixture.sizes)), ":".join(map(str, rows.mixture.ratio))
    return f"{sizes} at data_weights {ratio}"


def load_glyphs(directory: str, tokenizer: ChineseBertTokenizer) -> Glyphs:
    """The glyph images; raises ``InputError`` where they were made for another vocabulary."""
    glyphs = Glyphs.load(directory)
    wanted = vocabulary_sha256(tokenizer.tokens())
    if glyphs.metadata["vocab_sha256"] != wanted:
        raise InputError(
            f"{directory}: these glyphs were made for another vocabulary than the corpus; make them again: python -m "
            f"data_prep glyphs --vocab {tokenizer.name_or_path}/vocab.txt --fonts fonts/default.yaml --output DIR"
        )
    return glyphs


def build_model(args: PretrainingArguments, tokenizer: ChineseBertTokenizer, glyphs: Glyphs) -> ChineseBertForMaskedLM:
    """A new model of the sizes in ``args.model``, with the images and syllables of its characters.

    Raises:
        InputError: the file cannot be read, holds unknown sizes, or the rows are longer than the model's positions.
    """
    path = Path(args.model or "")
    try:
        sizes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the sizes of the model ({error})") from error
    known = ChineseBertConfig().to_dict()
    unknown = [name for name in sizes if name not in known]
    if unknown:
        raise InputError(f"{path}: unknown sizes {', '.join(unknown)}; known are those of ChineseBertConfig")
    config = ChineseBertConfig(
        **sizes | {"vocab_size": len(tokenizer.tokens()), "num_syllables": len(tokenizer.readings.syllables)}
    )
    if args.max_length > config.max_position_embeddings:
        raise InputError(
            f"max_length {args.max_length} is more than the {config.max_position_embeddings} positions of {path}"
        )
    model = ChineseBertForMaskedLM(config)
    model.set_character_tables(tokenizer, glyphs)
    return model


def build_rows(
    rows_class: type[_Rows],
    args: PretrainingArguments,
    corpora: list[PreparedCorpus],
    tokenizer: ChineseBertTokenizer,
    seed: int,
    weights: Sequence[float] = (),
) -> _Rows:
    """The masked rows of some corpora: endless ``MaskedRows`` to train on, or ``HeldOutRows`` to evaluate on."""
    return rows_class(
        RowPlan(corpora, args.max_length),
        build_dresser(args, tokenizer),
        build_masking(args, tokenizer),
        args.single_sentence_probability,
        seed,
        weights,
    )


def build_dresser(args: PretrainingArguments, tokenizer: ChineseBertTokenizer) -> RowDresser:
    """What puts [CLS] and [SEP] around the text of a row."""
    return RowDresser(
        args.max_length,
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
        tokenizer.pad_token_id,
        args.isolate_documents,
    )


def build_masking(args: PretrainingArguments, tokenizer: ChineseBertTokenizer) -> Masking:
    """What masks the rows."""
    return Masking(
        tokenizer.mask_token_id,
        tokenizer.ordinary_token_ids(),
        tokenizer.default_pinyin_ids(),
        args.masking_probability,
        args.whole_word_probability,
    )


def save_recipe(args: PretrainingArguments) -> None:
    """Writes the resolved settings beside the checkpoints: recipe and flags together, defaults included."""
    names = {item.name for item in dataclasses.fields(args) if item.init}
    settings = {name: value for name, value in args.to_dict().items() if name in names}
    with atomic_file(Path(args.output_dir or "") / RECIPE_FILE) as unfinished:
        unfinished.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")


def _describe(args: PretrainingArguments, corpora: list[PreparedCorpus], trainer: PretrainingTrainer) -> None:
    """Prints what is about to run, so that a wrong setting is seen before it has cost anything."""
    tokens = sum(corpus.manifest.tokens for corpus in corpora)
    rows = len(trainer.train_dataset)
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    print(
        f"model    {parameters / 1e6:.1f}M parameters trained, {args.model}\n"
        f"data     {tokens:,} tokens, {rows:,} rows of {args.max_length}; {corpora[0].manifest.readings}\n"
        f"batch    {args.global_batch_size} rows = {args.world_size} ranks x {args.per_device_train_batch_size} rows x "
        f"{args.gradient_accumulation_steps} accumulated\n"
        f"run      {args.max_steps:,} steps = {args.max_steps * args.global_batch_size / rows:.1f} epochs, "
        f"to {args.output_dir}\n"
        f"unigram entropy {unigram_entropy(corpora, args.data_weights):.3f} nats: what a model scores that knows "
        "frequencies and ignores the context",
        flush=True,
    )
    mixture, samples = trainer.train_dataset.mixture, args.max_steps * args.global_batch_size
    if mixture is not None:
        lines = describe_mixture(corpora, mixture, samples) + repetition_warnings(mixture, samples)
        print("mixture  this run will read", *lines, sep="\n", flush=True)


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
