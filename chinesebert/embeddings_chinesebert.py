"""From token and pinyin ids to the vectors that BERT's encoder reads (paper, section 3), in the order the data flows.

A token's vector is fused from three: that of the token, that of its pinyin, that of its glyph; a position vector is
added. Submodules are named as in the released checkpoints.

The fusion is linear, so it is the sum of a part that depends on the token alone and a part that depends on the syllable
alone. Each part is computed once for every *different* token or syllable of a batch (Chinese text repeats its
characters), and, in a folded model, once for ever.
"""

from typing import Any

import torch
from torch import nn
from transformers.utils import logging

from .configuration_chinesebert import ChineseBertConfig

logger = logging.get_logger(__name__)

# Glyph images are stored as 0 … 255 and used as 0 … 1.
GLYPH_SCALE = 1 / 255


class ChineseBertPinyinEmbedding(nn.Module):
    """Pinyin -> vector: a convolution over the letters of a syllable, then the maximum over its places (paper, 3.3)."""

    letter_ids: torch.Tensor

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.pinyin_vocab_size, config.pinyin_embedding_dim)
        self.conv = nn.Conv1d(config.pinyin_embedding_dim, config.hidden_size, kernel_size=2)
        self.register_buffer("letter_ids", empty_letter_ids(config))

    def forward(self, pinyin_ids: torch.Tensor, spelled: bool = False) -> torch.Tensor:
        """Syllable ids ``[…]``, or letter ids ``[…, 8]`` where ``spelled``, -> vectors ``[…, H]``.

        The convolution reads two letters at a time, and syllables have few different pairs of them (some 200): each is
        computed once. Padding of the letters takes part in the maximum, as in the original.
        """
        letter_ids = (pinyin_ids if spelled else self.letter_ids[pinyin_ids]).long()
        letters = self.embedding.num_embeddings
        pairs, places = _distinct(letter_ids[..., :-1] * letters + letter_ids[..., 1:], letters**2)
        both = self.embedding(torch.stack([pairs // letters, pairs % letters], dim=1))  # [pairs, 2, width of a letter]
        vectors = self.conv(both.transpose(1, 2)).squeeze(-1)
        return nn.functional.embedding(places.flatten(end_dim=-2), vectors).amax(dim=1).unflatten(0, places.shape[:-1])


class ChineseBertGlyphTable(nn.Module):
    """The images of all tokens, one row of pixels each: ``weight`` is ``[V, 1728]``, frozen uint8 or trained float."""

    weight: torch.Tensor

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        shape = (config.vocab_size, config.glyph_dim)
        if config.glyph_trainable:
            self.weight = nn.Parameter(torch.zeros(shape))
        else:
            self.register_buffer("weight", torch.zeros(shape, dtype=torch.uint8))

    def forward(self, input_ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Token ids ``[…]`` -> pixels ``[…, 1728]`` of the wanted dtype."""
        pixels = self.weight[input_ids]
        return pixels if pixels.is_floating_point() else pixels.to(dtype) * GLYPH_SCALE

    def become_trainable(self) -> None:
        """Makes float rows of the frozen images, with the same pixels."""
        if not isinstance(self.weight, nn.Parameter):
            rows = self.weight.float() * GLYPH_SCALE
            del self.weight
            self.weight = nn.Parameter(rows)


class ChineseBertGlyphEmbedding(nn.Module):
    """Token id -> its pixels. Exists to give the table the name it has in the released checkpoints."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.embedding = ChineseBertGlyphTable(config)

    def forward(self, input_ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Token ids ``[…]`` -> pixels ``[…, 1728]``."""
        return self.embedding(input_ids, dtype)


class ChineseBertGlyphMap(nn.Linear):
    """The layer from pixels to the glyph vector, ``[…, 1728]`` -> ``[…, H]``; a class because it is drawn otherwise."""


class ChineseBertFusion(nn.Module):
    """The fusion layer (paper, 3.4): a linear map of word, pinyin and glyph vector, side by side, to one vector."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden_size, 3 * hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))

    def forward(
        self, word: torch.Tensor, pinyin: torch.Tensor, glyph: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of tokens ``[T, H]``, of syllables ``[P, H]``, of the tokens' glyphs ``[T, H]`` -> what each token
        and what each syllable adds to the fused vector, ``[T, H]`` and ``[P, H]``; the bias is in the first."""
        of_word, of_pinyin, of_glyph = self.weight.chunk(3, dim=1)
        tokens = nn.functional.linear(word, of_word) + nn.functional.linear(glyph, of_glyph, self.bias)
        return tokens, nn.functional.linear(pinyin, of_pinyin)


class _EmbeddingsBase(nn.Module):
    """What embeddings share whether folded or not: positions, segments, normalisation, and the checks of the ids."""

    default_pinyin_ids: torch.Tensor

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.vocab_size = config.vocab_size
        self.num_syllables = config.num_syllables
        self.pinyin_length = config.pinyin_length
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, hidden)
        if config.type_vocab_size:
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        # The most common reading of every token: what is used where no pinyin is given.
        self.register_buffer("default_pinyin_ids", torch.zeros(config.vocab_size, dtype=torch.int16))

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pinyin_ids: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """``[B, L]`` ids -> ``[B, L, H]``. See ``ChineseBertModel.forward`` for the forms of ``pinyin_ids``.

        Raises:
            ValueError: ids are out of range or of a wrong shape, or there are more tokens than positions.
        """
        batch, length = self._shape(input_ids, inputs_embeds)
        if attention_mask is not None and tuple(attention_mask.shape) != (batch, length):
            raise ValueError(
                f"attention_mask has shape {list(attention_mask.shape)}, not that of input_ids, {[batch, length]}"
            )
        if input_ids is not None:
            check_range("input_ids", input_ids, self.vocab_size, "does the tokenizer belong to this model?")
        pinyin_ids = self._pinyin_ids(input_ids, pinyin_ids, (batch, length))
        fused = self.fuse(input_ids, pinyin_ids, inputs_embeds)
        positions = self.position_embeddings.num_embeddings
        if position_ids is None:
            if length > positions:
                raise ValueError(
                    f"{length} tokens, but the model has {positions} positions: truncate the input "
                    f"(tokenizer(…, truncation=True, max_length={positions}))"
                )
            position_ids = positions_from_first_token(attention_mask, length, fused.device)
        else:
            check_range("position_ids", position_ids, positions, "truncate the input?")
        embeddings = fused + self.position_embeddings(position_ids)
        if (token_type := self._token_type(token_type_ids, (batch, length))) is not None:
            embeddings = embeddings + token_type
        return self.dropout(self.LayerNorm(embeddings))

    @staticmethod
    def _shape(input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> tuple[int, int]:
        given = inputs_embeds if input_ids is None else input_ids
        if given is None:
            raise ValueError("give input_ids (or inputs_embeds, the word vectors)")
        if given.dim() < 2 or (inputs_embeds is not None and inputs_embeds.shape[:2] != given.shape[:2]):
            shapes = [list(tensor.shape) for tensor in (input_ids, inputs_embeds) if tensor is not None]
            raise ValueError(
                f"input_ids must be [B, L] and inputs_embeds [B, L, H]; given {' and '.join(map(str, shapes))}"
            )
        return given.shape[0], given.shape[1]

    def fuse(
        self, input_ids: torch.Tensor | None, pinyin_ids: torch.Tensor, inputs_embeds: torch.Tensor | None
    ) -> torch.Tensor:
        """Token ids ``[B, L]`` and pinyin (syllable ids ``[B, L]`` or letter ids ``[B, L, 8]``) -> ``[B, L, H]``."""
        raise NotImplementedError

    def _pinyin_ids(
        self, input_ids: torch.Tensor | None, pinyin_ids: torch.Tensor | None, shape: tuple[int, int]
    ) -> torch.Tensor:
        """Syllable ids ``[B, L]`` or letter ids ``[B, L, 8]``, whatever form they were given in."""
        if pinyin_ids is None:
            if input_ids is None:
                return torch.zeros(shape, dtype=torch.long, device=self.default_pinyin_ids.device)
            _warn_of_missing_pinyin()
            return self.default_pinyin_ids[input_ids].long()
        letters = self.pinyin_length
        batch, length = shape
        if tuple(pinyin_ids.shape) == shape:
            check_range("pinyin_ids", pinyin_ids, self.num_syllables + 1, "does the tokenizer belong to this model?")
            return pinyin_ids.long()
        if tuple(pinyin_ids.shape) in ((batch, length, letters), (batch, length * letters)):
            return pinyin_ids.long().view(batch, length, letters)
        raise ValueError(
            f"pinyin_ids have shape {list(pinyin_ids.shape)}; for input_ids {list(shape)} they must be syllable "
            f"ids of that shape, or letter ids {[batch, length, letters]} or {[batch, length * letters]}"
        )

    def _token_type(self, token_type_ids: torch.Tensor | None, shape: tuple[int, int]) -> torch.Tensor | None:
        if hasattr(self, "token_type_embeddings"):
            if token_type_ids is None:
                token_type_ids = torch.zeros(shape, dtype=torch.long, device=self.default_pinyin_ids.device)
            types = self.token_type_embeddings.num_embeddings
            check_range("token_type_ids", token_type_ids, types, "type_vocab_size in config.json")
            return self.token_type_embeddings(token_type_ids)
        if token_type_ids is not None and not torch.compiler.is_compiling() and token_type_ids.any():
            raise ValueError("this model has no segment embedding (type_vocab_size is 0): leave token_type_ids out")
        return None


class ChineseBertEmbeddings(_EmbeddingsBase):
    """Fuses token, pinyin and glyph into one vector and adds the position (paper, 3.4)."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        hidden = config.hidden_size
        self.pinyin_vocab_size = config.pinyin_vocab_size
        self.word_embeddings = nn.Embedding(config.vocab_size, hidden, padding_idx=config.pad_token_id)
        self.pinyin_embeddings = ChineseBertPinyinEmbedding(config)
        self.glyph_embeddings = ChineseBertGlyphEmbedding(config)
        self.glyph_map = ChineseBertGlyphMap(config.glyph_dim, hidden)
        self.map_fc = ChineseBertFusion(hidden)

    def fuse(
        self, input_ids: torch.Tensor | None, pinyin_ids: torch.Tensor, inputs_embeds: torch.Tensor | None
    ) -> torch.Tensor:
        """See ``_EmbeddingsBase.fuse``; ``inputs_embeds`` take the place of the word vectors."""
        spelled = pinyin_ids.dim() == 3
        if spelled:
            check_range("pinyin_ids (letters)", pinyin_ids, self.pinyin_vocab_size, "letters and tones are 0 … 31")
            syllables, syllable_places = pinyin_ids.flatten(end_dim=1), _every_place(pinyin_ids[..., 0])
        else:
            syllables, syllable_places = _distinct(pinyin_ids, self.num_syllables + 1)
        if inputs_embeds is not None:
            word, token_places = inputs_embeds.flatten(end_dim=1), _every_place(inputs_embeds[..., 0])
            tokens = None if input_ids is None else input_ids.flatten()
        else:
            tokens, token_places = _distinct(input_ids, self.vocab_size)
            word = self.word_embeddings(tokens)
        pinyin = self.pinyin_embeddings(syllables, spelled)
        token_vectors, pinyin_vectors = self.map_fc(word, pinyin, self._glyph(tokens, word))
        return nn.functional.embedding(token_places, token_vectors) + nn.functional.embedding(
            syllable_places, pinyin_vectors
        )

    def _glyph(self, tokens: torch.Tensor | None, word: torch.Tensor) -> torch.Tensor:
        """Glyph vectors ``[T, H]`` of the tokens; of blank images where the tokens are not known."""
        if tokens is None:
            return self.glyph_map(word.new_zeros(len(word), self.glyph_map.in_features))
        return self.glyph_map(self.glyph_embeddings(tokens, word.dtype))

    def resize_character_tables(self, size: int) -> None:
        """Gives the tables that are looked up by token ``size`` rows; new rows are zeros."""
        glyphs = self.glyph_embeddings.embedding
        resized = _resized(glyphs.weight.data, size)
        glyphs.weight = nn.Parameter(resized) if isinstance(glyphs.weight, nn.Parameter) else resized
        self.default_pinyin_ids = _resized(self.default_pinyin_ids, size)
        self.vocab_size = size

    @torch.no_grad()
    def folded(self, config: ChineseBertConfig, keep_words: bool) -> "ChineseBertFoldedEmbeddings":
        """The same function as tables, for inference; ``config`` is made to say how large they are.

        Args:
            keep_words: the word table stays, because a decoder is tied to it. It is then the glyph vectors that are a
                table, one row for every different image.
        """
        glyphs = self.glyph_embeddings.embedding.weight
        tokens = torch.arange(self.vocab_size, device=glyphs.device)
        word = self.word_embeddings.weight
        if keep_words:
            tokens, glyph_rows = _first_of_equal_rows(glyphs)
            config.folded_glyph_rows = len(tokens)
            word = torch.zeros_like(word[:1]).expand(len(tokens), -1)
        syllables = torch.arange(self.num_syllables + 1, device=glyphs.device)
        table, syllable_table = self.map_fc(word, self.pinyin_embeddings(syllables), self._glyph(tokens, word))
        with torch.random.fork_rng(devices=[]):  # its weights come at once
            folded = ChineseBertFoldedEmbeddings(config).to(device=word.device, dtype=word.dtype)
        folded.token_table.weight.copy_(table)
        folded.syllable_table.weight.copy_(syllable_table)
        folded.letter_ids.copy_(self.pinyin_embeddings.letter_ids)
        folded.default_pinyin_ids.copy_(self.default_pinyin_ids)
        if keep_words:
            folded.glyph_rows.copy_(glyph_rows)
            folded.word_map.weight.copy_(self.map_fc.weight.chunk(3, dim=1)[0])
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm"):
            if hasattr(folded, name):
                setattr(folded, name, getattr(self, name))
        return folded.train(self.training)


class ChineseBertFoldedEmbeddings(_EmbeddingsBase):
    """The fusion as two tables, one row a token and one row a syllable: what a trained model needs to be used.

    Costs what BERT's embeddings cost: two rows are looked up and added. Cannot be trained: the tables do not say which
    part of a row comes from the word, which from the glyph.

    With a masked-language-model head the word table has to stay, as the decoder is tied to it; a second table of that
    size would make the model larger, not smaller. So there the first table holds the glyph vectors, one row for every
    different image (over half of the tokens share theirs), and the word part is computed, once for every different
    token of a batch: less than 1 % of the encoder's work.
    """

    letter_ids: torch.Tensor
    glyph_rows: torch.Tensor

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        hidden = config.hidden_size
        self.keeps_words = config.folded_glyph_rows > 0
        if self.keeps_words:
            self.word_embeddings = nn.Embedding(config.vocab_size, hidden, padding_idx=config.pad_token_id)
            self.word_map = nn.Linear(hidden, hidden, bias=False)
            self.register_buffer("glyph_rows", torch.zeros(config.vocab_size, dtype=torch.int32))
        self.token_table = nn.Embedding(config.folded_glyph_rows or config.vocab_size, hidden)
        self.syllable_table = nn.Embedding(config.num_syllables + 1, hidden)
        self.register_buffer("letter_ids", empty_letter_ids(config))

    def fuse(
        self, input_ids: torch.Tensor | None, pinyin_ids: torch.Tensor, inputs_embeds: torch.Tensor | None
    ) -> torch.Tensor:
        """See ``_EmbeddingsBase.fuse``."""
        if self.training:
            raise ValueError(FOLDED_IS_NOT_TRAINED)
        if input_ids is None or inputs_embeds is not None:
            raise ValueError("a folded model takes input_ids, not inputs_embeds: load it with folded=False")
        if pinyin_ids.dim() == 3:
            pinyin_ids = self._syllable_ids(pinyin_ids)
        return self._tokens(input_ids) + self.syllable_table(pinyin_ids)

    def _tokens(self, input_ids: torch.Tensor) -> torch.Tensor:
        if not self.keeps_words:
            return self.token_table(input_ids)
        tokens, places = _distinct(input_ids, self.vocab_size)
        vectors = self.word_map(self.word_embeddings(tokens)) + self.token_table(self.glyph_rows[tokens])
        return nn.functional.embedding(places, vectors)

    def _syllable_ids(self, letter_ids: torch.Tensor) -> torch.Tensor:
        """Letter ids ``[B, L, 8]`` -> the ids ``[B, L]`` of the syllables they spell."""
        inventory, order = _letters_as_number(self.letter_ids).sort()
        wanted = _letters_as_number(letter_ids)
        places = torch.searchsorted(inventory, wanted).clamp(max=len(inventory) - 1)
        if not torch.compiler.is_compiling() and (inventory[places] != wanted).any():
            raise ValueError(
                "pinyin_ids (letters) spell a syllable that is not in this model's inventory: a folded model knows "
                "only those; load it with folded=False"
            )
        return order[places]


FOLDED_IS_NOT_TRAINED = (
    "a folded model is for inference and cannot be trained: load the original directory with folded=False "
    "(for evaluation call model.eval())"
)


def empty_letter_ids(config: ChineseBertConfig) -> torch.Tensor:
    """How each syllable id is spelled, uint8 ``[S + 1, 8]``, to be filled; row 0, "no pinyin", stays all zeros."""
    return torch.zeros(config.num_syllables + 1, config.pinyin_length, dtype=torch.uint8)


def check_range(name: str, ids: torch.Tensor, size: int, hint: str) -> None:
    """Refuses ids outside 0 … ``size`` - 1 where looking costs nothing: on a GPU it would stall every step."""
    if ids.device.type != "cpu" or torch.compiler.is_compiling() or ids.numel() == 0:
        return
    low, high = (int(bound) for bound in ids.aminmax())
    if low < 0 or high >= size:
        raise ValueError(f"{name} run from {low} to {high}; this model knows 0 … {size - 1} ({hint})")


def positions_from_first_token(attention_mask: torch.Tensor | None, length: int, device: torch.device) -> torch.Tensor:
    """Positions ``[B or 1, L]`` that start behind padding on the left, so that it changes nothing."""
    places = torch.arange(length, device=device)[None]
    return places if attention_mask is None else (places - first_tokens(attention_mask)[:, None]).clamp(min=0)


def first_tokens(attention_mask: torch.Tensor) -> torch.Tensor:
    """Where the first token that is not padding stands in each row of a mask ``[B, L]``: ``[B]``."""
    return attention_mask.long().argmax(dim=1)


def _warn_of_missing_pinyin() -> None:
    if not torch.compiler.is_compiling():
        logger.warning_once(
            "No pinyin_ids were given: every character is read in its most common way. Pass what the tokenizer "
            "returns as pinyin_ids to have polyphonic characters read in context."
        )


def _every_place(ids: torch.Tensor) -> torch.Tensor:
    """Numbers the places of ``[B, L]``: for vectors that were computed place by place."""
    return torch.arange(ids.numel(), device=ids.device).view(ids.shape)


def _distinct(ids: Any, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The different ids, and where in these each id of ``[B, L]`` stands.

    How many there are depends on the data, which a compiled graph must not: there it is every place, or every id that
    exists, whichever is fewer; in an exported graph, whose sizes are free, every place.
    """
    if not torch.compiler.is_compiling():
        values, places = torch.unique(ids, return_inverse=True)
        return values, places
    if torch.compiler.is_exporting() or ids.numel() < size:
        return ids.flatten(), _every_place(ids)
    return torch.arange(size, device=ids.device), ids


def _first_of_equal_rows(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first of each kind of row of ``[V, N]``, and the kind of every row."""
    if table.is_floating_point():  # trained rows are all different
        every = torch.arange(len(table), device=table.device)
        return every, every
    _, kinds = torch.unique(table, dim=0, return_inverse=True)
    places = torch.arange(len(table), device=table.device)
    firsts = torch.full((int(kinds.max()) + 1,), len(table), device=table.device)
    return firsts.scatter_reduce(0, kinds, places, "amin"), kinds


def _letters_as_number(letter_ids: torch.Tensor) -> torch.Tensor:
    """Letter ids ``[…, 8]`` -> one int64 each, different for different spellings (7 bits a letter)."""
    shifts = torch.arange(letter_ids.shape[-1], device=letter_ids.device) * 7
    return (letter_ids.long() << shifts).sum(dim=-1)


def _resized(table: torch.Tensor, rows: int) -> torch.Tensor:
    resized = table.new_zeros(rows, *table.shape[1:])
    kept = min(rows, len(table))
    resized[:kept] = table[:kept]
    return resized
