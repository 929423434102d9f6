"""Images as they come in Python, through a network: paths, pixels, a DataFrame or a tf.data.Dataset to logits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.compute.features import Reader
from niwt_tf.data.images.decode import fitted
from niwt_tf.data.images.files import check_pixels
from niwt_tf.data.images.pipeline import usable_images
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.estimator.own_data import batches_of, examples_of, is_stream
from niwt_tf.models.feature_network import check_takes_images
from niwt_tf.models.network import Network

_BATCH = 32
_RULE = "images must be a list of paths or an array [M, H, W, 3]"


def logits_of(images: Any, reader: Reader) -> np.ndarray:
    """Return the reader's network's logits float32 [M, C] of images in any form; see `Niwt.predict`.

    Raises:
        InputError: images of another form, or a file that is not there.
    """
    images, _, _ = examples_of(images, None)
    if isinstance(images, Images):
        return reader.logits(images)
    if is_stream(images):
        parts = [_logits_of_pixels(pixels, reader.network) for pixels, _ in batches_of(images)]
        return np.concatenate(parts) if parts else _logits_of_pixels(np.empty((0, 1, 1, 3)), reader.network)
    if isinstance(images, np.ndarray) and images.dtype.kind not in "UO":
        return _logits_of_pixels(images, reader.network)
    if isinstance(images, str | os.PathLike) or not isinstance(images, Sequence | np.ndarray):
        raise InputError(f"{_RULE}. Received: {type(images).__name__}.")
    strange = next((path for path in images if not isinstance(path, str | os.PathLike)), None)
    if strange is not None:
        raise InputError(f"{_RULE}. Received: {strange!r} in a list.")
    paths = tuple(os.path.abspath(os.path.expanduser(path)) for path in images)
    absent = next((path for path in paths if not os.path.isfile(path)), None)
    if absent is not None:
        raise InputError(f"images must be files that exist. Received: {absent!r}.")
    return _logits_of_files(Images(Path("/"), paths, np.zeros(len(paths), np.int32), ("any",)), reader)


def _logits_of_files(images: Images, reader: Reader) -> np.ndarray:
    check_takes_images(reader.network, "A prediction")
    try:
        return reader.logits(images)
    except tf.errors.InvalidArgumentError:
        usable_images(images, progress=False)  # names the file
        raise


def _logits_of_pixels(pixels: np.ndarray, network: Network) -> np.ndarray:
    check_pixels(pixels)
    check_takes_images(network, "A prediction")
    form, logits = network.input_form, []
    for start in range(0, len(pixels), _BATCH):
        batch = tf.cast(pixels[start : start + _BATCH], tf.float32)
        resized = tf.map_fn(lambda image: fitted(image, form), batch)
        logits.append(network.model(resized, training=False).numpy())
    return np.concatenate(logits) if logits else np.empty((0, len(network.class_names)), np.float32)
