"""What a SavedModel says that image files show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from niwt_tf.serving.bundle.predict import opened


class Predictions(NamedTuple):
    """The best classes of each image, best first."""

    labels: tuple[tuple[str, ...], ...]
    scores: np.ndarray
    is_seen: np.ndarray


def predict(folder: Path, images: Sequence[Path]) -> Predictions:
    """Return what the signature `serving_default` answers."""
    with opened(folder) as servable:
        files = np.array([Path(image).read_bytes() for image in images], object)
        said = servable.run("serving_default", {"image_bytes": files})
    labels = tuple(tuple(label.decode() for label in row) for row in said["labels"])
    return Predictions(labels, said["scores"], said["is_seen"] > 0)
