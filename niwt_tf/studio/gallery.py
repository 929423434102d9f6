"""The test images of the page: read once, never written.

Dimensions: M images, C classes, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwt_tf.data.images.foreign import read_known
from niwt_tf.data.readers.loose_images import spread_images
from niwt_tf.data.readers.tables import existing_directory
from niwt_tf.errors import InputError
from niwt_tf.studio.pictures import decoded, resized
from niwt_tf.studio.tried_model import TriedModel

THUMBNAIL = 128


@dataclass(frozen=True)
class TestImages:
    """Image files that were decoded once: M paths below a folder, M thumbnails uint8 [H, W, 3], and the names refused."""

    __test__ = False  # not a test, whatever pytest makes of the name

    folder: Path
    names: tuple[str, ...]
    thumbnails: tuple[np.ndarray, ...]
    refused: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """The names as a page can show them: bytes of a name that are no letters are written as escapes."""
        return tuple(name.encode("utf-8", "backslashreplace").decode() for name in self.names)

    def read(self, place: int) -> bytes:
        """Return a file's bytes.

        Raises:
            InputError: it can no longer be read.
        """
        return _bytes(self.folder / self.names[place])


@dataclass(frozen=True)
class Gallery:
    """M test images with what a bundle makes of them: features float32 [M, D] and calibrated logits float32 [M, C]."""

    images: TestImages
    features: np.ndarray
    logits: np.ndarray

    @classmethod
    def of(cls, images: TestImages, model: TriedModel) -> Gallery:
        """Ask a model for all images."""
        return cls(images, *model.features([images.read(place) for place in range(len(images.names))]))


def read_images(folder: str | Path, most: int) -> TestImages:
    """Read at most `most` images in and below a folder.

    Raises:
        InputError: there is no such folder, or no file in it is an image that can be decoded.
    """
    root = existing_directory("images", folder)
    names, thumbnails, refused = [], [], []
    for path in spread_images(root, most):
        name = path.relative_to(root).as_posix()
        try:
            thumbnails.append(resized(decoded(_bytes(path), name), THUMBNAIL))
            names.append(name)
        except InputError:
            refused.append(name)
    if not names:
        rest = f"only files that cannot ({len(refused)}, the first {refused[0]!r})"
        raise InputError(f"images must hold a file that can be decoded. Received: {rest}.")
    return TestImages(root, tuple(names), tuple(thumbnails), tuple(refused))


def _bytes(path: Path) -> bytes:
    try:
        return read_known(path)
    except InputError as error:
        raise InputError(f"images must be files that can be decoded. Received: {str(path)!r} ({error}).") from None
    except OSError as error:
        raise InputError(f"images must be files that can be read. Received: {str(path)!r} ({error.strerror}).") from None
