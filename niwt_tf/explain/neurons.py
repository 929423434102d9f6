"""What each neuron stands for: the attribute whose value over the seen classes goes along with the neuron's importance.

The weights of the inverse map would not do for names: in a map from many neurons a weight also serves to cancel what neurons
have in common (Haufe et al. 2014, "On the interpretation of weight vectors of linear models in multivariate neuroimaging").

Dimensions: S seen classes, N neurons, K attributes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwt_tf.method.importance import unit

CONFIDENT = 0.95  # a confidence of at least this makes a name one to rely on
_FEWEST_CLASSES = 4
_BLOCK_ENTRIES = 4_000_000
# Values whose range is below this part of their size differ by float32's rounding alone.
_ROUNDING = 1e-6
_DECIMALS = 9  # equal correlations must not be told apart by rounding


def name_neurons(
    importances: np.ndarray, descriptions: np.ndarray, attribute_names: Sequence[str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Name each neuron by the attribute with the largest Pearson correlation r with its importance, over the seen classes.

    The confidence is 1 - min(1, A p): p is the chance that r or more comes about between values that have nothing to do with
    each other, the upper tail of Student's t with S - 2 degrees of freedom at r sqrt((S - 2) / (1 - r^2)), and A, the number of
    attributes that vary, is Bonferroni's correction for naming by the best of them. So a neuron without meaning gets a
    confidence of `CONFIDENT` or more in at most 1 - `CONFIDENT` of cases. With fewer than 4 classes it is 0.

    A neuron is called "" with confidence 0 if no correlation is positive or its importance does not vary. An attribute that all
    seen classes share names nothing. Of equal correlations the first attribute names.

    Args:
        importances: [S, N], of any length; they are brought to unit length first.
        descriptions: raw [S, K] of the same classes.
        attribute_names: K names.

    Returns:
        N names, and their confidences float32 [N] in [0, 1].
    """
    classes, neurons = np.shape(importances)
    attributes, varied = _standardised(np.asarray(descriptions, np.float64))
    kept = np.flatnonzero(varied)
    largest, best = np.zeros(neurons), np.zeros(neurons, np.int64)
    if classes > 1 and len(kept):
        directions, _ = _standardised(unit(np.asarray(importances, np.float64)))
        attributes = attributes[:, kept]
        size = max(1, _BLOCK_ENTRIES // len(kept))
        for start in range(0, neurons, size):
            block = slice(start, start + size)
            correlations = np.round(directions[:, block].T @ attributes, _DECIMALS)
            places = correlations.argmax(axis=1)
            largest[block] = np.take_along_axis(correlations, places[:, None], axis=1)[:, 0]
            best[block] = kept[places]
    names = tuple(attribute_names[k] if r > 0 else "" for k, r in zip(best.tolist(), largest, strict=True))
    return names, _confidences(largest, classes, len(kept))


def _standardised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of values [S, M] with mean 0 and norm 1, and which of them vary [M]; the others become 0."""
    varied = np.ptp(values, axis=0) > _ROUNDING * np.abs(values).max(axis=0)
    centred = values - values.mean(axis=0)
    # Squares of small importances would underflow.
    centred /= np.where(varied, np.abs(centred).max(axis=0), 1.0)
    norms = np.linalg.norm(centred, axis=0)
    return np.divide(centred, norms, out=np.zeros_like(centred), where=varied), varied


def _confidences(correlations: np.ndarray, classes: int, attributes: int) -> np.ndarray:
    from scipy.stats import t as student

    if classes < _FEWEST_CLASSES:
        return np.zeros(len(correlations), np.float32)
    r = np.clip(correlations, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        statistics = r * np.sqrt((classes - 2) / (1.0 - r**2))
    chances = np.minimum(attributes * student.sf(statistics, classes - 2), 1.0)
    return np.where(r > 0, 1.0 - chances, 0.0).astype(np.float32)
