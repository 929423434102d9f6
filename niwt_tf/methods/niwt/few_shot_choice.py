"""How much a description weighs against images of its class: chosen by giving validation classes images of their own.

Some images of each validation class refine its column, which the fold's network never saw, and the others are scored with the
seen classes. Nothing here can reach a test image.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from niwt_tf.data.folds import Fold
from niwt_tf.data.schema import Descriptions
from niwt_tf.methods.few_shot import METRICS, FewShotChoice, FewShotPrior, SeenMoments
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.task import Task
from niwt_tf.metrics.calibration import choose_calibration, harmonic_means, logit_statistics, seen_margin
from niwt_tf.metrics.gzsl import CalibrationCurve, calibration_curve

COUNTS = (1, 2, 5, 10, 20)
PENALTIES = (0.03, 0.3, 3.0)
WEIGHTS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_FIRST_WEIGHTS = (1.0, 8.0)
_DRAWS = 3
_SCORED = 1024
# Without validation classes: the description weighs as much as two images, and no class gets ahead.
UNCHOSEN = FewShotChoice("within", 0.3, 2.0, 0.0)


class HeadedGenerator(Protocol):
    """What of a generator is read here: its seen head, features of training images with labels, and new columns."""

    @property
    def head(self) -> MeasuredHead: ...  # noqa: D102

    @property
    def features(self) -> np.ndarray: ...  # noqa: D102

    @property
    def labels(self) -> np.ndarray: ...  # noqa: D102

    def generate(self, classes: Descriptions) -> HeadParameters: ...  # noqa: D102


@dataclass(frozen=True)
class FewShotFold:
    """A fold and the images that its validation classes are given, with which the others are scored.

    Attributes:
        moments: of its seen training images.
        columns: [D, V], zero-shot.
        means: by count, [D, draws x V]: the means of so many images a class, drawn anew in each draw.
        features: [E, D] of images that are in no draw, with `labels` [E].
        seen_scores: [E, S].
        margin: its `seen_margin`.
    """

    moments: SeenMoments
    columns: np.ndarray
    means: Mapping[int, np.ndarray]
    features: np.ndarray
    labels: np.ndarray
    seen_scores: np.ndarray
    margin: float


def few_shot_prior(
    generator: HeadedGenerator, folds: Sequence[tuple[Task, HeadedGenerator]], calibration: float, margin: float
) -> FewShotPrior:
    """Return what refines the main network's new columns, chosen on the folds' validation classes.

    Args:
        generator: of the main network.
        folds: tasks with validation classes, with the generator of the chosen candidate; without any, `UNCHOSEN` is taken.
        calibration: of zero-shot classes, in units of `seen_margin`.
        margin: the main network's `seen_margin`.
    """
    worlds = [world_of(task, of_fold) for task, of_fold in folds]
    head, features, labels = generator.head.head, generator.features, generator.labels
    moments = SeenMoments.of(features, labels, logit_statistics(features, labels, head.columns, head.biases))
    return moments.prior(best_choice(worlds, calibration), margin)


def world_of(task: Task, generator: HeadedGenerator) -> FewShotFold:
    """Return a fold with its zero-shot columns; at most half the images of a validation class refine its column."""
    assert isinstance(task.partition, Fold), "only a fold has validation classes"
    new_columns, new_biases = generator.generate(task.partition.validation_descriptions).new
    head, seen_features, seen_labels = generator.head.head, generator.features, generator.labels
    features, labels = task.features(task.evaluated), task.evaluated.labels
    statistics = logit_statistics(seen_features, seen_labels, head.columns, head.biases)
    random, seen = np.random.default_rng([task.settings.seed, 11]), len(head.biases)
    pools = []
    for label in range(seen, seen + len(new_biases)):
        members = random.permutation(np.flatnonzero(labels == label))
        pools.append(members[: min(max(COUNTS), max(len(members) // 2, 1))])
    sizes = [len(pool) for pool in pools]
    most = np.median(sizes) if all(sizes) else 0  # a class of few images gives all its pool
    means = {
        count: np.stack(
            [features[random.permutation(pool)[:count]].mean(axis=0) for _ in range(_DRAWS) for pool in pools], axis=1
        )
        for count in COUNTS
        if count <= most
    }
    held_out = labels < seen
    margin = seen_margin(features[held_out] @ head.columns + head.biases, labels[held_out])
    others = random.permutation(np.setdiff1d(np.arange(len(labels)), np.concatenate(pools)))[:_SCORED]
    rows = np.asarray(features[others])
    seen_scores = rows @ head.columns + head.biases
    moments = SeenMoments.of(seen_features, seen_labels, statistics)
    return FewShotFold(moments, new_columns, means, rows, labels[others], seen_scores, margin)


def best_choice(worlds: Sequence[FewShotFold], calibration: float) -> FewShotChoice:
    """Return the covariance and penalty that are best with a light or a heavy description, then the best weight for them.

    A candidate's score is the harmonic mean over all folds, counts and draws, at the calibration that is best for each count.

    Args:
        worlds: one a fold; without any image to give, `UNCHOSEN` is returned.
        calibration: of zero-shot classes, in units of `seen_margin`.
    """
    counts = [count for count in COUNTS if worlds and all(count in world.means for world in worlds)]
    if not counts:
        return UNCHOSEN
    units = [world.margin for world in worlds for _ in range(_DRAWS)]
    tried: dict[FewShotChoice, list[list[CalibrationCurve]]] = {}
    scores: dict[FewShotChoice, float] = {}

    def attempt(metric: str, penalty: float, weights: Sequence[float]) -> None:
        curves = [_curves(world, counts, metric, penalty, weights) for world in worlds]
        for index, weight in enumerate(weights):
            choice = FewShotChoice(metric, penalty, weight, 0.0)
            by_count = [[each for world in curves for each in world[count][index]] for count in counts]
            scores[choice] = float(np.mean([choose_calibration(few, units)[1] for few in by_count]))
            tried[choice] = by_count

    for metric, penalty in itertools.product(METRICS, PENALTIES):
        attempt(metric, penalty, _FIRST_WEIGHTS)
    best = max(scores, key=scores.__getitem__)
    attempt(best.metric, best.penalty, [weight for weight in WEIGHTS if weight not in _FIRST_WEIGHTS])
    best = max(scores, key=scores.__getitem__)
    shares = [count / (best.weight + count) for count in counts]
    return replace(best, surplus=_surplus(tried[best], shares, units, calibration))


def _curves(
    world: FewShotFold, counts: Sequence[int], metric: str, penalty: float, weights: Sequence[float]
) -> dict[int, list[list[CalibrationCurve]]]:
    """Return by count, for each weight, the curve of each draw."""
    prior = world.moments.prior(FewShotChoice(metric, penalty, 1.0, 0.0), world.margin)
    seen_scores, groups = world.seen_scores, _DRAWS * len(counts)
    # Everything at once: few large products are quicker than many small ones.
    start = np.tile(world.columns.astype(np.float64), groups)
    arrived = prior.data_columns(np.concatenate([world.means[count] for count in counts], axis=1))
    scales, added = 1.0 / prior.scales(start), np.repeat(counts, arrived.shape[1] // len(counts))
    found: dict[int, list[list[CalibrationCurve]]] = {count: [] for count in counts}
    for weight in weights:
        columns, biases, _ = replace(prior, weight=weight).combine(start, scales, arrived, 0, added)
        drawn = np.split(world.features @ columns + biases, groups, axis=1)
        scores = [np.concatenate([seen_scores, new], axis=1) for new in drawn]
        curves = [calibration_curve(each, world.labels, seen_scores.shape[1]) for each in scores]
        for index, count in enumerate(counts):
            found[count].append(curves[index * _DRAWS : (index + 1) * _DRAWS])
    return found


def _surplus(
    curves: Sequence[Sequence[CalibrationCurve]], shares: Sequence[float], units: Sequence[float], calibration: float
) -> float:
    """Return the surplus amid those with the best mean harmonic mean at the calibration that zero-shot classes chose."""
    candidates = abs(calibration) * np.linspace(-1.0, 3.0, 161)
    means = np.zeros(len(candidates))
    for few, share in zip(curves, shares, strict=True):
        means += sum(harmonic_means(c, (calibration - share * candidates) * u) for c, u in zip(few, units, strict=True))
    near = np.flatnonzero(means >= means.max() - 0.001 * len(units) * len(shares))
    return float(candidates[near].mean())
