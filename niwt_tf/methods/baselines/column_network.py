"""From a description to a head column by a few fully connected layers: the form that every baseline comes to.

A bilinear compatibility is one layer, mixtures of phantom columns are two with a softmax between them, prototypes and points
among the features are the last units of a small network. What differs besides is how those units become a column.

Dimensions: B images, M described classes an image, D features, C classes, K description entries.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.formula import ColumnFormula, Columns, finite, length


@dataclass(frozen=True)
class Layer:
    """x -> activation(x W + b).

    Attributes:
        weights: [inputs, units].
        bias: [units].
        activation: "none", "relu" or "softmax".
    """

    weights: np.ndarray
    bias: np.ndarray
    activation: str = "none"


@dataclass(frozen=True)
class ColumnNetwork(ColumnFormula):
    """k -> (w, b) by layers.

    Attributes:
        how: normalises raw descriptions; None where they are normalised already.
        layers: from a description [K] to units p [D].
        output: what becomes of p: "plain" is w = p, b = 0; "nearest" is w = 2 p, b = -|p|^2, the nearest point; "cosine" is
            w = scale p / |p|, b = 0.
        scale: of "cosine".
    """

    how: DescriptionNormaliser | None
    layers: tuple[Layer, ...]
    output: str = "plain"
    scale: float = 1.0

    kind: ClassVar[str] = "layers"
    fixed: ClassVar[tuple[str, ...]] = ("normalisation", "activations", "output", "output_scale")

    @property
    def normaliser(self) -> DescriptionNormaliser:
        """What raw descriptions are brought to one scale by."""
        return self.how or DescriptionNormaliser("raw", np.zeros(len(self.layers[0].weights), np.float32))

    def units(self, descriptions: np.ndarray) -> np.ndarray:
        """Return p [C, D] of descriptions [C, K]."""
        units = self.normaliser(descriptions)
        for layer in self.layers:
            units = units @ layer.weights + layer.bias
            if layer.activation == "relu":
                units = np.maximum(units, 0.0)
            elif layer.activation == "softmax":
                units = softmax(units, axis=-1)
        return units

    def __call__(self, descriptions: np.ndarray) -> Columns:
        """Return columns float32 [D, C] and biases float32 [C] of descriptions [C, K]."""
        units = self.units(descriptions)
        biases = np.zeros(len(units))
        if self.output == "nearest":
            units, biases = 2 * units, -(units**2).sum(axis=-1)
        elif self.output == "cosine":
            units = self.scale * units / np.maximum(np.linalg.norm(units, axis=-1, keepdims=True), 1e-12)
        return np.ascontiguousarray(units.T, np.float32), biases.astype(np.float32)

    def logits(self, features: Any, descriptions: Any, variables: Mapping[str, Any]) -> Any:
        """Return logits [B, M] of features [B, D] for raw descriptions [B, M, K], as a graph."""
        import tensorflow as tf

        shifted = descriptions - variables["centre"]
        units = descriptions if self.normaliser.how == "raw" else tf.math.divide_no_nan(shifted, length(shifted))
        for index, layer in enumerate(self.layers):
            units = tf.einsum("bmi,io->bmo", units, variables[f"weights_{index}"]) + variables[f"bias_{index}"]
            units = {"none": tf.identity, "relu": tf.nn.relu, "softmax": tf.nn.softmax}[layer.activation](units)
        logits = tf.einsum("bd,bmd->bm", features, units)
        if self.output == "nearest":
            logits = 2.0 * logits - tf.reduce_sum(units**2, axis=-1)
        elif self.output == "cosine":
            logits = self.scale * logits / tf.maximum(length(units)[..., 0], 1e-12)
        return finite(logits)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        found: dict[str, np.ndarray] = {
            "normalisation": np.array(self.normaliser.how),
            "centre": self.normaliser.centre,
            "activations": np.array([layer.activation for layer in self.layers]),
            "output": np.array(self.output),
            "output_scale": np.array(self.scale),
        }
        for index, layer in enumerate(self.layers):
            found |= {f"weights_{index}": layer.weights, f"bias_{index}": layer.bias}
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ColumnNetwork:
        """Return what `arrays` gave."""
        activations = np.atleast_1d(arrays["activations"]).tolist()
        layers = tuple(
            Layer(arrays[f"weights_{index}"], arrays[f"bias_{index}"], str(activation))
            for index, activation in zip(itertools.count(), activations)
        )
        normaliser = DescriptionNormaliser(str(arrays["normalisation"]), arrays["centre"])
        return cls(normaliser, layers, str(arrays["output"]), float(arrays["output_scale"]))
