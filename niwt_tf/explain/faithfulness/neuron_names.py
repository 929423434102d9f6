"""Whether neurons respond to what they are named after: on the test images, and inside of the named part.

Dimensions: M test images, N neurons, K attributes, B images of a batch, P neurons whose name is about a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness.masks import over_positions, parts_of_group
from niwt_tf.explain.faithfulness.measures import area_share, energy_in_parts
from niwt_tf.explain.faithfulness.truth import ImageTruth
from niwt_tf.explain.neurons import GOOD_AUC
from niwt_tf.metrics.auc import separation_auc
from niwt_tf.metrics.intervals import Figure, clustered_mean, clustered_share

# Ranks and AUCs that are held at a time.
_BLOCK_ENTRIES = 4_000_000


def named_attributes(explainer: Explainer) -> np.ndarray:
    """Return the place of the attribute that names each neuron, int64 [N]; -1 where none does."""
    places = {name: place for place, name in enumerate(explainer.attribute_names)}
    return np.array([places[name] if name else -1 for name in explainer.neuron_names], np.int64)


@dataclass(frozen=True)
class NameQuality:
    """How well names fit on one set of images.

    `auc` float64 [N] is of the neuron's largest activation for the attribute of its name; NaN without a name, or where every
    image has it or no one. Over the named neurons `mean_auc` is its mean and `good` the share above GOOD_AUC; None without.
    """

    auc: np.ndarray
    mean_auc: Figure | None
    good: Figure | None


def name_quality(
    pooled: np.ndarray, present: np.ndarray, attributes: np.ndarray, *, progress: bool = False
) -> NameQuality:
    """Measure names on M images; chance is what the same neurons would reach with every name but their own in turn.

    Neurons that share a name are no independent evidence, so intervals take each name as one observation. They hold for these
    images: that other images would give other figures is not in them. Pooled [M, N] are the largest activations, `present` is
    bool [M, K], attributes [N] are as `named_attributes` gives.
    """
    auc = np.full(len(attributes), np.nan)
    named = attributes >= 0
    if not named.any() or not len(pooled):
        return NameQuality(auc, None, None)
    chances = _Chances()
    size = max(1, _BLOCK_ENTRIES // max(present.shape))
    with tqdm(total=int(named.sum()), desc="judging names", unit="neuron", delay=5, leave=False, disable=not progress) as bar:
        neurons = np.flatnonzero(named)
        for block in (neurons[start : start + size] for start in range(0, len(neurons), size)):
            auc[block] = chances.add(separation_auc(pooled[:, block], present), attributes[block])
            bar.update(len(block))
    measured = named & np.isfinite(auc)
    if not measured.any():
        return NameQuality(auc, None, None)
    good = auc[measured] > GOOD_AUC
    figures = clustered_mean(auc[measured], attributes[measured]), clustered_share(good, attributes[measured])
    for figure, chance in zip(figures, chances.figures(), strict=True):
        if chance is not None:
            figure["chance"] = chance
        if measured.sum() < named.sum():
            figure["left_out"] = int(named.sum() - measured.sum())
    return NameQuality(auc, *figures)


class _Chances:
    """What neurons reach with names that are not theirs, summed up block by block."""

    def __init__(self) -> None:
        self._sum, self._good, self._count = 0.0, 0, 0

    def add(self, every: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Take in the AUCs [B, K] of neurons for all attributes and return those for their own, the attributes `own` [B]."""
        rows = np.arange(len(own))
        result = every[rows, own]
        others = every[np.isfinite(result)]
        others[np.arange(len(others)), own[np.isfinite(result)]] = np.nan
        finite = np.isfinite(others)
        self._sum += float(others[finite].sum())
        self._good += int((others[finite] > GOOD_AUC).sum())
        self._count += int(finite.sum())
        return np.asarray(result)

    def figures(self) -> tuple[float, float] | tuple[None, None]:
        """Return their mean AUC and the share of AUCs above GOOD_AUC."""
        return (self._sum / self._count, self._good / self._count) if self._count else (None, None)


class PartEnergy:
    """Where neurons that are named after a part respond, on images that have the attribute and show the part.

    By neuron, `parts` are those that its name is about. `energy` [M] is the mean, over an image's named neurons, of
    the share of their activation near the part, NaN without any; `chance` [M] that of the share of the object's box near the
    part.
    """

    def __init__(self, explainer: Explainer, truth: ImageTruth, shape: tuple[int, int], size: int) -> None:
        """Take maps of `shape`, of images of `size` pixels."""
        count = len(truth.images)
        self.energy, self.chance = np.full(count, np.nan), np.full(count, np.nan)
        self._truth, self._shape, self._size = truth, shape, size
        self._attributes = named_attributes(explainer)
        self.parts: dict[int, tuple[int, ...]] = {}
        if truth.parts is not None:
            groups = explainer.attribute_groups
            found = {n: parts_of_group(groups[k], truth.part_names) for n, k in enumerate(self._attributes) if k >= 0}
            self.parts = {n: parts for n, parts in found.items() if parts}
        self._neurons = np.array(list(self.parts), np.int64)
        self._kinds = list(dict.fromkeys(self.parts.values()))
        self._kind = np.array([self._kinds.index(parts) for parts in self.parts.values()], np.int64)
        self._sums = np.zeros((3, len(self._neurons)))
        self._frame = over_positions(np.ones((size, size)), shape)

    def add(self, maps: np.ndarray, rows: np.ndarray, box: np.ndarray) -> None:
        """Take in the activation maps [B, H, W, N] of the test images `rows`, whose boxes are the masks [B, size, size]."""
        if not len(self._neurons):
            return
        shares, masks = np.empty((len(rows), len(self._kinds))), np.empty((len(rows), len(self._kinds), *self._shape))
        for kind, parts in enumerate(self._kinds):
            near = self._truth.near_parts(rows, parts, self._size)
            shares[:, kind], masks[:, kind] = area_share(near, box), over_positions(near * box, self._shape)
        shares = shares[:, self._kind]
        energies = energy_in_parts(maps[..., self._neurons], masks, self._frame)
        energy = energies[:, np.arange(len(self._neurons)), self._kind]
        has = self._truth.present[rows][:, self._attributes[self._neurons]]
        valid = has & (shares > 0) & np.isfinite(energy)
        self._sums += [np.where(valid, each, 0.0).sum(axis=0) for each in (energy, shares, np.ones_like(energy))]
        counts = valid.sum(axis=1)
        for result, values in ((self.energy, energy), (self.chance, shares)):
            sums = np.where(valid, values, 0.0).sum(axis=1)
            result[rows] = np.divide(sums, counts, out=np.full(len(rows), np.nan), where=counts > 0)

    def of_neurons(self) -> Mapping[int, tuple[float, float]]:
        """Return, by neuron, its mean share near the part and the mean share of the box; only of those that were measured."""
        *sums, counts = self._sums
        measured = np.flatnonzero(counts)
        means = zip(*((each[measured] / counts[measured]).tolist() for each in sums), strict=True)
        return dict(zip(self._neurons[measured].tolist(), means, strict=True))
