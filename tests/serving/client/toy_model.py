"""A SavedModel with the signatures of an exported bundle, without a network: an image's logits are made of its mean colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from niwt_tf.data.images.decode import decode_image

SIZE = 4
CLASSIFY_METHOD = "tensorflow/serving/classify"


class Toy(tf.Module):
    """Class c is as likely as its colour is like the image's mean colour."""

    def __init__(self, labels: Sequence[str], colours: np.ndarray, num_seen: int) -> None:
        super().__init__()
        self.labels = tf.Variable(list(labels), trainable=False)
        self.colours = tf.Variable(np.float32(colours), trainable=False)
        self.seen = tf.Variable(np.float32(np.arange(len(labels)) < num_seen), trainable=False)

    def _features(self, image_bytes):
        one = tf.TensorSpec([SIZE, SIZE, 3], tf.float32)
        images = tf.map_fn(lambda encoded: decode_image(encoded, SIZE), image_bytes, fn_output_signature=one)
        return tf.reduce_mean(images, [1, 2]) / 255.0

    def _logits(self, features, colours):
        return -10.0 * tf.reduce_sum((features[..., None, :] - colours) ** 2, -1)

    def _best(self, image_bytes):
        logits = self._logits(self._features(image_bytes), self.colours)
        _, classes = tf.math.top_k(logits, tf.minimum(5, tf.shape(logits)[1]))
        scores = tf.gather(tf.nn.softmax(logits), classes, batch_dims=1)
        return {"labels": tf.gather(self.labels, classes), "scores": scores, "is_seen": tf.gather(self.seen, classes)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serving_default(self, image_bytes):
        return self._best(image_bytes)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, "images")])
    def logits(self, images):
        features = tf.reduce_mean(images, [1, 2]) / 255.0
        return {"logits": self._logits(features, self.colours), "features": features}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(self, inputs):
        parsed = tf.io.parse_example(inputs, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
        best = self._best(parsed["image/encoded"])
        return {"classes": best["labels"], "scores": best["scores"]}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "image_bytes"),
            tf.TensorSpec([None, None, 3], tf.float32, "descriptions"),
        ]
    )
    def classify_with(self, image_bytes, descriptions):
        features = self._features(image_bytes)
        logits = tf.concat([self._logits(features, self.colours), self._logits(features, descriptions)], 1)
        labels = tf.tile(self.labels[None], [tf.shape(features)[0], 1])
        return {"labels": labels, "scores": tf.nn.softmax(logits), "logits": logits}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def explain(self, image_bytes):
        features, best = self._features(image_bytes), self._best(image_bytes)
        count = tf.shape(features)[0]
        map_of_three = tf.tile(features[:, None], [1, 2, 1])
        png = tf.map_fn(
            lambda one: tf.io.encode_png(tf.cast(one[..., None] * 255.0, tf.uint8)),
            map_of_three,
            fn_output_signature=tf.TensorSpec([], tf.string),
        )

        def words(*names):
            return tf.tile(tf.constant([names]), [count, 1])

        weights = tf.sort(features, direction="DESCENDING")
        return {
            "label": best["labels"][:, 0],
            "score": best["scores"][:, 0],
            "is_seen": best["is_seen"][:, 0],
            "heatmap": map_of_three,
            "heatmap_png_bytes": png,
            "attributes": words("red", "green", "blue", "", ""),
            "attribute_weights": tf.concat([weights, tf.zeros([count, 2])], 1),
            "neurons": words("neuron 2", "neuron 0", "neuron 1"),
            "neuron_names": words("blue", "red", "green"),
            "neuron_weights": weights,
            "runner_up": best["labels"][:, 1],
            "runner_up_score": best["scores"][:, 1],
            "for_attributes": words("red", "green", "blue"),
            "for_weights": weights,
            "against_attributes": words("blue", "green", "red"),
            "against_weights": -weights,
        }


def save_toy(folder: Path, labels: Sequence[str], colours: np.ndarray, num_seen: int) -> Path:
    """Write a toy and return its folder."""
    toy = Toy(labels, colours, num_seen)
    names = ("serving_default", "logits", "classify", "classify_with", "explain")
    tf.saved_model.save(toy, str(folder), signatures={name: getattr(toy, name) for name in names})
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    model.meta_graphs[0].signature_def["classify"].method_name = CLASSIFY_METHOD
    path.write_bytes(model.SerializeToString())
    return folder
