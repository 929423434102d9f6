"""The small VGG-style network of the rendered data set: its convolutions."""

from __future__ import annotations

from typing import Any

import keras

CHANNELS = (16, 32, 64, 64)


def small_vgg_map(images: Any) -> Any:
    """Return the pooled map [B, S/16, S/16, 64] of images [B, S, S, 3]: four blocks of convolution, batch norm, ReLU, max-pool.

    The batch norm's momentum is 0.9 because a run has only some hundred steps; Keras's 0.99 would lag behind the weights.
    """
    features = images
    for block, channels in enumerate(CHANNELS, start=1):
        convolution = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"block{block}_conv")
        normalise = keras.layers.BatchNormalization(momentum=0.9, name=f"block{block}_bn")
        features = normalise(convolution(features))
        features = keras.layers.ReLU(name=f"block{block}_relu")(features)
        features = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(features)
    return features
