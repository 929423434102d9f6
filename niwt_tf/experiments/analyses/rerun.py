"""What a run's transfer was made of, so that an analysis can make it again with one thing changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions, TestData
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.seen_heads import SeenHead
from niwt_tf.methods.task import Task, folds_of
from niwt_tf.methods.transfer_method import TransferMethod
from niwt_tf.metrics.gzsl import Evaluation, evaluate_scores
from niwt_tf.protocol.selection import Chosen, choose


@dataclass(frozen=True)
class FinishedTransfer:
    """The inputs of Stage 3 and what was chosen.

    Attributes:
        method: of the run.
        tasks: main first, then folds, with the importances and maps of the run.
        candidate: what the folds chose, the first of each grid without folds.
        calibration: in units of `seen_margin`, 0 without folds.
        unseen: the descriptions of the unseen classes.
    """

    method: TransferMethod
    tasks: Sequence[Task]
    candidate: Any
    calibration: float
    unseen: Descriptions

    @property
    def main(self) -> Task:
        """That of all seen classes."""
        return self.tasks[0]

    @property
    def settings(self) -> Settings:
        """Of the run."""
        return self.main.settings

    @property
    def folds(self) -> list[Task]:
        """Those with validation classes; none where there are too few seen classes."""
        return folds_of(self.tasks)

    @property
    def head(self) -> SeenHead:
        """The chosen seen head of the main task."""
        return self.method.head_of(self.main, self.candidate)

    def chosen(self, settings: Settings | None = None) -> Chosen:
        """Return what `niwt transfer` makes, every choice on the folds, with other settings of Stage 3 where given."""
        tasks = [task.with_settings(settings or self.settings) for task in self.tasks]
        return choose(tasks[0].settings, self.method, tasks)


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


def evaluate_chosen(chosen: Chosen, unseen: Descriptions, test: TestFeatures) -> Evaluation:
    """Evaluate the columns that a chosen method makes of the unseen classes' descriptions."""
    made = chosen.generator.generate(unseen)
    assert isinstance(made, HeadParameters), "Eq. 3 makes columns"
    return test.evaluate(made.seen, made.new, chosen.calibration)
