"""Support images: what new columns are fitted on (NIWT Table 2), as conv maps of the frozen trunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from niwt_tf.data.folder import image_names
from niwt_tf.data.pipeline import image_batches
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.models.network import Network

_BATCH = 32


def balanced_sample(images: Images, count: int, seed: int) -> Images:
    """Return `count` images (or all), as evenly from the classes as their sizes allow."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(images))
    rank_in_class = np.empty(len(images), np.int64)
    for label in range(len(images.class_names)):
        members = order[images.labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
    chosen = order[np.argsort(rank_in_class[order], kind="stable")][:count]
    return images.take(np.sort(chosen))


def support_maps(network: Network, support: str, seen_images: Images, count: int, seed: int) -> np.ndarray:
    """Return conv maps [P, H, W, N] of the support images.

    Args:
        network: its trunk makes the maps.
        support: "seen" samples `seen_images`, "noise" draws uniform pixels, else a folder of images, searched through.
        seen_images: training images of seen classes.
        count: P, at most.
        seed: of the sample or the noise.

    Raises:
        InputError: a folder without images, or one that cannot be read.
    """
    size = network.input_size
    if support == "noise":
        generator = np.random.default_rng(seed)
        noise = generator.uniform(0, 255, (count, size, size, 3)).astype(np.float32)
        batches = [noise[start : start + _BATCH] for start in range(0, count, _BATCH)]
    else:
        chosen = seen_images if support == "seen" else _folder_images(Path(support))
        batches = [batch for batch, _ in image_batches(balanced_sample(chosen, count, seed), size, _BATCH)]
    trunk = tf.function(
        lambda batch: network.trunk(batch, training=False),
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
    )
    return np.concatenate([trunk(tf.constant(batch)).numpy() for batch in batches])


def _folder_images(folder: Path) -> Images:
    if not folder.is_dir():
        raise InputError(f"support must be seen, noise or a folder of images. Received: {str(folder)!r}, not a folder.")
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    paths = [str((parent / name).relative_to(folder)) for parent in folders for name in image_names(parent)]
    if not paths:
        raise InputError(f"support must be seen, noise or a folder of images. Received: {str(folder)!r}, without an image.")
    return Images(folder, tuple(paths), np.zeros(len(paths), np.int32), (folder.name,))
