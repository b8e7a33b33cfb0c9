"""ChineseBERT: Chinese pretraining with the glyph and the pinyin of every character (Sun et al., ACL 2021).

Importing this package registers its configuration, tokenizer and models with the Auto classes of transformers, and
pipelines for the heads that transformers has none for. That loads torch, which takes seconds; programs that only
prepare text set ``CHINESEBERT_WITHOUT_MODELS=1`` and go without.
"""

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING or not os.environ.get("CHINESEBERT_WITHOUT_MODELS"):
    import chinesebert.auto_classes
    import chinesebert.pipelines  # noqa: F401
    from chinesebert.configuration_chinesebert import ChineseBertConfig
    from chinesebert.modeling_chinesebert import (
        ChineseBertForMaskedLM,
        ChineseBertForMultipleChoice,
        ChineseBertForQuestionAnswering,
        ChineseBertForSequenceClassification,
        ChineseBertForTokenClassification,
        ChineseBertModel,
        ChineseBertPreTrainedModel,
    )
    from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

    if TYPE_CHECKING:
        from chinesebert.tasks.dataset import BertDataset, BertMaskDataset

    __all__ = [
        "BertDataset",
        "BertMaskDataset",
        "ChineseBertConfig",
        "ChineseBertForMaskedLM",
        "ChineseBertForMultipleChoice",
        "ChineseBertForQuestionAnswering",
        "ChineseBertForSequenceClassification",
        "ChineseBertForTokenClassification",
        "ChineseBertModel",
        "ChineseBertPreTrainedModel",
        "ChineseBertTokenizer",
    ]


def __getattr__(name: str) -> Any:
    """``BertDataset`` and ``BertMaskDataset``, which load what fine-tuning needs, when they are asked for."""
    if name in ("BertDataset", "BertMaskDataset"):
        from chinesebert.tasks import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
