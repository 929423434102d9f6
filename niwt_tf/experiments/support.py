"""Support images: what new columns are fitted on (NIWT Table 2), as conv maps of the frozen trunk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwt_tf.data.folder import image_names
from niwt_tf.data.pipeline import usable_images
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.experiments.settings import Settings
from niwt_tf.method.operator import mean_operators
from niwt_tf.method.reader import Reader


@dataclass(frozen=True)
class Support:
    """What new columns are fitted on.

    Attributes:
        operator: J [N, D], the mean operator over the support images.
        maps: their conv maps [P, H, W, N], for the tape; empty [0, H, W, N] for the closed form.
    """

    operator: np.ndarray
    maps: np.ndarray


def support_of(settings: Settings, reader: Reader, seen_images: Images, seen_operator: np.ndarray) -> Support:
    """Return the support that the settings ask for.

    Args:
        settings: support, its number, the engine and the seed.
        reader: makes the maps; its network's tail is used.
        seen_images: training images of seen classes.
        seen_operator: the mean operator over a sample of those.
    """
    nothing = np.empty((0, *reader.network.tail.input_shape[1:]), np.float32)
    if settings.support == "seen" and settings.engine != ("tape",):
        return Support(seen_operator, nothing)
    maps = support_maps(reader, settings.support, seen_images, settings.num_support, settings.seed)
    if settings.engine == ("tape",):
        return Support(seen_operator, maps)
    return Support(mean_operators(reader.network.tail, maps, np.ones((1, len(maps)), bool))[0], nothing)


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


def check_support(support: str) -> None:
    """Check what `support_maps` will need, so that a mistake is told before the training and not after it.

    Raises:
        InputError: neither "seen" nor "noise" nor a folder that holds images.
    """
    if support not in ("seen", "noise"):
        _folder_images(Path(support))


def support_maps(reader: Reader, support: str, seen_images: Images, count: int, seed: int) -> np.ndarray:
    """Return conv maps [P, H, W, N] of the support images.

    Args:
        reader: makes the maps.
        support: "seen" samples `seen_images`, "noise" draws uniform pixels, else a folder of images, searched through.
        seen_images: training images of seen classes.
        count: P, at most.
        seed: of the sample or the noise.

    Raises:
        InputError: a folder without images, or one that cannot be read; an image in it that cannot be decoded.
    """
    if support == "noise":
        size = reader.network.input_size
        generator = np.random.default_rng(seed)
        return reader.maps_of_pixels(generator.uniform(0, 255, (count, size, size, 3)).astype(np.float32))
    chosen = balanced_sample(seen_images if support == "seen" else _folder_images(Path(support)), count, seed)
    if support != "seen":
        usable_images(chosen, progress=False)
    return reader.maps(chosen)


def _folder_images(folder: Path) -> Images:
    if not folder.is_dir():
        raise InputError(f"support must be seen, noise or a folder of images. Received: {str(folder)!r}, not a folder.")
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    paths = [str((parent / name).relative_to(folder)) for parent in folders for name in image_names(parent)]
    if not paths:
        raise InputError(f"support must be seen, noise or a folder of images. Received: {str(folder)!r}, without an image.")
    return Images(folder, tuple(paths), np.zeros(len(paths), np.int32), (folder.name,))
