"""The linear map back from importance to attributes: which attributes a vector of neuron weights speaks for.

It is Stage 2 with its roles swapped, over the same seen classes, fitted by ridge regression or the paper's cosine loss. Both
work in the principal directions of the inputs: their weights lie in the span of the inputs anyway, and there are no more
directions than classes, however many neurons there are.
Dimensions: S seen classes, N neurons (inputs), R <= S principal directions, K attributes (targets).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.explain.words import varied
from niwt_tf.metrics.ranks import standardised_ranks, unit

_SINGULAR = 1e-6  # of the largest singular value; float32's rounding is below that
_LEARNING_RATE = 1e-2
_MEAN_DECAY, _SQUARE_DECAY, _ADAM_EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Directions:
    """The R principal directions of inputs: mean [N], basis [R, N], left [S, R] and singular values [R] above 0, float64."""

    centre: np.ndarray
    basis: np.ndarray
    left: np.ndarray
    singular: np.ndarray

    @classmethod
    def of(cls, inputs: np.ndarray) -> Directions:
        """Decompose inputs [S, N]."""
        centre = inputs.mean(axis=0, dtype=np.float64)
        left, singular, basis = np.linalg.svd(inputs - centre, full_matrices=False)
        kept = singular > _SINGULAR * singular[0]
        return cls(centre, basis[kept], left[:, kept], singular[kept])

    @property
    def coordinates(self) -> np.ndarray:
        """The centred inputs in the directions, [S, R]."""
        return self.left * self.singular

    def of_others(self, inputs: np.ndarray) -> np.ndarray:
        """Return the coordinates [M, R] of other inputs [M, N]."""
        return (inputs - self.centre) @ self.basis.T


def closed_form(directions: Directions, targets: np.ndarray, penalties: Sequence[float]) -> Iterator[np.ndarray]:
    """Give, for each ridge penalty, weights [R, K] that minimise the squared error of targets [S, K] plus penalty |W|^2."""
    rotated = directions.left.T @ targets
    for penalty in penalties:
        yield (directions.singular / (directions.singular**2 + penalty))[:, None] * rotated


def cosine_form(directions: Directions, targets: np.ndarray, stops: Sequence[int]) -> Iterator[np.ndarray]:
    """Give weights [R, K] after rising numbers of steps of Adam on 1 - cos(W x, y), averaged over classes (Eq. 2's loss).

    The descent to the targets y [S, K] begins at the covariance of inputs and targets. The cosine leaves the length of the
    weights open: they are given at the length that has the smallest squared error.
    """
    scale = np.linalg.norm(directions.singular) / np.sqrt(len(targets))
    if not len(directions.singular):
        yield from (np.zeros((0, targets.shape[1])) for _ in stops)
        return
    inputs, wanted = directions.coordinates / scale, unit(targets)
    weights = inputs.T @ targets / len(targets)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, max(stops) + 1):
        predicted = inputs @ weights
        lengths = np.maximum(np.linalg.norm(predicted, axis=1, keepdims=True), 1e-12)
        predicted /= lengths
        cosines = (predicted * wanted).sum(axis=1, keepdims=True)
        gradient = inputs.T @ ((predicted * cosines - wanted) / lengths) / len(targets)
        mean = _MEAN_DECAY * mean + (1 - _MEAN_DECAY) * gradient
        square = _SQUARE_DECAY * square + (1 - _SQUARE_DECAY) * gradient**2
        divisor = np.sqrt(square / (1 - _SQUARE_DECAY**step)) + _ADAM_EPSILON
        weights = weights - _LEARNING_RATE * mean / (1 - _MEAN_DECAY**step) / divisor
        if step in stops:
            predicted = inputs @ weights
            length = (predicted * targets).sum() / max((predicted**2).sum(), 1e-300)
            yield weights * (length / scale)


_Form = Callable[[Directions, np.ndarray, Sequence[float]], Iterator[np.ndarray]]
# What each form offers: ridge penalties, and numbers of steps after which the descent stops.
_FORMS: dict[str, tuple[_Form, tuple[float, ...]]] = {
    "closed_form": (closed_form, tuple(10.0 ** np.arange(-4, 3.5, 0.5))),
    "cosine": (cosine_form, (1, 2, 5, 10, 20, 50, 100, 200)),  # type: ignore[dict-item]
}
FORMS = tuple(_FORMS)
_NUM_FOLDS, _FEWEST_CLASSES = 5, 4
_MOST_PRODUCTS = 10_000_000  # S S K: a step of the descent multiplies this often; 150 classes with 312 attributes are within


@dataclass(frozen=True)
class InverseMap:
    """Attributes W alpha / |alpha| + b of an importance alpha, in deviations from the seen classes' mean.

    Weights are float32 [K, N] and bias float32 [K]; both are 0 where all seen classes have the same value. The form is
    "closed_form" (ridge regression) or "cosine" (the paper's loss), chosen with the ridge penalty or number of steps
    `regularization`. The mean Spearman correlation of predicted and true attributes of seen classes that were left out is NaN
    where none varies or there are too few classes to leave any out.
    """

    weights: np.ndarray
    bias: np.ndarray
    form: str = FORMS[0]
    regularization: float = float("nan")
    rank_correlation: float = float("nan")

    def predict(self, importances: np.ndarray) -> np.ndarray:
        """Return attribute weights float32 [.., K] of importances [.., N] of any length; an importance of 0 gives the bias."""
        normaliser = DescriptionNormaliser("l2", np.zeros(self.weights.shape[1], np.float32))
        return normaliser(np.asarray(importances, np.float32)) @ self.weights.T + self.bias


def fit_inverse_map(importances: np.ndarray, descriptions: np.ndarray, *, forms: Sequence[str] = FORMS) -> InverseMap:
    """Fit the inverse map in the form, and with the penalty or number of steps, that does best on seen classes left out.

    Importances are [S, N] of any length, descriptions raw [S, K]. The classes are left out in five parts, the same for every
    form; the mean rank correlation over them decides, and of equals the first. The chosen one is then fitted on all. With fewer
    than 4 classes, or where a step of the descent would take too long (S S K above 10,000,000), only the closed form is tried.

    Each attribute is centred and divided by its deviation over the seen classes: otherwise those that most classes share would
    be predicted for every importance. The mean importance predicts deviations of 0.
    """
    values = np.asarray(descriptions, np.float64)
    inputs = unit(np.asarray(importances, np.float64))
    varying = varied(values)
    weights = np.zeros((values.shape[1], inputs.shape[1]), np.float32)
    bias = np.zeros(len(weights), np.float32)
    if not varying.any():
        return InverseMap(weights, bias)
    if len(values) < _FEWEST_CLASSES or len(values) ** 2 * values.shape[1] > _MOST_PRODUCTS:
        forms = FORMS[:1]
    form, strength, correlation = _best(inputs, values[:, varying], forms)
    directions = Directions.of(inputs)
    (chosen,) = _FORMS[form][0](directions, _deviations(values[:, varying], values[:, varying])[0], (strength,))
    weights[varying] = chosen.T.astype(np.float32) @ directions.basis.astype(np.float32)
    bias[varying] = -chosen.T @ (directions.basis @ directions.centre)
    return InverseMap(weights, bias, form, strength, correlation)


def _best(inputs: np.ndarray, values: np.ndarray, forms: Sequence[str]) -> tuple[str, float, float]:
    """Return the form, its strength and its mean rank correlation on left-out classes."""
    candidates = [(form, strength) for form in forms for strength in _FORMS[form][1]]
    sums, count = np.zeros(len(candidates)), 0
    order = np.random.default_rng(0).permutation(len(values))
    for held_out in np.array_split(order, min(_NUM_FOLDS, len(order))):
        kept = np.delete(np.arange(len(values)), held_out)
        varying = varied(values[kept])
        if not varying.any():
            continue
        targets, truth = _deviations(values[kept][:, varying], values[kept][:, varying], values[held_out][:, varying])
        directions = Directions.of(inputs[kept])
        others, ranks = directions.of_others(inputs[held_out]), standardised_ranks(truth)
        paths = (weights for form in forms for weights in _FORMS[form][0](directions, targets, _FORMS[form][1]))
        sums += [float((standardised_ranks(others @ weights) * ranks).sum()) for weights in paths]
        count += len(held_out)
    if not count:
        form, strengths = FORMS[0], _FORMS[FORMS[0]][1]
        return form, strengths[len(strengths) // 2], float("nan")
    best = int(sums.argmax())
    return *candidates[best], float(sums[best] / count)


def _deviations(reference: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return values of classes [.., K] in deviations of the reference classes from their mean."""
    return tuple((each - reference.mean(axis=0)) / reference.std(axis=0) for each in others)
