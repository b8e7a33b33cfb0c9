"""What a pretraining run will take, by arithmetic: ``--dry_run`` shows it without training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.training.device_peak import DevicePeak
from chinesebert.training.flops import BatchCounts, expected_counts, training_flops

_FLOAT32 = 4
_BFLOAT16 = 2
_ADAM_MOMENTS = 2
# How weights and activations are held: all in float32; weights in float32 and products in bfloat16 (torch.autocast); or
# DeepSpeed's own bfloat16 with master weights in float32.
Precision = Literal["float32", "autocast", "bfloat16"]
# Bytes that a layer keeps for the backward pass for each token and number of the hidden size. Korthikanti et al. 2022
# ("Reducing Activation Recomputation in Large Transformer Models", arXiv 2205.05198, section 4.1) count 16 vectors,
# with attention that does not keep its scores, as SDPA's kernels do not. Under autocast, norms keep their two inputs in
# float32, and queries, keys and values each a copy of theirs in bfloat16.
_KEPT_IN_A_LAYER: dict[str, int] = {"float32": 16 * 4, "autocast": 2 * 4 + 16 * 2, "bfloat16": 16 * 2}
# Of these, what the last layer keeps of all tokens: its input, keys and values. The rest it keeps of masked ones.
_KEPT_OF_ALL_IN_LAST = {"float32": 3 * 4, "autocast": 4 * 2, "bfloat16": 3 * 2}
_DROPOUT_MASKS_OF_A_LAYER = 2
# Bytes a masked place takes for each token of the vocabulary while the loss is computed: its score, the logarithm of
# its probability and the gradient of that, the last two in float32.
_BYTES_OF_A_SCORE = 12
_PHASES_SHOWN = 6


@dataclass(frozen=True)
class PlannedPhase:
    """Steps with equal rows and batches; a run is one or more of them.

    Attributes:
        steps: optimizer steps.
        length: places in a row.
        global_batch_size: rows in a step over all ranks.
        micro_batch_size: rows that a rank takes at once.
    """

    steps: int
    length: int
    global_batch_size: int
    micro_batch_size: int

    @property
    def samples(self) -> int:
        """Rows that the phase reads."""
        return self.steps * self.global_batch_size


@dataclass(frozen=True)
class PlannedCorpus:
    """A corpus to train on: its name, its tokens of text, and how often the run reads them."""

    name: str
    tokens: int
    epochs: float


@dataclass(frozen=True)
class Plan:
    """A run that has not begun.

    Attributes:
        config: of the model.
        phases: in their order.
        corpora: to be read.
        ranks: devices that train together.
        precision: see ``Precision``.
        zero_stage: 0-3.
        device: what a rank trains on, for people.
        peak: of that device.
        mfu: share of the peak that the run is assumed to reach.
        device_memory: bytes; None where not known.
        masking_probability: share of the tokens that is predicted.
        padding: share of the places.
        checkpoints_kept: ``save_total_limit``; None keeps all, ``checkpoints_written``.
        checkpoints_written: over the whole run.
    """

    config: ChineseBertConfig
    phases: Sequence[PlannedPhase]
    corpora: Sequence[PlannedCorpus]
    ranks: int
    precision: Precision
    zero_stage: int
    device: str
    peak: DevicePeak
    mfu: float
    device_memory: float | None = None
    masking_probability: float = 0.15
    padding: float = 0.01
    checkpoints_kept: int | None = None
    checkpoints_written: int = 1


@dataclass(frozen=True)
class StateMemory:
    """Bytes that one device holds besides activations.

    Attributes:
        weights: that the model computes with; under autocast with their copies in bfloat16.
        gradients: added up over micro-batches.
        master_weights: that the optimizer updates, in float32, where they are not the weights themselves.
        moments: Adam's.
    """

    weights: float
    gradients: float
    master_weights: float
    moments: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.gradients + self.master_weights + self.moments


def parameters_by_part(config: ChineseBertConfig) -> dict[str, int]:
    """How many weights each part of a masked language model trains; the decoder's are those of ``words``."""
    hidden, between = config.hidden_size, config.intermediate_size
    norm = 2 * hidden
    layer = 4 * hidden * (hidden + 1) + hidden * between + between + between * hidden + hidden + 2 * norm
    letter = config.pinyin_embedding_dim
    return {
        "words": config.vocab_size * hidden,
        "positions": (config.max_position_embeddings + config.type_vocab_size) * hidden + norm,
        "pinyin": config.pinyin_vocab_size * letter + 2 * letter * hidden + hidden,
        "glyphs": hidden * (config.glyph_dim + 1)
        + (config.vocab_size * config.glyph_dim if config.glyph_trainable else 0),
        "fusion": hidden * (3 * hidden + 1),
        "encoder": config.num_hidden_layers * layer,
        "head": hidden * (hidden + 1) + norm + config.vocab_size,
        **_pronunciation_head(config),
    }


def _pronunciation_head(config: ChineseBertConfig) -> dict[str, int]:
    weights = (config.hidden_size + 1) * (config.num_syllables + 1)
    return {"pronunciation head": weights} if config.pronunciation_loss_weight else {}


def image_bytes(config: ChineseBertConfig) -> int:
    """Bytes of the frozen glyph images, which every device and every saved model holds; 0 where they are trained."""
    return 0 if config.glyph_trainable else config.vocab_size * config.glyph_dim


def state_memory(parameters: int, zero_stage: int, ranks: int, precision: Precision) -> StateMemory:
    """What DeepSpeed holds on one device between forward pass and step, without buffers for communication.

    Measured with DeepSpeed 0.19.8 on two ranks, in float32 and bfloat16: ZeRO 1-3 keep master weights in both.
    """
    width = _BFLOAT16 if precision == "bfloat16" else _FLOAT32
    share = 1 / ranks
    optimizer_share = share if zero_stage >= 1 else 1
    has_master = precision == "bfloat16" or zero_stage >= 1
    copies = _BFLOAT16 if precision == "autocast" else 0
    return StateMemory(
        weights=parameters * (width * (share if zero_stage == 3 else 1) + copies),
        gradients=parameters * width * (share if zero_stage >= 2 else 1),
        master_weights=parameters * _FLOAT32 * optimizer_share * has_master,
        moments=parameters * _FLOAT32 * _ADAM_MOMENTS * optimizer_share,
    )


def activation_memory(
    config: ChineseBertConfig,
    rows: int,
    length: int,
    masking_probability: float = 0.15,
    precision: Precision = "autocast",
) -> float:
    """Bytes of what one micro-batch keeps for its backward pass, and of its loss: an estimate from the formula above,
    without checkpointing of activations."""
    batch = expected_counts(config, rows, length, masking_probability)
    hidden = config.hidden_size
    of_layer = _KEPT_IN_A_LAYER[precision] + (_DROPOUT_MASKS_OF_A_LAYER if config.hidden_dropout_prob else 0)
    of_last = _KEPT_OF_ALL_IN_LAST[precision]
    layers = (config.num_hidden_layers - 1) * batch.tokens * of_layer
    last = batch.tokens * of_last + batch.masked * (of_layer - of_last)
    return (
        (layers + last) * hidden
        + _embeddings_memory(config, batch, precision)
        + batch.masked * config.vocab_size * _BYTES_OF_A_SCORE
    )


def _embeddings_memory(config: ChineseBertConfig, batch: BatchCounts, precision: Precision) -> float:
    hidden = config.hidden_size
    of_token = config.glyph_dim + 3 * hidden
    of_syllable = config.pinyin_length * (config.pinyin_embedding_dim + hidden)
    numbers = batch.tokens * hidden + batch.distinct_tokens * of_token + batch.distinct_syllables * of_syllable
    return numbers * (_BFLOAT16 if precision == "bfloat16" else _FLOAT32)


def checkpoint_size(config: ChineseBertConfig) -> dict[str, int]:
    """Bytes of one checkpoint, which holds everything once and in float32: ``hf``, the weights and glyph images as
    ``from_pretrained`` opens them, and ``optimizer``, Adam's two moments. The tokenizer, some megabytes, is extra."""
    weights = sum(parameters_by_part(config).values()) * _FLOAT32
    return {"hf": weights + image_bytes(config), "optimizer": _ADAM_MOMENTS * weights}


def total_flops(
    config: ChineseBertConfig, phases: Sequence[PlannedPhase], masking_probability: float = 0.15, padding: float = 0.0
) -> float:
    """Floating-point operations of a whole run, each row taken as a single segment (an upper bound)."""
    total = 0.0
    for phase in phases:
        batch = expected_counts(config, phase.micro_batch_size, phase.length, masking_probability, padding)
        total += phase.samples / phase.micro_batch_size * training_flops(config, batch)
    return total


def expected_seconds(flops: float, ranks: int, peak_flops: float, mfu: float) -> float:
    """How long a run takes at a share ``mfu`` of the devices' peak; evaluation and saving come on top."""
    return flops / (ranks * peak_flops * mfu)


def describe_plan(plan: Plan) -> str:
    """The plan in words and numbers, for a terminal."""
    parts = [
        _describe_model(plan),
        _describe_phases(plan),
        _describe_data(plan),
        _describe_memory(plan),
        _describe_time(plan),
        _describe_disk(plan),
    ]
    return "\n".join(line for part in parts for line in part)


def _describe_model(plan: Plan) -> list[str]:
    parts = parameters_by_part(plan.config)
    shown = ", ".join(f"{name} {_count(number)}" for name, number in parts.items())
    images = image_bytes(plan.config)
    frozen = f"; {_bytes(images)} of frozen glyph images" if images else ""
    return [f"model    {sum(parts.values()):,} parameters trained: {shown}{frozen}"]


def _parameters(plan: Plan) -> int:
    return sum(parameters_by_part(plan.config).values())


def _describe_phases(plan: Plan) -> list[str]:
    lines = [_describe_phase(number, phase, plan.ranks) for number, phase in enumerate(plan.phases, start=1)]
    if len(lines) > _PHASES_SHOWN:  # of a batch that grows in many steps
        half = _PHASES_SHOWN // 2
        lines[half:-half] = [f"         … and {len(lines) - 2 * half} phases between"]
    steps, samples = sum(phase.steps for phase in plan.phases), sum(phase.samples for phase in plan.phases)
    text = sum(phase.samples * ((1 - plan.padding) * phase.length - 2) for phase in plan.phases)
    lines.append(f"run      {steps:,} steps, {samples:,} rows, about {_count(text)} tokens of text")
    return lines


def _describe_phase(number: int, phase: PlannedPhase, ranks: int) -> str:
    micro_batches = phase.global_batch_size / (phase.micro_batch_size * ranks)
    return (
        f"phase {number:<2} {phase.steps:,} steps of {phase.global_batch_size:,} rows of {phase.length} = "
        f"{ranks} ranks x {phase.micro_batch_size} rows x {micro_batches:g} accumulated; {_count(phase.samples)} rows"
    )


def _describe_data(plan: Plan) -> list[str]:
    return [
        f"data     {corpus.name}: {corpus.tokens:,} tokens, read {corpus.epochs:.2f} times" for corpus in plan.corpora
    ]


def _describe_memory(plan: Plan) -> list[str]:
    parameters = _parameters(plan)
    largest = max(plan.phases, key=lambda phase: phase.micro_batch_size * phase.length)
    activations = activation_memory(
        plan.config, largest.micro_batch_size, largest.length, plan.masking_probability, plan.precision
    )
    of = f" of {_bytes(plan.device_memory)}" if plan.device_memory else ""
    lines = [
        f"memory   a device{of}, {plan.precision}, {plan.ranks} ranks; activations of "
        f"{largest.micro_batch_size} rows of {largest.length} are estimated at {_bytes(activations)}; buffers for "
        "communication come on top"
    ]
    for stage in range(4):
        state = state_memory(parameters, stage, plan.ranks, plan.precision)
        total = state.total + image_bytes(plan.config) + activations
        lines.append(
            f"  ZeRO {stage}  {_bytes(total)} = weights {_bytes(state.weights)} + gradients {_bytes(state.gradients)} "
            f"+ master weights {_bytes(state.master_weights)} + Adam {_bytes(state.moments)} + images and activations"
            + ("  <- this run" if stage == plan.zero_stage else "")
            + ("  does not fit" if plan.device_memory and total > plan.device_memory else "")
        )
    return lines


def _describe_time(plan: Plan) -> list[str]:
    flops = total_flops(plan.config, plan.phases, plan.masking_probability, plan.padding)
    seconds = expected_seconds(flops, plan.ranks, plan.peak.flops, plan.mfu)
    step = _duration(seconds / sum(phase.steps for phase in plan.phases))
    gradients = f", in which the ranks add up {_bytes(_FLOAT32 * _parameters(plan))} of gradients over their network"
    return [
        f"work     {flops:.2e} floating-point operations",
        f"time     {_duration(seconds)} on {plan.ranks} x {plan.device} if {plan.mfu:.0%} of the peak is reached (MFU: "
        f"assumed, --dry_run_mfu sets it), {plan.peak.flops / 1e12:.4g} TFLOP/s each ({plan.peak.source}); evaluation "
        "and saving come on top",
        f"         {step} a step{gradients if plan.ranks > 1 else ''}",
    ]


def _describe_disk(plan: Plan) -> list[str]:
    size = checkpoint_size(plan.config)
    kept = plan.checkpoints_written
    if plan.checkpoints_kept is not None:
        kept = min(kept, plan.checkpoints_kept)
    total = sum(size.values())
    parts = " + ".join(f"{name} {_bytes(number)}" for name, number in size.items())
    # One more is there while it is written: old ones leave when the new one is complete.
    return [
        f"disk     {_bytes(total)} a checkpoint ({parts}); {kept} kept and one being written: "
        f"{_bytes(total * (kept + 1))}"
    ]


def _bytes(number: float) -> str:
    for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:.0f} B"


def _count(number: float) -> str:
    for size, name in ((1e12, " x 10^12"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{name}"
    return f"{number:.0f}"


def _duration(seconds: float) -> str:
    for size, most, name in ((1e-3, 1_000, "ms"), (1, 120, "seconds"), (60, 120, "minutes"), (3_600, 100, "hours")):
        if seconds < size * most:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds / 86_400:.3g} days"
