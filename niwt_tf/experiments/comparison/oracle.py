"""The ceiling: a supervised head that has seen images of the unseen classes, on the features that all methods share.

It is not a zero-shot method. A class-balanced ridge head is fitted on the training images of the seen classes and on four
fifths of the evaluated images of the unseen ones; the fifth that is left is scored, and so on round (cross-fitting). Evaluated
images of seen classes are scored in the same way, and no head is fitted on them. So no head scores an image that it saw.

Dimensions: M training images, E evaluated images, D features, S seen classes, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.sampling import training_sample
from niwt_tf.data.schema import Descriptions, Images, TestData
from niwt_tf.methods.base import Generator, Method, Trial
from niwt_tf.methods.parameters import Parameters
from niwt_tf.methods.seen_heads import RidgeHeadPath, RidgeMoments
from niwt_tf.methods.task import Task
from niwt_tf.metrics.calibration import seen_margin
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.network import Network
from niwt_tf.protocol.scoring import Scored, scored_logits

# Ridge penalties in units of a feature's mean variance.
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
_PARTS = 5


@dataclass(frozen=True)
class Penalty:
    """A candidate: a kind of features, "unit" or "raw", and a ridge penalty."""

    features: str
    penalty: float

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        return {"features": self.features, "descriptions": "none", "penalty": self.penalty}


@dataclass(frozen=True)
class OracleParameters(Parameters):
    """Scores by cross-fitted heads: there is no one head, and so no network."""

    candidate: Penalty
    num_classes: int
    figures: Mapping[str, float] = field(default_factory=dict)

    def scores(self, task: Task, images: Images) -> np.ndarray:
        """Return [E, C] of images whose labels are used: each is scored by a head that was not fitted on it."""
        kind = self.candidate.features

        def every_penalty() -> np.ndarray:
            training = training_sample(task.settings, task.partition)
            rows, asked = (scaled(task.features(some), kind) for some in (training, images))
            counts = task.num_seen, self.num_classes
            return cross_fitted_scores(rows, training.labels, asked, images.labels, *counts, STRENGTHS, task.settings.seed)

        scores = task.cached(("oracle", kind, images.paths), every_penalty)
        return scores[STRENGTHS.index(self.candidate.penalty)]

    def apply(self, network: Network) -> Network:
        """Refuse: what has seen the images of the unseen classes is a ceiling."""
        raise TypeError("The oracle is a ceiling to compare with, not a network.")


@dataclass(frozen=True)
class _OracleGenerator(Generator):
    candidate: Penalty
    num_seen: int

    def generate(self, classes: Descriptions) -> OracleParameters:
        return OracleParameters(self.candidate, self.num_seen + len(classes))

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


class Oracle(Method):
    """Ridge heads that have seen images of the unseen classes."""

    name = "oracle"
    settings = ("seed",)

    @property
    def built_in(self) -> list[float]:
        """The penalties."""
        return list(STRENGTHS)

    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> list[Penalty]:
        """Return every kind of features with every penalty."""
        del settings, tasks
        return [Penalty(kind, strength) for kind in ("unit", "raw") for strength in STRENGTHS]

    def fit(self, task: Task, candidate: Penalty) -> Generator:
        """Return what is fitted once images are to be scored."""
        return _OracleGenerator(candidate, task.num_seen)

    def candidate_of(self, values: Mapping[str, Any]) -> Penalty:
        """Return the candidate whose `as_dict` is given."""
        return Penalty(str(values["features"]), float(values["penalty"]))

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> Generator:
        """Refuse: nothing is kept."""
        raise TypeError("The oracle is a ceiling to compare with, not a network.")


ORACLE = Oracle()


def score_oracle(task: Task, trial: Trial, num_unseen: int, test: TestData) -> Scored:
    """Score the test images by cross-fitted heads, with the penalty and calibration that the validation classes chose.

    The task is of all seen classes; the trial is the choice.
    """
    held_out, tested = task.held_out, test.images
    training = training_sample(task.settings, task.partition)
    labels = np.concatenate([tested.labels, held_out.labels])
    rows, *asked = (scaled(task.features(some), trial.candidate.features) for some in (training, tested, held_out))
    counts = task.num_seen, task.num_seen + num_unseen
    (scores,) = cross_fitted_scores(
        rows, training.labels, np.concatenate(asked), labels, *counts, [trial.candidate.penalty], task.settings.seed
    )
    margin = seen_margin(scores[len(tested) :, : task.num_seen], held_out.labels)
    return scored_logits(scores[: len(tested)], tested.labels, task.num_seen, trial.calibration * margin)


def scaled(features: np.ndarray, kind: str) -> np.ndarray:
    """Return features [M, D] as they are or L2-normalised."""
    return unit(features) if kind == "unit" else features


def cross_fitted_scores(
    features: np.ndarray, labels: np.ndarray, asked: np.ndarray, asked_labels: np.ndarray, num_seen: int, num_classes: int,
    strengths: Sequence[float], seed: int,
) -> np.ndarray:
    """Return scores float32 [strengths, E, C] of evaluated images, each by a head that was not fitted on it.

    Features [M, D] and labels [M] are of training images of seen classes, those asked, [E, D] and [E], of evaluated images. Of
    these, labels of `num_seen` and above are of unseen classes, whose images are fitted on in turn.
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

    Every image is scored once, and those of the S seen classes are never fitted on. Each class's images, by labels [E], are
    spread evenly over the parts.
    """
    order = np.random.default_rng([seed, 23]).permutation(len(labels))
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        ranks[members] = np.arange(len(members))
    for part in range(_PARTS):
        scored = ranks % _PARTS == part
        yield np.flatnonzero(~scored & (labels >= num_seen)), np.flatnonzero(scored)
