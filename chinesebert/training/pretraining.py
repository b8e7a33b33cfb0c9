"""Builds what a pretraining run needs from its settings: data, model, trainer."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import TypeVar

import yaml
from transformers import ProgressCallback, set_seed

from chinesebert.atomic import atomic_file, create_parent
from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.corpus.dataset import HeldOutRows, MaskedRows
from chinesebert.corpus.format import entropy
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
    rows = build_rows(MaskedRows, args, corpora, tokenizer, args.seed)
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


def run_facts(
    args: PretrainingArguments, tokenizer: ChineseBertTokenizer, model: ChineseBertForMaskedLM, rows: MaskedRows
) -> dict[str, int | str]:
    """What must be equal for a run to go on from a checkpoint: the model, and all that the order of samples needs."""
    return {
        "world_size": args.world_size,
        "global_batch_size": args.global_batch_size,
        "max_length": args.max_length,
        "seed": args.seed,
        "rows": len(rows),
        "tokenizer": tokenizer.fingerprint,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


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
) -> _Rows:
    """The masked rows of some corpora: endless ``MaskedRows`` to train on, or ``HeldOutRows`` to evaluate on."""
    return rows_class(
        RowPlan(corpora, args.max_length),
        build_dresser(args, tokenizer),
        build_masking(args, tokenizer),
        args.single_sentence_probability,
        seed,
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
        f"unigram entropy {unigram_entropy(corpora):.3f} nats: what a model scores that knows frequencies and "
        "ignores the context",
        flush=True,
    )


def unigram_entropy(corpora: list[PreparedCorpus]) -> float:
    """The entropy, in nats, of the tokens of several corpora together."""
    counts: Counter[str] = Counter()
    for corpus in corpora:
        counts.update(corpus.manifest.token_counts)
    return entropy(counts.values())
