"""The images, and the regions in them, that activate each neuron most.

Images stream past once; only the winners' activation maps are kept. Dimensions: B images, H x W positions, N neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PART_OF_PEAK = 0.5  # a region is where the activation is at least this part of its peak


@dataclass(frozen=True)
class Activating:
    """Each neuron's top activating images, strongest first.

    `images` int64 [N, keep] are indices, -1 where no further image activates the neuron; its values, float32 [N, keep], are the
    map's maxima over positions, its regions, float32 [N, keep, 4], x0, y0, x1, y1 in fractions of width and height; 0 without
    image.
    """

    images: np.ndarray
    values: np.ndarray
    regions: np.ndarray


class TopActivating:
    """Takes in maps batch by batch; the result does not depend on the batches or their order."""

    def __init__(self, num_neurons: int, keep: int = 4) -> None:
        """Start without images; `keep` is how many are kept for each neuron."""
        self._keep = keep
        self._images = np.full((num_neurons, keep), -1, np.int64)
        self._values = np.zeros((num_neurons, keep), np.float32)
        self._maps: np.ndarray | None = None

    def add(self, maps: np.ndarray, first: int) -> None:
        """Take in activation maps [B, H, W, N] of the images `first`, `first` + 1, and so on.

        Only values above 0 activate; of equal ones the image with the smaller index comes first.
        """
        maps = np.asarray(maps, np.float32)
        if not len(maps):
            return
        if self._maps is None:
            self._maps = np.zeros((*self._values.shape, *maps.shape[1:3]), np.float32)
        peaks = maps.max(axis=(1, 2)).T
        peaks = np.where(peaks > 0, peaks, 0.0)
        changed = np.flatnonzero((peaks.max(axis=1) >= self._values[:, -1]) & (peaks.max(axis=1) > 0))
        if not len(changed):
            return
        rows = np.argsort(-peaks[changed], axis=1, kind="stable")[:, : self._keep]
        new = np.take_along_axis(peaks[changed], rows, axis=1)
        values = np.concatenate([self._values[changed], new], axis=1)
        images = np.concatenate([self._images[changed], np.where(new > 0, first + rows, -1)], axis=1)
        order = np.lexsort((images, -values), axis=1)[:, : self._keep]
        kept = np.zeros((len(changed), self._keep, *maps.shape[1:3]), np.float32)
        neuron, place = np.nonzero(order < self._keep)
        kept[neuron, place] = self._maps[changed[neuron], order[neuron, place]]
        neuron, place = np.nonzero(order >= self._keep)
        kept[neuron, place] = maps[rows[neuron, order[neuron, place] - self._keep], :, :, changed[neuron]]
        self._maps[changed] = kept
        self._values[changed] = np.take_along_axis(values, order, axis=1)
        self._images[changed] = np.take_along_axis(images, order, axis=1)

    def result(self) -> Activating:
        """Return the top images with the boxes of their regions.

        A region is made of the positions that are connected to the peak, side by side, through values of at least half of it.
        """
        regions = np.zeros((*self._values.shape, 4), np.float32)
        found = self._images >= 0
        if self._maps is not None and found.any():
            regions[found] = _boxes(_around_peaks(self._maps[found]))
        return Activating(self._images.copy(), self._values.copy(), regions)


def _around_peaks(maps: np.ndarray) -> np.ndarray:
    """Return bool [M, H, W], the region around the peak of each map [M, H, W], whose first peak is taken."""
    from scipy.ndimage import label

    flat = maps.reshape(len(maps), -1)
    side_by_side = np.zeros((3, 3, 3), int)  # within a map, never from one to the next
    side_by_side[1, 1], side_by_side[1, :, 1] = 1, 1
    regions, _ = label(maps >= _PART_OF_PEAK * flat.max(axis=1)[:, None, None], side_by_side)
    own = np.take_along_axis(regions.reshape(flat.shape), flat.argmax(axis=1)[:, None], axis=1)
    return np.asarray(regions == own[:, None])


def _boxes(regions: np.ndarray) -> np.ndarray:
    """Return x0, y0, x1, y1 [M, 4] in fractions, around the regions bool [M, H, W], none of them empty."""
    edges = []
    for axis in (1, 2):
        across = np.any(regions, axis=axis)
        length = across.shape[1]
        edges.append((across.argmax(axis=1) / length, 1.0 - across[:, ::-1].argmax(axis=1) / length))
    (x0, x1), (y0, y1) = edges
    return np.stack([x0, y0, x1, y1], axis=1)
