from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.schema import Knowledge
from niwt_tf.explain.explainer import fit_explainer
from niwt_tf.methods.few_shot import FewShotChoice, SeenMoments
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.metrics.calibration import LogitStatistics
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import Network
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from tests.serving.answers import verified_here
from tests.shared import made_once

NAMES = ("cat", "dog", "eel", "fox é", "gnu", "hen", "ibis")


@pytest.fixture(scope="session")
def network() -> Network:
    """Return a toy network of 4 seen and 3 unseen classes whose answers differ from image to image."""
    random = np.random.default_rng(2)
    seen = build_network("small_vgg", NAMES[:4], input_size=16, seed=3)
    columns = random.standard_normal((seen.num_features, 7))
    network = seen.with_head(columns, random.standard_normal(7), NAMES, 4)
    network.calibration = 0.75
    return network


@pytest.fixture(scope="session")
def contents(network) -> Contents:
    """Return six attributes of the seven classes, a column formula of random numbers and a temperature."""
    random = np.random.default_rng(5)
    neurons, features = network.num_neurons, network.num_features
    mapping = ImportanceMap(
        random.standard_normal((neurons, 6)).astype(np.float32),
        random.standard_normal(neurons).astype(np.float32),
        DescriptionNormaliser("centred", random.random(6).astype(np.float32)),
    )
    spread = random.standard_normal((neurons + 1, neurons + 1))
    formula = NiwtFormula(
        mapping,
        Blocks((neurons - 28, 28), (2.0, 0.5)),
        random.standard_normal((features, neurons + 1)).astype(np.float32),
        random.standard_normal(neurons + 1),
        spread @ spread.T,
        LogitStatistics(-1.0, 2.0),
        0.3,
    )
    names = ("fur", "claws", "wings", "size", "colour::red", "colour::blue")
    values = random.random((len(NAMES), 6)).astype(np.float32)
    knowledge = Knowledge(values, names, ("", "", "", "", "colour", "colour"))
    images = (9, 8, 7, 6, 0, 0, 0)
    importances = random.standard_normal((4, neurons)).astype(np.float32)
    explainer = fit_explainer(importances, values[:4], names, knowledge.groups)
    rows = random.random((40, features)).astype(np.float32)
    moments = SeenMoments.of(rows, np.arange(40) % 4, LogitStatistics(-1.0, 2.0))
    few_shot = moments.prior(FewShotChoice("within", 0.3, 2.0, 0.5), 1.0)
    figures = {"validation_acc_zsl": 0.5}
    return Contents(knowledge, Probabilities(2.0), formula, explainer, few_shot, images, figures)


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
def saved_model(network, contents, image_paths, tmp_path_factory) -> Path:
    """Return a verified export of `network` with k = 3, version 1. Copy it to change it."""
    with made_once(tmp_path_factory, "bundle") as (folder, first):
        if first:
            metadata = {"metrics": {"acc_seen": 0.5}}
            with verified_here():
                export_network(network, folder / "toy", contents=contents, k=3, check_images=image_paths, metadata=metadata)
    return folder / "toy" / "1"
