"""The stages of a run, in order; each is a datatrove pipeline for a number of tasks.

A task of every stage but the first works on one chunk of documents, and chunks are numbered in the order of the input.
So it makes no difference to the output which worker or machine does which task, or when.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datatrove.pipeline.base import PipelineStep

from chinesebert.errors import InputError
from data_prep.cleaning.step import CleaningStep
from data_prep.decontamination import Decontaminate, DecontaminationSettings, EvaluationMatches, counting_stages
from data_prep.duplicates import DropDuplicates, DuplicateSettings, Signatures, matching_stages
from data_prep.pipeline.outcome import read_outcome
from data_prep.pipeline.steps import Annotate, Assemble, CleaningRow, ReadChunk, ReadInputs, WriteChunk, save_groups
from data_prep.pipeline.workspace import Workspace, chunks_of
from data_prep.readers import Source

# A chunk is a task: so many characters keep the cost of starting one (10 ms) small, and two cores evenly busy on ten
# million characters. Large corpora get larger chunks, to have no more tasks than these.
_SMALLEST_CHUNK = 1_000_000
_MOST_CHUNKS = 4_000
_BYTES_PER_CHARACTER = 3  # of Chinese in UTF-8
# For the progress bar: measured on mixed Chinese text; plain text is a third of a character a byte.
_CHARACTERS_PER_BYTE = {".gz": 0.87, ".zst": 0.85, ".xz": 1.1}
# Small files are read together, up to so many bytes a task.
_GROUP_BYTES = 8_000_000


@dataclass(frozen=True)
class Stage:
    """One pipeline and how often to run it.

    Attributes:
        name: of its folder of logs.
        label: for the progress bar.
        pipeline: the steps.
        tasks: runs, numbered from 0.
        characters: that all tasks together work on, where that is known.
    """

    name: str
    label: str
    pipeline: list[PipelineStep]
    tasks: int
    characters: int | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done, as far as the stages need to know.

    Attributes:
        sources: the input files, in order.
        text_field, strict: how to read them.
        steps: cleaning steps; none for text that is clean already.
        duplicates: what counts as a duplicate; None keeps them all.
        decontamination: how to look for the evaluation texts of the index; None where there is none.
        keep_rejected: whether dropped documents are kept.
        fingerprint: of tokenizer and words.
    """

    workspace: Workspace
    sources: list[Source]
    text_field: str
    strict: bool
    steps: list[CleaningStep]
    duplicates: DuplicateSettings | None
    decontamination: DecontaminationSettings | None
    keep_rejected: bool
    fingerprint: str

    @property
    def cleans(self) -> bool:
        """Whether documents are looked at before they are annotated."""
        return bool(self.steps or self.decontamination or self.duplicates)


def stages(plan: Plan) -> Iterator[Stage]:
    """The stages in order. A stage is only known when those before it are complete, so run each before the next."""
    workspace = plan.workspace
    yield _read_stage(plan)
    chunks, characters = _count_chunks(workspace), read_outcome(workspace).read[1]
    source = "read"
    if plan.cleans:
        source = "clean"
        yield Stage("clean", "cleaning", _cleaning_pipeline(plan), chunks, characters)
        yield from _matching_stages(plan, chunks)
        characters -= sum(step.lost_characters() for step in read_outcome(workspace).steps)
    yield Stage("annotate", "annotating", _annotation_pipeline(plan, source), chunks, characters)
    yield Stage("assemble", "assembling", [Assemble(workspace)], 1, characters)


def _read_stage(plan: Plan) -> Stage:
    groups = group_sources(plan.sources)
    save_groups(plan.workspace, groups)
    size = chunk_characters(sum(source.size for source in plan.sources))
    pipeline: list[PipelineStep] = [ReadInputs(plan.workspace, size, plan.text_field, plan.strict)]
    estimate = sum(source.size * _CHARACTERS_PER_BYTE.get(source.compression, 0.35) for source in plan.sources)
    return Stage("read", "reading (about)", pipeline, len(groups), int(estimate) or None)


def _count_chunks(workspace: Workspace) -> int:
    """How many chunks there are; they must be those that the tasks say they wrote."""
    found = len(chunks_of(workspace.directory / "read"))
    expected = sum(count["chunks"] for count in workspace.load_task_files("counts", "read"))
    if found != expected:
        raise InputError(f"{workspace.directory}: holds {found} chunks, {expected} were written; use --restart")
    return found


def _cleaning_pipeline(plan: Plan) -> list[PipelineStep]:
    workspace = plan.workspace
    pipeline: list[PipelineStep] = [
        ReadChunk(workspace, "read", "clean"),
        CleaningRow(workspace, "clean", plan.steps, plan.keep_rejected),
        WriteChunk(workspace, "clean"),
    ]
    if plan.decontamination and plan.decontamination.common_after:
        pipeline.append(EvaluationMatches(workspace.evaluation_index, workspace.evaluation_matches))
    if plan.duplicates:
        pipeline.append(Signatures(workspace.duplicates, plan.duplicates))
    return pipeline


def _matching_stages(plan: Plan, chunks: int) -> Iterator[Stage]:
    """What needs a look at all documents: which are duplicates, which evaluation texts are common phrases."""
    workspace = plan.workspace
    if plan.duplicates:
        for name, pipeline, tasks in matching_stages(workspace.duplicates, plan.duplicates, chunks):
            yield Stage(name.replace(" ", "-"), f"matching: {name}", pipeline, tasks)
    if plan.decontamination:
        duplicates = workspace.duplicates if plan.duplicates else None
        folders = workspace.evaluation_index, workspace.evaluation_matches
        for name, pipeline, tasks in counting_stages(*folders, plan.decontamination, chunks, duplicates):
            yield Stage(name.replace(" ", "-"), f"matching: {name}", pipeline, tasks)


def _annotation_pipeline(plan: Plan, source: str) -> list[PipelineStep]:
    workspace = plan.workspace
    steps: list[CleaningStep] = [DropDuplicates(workspace.duplicates)] if plan.duplicates else []
    if plan.decontamination:
        common = workspace.evaluation_matches if plan.decontamination.common_after else None
        steps.append(Decontaminate(workspace.evaluation_index, common))
    return [
        ReadChunk(workspace, source, "annotate"),
        CleaningRow(workspace, "annotate", steps, plan.keep_rejected),
        Annotate(workspace, plan.fingerprint),
    ]


def group_sources(sources: Sequence[Source]) -> list[list[Source]]:
    """Puts consecutive small files together, so that a task is worth starting."""
    groups: list[list[Source]] = []
    size = _GROUP_BYTES
    for source in sources:
        if size + source.size > _GROUP_BYTES or not source.size:  # unknown size: may be large
            groups.append([])
            size = 0
        groups[-1].append(source)
        size += source.size or _GROUP_BYTES
    return groups


def chunk_characters(input_bytes: int) -> int:
    """How large chunks are to be for an input of this size, as stored."""
    return max(_SMALLEST_CHUNK, input_bytes // _BYTES_PER_CHARACTER // _MOST_CHUNKS)
