import numpy as np
import pytest

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.niwt.mapping import fit_cosine_map, fit_ridge_map
from niwt_tf.metrics.ranks import mean_rank_correlation


def linear_world(seed=0, classes=20, entries=6, neurons=15, noise=0.0):
    generator = np.random.default_rng(seed)
    descriptions = generator.uniform(size=(classes, entries)).astype(np.float32)
    truth = generator.normal(size=(neurons, entries))
    importances = DescriptionNormaliser.fit(descriptions, "centred")(descriptions) @ truth.T
    return descriptions, (importances + noise * generator.normal(size=importances.shape)).astype(np.float32)


def test_normalisers_by_hand():
    raw = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(DescriptionNormaliser.fit(raw, "l2")(raw), [[0.6, 0.8], [0.0, 0.0]])
    np.testing.assert_allclose(DescriptionNormaliser.fit(raw, "centred")(raw), [[0.6, 0.8], [-0.6, -0.8]], rtol=1e-6)
    np.testing.assert_array_equal(DescriptionNormaliser.fit(raw, "raw")(raw), raw)


def test_ridge_recovers_a_linear_world_for_new_classes():
    descriptions, importances = linear_world()
    fitted = fit_ridge_map(descriptions[:15], importances[:15], regularizations=[1e-8])
    # The centre differs between 15 and 20 classes, so a new class is compared by the order of its neurons.
    assert mean_rank_correlation(fitted.predict(descriptions[15:]), importances[15:]) > 0.9
    np.testing.assert_allclose(fitted.predict(descriptions[:15]), importances[:15], atol=0.2)


def test_ridge_equals_the_normal_equations():
    descriptions, importances = linear_world(noise=0.3)
    fitted = fit_ridge_map(descriptions, importances, regularizations=[0.7])
    x = fitted.normaliser(descriptions).astype(np.float64)
    x_centred = x - x.mean(axis=0)
    weights = np.linalg.solve(x_centred.T @ x_centred + 0.7 * np.eye(6), x_centred.T @ importances).T
    np.testing.assert_allclose(fitted.weights, weights, atol=1e-5)


def test_leave_one_out_equals_refitting_without_each_class():
    descriptions, importances = linear_world(noise=0.5)
    penalty = 0.3
    fitted = fit_ridge_map(descriptions, importances, regularizations=[penalty], normalisation="raw")
    correlations = []
    for left_out in range(len(descriptions)):
        kept = np.delete(np.arange(len(descriptions)), left_out)
        refitted = fit_ridge_map(descriptions[kept], importances[kept], regularizations=[penalty], normalisation="raw")
        predicted = refitted.predict(descriptions[left_out : left_out + 1])
        correlations.append(mean_rank_correlation(predicted, importances[left_out : left_out + 1]))
    assert fitted.rank_correlation == pytest.approx(np.mean(correlations), abs=1e-6)


def test_ridge_chooses_more_shrinkage_for_noise():
    clean = fit_ridge_map(*linear_world(noise=0.0))
    noisy = fit_ridge_map(*linear_world(noise=3.0))
    assert noisy.regularization > clean.regularization
    assert noisy.rank_correlation < clean.rank_correlation


def test_cosine_generalises_and_is_deterministic():
    descriptions, importances = linear_world()
    first = fit_cosine_map(descriptions[:15], importances[:15], steps=400, seed=3)
    again = fit_cosine_map(descriptions[:15], importances[:15], steps=400, seed=3)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert mean_rank_correlation(first.predict(descriptions[15:]), importances[15:]) > 0.8
    assert first.rank_correlation == max(correlation for _, correlation in first.trials)
    held_out = np.random.default_rng(3).permutation(15)[:5]
    reached = mean_rank_correlation(first.predict(descriptions[held_out]), importances[held_out])
    assert first.rank_correlation == pytest.approx(reached, abs=1e-6)


def test_the_cosine_map_is_not_fitted_on_the_classes_that_stop_it():
    descriptions, importances = linear_world(classes=15)
    held_out = np.random.default_rng(3).permutation(15)[:5]
    other = importances.copy()
    other[held_out] = np.random.default_rng(9).normal(size=(5, importances.shape[1]))
    first, second = (fit_cosine_map(descriptions, each, steps=20, seed=3) for each in (importances, other))
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.bias, second.bias)
    assert first.rank_correlation != second.rank_correlation


def test_the_cosine_map_is_adam_on_one_minus_the_cosine_of_each_class():
    descriptions, importances = linear_world(classes=7, neurons=4)
    fitted = fit_cosine_map(descriptions, importances, steps=20, seed=3)
    kept = np.random.default_rng(3).permutation(7)[2:]  # a third of the classes is held out
    x, targets = fitted.normaliser(descriptions)[kept].astype(np.float64), importances[kept].astype(np.float64)
    parameters = np.concatenate([np.zeros((4, 6)), targets.mean(axis=0)[:, None]], axis=1)
    targets, x = targets / np.linalg.norm(targets, axis=1, keepdims=True), np.concatenate([x, np.ones((5, 1))], axis=1)
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    for step in range(1, 21):
        predicted = x @ parameters.T
        norms = np.linalg.norm(predicted, axis=1, keepdims=True)
        cosine = (predicted * targets).sum(axis=1, keepdims=True) / norms
        gradient = -((targets - cosine * predicted / norms) / norms).T @ x / 5
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        parameters -= 0.01 * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-7)
    np.testing.assert_allclose(fitted.weights, parameters[:, :-1], atol=1e-4)
    np.testing.assert_allclose(fitted.bias, parameters[:, -1], atol=1e-4)
    assert fitted.regularization == 20


@pytest.mark.parametrize(("classes", "held_out"), [(18, 5), (7, 2), (2, 1)])
def test_five_classes_stop_the_cosine_map_a_third_of_them_at_most_and_one_at_least(classes, held_out):
    descriptions, importances = linear_world(classes=classes, neurons=4)
    order, first = np.random.default_rng(3).permutation(classes), fit_cosine_map(descriptions, importances, steps=20, seed=3)
    for place, is_fitted in ((held_out - 1, False), (held_out, True)):
        other = importances.copy()
        other[order[place]] = [9.0, -9.0, 9.0, -9.0]
        changed = fit_cosine_map(descriptions, other, steps=20, seed=3)
        assert (np.abs(changed.weights - first.weights).max() > 0) == is_fitted
    assert first.regularization == 20 and np.isfinite(first.rank_correlation)


@pytest.mark.parametrize("steps", [40, 59])
def test_the_cosine_map_is_judged_every_twenty_steps(steps):
    found = fit_cosine_map(*linear_world(classes=6, neurons=4), steps=steps)
    assert [step for step, _ in found.trials] == [20.0, 40.0]
    best = max(found.trials, key=lambda trial: trial[1])
    assert (found.regularization, found.rank_correlation) == best


def test_the_penalties_of_the_ridge_map_that_are_tried():
    found = fit_ridge_map(*linear_world(noise=0.3))
    np.testing.assert_allclose([penalty for penalty, _ in found.trials], np.logspace(-4, 3, 15))
    assert (found.regularization, found.rank_correlation) == max(found.trials, key=lambda trial: trial[1])
    assert found.normaliser.how == "centred"


def test_a_class_that_alone_decides_its_own_prediction_is_no_division_by_zero():
    # Of a single class nothing is left without it, and the map is its importance.
    with np.errstate(all="raise"):
        found = fit_ridge_map(np.array([[1.0, 2.0]]), np.array([[1.0, 3.0, 2.0]]), normalisation="raw")
    np.testing.assert_allclose(found.predict(np.array([[1.0, 2.0]])), [[1.0, 3.0, 2.0]])
