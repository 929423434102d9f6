"""What a run's transfer was made of, so that an analysis can make it again with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Learner
from niwt_tf.data.schema import TestData
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.niwt import Transferer, choose
from niwt_tf.methods.niwt.solving import Choice
from niwt_tf.metrics.gzsl import Evaluation, evaluate_scores
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class FinishedTransfer:
    """The inputs of Stage 3 and what was chosen.

    Attributes:
        settings: of the run.
        learners: main first, then folds.
        networks: by learner.
        measured: candidate heads by learner.
        maps: by learner, one for each head.
        operators: by learner.
        readers: by learner.
        choice: what the folds chose, the first of each grid without folds.
        calibration: in units of `seen_margin`, 0 without folds.
        unseen_names: U names.
        unseen_descriptions: float32 [U, K], raw.
    """

    settings: Settings
    learners: Sequence[Learner]
    networks: Mapping[str, Network]
    measured: Mapping[str, Sequence[MeasuredHead]]
    maps: Mapping[str, Sequence[ImportanceMap]]
    operators: Mapping[str, np.ndarray]
    readers: Mapping[str, Reader]
    choice: Choice
    calibration: float
    unseen_names: tuple[str, ...]
    unseen_descriptions: np.ndarray

    @property
    def main(self) -> Learner:
        """The learner of all seen classes."""
        return self.learners[0]

    @property
    def folds(self) -> list[Fold]:
        """The learners of validation classes; none where there are too few seen classes."""
        return [learner for learner in self.learners if isinstance(learner, Fold)]

    @property
    def head(self) -> MeasuredHead:
        """The chosen seen head of the main learner."""
        return self.measured["main"][self.choice.head]

    def transferred(self, settings: Settings | None = None) -> Transferer:
        """Return what `niwt transfer` makes, every choice on the folds, with other settings of Stage 3 where given."""
        transferer, _ = choose(
            settings or self.settings, self.learners, self.networks, self.measured, self.maps, self.operators, self.readers
        )
        return transferer


def choice_of(selection: Mapping[str, Any]) -> tuple[Choice, float]:
    """Return the choice and the calibration that selection.json holds."""
    chosen = selection["chosen"]
    known = {each.name: chosen[each.name] for each in fields(Choice) if each.name in chosen}
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return Choice(**plain), float(chosen["calibration"] or 0.0)


@dataclass(frozen=True)
class TestFeatures:
    """The features of the test images, to measure columns on and for nothing else.

    Attributes:
        features: [M, D].
        labels: [M], seen classes first.
        num_seen: S.
    """

    __test__ = False  # not a pytest class

    features: np.ndarray
    labels: np.ndarray
    num_seen: int

    def evaluate(
        self, seen: tuple[np.ndarray, np.ndarray], new: tuple[np.ndarray, np.ndarray], calibration: float
    ) -> Evaluation:
        """Evaluate columns and biases of the seen classes beside those of the unseen ones."""
        columns = np.concatenate([seen[0], new[0]], axis=1)
        logits = self.features @ columns + np.concatenate([seen[1], new[1]])
        return evaluate_scores(logits, self.labels, self.num_seen, calibration)


def read_test_features(reader: Reader, test: TestData) -> TestFeatures:
    """Return the test images' features under the main network."""
    return TestFeatures(np.asarray(reader.features(test.images)), test.images.labels, test.num_seen)


def evaluate_transferer(transferer: Transferer, descriptions: np.ndarray, test: TestFeatures) -> Evaluation:
    """Evaluate the columns that a transferer makes of the unseen classes' descriptions [U, K]."""
    new, head = transferer.columns(descriptions), transferer.head.head
    return test.evaluate((head.columns, head.biases), (new.columns, new.biases), transferer.calibration)
