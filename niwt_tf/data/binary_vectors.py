"""Reads the vectors of wanted words from word2vec's binary form: a line of two counts, then a word, a blank and its numbers.

Only the wanted vectors are kept, so that neither a large file nor a first line that lies takes much memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from niwt_tf.data.vector_stream import VectorStream, opened
from niwt_tf.errors import InputError, brief

MOST_NUMBERS = 100_000  # of one vector
_MOST_LETTERS = 10_000  # of one word, in bytes
_CHUNK = 1 << 20
_SHOWN_AFTER = 10_000
_FACEBOOK = (793712314).to_bytes(4, "little")  # fastText's magic number


def read_binary(path: Path, spelled: Mapping[bytes, str], progress: bool = False) -> dict[str, np.ndarray]:
    """Return the vector, float32 [K], of every spelling that the file has; the first of two counts.

    Args:
        path: of the file; packed if its name ends in .gz.
        spelled: the wanted words by their bytes.
        progress: show a bar if reading takes over 5 seconds.

    Raises:
        InputError: it has another form, or does not hold what its first line counts.
    """
    found: dict[str, np.ndarray] = {}
    with opened(path, progress) as stream:
        count, size = _counts(path, stream.line(_MOST_LETTERS))
        number = 0
        for number, (letters, numbers) in enumerate(_records(path, stream, count, size), start=1):
            word = spelled.get(letters)
            if word is not None and word not in found:
                found[word] = np.frombuffer(numbers, "<f4").astype(np.float32)
            if number % _SHOWN_AFTER == 0:
                stream.show()
    return found


def _counts(path: Path, line: bytes) -> tuple[int, int]:
    if line.startswith(_FACEBOOK):
        raise InputError(f"{path} must be word2vec's binary form. Received: fastText's own; give its .vec file.")
    counts = re.fullmatch(rb"(\d{1,18})\s+(\d{1,18})\s*", line)
    count, size = (int(counts[1]), int(counts[2])) if counts else (0, 0)
    if count < 1 or not 1 <= size <= MOST_NUMBERS:
        rule = f"must count words and the numbers of each, from 1 to {MOST_NUMBERS:,}, as word2vec's binary form does"
        raise InputError(f"{path}, line 1 {rule}. Received: {brief(line[:80].decode(errors='replace').strip())}.")
    return count, size


def _records(path: Path, stream: VectorStream, count: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the letters of each word and the bytes of its numbers."""
    announced = f"{path} must have the {count} vectors of {size} numbers that its first line counts. Received:"
    held, start, width = b"", 0, 4 * size
    for number in range(1, count + 1):
        blank = held.find(b" ", start)
        while blank < 0 or blank + 1 + width > len(held):
            if blank < 0 and len(held) - start > _MOST_LETTERS:
                raise InputError(f"{announced} no word before vector {number}.")
            more = stream.read(max(_CHUNK, width))
            if not more:
                raise InputError(f"{announced} {number - 1}.")
            held, start = held[start:] + more, 0
            blank = held.find(b" ")
        # Some programs end a vector with a line's end, others do not.
        yield held[start:blank].lstrip(b"\n"), memoryview(held)[blank + 1 : blank + 1 + width]
        start = blank + 1 + width
    if (held[start:] + stream.read(_CHUNK)).strip(b"\n"):
        raise InputError(f"{announced} more after them.")
