"""ESZSL under NIWT's protocol: the same networks, pooled features, folds of validation classes and metrics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from niwt_tf.baselines.eszsl import ESZSLPath
from niwt_tf.data.schema import Images, TestData
from niwt_tf.experiments.folds import Fold, Learner
from niwt_tf.experiments.support import balanced_sample
from niwt_tf.method.calibration import choose_calibration, seen_margin
from niwt_tf.method.evaluation import CalibrationCurve, Evaluation, calibration_curve, evaluate_scores
from niwt_tf.method.importance import unit
from niwt_tf.method.mapping import DescriptionNormaliser

# More training images than this do not fit in memory; a sample, even over the classes, stands for them.
TRAINING_IMAGES = 50_000
_EVALUATED = 20_000
_BLOCK = 4096
GRID = tuple(10.0**power for power in range(-3, 4))


@dataclass(frozen=True)
class Choice:
    """What the validation classes choose for ESZSL.

    Attributes:
        features: "unit" (L2-normalised) or "raw".
        descriptions: a normalisation of `DescriptionNormaliser`.
        gamma: penalty on the features' side.
        lambda_: penalty on the descriptions' side.
        calibration: in units of `seen_margin` on held-out images.
        harmonic_mean: mean over the folds.
    """

    features: str
    descriptions: str
    gamma: float
    lambda_: float
    calibration: float
    harmonic_mean: float

    def as_dict(self) -> dict[str, float | str]:
        """Return the fields by name."""
        return asdict(self)


def choose_eszsl(
    folds: Sequence[Fold], banks: Mapping[str, Callable[[Images], np.ndarray]]
) -> Choice:
    """Return the best of the grid by the folds' mean harmonic mean. Test images cannot be reached from here.

    Args:
        folds: validation classes.
        banks: give the features of images under the fold's network, by the fold's name.
    """
    curves: dict[tuple[str, str, float, float], list[tuple[CalibrationCurve, float]]] = {}
    for fold in folds:
        bank = banks[fold.name]
        fitted_on = balanced_sample(fold.training.images, TRAINING_IMAGES, 0)
        evaluated = balanced_sample(fold.evaluation, _EVALUATED, 0)
        training, evaluation = bank(fitted_on), bank(evaluated)
        held_out = evaluated.labels < len(fold.classes)
        for kind in ("unit", "raw"):
            x, tested = _scaled(training, kind), _scaled(evaluation, kind)
            path = ESZSLPath(x, fitted_on.labels, fold.training.descriptions)
            for how in ("l2", "centred"):
                normaliser = DescriptionNormaliser.fit(fold.training.descriptions, how)
                described = normaliser(np.concatenate([fold.training.descriptions, fold.validation_descriptions]))
                seen = described[: len(fold.classes)]
                path = path.with_descriptions(seen)
                of_evaluation = path.rotated(tested, described)
                for gamma, lambda_ in itertools.product(GRID, GRID):
                    scores = path.scores(gamma, lambda_, of_evaluation)
                    curve = calibration_curve(scores, evaluated.labels, len(seen))
                    margin = seen_margin(scores[held_out, : len(seen)], evaluated.labels[held_out])
                    curves.setdefault((kind, how, gamma, lambda_), []).append((curve, margin))
    choices = []
    for key, pairs in curves.items():
        calibration, harmonic = choose_calibration([curve for curve, _ in pairs], [margin for _, margin in pairs])
        choices.append(Choice(*key, calibration, harmonic))
    return max(choices, key=lambda choice: choice.harmonic_mean)


def evaluate_eszsl(
    choice: Choice,
    main: Learner,
    bank: Callable[[Images], np.ndarray],
    unseen_descriptions: np.ndarray,
    test: TestData,
) -> Evaluation:
    """Fit ESZSL on all seen classes as chosen, and evaluate it on the test images."""
    normaliser = DescriptionNormaliser.fit(main.training.descriptions, choice.descriptions)
    described = normaliser(np.concatenate([main.training.descriptions, unseen_descriptions]))
    num_seen = len(main.training.descriptions)
    images = balanced_sample(main.training.images, TRAINING_IMAGES, 0)
    x = _scaled(bank(images), choice.features)
    fitted = ESZSLPath(x, images.labels, described[:num_seen]).solve(choice.gamma, choice.lambda_)

    def scores_of(asked: Images, descriptions: np.ndarray) -> np.ndarray:
        blocks = [np.arange(start, min(start + _BLOCK, len(asked))) for start in range(0, max(len(asked), 1), _BLOCK)]
        parts = [fitted.scores(_scaled(bank(asked.take(block)), choice.features), descriptions) for block in blocks]
        return np.concatenate(parts)

    scores, held_out = scores_of(test.images, described), scores_of(main.held_out, described[:num_seen])
    calibration = choice.calibration * seen_margin(held_out, main.held_out.labels)
    return evaluate_scores(scores, test.images.labels, num_seen, calibration)


def _scaled(features: np.ndarray, kind: str) -> np.ndarray:
    return unit(features) if kind == "unit" else features
