"""What a run starts from: new weights, or a checkpoint that it goes on training.

A checkpoint is one of ours, a released ChineseBERT, or a plain Chinese BERT (``loading.py`` reads all three). It must
know the tokens by the same ids as the corpus. How it counts syllables is adapted to the corpus, since what it has
learned of them hangs on their letters alone.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, StrictDataclassError
from huggingface_hub.utils import validate_repo_id
from transformers.utils import cached_file, logging

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.errors import InputError
from chinesebert.glyph import Glyphs
from chinesebert.loading import PLAIN_BERT, RELEASED, layout_of
from chinesebert.modeling_chinesebert import ChineseBertForMaskedLM
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer
from chinesebert.vocabulary import vocabulary_sha256

logger = logging.get_logger(__name__)

# What a sizes file may say otherwise than a checkpoint: how it is trained, not what it is.
_FREE_SETTINGS = frozenset((
    "attention_probs_dropout_prob", "classifier_dropout", "glyph_trainable", "hidden_dropout_prob",
    "initializer_range", "pronunciation_loss_weight",
))  # fmt: skip
# The branches that a plain BERT does not have.
_NEW_IN_BERT = ("pinyin_embeddings.embedding.", "pinyin_embeddings.conv.", "glyph_map.")
_HEADS = ("cls.", "pronunciation_head.")
_CHOICES = (
    "a run can begin with the folder of a model of ours (OUT/hf, OUT/checkpoint-N/hf), of a released ChineseBERT or of "
    "a plain Chinese BERT, or with the name of such a repository on the hub (OWNER/NAME)"
)


def starting_model(
    tokenizer: ChineseBertTokenizer,
    max_length: int,
    *,
    init_from: str | None = None,
    sizes_file: str | None = None,
    glyphs: str | None = None,
    glyph_trainable: bool | None = None,
    pronunciation_loss_weight: float | None = None,
    attention: str | None = None,
) -> ChineseBertForMaskedLM:
    """The model that a run begins with, in float32 and training mode. Its new weights hang on torch's seed.

    Args:
        tokenizer: that of the corpus.
        max_length: tokens in a row.
        init_from: the checkpoint to go on from; without one, all weights are new.
        sizes_file: JSON with the sizes of a new model. Beside ``init_from`` it need not be given, and must not
            contradict it; dropout and the like are then taken from it.
        glyphs: the folder of the glyph images, for a new model or a plain BERT. Other checkpoints have their own.
        glyph_trainable: False keeps the images as they are, True trains them as rows of floats; by default as in the
            sizes file or the checkpoint (new models and plain BERTs: False; released checkpoints: True).
        pronunciation_loss_weight: of the second head of ``ChineseBertForMaskedLM``; 0 for none. By default as in the
            sizes file or the checkpoint (mostly 0).
        attention: what transformers calls ``attn_implementation``; by default ``"sdpa"``.

    Raises:
        InputError: a file is missing or damaged, or checkpoint, corpus, images and sizes do not fit together; the
            message says what to do.
    """
    sizes = _read_sizes(Path(sizes_file)) if sizes_file is not None else {}
    settings = sizes | {
        name: value
        for name, value in (
            ("glyph_trainable", glyph_trainable),
            ("pronunciation_loss_weight", pronunciation_loss_weight),
            ("attn_implementation", attention),
        )
        if value is not None
    }
    _check_weight(settings.get("pronunciation_loss_weight", 0.0))
    if init_from is not None:
        model = _continued(init_from, sizes_file, settings, tokenizer, max_length, glyphs)
    elif sizes_file is not None:
        model = _new(sizes_file, settings, tokenizer, max_length, glyphs)
    else:
        raise InputError(
            "nothing says how large the model is: give a JSON file of sizes, or a checkpoint to start from"
        )
    return model.train()


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


def _read_sizes(path: Path) -> dict[str, Any]:
    try:
        sizes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read the sizes of the model ({error})") from error
    if not isinstance(sizes, dict):
        raise InputError(f"{path}: holds no sizes by name; see configs/model/base.json")
    known = ChineseBertConfig().to_dict()
    unknown = [name for name in sizes if name not in known]
    if unknown:
        raise InputError(f"{path}: unknown sizes {', '.join(unknown)}; known are those of ChineseBertConfig")
    return sizes


def _check_weight(weight: Any) -> None:
    if not isinstance(weight, float | int) or not 0 <= weight < float("inf"):
        raise InputError(f"pronunciation_loss_weight is {weight}: it must be a number, 0 (no such loss) or above")


def _check_positions(positions: int, max_length: int, source: str) -> None:
    if max_length > positions:
        raise InputError(f"max_length {max_length} is more than the {positions} positions of {source}")


# ---------------------------------------------------------------------------------------------------------- new weights


def _new(
    sizes_file: str, settings: dict[str, Any], tokenizer: ChineseBertTokenizer, max_length: int, glyphs: str | None
) -> ChineseBertForMaskedLM:
    if glyphs is None:
        raise InputError("a new model needs glyph images; make them with: python -m data_prep glyphs")
    of_tokenizer = {"vocab_size": len(tokenizer.tokens()), "num_syllables": len(tokenizer.readings.syllables)}
    images = load_glyphs(glyphs, tokenizer)
    try:
        config = ChineseBertConfig(**settings | of_tokenizer)
        _check_positions(config.max_position_embeddings, max_length, sizes_file)
        model = ChineseBertForMaskedLM(config)
    except InputError:
        raise
    except (StrictDataclassError, ValueError, ImportError) as error:
        raise InputError(f"{sizes_file}: no model can be made with these settings ({error})") from error
    model.set_character_tables(tokenizer, images)
    return model


# -------------------------------------------------------------------------------------------------------- a checkpoint


def _continued(
    source: str,
    sizes_file: str | None,
    settings: dict[str, Any],
    tokenizer: ChineseBertTokenizer,
    max_length: int,
    glyphs: str | None,
) -> ChineseBertForMaskedLM:
    layout = _checked_layout(source)
    config = ChineseBertConfig.from_pretrained(source)
    _check_sizes(config, source, settings, sizes_file)
    _check_positions(config.max_position_embeddings, max_length, source)
    own_tokenizer = ChineseBertTokenizer.from_pretrained(source)
    _check_vocabulary(own_tokenizer, tokenizer, source, layout)
    if layout != PLAIN_BERT:
        _compare_readings(own_tokenizer, tokenizer, source, layout)
    free = (_FREE_SETTINGS | {"attn_implementation"}) - {"glyph_trainable"}
    model = _load(
        source,
        layout,
        glyphs=_images(source, layout, glyphs, tokenizer),
        **{name: value for name, value in settings.items() if name in free},
    )
    model.set_readings(tokenizer)
    if (trainable := settings.get("glyph_trainable")) is not None:
        model.train_glyphs(trainable)
    return model


def _checked_layout(source: str) -> str:
    """The layout of a checkpoint; a folder that holds one in a folder of its own is told apart from an empty one."""
    folder = Path(source)
    if not folder.is_dir():
        _look_on_the_hub(source)
    elif not (folder / "config.json").is_file():
        inner = [path.parent for path in (folder / "hf" / "config.json", folder / "model" / "hf" / "config.json")]
        found = [str(path) for path in inner if (path / "config.json").is_file()]
        hint = f"the model is in {found[0]}: give that" if found else "give the folder of a model"
        raise InputError(f"{source}: has no config.json; {hint}")
    return layout_of(source)


def _look_on_the_hub(source: str) -> None:
    """Refuses what is neither a folder nor on the hub. Only what can be a name there is asked for: without a network,
    the answer takes half a minute.

    Raises:
        InputError: which of both it is not, and why not.
    """
    what = "is a file" if os.path.exists(source) else "there is no such folder"
    try:
        validate_repo_id(source)
    except HFValidationError as error:
        raise InputError(f"{source}: {what}; {_CHOICES}") from error
    logger.warning(f"{source}: {what} here; asking the Hugging Face hub for a repository of this name")
    problem: str | None = None
    try:
        if cached_file(source, "config.json") is None:
            problem = "the repository of this name on the Hugging Face hub has no config.json"
    except OSError as error:
        problem = _hub_says(error.__cause__)
    if problem:
        raise InputError(f"{source}: {what} here, and {problem}; {_CHOICES}")


def _hub_says(cause: BaseException | None) -> str:
    """Why the hub has not given a file, by what transformers names as the cause of its error."""
    if isinstance(cause, GatedRepoError):
        return "the Hugging Face hub gives this repository only to those who have asked for it"
    if isinstance(cause, RepositoryNotFoundError):
        return "the Hugging Face hub has no such repository (or none that you may see: `hf auth login`)"
    return "the Hugging Face hub could not be reached, nor is such a repository in its cache on this machine"


def _check_sizes(config: ChineseBertConfig, source: str, settings: dict[str, Any], sizes_file: str | None) -> None:
    different = [
        f"{name} is {settings[name]}, there {getattr(config, name)}"
        for name in settings.keys() - _FREE_SETTINGS - {"attn_implementation"}
        if settings[name] != getattr(config, name)
    ]
    if different:
        raise InputError(
            f"{sizes_file}: contradicts the checkpoint {source} ({'; '.join(sorted(different))}); leave the file of "
            "sizes out to take those of the checkpoint"
        )


def _check_vocabulary(own: ChineseBertTokenizer, corpus: ChineseBertTokenizer, source: str, layout: str) -> None:
    here, there = own.tokens(), corpus.tokens()
    if here != there:
        place = next((n for n, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]), None)
        part = "one goes on" if place is None else f"id {place} is {here[place]!r} there, {there[place]!r} here"
        raise InputError(
            f"{source}: was trained with another vocabulary ({len(here):,} tokens) than the corpus was prepared with "
            f"({len(there):,}): {part}. Prepare the text for it: {_preparation(source, layout)}"
        )
    if _normalisation(own) != _normalisation(corpus):
        logger.warning(
            f"{source}: normalises text otherwise than the corpus was (do_lower_case, tokenize_chinese_chars, "
            f"strip_accents: {_normalisation(own)} there, {_normalisation(corpus)} in the corpus)"
        )


def _normalisation(tokenizer: ChineseBertTokenizer) -> tuple[Any, ...]:
    return tokenizer.do_lower_case, tokenizer.tokenize_chinese_chars, tokenizer.strip_accents


def _preparation(source: str, layout: str) -> str:
    """How to prepare a corpus with the tokenizer of a checkpoint."""
    if layout == PLAIN_BERT:
        return f"python -m data_prep corpus --tokenizer {source}/vocab.txt …"
    if layout == RELEASED:
        return (
            f"python -m chinesebert.released convert {source} CONVERTED, then "
            "python -m data_prep corpus --tokenizer CONVERTED …"
        )
    return f"python -m data_prep corpus --tokenizer {source} …"


def _compare_readings(own: ChineseBertTokenizer, corpus: ChineseBertTokenizer, source: str, layout: str) -> None:
    """Refuses syllables that the checkpoint spells in another way; warns of others that it does not know.

    Raises:
        InputError: the neutral tone is written with a 5 in one and without in the other: the most common character, 的,
            would be pronounced in a way that the checkpoint has hardly seen.
    """
    if own.readings.fingerprint == corpus.readings.fingerprint:
        return
    known = set(own.readings.syllables)
    unknown = [syllable for syllable in corpus.readings.syllables if syllable not in known]
    respelled = [syllable for syllable in unknown if _neutral_twin(syllable) in known]
    if respelled:
        examples = ", ".join(f"{syllable} for {_neutral_twin(syllable)}" for syllable in respelled[:3])
        raise InputError(
            f"{source}: spells {len(respelled)} syllables otherwise than the corpus ({examples}). Prepare the text "
            f"with its readings: {_preparation(source, layout)}"
        )
    logger.warning(
        f"{source}: was trained with other readings ({own.readings.source}) than those of the corpus "
        f"({corpus.readings.source}), which it is given now"
        + (f"; {len(unknown)} syllables are new to it: {', '.join(unknown[:5])}" if unknown else "")
    )


def _neutral_twin(syllable: str) -> str:
    """The other way of writing a syllable of the neutral tone: ``de`` and ``de5``; "" for other tones."""
    if syllable.endswith("5"):
        return syllable[:-1]
    return "" if syllable[-1:].isdigit() else f"{syllable}5"


def _images(source: str, layout: str, glyphs: str | None, tokenizer: ChineseBertTokenizer) -> Glyphs | None:
    if layout == PLAIN_BERT:
        if glyphs is None:
            raise InputError(
                f"{source}: is a plain BERT, which has no glyph images. Make them and give their folder as glyphs: "
                f"python -m data_prep glyphs --vocab {source}/vocab.txt --fonts fonts/default.yaml --output DIR"
            )
        return load_glyphs(glyphs, tokenizer)
    if glyphs is not None:
        logger.warning(f"{source}: has glyph images of its own, which are used; those of {glyphs} are not")
    return None


def _load(source: str, layout: str, **settings: Any) -> ChineseBertForMaskedLM:
    try:
        model, report = ChineseBertForMaskedLM.from_pretrained(
            source, folded=False, dtype=torch.float32, output_loading_info=True, **settings
        )
    except InputError:
        raise
    except (StrictDataclassError, ValueError, ImportError) as error:
        raise InputError(f"{source}: cannot be loaded with these settings ({error})") from error
    missing = sorted(report["missing_keys"])
    lost = [name for name in missing if not name.startswith(_HEADS) and not _is_new(name, layout)]
    if lost:
        raise InputError(
            f"{source}: the weights lack {len(lost)} tensors of the encoder ({', '.join(lost[:3])}, …); it is not "
            "complete, or another than config.json describes: restore it from where it is from"
        )
    if any(name.startswith("cls.") for name in missing):
        logger.warning(
            f"{source}: has no head for masked tokens (an encoder alone, or of another task?); it begins anew, and the "
            "loss of the first steps is high"
        )
    return model


def _is_new(name: str, layout: str) -> bool:
    return layout == PLAIN_BERT and name.removeprefix("bert.embeddings.").startswith(_NEW_IN_BERT)
