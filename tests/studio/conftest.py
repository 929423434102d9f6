from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.schema import Knowledge
from niwt_tf.explain.explainer import fit_explainer
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.metrics.calibration import LogitStatistics
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.studio.workshop import Workshop
from tests.serving.answers import verified_here

HOSTILE = "<img src=x onerror=alert(1)> **b** :smile: $x$ [l](javascript:1) www.a.org -> &amp;"
# Names that a page might take for markup, right-to-left script and emoji.
NAMES = ("cat", HOSTILE, "שלום (a)", "owl 🦉", "_emu_")
ATTRIBUTES = ("fur", "wings", "size", f"colour::{HOSTILE}", "colour::red", "<b>odd</b>::# blue")
GROUPS = ("", "", "", "colour", "colour", "<b>odd</b>")


def png(seed: int, size: tuple[int, int] = (20, 24)) -> bytes:
    random = np.random.default_rng(seed)
    pixels = np.clip(random.uniform(0, 255, 3) + random.normal(0, 40, (*size, 3)), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """Return a folder with twelve images, in folders of their own and not, one file that is none, and one hidden."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "b").mkdir()
    for number in range(12):
        (folder / ("b" if number % 2 else ".") / f"{number:02d}.png").write_bytes(png(number))
    (folder / "broken [x](y).jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / ".hidden.png").write_bytes(png(50))
    (folder / "notes.txt").write_text("no image")
    return folder


def export_toy(folder: Path, check_images: list[Path], **without: None) -> Path:
    """Export a toy network of 3 seen and 2 unseen classes; `without` takes parts out of it."""
    random = np.random.default_rng(2)
    seen = build_network("small_vgg", NAMES[:3], input_size=16, seed=3)
    columns = random.standard_normal((seen.num_features, len(NAMES)))
    network = seen.with_head(columns, random.standard_normal(len(NAMES)), NAMES, 3)
    network.calibration = 0.75
    neurons, features = network.num_neurons, network.num_features
    mapping = ImportanceMap(
        random.standard_normal((neurons, 6)).astype(np.float32),
        random.standard_normal(neurons).astype(np.float32),
        DescriptionNormaliser("centred", random.random(6).astype(np.float32)),
    )
    spread = random.standard_normal((neurons + 1, neurons + 1))
    formula = NiwtFormula(
        mapping,
        Blocks((neurons,), (2.0,)),
        random.standard_normal((features, neurons + 1)).astype(np.float32),
        random.standard_normal(neurons + 1),
        spread @ spread.T / neurons,
        LogitStatistics(1.0, 3.0),
        0.3,
    )
    values = random.random((len(NAMES), 6)).astype(np.float32)
    importances = random.standard_normal((3, neurons)).astype(np.float32)
    parts = {
        "knowledge": Knowledge(values, ATTRIBUTES, GROUPS),
        "probabilities": Probabilities(2.0),
        "formula": formula,
        "explainer": fit_explainer(importances, values[:3], ATTRIBUTES, GROUPS),
        **without,
    }
    with verified_here():
        return export_network(network, folder, contents=Contents(**parts), k=4, check_images=check_images)


@pytest.fixture(scope="session")
def exported(images, tmp_path_factory) -> Path:
    """Return version 1 of a toy bundle, not to be changed."""
    return export_toy(tmp_path_factory.mktemp("exports") / "toy", [images / "00.png"])


@pytest.fixture(scope="session")
def workshop(exported, images) -> Workshop:
    """Return a workshop that nothing is saved in."""
    return Workshop(exported, images, 100)
