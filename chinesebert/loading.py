"""Which layout a checkpoint has, and how a model of this package is made from it.

Three layouts are read: our own; the one of the released ChineseBERT checkpoints and their ports (``released.py``); and
plain Chinese BERTs (``warm_start.py``). The last two are translated: first ``config.json``, then the weights.
"""

import copy
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedConfig

from .configuration_chinesebert import ChineseBertConfig
from .errors import InputError
from .pinyin import READINGS_FILE, Readings
from .released import ID2PINYIN, PINYIN2TENSOR, is_released, read_readings
from .released import translate_config as released_config
from .released import translate_state as released_state
from .vocabulary import read_vocabulary
from .warm_start import translate_config as bert_config
from .warm_start import translate_state as bert_state
from .weights import (
    check_source,
    check_weight_files,
    find_file,
    hub_arguments,
    need_file,
    read_settings,
    read_state_dict,
)

if TYPE_CHECKING:
    from .modeling_chinesebert import ChineseBertPreTrainedModel, GlyphImages

Source = str | os.PathLike[str]
# The layouts of ``layout_of``.
OWN, RELEASED, PLAIN_BERT = "own", "released", "bert"
# Without one of these a model would be quietly wrong, not untrained.
_CHARACTER_TABLES = ("letter_ids", "default_pinyin_ids", "glyph_embeddings.embedding.weight", "_table.weight")


def layout_of(source: Source, **kwargs: Any) -> str:
    """Which layout a checkpoint has: ``OWN``, ``RELEASED`` or ``PLAIN_BERT``.

    Args:
        source: a directory, or the name of a repository on the hub.
        kwargs: what ``from_pretrained`` takes about the hub.

    Raises:
        InputError: there is no such checkpoint, or it is of another kind of model.
    """
    check_source(source)
    hub = hub_arguments(kwargs)
    config = read_settings(need_file(source, "config.json", hub, "the sizes of the model"))
    if is_own_layout(config):
        return OWN
    if is_released(config, source, hub):
        return RELEASED
    own_config(config, source, kwargs)  # refuses other models
    return PLAIN_BERT


def check_config(source: Source, kwargs: dict[str, Any]) -> None:
    """Looks whether ``config.json`` is whole, where there is one."""
    if (path := find_file(source, "config.json", hub_arguments(kwargs))) is not None:
        read_settings(path)


def own_config(config: dict[str, Any], source: Source, kwargs: dict[str, Any]) -> dict[str, Any]:
    """``config.json`` of any layout as ``ChineseBertConfig`` reads it.

    Raises:
        InputError: it is the configuration of another kind of model.
    """
    hub = hub_arguments(kwargs)
    if is_own_layout(config):
        return config
    if is_released(config, source, hub):
        return released_config(config, source, hub)
    if config.get("model_type", "bert") == "bert":  # the oldest do not say
        return bert_config(config, source)
    raise InputError(
        f"{source}: config.json is of a {config.get('model_type')!r} model; give a ChineseBERT or a Chinese BERT"
    )


def is_own_layout(config: dict[str, Any]) -> bool:
    """Whether a configuration was saved by this package (a port has the same ``model_type``, and other keys)."""
    return not config or (config.get("model_type") == ChineseBertConfig.model_type and "pinyin_map_len" not in config)


def foreign_readings(source: Source, kwargs: dict[str, Any]) -> Readings | None:
    """The readings of a released directory; None for our own (its tokenizer has them) and for plain BERTs.

    Raises:
        InputError: a table of a released directory is missing or damaged.
    """
    check_source(source)
    hub = hub_arguments(kwargs)
    config = _settings(source, "config.json", hub)
    _check_tokenizer_files(source, hub)
    if find_file(source, READINGS_FILE, hub) is not None:
        return None
    saved = _settings(source, "tokenizer_config.json", hub)
    ours = saved.get("tokenizer_class") == "ChineseBertTokenizer" and not {"pinyin_map", "pinyin2tensor"} & saved.keys()
    if (config and is_own_layout(config)) or (ours and find_file(source, PINYIN2TENSOR, hub) is None):
        need_file(source, READINGS_FILE, hub, "the readings its pinyin ids count by")
    if not is_released(config, source, hub):
        return None
    if "vocab_size" in config:
        _check_vocabulary(source, config["vocab_size"], hub)
    return read_readings(source, hub)


def longest_input(source: Source, kwargs: dict[str, Any]) -> int | None:
    """The positions of the model beside a tokenizer; None where there is no model."""
    return _settings(source, "config.json", hub_arguments(kwargs)).get("max_position_embeddings")


def _settings(source: Source, name: str, hub: dict[str, Any]) -> dict[str, Any]:
    path = find_file(source, name, hub)
    return read_settings(path) if path is not None else {}


def _check_tokenizer_files(source: Source, hub: dict[str, Any]) -> None:
    """Looks at what transformers is to read: without a vocabulary it would make a tokenizer of five tokens."""
    saved, settings = (find_file(source, name, hub) for name in ("tokenizer.json", "tokenizer_config.json"))
    for path in (saved, settings):
        if path is not None:
            read_settings(path)
    if saved is None:
        need_file(source, "vocab.txt", hub, "the vocabulary")
    if os.path.isdir(source):  # not needed, but a pointer in their place says that more went wrong
        for name in ("vocab.txt", ID2PINYIN):
            find_file(source, name, hub)


def load_model(
    cls: "type[ChineseBertPreTrainedModel]",
    load: Callable[..., Any],
    source: Source | None,
    model_args: tuple[Any, ...],
    folded: bool | None,
    glyphs: "GlyphImages | None",
    kwargs: dict[str, Any],
) -> Any:
    """What ``ChineseBertPreTrainedModel.from_pretrained`` does; ``load`` is that of transformers."""
    if source is None or kwargs.get("state_dict") is not None:
        return load(source, *model_args, **kwargs)
    check_source(source)
    hub = hub_arguments(kwargs)
    check_config(source, kwargs)
    if not isinstance(kwargs.get("config"), PreTrainedConfig):
        need_file(source, "config.json", hub, "the sizes of the model")
    if glyphs is not None and not hasattr(glyphs, "images"):
        raise InputError(f"glyphs: {glyphs!r} has no images; pass Glyphs.load(directory)")
    stored, _ = PreTrainedConfig.get_config_dict(source, **hub)
    with_info = kwargs.pop("output_loading_info", False)
    wanted = _wanted_form(source, stored, folded, kwargs)
    if glyphs is not None and (is_own_layout(stored) or is_released(stored, source, hub)):
        raise InputError(f"glyphs: only a warm start from a plain BERT takes images; {source} has its own")
    if is_own_layout(stored):
        _check_kind_of_images(source, stored, kwargs)
        _check_vocabulary(source, stored.get("vocab_size", ChineseBertConfig.vocab_size), hub, may_be_smaller=True)
        if not kwargs.get("variant"):
            check_weight_files(source, hub)
        model, info = _translate_errors(source, load, source, *model_args, output_loading_info=True, **kwargs)
        _check_tables(source, info)
    else:
        model, info = _load_foreign(cls, load, source, stored, model_args, glyphs, kwargs, hub)
    if wanted:
        model.fold()
    model.freeze_unused()  # transformers gives all that it loads gradients
    return (model, info) if with_info else model


def _check_kind_of_images(source: Source, stored: dict[str, Any], kwargs: dict[str, Any]) -> None:
    """Refuses to load bytes (0 … 255) as trained numbers (0 … 1), or these as bytes: the images would be others."""
    config = kwargs.get("config")
    kept = bool(stored.get("glyph_trainable", False))
    wanted = kwargs.get("glyph_trainable", config.glyph_trainable if isinstance(config, ChineseBertConfig) else kept)
    if wanted != kept and not stored.get("folded", False):
        raise InputError(
            f"{source}: was saved with glyph_trainable={kept}, and its images cannot be loaded as the other kind; "
            "leave glyph_trainable as it is"
        )


def _wanted_form(source: Source, stored: dict[str, Any], folded: bool | None, kwargs: dict[str, Any]) -> bool:
    """Whether the model is to be folded in the end; the configuration is made to say what the weights are."""
    is_folded = bool(stored.get("folded", False)) and is_own_layout(stored)
    # In a self-contained directory the configuration's class may be another copy of ours.
    if isinstance(config := kwargs.get("config"), PreTrainedConfig):
        folded = config.folded if folded is None else folded
        kwargs["config"] = copy.deepcopy(config)
        kwargs["config"].folded = is_folded
        kwargs["config"].folded_glyph_rows = stored.get("folded_glyph_rows", 0) if is_folded else 0
    if is_folded and folded is False:
        raise InputError(f"{source}: was saved folded, and cannot be unfolded; load the directory it was made from")
    return is_folded if folded is None else folded


def _load_foreign(
    cls: "type[ChineseBertPreTrainedModel]",
    load: Callable[..., Any],
    source: Source,
    stored: dict[str, Any],
    model_args: tuple[Any, ...],
    glyphs: "GlyphImages | None",
    kwargs: dict[str, Any],
    hub: dict[str, Any],
) -> tuple[Any, Any]:
    loading = {name: kwargs.pop(name) for name in ("dtype", "torch_dtype", "device_map") if name in kwargs}
    config = kwargs.pop("config", None)
    if not isinstance(config, PreTrainedConfig):
        config, kwargs = cls.config_class.from_pretrained(config or source, return_unused_kwargs=True, **kwargs)
    kwargs = {name: value for name, value in kwargs.items() if name not in hub}
    warm = not is_released(stored, source, hub)
    _check_vocabulary(source, config.vocab_size, hub)
    weights = read_state_dict(source, hub)
    state = bert_state(weights, config, source, glyphs, hub) if warm else released_state(weights, config, source, hub)
    config.masked_lm_pooler = not warm and any(".pooler." in f".{name}" for name in state)
    model, info = _translate_errors(
        source,
        load,
        None,
        *model_args,
        config=config,
        state_dict=_without_pooler(state, cls, config),
        output_loading_info=True,
        **loading,
        **kwargs,
    )
    if not warm:
        _check_encoder(source, model, info)
    return model, info


def _check_encoder(source: Source, model: Any, info: Any) -> None:
    """Refuses an encoder with random weights in it; a pooler, a mixture of the layers and heads may be new."""
    prefix = "" if model is model.base_model else f"{model.base_model_prefix}."
    new = ("pooler.", "layer_mix.")
    missing = [
        name
        for name in info["missing_keys"]
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith(new)
    ]
    if missing:
        raise InputError(
            f"{source}: the weights lack {len(missing)} tensors of the encoder ({', '.join(sorted(missing)[:3])}, …): "
            "it is no complete ChineseBERT checkpoint, or another than config.json describes; download it again"
        )


def _without_pooler(
    state: dict[str, Any], cls: "type[ChineseBertPreTrainedModel]", config: ChineseBertConfig
) -> dict[str, Any]:
    """Leaves out a pooler that this kind of model has no place for."""
    if not cls._keys_to_ignore_on_load_unexpected or (config.masked_lm_pooler and "MaskedLM" in cls.__name__):
        return state
    return {name: value for name, value in state.items() if ".pooler." not in f".{name}"}


def _check_vocabulary(source: Source, size: int, hub: dict[str, Any], may_be_smaller: bool = False) -> None:
    """Refuses a vocabulary of another size than the model's, or (its tables may have been padded) only a larger one."""
    vocabulary = find_file(source, "vocab.txt", hub)
    if vocabulary is None:
        return
    tokens = len(read_vocabulary(vocabulary))
    if tokens > size or (tokens < size and not may_be_smaller):
        raise InputError(
            f"{vocabulary}: has {tokens:,} tokens, but the model has {size:,} (vocab_size in "
            "config.json); one of them is of another checkpoint, or was damaged: download them again"
        )


def _translate_errors(source: Source, load: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return load(*args, **kwargs)
    except InputError as error:  # of the model, which does not know where it comes from
        raise error if str(source) in str(error) else InputError(f"{source}: {error}") from error
    except RuntimeError as error:
        if "mismatch" not in str(error):
            raise
        raise InputError(
            f"{source}: the weights do not have the sizes that config.json gives (the report above names them); "
            "the two files are of different checkpoints, or a size was changed. A head with another number of labels "
            "starts anew with ignore_mismatched_sizes=True"
        ) from error


def _check_tables(source: Source, info: Any) -> None:
    missing = [name for name in info["missing_keys"] if name.endswith(_CHARACTER_TABLES)]
    if missing:
        raise InputError(
            f"{source}: the weights lack {', '.join(sorted(missing))}: it is no complete ChineseBERT checkpoint; "
            "restore it from where it was saved"
        )
