"""What an evaluation counts: loss, and accuracy over masked tokens and over masked words."""

import torch

from chinesebert.masking import IGNORE_INDEX, NO_WORD


class MaskedAccuracy:
    """Sums over batches; ``sums`` can be added over ranks before ``compute``.

    Attributes:
        sums: float64 ``[5]``: loss, masked tokens, right ones, whole masked words, right ones.
    """

    def __init__(self, device: torch.device) -> None:
        # float64 counts exactly far beyond any evaluation; devices without it (MPS) are not trained on.
        self.sums = torch.zeros(5, dtype=torch.float64, device=device)

    def add(self, logits: torch.Tensor, labels: torch.Tensor, word_numbers: torch.Tensor) -> None:
        """Counts one batch.

        Args:
            logits: ``[masked, V]``, at the masked places only.
            labels: ``[B, L]``, ``IGNORE_INDEX`` elsewhere.
            word_numbers: ``[B, L]``, equal for the tokens of one word and different for those of different words of the
                batch; ``NO_WORD`` where words were not masked whole.
        """
        masked = labels != IGNORE_INDEX
        wanted = labels[masked]
        loss = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
        right = logits.argmax(dim=-1) == wanted
        words = word_numbers[masked]
        in_word = words != NO_WORD
        _, word = torch.unique(words[in_word], return_inverse=True)
        count = int(word.max()) + 1 if word.numel() else 0
        wrong_tokens = torch.zeros(count, dtype=torch.long, device=word.device)
        wrong_tokens.index_add_(0, word, (~right[in_word]).long())
        counted = [loss, masked.sum(), right.sum(), torch.tensor(count), (wrong_tokens == 0).sum()]
        self.sums += torch.stack([value.to(self.sums) for value in counted])

    def compute(self) -> dict[str, float]:
        """``loss`` (nats a masked token), ``char_accuracy`` and ``word_accuracy`` (a word is right if all of it is)."""
        loss, tokens, right_tokens, words, right_words = self.sums.tolist()
        return {
            "loss": loss / max(tokens, 1),
            "char_accuracy": right_tokens / max(tokens, 1),
            "word_accuracy": right_words / max(words, 1),
        }
