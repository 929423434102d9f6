"""Reads the vectors of wanted words from a file of word vectors: word2vec, fastText and GloVe as text, or gensim's own."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from niwt_tf.data.gensim_vectors import open_native, open_word2vec
from niwt_tf.errors import InputError, brief


def read_vectors(path: Path, wanted: Collection[str], progress: bool = False) -> dict[str, np.ndarray]:
    """Return the vector, float32 [K], of every wanted word that the file has.

    A word that the file writes otherwise is looked for as Word and WORD too, in this order.

    Args:
        path: gensim's own .kv, word2vec's .bin, or any other name for text: a line a word, its numbers after it, with a first
            line of two counts (word2vec, fastText's .vec) or without (GloVe). All but .kv may be packed, .gz.
        wanted: words in lower case.
        progress: show a bar while text is read, if that takes over 5 seconds.

    Raises:
        InputError: the file is absent, empty or damaged (a line of text is named), or gensim is needed and not installed.
    """
    check_vector_file(path)
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind in (".kv", ".bin"):
        vectors = open_native(path) if kind == ".kv" else open_word2vec(path)
        return _checked(path, _chosen(wanted, {form: form for form in vectors.key_to_index}, vectors.get_vector))
    spelled: dict[bytes, str] = {form.encode(): form for word in wanted for form in _forms(word)}
    found = _read_text(path, spelled, progress)
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
    with _lines(path, progress) as lines:
        for number, line in lines:
            cells = line.count(b" ")
            if number == 1 and cells == 1 and all(part.isdigit() for part in line.split()):
                announced, size = map(int, line.split())
                continue
            size = size or cells
            if cells < size or size < 1:
                rule = f"must have a word and {size} numbers" if size else "must have a word and its numbers"
                raise InputError(f"{path}, line {number} {rule}. Received: {brief(_shown(line))} with {cells}.")
            count += 1
            word = spelled.get(line.rsplit(b" ", size)[0] if cells > size else line.partition(b" ")[0])
            if cells > size and _is_number(line.rsplit(b" ", size)[0].rpartition(b" ")[2]):
                raise InputError(f"{path}, line {number} must have a word and {size} numbers. Received: {cells} numbers.")
            if word is not None and word not in found:
                found[word] = _numbers(path, number, line, size)
    if announced is not None and count < announced:
        raise InputError(f"{path} must have the {announced} words that its first line counts. Received: {count}.")
    return found


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


@contextmanager
def _lines(path: Path, progress: bool) -> Iterator[Iterator[tuple[int, bytes]]]:
    from tqdm import tqdm

    packed = path.name.lower().endswith(".gz")
    bar = tqdm(
        total=os.path.getsize(path), unit="B", unit_scale=True, desc=path.name, delay=5, leave=False, disable=not progress
    )
    with open(path, "rb") as raw, gzip.GzipFile(fileobj=raw) as unpacked, bar:
        try:
            yield _counted(unpacked if packed else raw, raw, bar)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path} must be a readable file of word vectors. Received: {error}.") from None


def _counted(file: Iterable[bytes], raw: IO[bytes], bar: Any) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(file, start=1):
        stripped = b" ".join(line.split()) if b"\t" in line else line.strip(b" \r\n")
        if number % 10_000 == 0:
            bar.update(raw.tell() - bar.n)
        if stripped:
            yield number, stripped
