"""Starting from a plain Chinese BERT: ``bert-base-chinese``, RoBERTa-wwm, MacBERT and their like.

Encoder, positions and word vectors are copied. The fusion begins as the identity on the word vector: what glyph and
pinyin add is zero at first, and learned from there. BERT adds segment vector 0 to every token of a single text; it goes
into the position vectors, so the outputs are at first exactly that BERT's.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils import logging

from .configuration_chinesebert import ChineseBertConfig
from .embeddings_chinesebert import GLYPH_SCALE
from .errors import InputError
from .pinyin import Readings
from .released import BERT_LEFTOVERS, PINYIN2TENSOR, PINYIN_MAP, add_segment_to_positions

if TYPE_CHECKING:
    from .modeling_chinesebert import GlyphImages

logger = logging.get_logger(__name__)

Source = str | os.PathLike[str]
# Keys of a BERT's config.json that are said in another way here.
_LEFTOVERS = BERT_LEFTOVERS | {"type_vocab_size"}


def translate_config(config: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """A BERT's ``config.json`` as that of a new ChineseBERT with its sizes.

    The syllables are those of the installed pypinyin, as for any new model.
    """
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise InputError(f"{source}: this BERT has relative positions; one with absolute positions is needed")
    kept = {name: value for name, value in config.items() if name not in _LEFTOVERS}
    return kept | {
        "model_type": ChineseBertConfig.model_type,
        "type_vocab_size": 0,
        "num_syllables": len(Readings.from_pypinyin().syllables),
        "glyph_trainable": False,
    }


def translate_state(
    state: Mapping[str, torch.Tensor],
    config: ChineseBertConfig,
    source: Source,
    glyphs: "GlyphImages | None",
    hub: dict[str, Any],
) -> dict[str, torch.Tensor]:
    """A BERT's state dict with a fusion that is the identity on words, and the tables about characters.

    Segment vector 0 goes into the positions, unless the configuration asks for segments.

    Raises:
        InputError: the weights are not of a BERT, or the images not of its vocabulary.
    """
    # The oldest checkpoints name the weights of a layer normalisation after the formula.
    state = {name.replace("LayerNorm.gamma", "LayerNorm.weight"): value for name, value in state.items()}
    state = {name.replace("LayerNorm.beta", "LayerNorm.bias"): value for name, value in state.items()}
    prefix = "bert." if any(name.startswith("bert.") for name in state) else ""
    embeddings = f"{prefix}embeddings."
    words, positions = f"{embeddings}word_embeddings.weight", f"{embeddings}position_embeddings.weight"
    for name in (words, positions):
        if name not in state:
            raise InputError(f"{source}: the weights lack {name}; is this a BERT?")
    if any("pinyin_embeddings" in name for name in state):
        raise InputError(
            f"{source}: the weights are of a ChineseBERT, but nothing else here is; restore {PINYIN_MAP} and "
            f"{PINYIN2TENSOR} from where the checkpoint is from"
        )
    if not config.type_vocab_size:
        add_segment_to_positions(state, embeddings)
    identity = torch.zeros(config.hidden_size, 3 * config.hidden_size, dtype=state[words].dtype)
    identity[:, : config.hidden_size].fill_diagonal_(1)
    state[f"{embeddings}map_fc.weight"] = identity
    state[f"{embeddings}map_fc.bias"] = torch.zeros(config.hidden_size, dtype=state[words].dtype)
    state |= {f"{embeddings}{name}": table for name, table in _tables(config, source, glyphs, hub).items()}
    # The next-sentence head has no counterpart.
    unused = (f"{embeddings}position_ids", "cls.seq_relationship.weight", "cls.seq_relationship.bias")
    return {name: value for name, value in state.items() if name not in unused}


def _tables(
    config: ChineseBertConfig, source: Source, glyphs: "GlyphImages | None", hub: dict[str, Any]
) -> dict[str, torch.Tensor]:
    """Spellings, default readings and images, named as within the embeddings."""
    from .tokenization_chinesebert import ChineseBertTokenizer

    tokenizer = ChineseBertTokenizer.from_pretrained(source, **hub)
    return {
        "pinyin_embeddings.letter_ids": torch.from_numpy(tokenizer.readings.letter_ids()),
        "default_pinyin_ids": torch.from_numpy(tokenizer.readings.default_ids(tokenizer.tokens())),
        "glyph_embeddings.embedding.weight": _images(config, source, glyphs),
    }


def _images(config: ChineseBertConfig, source: Source, glyphs: "GlyphImages | None") -> torch.Tensor:
    shape = (config.vocab_size, config.glyph_dim)
    if glyphs is None:
        logger.warning(
            f"{source}: the glyph images of this warm start are blank. To train with glyphs, render them for its "
            "vocabulary (python -m data_prep glyphs --vocab vocab.txt …) and pass glyphs=Glyphs.load(…)."
        )
    images = torch.zeros(shape, dtype=torch.uint8) if glyphs is None else torch.from_numpy(glyphs.images).flatten(1)
    if images.shape != shape:
        raise InputError(
            f"glyphs: {len(images):,} images of {images.shape[1]:,} pixels, but {source} has {shape[0]:,} tokens and "
            f"needs {shape[1]:,}; render them for its vocab.txt (python -m data_prep glyphs)"
        )
    return images * GLYPH_SCALE if config.glyph_trainable else images
