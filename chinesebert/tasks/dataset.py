"""``BertDataset``: the map-style dataset that feeds downstream tasks; ``BertMaskDataset`` for filling masks.

Both keep the use that the original code has for them::

    input_ids, pinyin_ids = BertDataset("ChineseBERT-base").tokenize_sentence("我喜欢猫")
    input_ids, pinyin_ids = BertMaskDataset("ChineseBERT-base").mask_sentence("我喜欢猫", 1)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers.utils import logging

from chinesebert.errors import InputError
from chinesebert.tasks.cache import cache_folder, cached, fingerprint
from chinesebert.tasks.files import read_json
from chinesebert.tasks.kinds import KINDS, Encoded, Kind, Lengths
from chinesebert.tasks.own_examples import as_examples
from chinesebert.tasks.registry import get_task
from chinesebert.tasks.splits import find_split, labels_in, missing_split, read_split
from chinesebert.tasks.text_columns import some
from chinesebert.tokenization_chinesebert import ChineseBertTokenizer

logger = logging.get_logger(__name__)


class BertDataset(Dataset):
    """Examples of a task as model inputs.

    An item is what the model reads of one input: ``input_ids`` and ``pinyin_ids`` ``[L]``, and ``labels`` where the
    examples have them. ``collate`` makes batches padded to their longest input: give it to a ``DataLoader`` or a
    ``Trainer``. Tokenized examples are kept on disk (see ``chinesebert.tasks.cache``) and read from there.

    ::

        dataset = BertDataset(tokenizer, [("很好看", "1"), ("不好看", "0")], "classification")
        dataset = BertDataset.from_task("tnews", "data/tnews", "train", tokenizer)
        loader = DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=dataset.collate)

    Args:
        tokenizer: a ``ChineseBertTokenizer``, or the directory (or hub name) of a checkpoint.
        examples: of ``chinesebert.tasks.examples``, or strings, tuples or dictionaries as ``own_examples`` says. A
            number is ``max_length``, as in the original.
        kind: the kind of task: its name, or made with its labels.
        lengths: how long inputs are, and what happens to longer texts.
        labels: all labels in the order of their numbers, where ``kind`` is a name; by default those of the examples.
        max_length: tokens of a sentence at most, for ``tokenize_sentence``.
        cache: keep tokenized examples on disk.
        cache_dir: where; by default ``$CHINESEBERT_CACHE`` or ``~/.cache/chinesebert``.

    Raises:
        InputError: the directory holds no tokenizer, there is no such kind, or an example is not one of this kind.
    """

    def __init__(
        self,
        tokenizer: Any,
        examples: Sequence[Any] | int = (),
        kind: Kind | str = "classification",
        lengths: Lengths | None = None,
        *,
        labels: Sequence[Any] | None = None,
        max_length: int = 512,
        cache: bool = True,
        cache_dir: str | Path | None = None,
    ) -> None:
        if isinstance(examples, int):
            max_length, examples = examples, ()
        self.tokenizer: Any = _tokenizer(tokenizer)
        self.max_length = max_length
        self.examples = as_examples(examples, _kind_class(kind).example)
        self.kind = kind if isinstance(kind, Kind) else _learned(kind, self.examples, labels)
        self.encoded = self._encode(lengths or Lengths(), cache, cache_dir)
        _tell_unknown(self.examples, self.kind)

    def _encode(self, lengths: Lengths, cache: bool, cache_dir: str | Path | None) -> Encoded:
        if not self.examples:
            return Encoded([], [])
        folder = (Path(cache_dir) if cache_dir is not None else cache_folder()) if cache else None
        key = fingerprint(self.examples, self.kind, self.tokenizer, lengths) if folder is not None else ""
        self.kind.prepare(self.tokenizer)
        return cached(folder, key, lambda: self.kind.encode(self.examples, self.tokenizer, lengths))

    @classmethod
    def from_task(
        cls,
        name: str,
        data_dir: str | Path,
        split: str,
        tokenizer: Any,
        labels: Sequence[str] | None = None,
        lengths: Lengths | None = None,
        **options: Any,
    ) -> "BertDataset":
        """A split of a registered task, read from its published files.

        Args:
            name: of the task.
            data_dir: the folder of its files.
            split: ``train``, ``dev`` or ``test``.
            tokenizer: a ``ChineseBertTokenizer``, or the directory of a checkpoint.
            labels: all labels in the order of their numbers, for tasks whose labels are those of the training data and
                a split that is another; by default the task's, or those of this split, sorted.
            lengths: how long inputs are; by default as the task's hyper-parameters say.
            options: ``cache``, ``cache_dir``, ``max_length``.

        Raises:
            InputError: there is no such task or file, or the file is not in the task's format.
        """
        task = get_task(name)
        files = find_split(task, Path(data_dir), split)
        if not files:
            raise missing_split(task, Path(data_dir), split)
        examples = read_split(task, files)
        if lengths is None:
            lengths = Lengths(task.defaults.max_seq_length, task.defaults.doc_stride)
        kind = _learned(task.kind, examples, labels or task.labels)
        return cls(tokenizer, examples, kind, lengths, **options)

    def __len__(self) -> int:
        return len(self.encoded.inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.encoded.inputs[index]

    def collate(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch of items, padded to its longest, with ``attention_mask``."""
        return self.kind.collate(items)

    def tokenize_sentence(self, sentence: str) -> tuple[torch.Tensor, torch.Tensor]:
        """One sentence as the original gives it: ids ``[L]`` with [CLS] and [SEP], and pinyin letters ``[8 · L]``.

        Both int64. Models take the letters in this form, or as ``[1, L, 8]``.

        Raises:
            InputError: the sentence has more tokens than ``max_length``.
        """
        return _flat(self.tokenizer, *_tokens(self.tokenizer, sentence, self.max_length))


class BertMaskDataset:
    """Sentences with one token masked, as the original's class for filling masks gives them.

    Args:
        vocab_file: the directory (or hub name) of a checkpoint, a ``ChineseBertTokenizer``, or, with ``config_path``,
            a vocabulary file.
        config_path: the folder of ``pinyin_map.json`` and ``pinyin2tensor.json``, with a vocabulary file.
        max_length: tokens of a sentence at most.

    Raises:
        InputError: a file is missing or damaged.
    """

    def __init__(self, vocab_file: Any, config_path: str | Path | None = None, max_length: int = 512) -> None:
        self.tokenizer: Any = (
            _tokenizer(vocab_file) if config_path is None else _released_tokenizer(vocab_file, Path(config_path))
        )
        self.max_length = max_length

    def mask_sentence(self, sentence: str, location: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The sentence with [MASK], which has no pinyin, in one place: ids ``[L]``, pinyin letters ``[8 · L]``, int64.

        Args:
            sentence: a text.
            location: which token is masked, from 0 after [CLS]; in Chinese the number of the character.

        Raises:
            InputError: there is no such token, or the sentence has more tokens than ``max_length``.
        """
        input_ids, pinyin_ids = _tokens(self.tokenizer, sentence, self.max_length)
        if not 0 <= location < len(input_ids) - 2:
            raise InputError(f"location {location}: the sentence has tokens 0 … {len(input_ids) - 3}: {sentence[:60]}")
        input_ids[location + 1], pinyin_ids[location + 1] = self.tokenizer.mask_token_id, 0
        return _flat(self.tokenizer, input_ids, pinyin_ids)


def labels_of(examples: Sequence[Any]) -> list[str]:
    """All labels that occur, numbers in their own order, the others in that of the alphabet."""
    found = {label for example in examples for label in labels_in(example)}
    return sorted(found, key=lambda label: (0, int(label), "") if label.isdecimal() else (1, 0, label))


def require_labels(examples: Sequence[Any], kind: Kind, what: str) -> None:
    """Makes sure that every example says what is right.

    Raises:
        InputError: one does not.
    """
    for example in examples:
        if kind.truth(example) is None:
            raise InputError(f"{example.where}: has no label, which {what} needs")


def _tell_unknown(examples: Sequence[Any], kind: Kind) -> None:
    """Warns of labels that the kind does not have, where it does not refuse them: another release may name them so."""
    unknown = [label for label in labels_of(examples) if label not in kind.labels] if kind.has_labels else []
    if not unknown:
        return
    where = next(example.where for example in examples if unknown[0] in labels_in(example))
    logger.warning(
        f"{where}: the label {unknown[0]!r} is none of the training data's ({some(kind.labels)}); it is never "
        f"predicted, and counts as missed (such labels in the file: {some(unknown)})"
    )


def _kind_class(kind: Kind | str) -> type[Kind]:
    if isinstance(kind, Kind):
        return type(kind)
    if kind not in KINDS:
        raise InputError(f"there is no kind {kind}; there are: {', '.join(KINDS)}")
    return KINDS[kind]


def _learned(name: str, examples: Sequence[Any], labels: Sequence[Any] | None) -> Kind:
    """The kind of a name, with these labels or those of the examples, and what it learns of them."""
    kind = _kind_class(name)(list(map(str, labels)) if labels else labels_of(examples))
    kind.learn(examples)
    return kind


def _tokenizer(given: Any) -> Any:
    """The tokenizer itself, or that of a directory."""
    if not isinstance(given, str | Path):
        return given
    try:
        return ChineseBertTokenizer.from_pretrained(given)
    except OSError as error:
        raise InputError(f"{given}: holds no tokenizer ({' '.join(str(error).split())})") from error


def _released_tokenizer(vocab_file: str | Path, tables: Path) -> ChineseBertTokenizer:
    from chinesebert.released import PINYIN2TENSOR, PINYIN_MAP, spelled_readings

    paths = [tables / Path(name).name for name in (PINYIN_MAP, PINYIN2TENSOR)]
    readings = spelled_readings(read_json(paths[0]), read_json(paths[1]), (str(paths[0]), str(paths[1])))
    return ChineseBertTokenizer.from_vocabulary(vocab_file, readings)


def _tokens(tokenizer: Any, sentence: str, most: int) -> tuple[list[int], list[int]]:
    batch = tokenizer(sentence, verbose=False)
    if len(batch["input_ids"]) > most:
        raise InputError(
            f"the sentence has {len(batch['input_ids'])} tokens, more than max_length {most}; cut it: {sentence[:60]}"
        )
    return list(batch["input_ids"]), list(batch["pinyin_ids"])


def _flat(tokenizer: Any, input_ids: Sequence[int], pinyin_ids: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    letters = tokenizer.convert_pinyin_ids_to_letters(pinyin_ids)
    return torch.tensor(input_ids), torch.from_numpy(letters.reshape(-1))
