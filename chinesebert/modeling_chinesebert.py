"""The ChineseBERT model (Sun et al., ACL 2021, arXiv 2106.16038): what all models share, the encoder, the heads.

The embeddings, where it differs from BERT, are in ``embeddings_chinesebert.py``; the encoder is transformers' own.
Submodules are named as in the released checkpoints.
"""

import copy
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.loss.loss_utils import ForSequenceClassificationLoss
from transformers.masking_utils import create_bidirectional_mask, packed_sequence_mask_function
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.models.bert.modeling_bert import (
    BertEncoder,
    BertLayer,
    BertLMPredictionHead,
    BertOnlyMLMHead,
    BertPooler,
    BertSelfAttention,
)
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .batch_layout import SEGMENT_ARGUMENTS, place_numbers, segment_bounds
from .configuration_chinesebert import ChineseBertConfig
from .embeddings_chinesebert import (
    FOLDED_IS_NOT_TRAINED,
    GLYPH_SCALE,
    ChineseBertEmbeddings,
    ChineseBertFoldedEmbeddings,
    ChineseBertFusion,
    ChineseBertGlyphMap,
    ChineseBertGlyphTable,
    ChineseBertPinyinEmbedding,
    check_range,
    first_tokens,
)
from .errors import InputError
from .last_layer import encode_at
from .layer_mix import ChineseBertLayerMix
from .masking import IGNORE_INDEX

if TYPE_CHECKING:
    from .tokenization_chinesebert import ChineseBertTokenizer


# The root of the sum over pixels of their variance over the characters of Chinese text, for 3 fonts, pixels 0 to 1.
_SPREAD_OF_IMAGES = 11.0


class GlyphImages(Protocol):
    """Whatever holds the images of all tokens: ``chinesebert.glyph.Glyphs`` does."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """uint8 ``[V, fonts, size, size]``."""


class ChineseBertPreTrainedModel(PreTrainedModel):
    """What all ChineseBERT models share: how they are initialised, loaded, folded and saved."""

    config: ChineseBertConfig
    config_class = ChineseBertConfig
    base_model_prefix = "bert"
    supports_gradient_checkpointing = True
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _no_split_modules = ["ChineseBertEmbeddings", "ChineseBertFoldedEmbeddings", "BertLayer"]
    _can_record_outputs = {"hidden_states": BertLayer, "attentions": BertSelfAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Draws the weights of one module so that word, pinyin, glyph and position begin with like shares.

        Drawn all alike (BERT's way), 1,728 pixels drown the rest: the glyph's part of a new 4 x 256 model had 11 times
        the spread of the word's and 7 times that of the position, and after 8,000 steps positions were 36 times smaller
        than the rest: the model saw which characters a text has, not where (docs/small-run.md). Positions begin as
        waves (Vaswani et al. 2017, section 3.5), as loud as the other three together: with them one linear map finds
        a place relative to another; drawn at random, every pair of places must be learnt.
        """
        super()._init_weights(module)
        if isinstance(module, BertLMPredictionHead):
            init.zeros_(module.bias)
        elif isinstance(module, ChineseBertPinyinEmbedding):
            init.zeros_(module.letter_ids)
        elif isinstance(module, nn.Conv1d):  # the one over letters; keeps the spread of its inputs
            init.normal_(module.weight, mean=0.0, std=(module.in_channels * module.kernel_size[0]) ** -0.5)
        elif isinstance(module, ChineseBertGlyphMap):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range / _SPREAD_OF_IMAGES)
        elif isinstance(module, ChineseBertGlyphTable):
            init.zeros_(module.weight)
        elif isinstance(module, ChineseBertLayerMix):
            init.zeros_(module.weights)
            init.ones_(module.scale)
        elif isinstance(module, ChineseBertFusion):
            init.normal_(module.weight, mean=0.0, std=self.config.hidden_size**-0.5)  # keeps the spread of its inputs
            init.zeros_(module.bias)
        elif isinstance(module, ChineseBertEmbeddings | ChineseBertFoldedEmbeddings):
            init.zeros_(module.default_pinyin_ids)
            if isinstance(module, ChineseBertEmbeddings):
                table = module.position_embeddings.weight
                init.copy_(table, waves(*table.shape) * (self.config.initializer_range * 6**0.5))
            if isinstance(module, ChineseBertFoldedEmbeddings):
                init.zeros_(module.letter_ids)
                if module.keeps_words:
                    init.zeros_(module.glyph_rows)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        folded: bool | None = None,
        glyphs: GlyphImages | None = None,
        **kwargs: Any,
    ) -> Any:
        """Loads our own directories, those of the released checkpoints and their ports, and plain Chinese BERTs.

        Takes the arguments of transformers' ``from_pretrained`` and returns what it returns. Released checkpoints
        (``pytorch_model.bin`` with ``config/*.json``) give the outputs of the original code. A plain BERT is a warm
        start: the fusion begins as the identity on the word vector, so the outputs are at first that BERT's.

        Args:
            pretrained_model_name_or_path: a directory, or the name of a repository on the hub.
            folded: True folds the model for inference (``fold``); by default it is as it was saved.
            glyphs: the images that the glyph branch of a warm start is to have, in the order of that vocabulary
                (``Glyphs.load`` of what ``python -m data_prep glyphs`` wrote). Blank without them.

        Raises:
            InputError: a file is missing, damaged, or does not fit the others; the message names it.
        """
        from .loading import load_model

        return load_model(
            cls, super().from_pretrained, pretrained_model_name_or_path, model_args, folded, glyphs, kwargs
        )

    def fold(self) -> "ChineseBertPreTrainedModel":
        """Folds the fusion into two tables, in place, and returns the model in evaluation mode.

        In evaluation a token's word and glyph, and a syllable's letters, always give the same vectors; the fusion being
        linear, a table with a row for every token and one with a row for every syllable hold all that it can give.
        The outputs stay the same; images and convolution go, and the word table where no decoder is tied to it. A
        folded model cannot be trained.
        """
        base = self.base_model
        if not base.is_folded:
            shared, config = base.config, copy.deepcopy(base.config)  # other models may share the configuration
            config.folded = True
            base.embeddings = base.embeddings.folded(config, keep_words=base.has_decoder)
            for module in self.modules():
                if getattr(module, "config", None) is shared:
                    module.config = config
        self.freeze_unused()
        return self.eval()

    def freeze_unused(self) -> None:
        """Takes gradients from what no loss is to reach: a folded model, the pooler of a masked language model, layers
        that are not run."""
        if self.is_folded:
            self.requires_grad_(False)
            return
        if self.base_model.has_decoder and self.base_model.pooler is not None:
            self.base_model.pooler.requires_grad_(False)
        if self.config.head_layers == "embeddings":
            self.base_model.encoder.requires_grad_(False)

    @property
    def is_folded(self) -> bool:
        """Whether the fusion is tables, for inference; see ``fold``."""
        return isinstance(self.base_model.embeddings, ChineseBertFoldedEmbeddings)

    def train(self, mode: bool = True) -> "ChineseBertPreTrainedModel":
        """Sets training or evaluation mode; a folded model has only the latter."""
        if mode and self.is_folded:
            raise ValueError(FOLDED_IS_NOT_TRAINED)
        return super().train(mode)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """As transformers'; a model whose encoder was folded on its own says so too."""
        for name in ("folded", "folded_glyph_rows"):
            setattr(self.config, name, getattr(self.base_model.config, name))
        super().save_pretrained(*args, **kwargs)

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Resizes the token tables, and with them the glyphs (new tokens are blank) and default readings (none)."""
        if self.is_folded and (args or kwargs):
            raise ValueError("a folded model cannot be resized: resize the original, then fold it")
        table = super().resize_token_embeddings(*args, **kwargs)
        if not self.is_folded:
            self.base_model.embeddings.resize_character_tables(table.num_embeddings)
        return table

    @torch.no_grad()
    def set_character_tables(self, tokenizer: "ChineseBertTokenizer", glyphs: GlyphImages) -> None:
        """Fills what a new model must know about its characters: their images, and how syllables are spelled.

        Raises:
            InputError: the tokenizer or the glyphs are not of this model's sizes.
        """
        embeddings = self.base_model.embeddings
        if self.is_folded:
            raise InputError("a folded model has no images to set; set them before folding")
        images = torch.from_numpy(glyphs.images).flatten(start_dim=1)
        table = embeddings.glyph_embeddings.embedding.weight
        if table.is_floating_point():
            images = images * GLYPH_SCALE
        for name, target, source in (
            ("glyph images", table, images),
            ("syllables", embeddings.pinyin_embeddings.letter_ids, torch.from_numpy(tokenizer.readings.letter_ids())),
            ("default readings", embeddings.default_pinyin_ids, torch.from_numpy(tokenizer.default_pinyin_ids())),
        ):
            if target.shape != source.shape:
                raise InputError(
                    f"{name}: shape {list(source.shape)}, the model's configuration asks for {list(target.shape)}; "
                    "they are of different vocabularies: make them again for the model's own"
                )
            target.copy_(source)

    @torch.no_grad()
    def set_readings(self, tokenizer: "ChineseBertTokenizer") -> None:
        """Has the model count syllables, and know the common ones of its characters, as a tokenizer does.

        What was learned of pinyin hangs on the letters of a syllable, not on its id, so it stays.

        Raises:
            InputError: the model is folded, or has fewer tokens than the tokenizer.
        """
        embeddings = self.base_model.embeddings
        if self.is_folded:
            raise InputError("a folded model has a row for every syllable; set the readings before folding")
        defaults = torch.from_numpy(tokenizer.default_pinyin_ids())
        if len(defaults) > embeddings.vocab_size:
            raise InputError(f"the tokenizer has {len(defaults):,} tokens, the model {embeddings.vocab_size:,}")
        embeddings.default_pinyin_ids.zero_()[: len(defaults)] = defaults
        old = embeddings.pinyin_embeddings.letter_ids
        new = torch.from_numpy(tokenizer.readings.letter_ids()).to(old.device)
        self.config.num_syllables = embeddings.num_syllables = len(new) - 1
        embeddings.pinyin_embeddings.letter_ids = new

    def train_glyphs(self, trainable: bool) -> None:
        """Whether the glyph images are trained. Frozen bytes become rows of floats for it, with the same pixels; rows
        of floats stay that when they are frozen, since what they have learned would be rounded."""
        table = self.base_model.embeddings.glyph_embeddings.embedding
        if trainable:
            table.become_trainable()
            self.config.glyph_trainable = True
        if table.weight.is_floating_point():
            table.weight.requires_grad_(trainable)


class ChineseBertModel(ChineseBertPreTrainedModel):
    """The encoder: token, pinyin and position ids in, one vector a token out.

    Args:
        config: the sizes.
        add_pooling_layer: whether to put BERT's pooler on top (the first token through a dense layer and tanh).
    """

    has_decoder = False  # a masked-language-model head that is tied to the word table

    def __init__(self, config: ChineseBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = ChineseBertFoldedEmbeddings(config) if config.folded else ChineseBertEmbeddings(config)
        self.encoder = BertEncoder(config)
        self.layer_mix = ChineseBertLayerMix(config) if config.head_layers == "mix" else None
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The table of token vectors; of a folded model, the table that its tokens are looked up in."""
        return getattr(self.embeddings, self._input_table)

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replaces that table."""
        setattr(self.embeddings, self._input_table, value)

    @property
    def _input_table(self) -> str:
        return "word_embeddings" if hasattr(self.embeddings, "word_embeddings") else "token_table"

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        places: torch.Tensor | None = None,
        places_per_row: int | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Runs the encoder.

        Args:
            input_ids: ``[B, L]``.
            pinyin_ids: syllable ids ``[B, L]`` as the tokenizer returns them; or letter ids ``[B, L, 8]`` or
                ``[B, 8 * L]``, as the original and its ports produce them. Without any, each token gets the most common
                reading of its character.
            attention_mask: ``[B, L]``, 1 for tokens, 0 for padding (on either side).
            token_type_ids: ``[B, L]``; only for models with a segment embedding.
            position_ids: ``[B, L]``; by default from 0 at the first token of each row that is not padding.
            segment_ids: ``[B, L]`` for packed rows: tokens see each other only where these are equal. Padding must have
                a segment of its own (0); ``attention_mask`` is then not needed. Flash attention takes them as
                ``batch_layout.segment_bounds`` of them, and finds these out itself where they are not passed too.
            inputs_embeds: ``[B, L, H]``, word vectors to use in place of those of ``input_ids``. Glyphs and default
                readings still come from ``input_ids``; without these, images are blank and nothing has a reading.
            places: where the last hidden states are wanted: bool ``[B, L]``, or int64 ``[N]``, numbered row by row
                (row x L + column) and ascending. The states are then ``[N, H]``, and the last layer is not computed
                elsewhere. The pooler has nothing to read then.
            places_per_row: how many places any row has at most; with SDPA, not knowing it means waiting for a GPU.

        Raises:
            ValueError: an argument has a wrong shape, or ids that the model does not have (looked at on the CPU only).
        """
        padding = attention_mask if attention_mask is not None and attention_mask.dim() == 2 else None
        embeddings = self.embeddings(input_ids, pinyin_ids, token_type_ids, position_ids, inputs_embeds, padding)
        mask, kwargs = self._visible(embeddings, attention_mask, segment_ids, kwargs)
        if places is not None:
            numbers = _checked_places(places, places_per_row, embeddings.shape[:2])
            states = self._encode_at(numbers, places_per_row, embeddings, mask, **kwargs)
            return BaseModelOutputWithPooling(last_hidden_state=states)
        hidden = self._encode(embeddings, mask, **kwargs)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=self._pool(hidden, padding))

    def _encode(self, embeddings: torch.Tensor, mask: Any, **kwargs: Any) -> torch.Tensor:
        """What the heads read, ``[B, L, H]``; see ``ChineseBertConfig.head_layers``."""
        if self.config.head_layers == "embeddings":
            return embeddings
        if self.layer_mix is None:
            return self.encoder(embeddings, mask, **kwargs).last_hidden_state
        states = [embeddings]
        for layer in self.encoder.layer:
            states.append(layer(states[-1], mask, **kwargs))
        return self.layer_mix(states)

    def _encode_at(
        self, places: torch.Tensor, most: int | None, embeddings: torch.Tensor, mask: Any, **kwargs: Any
    ) -> torch.Tensor:
        recorded = kwargs.get("output_hidden_states") or kwargs.get("output_attentions")
        # Flash attention refuses a call without queries.
        in_segments = kwargs.get("cu_seq_lens_k") is not None and len(places) > 0
        top_only = self.config.head_layers == "top" and not recorded
        if (self.config._attn_implementation == "sdpa" or in_segments) and top_only:
            return encode_at(self.encoder, embeddings, mask, places, most, **kwargs)
        return self._encode(embeddings, mask, **kwargs).flatten(end_dim=1)[places]

    def _pool(self, hidden: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor | None:
        if self.pooler is None or self.has_decoder:
            return None
        if attention_mask is None:
            return self.pooler(hidden)
        # The pooler reads the first place, where a row that is padded on the left has padding.
        first = first_tokens(attention_mask)[:, None, None].expand(-1, -1, hidden.shape[-1])
        return self.pooler(hidden.gather(1, first))

    def _visible(
        self,
        embeddings: torch.Tensor,
        attention_mask: torch.Tensor | None,
        segment_ids: torch.Tensor | None,
        kwargs: dict[str, Any],
    ) -> tuple[Any, dict[str, Any]]:
        """What says which tokens see each other: a mask; or, of packed rows under flash attention, among ``kwargs``,
        where their segments end."""
        bounds = {name: kwargs[name] for name in SEGMENT_ARGUMENTS if kwargs.get(name) is not None}
        kwargs = {name: value for name, value in kwargs.items() if name not in SEGMENT_ARGUMENTS}
        if segment_ids is None:
            if bounds:
                raise ValueError(f"{', '.join(bounds)}: pass segment_ids too, from which they were made")
            return create_bidirectional_mask(self.config, embeddings, attention_mask), kwargs
        if "flash" in str(self.config._attn_implementation):
            complete = len(bounds) == len(SEGMENT_ARGUMENTS)
            return None, kwargs | (bounds if complete else segment_bounds(segment_ids))
        # Padding sees padding, being a segment too: a row of scores with nothing to see would come out as NaN.
        if self.config._attn_implementation == "sdpa":  # what transformers would make, without its functional mapping
            return segment_ids[:, None, :, None] == segment_ids[:, None, None, :], kwargs
        mask = create_bidirectional_mask(
            self.config, embeddings, None, and_mask_function=packed_sequence_mask_function(segment_ids)
        )
        return mask, kwargs


def waves(length: int, width: int) -> torch.Tensor:
    """Sines, then cosines, of wave lengths from 2 pi to 10,000 times that: float32 ``[length, width]``, spread √½."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]


def _checked_places(places: torch.Tensor, most: int | None, shape: torch.Size) -> torch.Tensor:
    """Places of a batch of this shape as numbers, int64 ``[N]``, whichever way they were given.

    Raises:
        ValueError: they are not of that batch, not ascending, or more than ``most`` in a row (looked at on the CPU).
    """
    if places.dtype == torch.bool:
        return place_numbers(places)
    rows, length = shape
    check_range("places", places, rows * length, "do they belong to this batch?")
    if places.device.type == "cpu" and not torch.compiler.is_compiling() and len(places):
        if (places.diff() <= 0).any():
            raise ValueError("places must be ascending, each of them once")
        found = int(torch.bincount(places // length).max())
        if most is not None and found > most:
            raise ValueError(f"a row has {found} places, but {most} were said to be the most")
    return places


@dataclass
class ChineseBertMaskedLMOutput(MaskedLMOutput):
    """What ``ChineseBertForMaskedLM`` returns.

    Attributes:
        loss: the sum of the losses, where there are labels.
        logits: scores of the vocabulary, ``[B, L, V]`` or ``[masked, V]``.
        hidden_states, attentions: see ``MaskedLMOutput``.
        pronunciation_loss: the part of the pronunciations in the loss before it is weighted, without a gradient.
        pronunciation_logits: scores of the syllables, ``[B, L, S + 1]`` or ``[masked, S + 1]``.
    """

    pronunciation_loss: torch.Tensor | None = None
    pronunciation_logits: torch.Tensor | None = None


class ChineseBertForMaskedLM(ChineseBertPreTrainedModel):
    """The encoder with the masked-language-model head it is pretrained with; the decoder is tied to the token table.

    With ``config.pronunciation_loss_weight`` above 0 a second head predicts how the masked characters are pronounced,
    from the same transformed states; its loss is added with that weight. The idea is that of PLOME (Liu et al., ACL
    2021, "PLOME: Pre-training with Misspelled Knowledge for Chinese Spelling Correction"), where predicting characters
    and pronunciations together serves spelling correction: most misspellings sound like what was meant. PLOME masks
    with similar characters and adds both losses; masking and weight are choices of their own here.
    """

    _tied_weights_keys = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    _keys_to_ignore_on_load_unexpected = [r"^bert\.pooler\.", r"^pooler\.", r"^pronunciation_head\."]
    # Tells transformers' Trainer that the loss is divided by `num_items_in_batch`, counted over the whole global batch.
    accepts_loss_kwargs = True

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        if config.folded and not config.folded_glyph_rows:
            raise InputError("this model was folded without the word table that the decoder needs; load the original")
        self.bert = ChineseBertModel(config, add_pooling_layer=config.masked_lm_pooler)
        self.bert.has_decoder = True
        self.cls = BertOnlyMLMHead(config)
        self.pronunciation_head: nn.Linear | None = (
            nn.Linear(config.hidden_size, config.num_syllables + 1) if config.pronunciation_loss_weight > 0 else None
        )
        self.post_init()
        self.freeze_unused()

    def get_output_embeddings(self) -> nn.Module:
        """The decoder."""
        return self.cls.predictions.decoder

    @torch.no_grad()
    def set_readings(self, tokenizer: "ChineseBertTokenizer") -> None:
        """As for all models; the second head keeps the row of every syllable, and rows of new ones are random."""
        embeddings: Any = self.bert.embeddings
        if self.pronunciation_head is None or self.is_folded:
            super().set_readings(tokenizer)
            return
        old: torch.Tensor = embeddings.pinyin_embeddings.letter_ids
        super().set_readings(tokenizer)
        new: torch.Tensor = embeddings.pinyin_embeddings.letter_ids
        if not torch.equal(old, new):
            std = self.config.initializer_range
            self.pronunciation_head = _reordered_rows(self.pronunciation_head, old, new, std)

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replaces the decoder; its bias goes with it."""
        self.cls.predictions.decoder = new_embeddings
        self.cls.predictions.bias = new_embeddings.bias

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        masked_only: bool | None = None,
        pinyin_labels: torch.Tensor | None = None,
        masked_positions: torch.Tensor | None = None,
        masked_per_row: int | None = None,
        **kwargs: Any,
    ) -> ChineseBertMaskedLMOutput:
        """Predicts the token at every place, and the loss where ``labels`` are given.

        Args:
            input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids, segment_ids, inputs_embeds: see
                ``ChineseBertModel``.
            labels: ``[B, L]``, the original token at masked places, -100 elsewhere.
            num_items_in_batch: what the sum of the losses is divided by: the number of masked places in the whole
                global batch. By default those of this batch.
            masked_only: run the head at masked places only, so that ``logits`` are ``[masked, V]`` instead of
                ``[B, L, V]``. By default while training with labels, where it saves six sevenths of the head and
                most of the last layer; not in a compiled graph without ``masked_positions``, which has to know how
                many places there are.
            pinyin_labels: ``[B, L]``, the true syllable ids; what counts are those above 0 at masked places. Only for
                a model with ``pronunciation_loss_weight``, which cannot be trained without. Their loss is divided by
                the same number as that of the tokens.
            masked_positions, masked_per_row: what ``batch_layout.masked_places`` says of ``labels``, so that the model
                need not look for itself, which means waiting for a GPU.

        Raises:
            ValueError: pinyin labels are missing, or the model has no use for them; or see ``ChineseBertModel``.
        """
        self._check_pinyin_labels(labels, pinyin_labels)
        if masked_only is None:
            masked_only = masked_positions is not None or (self.training and not torch.compiler.is_compiling())
        masked = None
        if labels is not None and masked_only:
            masked = place_numbers(labels != IGNORE_INDEX) if masked_positions is None else masked_positions
        whole = kwargs.get("output_hidden_states") or self.config.output_hidden_states
        hidden = self.bert(
            input_ids,
            pinyin_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            segment_ids,
            inputs_embeds,
            places=None if whole else masked,
            places_per_row=masked_per_row,
            return_dict=True,
            **kwargs,
        )
        states = hidden.last_hidden_state
        logits, syllables = self._scores(states.flatten(end_dim=1)[masked] if whole and masked is not None else states)
        loss = pronunciation_loss = None
        if labels is not None:
            wanted = _at(labels, masked)
            count = (wanted != IGNORE_INDEX).sum() if num_items_in_batch is None else num_items_in_batch
            loss = labelled_cross_entropy(logits.view(-1, logits.shape[-1]), wanted, count)
            if syllables is not None and pinyin_labels is not None:
                heard = _at(pinyin_labels, masked).long()
                heard = heard.masked_fill((heard <= 0) | (wanted == IGNORE_INDEX), IGNORE_INDEX)
                pronunciation_loss = labelled_cross_entropy(syllables.view(-1, syllables.shape[-1]), heard, count)
                loss = loss + self.config.pronunciation_loss_weight * pronunciation_loss
                pronunciation_loss = pronunciation_loss.detach()
        return ChineseBertMaskedLMOutput(
            loss=loss,
            logits=logits,
            hidden_states=hidden.hidden_states,
            attentions=hidden.attentions,
            pronunciation_loss=pronunciation_loss,
            pronunciation_logits=syllables,
        )

    def _check_pinyin_labels(self, labels: torch.Tensor | None, pinyin_labels: torch.Tensor | None) -> None:
        """Refuses labels that would be passed over in silence, and training that would leave the second head out."""
        if pinyin_labels is None:
            if self.pronunciation_head is not None and self.training and labels is not None:
                raise ValueError(
                    "this model predicts pronunciations too: pass pinyin_labels, or load it with "
                    "pronunciation_loss_weight=0.0 to train it without"
                )
            return
        if self.pronunciation_head is None:
            raise ValueError("pinyin_labels are for a model with pronunciation_loss_weight above 0; this one has 0")
        if labels is None or pinyin_labels.shape != labels.shape:
            raise ValueError("pinyin_labels must come with labels, and be of their shape [B, L]")
        check_range("pinyin_labels", pinyin_labels.clamp(min=0), self.config.num_syllables + 1, "of another tokenizer?")

    def _scores(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """States ``[…, H]`` -> the scores of the tokens ``[…, V]``, and of the syllables ``[…, S + 1]``."""
        if self.pronunciation_head is None:
            return self.cls(states), None
        transformed = self.cls.predictions.transform(states)
        return self.cls.predictions.decoder(transformed), self.pronunciation_head(transformed)


def _reordered_rows(head: nn.Linear, old: torch.Tensor, new: torch.Tensor, std: float) -> nn.Linear:
    """A head with a row for each syllable spelled in ``new`` ``[S' + 1, 8]``: its row in ``old``, or a random one."""
    reordered = nn.Linear(head.in_features, len(new)).to(head.weight)
    reordered.weight.normal_(std=std)
    reordered.bias.zero_()
    places = {tuple(letters): number for number, letters in enumerate(old.tolist())}
    kept = [(number, places[tuple(letters)]) for number, letters in enumerate(new.tolist()) if tuple(letters) in places]
    to, source = torch.tensor(kept).T
    reordered.weight[to], reordered.bias[to] = head.weight[source], head.bias[source]
    return reordered


def _at(labels: torch.Tensor, places: torch.Tensor | None) -> torch.Tensor:
    """Labels ``[B, L]`` one after the other, or those at numbered places."""
    return labels.flatten() if places is None else labels.flatten()[places]


def labelled_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Cross entropy of ``logits`` ``[N, V]`` in float32, summed over the places with a label (not -100) and divided by
    ``num_items_in_batch``.

    Dividing by the count of the whole global batch, not of this micro-batch, makes loss and gradients the same however
    the batch is split over ranks and accumulation steps.
    """
    total = nn.functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE_INDEX, reduction="sum")
    count = (labels != IGNORE_INDEX).sum() if num_items_in_batch is None else num_items_in_batch
    # A batch without labels has loss 0, not NaN. A number stays on the host: copying it to a GPU would wait for it.
    return total / (count.to(total.device).clamp(min=1) if isinstance(count, torch.Tensor) else max(count, 1))


class ChineseBertForSequenceClassification(ChineseBertPreTrainedModel):
    """The encoder with one label, number, or set of labels a text, read from the pooled first token."""

    accepts_loss_kwargs = False  # the mean over the texts of a micro-batch

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = ChineseBertModel(config)
        self.dropout = nn.Dropout(_head_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Scores the labels: ``logits`` are ``[B, num_labels]``.

        Args:
            input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids, inputs_embeds: see
                ``ChineseBertModel``.
            labels: ``[B]`` label numbers; or ``[B]`` floats where ``num_labels`` is 1 (squared error); or
                ``[B, num_labels]`` floats, several labels a text. ``config.problem_type`` says which, or it is guessed.
        """
        hidden = self.bert(
            input_ids,
            pinyin_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds=inputs_embeds,
            return_dict=True,
            **kwargs,
        )
        logits = self.classifier(self.dropout(hidden.pooler_output))
        loss = None
        if labels is not None:
            loss = ForSequenceClassificationLoss(labels, logits, self.config)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=hidden.hidden_states, attentions=hidden.attentions
        )


class ChineseBertTokenClassifierMLP(nn.Module):
    """The two-layer token classifier of the original, named as there: ``[…, H]`` -> ``[…, num_labels]``."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.dense_layer = nn.Linear(config.hidden_size, config.hidden_size)
        self.dense_to_labels_layer = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """``[…, H]`` -> ``[…, num_labels]``."""
        return self.dense_to_labels_layer(torch.tanh(self.dense_layer(states)))


class ChineseBertForTokenClassification(ChineseBertPreTrainedModel):
    """The encoder with one label a token; ``config.token_classifier_mlp`` chooses the original's two-layer head."""

    _keys_to_ignore_on_load_unexpected = [r"^bert\.pooler\.", r"^pooler\."]
    accepts_loss_kwargs = True  # the mean over the labelled tokens of the whole global batch

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = ChineseBertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(_head_dropout(config))
        self.classifier: nn.Module = (
            ChineseBertTokenClassifierMLP(config)
            if config.token_classifier_mlp
            else nn.Linear(config.hidden_size, config.num_labels)
        )
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Scores the labels of every token: ``logits`` are ``[B, L, num_labels]``.

        Args:
            input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids, inputs_embeds: see
                ``ChineseBertModel``.
            labels: ``[B, L]`` label numbers, -100 where there is none.
            num_items_in_batch: what the sum of the losses is divided by; by default the labelled tokens of this batch.
        """
        hidden = self.bert(
            input_ids,
            pinyin_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds=inputs_embeds,
            return_dict=True,
            **kwargs,
        )
        logits = self.classifier(self.dropout(hidden.last_hidden_state))
        loss = None
        if labels is not None:
            loss = labelled_cross_entropy(logits.flatten(end_dim=1), labels.flatten(), num_items_in_batch)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=hidden.hidden_states, attentions=hidden.attentions
        )


class ChineseBertForQuestionAnswering(ChineseBertPreTrainedModel):
    """The encoder with a start and an end score a token, for answers that are spans of the text."""

    _keys_to_ignore_on_load_unexpected = [r"^bert\.pooler\.", r"^pooler\."]
    accepts_loss_kwargs = False  # the mean over the questions of a micro-batch

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        self.bert = ChineseBertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        start_positions: torch.Tensor | None = None,
        end_positions: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> QuestionAnsweringModelOutput:
        """Scores every token as first and as last of the answer: two tensors ``[B, L]``.

        Args:
            input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids, inputs_embeds: see
                ``ChineseBertModel``.
            start_positions, end_positions: ``[B]``, the first and last token of the answer; one outside the text (cut
                off, say) counts nothing; the loss is the mean of both cross entropies.
        """
        hidden = self.bert(
            input_ids,
            pinyin_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds=inputs_embeds,
            return_dict=True,
            **kwargs,
        )
        start_logits, end_logits = self.qa_outputs(hidden.last_hidden_state).unbind(dim=-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            start_loss, end_loss = (
                labelled_cross_entropy(logits, _inside(positions, logits.shape[1]))
                for logits, positions in ((start_logits, start_positions), (end_logits, end_positions))
            )
            loss = (start_loss + end_loss) / 2
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits.contiguous(),
            end_logits=end_logits.contiguous(),
            hidden_states=hidden.hidden_states,
            attentions=hidden.attentions,
        )


def _inside(positions: torch.Tensor, length: int) -> torch.Tensor:
    """Positions ``[B]`` of the text; ``IGNORE_INDEX`` for those outside."""
    positions = positions.view(-1)
    return positions.where((positions >= 0) & (positions < length), IGNORE_INDEX)


class ChineseBertForMultipleChoice(ChineseBertPreTrainedModel):
    """The encoder with one score a choice, read from the pooled first token of each."""

    accepts_loss_kwargs = False  # the mean over the questions of a micro-batch

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__(config)
        self.bert = ChineseBertModel(config)
        self.dropout = nn.Dropout(_head_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pinyin_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> MultipleChoiceModelOutput:
        """Scores the choices: ``logits`` are ``[B, C]``.

        Args:
            input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids, inputs_embeds: as ``ChineseBertModel``
                takes them, with a dimension for the choices after the first: ``[B, C, L]`` (letters ``[B, C, L, 8]`` or
                ``[B, C, 8 * L]``).
            labels: ``[B]``, the number of the right choice.
        """
        given = inputs_embeds if input_ids is None else input_ids
        if given is None:
            raise ValueError("give input_ids (or inputs_embeds, the word vectors)")
        choices = given.shape[1]
        arguments = (input_ids, pinyin_ids, attention_mask, token_type_ids, position_ids)
        hidden = self.bert(
            *(None if argument is None else argument.flatten(end_dim=1) for argument in arguments),
            inputs_embeds=None if inputs_embeds is None else inputs_embeds.flatten(end_dim=1),
            return_dict=True,
            **kwargs,
        )
        logits = self.classifier(self.dropout(hidden.pooler_output)).view(-1, choices)
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels)
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=hidden.hidden_states, attentions=hidden.attentions
        )


def _head_dropout(config: ChineseBertConfig) -> float:
    return config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout


MODEL_CLASSES: tuple[type[ChineseBertPreTrainedModel], ...] = (
    ChineseBertModel,
    ChineseBertForMaskedLM,
    ChineseBertForSequenceClassification,
    ChineseBertForTokenClassification,
    ChineseBertForQuestionAnswering,
    ChineseBertForMultipleChoice,
)
