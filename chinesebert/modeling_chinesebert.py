"""The ChineseBERT model (Sun et al., ACL 2021, arXiv 2106.16038), in reading order: embeddings, encoder, heads.

A token's vector is fused from three: that of the token, that of its pinyin, that of its glyph. The sum with a position
vector goes through BERT's encoder, which is transformers' own. Submodules are named as in the released checkpoints.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.masking_utils import create_bidirectional_mask, packed_sequence_mask_function
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput
from transformers.models.bert.modeling_bert import (
    BertEncoder,
    BertLayer,
    BertLMPredictionHead,
    BertOnlyMLMHead,
    BertPooler,
    BertSelfAttention,
)
from transformers.utils import can_return_tuple, logging
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from chinesebert.configuration_chinesebert import ChineseBertConfig
from chinesebert.masking import IGNORE_INDEX

if TYPE_CHECKING:
    from chinesebert.glyph import Glyphs
    from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

logger = logging.get_logger(__name__)

# Glyph images are stored as 0 … 255 and used as 0 … 1.
_GLYPH_SCALE = 1 / 255


class ChineseBertPinyinEmbedding(nn.Module):
    """Pinyin -> vector: a convolution over the letters of a syllable, then the maximum over its places (paper, 3.3)."""

    letter_ids: torch.Tensor

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.pinyin_vocab_size, config.pinyin_embedding_dim)
        self.conv = nn.Conv1d(config.pinyin_embedding_dim, config.hidden_size, kernel_size=2)
        # How each syllable id is spelled; row 0, "no pinyin", is all zeros.
        self.register_buffer(
            "letter_ids", torch.zeros(config.num_syllables + 1, config.pinyin_length, dtype=torch.uint8)
        )

    def forward(self, syllable_ids: torch.Tensor) -> torch.Tensor:
        """Syllable ids ``[B, L]`` -> vectors ``[B, L, H]``.

        A batch has far more tokens than there are syllables, so the whole inventory is encoded once and looked up; a
        single sentence has fewer, and is encoded as it is.
        """
        syllable_ids = syllable_ids.long()
        if syllable_ids.numel() < self.letter_ids.shape[0]:
            return self.encode(self.letter_ids[syllable_ids])
        return nn.functional.embedding(syllable_ids, self.encode(self.letter_ids))

    def encode(self, letter_ids: torch.Tensor) -> torch.Tensor:
        """Letter ids ``[…, 8]`` -> vectors ``[…, H]``. Padding takes part in the maximum, as in the original."""
        letters = self.embedding(letter_ids.long().flatten(end_dim=-2))
        vectors = self.conv(letters.transpose(1, 2)).amax(dim=-1)
        return vectors.unflatten(0, letter_ids.shape[:-1])


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
        """Token ids ``[B, L]`` -> pixels ``[B, L, 1728]`` of the wanted dtype."""
        pixels = self.weight[input_ids]
        return pixels if pixels.is_floating_point() else pixels.to(dtype) * _GLYPH_SCALE


class ChineseBertGlyphEmbedding(nn.Module):
    """Token id -> its pixels. Exists to give the table the name it has in the released checkpoints."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.embedding = ChineseBertGlyphTable(config)

    def forward(self, input_ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Token ids ``[B, L]`` -> pixels ``[B, L, 1728]``."""
        return self.embedding(input_ids, dtype)


class ChineseBertEmbeddings(nn.Module):
    """Fuses token, pinyin and glyph into one vector and adds the position (paper, 3.4)."""

    default_pinyin_ids: torch.Tensor

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.pinyin_length = config.pinyin_length
        self.word_embeddings = nn.Embedding(config.vocab_size, hidden, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, hidden)
        if config.type_vocab_size:
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.pinyin_embeddings = ChineseBertPinyinEmbedding(config)
        self.glyph_embeddings = ChineseBertGlyphEmbedding(config)
        self.glyph_map = nn.Linear(config.glyph_dim, hidden)
        self.map_fc = nn.Linear(3 * hidden, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        # The most common reading of every token: what is used where no pinyin is given.
        self.register_buffer("default_pinyin_ids", torch.zeros(config.vocab_size, dtype=torch.int16))

    def forward(
        self,
        input_ids: torch.Tensor,
        pinyin_ids: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """``[B, L]`` ids -> ``[B, L, H]``. See ``ChineseBertModel.forward`` for the forms of ``pinyin_ids``."""
        positions = self.position_embeddings.num_embeddings
        if input_ids.shape[1] > positions and position_ids is None:
            raise ValueError(
                f"{input_ids.shape[1]} tokens, but the model has {positions} positions: truncate the input"
            )
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        word = self.word_embeddings(input_ids)
        pinyin = self._pinyin(input_ids, pinyin_ids)
        glyph = self.glyph_map(self.glyph_embeddings(input_ids, word.dtype))
        fused = self.map_fc(torch.cat([word, pinyin, glyph], dim=-1))
        embeddings = fused + self.position_embeddings(position_ids) + self._token_type(input_ids, token_type_ids)
        return self.dropout(self.LayerNorm(embeddings))

    def _pinyin(self, input_ids: torch.Tensor, pinyin_ids: torch.Tensor | None) -> torch.Tensor:
        batch, length = input_ids.shape
        if pinyin_ids is None:
            logger.warning_once(
                "No pinyin_ids were given: every character is read in its most common way. Pass what the tokenizer "
                "returns as pinyin_ids to have polyphonic characters read in context."
            )
            return self.pinyin_embeddings(self.default_pinyin_ids[input_ids].long())
        if pinyin_ids.shape == (batch, length):
            return self.pinyin_embeddings(pinyin_ids)
        if pinyin_ids.shape in ((batch, length, self.pinyin_length), (batch, length * self.pinyin_length)):
            return self.pinyin_embeddings.encode(pinyin_ids.view(batch, length, self.pinyin_length))
        letters = self.pinyin_length
        raise ValueError(
            f"pinyin_ids have shape {list(pinyin_ids.shape)}; for input_ids {[batch, length]} they must be syllable "
            f"ids of that shape, or letter ids {[batch, length, letters]} or {[batch, length * letters]}"
        )

    def _token_type(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None) -> torch.Tensor | float:
        if not hasattr(self, "token_type_embeddings"):
            if token_type_ids is not None and not torch.compiler.is_compiling() and token_type_ids.any():
                raise ValueError("this model has no segment embedding (type_vocab_size is 0): leave token_type_ids out")
            return 0.0
        return self.token_type_embeddings(torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids)

    def resize_character_tables(self, size: int) -> None:
        """Gives the tables that are looked up by token ``size`` rows; new rows are zeros."""
        glyphs = self.glyph_embeddings.embedding
        resized = _resized(glyphs.weight.data, size)
        glyphs.weight = nn.Parameter(resized) if isinstance(glyphs.weight, nn.Parameter) else resized
        self.default_pinyin_ids = _resized(self.default_pinyin_ids, size)


def _resized(table: torch.Tensor, rows: int) -> torch.Tensor:
    resized = table.new_zeros(rows, *table.shape[1:])
    kept = min(rows, len(table))
    resized[:kept] = table[:kept]
    return resized


class ChineseBertPreTrainedModel(PreTrainedModel):
    """What all ChineseBERT models share: how they are initialised, saved and loaded."""

    config: ChineseBertConfig
    config_class = ChineseBertConfig
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _no_split_modules = ["ChineseBertEmbeddings", "BertLayer"]
    _can_record_outputs = {"hidden_states": BertLayer, "attentions": BertSelfAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BertLMPredictionHead):
            init.zeros_(module.bias)
        elif isinstance(module, ChineseBertPinyinEmbedding):
            init.zeros_(module.letter_ids)
        elif isinstance(module, ChineseBertGlyphTable):
            init.zeros_(module.weight)
        elif isinstance(module, ChineseBertEmbeddings):
            init.zeros_(module.default_pinyin_ids)

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Resizes the token tables, and with them the glyphs (new tokens are blank) and default readings (none)."""
        table = super().resize_token_embeddings(*args, **kwargs)
        self.base_model.embeddings.resize_character_tables(table.num_embeddings)
        return table

    @torch.no_grad()
    def set_character_tables(self, tokenizer: "ChineseBertTokenizer", glyphs: "Glyphs") -> None:
        """Fills what a new model must know about its characters: their images, and how syllables are spelled.

        Raises:
            ValueError: the tokenizer or the glyphs are not of this model's sizes.
        """
        embeddings = self.base_model.embeddings
        images = torch.from_numpy(glyphs.images).flatten(start_dim=1)
        table = embeddings.glyph_embeddings.embedding.weight
        if table.is_floating_point():
            images = images * _GLYPH_SCALE
        for name, target, source in (
            ("glyph images", table, images),
            ("syllables", embeddings.pinyin_embeddings.letter_ids, torch.from_numpy(tokenizer.readings.letter_ids())),
            ("default readings", embeddings.default_pinyin_ids, torch.from_numpy(tokenizer.default_pinyin_ids())),
        ):
            if target.shape != source.shape:
                raise ValueError(
                    f"{name}: shape {list(source.shape)}, the model's configuration asks for {list(target.shape)}"
                )
            target.copy_(source)


class ChineseBertModel(ChineseBertPreTrainedModel):
    """The encoder: token, pinyin and position ids in, one vector a token out.

    Args:
        config: the sizes.
        add_pooling_layer: whether to put BERT's pooler on top (the first token through a dense layer and tanh).
    """

    def __init__(self, config: ChineseBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = ChineseBertEmbeddings(config)
        self.encoder = BertEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The table of token vectors."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replaces the table of token vectors."""
        self.embeddings.word_embeddings = value

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Runs the encoder.

        Args:
            input_ids: ``[B, L]``.
            pinyin_ids: syllable ids ``[B, L]`` as the tokenizer returns them; or letter ids ``[B, L, 8]`` or
                ``[B, 8 * L]``, as the original and its ports produce them. Without any, each token gets the most common
                reading of its character.
            attention_mask: ``[B, L]``, 1 for tokens, 0 for padding.
            token_type_ids: ``[B, L]``; only for models with a segment embedding.
            position_ids: ``[B, L]``; from 0 in each row by default.
            segment_ids: ``[B, L]`` for packed rows: tokens see each other only where these are equal. Padding must have
                a segment of its own (0); ``attention_mask`` is then not needed.
        """
        embeddings = self.embeddings(input_ids, pinyin_ids, token_type_ids, position_ids)
        encoded = self.encoder(embeddings, self._attention_mask(embeddings, attention_mask, segment_ids), **kwargs)
        hidden = encoded.last_hidden_state
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden, pooler_output=self.pooler(hidden) if self.pooler is not None else None
        )

    def _attention_mask(
        self, embeddings: torch.Tensor, attention_mask: torch.Tensor | None, segment_ids: torch.Tensor | None
    ) -> Any:
        if segment_ids is None:
            return create_bidirectional_mask(self.config, embeddings, attention_mask)
        if "flash" in str(self.config._attn_implementation):
            raise ValueError(
                f"{self.config._attn_implementation} cannot keep packed segments apart here; load the model with "
                'attn_implementation="sdpa" or "flex_attention"'
            )
        # Padding sees padding, being a segment too: a row of scores with nothing to see would come out as NaN.
        return create_bidirectional_mask(
            self.config, embeddings, None, and_mask_function=packed_sequence_mask_function(segment_ids)
        )


class ChineseBertForMaskedLM(ChineseBertPreTrainedModel):
    """The encoder with the masked-language-model head it is pretrained with; the decoder is tied to the token table."""

    _tied_weights_keys = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    # Tells transformers' Trainer that the loss is divided by `num_items_in_batch`, counted over the whole global batch.
    accepts_loss_kwargs = True

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        self.bert = ChineseBertModel(config, add_pooling_layer=False)
        self.cls = BertOnlyMLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """The decoder."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replaces the decoder; its bias goes with it."""
        self.cls.predictions.decoder = new_embeddings
        self.cls.predictions.bias = new_embeddings.bias

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        masked_only: bool | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Predicts the token at every place, and the loss where ``labels`` are given.

        Args:
            input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids, segment_ids: see ``ChineseBertModel``.
            labels: ``[B, L]``, the original token at masked places, -100 elsewhere.
            num_items_in_batch: what the sum of the losses is divided by: the number of masked places in the whole
                global batch. By default those of this batch.
            masked_only: run the head at masked places only, so that ``logits`` are ``[masked, V]`` instead of
                ``[B, L, V]``. By default while training with labels, where it saves six sevenths of the head.
        """
        hidden = self.bert(
            input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids, segment_ids, return_dict=True, **kwargs
        )
        states = hidden.last_hidden_state
        if labels is None:
            loss, logits = None, self.cls(states)
        else:
            masked = labels != IGNORE_INDEX
            if masked_only if masked_only is not None else self.training:
                logits = masked_logits = self.cls(states[masked])
            else:
                logits = self.cls(states)
                masked_logits = logits[masked]
            loss = masked_lm_loss(masked_logits, labels[masked], num_items_in_batch)
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=hidden.hidden_states, attentions=hidden.attentions
        )


def masked_lm_loss(
    logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Cross entropy of ``logits`` ``[masked, V]`` in float32, summed and divided by ``num_items_in_batch``.

    Dividing by the count of the whole global batch, not of this micro-batch, makes loss and gradients the same however
    the batch is split over ranks and accumulation steps.
    """
    total = nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
    count = torch.as_tensor(len(labels) if num_items_in_batch is None else num_items_in_batch, device=total.device)
    return total / count.clamp(min=1)  # a batch without labels has loss 0, not NaN
