"""The temperature of class probabilities and the threshold of an answer, chosen on validation classes.

The temperature is chosen in units of each fold's `seen_margin`, as calibration is, so that it carries over to the main network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from niwt_tf.errors import InputError
from niwt_tf.files import read_json, write_json
from niwt_tf.metrics.gzsl import class_weights
from niwt_tf.metrics.probabilities import (
    OpenSet,
    Probabilities,
    abstaining_figures,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)


@dataclass(frozen=True)
class FoldScores:
    """How a candidate scores the evaluation images of a fold of F seen and V validation classes.

    Attributes:
        logits: [E, F + V] before calibration, seen classes first.
        labels: [E].
        num_seen: F.
        unit: `seen_margin` of the held-out images among them.
        figures: what the candidate's parameters say of themselves, by name.
    """

    logits: np.ndarray
    labels: np.ndarray
    num_seen: int
    unit: float
    figures: Mapping[str, float] = field(default_factory=dict)


def choose_probabilities(folds: Sequence[FoldScores], calibration: float, unit: float) -> Probabilities:
    """Return the temperature and threshold that fit the folds of validation classes best, and what they reach there.

    The figures are means over the folds, each measured with the temperature and threshold that the other folds choose. A single
    fold is measured with its own, which is optimistic, as is the one figure that ends with `_fitted`: the highest mean balanced
    accuracy, which the threshold was chosen by. The calibration constant was chosen on all folds in every case.

    Args:
        folds: scores of the chosen candidate, one a fold.
        calibration: the chosen constant, in units of seen margin.
        unit: `seen_margin` of the main network, which the temperature is given in.
    """
    calibrated = [_calibrated(fold, calibration) for fold in folds]
    temperature, threshold, sets = _fitted(calibrated)
    figures = {"validation_folds": float(len(folds)), **_errors(calibrated, [temperature] * len(folds))}
    if sets:
        fitted = abstaining_figures(sets, [threshold] * len(sets))
        figures["validation_abstain_balanced_accuracy_fitted"] = fitted["balanced_accuracy"]
        figures |= {f"validation_abstain_{name}": value for name, value in fitted.items()}
    if len(folds) > 1:
        figures |= _cross_fitted(calibrated)
    return Probabilities(temperature * unit, threshold, figures)


def held_out_probabilities(logits: np.ndarray, labels: np.ndarray) -> Probabilities:
    """Return the temperature that fits logits [M, S] of held-out images of seen classes, for want of validation classes.

    What fits seen classes alone says nothing of when to abstain, and is not measured where it was fitted.
    """
    return Probabilities(fit_temperature([logits], [labels]))


def save_probabilities(path: str | os.PathLike[str], probabilities: Probabilities) -> None:
    """Write probabilities.json."""
    write_json(path, probabilities.as_dict())


def load_probabilities(path: str | os.PathLike[str]) -> Probabilities:
    """Read what `save_probabilities` wrote.

    Raises:
        InputError: the file is not there or holds something else.
    """
    try:
        return Probabilities.from_dict(read_json(path))
    except (OSError, ValueError, TypeError):
        raise InputError(
            f"{Path(path).name} must be the file that the stage transfer wrote. Received: {str(path)!r}, which is missing, "
            "damaged or another file."
        ) from None


def _calibrated(fold: FoldScores, calibration: float) -> FoldScores:
    """Return the fold with logits after calibration, in units of its seen margin."""
    logits = fold.logits / np.float64(fold.unit)
    logits[:, : fold.num_seen] -= calibration
    return replace(fold, logits=logits)


def _fitted(folds: Sequence[FoldScores]) -> tuple[float, float, list[OpenSet]]:
    """Return the temperature of the folds in units of seen margin, their threshold, and what that was chosen on."""
    temperature = fit_temperature([fold.logits for fold in folds], [fold.labels for fold in folds])
    sets = [each for fold in folds for each in _open_sets(fold, temperature)]
    return temperature, choose_threshold(sets), sets


def _open_sets(fold: FoldScores, temperature: float) -> list[OpenSet]:
    """Keep either half of the validation classes from the head in turn; a single one once, which leaves the seen classes."""
    validation = np.arange(fold.num_seen, fold.logits.shape[1])
    found = []
    for hidden in (validation[::2], validation[1::2]):
        is_unknown = np.isin(fold.labels, hidden)
        if is_unknown.all() or not is_unknown.any():
            continue
        shown = np.delete(fold.logits, hidden, axis=1)
        highest = Probabilities(temperature).of(shown).max(axis=1)
        known, unknown = fold.labels[~is_unknown], fold.labels[is_unknown]
        weights = class_weights(known), class_weights(unknown)
        found.append(OpenSet(highest[~is_unknown], highest[is_unknown], *weights, known >= fold.num_seen))
    return found


def _errors(folds: Sequence[FoldScores], temperatures: Sequence[float]) -> dict[str, float]:
    """Return errors before and after division by each fold's temperature, means over the folds; every class counts the same."""
    found: dict[str, list[float]] = {}
    for fold, fitted in zip(folds, temperatures, strict=True):
        # As they are, logits are not in units of the margin.
        for suffix, temperature in (("_uncalibrated", 1 / fold.unit), ("", fitted)):
            probabilities = Probabilities(temperature).of(fold.logits)
            error = expected_calibration_error(probabilities, fold.labels, class_weights(fold.labels))
            likelihood = negative_log_likelihood(fold.logits, fold.labels, temperature)
            found.setdefault(f"validation_ece{suffix}", []).append(error)
            found.setdefault(f"validation_nll{suffix}", []).append(likelihood)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _cross_fitted(folds: Sequence[FoldScores]) -> dict[str, float]:
    """Return the same figures on each fold with the temperature and threshold that the others chose."""
    temperatures, thresholds, sets = [], [], []
    for index, fold in enumerate(folds):
        temperature, threshold, _ = _fitted([*folds[:index], *folds[index + 1 :]])
        of_fold = _open_sets(fold, temperature)
        temperatures.append(temperature)
        thresholds += [threshold] * len(of_fold)
        sets += of_fold
    figures = _errors(folds, temperatures)
    if sets:
        figures |= {f"validation_abstain_{name}": value for name, value in abstaining_figures(sets, thresholds).items()}
    return figures
