"""A folder of tables that keep what frozen networks made of images, so that it is computed once.

A table's name is a fingerprint of all that its rows depend on, so rows of other weights or of another layer are never found.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import shutil
import struct
import weakref
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.feature_rows import holds_features
from niwt_tf.data.schema import Images
from niwt_tf.errors import check_choice
from niwt_tf.files import fingerprint, read_json, write_json

FORMAT = 1
DTYPES = ("float32", "float16")
GIGABYTE = 10**9
# Maps leave room for features, which are far smaller and asked for more often.
_MAPS_SHARE = 0.75
_LOG = logging.getLogger("niwt_tf")


class RowCache:
    """Tables of rows in one folder, which several processes may share. Nothing is written before the first row is.

    No failure of the cache ends a run: it is told in one sentence, and what is not cached is computed.

    Args:
        folder: of the tables.
        max_bytes: most bytes of rows in it; 0 keeps nothing.
        dtype: float32 or float16; whoever computes rows rounds them to it, so that a cold and a warm cache give the same.

    Raises:
        InputError: another dtype.
    """

    def __init__(self, folder: Path, max_bytes: int, dtype: str = "float32") -> None:
        self.folder, self.max_bytes = Path(folder), int(max_bytes)
        self.dtype = check_choice("cache_dtype", dtype, DTYPES)
        self._stopped = self.max_bytes <= 0
        self._tables: dict[str, RowTable] = {}
        self._full: set[str] = set()
        self._told: dict[str, int] = {}

    def key(self, kind: str, shape: tuple[int, ...], made_from: Mapping[str, Any]) -> str:
        """Return the name of a table: of "maps", "pooled" or "features", the shape of a row and all that rows depend on."""
        return f"{kind}-{fingerprint(self._record(kind, shape, made_from))}"

    def _record(self, kind: str, shape: tuple[int, ...], made_from: Mapping[str, Any]) -> dict[str, Any]:
        return {"format": FORMAT, "kind": kind, "shape": list(shape), "dtype": self.dtype, "made_from": dict(made_from)}

    def table(self, kind: str, shape: tuple[int, ...], made_from: Mapping[str, Any], *, make: bool = True) -> RowTable | None:
        """Return the table of that key, or None where there is none (and it is not to be made, or cannot be).

        A folder of that name whose own record says something else is refused and made anew.
        """
        key = self.key(kind, shape, made_from)
        if key in self._tables:
            return self._tables[key]
        path = self.folder / key
        if self.max_bytes <= 0 or not (path.exists() or (make and not self._stopped)):
            return None
        try:
            with self._locked():
                record = self._record(kind, shape, made_from)
                if path.exists() and _recorded(path) != record:
                    _LOG.warning(
                        "The %s in %s were made by another network (other fingerprint). They are computed again.", kind, path,
                    )
                    shutil.rmtree(path)
                if not path.exists():
                    path.mkdir()
                    write_json(path / "table.json", record)
                os.utime(path / "table.json")
                table = RowTable(path, shape, self.dtype)
                _hold(table, path / "table.json")
        except OSError as error:
            self._stop(error)
            return None
        self._tables[key] = table
        self.tell_damage(table)
        return table

    def store(self, kind: str, table: RowTable, identities: np.ndarray, rows: np.ndarray, total: int) -> bool:
        """Append rows [B, *shape] unless the cache is full or has failed, and return whether it will take more.

        Identities are uint64 [B, 2], and rows are rounded to what the cache holds already. `total` is how many the present pass
        would like to keep, for the message when they do not fit.
        """
        if self._stopped or kind in self._full:
            return False
        try:
            wanted = len(rows) * table.row_bytes
            if not self._fits(kind, wanted):
                self._make_room()
            if not self._fits(kind, wanted):
                self._full.add(kind)
                _LOG.warning(
                    "--cache_gb=%.3g is full: the %s of %d images would take %.3g GB. Those that do not fit are computed "
                    "again each time they are needed.",
                    self.max_bytes / GIGABYTE,
                    kind,
                    total,
                    total * table.row_bytes / GIGABYTE,
                )
                return False
            table.append(identities, rows)
        except OSError as error:
            self._stop(error)
            return False
        return True

    def tell_damage(self, table: RowTable) -> None:
        """Say that rows are torn, once for each table and more of them."""
        key = next((name for name, opened in self._tables.items() if opened is table), "")
        if table.damaged > self._told.get(key, 0):
            if not self._told.get(key):
                _LOG.warning(
                    "The cache %s is damaged (cut short or changed): at least %d of its rows are computed again.",
                    self.folder / key,
                    table.damaged,
                )
            self._told[key] = table.damaged

    def _fits(self, kind: str, wanted: int) -> bool:
        held = {"maps": 0, "all": 0}
        for name in os.listdir(self.folder):
            try:
                size = os.stat(os.path.join(self.folder, name, "rows.bin")).st_size
            except OSError:  # the lock, or a table that another process has just removed
                continue
            held["all"] += size
            held["maps"] += size if name.startswith("maps-") else 0
        most = self.max_bytes * _MAPS_SHARE if kind == "maps" else float("inf")
        return held["all"] + wanted <= self.max_bytes and held["maps"] + wanted <= most

    def _make_room(self) -> None:
        """Remove the tables that no process has open: rows of networks that have changed since."""
        with self._locked():
            for record in sorted(self.folder.glob("*/table.json"), key=lambda path: path.stat().st_mtime):
                descriptor = os.open(record, os.O_RDONLY)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                else:
                    shutil.rmtree(record.parent)
                finally:
                    os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder while a table is made or removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _stop(self, error: OSError) -> None:
        if not self._stopped:
            _LOG.warning("The cache %s cannot be written any more (%s). The run goes on without it.",
            self.folder, error.strerror or error)
        self._stopped = True


def _recorded(path: Path) -> Any:
    try:
        return read_json(path / "table.json")
    except (OSError, ValueError):
        return None


def _hold(table: RowTable, record: Path) -> None:
    """Keep the table from being removed by another process for as long as it is in use here."""
    descriptor = os.open(record, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    weakref.finalize(table, os.close, descriptor)


_HEADER = struct.Struct("<4I")  # magic, rows, checksum of the rows, checksum of the record
_MAGIC = 0x5254574E
_IDENTITY_BYTES = 16


# Rows of one shape on the disk, found by what they were made from: the file format under the row cache.
#
# Two files only ever grow. `rows.bin` holds the rows. `index.bin` is a journal of blocks: one record for each append, with the
# identities of its rows, their checksum and its own. Data are written before the record that names them, so whatever a killed
# process leaves behind was never a row. A later row of the same identity replaces an earlier one. Several processes may use a
# table at once: each append holds a file lock, takes in what others have appended, and leaves out what is there by then.


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


_THREADS = 8
_CHUNK = 2048


class RowIndex:
    """Identities of 128 bits in sorted runs of growing length; runs of like length are merged, so adding is cheap."""

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, identities: np.ndarray, first_row: int) -> None:
        """Take in identities (uint64 [M, 2]) of rows from `first_row` on; they replace earlier rows of the same identity."""
        self._push(identities[:, 0], identities[:, 1], np.arange(first_row, first_row + len(identities)))
        while len(self._runs) > 1 and 2 * len(self._runs[-1][2]) > len(self._runs[-2][2]):
            newer, older = self._runs.pop(), self._runs.pop()
            self._push(*(np.concatenate(pair) for pair in zip(older, newer, strict=True)))

    def _push(self, first: np.ndarray, second: np.ndarray, rows: np.ndarray) -> None:
        order = np.argsort(first, kind="stable")  # of equal ones the latest comes last
        self._runs.append((first[order], second[order], rows[order]))

    def find(self, identities: np.ndarray) -> np.ndarray:
        """Return the latest row of each identity (uint64 [M, 2]), int64 [M], -1 where there is none."""
        found = np.full(len(identities), -1, np.int64)
        for first, second, rows in self._runs:
            place = np.searchsorted(first, identities[:, 0], side="right") - 1
            hit = (place >= 0) & (first[place] == identities[:, 0]) & (second[place] == identities[:, 1])
            found[hit] = rows[place[hit]]
        return found


def identities_of(images: Images) -> np.ndarray:
    """Return what tells image files apart without reading them, uint64 [M, 2]: hashes of path, number, size and times.

    Raises:
        OSError: an image is not there.
    """
    root = os.path.abspath(images.root)
    of_file = _state(root) if holds_features(images.root) else None
    chunks = [images.paths[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as threads:
        hashes = b"".join(threads.map(lambda paths: b"".join(_identity(root, path, of_file) for path in paths), chunks))
    return np.frombuffer(hashes, np.uint64).reshape(-1, 2)


def _identity(root: str, path: str, of_file: str | None) -> bytes:
    full = os.path.join(root, path)
    state = _state(full) if of_file is None else of_file
    return hashlib.blake2b(os.fsencode(f"{full}\0{state}"), digest_size=16).digest()


def _state(path: str) -> str:
    state = os.stat(path)
    # A file that takes another's place keeps the time of its writing, but not that of its last change of any kind. Of two files
    # that were written in one tick of the clock a link may lead to either.
    return f"{state.st_ino}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ctime_ns}"
