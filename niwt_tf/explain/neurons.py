"""What each neuron stands for: the attribute whose value over the seen classes goes along with the neuron's importance.

The weights of the inverse map would not do for names: in a map from many neurons a weight also serves to cancel what neurons
have in common (Haufe et al. 2014, "On the interpretation of weight vectors of linear models in multivariate neuroimaging").

Dimensions: S seen classes, N neurons, K attributes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwt_tf.explain.words import varied
from niwt_tf.metrics.ranks import unit

CONFIDENT = 0.95  # a confidence of at least this makes a name one to rely on
_FEWEST_CLASSES = 4
_BLOCK_ENTRIES = 4_000_000
_FEWEST_ORDERS, _MOST_ORDERS = 99, 1999
_PRODUCTS = 5e10  # a second or two
_DECIMALS = 9  # equal correlations must not be told apart by rounding
_CLOSE = 1e-5  # the same for correlations in float32


def name_neurons(
    importances: np.ndarray, descriptions: np.ndarray, attribute_names: Sequence[str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Name each neuron by the attribute with the largest Pearson correlation with its importance, over the seen classes.

    The confidence is 1 - p of a permutation test of the largest correlation (Westfall and Young 1993, "Resampling-Based
    Multiple Testing"): p is the share of random orders of the classes' descriptions, the true one among them, in which some
    attribute goes along with the neuron's importance as well as its name does. It counts that the name is the best of all
    attributes, and holds however rare an attribute and however uneven the importances are: a neuron without meaning gets a
    confidence of `CONFIDENT` or more in at most 1 - `CONFIDENT` of cases. The orders, 99 to 1,999 as there is time for, are
    always the same. With fewer than 4 classes it is 0.

    A neuron is called "" with confidence 0 if no correlation is positive or its importance does not vary. An attribute that all
    seen classes share names nothing. Of equal correlations the first attribute names.

    Importances [S, N] are brought to unit length first; descriptions are raw [S, K]. Confidences are float32 [N] in [0, 1].
    """
    classes, neurons = np.shape(importances)
    attributes, varies = _standardised(np.asarray(descriptions, np.float64))
    kept = np.flatnonzero(varies)
    largest, best = np.zeros(neurons), np.zeros(neurons, np.int64)
    confidences = np.zeros(neurons, np.float32)
    if classes > 1 and len(kept):
        directions, _ = _standardised(unit(np.asarray(importances, np.float64)))
        attributes = attributes[:, kept]
        orders = _orders(classes, _PRODUCTS / (classes * neurons * len(kept)))
        size = max(1, _BLOCK_ENTRIES // len(kept))
        for start in range(0, neurons, size):
            block = slice(start, start + size)
            correlations = np.round(directions[:, block].T @ attributes, _DECIMALS)
            places = correlations.argmax(axis=1)
            largest[block] = np.take_along_axis(correlations, places[:, None], axis=1)[:, 0]
            best[block] = kept[places]
            if classes >= _FEWEST_CLASSES:
                confidences[block] = 1.0 - _chances(directions[:, block], attributes, largest[block], orders)
    names = tuple(attribute_names[k] if r > 0 else "" for k, r in zip(best.tolist(), largest, strict=True))
    return names, np.where(largest > 0, confidences, 0.0).astype(np.float32)


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
