"""Images as tf.Example records, which the Classify call of TensorFlow Serving takes."""

from __future__ import annotations

import tensorflow as tf

ENCODED = "image/encoded"


def example(image_bytes: bytes) -> bytes:
    """Return a serialized tf.Example with the contents of an image file."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image_bytes]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={ENCODED: feature})).SerializeToString())
