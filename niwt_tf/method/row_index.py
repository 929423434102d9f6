"""From the identity of an image to a row: sorted arrays in memory, 24 bytes an image."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from niwt_tf.data.schema import Images

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
    """Return what tells image files apart without reading them, uint64 [M, 2]: hashes of path, size and time of writing.

    Raises:
        OSError: an image is not there.
    """
    root = os.path.abspath(images.root)
    chunks = [images.paths[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as threads:
        hashes = b"".join(threads.map(lambda paths: b"".join(_identity(root, path) for path in paths), chunks))
    return np.frombuffer(hashes, np.uint64).reshape(-1, 2)


def _identity(root: str, path: str) -> bytes:
    full = os.path.join(root, path)
    state = os.stat(full)
    return hashlib.blake2b(os.fsencode(f"{full}\0{state.st_size}\0{state.st_mtime_ns}"), digest_size=16).digest()
