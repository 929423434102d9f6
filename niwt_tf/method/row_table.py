"""Rows of one shape on the disk, found by what they were made from: the file format under the row cache.

Two files only ever grow. `rows.bin` holds the rows. `index.bin` is a journal of blocks: one record for each append, with the
identities of its rows, their checksum and its own. Data are written before the record that names them, so whatever a killed
process leaves behind was never a row. A later row of the same identity replaces an earlier one. Several processes may use a
table at once: each append holds a file lock, takes in what others have appended, and leaves out what is there by then.

Dimensions: M rows asked for, R rows held.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from niwt_tf.method.row_index import RowIndex

_HEADER = struct.Struct("<4I")  # magic, rows, checksum of the rows, checksum of the record
_MAGIC = 0x5254574E
_IDENTITY_BYTES = 16


class RowTable:
    """Rows in the folder `folder`, which is made if need be.

    Attributes:
        shape: of a row.
        dtype: float32 or float16, as stored.
        row_bytes: size of a stored row.
        damaged: rows that were found to be torn or changed since the table was opened; they are never given out.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        """Open or make the table.

        Raises:
            OSError: the files cannot be made or read.
        """
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.row_bytes = int(np.prod(shape)) * self.dtype.itemsize
        self.damaged = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._data, self._journal = self._opened(folder / "rows.bin"), self._opened(folder / "index.bin")
        self._parsed = 0
        self._index = RowIndex()
        self._ends: list[int] = []  # of the blocks, in rows
        self._sums: list[int] = []
        self._verified: set[int] = set()
        self._bad: set[int] = set()
        self.refresh()

    def _opened(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def refresh(self) -> None:
        """Take in what was appended since, by whichever process."""
        size = os.fstat(self._journal).st_size
        if size <= self._parsed:
            return
        text = os.pread(self._journal, size - self._parsed, self._parsed)
        present = os.fstat(self._data).st_size // self.row_bytes
        done = 0
        while done + _HEADER.size <= len(text):
            magic, count, checksum, own = _HEADER.unpack_from(text, done)
            end = done + _HEADER.size + count * _IDENTITY_BYTES
            if magic != _MAGIC or end > len(text):
                break
            identities = text[done + _HEADER.size : end]
            if own != _record_checksum(count, checksum, identities):
                break
            first = len(self)
            self._ends.append(first + count)
            self._sums.append(checksum)
            if self._ends[-1] > present:
                self._refuse(len(self._ends) - 1)
            self._index.add(np.frombuffer(identities, np.uint64).reshape(count, 2), first)
            done = end
        self._parsed += done

    def find(self, identities: np.ndarray) -> np.ndarray:
        """Return the row of each identity (uint64 [M, 2]), int64 [M], -1 where there is none."""
        rows = self._index.find(identities)
        if self._bad:
            held = np.flatnonzero(rows >= 0)
            bad = np.isin(self._blocks_of(rows[held]), list(self._bad))
            rows[held[bad]] = -1
        return rows

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rows (int [M] of indices from `find`) as float32 [M, *shape], and bool [M], which of them are sound.

        A block's checksum is compared when one of its rows is first read. Rows that are not sound are left undefined.
        """
        every = self._mapped()
        sound = self._verify(rows, every)
        values = np.zeros((len(rows), *self.shape), np.float32)
        values[sound] = every[rows[sound]]
        return values, sound

    def view(self, rows: np.ndarray) -> np.ndarray | None:
        """Return float32 rows that follow each other as a read-only view of the file, or None where there is no such view."""
        if self.dtype != np.float32 or not len(rows) or rows[0] < 0 or (np.diff(rows) != 1).any():
            return None
        every = self._mapped()
        if not self._verify(rows, every).all():
            return None
        return every[int(rows[0]) : int(rows[-1]) + 1]

    def append(self, identities: np.ndarray, values: np.ndarray) -> None:
        """Write rows that are not there yet, with identities uint64 [M, 2] and values [M, *shape], as one block.

        Raises:
            OSError: the disk is full or fails; the table is as it was.
        """
        with self._locked():
            self.refresh()
            fresh = np.flatnonzero(self.find(identities) < 0)
            if not len(fresh):
                return
            if os.fstat(self._journal).st_size > self._parsed:
                os.ftruncate(self._journal, self._parsed)  # the record of a process that was killed as it wrote
            data = np.ascontiguousarray(values[fresh], self.dtype).tobytes()
            names = np.ascontiguousarray(identities[fresh], np.uint64).tobytes()
            checksum = zlib.crc32(data)
            header = _HEADER.pack(_MAGIC, len(fresh), checksum, _record_checksum(len(fresh), checksum, names))
            _write(self._data, data, len(self) * self.row_bytes)
            _write(self._journal, header + names, self._parsed)
            before = len(self._ends)
            self.refresh()
            self._verified.update(range(before, len(self._ends)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._journal, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._journal, fcntl.LOCK_UN)

    def _mapped(self) -> np.ndarray:
        """Return the whole file as an array; only what is looked at is read, and it is let go with the array."""
        length = min(len(self) * self.row_bytes, os.fstat(self._data).st_size)
        length -= length % self.row_bytes
        if not length:
            return np.empty((0, *self.shape), self.dtype)
        mapped = mmap.mmap(self._data, length, prot=mmap.PROT_READ)
        return np.frombuffer(mapped, self.dtype).reshape(-1, *self.shape)

    def _verify(self, rows: np.ndarray, every: np.ndarray) -> np.ndarray:
        blocks = self._blocks_of(rows)
        for block in set(blocks.tolist()) - self._verified - self._bad:
            start, end = self._ends[block - 1] if block else 0, self._ends[block]
            if end <= len(every) and zlib.crc32(every[start:end].data) == self._sums[block]:
                self._verified.add(block)
            else:
                self._refuse(block)
        return ~np.isin(blocks, list(self._bad)) if self._bad else np.ones(len(rows), bool)

    def _refuse(self, block: int) -> None:
        self._bad.add(block)
        self.damaged += self._ends[block] - (self._ends[block - 1] if block else 0)

    def _blocks_of(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(np.array(self._ends, np.int64), rows, side="right")


def _record_checksum(count: int, checksum: int, identities: bytes) -> int:
    return zlib.crc32(identities, zlib.crc32(struct.pack("<3I", _MAGIC, count, checksum)))


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while len(view):
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
