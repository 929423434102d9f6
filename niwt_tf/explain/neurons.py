"""What each neuron stands for: the attribute that its activation goes along with, if that holds on images it was not found on.

A name is found on one half of the seen classes' images and checked on the other. It must pass three hurdles, or the neuron has
none: a correlation over classes that random orders of the classes do not reach, by a permutation test that counts that the
best of all attributes was taken (Westfall and Young 1993); a false-discovery rate over all neurons (Benjamini and Hochberg
1995); and an AUC on the held-out images. Names hold for seen classes: what a neuron answers to elsewhere nobody has looked at.

Dimensions: S seen classes, N neurons, K attributes, M images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Images
from niwt_tf.explain.words import varied
from niwt_tf.methods.task import Task
from niwt_tf.metrics.auc import auc_lower_bound, paired_auc

GOOD_AUC = 0.75  # what a named neuron must reach on held-out images
FALSE_DISCOVERIES = 0.1  # the share of names, before that check, that may be chance
_FEWEST_CLASSES = 3  # with an attribute above its mean, and as many below
_MOST_IMAGES = 2048
_BLOCK_ENTRIES = 4_000_000
_FEWEST_ORDERS, _MOST_ORDERS = 99, 1999
_PRODUCTS = 5e10  # a second or two
_DECIMALS = 9  # equal correlations must not be told apart by rounding
_CLOSE = 1e-5  # the same for correlations in float32


class Activations(NamedTuple):
    """Each neuron's largest activation in each image, float32 [M, N], and the images' classes, int [M] in 0..S-1."""

    values: np.ndarray
    labels: np.ndarray


class NeuronNames(NamedTuple):
    """The attribute that names each neuron [N], "" for none, and its AUC on held-out images, float32 [N], 0 without a name."""

    names: tuple[str, ...]
    aucs: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return both as arrays by name; `from_arrays` takes them back."""
        return {"neuron_names": np.array(self.names, np.str_), "neuron_aucs": self.aucs}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> NeuronNames:
        """Return what `arrays` gave."""
        return cls(tuple(arrays["neuron_names"].tolist()), arrays["neuron_aucs"])

    @classmethod
    def none(cls, num_neurons: int) -> NeuronNames:
        """Return no names."""
        return cls(("",) * num_neurons, np.zeros(num_neurons, np.float32))


def names_of(task: Task, attribute_names: Sequence[str]) -> NeuronNames:
    """Name the neurons of a task's network by its training images, checked on images that it holds out."""
    found = balanced_sample(task.partition.training.images, _MOST_IMAGES, task.settings.seed)
    first, second = (Activations(_largest(task.reader, images), images.labels) for images in (found, task.held_out))
    return name_neurons(first, second, task.descriptions.values, attribute_names)


def _largest(reader: Reader, images: Images) -> np.ndarray:
    parts = [np.asarray(batch).max(axis=(1, 2)) for batch in reader.map_batches(images, keep=False)]
    return np.concatenate(parts) if parts else np.empty((0, reader.network.num_neurons), np.float32)


def name_neurons(
    found: Activations, held_out: Activations, descriptions: np.ndarray, attribute_names: Sequence[str]
) -> NeuronNames:
    """Name each neuron by the attribute with the largest Pearson correlation with its class means, or not at all.

    p is the share of random orders of the classes' descriptions, the true one among them, in which some attribute goes along
    with the neuron as well as its own does. Of the neurons that a false-discovery rate of 10 % leaves, those keep their names
    that tell held-out images of classes with the attribute (above its mean) from others with an AUC whose lower 90 % bound is
    above 0.75: of many names that just reach it few do so again. The orders, 99 to 1,999 as there is time for, are always the
    same.

    An attribute counts where three seen classes or more are above its mean and as many below. Of equal correlations the first
    attribute names. Descriptions are raw [S, K].
    """
    neurons, classes = found.values.shape[1], len(descriptions)
    descriptions = np.asarray(descriptions, np.float64)
    present = descriptions > descriptions.mean(axis=0)
    above = present.sum(axis=0)
    attributes, varies = _standardised(descriptions)
    kept = np.flatnonzero(varies & (above >= _FEWEST_CLASSES) & (classes - above >= _FEWEST_CLASSES))
    nothing = NeuronNames.none(neurons)
    # A class of which there is no image cannot say anything of a neuron.
    if not len(kept) or not len(held_out.labels) or len(np.unique(found.labels)) < classes:
        return nothing
    means = np.stack([found.values[found.labels == label].mean(axis=0, dtype=np.float64) for label in range(classes)])
    directions, differs = _standardised(means)
    attributes = attributes[:, kept]
    orders = _orders(classes, _PRODUCTS / (classes * neurons * len(kept)))
    size = max(1, _BLOCK_ENTRIES // len(kept))
    best, chances = np.zeros(neurons, np.int64), np.ones(neurons)
    for start in range(0, neurons, size):
        block = slice(start, start + size)
        correlations = np.round(directions[:, block].T @ attributes, _DECIMALS)
        places = correlations.argmax(axis=1)
        best[block] = kept[places]
        largest = np.take_along_axis(correlations, places[:, None], axis=1)[:, 0]
        chances[block] = _chances(directions[:, block], attributes, largest, orders)
    passed = np.flatnonzero(_discovered(chances) & differs)
    having = present[held_out.labels][:, best[passed]]
    aucs = paired_auc(held_out.values[:, passed], having)
    good = np.isfinite(aucs) & (auc_lower_bound(aucs, having.sum(axis=0), len(having)) > GOOD_AUC)
    names = dict(zip(passed[good].tolist(), (attribute_names[k] for k in best[passed[good]]), strict=True))
    nothing.aucs[passed[good]] = aucs[good]
    return NeuronNames(tuple(names.get(neuron, "") for neuron in range(neurons)), nothing.aucs)


def _discovered(chances: np.ndarray) -> np.ndarray:
    """Return which of p [N] a false-discovery rate of `FALSE_DISCOVERIES` leaves, bool [N]."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(chances) <= FALSE_DISCOVERIES)


def _orders(classes: int, affordable: float) -> np.ndarray:
    """Return random orders of the classes, int [P, S]."""
    count = int(np.clip(affordable, _FEWEST_ORDERS, _MOST_ORDERS))
    return np.random.default_rng(0).permuted(np.tile(np.arange(classes), (count, 1)), axis=1)


def _chances(directions: np.ndarray, attributes: np.ndarray, largest: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return p [N] of the largest correlations [N] of standardised columns [S, N] and [S, K]."""
    rows, columns = directions.T.astype(np.float32), attributes.astype(np.float32)
    reached = np.ones(len(rows))
    for order in orders:
        reached += (rows @ columns[order]).max(axis=1) >= largest - _CLOSE
    return reached / (len(orders) + 1)


def _standardised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of values [S, M] with mean 0 and norm 1, and which of them vary [M]; the others become 0."""
    varies = varied(values)
    centred = values - values.mean(axis=0)
    # Squares of small importances would underflow.
    centred /= np.where(varies, np.abs(centred).max(axis=0), 1.0)
    norms = np.linalg.norm(centred, axis=0)
    return np.divide(centred, norms, out=np.zeros_like(centred), where=varies), varies
