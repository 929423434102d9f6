"""What a client asks: one request at a time, whichever way it travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Outputs:
    """What one request was answered.

    Attributes:
        tensors: arrays by name; strings are bytes in arrays of objects.
        version: of the model that answered, or None where the protocol does not say it (REST).
    """

    tensors: Mapping[str, np.ndarray]
    version: int | None


class Transport(Protocol):
    """A way to a model."""

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Outputs:
        """Send one request and return its answer.

        Args:
            signature: of the model.
            inputs: arrays by name; strings are bytes in arrays of objects.
            seconds: it may take.

        Raises:
            RequestError: it was not answered.
        """

    def close(self) -> None:
        """Give back connections and memory."""
