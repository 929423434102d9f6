"""SynC, one-versus-other: "Synthesized Classifiers for Zero-Shot Learning" (Changpinyo et al., CVPR 2016).

A class's column is a mixture of phantom columns V, w_c = sum_r s_cr v_r, with s_c the softmax over the phantoms of
-sigma |k_c - b_r|^2 (Eq. 2, with sigma for its 1 / sigma^2). There is a phantom at each seen class. The columns W of the seen
classes minimise squared hinge losses, each class against the others, with penalty lambda; then V = pinv(S) W, which gives
back W where S can be inverted.

Dimensions: M images, D features, S seen classes (as many phantoms), C classes, K description entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values
from niwt_tf.methods.baselines.squared_hinge import squared_hinge_path


@dataclass(frozen=True)
class SynC(Fitted):
    """Phantom columns and where they are.

    Attributes:
        phantoms: float64 [S, D], V.
        places: normalised descriptions [S, K] of the seen classes.
        sigma: how fast a phantom's share falls with the squared distance.
    """

    phantoms: np.ndarray
    places: np.ndarray
    sigma: float

    def layers(self) -> tuple[Layer, ...]:
        """Return the shares of the phantoms, from whose exponents |k|^2 drops out, and the mixtures."""
        places = self.places.astype(np.float64)
        nearness = Layer(2 * self.sigma * places.T, -self.sigma * (places**2).sum(axis=1), "softmax")
        return nearness, Layer(self.phantoms, np.zeros(self.phantoms.shape[1]))


def shares(descriptions: np.ndarray, places: np.ndarray, sigma: float) -> np.ndarray:
    """Return the shares [C, S] that phantoms at [S, K] have in classes described by [C, K]; each row sums to 1."""
    distances = ((descriptions[:, None].astype(np.float64) - places[None]) ** 2).sum(axis=2)
    return np.asarray(softmax(-sigma * distances, axis=1))


def solutions(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, SynC]]:
    """Yield the solution for each lambda and sigma of the grid; descriptions [S, K] as they are to be used."""
    inverses = {sigma: np.linalg.pinv(shares(descriptions, descriptions, sigma)) for sigma in grid["sigma"]}
    penalties = sorted(grid["lambda"], reverse=True)
    seen = sample.cached(("squared_hinge", *penalties), lambda: tuple(_seen_columns(sample, len(descriptions), penalties)))
    for penalty, columns in zip(penalties, seen, strict=True):
        for sigma, inverse in inverses.items():
            yield {"lambda": penalty, "sigma": sigma}, SynC(inverse @ columns.T, descriptions, sigma)


def _seen_columns(sample: Sample, num_classes: int, penalties: list[float]) -> Iterator[np.ndarray]:
    return squared_hinge_path(sample.features, sample.labels, num_classes, penalties)


METHOD = LinearMethod(
    "sync",
    {"lambda": tuple(2.0**power for power in range(-24, 1, 3)), "sigma": tuple(2.0**power for power in range(-5, 6))},
    solutions,
)
