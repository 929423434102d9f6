import numpy as np
import pytest

from niwt_tf.explain.explainer import Explainer, fit_explainer
from niwt_tf.explain.neurons import NeuronNames
from tests.explain.known_world import world

NAMES = ("red", "blue", "striped", "long beak", "frequent", "constant")


def _neurons() -> NeuronNames:
    return NeuronNames(("red", "", "blue", "", ""), np.array([0.9, 0, 0.8, 0, 0], np.float32))


def test_names_are_taken_over_and_a_neuron_without_one_is_not_named():
    explainer = fit_explainer(*world(), NAMES, ("",) * 6, _neurons())
    assert explainer.neuron_names == ("red", "", "blue", "", "")
    assert explainer.named.tolist() == [True, False, True, False, False]
    assert not fit_explainer(*world(), NAMES, ("",) * 6).named.any()


def test_without_an_attribute_that_varies_nothing_is_said():
    importances, descriptions = world()
    explainer = fit_explainer(importances, np.full_like(descriptions, 0.3), NAMES, ("",) * 6)
    assert explainer.neuron_names == ("",) * 5
    assert explainer.form == "closed_form"
    assert not explainer.weights.any() and not explainer.neuron_aucs.any()
    assert np.isnan(explainer.rank_correlation)


def test_only_the_neurons_of_the_own_layer_are_used():
    importances, descriptions = world()
    stacked = np.concatenate([importances, np.random.default_rng(1).standard_normal((24, 7)).astype(np.float32)], axis=1)
    alone = fit_explainer(importances, descriptions, NAMES, ("",) * 6)
    first = fit_explainer(stacked, descriptions, NAMES, ("",) * 6, num_neurons=5)
    # Rows that lie further apart may take another kernel, which rounds differently.
    np.testing.assert_allclose(first.weights, alone.weights, rtol=1e-5, atol=1e-6)
    assert first.neuron_names == alone.neuron_names and first.form == alone.form
    np.testing.assert_allclose(first.neuron_aucs, alone.neuron_aucs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("constant", [False, True])
def test_arrays_and_back(tmp_path, constant):
    importances, descriptions = world()
    descriptions = np.ones_like(descriptions) if constant else descriptions
    names = ("é", "", "b'", "\n", "السلام", "🐦")
    explainer = fit_explainer(importances, descriptions, names, ("g",) * 6, _neurons())
    np.savez(tmp_path / "explainer.npz", **explainer.arrays())
    with np.load(tmp_path / "explainer.npz", allow_pickle=False) as file:
        again = Explainer.from_arrays(dict(file))
    assert again.form == explainer.form
    for name, array in explainer.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)
    assert again.attribute_names == names and again.neuron_names == explainer.neuron_names
    np.testing.assert_array_equal(again.attribute_weights(importances), explainer.attribute_weights(importances))
