"""What files for other runtimes are written from: a network of this process, or the one that an exported bundle holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from niwt_tf import __version__
from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError, first_line
from niwt_tf.files import literal_folder
from niwt_tf.models.network import Network
from niwt_tf.serving.bundle.bundle import Bundle

Answers = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]


@dataclass(frozen=True, eq=False)
class Portable:
    """Pixels to logits, and what a file says of itself.

    Attributes:
        name: of the network or of the bundle's folder, for sentences.
        answers: float32 [B, S, S, 3], RGB in 0..255, to `logits` float32 [B, C], calibrated, and `features` float32 [B, D].
        input_form: how an image becomes such pixels.
        size: of all weights in bytes.
        description: labels, seen, input_size, layer, calibration and preprocessing, all of it JSON.
    """

    name: str
    answers: Answers
    input_form: InputForm
    size: int
    description: Mapping[str, Any]

    @property
    def labels(self) -> tuple[str, ...]:
        """C class names, in the order of the logits."""
        return tuple(self.description["labels"])

    def function(self, batch: int | None) -> Any:
        """Return the answers as a `tf.function` of images [B, S, S, 3], where B is `batch`, or any number."""
        side = self.input_form.size
        images = tf.TensorSpec([batch, side, side, 3], tf.float32, name="images")
        return tf.function(lambda images: dict(self.answers(images)), input_signature=[images], autograph=False)


def of_network(network: Network) -> Portable:
    """Return what a file is written from, of a network."""

    def answers(images: tf.Tensor) -> dict[str, tf.Tensor]:
        features = network.tail(network.trunk(images, training=False), training=False)
        return {"logits": tf.cast(network.head(features), tf.float32), "features": tf.cast(features, tf.float32)}

    said: dict[str, Any] = {"layer": network.layer, "calibration": network.calibration}
    said |= {"labels": list(network.class_names), "seen": list(network.class_names[: network.num_seen])}
    size = sum(weight.numpy().nbytes for weight in network.model.weights)
    return _portable(network.model.name, answers, network.input_form, size, said)


def of_bundle(folder: str | os.PathLike[str]) -> Portable:
    """Return what a file is written from, of an exported version, with the classes that it has learnt since.

    Raises:
        InputError: there is no bundle, it is not as it was written, or TensorFlow cannot load it.
    """
    bundle = Bundle.open(folder)
    try:
        loaded = tf.saved_model.load(str(literal_folder(bundle.folder)))
    except Exception as error:  # of what is in the files
        rule = "--bundle must be a version that TensorFlow can load"
        raise InputError(f"{rule}. Received: {bundle.folder} ({first_line(error).rstrip('.')}).") from None
    # The served head multiplies page by page, in a loop that other runtimes do not have.
    columns = bundle.variable("columns").transpose(1, 0, 2)
    columns = columns.reshape(len(columns), -1)[:, bundle.variable("slots")]
    biases = bundle.variable("biases") - bundle.variable("calibration") * bundle.variable("seen")

    def answers(images: tf.Tensor) -> dict[str, tf.Tensor]:
        features = loaded(images / 255.0)  # as a reusable module of TensorFlow Hub takes them
        return {"logits": tf.matmul(features, tf.constant(columns)) + biases, "features": features}

    size = sum(file.stat().st_size for file in (bundle.folder / "variables").glob("*.data-*"))
    said = {name: bundle.metadata[name] for name in ("labels", "seen", "layer", "calibration")}
    return _portable(str(bundle.folder), answers, bundle.input_form, size, said)


def _portable(name: str, answers: Answers, form: InputForm, size: int, said: Mapping[str, Any]) -> Portable:
    outside = f"Outside: to RGB in 0..255, and to input_size x input_size by {form.resize}."
    described = {**said, "input_size": form.size, "preprocessing": outside, "niwt_tf": __version__}
    return Portable(name, answers, form, size, described)
