from dataclasses import replace

import numpy as np
import pytest

from niwt_tf.explain.explainer import Explainer, fit_explainer
from tests.explain.known_world import ORDER, world

NAMES = ("red", "blue", "striped", "long beak", "frequent", "constant")


def test_a_neuron_that_is_an_attribute_has_its_name():
    explainer = fit_explainer(*world(), NAMES, ("",) * 6)
    assert explainer.neuron_names == tuple(NAMES[k] for k in ORDER)
    assert explainer.confident.all() and explainer.neuron_confidences.max() <= 1.0


def test_a_name_to_rely_on_needs_a_name_and_a_confidence():
    explainer = fit_explainer(*world(), NAMES, ("",) * 6)
    confidences = np.array([0.94, 0.95, 1.0, 0.99, 0.0], np.float32)
    changed = replace(explainer, neuron_names=("red", "red", "", "blue", "red"), neuron_confidences=confidences)
    assert changed.confident.tolist() == [False, True, False, True, False]


def test_without_an_attribute_that_varies_nothing_is_said():
    importances, descriptions = world()
    explainer = fit_explainer(importances, np.full_like(descriptions, 0.3), NAMES, ("",) * 6)
    assert explainer.neuron_names == ("",) * 5
    assert explainer.form == "closed_form"
    assert not explainer.weights.any() and not explainer.neuron_confidences.any()
    assert np.isnan(explainer.rank_correlation)


def test_only_the_neurons_of_the_own_layer_are_used():
    importances, descriptions = world()
    stacked = np.concatenate([importances, np.random.default_rng(1).standard_normal((24, 7)).astype(np.float32)], axis=1)
    alone = fit_explainer(importances, descriptions, NAMES, ("",) * 6)
    first = fit_explainer(stacked, descriptions, NAMES, ("",) * 6, num_neurons=5)
    # Rows that lie further apart may take another kernel, which rounds differently.
    np.testing.assert_allclose(first.weights, alone.weights, rtol=1e-5, atol=1e-6)
    assert first.neuron_names == alone.neuron_names and first.form == alone.form
    np.testing.assert_allclose(first.neuron_confidences, alone.neuron_confidences, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("constant", [False, True])
def test_arrays_and_back(tmp_path, constant):
    importances, descriptions = world()
    descriptions = np.ones_like(descriptions) if constant else descriptions
    names = ("é", "", "b'", "\n", "السلام", "🐦")
    explainer = fit_explainer(importances, descriptions, names, ("g",) * 6)
    np.savez(tmp_path / "explainer.npz", **explainer.arrays())
    with np.load(tmp_path / "explainer.npz", allow_pickle=False) as file:
        again = Explainer.from_arrays(dict(file))
    assert again.form == explainer.form
    for name, array in explainer.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)
    assert again.attribute_names == names and again.neuron_names == explainer.neuron_names
    np.testing.assert_array_equal(again.attribute_weights(importances), explainer.attribute_weights(importances))
