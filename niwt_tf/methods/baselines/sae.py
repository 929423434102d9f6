"""SAE: "Semantic Autoencoder for Zero-Shot Learning" (Kodirov, Xiang and Gong, CVPR 2017).

W takes an image's feature x to its class's description k, and W' takes k back to x. It minimises |X - S W|^2 +
lambda |X W' - S|^2, with the rows of X for images and those of S for their descriptions. There A W + W B = C, with A = S'S,
B = lambda X'X and C = (1 + lambda) S'X (a Sylvester equation). In the eigenvectors of A and B an entry of W is one of C divided
by a sum of two eigenvalues, so that a further lambda costs no more than putting W together.

The paper has two ways to classify. Either x is taken to the descriptions and compared with them by cosine: as |W x| is the same
for all classes, the class of a description of length 1 has the column W'k. Or descriptions are taken to the features: the
column is W'k divided by its length, which gives the cosine for features of length 1.

One thing differs from the paper: lambda is in units of tr A / tr X'X, so that a grid fits features of any scale.

Dimensions: M images, D features, S seen classes, K description entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from niwt_tf.methods.baselines.column_network import Layer
from niwt_tf.methods.baselines.linear import Fitted, Grid, LinearMethod, Sample, Values

# Below this share of the largest eigenvalue a direction of images or of descriptions is rounding.
_SINGULAR = 1e-12


@dataclass(frozen=True)
class Encoded(Fitted):
    """Classifies among the descriptions.

    Attributes:
        weights: float64 [K, D], W.
    """

    weights: np.ndarray

    def layers(self) -> tuple[Layer, ...]:
        """Return W'k."""
        return (Layer(self.weights, np.zeros(self.weights.shape[1])),)


class Decoded(Encoded):
    """Classifies among the features."""

    output = "cosine"


def solutions(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, Encoded]]:
    """Yield the solution for each lambda of the grid, by both ways to classify; descriptions [S, K] as they are to be used."""
    feature_values, feature_vectors = sample.spectrum
    sums, counts = sample.class_sums
    described = np.asarray(descriptions, np.float64)
    entry_values, entry_vectors = np.linalg.eigh(described.T @ (counts[:, None] * described))
    rotated = (entry_vectors.T @ described.T) @ (sums @ feature_vectors)
    # Elsewhere C is 0, and so is the shortest solution.
    kept = (entry_values > _SINGULAR * entry_values[-1])[:, None] & (feature_values > _SINGULAR * feature_values[-1])
    unit = float(entry_values.sum() / max(feature_values.sum(), 1e-300)) or 1.0
    for penalty in grid["lambda"]:
        own = penalty * unit
        total = entry_values[:, None] + own * feature_values
        middle = np.divide((1 + own) * rotated, total, out=np.zeros_like(rotated), where=kept)
        weights = entry_vectors @ middle @ feature_vectors.T
        for decoder in grid["decoder"]:
            yield {"lambda": penalty, "decoder": decoder}, (Decoded if decoder else Encoded)(weights)


METHOD = LinearMethod("sae", {"lambda": tuple(10.0**power for power in range(-4, 5)), "decoder": (1.0, 0.0)}, solutions)
