"""The ceiling: a supervised head that has seen images of the unseen classes, on the features that all methods share.

It is not a zero-shot method. A class-balanced ridge head is fitted on the training images of the seen classes and on four
fifths of the evaluated images of the unseen ones; the fifth that is left is scored, and so on round (cross-fitting). Evaluated
images of seen classes are scored in the same way, and no head is fitted on them. So no head scores an image that it saw.

Dimensions: M training images, E evaluated images, D features, S seen classes, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Learner
from niwt_tf.data.sampling import balanced_sample, evaluation_sample, held_out_sample
from niwt_tf.data.schema import Images, TestData
from niwt_tf.files import finite
from niwt_tf.methods.niwt.seen_heads import RidgeHeadPath, RidgeMoments
from niwt_tf.metrics.calibration import seen_margin
from niwt_tf.metrics.gzsl import calibration_curve, evaluate_scores
from niwt_tf.protocol.scoring import Scored
from niwt_tf.protocol.selection import TRAINING_IMAGES, Bank, BaselineTrial, Classifier, Tried, scaled

# Ridge penalties in units of a feature's mean variance.
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
_PARTS = 5


def choose_oracle(
    settings: Settings, folds: Sequence[Fold], banks: Mapping[str, Bank]
) -> tuple[BaselineTrial, list[BaselineTrial]]:
    """Return the best penalty and kind of features by the folds' mean harmonic mean, and all of them.

    Args:
        settings: the seed.
        folds: validation classes, whose images play those of unseen classes.
        banks: give the features of images under the fold's network, by the fold's name.
    """
    tried: dict[tuple[str, float], Tried] = {}
    for fold in folds:
        training, evaluated = _training(settings, fold), evaluation_sample(settings, fold)
        features, compared = banks[fold.name](training), banks[fold.name](evaluated)
        num_seen = len(fold.classes)
        held_out = evaluated.labels < num_seen
        for kind in ("unit", "raw"):
            rows, asked = scaled(features, kind), scaled(compared, kind)
            counts = num_seen, num_seen + len(fold.validation)
            scores = cross_fitted_scores(rows, training.labels, asked, evaluated.labels, *counts, STRENGTHS, settings.seed)
            for strength, found in zip(STRENGTHS, scores, strict=True):
                each = tried.setdefault((kind, strength), Tried([], []))
                each.curves.append(calibration_curve(found, evaluated.labels, num_seen))
                each.margins.append(seen_margin(found[held_out, :num_seen], evaluated.labels[held_out]))
    trials = [each.trial(kind, "none", {"penalty": strength}) for (kind, strength), each in tried.items()]
    return max(trials, key=lambda trial: trial.harmonic_mean), trials


def score_oracle(
    settings: Settings, trial: BaselineTrial, main: Learner, bank: Bank, num_classes: int, test: TestData
) -> Scored:
    """Score the test images by cross-fitted heads, with the penalty and calibration that the validation classes chose.

    Args:
        settings: the seed.
        trial: the choice.
        main: the learner of all seen classes.
        bank: gives features.
        num_classes: C.
        test: its images, and their labels.
    """
    training, held_out = _training(settings, main), held_out_sample(settings, main)
    num_seen, tested = len(main.classes), test.images
    asked = np.concatenate([bank(tested), bank(held_out)])
    labels = np.concatenate([tested.labels, held_out.labels])
    (scores,) = cross_fitted_scores(
        scaled(bank(training), trial.features),
        training.labels,
        scaled(asked, trial.features),
        labels,
        num_seen,
        num_classes,
        [trial.candidate["penalty"]],
        settings.seed,
    )
    margin = seen_margin(scores[len(tested) :, :num_seen], held_out.labels)
    return scored_logits(scores[: len(tested)], tested.labels, num_seen, trial.calibration * margin)


def cross_fitted_scores(
    features: np.ndarray,
    labels: np.ndarray,
    asked: np.ndarray,
    asked_labels: np.ndarray,
    num_seen: int,
    num_classes: int,
    strengths: Sequence[float],
    seed: int,
) -> np.ndarray:
    """Return scores float32 [strengths, E, C] of evaluated images, each by a head that was not fitted on it.

    Args:
        features: [M, D] of training images of seen classes.
        labels: [M].
        asked: [E, D] of evaluated images.
        asked_labels: [E]; those of `num_seen` and above are of unseen classes, whose images are fitted on in turn.
        num_seen: S.
        num_classes: C.
        strengths: ridge penalties.
        seed: of the parts.
    """
    scores = np.zeros((len(strengths), len(asked), num_classes), np.float32)
    for fitted, left_out in parts_of(asked_labels, num_seen, seed):
        every = np.concatenate([labels, asked_labels[fitted]])
        moments = RidgeMoments(asked.shape[1], np.bincount(every, minlength=num_classes))
        moments.add(features, labels)
        moments.add(asked[fitted], asked_labels[fitted])
        path = RidgeHeadPath(moments)
        for index, strength in enumerate(strengths):
            columns, biases = path.solve(strength)
            scores[index, left_out] = asked[left_out] @ columns + biases
    return scores


def parts_of(labels: np.ndarray, num_seen: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, a part at a time, the indices of evaluated images that a head is fitted on and of those that it scores.

    Every image is scored once. Each class's images are spread evenly over the parts.

    Args:
        labels: [E].
        num_seen: S; images of these classes are never fitted on.
        seed: of the draw.
    """
    order = np.random.default_rng([seed, 23]).permutation(len(labels))
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = np.arange(len(members))
    for part in range(_PARTS):
        scored = ranks % _PARTS == part
        yield np.flatnonzero(~scored & (labels >= num_seen)), np.flatnonzero(scored)


def _training(settings: Settings, learner: Learner) -> Images:
    return balanced_sample(learner.training.images, TRAINING_IMAGES, settings.seed)


_BLOCK = 4096


def score_baseline(classifier: Classifier, bank: Bank, test: TestData) -> Scored:
    """Evaluate a classifier on the test images, whose features `bank` gives."""
    features, labels = bank(test.images), test.images.labels
    num_classes = len(classifier.seen) + len(classifier.new)
    logits = np.zeros((len(features), num_classes), np.float32)
    for start in range(0, len(features), _BLOCK):
        logits[start : start + _BLOCK] = classifier.scores(features[start : start + _BLOCK])
    return scored_logits(logits, labels, len(classifier.seen), classifier.calibration)


def scored_logits(logits: np.ndarray, labels: np.ndarray, num_seen: int, calibration: float) -> Scored:
    """Return logits [M, C] of test images with what follows from them."""
    evaluation = evaluate_scores(logits, labels, num_seen, calibration)
    return Scored(logits, labels, evaluation, calibration_curve(logits, labels, num_seen))


def baseline_metrics(scored: Scored, num_seen: int, others: Mapping[str, float | None]) -> dict[str, float | int | None]:
    """Return the flat metrics by the names that metrics.json of a run has; what no image can tell is None.

    Args:
        scored: the evaluation.
        num_seen: S.
        others: further figures (of the validation classes, seed).
    """
    num_unseen = scored.logits.shape[1] - num_seen
    figures: dict[str, float | int | None] = {
        **scored.evaluation.scalars(),
        "chance_zsl": 1 / num_unseen,
        "num_seen": num_seen,
        "num_unseen": num_unseen,
        "num_test_images": len(scored.labels),
        "harmonic_mean_uncalibrated": evaluate_scores(scored.logits, scored.labels, num_seen, 0.0).harmonic_mean,
        **others,
    }
    return {name: finite(value) for name, value in figures.items()}
