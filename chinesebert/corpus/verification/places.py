"""Turns positions in a record batch into failures that name a document and a token of a shard."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chinesebert.corpus.format import MAX_SYLLABLE_ID, Block
from chinesebert.corpus.shard_stream import StoredBatch
from chinesebert.corpus.verification.rules import Failure, Findings, Rule
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer


def documents_of(document_starts: NDArray[np.int32], positions: NDArray[np.intp]) -> NDArray[np.intp]:
    """The document that each position is in: the last that begins there or before."""
    return np.searchsorted(document_starts, positions, side="right") - 1


class TokenNames:
    """What token ids and syllable ids stand for, to be told to people."""

    def __init__(self, tokenizer: ChineseBertTokenizer | None) -> None:
        self._tokens = tokenizer.tokens() if tokenizer is not None else []
        self._syllables = ("", *tokenizer.readings.syllables) if tokenizer is not None else ()

    def token(self, number: int) -> str:
        """A token id with its token, as far as known."""
        return f"{number} ({self._tokens[number]})" if number < len(self._tokens) else str(number)

    def syllable(self, number: int) -> str:
        """A syllable id with its syllable, as far as known."""
        return f"{number} ({self._syllables[number] or 'none'})" if number < len(self._syllables) else str(number)


class Places:
    """Turns documents and positions in a record batch of the shard ``file`` into failures that name them."""

    def __init__(self, findings: Findings, names: TokenNames, file: str, stored: StoredBatch) -> None:
        self._findings, self._names, self._file = findings, names, file
        self._first, self._number = stored.first_document, stored.batch.num_rows

    def all_documents(self, rule: Rule, what: str) -> None:
        """One failure for the whole record batch."""
        documents = (self._first, self._first + self._number - 1) if self._number else None
        self._findings.add(Failure(rule, what, self._file, documents))

    def documents(self, rule: Rule, documents: NDArray[np.intp], what: str | Callable[[int], str]) -> None:
        """One failure for each of these documents of the batch."""
        room = self._findings.room(rule)
        for document in documents[:room].tolist():
            number = self._first + document
            text = what if isinstance(what, str) else what(document)
            self._findings.add(Failure(rule, text, self._file, (number, number)))
        self._findings.add_untold(rule, max(0, len(documents) - room))

    def tokens(self, rule: Rule, positions: NDArray[np.intp], block: Block) -> None:
        """One failure for each document that holds some of these positions, at the first of them."""
        documents, firsts = np.unique(documents_of(block.document_starts, positions), return_index=True)
        room = self._findings.room(rule)
        for document, first in zip(documents[:room].tolist(), firsts[:room].tolist(), strict=True):
            position = int(positions[first])
            number = self._first + document
            token = position - int(block.document_starts[document])
            what = self._describe(rule, int(block.input_ids[position]), int(block.pinyin_and_starts[position]))
            self._findings.add(Failure(rule, what, self._file, (number, number), token))
        self._findings.add_untold(rule, max(0, len(documents) - room))

    def _describe(self, rule: Rule, token_id: int, annotation: int) -> str:
        token, syllable = self._names.token(token_id), self._names.syllable(annotation & MAX_SYLLABLE_ID)
        return {
            Rule.TOKEN_IDS: f"the token id {token} is outside the vocabulary",
            Rule.SPECIAL_TOKENS: f"holds the special token {token}",
            Rule.SYLLABLE_IDS: f"the syllable id {syllable} is larger than the number of syllables",
            Rule.READINGS: f"the token {token} has the syllable {syllable}, which is no reading of it",
            Rule.DOCUMENT_STARTS: f"the document's first token {token} does not start a word and a sentence",
            Rule.SENTENCE_STARTS: f"the token {token} starts a sentence, but no word",
            Rule.CONTINUATIONS: f"the token {token} goes on with a word, and is marked as the start of one",
        }[rule]
