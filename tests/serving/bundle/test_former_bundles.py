"""Bundles that were written before there were several methods: format 2, with a column formula that names no method."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.descriptions.new_classes import DescribedClass, Description
from niwt_tf.data.images.files import read_one_image
from niwt_tf.explain.counterfactual import Counterfactual
from niwt_tf.files import read_json
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.serving.bundle.bundle import FORMAT, Bundle
from niwt_tf.serving.bundle.explainer import BundleExplainer
from niwt_tf.serving.classes.edit import add_classes, write_change
from niwt_tf.serving.classes.rewrite import write_metadata
from niwt_tf.serving.predict import opened

pytestmark = pytest.mark.slow

NEW = np.random.default_rng(9).random(6).astype(np.float32)


@pytest.fixture
def former(saved_model, tmp_path) -> Bundle:
    """Return the toy bundle with the entry that an earlier version gave its column formula."""
    folder = Path(shutil.copytree(saved_model, tmp_path / "toy" / "1"))
    metadata = read_json(folder / "niwt.json")
    entry = metadata["column_map"]
    assert entry.pop("method") == "niwt"
    assert entry.pop("variables")
    assert entry.pop("kind") == "importance"
    assert set(entry) == {"normalisation", "block_sizes", "block_weights", "is_discriminant"}
    write_metadata(folder, metadata)
    assert metadata["format"] == FORMAT == 2
    return Bundle.open(folder)


def _answers(folder: Path, images: list[Path]) -> np.ndarray:
    files = np.array([path.read_bytes() for path in images], object)
    rows = np.repeat(NEW[None, None], len(files), axis=0)
    with opened(folder) as servable:
        return servable.run("classify_with", {"image_bytes": files, "descriptions": rows})["logits"]


def test_its_column_formula_is_niwts(former, saved_model, contents):
    formula, today = former.formula(), Bundle.open(saved_model).formula()
    assert isinstance(formula, NiwtFormula)
    for found, expected in zip(formula(NEW[None]), today(NEW[None]), strict=True):
        np.testing.assert_array_equal(found, expected)
    column, bias = contents.formula(NEW[None])
    np.testing.assert_allclose(formula(NEW[None])[0], column, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(formula(NEW[None])[1], bias, rtol=1e-4, atol=1e-4)


def test_it_classifies_and_takes_a_class(former, saved_model, image_paths):
    before = _answers(former.folder, image_paths)
    np.testing.assert_array_equal(before, _answers(saved_model, image_paths))
    path = write_change(former, add_classes(former, [DescribedClass("lynx", Description(NEW))]))
    after = _answers(path, image_paths)
    np.testing.assert_array_equal(after[:, :7], before[:, :7])
    # The class that was added, and the same description asked about, before and after.
    np.testing.assert_array_equal(after[:, 8], before[:, 7])
    np.testing.assert_allclose(after[:, 7], before[:, 7], rtol=1e-4, atol=1e-4)
    # The next version is as old as the first: it says no more of its column formula than it knew.
    assert read_json(path / "niwt.json")["column_map"] == former.metadata["column_map"]
    again = Bundle.open(path)
    assert again.labels[-1] == "lynx"
    assert add_classes(again, [DescribedClass("mole", Description(1 - NEW))]).cards[-1].name == "mole"


def test_it_says_what_of_a_description_would_have_to_be_another(former, image_paths):
    image = read_one_image(image_paths[0], "image")
    with BundleExplainer(former.folder) as explain:
        found = explain(image, "ibis", "gnu").contrast.counterfactual
    assert isinstance(found, Counterfactual) or "only be made by running the network" not in found.reason
