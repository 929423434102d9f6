"""The small VGG-style network of the rendered data set: its convolutions."""

from __future__ import annotations

from typing import Any

import keras

CHANNELS = (16, 32, 64, 128)


def small_vgg_map(images: Any) -> Any:
    """Return the pooled map [B, 1, 1, 128] of images [B, S, S, 3]: four blocks of convolution, batch norm, ReLU, max-pool.

    The last pool takes the maximum over all positions, [B, S/8, S/8, 128], so that a neuron of the last convolution must itself
    tell a red crown from a red tail: importance, which averages over positions, could not.

    The batch norm's momentum is 0.9 because a run has only some hundred steps; Keras's 0.99 would lag behind the weights.
    """
    features = images
    for block, channels in enumerate(CHANNELS, start=1):
        convolution = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"block{block}_conv")
        normalise = keras.layers.BatchNormalization(momentum=0.9, name=f"block{block}_bn")
        features = convolution(features)
        if block < len(CHANNELS):
            # Pooling first leaves batch norm and ReLU a quarter of the work; ReLU and a maximum commute.
            features = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(features)
        features = keras.layers.ReLU(name=f"block{block}_relu")(normalise(features))
    return keras.layers.GlobalMaxPooling2D(keepdims=True, name=f"block{len(CHANNELS)}_pool")(features)
