"""A network whose three neurons are red, green and blue, with images and explanations that can be worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.schema import Dataset, Knowledge, Split, test_data
from niwt_tf.explain.explainer import Explainer
from niwt_tf.models.layers import ClassHead
from niwt_tf.models.network import Network
from niwt_tf.protocol.scoring import Scored, score_network

ATTRIBUTES = ("is red", "is green", "is blue")
# File, class, colour of its left upper quarter. The images are wide and otherwise black.
IMAGES = (
    ("blue_0.png", "Blue", (0, 0, 240)),
    ("blue_1.png", "Blue", (0, 0, 160)),
    ("blue_like_red.png", "Blue", (240, 0, 80)),
    ("red_0.png", "Red", (240, 0, 0)),
    ("green_0.png", "Green", (0, 240, 0)),
    ("green_like_blue.png", "Green", (0, 80, 240)),
)
SIZE = (48, 16)


@dataclass(frozen=True)
class World:
    """What a gallery is made of."""

    network: Network
    explainer: Explainer
    dataset: Dataset
    scored: Scored


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    """Return a network that sees Red and Green and was given Blue; it is wrong about two of six images."""
    folder = tmp_path_factory.mktemp("primary")
    for path, _, colour in IMAGES:
        image = Image.new("RGB", SIZE)
        image.paste(colour, (0, 0, SIZE[0] // 2, SIZE[1] // 2))
        image.save(folder / path)
    classes = ("Blue", "Red", "Green")  # not in the network's order
    labels = np.array([classes.index(name) for _, name, _ in IMAGES])
    knowledge = Knowledge(np.eye(3)[[2, 0, 1]], ATTRIBUTES, ("colour",) * 3)
    split = Split("toy", [1, 2], [0], [], np.flatnonzero(labels > 0), np.flatnonzero(labels == 0))
    dataset = Dataset("folder", folder, tuple(path for path, _, _ in IMAGES), labels, classes, knowledge, split)

    pixels = keras.Input((4, 4, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.AveragePooling2D(2, name="map")(pixels))
    network = Network(keras.Model(pixels, ClassHead(("Red", "Green", "Blue"), 2, "map", name="head")(mean)), "map")
    network.head.kernel.assign(np.eye(3) / 20)
    names, aucs = ("is red", "", "is blue"), np.array([0.5, 0.0, 0.99], np.float32)
    weights, bias = np.eye(3, dtype=np.float32), np.array([0, 0, -0.25], np.float32)
    explainer = Explainer(weights, bias, ATTRIBUTES, ("colour",) * 3, names, aucs, 1.0, 1.0)
    return World(network, explainer, dataset, score_network(network, test_data(dataset)))
