"""A network that knows nothing, to compare explanations with (Adebayo et al., "Sanity Checks for Saliency Maps", 2018)."""

from __future__ import annotations

import numpy as np

from niwt_tf.models.network import Network


def with_shuffled_weights(network: Network, seed: int) -> Network:
    """Return a network whose weights are this one's, each array in a random order of its entries.

    Shuffling keeps every layer's mean and spread, which drawing anew need not, so that activations neither vanish nor explode.
    """
    generator = np.random.default_rng(seed)
    shuffled = network.copy()
    for variable in shuffled.model.weights:
        values = variable.numpy()
        variable.assign(generator.permutation(values.ravel()).reshape(values.shape))
    return shuffled
