"""A network as a SavedModel that a server can run: image files in, names and scores out."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from niwt_tf import __version__
from niwt_tf.data.decode import decode_image
from niwt_tf.errors import InputError
from niwt_tf.files import write_json
from niwt_tf.models.network import Network
from niwt_tf.serving.verification import read_check_images, verify
from niwt_tf.serving.versions import new_version

METADATA = "niwt.json"
_LOG = logging.getLogger("niwt_tf")
_PREPROCESSING = (
    "Inside the model: an image file is decoded to RGB in 0..255 and the whole of it squashed to input_size x input_size; "
    "the signature `logits` takes such pixels."
)


def export_network(
    network: Network,
    folder: str | os.PathLike[str],
    *,
    k: int = 5,
    check_images: Sequence[str | os.PathLike[str]],
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a network as the next version in `folder`, verified, or write nothing.

    B is any batch size from 1; row i of an answer is what image i alone would get. The signatures:
        serving_default: image_bytes string [B] -> labels string [B, k] (best first), scores float32 [B, k] (softmax of the
            calibrated logits).
        logits: images float32 [B, S, S, 3], RGB in 0..255 -> logits float32 [B, C] (calibrated), features float32 [B, D].

    Args:
        network: what to export.
        folder: holds one folder a version, named 1, 2, ...; earlier ones are not touched.
        k: classes an answer, at least 1; at most C are given.
        check_images: at least one image file, for comparing the SavedModel with the network in a fresh process.
        metadata: goes into niwt.json beside the model, under names of its own.

    Returns:
        The version's folder.

    Raises:
        InputError: k is below 1, `folder` is a file, a check image cannot be decoded, or metadata takes a name that is taken.
        VerificationError: the SavedModel does not answer as the network does.
        OSError: the folder cannot be written.
    """
    if k < 1:
        raise InputError(f"k must be at least 1. Received: {k}.")
    best = min(k, len(network.class_names))
    description = {**_description(network, best), "checked": {}}
    taken = sorted(description.keys() & (metadata or {}).keys())
    if taken:
        raise InputError(f"metadata must not name what the export says itself. Received: {taken[0]!r}.")
    images = read_check_images(check_images, network.input_size)
    with new_version(folder) as version:
        _write(network, version.work, best)
        checked = verify(version.work, network, images, best)
        description["checked"] = {
            "images": checked.images,
            "largest_score_difference": checked.largest_score_difference,
        }
        write_json(version.work / METADATA, {**description, **(metadata or {})})
    _LOG.info("%s answers as the network does on %d images.", version.path, checked.images)
    return version.path


def _write(network: Network, folder: Path, k: int) -> None:
    size = network.input_size
    archive = keras.export.ExportArchive()
    # The first one named so is the only default; a model that is tracked too would be written twice (keras#23553).
    image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")
    images = tf.TensorSpec([None, size, size, 3], tf.float32, name="images")
    archive.add_endpoint("serving_default", _classify(network, k), input_signature=[image_bytes])
    archive.add_endpoint("logits", _logits_and_features(network), input_signature=[images])
    archive.add_variable_collection("weights", [variable.value for variable in network.model.weights])
    archive.write_out(str(folder), verbose=False)


def _logits_and_features(network: Network) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    def logits(images: tf.Tensor) -> dict[str, tf.Tensor]:
        features = network.tail(network.trunk(images, training=False), training=False)
        # JSON has no bfloat16, so a network of mixed precision answers in float32 too.
        return {"logits": tf.cast(network.head(features), tf.float32), "features": tf.cast(features, tf.float32)}

    return logits


def _classify(network: Network, k: int) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    size = network.input_size
    one_image = tf.TensorSpec([size, size, 3], tf.float32)

    def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.map_fn(lambda encoded: decode_image(encoded, size), image_bytes, fn_output_signature=one_image)
        logits = tf.cast(network.model(images, training=False), tf.float32)
        # By logit: scores near 1 and 0 round to ties.
        _, classes = tf.math.top_k(logits, k)
        scores = tf.gather(tf.nn.softmax(logits), classes, batch_dims=1)
        return {"labels": tf.gather(tf.constant(network.class_names), classes), "scores": scores}

    return classify


def _description(network: Network, k: int) -> dict[str, Any]:
    names, num_seen = network.class_names, network.num_seen
    return {
        "labels": names,
        "seen": names[:num_seen],
        "unseen": names[num_seen:],
        "k": k,
        "input_size": network.input_size,
        "num_features": network.num_features,
        "layer": network.layer,
        "calibration": network.calibration,
        "preprocessing": _PREPROCESSING,
        "signatures": {
            "serving_default": {
                "inputs": {"image_bytes": "string [B], contents of image files"},
                "outputs": {"labels": f"string [B, {k}]", "scores": f"float32 [B, {k}]"},
            },
            "logits": {
                "inputs": {"images": f"float32 [B, {network.input_size}, {network.input_size}, 3], RGB in 0..255"},
                "outputs": {
                    "logits": f"float32 [B, {len(names)}]",
                    "features": f"float32 [B, {network.num_features}]",
                },
            },
        },
        "versions": {
            "python": platform.python_version(),
            "niwt-tf": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
    }
