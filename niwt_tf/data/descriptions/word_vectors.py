"""From a text to the mean of its words' vectors, and these from files of word2vec, fastText, GloVe and gensim.

gensim reads its own files alone. Text and word2vec's binary form are read here: gensim keeps all that a file has, takes several
times as long, and knows no words with blanks, which GloVe has. Here a file or first line that lies takes no memory.
"""

from __future__ import annotations

import codecs
import gzip
import os
import pickletools
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from niwt_tf.config.extras import imported
from niwt_tf.data.descriptions.tokens import Vocabulary, sentences, tokens
from niwt_tf.data.schema import dimension_names
from niwt_tf.errors import InputError, brief

_MOST_NUMBERS = 100_000  # of one vector
_MOST_BYTES = 1 << 24  # of one line of text
_MOST_LETTERS = 10_000  # of one word in binary form, in bytes
_CHUNK = 1 << 20
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# All that a pickle of KeyedVectors names.
_VECTORS = r"gensim\.models\.keyedvectors (KeyedVectors|Word2VecKeyedVectors|Vocab)"
_ALLOWED = re.compile(_VECTORS + r"|numpy (ndarray|dtype)|numpy\._?core\.multiarray _reconstruct")


@dataclass(frozen=True)
class WordVectors(Vocabulary):
    """A text -> the mean over its sentences of the mean of their words' vectors: a `niwt_tf.data.schema.TextEncoder`.

    Sentences are averaged and not the words of all, so that a long caption does not outweigh a short one. The most common
    English words have no vector here, and words without one do not count.

    Attributes:
        vocabulary: W words, ascending.
        vectors: float32 [W, K].
    """

    vocabulary: tuple[str, ...]
    vectors: np.ndarray

    @classmethod
    def read(cls, path: Path, texts: Iterable[str], progress: bool = False) -> WordVectors:
        """Read the vectors of the words of `texts` from a file, see `read_vectors`: no more is kept, so it goes with an export.

        Nothing is fitted, so that texts of unseen classes may be among them.

        Raises:
            InputError: the file is not in order, or has none of the words.
        """
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        wanted = {word for text in texts for word in tokens(text)} - ENGLISH_STOP_WORDS
        found = read_vectors(path, wanted, progress)
        if not found:
            raise InputError(f"{path} must have vectors of words that the texts use. Received: none of {len(wanted)} words.")
        vocabulary = sorted(found)
        return cls(tuple(vocabulary), np.stack([found[word] for word in vocabulary]))

    @property
    def names(self) -> tuple[str, ...]:
        """K names."""
        return dimension_names(self.vectors.shape[1])

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [len(texts), K]; a text without a known word is 0."""
        return np.stack([self._mean(text) for text in texts]).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, for an .npz file; `from_arrays` takes them back."""
        # One long text: in an array of words each would take the room of the longest.
        return {"vocabulary": np.frombuffer("\n".join(self.vocabulary).encode(), np.uint8), "vectors": self.vectors}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> WordVectors:
        """Return what `arrays` gave.

        Raises:
            InputError: an array is missing, or their shapes or types do not belong together.
        """
        try:
            words = cls(tuple(arrays["vocabulary"].astype(np.uint8).tobytes().decode().split("\n")), arrays["vectors"])
            fits = words.vectors.ndim == 2 and len(words.vectors) == len(words.vocabulary)
            fits = fits and bool(np.isfinite(words.vectors).all())
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise InputError("words.npz must hold a vocabulary and a vector of each word. Received: other arrays.")
        return words

    def _mean(self, text: str) -> np.ndarray:
        means = []
        for sentence in sentences(text):
            places = [self._places[word] for word in tokens(sentence) if word in self._places]
            if places:
                means.append(self.vectors[places].mean(axis=0, dtype=np.float64))
        return np.mean(means, axis=0) if means else np.zeros(self.vectors.shape[1])


def read_vectors(path: Path, wanted: Collection[str], progress: bool = False) -> dict[str, np.ndarray]:
    """Return the vector, float32 [K], of every wanted word that the file has.

    A word that the file writes otherwise is looked for as Word and WORD too, in this order; of two vectors the first counts.

    Args:
        path: gensim's own .kv, word2vec's .bin, or any other name for text: a line a word, its numbers after it, with a first
            line of two counts (word2vec, fastText's .vec) or without (GloVe). All but .kv may be packed, .gz.
        wanted: words in lower case.
        progress: show a bar if reading takes over 5 seconds; not of a .kv.

    Raises:
        InputError: the file is absent, empty or damaged (a line of text is named), its first line counts what is not there, or
            gensim, for a .kv, is not installed.
    """
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    if not size:
        received = "an empty file" if os.path.isfile(path) else "a folder" if os.path.isdir(path) else "no such file"
        raise InputError(f"--text_features=vectors:{path} must name a file of word vectors. Received: {received}.")
    forms = {word: (word, word.capitalize(), word.upper()) for word in wanted}
    every = {form for spelled in forms.values() for form in spelled}
    native = path.name.lower().removesuffix(".gz").endswith(".kv")
    held = _by_gensim(path, every) if native else _read(path, size, {form.encode() for form in every}, progress)
    first = {word: next((form for form in spelled if form in held), None) for word, spelled in forms.items()}
    found = {word: np.asarray(held[form], np.float32) for word, form in first.items() if form is not None}
    for word, vector in found.items():
        if not np.isfinite(vector).all():
            raise InputError(f"{path} must hold finite numbers. Received: other values for {brief(word)}.")
    return found


def _read(path: Path, size: int, spelled: Collection[bytes], progress: bool) -> dict[str, np.ndarray]:
    from tqdm import tqdm

    found: dict[str, np.ndarray] = {}
    name = path.name.lower()
    binary = name.removesuffix(".gz").endswith(".bin")
    bar = {"total": size, "desc": path.name, "delay": 5, "leave": False, "disable": not progress}
    try:
        with open(path, "rb") as raw, tqdm.wrapattr(raw, "read", **bar) as file:
            read = gzip.GzipFile(fileobj=file).read if name.endswith(".gz") else file.read
            for number, word, numbers in (_binary if binary else _text)(path, read):
                if word in spelled and word.decode() not in found:
                    try:
                        with np.errstate(over="ignore"):  # what becomes infinite is refused later
                            vector = np.frombuffer(numbers, "<f4") if binary else np.array(numbers.split(b" "), np.float32)
                    except ValueError:
                        raise _wrong(path, number, "must have numbers after its word", word + b" " + numbers) from None
                    found[word.decode()] = vector
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path} must be a readable file of word vectors. Received: {error}.") from None
    return found


def _wrong(path: Path, number: int, rule: str, line: bytes, more: str = "") -> InputError:
    received = brief(line[:80].decode(errors="replace").strip())
    return InputError(f"{path}, line {number} {rule}. Received: {received}{more}.")


def _counts(path: Path, line: bytes) -> tuple[int, int]:
    counts = re.fullmatch(rb"(\d{1,18})\s+(\d{1,18})\s*", line)
    count, size = (int(counts[1]), int(counts[2])) if counts else (0, 0)
    if count < 1 or not 1 <= size <= _MOST_NUMBERS:
        raise _wrong(path, 1, f"must count words and the numbers of each, from 1 to {_MOST_NUMBERS:,}", line)
    return count, size


def _text(path: Path, read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the line's number, the word and its numbers."""
    announced, size, count = None, 0, 0
    for number, line in enumerate(_lines(path, read), start=1):
        line = b" ".join(line.split()) if b"\t" in line else line.strip(b" \r")
        if number == 1 and re.fullmatch(rb"[+-]?\d+ [+-]?\d+", line):
            announced, size = _counts(path, line)
            continue
        if not line:
            continue
        cells = line.count(b" ")
        size = size or cells
        word, _, numbers = line.partition(b" ")
        if cells > size:  # a word with blanks: nobody asks for its numbers
            word = line.rsplit(b" ", size)[0]
        if cells < size or not size or (cells > size and _NUMBER.fullmatch(word.rpartition(b" ")[2])):
            raise _wrong(path, number, f"must have a word and {size or 'its'} numbers", line, f" with {cells}")
        count += 1
        yield number, word, numbers
    if announced not in (None, count):
        raise InputError(f"{path} must have the {announced} words that its first line counts. Received: {count}.")


def _lines(path: Path, read: Callable[[int], bytes]) -> Iterator[bytes]:
    held, number = read(_CHUNK).removeprefix(codecs.BOM_UTF8), 1
    while more := read(_CHUNK):
        *lines, held = (held + more).split(b"\n")
        yield from lines
        number += len(lines)
        if len(held) > _MOST_BYTES:
            raise _wrong(path, number, "must have a word and its numbers", held, " and no end of the line")
    yield from held.split(b"\n")


def _binary(path: Path, read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the vector's place, the word and the bytes of its numbers."""
    line, _, held = read(_CHUNK).partition(b"\n")
    if line.startswith((793712314).to_bytes(4, "little")):  # fastText's magic number
        raise InputError(f"{path} must be word2vec's binary form. Received: the binary form of fastText; give its .vec file.")
    count, size = _counts(path, line)
    announced = f"{path} must have the {count} vectors of {size} numbers that its first line counts. Received:"
    start, width = 0, 4 * size
    for number in range(1, count + 1):
        while (blank := held.find(b" ", start)) < 0 or len(held) <= blank + width:
            more = read(max(_CHUNK, width))
            if not more or (blank < 0 and len(held) - start > _MOST_LETTERS):
                raise InputError(f"{announced} {number - 1}.")
            held, start = held[start:] + more, 0
        # Some programs end a vector with a line's end, others do not.
        yield number, held[start:blank].lstrip(b"\n"), held[blank + 1 : blank + 1 + width]
        start = blank + 1 + width
    if (held[start:] + read(_CHUNK)).strip(b"\n"):
        raise InputError(f"{announced} more after them.")


def _named(file: IO[bytes]) -> set[str]:
    """Return what a pickle names, without loading it; what is not told by two texts right before it counts as "?"."""
    named, kept, before = set(), dict[int, str](), ["?", "?"]
    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        if name in ("GLOBAL", "INST"):
            named.add(str(argument))
        elif name == "STACK_GLOBAL":
            named.add(" ".join(before))
        elif name in ("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"):
            named.add("?")
        if name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            kept[len(kept) if name == "MEMOIZE" else int(str(argument))] = before[1]
        elif name not in ("FRAME", "PROTO"):
            text = kept.get(int(str(argument)), "?") if "GET" in name else argument if "UNICODE" in name else "?"
            before = [before[1], str(text)]
    return named


def _by_gensim(path: Path, spelled: Collection[str]) -> dict[str, np.ndarray]:
    otherwise = "or give vectors as text (.txt, .vec) or in word2vec's .bin"
    models, reading = (imported(f"gensim.{module}", str(path), otherwise) for module in ("models", "utils"))
    try:
        # A pickle can run code when it is loaded.
        with open(path, "rb") as file:
            strange = sorted(name for name in _named(file) if not _ALLOWED.fullmatch(name))
        if strange:
            raise ValueError(strange[0].replace(" ", "."))
        looked = reading.unpickle(str(path))
        # gensim's `load` would load the pickles that such parts have in their own files, without a look.
        parts = [getattr(looked, name, []) for name in ("__scipys", "__recursive_saveloads")]
        if not isinstance(looked, models.KeyedVectors) or parts != [[], []]:
            raise ValueError("another object")
        keyed = models.KeyedVectors.load(str(path), mmap="r")
        return {form: keyed[form] for form in spelled if form in keyed}
    except Exception as error:  # what a reader of damaged pickles and arrays raises has no common type
        rule = "must hold only KeyedVectors that gensim saved (for a model, save its wv)"
        raise InputError(f"{path} {rule}. Received: {str(error).rstrip('.')}.") from None
