"""Which pixels a difference of two logits hangs on: Simonyan et al., "Deep Inside Convolutional Networks" (2014).

As in section 5.3 of "Language to Network" (ACL 2020), but of the margin and not of the loss, which is flat where an answer is
sure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from niwt_tf.models.network import Network


def input_saliency(network: Network) -> Callable[[np.ndarray, int, int], np.ndarray]:
    """Return what gives |d margin / d pixel| of an image, the largest over the channels, float32 [S, S].

    It takes one image, float32 [S, S, 3] in 0..255, and two classes: the margin is the logit of the first minus that of the
    second.
    """

    @tf.function(autograph=False)
    def slopes(images: tf.Tensor, own: tf.Tensor, rival: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = tf.cast(network.model(images, training=False), tf.float32)[0]
            margin = logits[own] - logits[rival]
        return tf.reduce_max(tf.abs(tape.gradient(margin, images)), axis=-1)[0]

    def of_image(pixels: np.ndarray, own: int, rival: int) -> np.ndarray:
        return np.asarray(slopes(tf.constant(np.asarray(pixels, np.float32)[None]), tf.constant(own), tf.constant(rival)))

    return of_image
