import numpy as np
import pytest

from niwt_tf.explain.explainer import Explainer, fit_explainer
from niwt_tf.explain.inverse_map import fit_inverse_map
from niwt_tf.explain.neurons import name_neurons
from niwt_tf.method.rank_correlation import mean_rank_correlation

NAMES = ("red", "blue", "striped", "long beak", "frequent", "constant")
# Neuron n is attribute ORDER[n]; no neuron is the constant one.
ORDER = (3, 1, 4, 0, 2)


def world(seed=0, classes=24, noise=0.02):
    """Return importances [S, 5] and descriptions [S, 6]; "frequent" is there 5 times of 6, "constant" always."""
    random = np.random.default_rng(seed)
    descriptions = (random.uniform(size=(classes, 6)) < 0.3).astype(np.float32)
    descriptions[:, 4] = np.arange(classes) % 6 > 0
    descriptions[:, 5] = 0.1
    importances = 0.2 + descriptions[:, ORDER] + noise * random.standard_normal((classes, 5))
    return (importances / np.linalg.norm(importances, axis=1, keepdims=True)).astype(np.float32), descriptions


def test_a_neuron_that_is_an_attribute_has_its_name():
    explainer = fit_explainer(*world(), NAMES, ("",) * 6)
    assert explainer.neuron_names == tuple(NAMES[k] for k in ORDER)
    assert explainer.neuron_confidences.min() > 0.5 and explainer.neuron_confidences.max() <= 1.0


def test_an_attribute_that_all_classes_share_weighs_nothing():
    importances, descriptions = world()
    inverse = fit_inverse_map(importances, descriptions)
    np.testing.assert_array_equal(inverse.weights[5], 0.0)
    assert inverse.bias[5] == 0.0
    # What else is predicted does not depend on it.
    np.testing.assert_array_equal(fit_inverse_map(importances, descriptions[:, :5]).weights, inverse.weights[:5])


def test_attributes_of_new_classes_are_predicted_in_deviations():
    importances, descriptions = world(classes=40)
    fitted = fit_inverse_map(importances[:30], descriptions[:30])
    varying = descriptions[30:, :5]
    true = (varying - descriptions[:30, :5].mean(axis=0)) / descriptions[:30, :5].std(axis=0)
    assert mean_rank_correlation(fitted.predict(importances[30:])[:, :5], true) > 0.8
    assert fitted.rank_correlation > 0.8


def test_inverse_map_equals_the_normal_equations():
    importances, descriptions = world(noise=0.3)
    inverse = fit_inverse_map(5.0 * importances, descriptions)  # the length of an importance says nothing
    centred = importances.astype(np.float64) - importances.mean(axis=0, dtype=np.float64)
    targets = descriptions[:, :5].astype(np.float64)
    targets = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    expected = np.linalg.solve(centred.T @ centred + inverse.regularization * np.eye(5), centred.T @ targets).T
    np.testing.assert_allclose(inverse.weights[:5], expected, rtol=1e-4, atol=1e-5)
    # Without an intercept of the attributes the mean importance predicts the mean attributes, 0.
    np.testing.assert_allclose(importances.mean(axis=0) @ inverse.weights.T + inverse.bias, 0.0, atol=1e-5)
    np.testing.assert_allclose(inverse.predict(3.0 * importances), inverse.predict(importances), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(inverse.predict(np.zeros(5)), inverse.bias)


def test_the_unit_of_an_attribute_does_not_matter():
    importances, descriptions = world(noise=0.3)
    scaled = descriptions * np.array([100.0, 1.0, 0.01, 1.0, 1.0, 1.0], np.float32) + 7.0
    np.testing.assert_allclose(
        fit_inverse_map(importances, scaled).weights, fit_inverse_map(importances, descriptions).weights, atol=1e-3
    )


def test_without_an_attribute_that_varies_nothing_is_said():
    importances, descriptions = world()
    explainer = fit_explainer(importances, np.full_like(descriptions, 0.3), NAMES, ("",) * 6)
    assert explainer.neuron_names == ("",) * 5
    assert not explainer.weights.any() and not explainer.neuron_confidences.any()
    assert np.isnan(explainer.rank_correlation)


def test_only_the_neurons_of_the_own_layer_are_used():
    importances, descriptions = world()
    stacked = np.concatenate([importances, np.random.default_rng(1).standard_normal((24, 7)).astype(np.float32)], axis=1)
    alone = fit_explainer(importances, descriptions, NAMES, ("",) * 6)
    first = fit_explainer(stacked, descriptions, NAMES, ("",) * 6, num_neurons=5)
    np.testing.assert_array_equal(first.weights, alone.weights)
    assert first.neuron_names == alone.neuron_names


def test_names_and_confidences_by_hand():
    weights = np.array([[3.0, 0.0, -1.0, 0.0], [4.0, 2.0, -2.0, 0.0]], np.float32)
    names, confidences = name_neurons(weights, ("a", "b"))
    assert names == ("b", "b", "", "")
    np.testing.assert_allclose(confidences, [0.8, 1.0, 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("constant", [False, True])
def test_arrays_and_back(tmp_path, constant):
    importances, descriptions = world()
    descriptions = np.ones_like(descriptions) if constant else descriptions
    names = ("é", "", "b'", "\n", "السلام", "🐦")
    explainer = fit_explainer(importances, descriptions, names, ("g",) * 6)
    np.savez(tmp_path / "explainer.npz", **explainer.arrays())
    with np.load(tmp_path / "explainer.npz", allow_pickle=False) as file:
        again = Explainer.from_arrays(dict(file))
    for name, array in explainer.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)
    assert again.attribute_names == names and again.neuron_names == explainer.neuron_names
    np.testing.assert_array_equal(again.attribute_weights(importances), explainer.attribute_weights(importances))
