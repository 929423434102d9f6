"""What an analysis of NIWT's three stages needs of a method: importances of a seen head, and columns made for importances.

Dimensions: D features, N neurons, S seen classes, U new classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.methods.base import Generator, Method
from niwt_tf.methods.seen_heads import SeenHead
from niwt_tf.methods.task import Task


class TransferGenerator(Generator):
    """A generator that solves Eq. 3 for the columns of new classes."""

    @abstractmethod
    def columns_for(self, importances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns [D, U] and biases [U] whose importances are those given, [U, N]."""

    @abstractmethod
    def with_formula(self) -> TransferGenerator:
        """Return the same with its column formula, where the engine has one."""


class TransferMethod(Method):
    """A method that measures importance (Eq. 1), predicts it (Eq. 2) and solves for columns (Eq. 3).

    Its candidates are dataclasses with an `engine` and a `regularization`, Eq. 3's lambda.
    """

    @abstractmethod
    def fit(self, task: Task, candidate: Any) -> TransferGenerator:
        """Fit one candidate on all classes of a task that was prepared."""

    @abstractmethod
    def head_of(self, task: Task, candidate: Any) -> SeenHead:
        """Return the seen head of a candidate, of a task that was prepared."""

    @abstractmethod
    def operator_of(self, task: Task) -> np.ndarray:
        """Return the mean operator [N, D] over a sample of the training images of a task that was prepared."""

    @abstractmethod
    def lambdas(self, settings: Settings) -> Sequence[float]:
        """Return the weights of Eq. 3's regulariser that are chosen between."""

    @abstractmethod
    def further_layers(self, settings: Settings) -> Sequence[str]:
        """Return the layers whose importances are matched beside those of --layer."""

    @abstractmethod
    def at_layer(self, settings: Settings, has_positions: bool) -> Settings:
        """Return the settings for the same network cut at another layer alone, whose neurons may be units without positions."""
