"""Photographs that are there more than once: under two classes, or both to train and to test on.

Files are identical by a digest. Pictures that look the same (saved again, smaller, lighter, mirrored) are found by a perceptual
hash, the signs of the lowest frequencies of the picture in grey, and confirmed by the correlation of small pictures in colour.
TensorFlow is not imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from niwt_tf.data.images.foreign import stored_bytes
from niwt_tf.data.schema import Dataset

_SIDE, _FREQUENCIES, _SMALL = 32, 8, 16
# Of 63 signs so many may differ, and the small pictures must be as alike as this. Of 956,000 pairs of 1,383 photographs of
# animals these find all 42 pairs of copies and one of two photographs of one moment; of 4,500,000 pairs of drawn birds none.
_MOST_SIGNS, _LEAST_CORRELATION = 12, 0.93
_LEAST_CONTRAST = 2.0  # standard deviation of brightness in 0..255; below, a picture shows nothing that could be the same
_MIRRORED = np.tile(np.where(np.arange(_FREQUENCIES) % 2, -1.0, 1.0), _FREQUENCIES)[1:].astype(np.float32)
_ROWS, _PAIRS = 1024, 4096  # compared at a time


class Appearance(NamedTuple):
    """What two pictures of the same have in common: signs, int8 [63], and a small picture, uint8 [16, 16, 3]."""

    signs: np.ndarray
    small: np.ndarray

    @property
    def is_plain(self) -> bool:
        """Whether the picture is of one colour."""
        return float(self.small.astype(np.float32).mean(axis=2).std()) < _LEAST_CONTRAST


def image_digest(stored: bytes) -> bytes:
    """Return 16 bytes that tell the contents of an image file from others."""
    return hashlib.blake2b(stored, digest_size=16).digest()


def digest_of_image(path: Path) -> bytes:
    """Return `image_digest` of a file.

    Raises:
        OSError: it cannot be read.
    """
    return image_digest(stored_bytes(path))


class Duplicates(NamedTuple):
    """Groups of paths whose pictures are the same, each in one of three lists."""

    across_classes: list[tuple[str, ...]]
    across_roles: list[tuple[str, ...]]  # of one class, to train and to test on
    within: list[tuple[str, ...]]  # of one class and one role


def look_of(pixels: np.ndarray) -> Appearance:
    """Return the look of a picture, uint8 [height, width, 3]."""
    from PIL import Image
    from scipy.fft import dctn

    # Of a large picture every so many pixels are enough, and there are eight times eight of them to average over.
    step = max(1, min(pixels.shape[:2]) // (8 * _SIDE))
    part = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step]))
    grey = np.asarray(part.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    lowest = dctn(grey, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]
    small = np.asarray(part.resize((_SMALL, _SMALL), Image.Resampling.BOX))
    return Appearance(np.where(lowest > 0, 1, -1).astype(np.int8), small)


def duplicates_in(dataset: Dataset, digests: Mapping[str, bytes]) -> Duplicates:
    """Return which images of a data set with a split are there more than once; the digests of their files are by path."""
    groups: dict[bytes, list[int]] = {}
    for place, path in enumerate(dataset.paths):
        if path in digests:
            groups.setdefault(digests[path], []).append(place)
    return _parted(dataset, groups.values())


def near_duplicates_in(dataset: Dataset, digests: Mapping[str, bytes], looks: Mapping[str, Appearance]) -> Duplicates:
    """Return which images of a data set with a split look the same; files that are identical are told by `duplicates_in`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[bytes, int] = {}
    for place, path in enumerate(dataset.paths):
        if path in looks and not looks[path].is_plain:
            first.setdefault(digests[path], place)
    places = np.array(sorted(first.values()), np.int64)
    pairs = pairs_alike([looks[dataset.paths[place]] for place in places])
    joined = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(places),) * 2)
    _, group_of = connected_components(joined, directed=False)
    return _parted(dataset, (places[group_of == group].tolist() for group in np.unique(group_of[pairs[:, 0]])))


def pairs_alike(looks: Sequence[Appearance]) -> np.ndarray:
    """Return the pairs of pictures that look the same, upright or mirrored, int64 [P, 2], the lower place first."""
    if len(looks) < 2:
        return np.zeros((0, 2), np.int64)
    signs = np.stack([look.signs for look in looks]).astype(np.float32)
    least = signs.shape[1] - 2 * _MOST_SIGNS
    found = []
    for turned in (np.ones_like(_MIRRORED), _MIRRORED):
        candidates = []
        for start in range(0, len(signs), _ROWS):
            rows, columns = np.nonzero(signs[start : start + _ROWS] @ (turned * signs[start:]).T >= least)
            candidates.append(np.stack([rows, columns], axis=1)[rows < columns] + start)
        pairs, mirrored = np.concatenate(candidates), bool((turned < 0).any())
        alike = [_alike(looks, pairs[at : at + _PAIRS], mirrored) for at in range(0, len(pairs), _PAIRS)]
        found.append(pairs[np.concatenate([np.zeros(0, bool), *alike])])
    return np.unique(np.concatenate(found), axis=0)


def _alike(looks: Sequence[Appearance], pairs: np.ndarray, mirrored: bool) -> np.ndarray:
    """Return of which pairs the small pictures correlate enough, bool [P]."""
    left, right = (np.stack([looks[place].small for place in side]).astype(np.float32) for side in pairs.T)
    right = right[:, :, ::-1] if mirrored else right
    left, right = (side - side.mean(axis=(1, 2), keepdims=True) for side in (left, right))
    norms = np.sqrt((left**2).sum(axis=(1, 2, 3)) * (right**2).sum(axis=(1, 2, 3)))
    return np.asarray((left * right).sum(axis=(1, 2, 3)) >= _LEAST_CORRELATION * norms)


def _parted(dataset: Dataset, groups: Iterable[Sequence[int]]) -> Duplicates:
    """Return groups of places, those of more than one, by whether they are of several classes or of several roles."""
    assert dataset.split is not None
    trained = set(dataset.split.train.tolist())
    found = Duplicates([], [], [])
    for places in groups:
        if len(places) > 1:
            several = len({int(dataset.labels[place]) for place in places}) > 1
            mixed = len({place in trained for place in places}) > 1
            found[0 if several else 1 if mixed else 2].append(tuple(dataset.paths[place] for place in places))
    return found
