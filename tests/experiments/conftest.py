"""A few coloured images in three classes, and networks of a size that trains in no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.schema import Images, SeenData

NAMES = ("red", "green", "blue", "grey", "dark")


@pytest.fixture(scope="session")
def coloured(tmp_path_factory) -> Images:
    """Return 5 classes of 5 images of 16 pixels, each of one colour and noise."""
    folder: Path = tmp_path_factory.mktemp("coloured")
    random = np.random.default_rng(0)
    colours = ((220, 40, 40), (40, 220, 40), (40, 40, 220), (128, 128, 128), (20, 20, 20))
    paths, labels = [], []
    for label, colour in enumerate(colours):
        for number in range(5):
            pixels = np.clip(np.array(colour) + random.normal(0, 30, (16, 16, 3)), 0, 255).astype(np.uint8)
            paths.append(f"{label}_{number}.png")
            Image.fromarray(pixels).save(folder / paths[-1])
            labels.append(label)
    return Images(folder, tuple(paths), np.array(labels, np.int32), NAMES)


@pytest.fixture(scope="session")
def coloured_seen(coloured) -> SeenData:
    """Return the same as all that training may see, with three attributes a class."""
    return SeenData(coloured, np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5], [0, 0, 0]], np.float32))
