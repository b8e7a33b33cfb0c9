"""ChineseBERT written down as the paper describes it (arXiv 2106.16038, section 3), with nothing saved anywhere.

Letters go through the convolution token by token, the glyph images are a trained embedding table, and the head runs at
every position. It shares no code with ``chinesebert.modeling_chinesebert`` but transformers' encoder and head, and its
parameters have the names of the released checkpoints, so it serves as what our model is measured against and as an
independent reference for what it computes.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers.modeling_outputs import MaskedLMOutput
from transformers.models.bert.modeling_bert import BertEncoder, BertOnlyMLMHead

from chinesebert.configuration_chinesebert import ChineseBertConfig

Tensors = Mapping[str, torch.Tensor]


class PinyinEmbedding(nn.Module):
    """Letters of each token's syllable -> one vector a token (paper, 3.3)."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.pinyin_vocab_size, config.pinyin_embedding_dim)
        self.conv = nn.Conv1d(config.pinyin_embedding_dim, config.hidden_size, kernel_size=2)

    def forward(self, pinyin_ids: torch.Tensor) -> torch.Tensor:
        """Letter ids ``[B, L, 8]`` -> ``[B, L, H]``."""
        batch, length, places = pinyin_ids.shape
        letters = self.embedding(pinyin_ids.reshape(batch * length, places))  # [B * L, 8, 128]
        vectors = self.conv(letters.transpose(1, 2)).max(dim=2).values  # [B * L, H]
        return vectors.view(batch, length, -1)


class GlyphEmbedding(nn.Module):
    """Token ids -> the images of the character in three fonts, as a trained table ``[V, 1728]`` (paper, 3.2)."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.glyph_dim)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """``[B, L]`` -> ``[B, L, 1728]``."""
        return self.embedding(input_ids)


class FusionEmbeddings(nn.Module):
    """Character, glyph and pinyin vectors side by side, fused by one dense layer, plus the position (paper, 3.4)."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, hidden, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, hidden)
        if config.type_vocab_size:  # released checkpoints have one; the paper has no segments
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.pinyin_embeddings = PinyinEmbedding(config)
        self.glyph_embeddings = GlyphEmbedding(config)
        self.glyph_map = nn.Linear(config.glyph_dim, hidden)
        self.map_fc = nn.Linear(3 * hidden, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, input_ids: torch.Tensor, pinyin_ids: torch.Tensor, token_type_ids: torch.Tensor | None
    ) -> torch.Tensor:
        """Token ids ``[B, L]`` and letter ids ``[B, L, 8]`` -> ``[B, L, H]``."""
        word = self.word_embeddings(input_ids)
        pinyin = self.pinyin_embeddings(pinyin_ids)
        glyph = self.glyph_map(self.glyph_embeddings(input_ids))
        embeddings = self.map_fc(torch.cat([word, pinyin, glyph], dim=2))
        embeddings = embeddings + self.position_embeddings(torch.arange(input_ids.shape[1], device=input_ids.device))
        if hasattr(self, "token_type_embeddings"):
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            embeddings = embeddings + self.token_type_embeddings(types)
        return self.dropout(self.LayerNorm(embeddings))


class Encoder(nn.Module):
    """The fused embeddings, then BERT's layers."""

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.embeddings = FusionEmbeddings(config)
        self.encoder = BertEncoder(config)

    def forward(
        self,
        input_ids: torch.Tensor,
        pinyin_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
    ) -> torch.Tensor:
        """Ids -> last hidden states ``[B, L, H]``."""
        embeddings = self.embeddings(input_ids, pinyin_ids, token_type_ids)
        return self.encoder(embeddings, _added_to_scores(attention_mask, embeddings.dtype)).last_hidden_state


class StraightforwardChineseBert(nn.Module):
    """The masked language model.

    Args:
        config: the sizes; ``_attn_implementation`` must be set (``ChineseBertConfig(attn_implementation="sdpa")``).
            ``glyph_trainable`` is not looked at: the glyph table is always trained.
    """

    def __init__(self, config: ChineseBertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Encoder(config)
        self.cls = BertOnlyMLMHead(config)
        self.apply(self._init_weights)
        self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.cls.predictions.decoder.bias = self.cls.predictions.bias

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d):
            module.weight.normal_(0, self.config.initializer_range)
        if isinstance(module, GlyphEmbedding):
            module.embedding.weight.uniform_(0, 1)  # stands for images until weights are loaded

    def load_weights(self, state: Tensors) -> None:
        """Takes the weights of a released checkpoint, or of our model of the same sizes.

        What this model has no use for (a pooler, tables of spellings) is passed over; glyph images stored as 0 … 255
        become 0 … 1. Raises ``RuntimeError`` where a tensor is missing or of another shape.
        """
        own = self.state_dict()
        self.load_state_dict(
            {
                name: tensor if tensor.is_floating_point() else tensor.float() * (1 / 255)
                for name, tensor in state.items()
                if name in own
            }
        )

    def forward(
        self,
        input_ids: torch.Tensor,
        pinyin_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> Any:
        """Logits ``[B, L, V]``, and the mean loss over the places whose label is not -100.

        Args:
            input_ids: ``[B, L]``.
            pinyin_ids: letter ids ``[B, L, 8]``.
            attention_mask: ``[B, L]``, 1 for tokens, 0 for padding.
            token_type_ids: ``[B, L]``, zeros by default.
            labels: ``[B, L]``, the original token at masked places, -100 elsewhere.
        """
        logits = self.cls(self.bert(input_ids, pinyin_ids, attention_mask, token_type_ids))
        loss = None if labels is None else cross_entropy(logits.flatten(end_dim=1), labels.flatten())
        return MaskedLMOutput(loss=loss, logits=logits)


def _added_to_scores(attention_mask: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    """``[B, L]`` of 1 and 0 -> ``[B, 1, 1, L]`` of 0 and the lowest number, which is added to the attention scores."""
    if attention_mask is None:
        return None
    return (1 - attention_mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min
