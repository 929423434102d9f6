"""Bundles: exported versions, how they lie in folders, and what is read of them without Keras."""

from niwt_tf.serving.bundle.bundle import Bundle as Bundle
