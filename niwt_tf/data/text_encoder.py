"""What every way of turning a class's text into numbers offers: topics, averaged word vectors, a module of TensorFlow Hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class TextEncoder(Protocol):
    """A text -> K numbers."""

    @property
    def names(self) -> tuple[str, ...]:
        """K unique names of the numbers."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [len(texts), K]; a text of which nothing is known is 0."""

    def known(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text that count and those that do not, each once, in order."""

    def arrays(self) -> dict[str, np.ndarray] | None:
        """Return all that it is as arrays by name, for an .npz file, or None where it cannot go into one."""


def dimension_names(count: int) -> tuple[str, ...]:
    """Return names of numbers that mean nothing by themselves."""
    return tuple(f"dimension {number}" for number in range(1, count + 1))
