"""The configuration of ChineseBERT models."""

from huggingface_hub.dataclasses import strict
from transformers import BertConfig


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

    @property
    def glyph_dim(self) -> int:
        """Pixels of one token in all fonts: 1,728 for three fonts of 24 x 24."""
        return self.num_glyph_fonts * self.glyph_size * self.glyph_size
