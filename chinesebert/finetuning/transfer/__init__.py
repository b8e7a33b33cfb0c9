"""How knowledge is transferred from the pretrained model to the task: a module for each option.

``settings.py`` has the flags, and refuses combinations that make no sense; ``docs/transfer.md`` says what each does and
where it comes from.
"""

from chinesebert.finetuning.transfer.settings import TransferArguments

__all__ = ["TransferArguments"]
