"""What is told of a run, before it begins and with the model that it leaves."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from chinesebert.corpus.dataset import PhasedRows
from chinesebert.corpus.reader import PreparedCorpus
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.training.arguments import PretrainingArguments, is_used
from chinesebert.training.checkpoints import Progress
from chinesebert.training.data import describe_mixture, epochs, repetition_warnings, unigram_entropy
from chinesebert.training.device_peak import DevicePeak, device_peak, memory_in_name, peak_of
from chinesebert.training.dry_run import Plan, PlannedCorpus, PlannedPhase, describe_plan
from chinesebert.training.engine import zero_stage
from chinesebert.training.environment import hardware_facts, version_facts
from chinesebert.training.model_card import CardCorpus, CardFacts
from chinesebert.training.overlap import remembered_overlap
from chinesebert.training.run_record import read_run

Changes = dict[str, list[Any]]
"""Settings that were changed, by name: the value before, and the value now."""
# Settings that say where this start begins and ends up, and nothing of what is trained.
_SETTINGS_OF_A_START = {"resume", "output_dir", "dry_run", "dry_run_mfu", "dry_run_ranks", "dry_run_device"}


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a run is about.

    Attributes:
        args: the resolved settings.
        corpora: to train on.
        model: with the weights it begins with.
        rows: what training reads.
    """

    args: PretrainingArguments
    corpora: list[PreparedCorpus]
    model: ChineseBertForMaskedLM
    rows: PhasedRows

    @property
    def parameters(self) -> int:
        """How many are trained."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    def settings(self) -> dict[str, Any]:
        """Recipe and flags together, defaults included, as plain values."""
        names = {item.name for item in dataclasses.fields(self.args) if item.init and is_used(item.name)}
        return {name: value for name, value in self.args.to_dict().items() if name in names}

    def epochs_of_corpora(self, samples: int) -> list[float]:
        """How often the first ``samples`` samples pass over each corpus."""
        seen = epochs(self.rows, samples)
        return [seen.get(f"epochs_corpus_{number}", seen["epoch"]) for number in range(1, len(self.corpora) + 1)]


def changed_settings(before: dict[str, Any], now: dict[str, Any]) -> Changes:
    """What a run that goes on does with other settings than before: name, then value before and now.

    Args:
        before: the settings that its checkpoint was written with, as they were read from JSON.
        now: those it has now.
    """
    read = json.loads(json.dumps(now, default=str))
    return {
        name: [before[name], value]
        for name, value in read.items()
        if name in before and before[name] != value and name not in _SETTINGS_OF_A_START
    }


def describe_changes(changes: Changes) -> list[str]:
    """A line for each setting that is not what it was."""
    return [f"changed  {name}: was {before}, is {now} from here on" for name, (before, now) in changes.items()]


def start_facts(subject: Subject) -> dict[str, Any]:
    """What the log says at the start: all that the report needs besides the figures."""
    args = subject.args
    return {
        "unigram_entropy": unigram_entropy(subject.corpora, args.data_weights),
        "parameters": subject.parameters,
        "versions": version_facts(),
        "hardware": hardware_facts(args.device, args.world_size),
        "recipe": subject.settings(),
    }


def card_facts(subject: Subject, progress: Progress) -> CardFacts:
    """What the model card says."""
    args = subject.args
    record = read_run(Path(args.output_dir or ""))
    last = next(iter(record.of_kind("eval")[-1:]), {})
    passes = subject.epochs_of_corpora(progress.consumed_samples)
    return CardFacts(
        name=Path(args.output_dir or "").resolve().name,
        config=subject.model.config,
        parameters=subject.parameters,
        steps=progress.step,
        tokens_seen=progress.tokens_seen,
        corpora=[
            CardCorpus(str(corpus.directory), corpus.manifest.documents, corpus.manifest.tokens, seen)
            for corpus, seen in zip(subject.corpora, passes, strict=True)
        ],
        recipe=subject.settings(),
        changes=record.changes(),
        results={name: value for name, value in last.items() if name.startswith("eval_")},
        results_step=last.get("step"),
        versions=version_facts(),
        hardware=hardware_facts(args.device, args.world_size),
        started_from=args.init_from,
    )


def plan_of(subject: Subject) -> str:
    """What ``--dry_run`` prints."""
    args, timeline = subject.args, subject.args.timeline
    passes = subject.epochs_of_corpora(timeline.consumed_samples(args.max_steps))
    ends = [*(segment.first_step for segment in timeline.segments[1:]), timeline.steps]
    device, peak, memory = _planned_device(args)
    plan = Plan(
        config=subject.model.config,
        phases=[
            PlannedPhase(end - segment.first_step, segment.length, segment.batch_size, segment.micro_batch_size)
            for segment, end in zip(timeline.segments, ends, strict=True)
        ],
        corpora=[
            PlannedCorpus(corpus.directory.name, corpus.manifest.tokens, seen)
            for corpus, seen in zip(subject.corpora, passes, strict=True)
        ],
        ranks=args.dry_run_ranks or args.world_size,
        precision="autocast" if args.bf16 else "float32",
        zero_stage=zero_stage(str(args.deepspeed)),
        device=device,
        peak=peak,
        mfu=args.dry_run_mfu,
        device_memory=memory,
        masking_probability=args.masking_probability,
        checkpoints_kept=args.save_total_limit,
        checkpoints_written=args.max_steps // int(args.save_steps) if args.save_strategy != "no" else 1,
    )
    return describe_plan(plan)


def _planned_device(args: PretrainingArguments) -> tuple[str, DevicePeak, float | None]:
    """Name, peak and memory (bytes; None where not known) of the device of a plan: one by name, or that at hand."""
    if args.dry_run_device is not None:
        return args.dry_run_device, peak_of(args.dry_run_device), memory_in_name(args.dry_run_device)
    device = args.device
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
    peak = device_peak(device, torch.bfloat16 if args.bf16 else torch.float32)
    return hardware_facts(device, args.world_size)["device"], peak, memory


def describe(subject: Subject) -> None:
    """Prints what is about to run, so that a wrong setting is seen before it has cost anything."""
    args, corpora, rows = subject.args, subject.corpora, subject.rows
    tokens = sum(corpus.manifest.tokens for corpus in corpora)
    samples = args.timeline.consumed_samples(args.max_steps)
    print(
        f"model    {subject.parameters / 1e6:.1f}M parameters trained, {args.init_from or args.model}\n"
        f"data     {tokens:,} tokens, {len(rows.phases[0]):,} rows of {args.timeline.phases[0].length}; "
        f"{corpora[0].manifest.readings}",
        *_describe_batches(args),
        f"run      {args.max_steps:,} steps = {rows.epochs(samples):.1f} epochs, to {args.output_dir}\n"
        f"unigram entropy {unigram_entropy(corpora, args.data_weights):.3f} nats: what a model scores that knows "
        "frequencies and ignores the context",
        sep="\n",
        flush=True,
    )
    mixture = rows.phases[0].mixture
    if mixture is not None:
        lines = describe_mixture(corpora, mixture, samples) + repetition_warnings(mixture, samples)
        print("mixture  this run will read", *lines, sep="\n", flush=True)


def _describe_batches(args: PretrainingArguments) -> Iterator[str]:
    for number, segment in enumerate(args.timeline.segments):
        since = f", {segment.length} tokens long, from step {segment.first_step + 1:,}" if number or args.phases else ""
        yield (
            f"batch    {segment.batch_size} rows = {args.world_size} ranks x {segment.micro_batch_size} rows x "
            f"{segment.micro_batches(args.world_size)} accumulated{since}"
        )


def warn_of_overlap(corpora: list[PreparedCorpus], held_out: list[PreparedCorpus], counted: Path) -> None:
    """Prints a warning where held-out text is trained on: what is measured on it is too good.

    Args:
        corpora: that are trained on.
        held_out: that are measured on.
        counted: a file that keeps the count for the next start.
    """
    if shared := remembered_overlap(corpora, held_out, counted):
        documents = sum(corpus.manifest.documents for corpus in held_out)
        print(
            f"warning: {shared:,} of the {documents:,} documents of eval_data are in train_data too, whole or for at "
            "least half; held-out figures will look better than they are. Prepare the training text with "
            "--decontaminate, or hold out other text",
            flush=True,
        )


def describe_end(subject: Subject, samples: int) -> None:
    """Prints what was read of each corpus of a mixture."""
    mixture = subject.rows.phases[0].mixture
    if mixture is not None:
        print("mixture  this run has read", *describe_mixture(subject.corpora, mixture, samples), sep="\n", flush=True)
