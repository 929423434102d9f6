import numpy as np
import pytest

from niwt_tf.explain import inverse_map
from niwt_tf.explain.inverse_map import FORMS, fit_inverse_map
from niwt_tf.metrics.ranks import mean_rank_correlation
from tests.explain.known_world import world


def one_form(*data, form):
    return fit_inverse_map(*data, forms=(form,))


@pytest.mark.parametrize("form", FORMS)
def test_an_attribute_that_all_classes_share_weighs_nothing(form):
    importances, descriptions = world()
    inverse = one_form(importances, descriptions, form=form)
    assert inverse.form == form
    np.testing.assert_array_equal(inverse.weights[5], 0.0)
    assert inverse.bias[5] == 0.0
    # What else is predicted does not depend on it.
    fewer = one_form(importances, descriptions[:, :5], form=form).weights
    np.testing.assert_allclose(fewer, inverse.weights[:5], rtol=1e-5, atol=1e-6)  # rounded as products of other shapes are


@pytest.mark.parametrize("form", FORMS)
def test_attributes_of_new_classes_are_predicted_in_deviations(form):
    importances, descriptions = world(classes=40)
    fitted = one_form(importances[:30], descriptions[:30], form=form)
    varying = descriptions[30:, :5]
    true = (varying - descriptions[:30, :5].mean(axis=0)) / descriptions[:30, :5].std(axis=0)
    predicted = fitted.predict(importances[30:])[:, :5]
    assert mean_rank_correlation(predicted, true) > 0.75
    assert fitted.rank_correlation > 0.75
    # In the unit of the deviations, if shrunk; not in one of its own.
    assert 0.3 < (predicted * true).sum() / (true * true).sum() < 1.5


def test_closed_form_equals_the_normal_equations():
    importances, descriptions = world(noise=0.3)
    inverse = one_form(5.0 * importances, descriptions, form="closed_form")  # the length of an importance says nothing
    centred = importances.astype(np.float64) - importances.mean(axis=0, dtype=np.float64)
    targets = descriptions[:, :5].astype(np.float64)
    targets = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    expected = np.linalg.solve(centred.T @ centred + inverse.regularization * np.eye(5), centred.T @ targets).T
    np.testing.assert_allclose(inverse.weights[:5], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_mean_importance_predicts_the_mean_description(form):
    importances, descriptions = world(noise=0.3)
    inverse = one_form(importances, descriptions, form=form)
    np.testing.assert_allclose(importances.mean(axis=0) @ inverse.weights.T + inverse.bias, 0.0, atol=1e-5)
    np.testing.assert_allclose(inverse.predict(3.0 * importances), inverse.predict(importances), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(inverse.predict(np.zeros(5)), inverse.bias)


@pytest.mark.parametrize("form", FORMS)
def test_the_unit_of_an_attribute_does_not_matter(form):
    importances, descriptions = world(noise=0.3)
    scaled = descriptions * np.array([100.0, 1.0, 0.01, 1.0, 1.0, 1.0], np.float32) + 7.0
    np.testing.assert_allclose(
        one_form(importances, scaled, form=form).weights, one_form(importances, descriptions, form=form).weights, atol=2e-3
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_form_that_does_better_on_classes_left_out_is_taken(seed):
    importances, descriptions = world(seed, noise=0.5)
    alone = {form: one_form(importances, descriptions, form=form) for form in FORMS}
    best = max(FORMS, key=lambda form: alone[form].rank_correlation)
    chosen = fit_inverse_map(importances, descriptions)
    assert (chosen.form, chosen.rank_correlation) == (best, alone[best].rank_correlation)
    assert chosen.regularization == alone[best].regularization
    np.testing.assert_array_equal(chosen.weights, alone[best].weights)


def test_either_form_can_be_taken():
    assert {fit_inverse_map(*world(seed, noise=0.5)).form for seed in range(6)} == set(FORMS)


def test_the_same_classes_give_the_same_map():
    first, second = (fit_inverse_map(*world(3, noise=0.5)) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.bias, second.bias)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_classes_take_the_closed_form(classes):
    random = np.random.default_rng(classes)
    inverse = fit_inverse_map(random.standard_normal((classes, 7)), random.uniform(size=(classes, 4)))
    assert inverse.form == "closed_form" and np.isfinite(inverse.weights).all()
    assert np.isnan(inverse.rank_correlation) == (classes < 3)


@pytest.mark.parametrize(("classes", "neurons", "attributes"), [(40, 128, 47), (150, 32, 312)])
def test_both_forms_compete_at_the_size_of_real_data(classes, neurons, attributes, monkeypatch):
    random, tried = np.random.default_rng(0), []

    def watched(name, form):
        def fit(directions, targets, strengths):
            tried.append(name)
            return form(directions, targets, strengths[:1])

        return fit

    forms = {name: (watched(name, form), strengths[:1]) for name, (form, strengths) in inverse_map._FORMS.items()}
    monkeypatch.setattr(inverse_map, "_FORMS", forms)
    fit_inverse_map(random.random((classes, neurons)), random.random((classes, attributes)))
    assert set(tried) == set(FORMS)


def test_many_classes_and_attributes_take_the_closed_form(monkeypatch):
    data = next(world(seed, noise=0.5) for seed in range(6) if fit_inverse_map(*world(seed, noise=0.5)).form == "cosine")
    monkeypatch.setattr(inverse_map, "_MOST_PRODUCTS", 24 * 24 * 6)
    assert fit_inverse_map(*data).form == "cosine"
    monkeypatch.setattr(inverse_map, "_MOST_PRODUCTS", 24 * 24 * 6 - 1)
    assert fit_inverse_map(*data).form == "closed_form"


def test_importances_that_are_all_the_same_say_nothing():
    inverse = fit_inverse_map(np.ones((8, 3)), np.random.default_rng(0).uniform(size=(8, 4)))
    np.testing.assert_allclose(inverse.weights, 0.0, atol=1e-6)
    assert inverse.rank_correlation == 0.0
    dead = fit_inverse_map(np.zeros((8, 3)), np.random.default_rng(0).uniform(size=(8, 4)))
    assert not dead.weights.any() and not dead.bias.any()
