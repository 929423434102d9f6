"""Image files to batches by tf.data, in bounded memory and the same for the same seed."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from niwt_tf.data.images.decode import decode_image, decode_pixels, refusal
from niwt_tf.data.images.messages import PIXEL_LIMIT
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError, check_choice, require

AUGMENTATIONS = ("standard", "light")
_MAX_THREADS = 16
_BATCHES_AHEAD = 2
_NUM_RANDOMS = 10
_NAMED_BAD_IMAGES = 3


def image_batches(
    images: Images,
    size: int,
    batch_size: int,
    *,
    augment: bool = False,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    augmentation: str = "standard",
    rows: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Return batches of (float32 [B, size, size, 3] in 0..255, int32 labels [B]); the last one may be smaller.

    Files are read as batches are taken, and at most two batches are held ready. Order and augmentation depend on `seed`,
    `epoch` and an image's index alone, so an epoch can be repeated exactly, whatever the number of threads or the batch size.

    Each whole image is squashed to the square. Augmentation "standard" crops, shifts, flips and rotates a little and changes
    brightness, contrast and colour; "light" crops and flips only. `rows` are the places of the order to read, in this order:
    the part of one of several devices.

    Raises:
        InputError: an argument is out of range.
    """
    for argument, value, low in (("size", size, 1), ("batch_size", batch_size, 1), ("seed", seed, 0), ("epoch", epoch, 0)):
        require(value >= low, f"{argument} must be at least {low}. Received: {value}.")
    check_choice("augmentation", augmentation, AUGMENTATIONS)
    count = len(images)
    order = np.random.default_rng([seed, epoch, 0]).permutation(count) if shuffle else np.arange(count)
    # One row an image, made at once: NumPy's generator gives the same numbers with every TensorFlow and on every device.
    order = order if rows is None else order[rows]
    randoms = np.random.default_rng([seed, epoch, 1]).random((count, _NUM_RANDOMS), np.float32)[order] if augment else None

    paths = tf.constant([os.fsencode(images.root / images.paths[i]) for i in order], tf.string, shape=[len(order)])
    labels = tf.constant(np.asarray(images.labels)[order], tf.int32, shape=[len(order)])
    parts = (paths, labels) if randoms is None else (paths, labels, randoms)
    options = {"num_parallel_calls": min(os.cpu_count() or 1, _MAX_THREADS), "deterministic": True}
    batches = tf.data.Dataset.from_tensor_slices(parts)
    batches = batches.map(lambda path, *rest: (decode_image(tf.io.read_file(path), size), *rest), **options).batch(batch_size)
    if augment:
        colour = augmentation == "standard"
        batches = batches.map(lambda pixels, chosen, numbers: (augmented(pixels, numbers, colour), chosen), **options)
    return batches.prefetch(_BATCHES_AHEAD)


def augmented(pixels: tf.Tensor, randoms: tf.Tensor, changes_colour: bool = True) -> tf.Tensor:
    """Change each image of a batch, float32 [B, S, S, 3] in 0..255, in its own way.

    `randoms`, float32 [B, 10] in [0, 1), are zoom, x, y, flip, angle, brightness, contrast and three colour gains; without
    `changes_colour` only the first four are used.
    """
    size = pixels.shape[1]
    zoom, x, y, flip, angle, brightness, contrast = tf.unstack(randoms[:, :7], axis=1)
    side = 0.8 + 0.25 * zoom  # of the square that is looked at; above 1 the border is mirrored
    turn = np.float32(np.deg2rad(8.0)) * (2.0 * angle - 1.0) if changes_colour else tf.zeros_like(angle)
    shift_x, shift_y = (0.5 * tf.abs(1.0 - side) * (2.0 * value - 1.0) * size for value in (x, y))
    mirror = tf.where(flip < 0.5, -1.0, 1.0)
    cos, sin = side * tf.cos(turn), side * tf.sin(turn)
    middle = (size - 1) / 2.0
    zero = tf.zeros_like(cos)
    rows = [
        cos * mirror, -sin, middle + shift_x - (cos * mirror - sin) * middle,
        sin * mirror, cos, middle + shift_y - (sin * mirror + cos) * middle,
        zero, zero,
    ]  # fmt: skip
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.stack(rows, axis=1),
        output_shape=tf.constant([size, size], tf.int32),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    moved = tf.ensure_shape(moved, pixels.shape)
    if not changes_colour:
        return moved
    gain = (0.85 + 0.3 * brightness)[:, None] * (0.95 + 0.1 * randoms[:, 7:])
    moved *= gain[:, None, None, :]
    mean = tf.reduce_mean(moved, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value(mean + (0.85 + 0.3 * contrast)[:, None, None, None] * (moved - mean), 0.0, 255.0)


def usable_images(images: Images, max_bad_images: int = 0, *, progress: bool = True) -> tuple[Images, dict[str, str]]:
    """Decode every file once and return the images that can be used, and what is wrong with each other path in a few words.

    The decoder is that of training and serving. Bad images up to `max_bad_images` are logged and left out. With `progress` a
    bar is shown on standard error when it takes over five seconds.

    Raises:
        InputError: there are more bad images than allowed; the first few are named with the reason.
    """
    require(max_bad_images >= 0, f"max_bad_images must be at least 0. Received: {max_bad_images}.")
    with warnings.catch_warnings(), ThreadPoolExecutor(min(os.cpu_count() or 1, _MAX_THREADS)) as threads:
        warnings.simplefilter("ignore")  # Pillow warns of a large header, which is judged here
        found = threads.map(lambda path: _fault(images.root / path), images.paths)
        bar = tqdm(found, "checking images", len(images), file=sys.stderr, delay=5, disable=not progress, leave=False)
        bad = {path: reason for path, reason in zip(images.paths, bar, strict=True) if reason}
    if not bad:
        return images, bad
    named = "; ".join(f"{path} ({reason})" for path, reason in list(bad.items())[:_NAMED_BAD_IMAGES])
    named += f"; and {len(bad) - _NAMED_BAD_IMAGES} more" if len(bad) > _NAMED_BAD_IMAGES else ""
    if len(bad) > max_bad_images:
        raise InputError(
            f"{len(bad)} of {len(images)} images in {str(images.root)!r} cannot be decoded, more than max_bad_images allows. "
            f"Received: max_bad_images={max_bad_images}, {named}."
        )
    logging.getLogger("niwt_tf").warning("Left out %d of %d images that cannot be decoded: %s", len(bad), len(images), named)
    return images.take(np.flatnonzero([path not in bad for path in images.paths])), bad


def _fault(path: Path) -> str:
    """Return what is wrong with a file, or ""."""
    try:
        encoded = path.read_bytes()
    except OSError as error:
        return error.strerror or type(error).__name__
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
            if width * height > PIXEL_LIMIT:
                return f"{width} x {height} pixels, over the limit of {PIXEL_LIMIT}"
            if image.format == "BMP" and image.mode == "P":
                return "BMP with a palette, which is not supported"  # TensorFlow reads the indices as grey
    except Image.DecompressionBombError:
        return f"more pixels than the limit of {PIXEL_LIMIT}"
    except Exception:  # noqa: BLE001, S110  whatever Pillow makes of it, the decoder has the last word
        pass
    try:
        decode_pixels(tf.constant(encoded))
    except tf.errors.OpError as error:
        return refusal(error)
    return ""
