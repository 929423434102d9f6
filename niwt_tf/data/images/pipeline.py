"""Image files to batches, in bounded memory and the same for the same seed."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from niwt_tf.data.feature_rows import feature_rows, holds_features, rows_at
from niwt_tf.data.images.decode import decode_image, decode_pixels, refusal
from niwt_tf.data.images.duplicates import Appearance, image_digest, look_of
from niwt_tf.data.images.foreign import FIRST_BYTES, FOREIGN_SUFFIXES, HEAD, as_known, stored_bytes
from niwt_tf.data.images.messages import PIXEL_LIMIT
from niwt_tf.data.schema import Images, InputForm
from niwt_tf.errors import InputError, check_choice, is_passing, listed, require

AUGMENTATIONS = ("standard", "light")
_MAX_THREADS = 16
_BATCHES_AHEAD = 2
_NUM_RANDOMS = 10
_NAMED_BAD_IMAGES = 3
_LOG = logging.getLogger("niwt_tf")


class KeptPixels:
    """Decoded images of one form, as many as `limit` bytes hold: those are decoded once, however often they are read."""

    def __init__(self, limit: int = 2**29) -> None:
        self._rows: dict[bytes, np.ndarray] = {}
        self._room = limit

    def read(self, paths: Sequence[bytes], decode: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Return the pixels float32 [B, S, S, 3] of files."""
        absent = [path for path in dict.fromkeys(paths) if path not in self._rows]
        decoded = dict(zip(absent, decode(tf.constant(absent, tf.string)).numpy() if absent else (), strict=True))
        for path, pixels in decoded.items():
            if pixels.nbytes <= self._room:
                self._room -= pixels.nbytes
                self._rows[path] = pixels.copy()  # a view would hold the whole batch
        return tf.constant(np.stack([decoded[path] if path in decoded else self._rows[path] for path in paths]))


class ImageBatches:
    """Batches (float32 [B, S, S, 3] in 0..255, int32 labels [B]) of image files, read as they are taken."""

    def __init__(
        self, paths: list[bytes], labels: np.ndarray, form: InputForm, batch_size: int, *, randoms: np.ndarray | None,
        colour: bool, kept: KeptPixels | None
    ) -> None:
        self._paths, self._labels, self._form, self._batch_size = paths, labels, form, batch_size
        self._randoms, self._colour, self._kept = randoms, colour, kept

    def __iter__(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """Yield the batches; those that come next are read meanwhile by a thread."""
        starts = iter(range(0, len(self._paths), self._batch_size))
        reader = ThreadPoolExecutor(1)
        try:
            ahead = deque(reader.submit(self._batch, start) for start in islice(starts, _BATCHES_AHEAD))
            while ahead:
                batch = ahead.popleft().result()
                ahead.extend(reader.submit(self._batch, start) for start in islice(starts, 1))
                yield batch
        finally:
            reader.shutdown(wait=True, cancel_futures=True)

    def _batch(self, start: int) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = slice(start, start + self._batch_size)
        paths, decode = self._paths[chosen], _decoder(self._form)
        pixels = decode(tf.constant(paths, tf.string)) if self._kept is None else self._kept.read(paths, decode)
        if self._randoms is not None:
            pixels = _augmenter(self._form.size, self._colour)(pixels, tf.constant(self._randoms[chosen]))
        return pixels, tf.constant(self._labels[chosen])


class FeatureBatches(ImageBatches):
    """Batches (float32 [B, 1, 1, D], int32 labels [B]) of published features, maps of one position."""

    def __init__(self, rows: np.ndarray, order: np.ndarray, labels: np.ndarray, batch_size: int) -> None:
        super().__init__([b""] * len(order), labels, InputForm(1), batch_size, randoms=None, colour=False, kept=None)
        self._rows, self._order = rows, order

    def _batch(self, start: int) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = slice(start, start + self._batch_size)
        return tf.constant(self._rows[self._order[chosen]][:, None, None]), tf.constant(self._labels[chosen])


def image_batches(
    images: Images,
    form: InputForm | int,
    batch_size: int,
    *,
    augment: bool = False,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    augmentation: str = "standard",
    rows: np.ndarray | None = None,
    kept: KeptPixels | None = None,
) -> ImageBatches:
    """Return batches of (float32 [B, S, S, 3] in 0..255, int32 labels [B]); the last one may be smaller.

    Files are read as batches are taken, and at most two batches are held ready. Order and augmentation depend on `seed`,
    `epoch` and an image's index alone, so an epoch can be repeated exactly, whatever the number of threads or the batch size.

    Each image is resized to the square as `form` says, see `decode_image`. Augmentation "standard" crops, shifts, flips and
    rotates a little and changes brightness, contrast and colour; "light" crops and flips only. `rows` are the places of the
    order to read, in this order: the part of one of several devices. `kept` holds images of this form that were decoded before.
    Of images that are rows of published features, batches are float32 [B, 1, 1, D].

    Raises:
        InputError: an argument is out of range.
    """
    form = form if isinstance(form, InputForm) else InputForm(form)
    for argument, value, low in (("size", form.size, 1), ("batch_size", batch_size, 1), ("seed", seed, 0), ("epoch", epoch, 0)):
        require(value >= low, f"{argument} must be at least {low}. Received: {value}.")
    check_choice("augmentation", augmentation, AUGMENTATIONS)
    count = len(images)
    order = np.random.default_rng([seed, epoch, 0]).permutation(count) if shuffle else np.arange(count)
    # One row an image, made at once: NumPy's generator gives the same numbers with every TensorFlow and on every device.
    order = order if rows is None else order[rows]
    randoms = np.random.default_rng([seed, epoch, 1]).random((count, _NUM_RANDOMS), np.float32)[order] if augment else None
    labels = np.asarray(images.labels, np.int32)[order]
    if holds_features(images.root):
        require(not augment, "augment must be false where images are rows of features. Received: true.")
        return FeatureBatches(feature_rows(images.root), rows_at(images.paths)[order], labels, batch_size)
    paths = [os.fsencode(images.root / images.paths[i]) for i in order]
    return ImageBatches(paths, labels, form, batch_size, randoms=randoms, colour=augmentation == "standard", kept=kept)


# Traced once a process for each form. A pipeline of tf.data instantiates its functions anew for each pass over the images,
# which takes a third of a second for a decoder of hundreds of operations: longer than a small set of images itself.
@lru_cache(maxsize=32)
def _decoder(form: InputForm) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function of paths, strings [B], that gives pixels float32 [B, S, S, 3]; files are decoded side by side."""
    decoded = tf.TensorSpec([form.size, form.size, 3], tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def decode(paths: tf.Tensor) -> tf.Tensor:
        def one(path: tf.Tensor) -> tf.Tensor:
            return decode_image(_read(path), form)

        return tf.map_fn(one, paths, fn_output_signature=decoded, parallel_iterations=min(os.cpu_count() or 1, _MAX_THREADS))

    return decode


@lru_cache(maxsize=32)
def _augmenter(size: int, colour: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return `augmented` for images [B, S, S, 3] as one graph."""
    signature = [tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None, _NUM_RANDOMS], tf.float32)]
    return tf.function(partial(augmented, changes_colour=colour), input_signature=signature, autograph=False)


def _read(path: tf.Tensor) -> tf.Tensor:
    """Return the bytes of a file, a scalar string, as a PNG where only Pillow reads its format."""
    encoded = tf.io.read_file(path)
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=HEAD)
    tests = [
        tf.reduce_all(tf.concat([tf.equal(head[place : place + len(name)], list(name)) for place, name in parts], 0))
        for parts in FIRST_BYTES
    ]
    return tf.cond(tf.reduce_any(tests), lambda: tf.numpy_function(as_known, [encoded], tf.string), lambda: encoded)


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


class FileVerdict(NamedTuple):
    """What the decoder makes of a file: what is wrong with it in a few words, or "" and what tells it from others."""

    fault: str = ""
    digest: bytes = b""  # the same for identical files
    misnamed: bool = False  # with the ending of a format that Pillow reads, without being of one
    look: Appearance | None = None  # None of a file that cannot be decoded


def judged_images(images: Images, progress: bool = True) -> dict[str, FileVerdict]:
    """Decode every file once, by the decoder of training and serving, and return what it makes of each, by path.

    With `progress` a bar is shown on standard error when it takes over five seconds.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(min(os.cpu_count() or 1, _MAX_THREADS)) as threads:
        warnings.simplefilter("ignore")  # Pillow warns of a large header, which is judged here
        found = threads.map(lambda path: _judged(images.root / path), images.paths)
        bar = tqdm(found, "checking images", len(images), file=sys.stderr, delay=5, disable=not progress, leave=False)
        return dict(zip(images.paths, bar, strict=True))


def usable_images(
    images: Images, max_bad_images: int = 0, *, progress: bool = True, judged: Mapping[str, FileVerdict] | None = None
) -> tuple[Images, dict[str, str]]:
    """Return the images that can be decoded, and what is wrong with each other path in a few words.

    Bad images up to `max_bad_images` are logged and left out. `judged` is what `judged_images` found, where that was asked.

    Raises:
        InputError: there are more bad images than allowed; the first few are named with the reason.
    """
    require(max_bad_images >= 0, f"max_bad_images must be at least 0. Received: {max_bad_images}.")
    judged = judged_images(images, progress) if judged is None else judged
    bad = {path: each.fault for path, each in judged.items() if each.fault}
    misnamed = [path for path, each in judged.items() if each.misnamed]
    if misnamed:
        said = "%d images have the file ending of another format. Their true format is read: %s."
        _LOG.info(said, len(misnamed), listed(misnamed))
    if not bad:
        return images, bad
    named = "; ".join(f"{path} ({reason})" for path, reason in list(bad.items())[:_NAMED_BAD_IMAGES])
    named += f"; and {len(bad) - _NAMED_BAD_IMAGES} more" if len(bad) > _NAMED_BAD_IMAGES else ""
    if len(bad) > max_bad_images:
        raise InputError(
            f"{len(bad)} of {len(images)} images in {str(images.root)!r} cannot be decoded, more than max_bad_images allows. "
            f"Received: max_bad_images={max_bad_images}, {named}."
        )
    _LOG.warning("Left out %d of %d images that cannot be decoded: %s", len(bad), len(images), named)
    return images.take(np.flatnonzero([path not in bad for path in images.paths])), bad


def _judged(path: Path) -> FileVerdict:
    try:
        stored = stored_bytes(path)
        encoded = as_known(stored)
    except InputError as error:
        return FileVerdict(str(error).rstrip("."))
    except OSError as error:
        if is_passing(error):  # else good images would be left out
            raise
        return FileVerdict(error.strerror or type(error).__name__)
    fault = _fault_by_header(encoded)
    if fault:
        return FileVerdict(fault)
    try:
        look = look_of(decode_pixels(tf.constant(encoded)).numpy())
    except tf.errors.OpError as error:
        return FileVerdict(refusal(error))
    misnamed = encoded is stored and path.suffix.lower() in FOREIGN_SUFFIXES
    return FileVerdict("", image_digest(stored), misnamed, look)


def _fault_by_header(encoded: bytes) -> str:
    """Return what Pillow finds wrong with the bytes of a file, or "": the decoder has the last word."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
            if width * height > PIXEL_LIMIT:
                return f"{width} x {height} pixels, over the limit of {PIXEL_LIMIT}"
    except Image.DecompressionBombError:
        return f"more pixels than the limit of {PIXEL_LIMIT}"
    except Exception:  # noqa: BLE001, S110  whatever Pillow makes of it
        pass
    return ""
