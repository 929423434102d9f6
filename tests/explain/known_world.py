"""Classes whose importances follow from their attributes in a known way."""

from __future__ import annotations

import numpy as np

# Neuron n is attribute ORDER[n]; no neuron is the last attribute.
ORDER = (3, 1, 4, 0, 2)


def world(seed: int = 0, classes: int = 24, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """Return unit importances [S, 5] and descriptions [S, 6]; attribute 4 is there 5 times of 6, attribute 5 always."""
    random = np.random.default_rng(seed)
    descriptions = (random.uniform(size=(classes, 6)) < 0.3).astype(np.float32)
    descriptions[:, 4] = np.arange(classes) % 6 > 0
    descriptions[:, 5] = 0.1
    importances = 0.2 + descriptions[:, ORDER] + noise * random.standard_normal((classes, 5))
    return (importances / np.linalg.norm(importances, axis=1, keepdims=True)).astype(np.float32), descriptions
