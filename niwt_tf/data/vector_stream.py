"""Opens a large file to be read once from its beginning, packed or not, and never more of it than a bounded piece."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from niwt_tf.errors import InputError


class VectorStream:
    """An open file of word vectors, with a bar over its bytes. Made by `opened`."""

    def __init__(self, file: IO[bytes], raw: IO[bytes], bar: Any) -> None:
        self._file, self._raw, self._bar = file, raw, bar

    def read(self, most: int) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        return self._file.read(most)

    def line(self, most: int) -> bytes:
        """Return the next line with its end, or at most so many bytes of it; nothing at the end of the file."""
        return self._file.readline(most)

    def show(self) -> None:
        """Bring the bar up to what was read."""
        self._bar.update(self._raw.tell() - self._bar.n)


@contextmanager
def opened(path: Path, progress: bool) -> Iterator[VectorStream]:
    """Open a file, unpacking it if its name ends in .gz.

    Args:
        path: of the file.
        progress: show a bar if reading takes over 5 seconds.

    Raises:
        InputError: it is damaged, as found while it is read.
    """
    from tqdm import tqdm

    packed = path.name.lower().endswith(".gz")
    bar = tqdm(
        total=os.path.getsize(path), unit="B", unit_scale=True, desc=path.name, delay=5, leave=False, disable=not progress
    )
    with open(path, "rb") as raw, gzip.GzipFile(fileobj=raw) as unpacked, bar:
        try:
            yield VectorStream(cast(IO[bytes], unpacked) if packed else raw, raw, bar)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path} must be a readable file of word vectors. Received: {error}.") from None
