"""Reads the vectors of wanted words from a file of word vectors: word2vec, fastText and GloVe as text, or gensim's own."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.binary_vectors import MOST_NUMBERS, read_binary
from niwt_tf.data.gensim_vectors import open_native
from niwt_tf.data.vector_stream import VectorStream, opened
from niwt_tf.errors import InputError, brief

_MOST_BYTES = 1 << 24  # of one line


def read_vectors(path: Path, wanted: Collection[str], progress: bool = False) -> dict[str, np.ndarray]:
    """Return the vector, float32 [K], of every wanted word that the file has.

    A word that the file writes otherwise is looked for as Word and WORD too, in this order.

    Args:
        path: gensim's own .kv, word2vec's .bin, or any other name for text: a line a word, its numbers after it, with a first
            line of two counts (word2vec, fastText's .vec) or without (GloVe). All but .kv may be packed, .gz.
        wanted: words in lower case.
        progress: show a bar while text is read, if that takes over 5 seconds.

    Raises:
        InputError: the file is absent, empty or damaged (a line of text is named), its first line counts what is not there, or
            gensim, for a .kv, is not installed.
    """
    check_vector_file(path)
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind == ".kv":
        vectors = open_native(path)
        return _checked(path, _chosen(wanted, {form: form for form in vectors.key_to_index}, vectors.get_vector))
    spelled: dict[bytes, str] = {form.encode(): form for word in wanted for form in _forms(word)}
    found = read_binary(path, spelled, progress) if kind == ".bin" else _read_text(path, spelled, progress)
    return _checked(path, _chosen(wanted, found, found.__getitem__))


def check_vector_file(path: Path) -> None:
    """Check that there is a file with something in it.

    Raises:
        InputError: there is none.
    """
    try:
        size = path.stat().st_size if path.is_file() else -1
    except OSError:
        size = -1
    if size < 1:
        received = "an empty file" if size == 0 else "a folder" if path.is_dir() else "no such file"
        raise InputError(f"--text_features=vectors:{path} must name a file of word vectors. Received: {received}.")


def _forms(word: str) -> tuple[str, ...]:
    return word, word.capitalize(), word.upper()


def _chosen(wanted: Collection[str], held: Mapping[str, Any], vector: Callable[[str], np.ndarray]) -> dict[str, np.ndarray]:
    forms = {word: next((form for form in _forms(word) if form in held), None) for word in wanted}
    return {word: np.asarray(vector(form), np.float32) for word, form in forms.items() if form is not None}


def _checked(path: Path, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for word, vector in found.items():
        if not np.isfinite(vector).all():
            raise InputError(f"{path} must hold finite numbers. Received: others for {brief(word)}.")
    return found


def _read_text(path: Path, spelled: Mapping[bytes, str], progress: bool) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    size, announced, count = 0, None, 0
    with opened(path, progress) as stream:
        for number, line in _lines(path, stream):
            cells = line.count(b" ")
            if number == 1 and re.fullmatch(rb"[+-]?\d+ [+-]?\d+", line):
                announced, size = _counts(path, line)
                continue
            size = size or cells
            if cells < size or size < 1:
                rule = f"must have a word and {size} numbers" if size else "must have a word and its numbers"
                raise InputError(f"{path}, line {number} {rule}. Received: {brief(_shown(line))} with {cells}.")
            count += 1
            if announced is not None and count > announced:
                rule = f"must not be, by the {announced} words that line 1 counts"
                raise InputError(f"{path}, line {number} {rule}. Received: {brief(_shown(line))}.")
            word = spelled.get(line.rsplit(b" ", size)[0] if cells > size else line.partition(b" ")[0])
            if cells > size and _is_number(line.rsplit(b" ", size)[0].rpartition(b" ")[2]):
                raise InputError(f"{path}, line {number} must have a word and {size} numbers. Received: {cells} numbers.")
            if word is not None and word not in found:
                found[word] = _numbers(path, number, line, size)
    if announced is not None and count < announced:
        raise InputError(f"{path} must have the {announced} words that its first line counts. Received: {count}.")
    return found


def _counts(path: Path, line: bytes) -> tuple[int, int]:
    counts = [int(part) if len(part) < 19 else 0 for part in line.split()]
    if counts[0] < 1 or not 1 <= counts[1] <= MOST_NUMBERS:
        rule = f"must count words and the numbers of each, from 1 to {MOST_NUMBERS:,}"
        raise InputError(f"{path}, line 1 {rule}. Received: {brief(_shown(line))}.")
    return counts[0], counts[1]


def _numbers(path: Path, number: int, line: bytes, size: int) -> np.ndarray:
    try:
        return np.array([float(cell) for cell in line.rsplit(b" ", size)[1:]], np.float32)
    except ValueError:
        shown = brief(_shown(line))
        raise InputError(f"{path}, line {number} must have {size} numbers after its word. Received: {shown}.") from None


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(line: bytes) -> str:
    return line[:80].decode(errors="replace")


def _lines(path: Path, stream: VectorStream) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(iter(lambda: stream.line(_MOST_BYTES), b""), start=1):
        if len(line) == _MOST_BYTES:
            raise InputError(f"{path}, line {number} must have a word and its numbers. Received: no end of the line.")
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        stripped = b" ".join(line.split()) if b"\t" in line else line.strip(b" \r\n")
        if number % 10_000 == 0:
            stream.show()
        if stripped:
            yield number, stripped
