"""A folder of tables that keep what frozen networks made of images, so that it is computed once.

A table's name is a fingerprint of all that its rows depend on, so rows of other weights or of another layer are never found.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.errors import check_choice
from niwt_tf.files import fingerprint, read_json, write_json
from niwt_tf.method.row_table import RowTable

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
        """Return the name of a table.

        Args:
            kind: "maps", "pooled" or "features".
            shape: of a row.
            made_from: all that rows depend on, as JSON.
        """
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
                    _LOG.warning("The %s in %s are not of this network by their fingerprint: they are made anew.", kind, path)
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

        Args:
            kind: of the table.
            table: where they belong.
            identities: uint64 [B, 2].
            rows: already rounded to what the cache holds.
            total: how many rows the present pass would like to keep, for the message when they do not fit.
        """
        if self._stopped or kind in self._full:
            return False
        most = self.max_bytes * (_MAPS_SHARE if kind == "maps" else 1.0)
        try:
            wanted = len(rows) * table.row_bytes
            if self._held(kind) + wanted > most or self._held() + wanted > self.max_bytes:
                self._make_room()
            if self._held(kind) + wanted > most or self._held() + wanted > self.max_bytes:
                self._full.add(kind)
                _LOG.warning(
                    "--cache_gb=%.3g is full: the %s of %d images would take %.3g GB. Those that do not fit are computed "
                    "again whenever they are needed.",
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

    def bytes_held(self) -> int:
        """Return the bytes of rows in the folder, of every table."""
        return self._held()

    def _held(self, kind: str = "") -> int:
        total = 0
        for entry in self.folder.glob(f"{kind}*/rows.bin"):
            try:
                total += entry.stat().st_size
            except FileNotFoundError:  # another process has just made room
                continue
        return total

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
            _LOG.warning("The cache %s takes nothing more (%s): the run goes on without.", self.folder, error.strerror or error)
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
