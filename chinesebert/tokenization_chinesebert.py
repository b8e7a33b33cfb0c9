"""The tokenizer: BERT's WordPiece, plus a pinyin id for every token, read in the context of the whole text."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Encoding
from transformers import BatchEncoding, BertTokenizer
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER
from transformers.utils import PaddingStrategy

from .atomic import atomic_file
from .errors import InputError
from .pinyin import READINGS_FILE, Readings
from .vocabulary import CONTINUATION, is_ordinary, read_vocabulary, vocabulary_sha256

DEFAULT_VOCABULARY = Path(__file__).parent / "assets" / "vocab.txt"


# What transformers remembers of how a tokenizer was made, and would save with it.
_NOT_SAVED = (
    "id2pinyin", "is_local", "local_files_only", "name_or_path", "pinyin2tensor", "pinyin_map", "readings", "vocab_file"
)  # fmt: skip


class ChineseBertTokenizer(BertTokenizer):
    """WordPiece tokens (``input_ids``) with their pinyin (``pinyin_ids``) for ChineseBERT.

    Works like any fast tokenizer of transformers: batches, pairs, truncation, padding, offsets, tensors. On top of that
    every output holds ``pinyin_ids``, one syllable id a token: the reading of its character in context, 0 for special
    tokens, padding and everything that is not one Han character.

    Args:
        vocab: token -> id.
        readings: the reading dictionary; by default that of the installed pypinyin.
        readings_file: a file that ``Readings.save`` wrote; ``from_pretrained`` passes the one in the directory, so a
            saved tokenizer reads the same for ever, whatever pypinyin is installed.
        pinyin_map, pinyin2tensor, id2pinyin: the tables that JunnYu's port keeps in ``tokenizer_config.json``; with
            the first two, as with those of a released directory, readings are those of the released checkpoints.
    """

    vocab_files_names = BertTokenizer.vocab_files_names | {"readings_file": READINGS_FILE}
    model_input_names = ["input_ids", "pinyin_ids", "attention_mask"]

    def __init__(
        self,
        vocab: dict[str, int] | str | None = None,
        readings: Readings | None = None,
        readings_file: str | None = None,
        vocab_file: str | None = None,
        pinyin_map: dict[str, Any] | None = None,
        pinyin2tensor: dict[str, list[int]] | None = None,
        id2pinyin: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(vocab, str) or (vocab_file is not None and _has_gaps(vocab)):
            vocab = _numbered(read_vocabulary(vocab if isinstance(vocab, str) else str(vocab_file)))
        elif _has_gaps(vocab):
            raise InputError("tokenizer.json: ids are missing from its vocabulary; put the vocab.txt of it beside it")
        if readings is None and readings_file is None and pinyin2tensor is not None:
            from .released import spelled_readings

            readings = spelled_readings(
                pinyin_map,
                pinyin2tensor,
                ("tokenizer_config.json (pinyin_map)", "tokenizer_config.json (pinyin2tensor)"),
            )
        if readings is None:
            readings = Readings.load(readings_file) if readings_file else Readings.from_pypinyin()
        self.readings = readings
        super().__init__(vocab=vocab, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> "ChineseBertTokenizer":
        """Reads a directory (or hub repository) of this package, of a released checkpoint or a port, or of a BERT.

        Released checkpoints get the readings they were trained on, those of pypinyin 0.38.1, spelled as their tables
        say; a plain BERT gets those of the installed pypinyin.

        Raises:
            InputError: a file is missing or damaged; the message names it.
        """
        from .loading import foreign_readings, longest_input

        if not {"readings", "readings_file"} & kwargs.keys():
            readings = foreign_readings(pretrained_model_name_or_path, kwargs)
            if readings is not None:
                kwargs["readings"] = readings
        tokenizer = cls._read(pretrained_model_name_or_path, *args, **kwargs)
        longest = longest_input(pretrained_model_name_or_path, kwargs)
        if longest is not None and tokenizer.model_max_length >= VERY_LARGE_INTEGER:
            tokenizer.model_max_length = longest
        return tokenizer

    @classmethod
    def _read(cls, source: str | os.PathLike[str], *args: Any, **kwargs: Any) -> "ChineseBertTokenizer":
        tokenizer = super().from_pretrained(source, *args, **kwargs)
        for name in _NOT_SAVED:  # how it was made says nothing about what it is
            tokenizer.init_kwargs.pop(name, None)
        return tokenizer

    @classmethod
    def from_vocabulary(
        cls, path: str | os.PathLike[str] = DEFAULT_VOCABULARY, readings: Readings | None = None, **kwargs: Any
    ) -> "ChineseBertTokenizer":
        """A tokenizer over a vocabulary file; without arguments the default vocabulary of this package."""
        return cls(vocab=_numbered(read_vocabulary(path)), readings=readings, **kwargs)

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> "ChineseBertTokenizer":
        """A tokenizer that ``save_pretrained`` wrote, with its own readings.

        Raises:
            InputError: a file of it is missing or damaged.
        """
        for name in ("tokenizer.json", READINGS_FILE):
            if not (Path(path) / name).is_file():
                raise InputError(f"{path}: holds no saved tokenizer (no {name}); give another folder, or restore it")
        try:
            return cls._read(path)  # without looking for a model beside it, which would load torch
        except InputError:
            raise
        except Exception as error:  # tokenizers raises bare Exception for a file it cannot parse
            raise InputError(f"{path}: the saved tokenizer is damaged ({error}); restore it") from error

    def tokens(self) -> list[str]:
        """All tokens in the order of their ids."""
        vocab = self.get_vocab()
        return sorted(vocab, key=vocab.__getitem__)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that decides the ids: vocabulary, normalisation, readings."""
        normalizer = f"{self.do_lower_case} {self.tokenize_chinese_chars} {self.strip_accents}"
        content = f"{vocabulary_sha256(self.tokens())} {normalizer} {self.readings.fingerprint}"
        return hashlib.sha256(content.encode()).hexdigest()

    def default_pinyin_ids(self) -> NDArray[np.int64]:
        """For every token the syllable id of its most common reading, 0 where it has none: int64 ``[V]``."""
        return self.readings.default_ids(self.tokens()).astype(np.int64)

    def ordinary_token_ids(self) -> NDArray[np.int64]:
        """The ids of all tokens that stand for text: what a random replacement is drawn from."""
        return np.array([n for n, token in enumerate(self.tokens()) if is_ordinary(token)], dtype=np.int64)

    def continuation_tokens(self) -> NDArray[np.bool_]:
        """Marks the tokens that go on with the word of the token before (``##ing``): bool ``[V]``."""
        return np.array([token.startswith(CONTINUATION) for token in self.tokens()], dtype=np.bool_)

    def convert_pinyin_ids_to_letters(self, pinyin_ids: ArrayLike) -> NDArray[np.int64]:
        """How syllable ids ``[…]`` are spelled in the released 32-symbol alphabet: int64 ``[…, 8]``, padded with 0.

        This is the form in which the original code and its ports pass ``pinyin_ids``.
        """
        ids, letters = np.asarray(pinyin_ids), self.readings.letter_ids().astype(np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(letters):
            raise ValueError(
                f"pinyin_ids run from {ids.min()} to {ids.max()}; this tokenizer has 0 … {len(letters) - 1}"
            )
        return letters[ids]

    def convert_pinyin_ids_to_syllables(self, pinyin_ids: Sequence[int]) -> list[str]:
        """Syllable ids as text, ``["wo3", "xi3", ""]``: "" where there is none."""
        syllables = ("", *self.readings.syllables)
        return [syllables[number] for number in pinyin_ids]

    def _encode_plus(self, text: Any, text_pair: Any = None, **kwargs: Any) -> BatchEncoding:
        """Adds ``pinyin_ids`` to what the fast tokenizer returns (transformers calls this for one text or many)."""
        return_tensors = kwargs.pop("return_tensors", None)
        split = kwargs.get("is_split_into_words", False)
        batch = super()._encode_plus(text, text_pair, return_tensors=None, **kwargs)

        batched = isinstance(text, list | tuple) and (
            not split or (len(text) > 0 and isinstance(text[0], list | tuple))
        )
        samples = _as_samples(text, text_pair, batched, split)
        owners = batch.get("overflow_to_sample_mapping", range(len(samples)))
        sources = [tuple(_Source(part, self.readings) for part in sample) for sample in samples]
        pinyin_ids = [
            _pinyin_of(encoding, sources[owner]) for encoding, owner in zip(batch.encodings, owners, strict=True)
        ]

        nested = batched or "overflow_to_sample_mapping" in batch
        # First the two that the model takes first; the rest in transformers' order.
        data = {"input_ids": batch["input_ids"], "pinyin_ids": pinyin_ids if nested else pinyin_ids[0]} | batch.data
        return BatchEncoding(
            data,
            batch.encodings,
            tensor_type=return_tensors,
            prepend_batch_axis=return_tensors is not None and not nested,
        )

    def _pad(
        self,
        encoded_inputs: Any,
        max_length: int | None = None,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
    ) -> dict[str, Any]:
        """Pads ``pinyin_ids`` along with the rest (``tokenizer.pad`` and the data collators call this)."""
        padded = super()._pad(
            encoded_inputs, max_length, padding_strategy, pad_to_multiple_of, padding_side, return_attention_mask
        )
        if "pinyin_ids" in padded:
            pinyin_ids = list(padded["pinyin_ids"])
            padding = [0] * (len(padded["input_ids"]) - len(pinyin_ids))
            left = (padding_side or self.padding_side) == "left"
            padded["pinyin_ids"] = padding + pinyin_ids if left else pinyin_ids + padding
        return padded

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        """Saves everything the tokenizer needs, its readings included; returns the names of the files."""
        saved = super().save_pretrained(save_directory, *args, **kwargs)
        prefix = f"{kwargs['filename_prefix']}-" if kwargs.get("filename_prefix") else ""
        vocabulary_file = Path(save_directory) / f"{prefix}vocab.txt"
        with atomic_file(vocabulary_file) as unfinished:
            unfinished.write_bytes(("\n".join(self.tokens()) + "\n").encode())
        readings_file = Path(save_directory) / f"{prefix}{READINGS_FILE}"
        self.readings.save(readings_file)
        return (*saved, str(vocabulary_file), str(readings_file))


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}


def _has_gaps(vocab: dict[str, int] | str | None) -> bool:
    """Whether ids are missing: the ports' ``tokenizer.json`` lost the token U+2028, which ``vocab.txt`` has."""
    return isinstance(vocab, dict) and len(vocab) <= max(vocab.values(), default=-1)


def _as_samples(text: Any, text_pair: Any, batched: bool, split: bool) -> list[tuple[Any, ...]]:
    """Every sample as a tuple of one or two texts (a text is a string, or a list of words where ``split``).

    Reads the arguments as ``TokenizersBackend._encode_plus`` of transformers does.
    """
    texts = list(text) if batched else [text]
    if text_pair is not None and (batched or len(text_pair) > 0):
        return list(zip(texts, text_pair if batched else [text_pair], strict=True))
    if split:
        is_pair = [bool(sample) and isinstance(sample[0], list | tuple) for sample in texts]
    else:
        is_pair = [isinstance(sample, list | tuple) for sample in texts]
    return [tuple(sample) if pair else (sample,) for sample, pair in zip(texts, is_pair, strict=True)]


class _Source:
    """One input text with the syllables of its characters, and where each word begins, if it came in words."""

    def __init__(self, text: str | Sequence[str], readings: Readings) -> None:
        words = [text] if isinstance(text, str) else list(text)
        self.syllable_ids = readings.syllable_ids("".join(words))
        self.word_offsets = None
        if not isinstance(text, str):
            lengths = np.array([0] + [len(word) for word in words])
            self.word_offsets = np.cumsum(lengths).tolist()


def _pinyin_of(encoding: Encoding, sources: tuple[_Source, ...]) -> list[int]:
    """The syllable id of each token: that of its character if it covers exactly one, else 0 (the original's rule)."""
    if len(sources) == 1 and sources[0].word_offsets is None:  # special tokens and padding have offsets 0, 0
        syllable_ids = sources[0].syllable_ids
        return [syllable_ids[start] if end - start == 1 else 0 for start, end in encoding.offsets]
    pinyin_ids = []
    for sequence, word, (start, end) in zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True):
        if sequence is None or end - start != 1:
            pinyin_ids.append(0)
            continue
        source = sources[sequence]
        base = source.word_offsets[word] if source.word_offsets is not None else 0
        pinyin_ids.append(source.syllable_ids[base + start])
    return pinyin_ids
