from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import Network
from niwt_tf.serving.savedmodel import export_network

NAMES = ("cat", "dog", "eel", "fox é", "gnu", "hen", "ibis")


@pytest.fixture(scope="session")
def network() -> Network:
    """Return a toy network of 4 seen and 3 unseen classes whose answers differ from image to image."""
    random = np.random.default_rng(0)
    seen = build_network("small_vgg", NAMES[:4], input_size=16, seed=3)
    columns = random.standard_normal((seen.num_features, 7))
    network = seen.with_head(columns, random.standard_normal(7), NAMES, 4)
    network.calibration = 0.75
    return network


@pytest.fixture(scope="session")
def image_paths(tmp_path_factory) -> list[Path]:
    """Return a JPEG, a grey PNG and three coloured PNGs of different sizes."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(1)
    paths = []
    for i, (size, suffix) in enumerate([((16, 16, 3), "jpg"), ((9, 30), "png"), *[((20 + k, 16, 3), "png") for k in range(3)]]):
        pixels = np.clip(random.uniform(0, 255, size[2:]) + random.normal(0, 40, size), 0, 255).astype(np.uint8)
        paths.append(folder / f"{i}.{suffix}")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def saved_model(network, image_paths, tmp_path_factory) -> Path:
    """Return a verified export of `network` with k = 3, version 1."""
    folder = tmp_path_factory.mktemp("exports") / "toy"
    return export_network(network, folder, k=3, check_images=image_paths, metadata={"metrics": {"acc_seen": 0.5}})
