"""A method from outside of niwt-tf: a new class's mean is that of the seen classes that are described most alike.

After `pip install examples/added_method` it is `niwt run --method=nearest_seen`, `niwt baseline --methods=nearest_seen` and
`Niwt(method="nearest_seen")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values


@dataclass(frozen=True)
class NearestSeen(Fitted):
    """Shares of the seen classes by how alike descriptions are, then the mean of their means."""

    means: np.ndarray
    descriptions: np.ndarray
    sharpness: float
    output = "nearest"

    def layers(self) -> tuple[Layer, ...]:
        alike = Layer(self.sharpness * self.descriptions.T, np.zeros(len(self.descriptions)), "softmax")
        return alike, Layer(self.means, np.zeros(self.means.shape[1]))


def path(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, NearestSeen]]:
    for sharpness in grid["sharpness"]:
        yield {"sharpness": sharpness}, NearestSeen(sample.class_means, descriptions, sharpness)


METHOD = LinearMethod("nearest_seen", {"sharpness": (3.0, 10.0, 30.0)}, path)
