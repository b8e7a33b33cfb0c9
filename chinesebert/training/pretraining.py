"""Puts a pretraining run together from its settings: data, model, engine, loop."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader
from transformers import set_seed
from transformers.integrations.integration_utils import TensorBoardCallback, get_reporting_integration_callbacks
from transformers.trainer_callback import CallbackHandler, DefaultFlowCallback, TrainerCallback, TrainerState

from chinesebert.corpus.changes import CorpusFiles
from chinesebert.corpus.dataset import PhasedRows
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.errors import InputError
from chinesebert.masking import IGNORE_INDEX
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.training.announcements import (
    Subject,
    changed_settings,
    describe,
    describe_changes,
    describe_end,
    plan_of,
    warn_of_overlap,
)
from chinesebert.training.arguments import PretrainingArguments
from chinesebert.training.batches import RankBatches, build_loader, collate_for, read_batches
from chinesebert.training.callbacks import TensorBoard, pretraining_progress
from chinesebert.training.checkpoints import (
    Facts,
    Progress,
    find_checkpoint,
    load_optimizer,
    load_weights,
    prune_checkpoints,
    read_progress,
    read_settings,
    save_checkpoint,
)
from chinesebert.training.cloze import check_cloze, read_cloze
from chinesebert.training.data import build_held_out_rows, build_rows, describe_held_out, epochs, open_data
from chinesebert.training.device_peak import device_peak, mean_over_ranks
from chinesebert.training.engine import (
    TrainingEngine,
    build_optimizer,
    deepspeed_config,
    learning_rate_schedule,
    parameter_groups,
    zero_stage,
)
from chinesebert.training.environment import version_facts
from chinesebert.training.evaluation import evaluate, guess
from chinesebert.training.flops import count_batch
from chinesebert.training.loop import Parts, TrainingLoop
from chinesebert.training.output_folder import has_report, is_complete, open_output, publish_model, refuse_file
from chinesebert.training.report import write_report_if_possible
from chinesebert.training.reporting import Reporting
from chinesebert.training.starting_point import starting_model
from chinesebert.training.stopping import StopRequest
from chinesebert.training.throughput import Meter


@dataclass(frozen=True)
class _Inputs:
    """What a run is made from.

    Attributes:
        subject: settings, corpora, model and rows.
        held_out: corpora to measure with.
        tokenizer: of the corpora.
        cloze: sentences that the model guesses at evaluations.
        learning_rate: of each step.
    """

    subject: Subject
    held_out: list[PreparedCorpus]
    tokenizer: ChineseBertTokenizer
    cloze: list[str]
    learning_rate: Callable[[int], float]


def pretrain(args: PretrainingArguments) -> None:
    """Runs pretraining from start, or from where it stopped, to its end; leaves the model in ``output_dir/hf``.

    Raises:
        InputError: something cannot be trained on, or the run cannot go on; see ``TrainingStopped``.
    """
    stop = StopRequest()
    refuse_file(Path(args.output_dir or ""))
    inputs = _read_inputs(args)
    subject = inputs.subject
    if args.dry_run:
        _tell(args, plan_of(subject))
        return
    facts = run_facts(args, inputs.tokenizer, subject.model, subject.rows, subject.corpora)
    checkpoint = _agreed_checkpoint(Path(args.output_dir or ""), args.resume, facts)
    progress = read_progress(checkpoint) if checkpoint else Progress()
    if checkpoint is not None and progress.step >= args.max_steps:
        _tell(args, f"finished already: {checkpoint} of {args.max_steps:,} steps; to go on, raise --max_steps")
        if _agreed(functools.partial(is_complete, args, checkpoint, progress)):
            publish_model(subject, progress, checkpoint)
            _write_report(args)
            return
        # Without a step, the loop makes up for what the run has left out.
    parts, save = _begin(inputs, checkpoint, progress, facts)
    stopped = _train(inputs, parts, stop)
    _end(subject, progress, save.newest, stopped)


def _tell(args: PretrainingArguments, text: str) -> None:
    """Prints something once for all ranks."""
    if args.process_index == 0:
        print(text, flush=True)


def _read_inputs(args: PretrainingArguments) -> _Inputs:
    cloze = read_cloze(Path(args.cloze)) if args.cloze else []
    learning_rate = _schedule(args)
    corpora, held_out = open_data(args)
    tokenizer = corpora[0].load_tokenizer()
    set_seed(args.seed)  # the new weights are to hang on the seed too
    model = _starting_model(args, tokenizer)
    if cloze:
        check_cloze(Path(str(args.cloze)), cloze, tokenizer, model.config.max_position_embeddings)
    rows = build_rows(args, corpora, tokenizer)
    return _Inputs(Subject(args, corpora, model, rows), held_out, tokenizer, cloze, learning_rate)


def _begin(inputs: _Inputs, checkpoint: Path | None, progress: Progress, facts: Facts) -> tuple[Parts, "_Saver"]:
    """Tells what is about to run and builds all that it needs; only then writes to ``output_dir``."""
    subject, args = inputs.subject, inputs.subject.args
    if args.process_index == 0:
        describe(subject)
    _tell(args, f"resume   {checkpoint or 'none, starts afresh'}")
    changed = changed_settings(read_settings(checkpoint), subject.settings()) if checkpoint else {}
    for line in describe_changes(changed):
        _tell(args, line)
    engine = _start_engine(args, subject.model, checkpoint, progress)
    save = _Saver(inputs, engine, progress, facts, checkpoint)
    parts = _loop_parts(inputs, engine, progress, save)
    # Nothing is written before this: all that can be refused has been.
    with parts.meter.paused():
        parts.log = open_output(subject, checkpoint, progress, changed)
        if args.process_index == 0:
            warn_of_overlap(subject.corpora, inputs.held_out, Path(args.output_dir or "") / "logs" / "overlap.json")
    return parts, save


def _train(inputs: _Inputs, parts: Parts, stop: StopRequest) -> str | None:
    """Trains to the last step, or until the run is asked to stop; returns why it stopped."""
    args, rows = inputs.subject.args, inputs.subject.rows
    state = TrainerState(
        global_step=parts.progress.step,
        max_steps=args.max_steps,
        is_local_process_zero=args.local_process_index == 0,
        is_world_process_zero=args.process_index == 0,
    )
    return TrainingLoop(args, parts, state, functools.partial(epochs, rows), stop).run()


def _loop_parts(inputs: _Inputs, engine: TrainingEngine, progress: Progress, save: Callable[[], Path]) -> Parts:
    """What the loop works with, but for the log: that is written to ``output_dir``.

    Raises:
        InputError: a logging back-end cannot be used.
    """
    args, model, tokenizer, held_out = inputs.subject.args, inputs.subject.model, inputs.tokenizer, inputs.held_out
    peak = mean_over_ranks(device_peak(args.device, torch.bfloat16 if args.bf16 else torch.float32), args.device)
    boundaries = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    guesses = functools.partial(guess, engine, tokenizer, inputs.cloze, args.device)
    return Parts(
        engine=engine,
        timeline=args.timeline,
        batches=read_batches(_training_loader(args, model, inputs.subject.rows, progress.step)),
        learning_rate=inputs.learning_rate,
        progress=progress,
        meter=Meter(model.config, args.device, peak, args.world_size),
        count=functools.partial(count_batch, boundary_ids=boundaries, ignore_index=IGNORE_INDEX),
        evaluate=_evaluation(args, engine, model, held_out, tokenizer) if held_out else None,
        complete=guesses if inputs.cloze else None,
        save=save,
        changed=CorpusFiles(inputs.subject.corpora + held_out).first_changed,
        log=None,
        handler=CallbackHandler(build_callbacks(args), model, tokenizer, None, None),
        pronunciation_loss_weight=model.config.pronunciation_loss_weight,
    )


class _Saver:
    """Writes a checkpoint of where the run stands, and then removes old ones.

    Attributes:
        newest: the last checkpoint that was written, or what the run goes on from; None without one.
    """

    def __init__(
        self, inputs: _Inputs, engine: TrainingEngine, progress: Progress, facts: Facts, newest: Path | None
    ) -> None:
        self._args, self._write_hf = inputs.subject.args, _hf_writer(inputs.subject.model, inputs.tokenizer)
        self._engine, self._progress, self._facts = engine, progress, facts
        self._settings = inputs.subject.settings()
        self.newest = newest

    def __call__(self) -> Path:
        args, output_dir = self._args, Path(self._args.output_dir or "")
        about = {"facts": self._facts, "settings": self._settings, "versions": version_facts()}
        path = save_checkpoint(output_dir, self._engine.partitions, self._progress, about, self._write_hf)
        self.newest = path
        if args.process_index == 0:
            prune_checkpoints(output_dir, args.save_total_limit, path, functools.partial(print, flush=True))
        return path


def _end(subject: Subject, progress: Progress, newest: Path | None, stopped: str | None) -> None:
    """What a run leaves and says at its end; of one that was stopped, where it goes on."""
    args = subject.args
    if stopped:
        # A run that was told where to begin would begin there again.
        again = args.resume == "auto" or newest == Path(args.resume)
        how = "the same command" if again else "the same command with --resume auto"
        _tell(args, f"\nstopped by {stopped} after step {progress.step:,}; {newest} is saved, {how} goes on from there")
        return
    if newest is not None:
        publish_model(subject, progress, newest)
    _write_report(args)
    if args.process_index == 0:
        describe_end(subject, progress.consumed_samples)


def _write_report(args: PretrainingArguments) -> None:
    """Writes the report, on the first rank, where it is not there or older than the log."""
    output_dir = Path(args.output_dir or "")
    if args.process_index == 0 and not has_report(output_dir):
        print(write_report_if_possible(output_dir), flush=True)


def run_facts(
    args: PretrainingArguments,
    tokenizer: ChineseBertTokenizer,
    model: ChineseBertForMaskedLM,
    rows: PhasedRows,
    corpora: list[PreparedCorpus],
) -> Facts:
    """What must be equal for a run to go on from a checkpoint: the model, and all that the order of samples needs."""
    return {
        **model_facts(model),
        "tokenizer": tokenizer.fingerprint,
        # After all that changes it, which is to be named.
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "text": " ".join(corpus.fingerprint[:16] for corpus in corpora),
        "batches": args.timeline.describe(),
        "seed": args.seed,
        "rows": _rows_drawn_from(rows),
        **masking_facts(args),
    }


def model_facts(model: ChineseBertForMaskedLM) -> Facts:
    """The facts of a model."""
    sizes = model.config
    return {
        "model": f"{sizes.num_hidden_layers} layers, {sizes.hidden_size} hidden, {sizes.num_attention_heads} heads, "
        f"{sizes.intermediate_size} between",
        "glyph_trainable": sizes.glyph_trainable,
        "pronunciation_loss_weight": sizes.pronunciation_loss_weight,
    }


def masking_facts(args: PretrainingArguments) -> Facts:
    """What decides how the text of a sample is laid out and masked, besides the seed."""
    names = ["single_sentence_probability", "isolate_documents"]
    names += ["masking_strategy", "masking_probability", "masking_probability_end"]
    if args.masking_strategy == "wwm+char":  # the others do not look at it
        names.append("whole_word_probability")
    return {name: getattr(args, name) for name in names}


def _rows_drawn_from(rows: PhasedRows) -> str:
    """The number of rows; of a mixture, how many each corpus has and at what ratio they are drawn."""
    shown = []
    for phase in rows.phases:
        if phase.mixture is None:
            shown.append(str(len(phase)))
        else:
            sizes, ratio = " + ".join(map(str, phase.mixture.sizes)), ":".join(map(str, phase.mixture.ratio))
            shown.append(f"{sizes} at data_weights {ratio}")
    return ", ".join(shown)


def _starting_model(args: PretrainingArguments, tokenizer: ChineseBertTokenizer) -> ChineseBertForMaskedLM:
    model = starting_model(
        tokenizer,
        args.max_length,
        init_from=args.init_from,
        sizes_file=args.model,
        glyphs=args.glyphs,
        glyph_trainable=args.glyph_trainable,
        pronunciation_loss_weight=args.pronunciation_loss_weight,
        # A plan for another device asks for none of its kernels.
        attention=None if args.dry_run_device is not None else args.attention,
    )
    if args.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model


def _agreed_checkpoint(output_dir: Path, resume: str, facts: Facts) -> Path | None:
    warn = functools.partial(print, flush=True)
    checkpoint: Path | None = _agreed(lambda: find_checkpoint(output_dir, resume, facts, warn))
    return checkpoint


def _agreed(find: Callable[[], Any]) -> Any:
    """What the first rank finds: the others may see a folder that is changing, or none.

    Raises:
        InputError: it raised that or ``OSError``, on all ranks.
    """
    found: list[Any] = [None, None]
    if not dist.is_initialized() or dist.get_rank() == 0:
        try:
            found[0] = find()
        except (InputError, OSError) as error:  # OSError: a folder that cannot be read
            found[1] = str(error)
    if dist.is_initialized():
        dist.broadcast_object_list(found)
    if found[1] is not None:
        raise InputError(found[1])
    return found[0]


def _start_engine(
    args: PretrainingArguments, model: ChineseBertForMaskedLM, checkpoint: Path | None, progress: Progress
) -> TrainingEngine:
    """The engine, with weights and optimizer state as the checkpoint has them."""
    if checkpoint is not None:
        load_weights(checkpoint, model)
    path = str(args.deepspeed)
    optimizer = build_optimizer(
        args.optimizer,
        parameter_groups(model, args.weight_decay, args.glyph_learning_rate_scale),
        args.learning_rate,
        (args.adam_beta1, args.adam_beta2),
        args.adam_epsilon,
        zero_stage(path),
    )
    segments, ranks = args.timeline.segments, args.world_size
    most = max(segments, key=lambda segment: segment.micro_batches(ranks))
    config = deepspeed_config(path, most.micro_batch_size, most.micro_batches(ranks), ranks, args.max_grad_norm)
    engine = TrainingEngine(model, optimizer, config, args.device, args.bf16)
    if checkpoint is not None:
        load_optimizer(checkpoint, engine.partitions, progress.updates)
    if args.torch_compile:
        engine.compile()
    return engine


def _schedule(args: PretrainingArguments) -> Callable[[int], float]:
    name = str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type))
    warmup = args.get_warmup_steps(args.max_steps)
    return learning_rate_schedule(name, args.learning_rate, warmup, args.max_steps, args.lr_scheduler_kwargs)


def _prefetch(args: PretrainingArguments) -> int:
    """Micro-batches that each worker keeps ready: together those of two steps, so that no step waits for its last."""
    if args.dataloader_prefetch_factor is not None:
        return args.dataloader_prefetch_factor
    a_step = max(segment.micro_batches(args.world_size) for segment in args.timeline.segments)
    return max(2, -(-2 * a_step // max(args.dataloader_num_workers, 1)))


def _training_loader(
    args: PretrainingArguments, model: ChineseBertForMaskedLM, rows: PhasedRows, step: int
) -> DataLoader[Any]:
    return build_loader(
        rows,
        RankBatches(args.timeline, args.process_index, args.world_size, step),
        collate_for(model),
        args.dataloader_num_workers,
        _prefetch(args),
        args.dataloader_pin_memory and args.device.type == "cuda",
    )


def _evaluation(
    args: PretrainingArguments,
    engine: TrainingEngine,
    model: ChineseBertForMaskedLM,
    held_out: list[PreparedCorpus],
    tokenizer: ChineseBertTokenizer,
) -> Callable[[Callable[[], bool]], dict[str, float] | None]:
    held_out_rows = build_held_out_rows(args, held_out, tokenizer)
    for line in describe_held_out(held_out_rows, args.eval_max_rows):
        _tell(args, line)
    loaders = {
        name: build_loader(
            rows,
            rows.batches(args.process_index, args.world_size, args.per_device_eval_batch_size, args.eval_max_rows),
            collate_for(model),
            workers=0,
            prefetch=None,
            pin_memory=False,
        )
        for name, rows in held_out_rows.items()
    }
    return functools.partial(evaluate, engine, loaders, args.device, _add_up)


def _add_up(numbers: torch.Tensor) -> torch.Tensor:
    dist.all_reduce(numbers)
    return numbers


def _hf_writer(
    model: ChineseBertForMaskedLM, tokenizer: ChineseBertTokenizer
) -> Callable[[Path, dict[str, torch.Tensor]], None]:
    """Writes what ``from_pretrained`` opens: trained weights, in float32, and what is not trained."""

    def write(directory: Path, weights: dict[str, torch.Tensor]) -> None:
        same = {id(parameter): name for name, parameter in model.named_parameters()}
        state = {}
        for name, tensor in model.state_dict(keep_vars=True).items():
            trained = weights.get(same.get(id(tensor), name))  # tied weights have two names
            state[name] = tensor.detach() if trained is None else trained
        model.save_pretrained(directory, state_dict=state)
        tokenizer.save_pretrained(directory)

    return write


def build_callbacks(args: PretrainingArguments) -> list[TrainerCallback]:
    """What listens to a run: the logging back-ends of ``report_to``, and what is shown.

    Raises:
        InputError: a back-end cannot be used: its package is not installed, most likely.
    """
    callbacks: list[TrainerCallback] = [DefaultFlowCallback()]
    for make in get_reporting_integration_callbacks(args.report_to):
        try:
            callbacks.append(Reporting(TensorBoard() if make is TensorBoardCallback else make()))
        except Exception as error:  # of a library that is not ours
            raise InputError(
                f"report_to: {make.__name__} cannot be used ({' '.join(str(error).split())}); install what it needs, "
                "or leave it out of report_to"
            ) from error
    return [*callbacks, pretraining_progress(bars=not args.disable_tqdm)]
