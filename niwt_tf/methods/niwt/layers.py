"""The layers whose importances are matched: that of --layer, and further ones of the same network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.models.cut import named_cut, output_of
from niwt_tf.models.network import FEATURES, Network


def blocks_of(network: Network, layers: Sequence[str], weights: Sequence[float]) -> Blocks:
    """Return how stacked operators and importances belong to the layers.

    Args:
        network: cut at --layer.
        layers: the further ones, in the order in which they are stacked.
        weights: of --layer and of each further one.
    """
    sizes = [network.num_neurons, *(_size(network, name) for name in layers)]
    return Blocks(tuple(sizes), tuple(float(weight) for weight in weights))


def with_features(layers: Sequence[str], stacked: list[np.ndarray]) -> list[np.ndarray]:
    """Return the operators [L, N, D] of all layers in their order: that of the features is the identity."""
    first, *others = stacked
    count, _, size = first.shape
    rest = iter(others)
    identity = np.broadcast_to(np.eye(size, dtype=first.dtype), (count, size, size))
    return [first, *(identity if name == FEATURES else next(rest) for name in layers)]


def _size(network: Network, layer: str) -> int:
    if layer == FEATURES:
        return network.num_features
    return int(output_of(network.model, named_cut(network.model, layer)).shape[-1])
