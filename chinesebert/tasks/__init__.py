"""Downstream tasks: their published files, metrics and submission files, and ``BertDataset`` over them."""
