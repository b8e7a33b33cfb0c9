"""Starting from a plain Chinese BERT: ``bert-base-chinese``, RoBERTa-wwm, MacBERT and their like.

Encoder, positions and word vectors are copied. The fusion begins as the identity on the word vector: what glyph and
pinyin add is zero at first, and learned from there. BERT adds segment vector 0 to every token of a single text; it goes
into the position vectors, so the outputs are at first exactly that BERT's.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging

from .configuration_chinesebert import ChineseBertConfig
from .errors import InputError
from .pinyin import Readings

if TYPE_CHECKING:
    from .modeling_chinesebert import GlyphImages

logger = logging.get_logger(__name__)

Source = str | os.PathLike[str]
# Keys of a BERT's config.json that are said in another way here.
_LEFTOVERS = frozenset(("architectures", "model_type", "position_embedding_type", "type_vocab_size", "tokenizer_class"))


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
    state: Mapping[str, torch.Tensor], config: ChineseBertConfig, source: Source
) -> dict[str, torch.Tensor]:
    """A BERT's state dict with segment vector 0 in the positions, and a fusion that is the identity on words."""
    # The oldest checkpoints name the weights of a layer normalisation after the formula.
    state = {name.replace("LayerNorm.gamma", "LayerNorm.weight"): value for name, value in state.items()}
    state = {name.replace("LayerNorm.beta", "LayerNorm.bias"): value for name, value in state.items()}
    prefix = "bert." if any(name.startswith("bert.") for name in state) else ""
    embeddings = f"{prefix}embeddings."
    words, positions = f"{embeddings}word_embeddings.weight", f"{embeddings}position_embeddings.weight"
    for name in (words, positions):
        if name not in state:
            raise InputError(f"{source}: the weights lack {name}; is this a BERT?")
    segments = state.pop(f"{embeddings}token_type_embeddings.weight", None)
    if segments is not None:
        state[positions] = state[positions] + segments[0]
    identity = torch.zeros(config.hidden_size, 3 * config.hidden_size, dtype=state[words].dtype)
    identity[:, : config.hidden_size].fill_diagonal_(1)
    state[f"{embeddings}map_fc.weight"] = identity
    state[f"{embeddings}map_fc.bias"] = torch.zeros(config.hidden_size, dtype=state[words].dtype)
    # The next-sentence head has no counterpart.
    unused = (f"{embeddings}position_ids", "cls.seq_relationship.weight", "cls.seq_relationship.bias")
    return {name: value for name, value in state.items() if name not in unused}


def set_tables(model: Any, source: Source, glyphs: "GlyphImages | None", hub: dict[str, Any]) -> None:
    """Fills the spellings, default readings and images of a warm start.

    Raises:
        InputError: the images are not those of this vocabulary.
    """
    from .tokenization_chinesebert import ChineseBertTokenizer

    if glyphs is None:
        logger.warning(
            f"{source}: the glyph images of this warm start are blank. To train with glyphs, render them for its "
            "vocabulary (python -m data_prep glyphs --vocab vocab.txt …) and pass glyphs=Glyphs.load(…)."
        )
        config = model.config
        shape = (config.vocab_size, config.num_glyph_fonts, config.glyph_size, config.glyph_size)
        glyphs = _BlankImages(np.zeros(shape, dtype=np.uint8))
    model.set_character_tables(ChineseBertTokenizer.from_pretrained(source, **hub), glyphs)


@dataclass
class _BlankImages:
    images: NDArray[np.uint8]
