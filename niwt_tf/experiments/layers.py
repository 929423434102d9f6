"""The layers whose importances are matched: that of --layer, and further ones of the same network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwt_tf.errors import InputError
from niwt_tf.method.closed_form import Blocks
from niwt_tf.models.cut import check_not_degenerate, output_of
from niwt_tf.models.network import Network

# Stands for what the head is applied to: the last fully connected layer, or the pooled map.
FEATURES = "features"


def recut(network: Network, layers: Sequence[str]) -> list[Network]:
    """Return the network cut at each of the further layers but `FEATURES`, whose importance is the column; weights are shared.

    Raises:
        InputError: a layer is unknown, degenerate, repeated, or the network's own.
    """
    repeated = next((name for name in layers if name == network.layer), None)
    if repeated is not None:
        raise InputError(f"--extra_layers must differ from --layer. Received: {repeated!r}.")
    cuts = []
    for name in (name for name in layers if name != FEATURES):
        try:
            cuts.append(Network(network.model, name))
            check_not_degenerate(network.model, name)
        except InputError as error:
            raise InputError(f"--extra_layers must name layers that can be cut at. {error}") from None
    return cuts


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
    return network.num_features if layer == FEATURES else int(output_of(network.model, layer).shape[-1])
