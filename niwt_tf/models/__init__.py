"""Networks: the backbones, the cut at a layer, the head. Keras is imported with its own defaults before any of them."""

from niwt_tf.config.surroundings import settle_keras

settle_keras()
