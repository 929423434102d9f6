"""A user's own folder of images, small, in order, and copied for each test that puts it out of order."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
CSV = "class,size,legs,fur\nant,0,6,0\nbee,1,6,1\ncat,5,4,7\ndog,6,4,8\neel,4,0,0\nfox,5,4,9\n"


@pytest.fixture(scope="session")
def own_data(tmp_path_factory) -> Path:
    """Return a folder of six classes, five of them with five images; "fox" is only described."""
    folder: Path = tmp_path_factory.mktemp("own") / "data"
    random = np.random.default_rng(0)
    for label, name in enumerate(NAMES[:5]):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(5):
            pixels = np.clip(random.normal(50 * label, 20, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    (folder / "classes.csv").write_text(CSV)
    return folder


@pytest.fixture
def own_copy(own_data, tmp_path) -> Path:
    """Return a copy to spoil."""
    return Path(shutil.copytree(own_data, tmp_path / "data"))


@pytest.fixture
def run_copy(finished_run, tmp_path) -> Path:
    """Return a copy of the finished run's folder."""
    return Path(shutil.copytree(finished_run.path, tmp_path / "run"))
