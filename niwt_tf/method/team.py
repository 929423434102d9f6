"""The processes and devices that work on one run together, and the exact sums that they exchange."""

from __future__ import annotations

import numpy as np


class Team:
    """One process alone.

    Every member calls every method in the same order with arrays of the same shapes; all get the same answers.

    Attributes:
        index: this process, 0 for the one that writes files.
        size: number of processes.
        strategy: the `tf.distribute.Strategy` that training runs under, or None.
    """

    index = 0
    size = 1
    strategy = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the results."""
        return self.index == 0

    def share(self, count: int) -> np.ndarray:
        """Return which of `count` items this process works on, ascending; the shares are disjoint and cover all."""
        return np.arange(self.index, count, self.size)

    def sum(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the sums over the processes, in each array's own type (float64 sums stay float64)."""
        return arrays

    def barrier(self) -> None:
        """Wait until every process has come here."""


ALONE = Team()
