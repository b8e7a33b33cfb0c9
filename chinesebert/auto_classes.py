"""Registers the configuration, the tokenizer and the models with the Auto classes of transformers."""

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
)
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

AutoConfig.register("chinesebert", ChineseBertConfig)
AutoTokenizer.register(ChineseBertConfig, fast_tokenizer_class=ChineseBertTokenizer)
AutoModel.register(ChineseBertConfig, ChineseBertModel)
AutoModelForMaskedLM.register(ChineseBertConfig, ChineseBertForMaskedLM)
AutoModelForMultipleChoice.register(ChineseBertConfig, ChineseBertForMultipleChoice)
AutoModelForQuestionAnswering.register(ChineseBertConfig, ChineseBertForQuestionAnswering)
AutoModelForSequenceClassification.register(ChineseBertConfig, ChineseBertForSequenceClassification)
AutoModelForTokenClassification.register(ChineseBertConfig, ChineseBertForTokenClassification)
