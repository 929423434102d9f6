"""What each neuron stands for: the attribute that the inverse map gives a neuron that is important alone.

Dimensions: K attributes, N neurons.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def name_neurons(weights: np.ndarray, attribute_names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Name each neuron by the largest entry of its column of the inverse map.

    The bias is left out, since it is the same for all neurons. The confidence is the cosine between the neuron's column and the
    attribute that names it: 1 where the neuron speaks for nothing else. An attribute that all seen classes share has weight 0,
    so it names no neuron; a neuron that speaks for no attribute is called "" with confidence 0.

    Args:
        weights: inverse map [K, N].
        attribute_names: K names.

    Returns:
        N names, and their confidences float32 [N] in [0, 1].
    """
    best = weights.argmax(axis=0)
    largest = np.take_along_axis(weights, best[None], axis=0)[0]
    norms = np.linalg.norm(weights, axis=0)
    confidences = np.divide(largest, norms, out=np.zeros_like(norms), where=largest > 0)
    names = tuple(attribute_names[k] if confidence > 0 else "" for k, confidence in zip(best, confidences, strict=True))
    return names, np.minimum(confidences, 1.0).astype(np.float32)
