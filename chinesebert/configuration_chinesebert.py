"""The configuration of ChineseBERT models."""

import os
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import BertConfig

HeadLayers = Literal["top", "embeddings", "mix"]


@strict
class ChineseBertConfig(BertConfig):
    """BERT's configuration (the encoder is BERT's) with the sizes of the glyph and pinyin branches.

    Attributes:
        vocab_size: rows of the token tables. Size it from the vocabulary file, never from ``len(tokenizer)``: the two
            differ for the released checkpoints.
        type_vocab_size: 0, no segment embedding. Released checkpoints have 2, which no task of theirs uses.
        num_syllables: S, how many syllables the inventory of the tokenizer holds; ids run from 1, 0 is none.
        pinyin_vocab_size: symbols that spell a syllable (released: 32).
        pinyin_length: letters and tone of a syllable, padded (released: 8).
        pinyin_embedding_dim: size of a letter's vector (released: 128).
        num_glyph_fonts, glyph_size: a token's images are ``[fonts, size, size]`` pixels (released: 3, 24).
        glyph_trainable: False holds the images as frozen uint8, scaled to [0, 1] when used; True holds float rows that
            are trained and used as they are, like the released checkpoints.
        folded: the fusion is two tables, for inference; see ``ChineseBertPreTrainedModel.fold``.
        folded_glyph_rows: rows of the first of them where it holds glyph vectors, not whole tokens; 0 otherwise.
        masked_lm_pooler: the masked language model keeps BERT's pooler for models that use it, as released ones do.
        pronunciation_loss_weight: above 0, the masked language model has a second head that predicts the syllables of
            masked characters, and this is the weight of its loss; see ``ChineseBertForMaskedLM``.
        token_classifier_mlp: the token classifier has the two layers that the original calls ``mlp``, not one.
        head_layers: what heads and pooler read: "top", the last layer; "embeddings", what the layers would read, so
            that these are not run; "mix", a learned sum of all of them (``layer_mix.py``). It is the model's
            ``last_hidden_state``.
    """

    model_type = "chinesebert"

    vocab_size: int = 22_528
    type_vocab_size: int = 0
    num_syllables: int = 1_492
    pinyin_vocab_size: int = 32
    pinyin_length: int = 8
    pinyin_embedding_dim: int = 128
    num_glyph_fonts: int = 3
    glyph_size: int = 24
    glyph_trainable: bool = False
    folded: bool = False
    folded_glyph_rows: int = 0
    masked_lm_pooler: bool = False
    pronunciation_loss_weight: float | int = 0.0
    token_classifier_mlp: bool = False
    head_layers: HeadLayers = "top"

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reads ``config.json``; that of a released checkpoint or a plain BERT as the configuration it has here."""
        from .loading import check_config, own_config

        check_config(pretrained_model_name_or_path, kwargs)
        config, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        return own_config(config, pretrained_model_name_or_path, kwargs), unused

    @property
    def tie_last_hidden_states(self) -> bool:
        """Whether the last of ``hidden_states`` is ``last_hidden_state``; transformers asks (5.17 and later)."""
        return self.head_layers == "top"

    @property
    def glyph_dim(self) -> int:
        """Pixels of one token in all fonts: 1,728 for three fonts of 24 x 24."""
        return self.num_glyph_fonts * self.glyph_size * self.glyph_size
