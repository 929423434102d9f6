"""ESZSL under NIWT's protocol: the same networks, pooled features, folds of validation classes and metrics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from niwt_tf.baselines.eszsl import ESZSLPath
from niwt_tf.data.schema import Images, TestData
from niwt_tf.experiments.folds import Fold, Learner
from niwt_tf.experiments.settings import Settings
from niwt_tf.method.calibration import choose_calibration
from niwt_tf.method.evaluation import CalibrationCurve, Evaluation, calibration_curve, evaluate_scores
from niwt_tf.method.features import FeatureBank
from niwt_tf.method.importance import unit
from niwt_tf.method.mapping import DescriptionNormaliser
from niwt_tf.models.network import Network

GRID = tuple(10.0**power for power in range(-3, 4))


@dataclass(frozen=True)
class Choice:
    """What the validation classes choose for ESZSL.

    Attributes:
        features: "unit" (L2-normalised) or "raw".
        descriptions: a normalisation of `DescriptionNormaliser`.
        gamma: penalty on the features' side.
        lambda_: penalty on the descriptions' side.
        calibration: in units of the scores' standard deviation on training images.
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
    settings: Settings, folds: Sequence[Fold], networks: Mapping[str, Network], *, progress: bool = False
) -> Choice:
    """Return the best of the grid by the folds' mean harmonic mean. Test images cannot be reached from here."""
    curves: dict[tuple[str, str, float, float], list[tuple[CalibrationCurve, float]]] = {}
    for fold in folds:
        bank = FeatureBank(networks[fold.name], progress=progress)
        training, evaluation = bank(fold.training.images), bank(fold.evaluation)
        for kind, how in itertools.product(("unit", "raw"), ("l2", "centred")):
            normaliser = DescriptionNormaliser.fit(fold.training.descriptions, how)
            described = normaliser(np.concatenate([fold.training.descriptions, fold.validation_descriptions]))
            seen = described[: len(fold.classes)]
            x = _scaled(training, kind)
            path = ESZSLPath(x, fold.training.images.labels, seen)
            for gamma, lambda_ in itertools.product(GRID, GRID):
                fitted = path.solve(gamma, lambda_)
                scores = fitted.scores(_scaled(evaluation, kind), described)
                curve = calibration_curve(scores, fold.evaluation.labels, len(seen))
                curves.setdefault((kind, how, gamma, lambda_), []).append((curve, _unit_of(fitted.scores(x, seen))))
    choices = []
    for key, pairs in curves.items():
        calibration, harmonic = choose_calibration([curve for curve, _ in pairs], [deviation for _, deviation in pairs])
        choices.append(Choice(*key, calibration, harmonic))
    return max(choices, key=lambda choice: choice.harmonic_mean)


def evaluate_eszsl(
    choice: Choice,
    main: Learner,
    network: Network,
    unseen_descriptions: np.ndarray,
    test: TestData,
    *,
    progress: bool = False,
) -> Evaluation:
    """Fit ESZSL on all seen classes as chosen, and evaluate it on the test images."""
    bank = FeatureBank(network, progress=progress)
    normaliser = DescriptionNormaliser.fit(main.training.descriptions, choice.descriptions)
    described = normaliser(np.concatenate([main.training.descriptions, unseen_descriptions]))
    num_seen = len(main.training.descriptions)
    images: Images = main.training.images
    x = _scaled(bank(images), choice.features)
    fitted = ESZSLPath(x, images.labels, described[:num_seen]).solve(choice.gamma, choice.lambda_)
    scores = fitted.scores(_scaled(bank(test.images), choice.features), described)
    calibration = choice.calibration * _unit_of(fitted.scores(x, described[:num_seen]))
    return evaluate_scores(scores, test.images.labels, num_seen, calibration)


def _scaled(features: np.ndarray, kind: str) -> np.ndarray:
    return unit(features) if kind == "unit" else features


def _unit_of(scores: np.ndarray) -> float:
    return float(scores.std()) or 1.0
