"""ChineseBERT: Chinese pretraining with the glyph and the pinyin of every character (Sun et al., ACL 2021).

Importing this package registers its configuration, tokenizer and models with the Auto classes of transformers.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

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

__version__ = "0.1.0"
__all__ = [
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

AutoConfig.register("chinesebert", ChineseBertConfig)
AutoTokenizer.register(ChineseBertConfig, fast_tokenizer_class=ChineseBertTokenizer)
AutoModel.register(ChineseBertConfig, ChineseBertModel)
AutoModelForMaskedLM.register(ChineseBertConfig, ChineseBertForMaskedLM)
AutoModelForMultipleChoice.register(ChineseBertConfig, ChineseBertForMultipleChoice)
AutoModelForQuestionAnswering.register(ChineseBertConfig, ChineseBertForQuestionAnswering)
AutoModelForSequenceClassification.register(ChineseBertConfig, ChineseBertForSequenceClassification)
AutoModelForTokenClassification.register(ChineseBertConfig, ChineseBertForTokenClassification)
