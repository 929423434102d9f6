"""The relevance map: its gradients, scikit-learn beside it, when relevances are warranted; and its formula as a graph."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from niwt_tf.methods.relevance import NOISE, WARRANTED, Likelihood, fit_relevance_map, gram_of, kernel
from niwt_tf.methods.relevance_formula import RelevanceFormula
from niwt_tf.metrics.ranks import mean_rank_correlation
from niwt_tf.serving.bundle.bundle import formula_variables
from niwt_tf.serving.export.graph import described_logits

CLASSES, ENTRIES = 12, 6


def _descriptions(seed: int, classes: int = CLASSES, entries: int = ENTRIES) -> np.ndarray:
    return np.random.default_rng(seed).random((classes, entries))


def _importances(descriptions: np.ndarray, seed: int, followed: int, noise: float = 0.05) -> np.ndarray:
    """Return importances [S, 40] that follow the first attributes alone."""
    random = np.random.default_rng(seed)
    smooth = np.tanh(3 * (descriptions[:, :followed] - 0.5)) @ random.normal(size=(followed, 40))
    return smooth + noise * random.normal(size=smooth.shape)


@given(st.integers(0, 10_000), st.floats(0.0, 2.0))
@settings(max_examples=15, deadline=None)
def test_gradients_are_those_of_finite_differences(seed, hold):
    descriptions = _descriptions(seed)
    likelihood = Likelihood(descriptions, gram_of(_importances(descriptions, seed, 2), (30, 10)))
    at = np.random.default_rng(seed).normal(size=ENTRIES + 1)
    expected = approx_fprime(at, lambda values: likelihood(values, hold)[0], 1e-6)
    np.testing.assert_allclose(likelihood(at, hold)[1], expected, rtol=1e-4, atol=1e-4)
    expected = approx_fprime(at[:2], lambda values: likelihood.equal(values)[0], 1e-6)
    np.testing.assert_allclose(likelihood.equal(at[:2])[1], expected, rtol=1e-4, atol=1e-4)
    same = np.append(np.full(ENTRIES, at[0]), at[1])
    assert likelihood(same, hold)[0] == pytest.approx(likelihood.equal(at[:2])[0])


def test_products_in_float32_change_the_likelihood_in_its_sixth_digit_alone():
    descriptions = _descriptions(1, 60, 30)
    gram, at = gram_of(_importances(descriptions, 1, 3), (40,)), np.random.default_rng(1).normal(size=31)
    exact, rounded = (Likelihood(descriptions, gram, precision) for precision in (np.float64, np.float32))
    for ours, theirs in ((rounded(at, 0.3), exact(at, 0.3)), (rounded.equal(at[:2]), exact.equal(at[:2]))):
        assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-4 * np.abs(theirs[1]).max())


def test_many_classes_without_any_noise_are_learnt():
    """Their products are float32, which leaves a matrix of so many alike classes definite only beside some noise."""
    descriptions = _descriptions(2, 300, 3)
    importances = _importances(descriptions, 2, 2, noise=0.0)
    fitted = fit_relevance_map(descriptions, importances, normalisation="raw")
    assert fitted.is_warranted
    asked = _descriptions(3, 30, 3)
    found = fitted.weights(asked).mean(axis=0) @ importances
    np.testing.assert_allclose(found, _importances(asked, 2, 2, noise=0.0), atol=0.1)


def test_weights_predict_as_the_process_of_scikit_learn_does():
    descriptions = _descriptions(1)
    importances = _importances(descriptions, 1, 6)
    fitted = fit_relevance_map(descriptions, importances, normalisation="raw")
    asked = _descriptions(2, 5)
    weights = fitted.weights(asked)
    assert weights.shape == (len(fitted.relevances), 5, CLASSES)
    np.testing.assert_allclose(weights.sum(axis=2), 1.0)
    assert not fitted.is_warranted
    for relevances, own in zip(fitted.relevances, weights, strict=True):
        # A constant that nothing is known of is one of great variance.
        process = ConstantKernel(1e6, "fixed") + RBF(1 / np.sqrt(2 * relevances), "fixed")
        theirs = GaussianProcessRegressor(process, alpha=NOISE, optimizer=None).fit(descriptions, importances)
        np.testing.assert_allclose(own @ importances, theirs.predict(asked), atol=1e-4)


def test_differences_of_the_likelihood_are_those_of_scikit_learn():
    # Importances whose directions all have the same variance: D is then their number, and F the likelihood at its best scale.
    random, outputs = np.random.default_rng(3), 5
    descriptions = _descriptions(3)
    centred = random.normal(size=(CLASSES, outputs))
    importances = np.linalg.qr(centred - centred.mean(axis=0))[0]
    likelihood = Likelihood(descriptions, gram_of(importances, (outputs,)))

    def theirs(theta: np.ndarray, nu: float) -> float:
        relevances, noise = np.exp(theta) / likelihood.scale, 0.1 * np.exp(nu)
        matrix = kernel(descriptions, descriptions, relevances) + noise * np.eye(CLASSES)
        inverse = np.linalg.inv(matrix)
        sums = inverse.sum(axis=1)
        dual = inverse - np.outer(sums, sums) / sums.sum()
        scale = np.trace(importances.T @ dual @ importances) / (outputs * (CLASSES - 1))
        process = ConstantKernel(1e7, "fixed") + ConstantKernel(scale, "fixed") * RBF(1 / np.sqrt(2 * relevances), "fixed")
        fitted = GaussianProcessRegressor(process, alpha=scale * noise, optimizer=None).fit(descriptions, importances)
        return -fitted.log_marginal_likelihood_value_

    def ours(theta: np.ndarray, nu: float) -> float:
        penalty = 0.05 * theta.mean() ** 2 + 0.05 * nu**2
        return likelihood(np.append(theta, nu), 0.0)[0] - penalty

    one, other = (np.zeros(ENTRIES), 0.0), (random.normal(size=ENTRIES), 0.7)
    assert ours(*one) - ours(*other) == pytest.approx(theirs(*one) - theirs(*other), abs=1e-3)


def test_relevances_are_warranted_where_importances_follow_few_attributes():
    descriptions = _descriptions(4, 40, 20)
    fitted = fit_relevance_map(descriptions, _importances(descriptions, 4, 2), normalisation="raw")
    assert fitted.is_warranted and fitted.warrant > WARRANTED
    assert len(fitted.relevances) == 4
    followed, others = fitted.relevances[:, :2], fitted.relevances[:, 2:]
    assert (followed.min(axis=1) > 3 * others.max(axis=1)).all()
    seen, asked = _importances(descriptions, 4, 2), _descriptions(5, 30, 20)
    truth = _importances(asked, 4, 2, noise=0.0)
    alike = np.full(20, 1.0 / Likelihood(descriptions, gram_of(seen, (40,))).scale)
    plain = kernel(asked, descriptions, alike) @ np.linalg.inv(kernel(descriptions, descriptions, alike) + NOISE * np.eye(40))
    learnt, equal = (np.mean((weights @ seen - truth) ** 2) for weights in (fitted.weights(asked).mean(axis=0), plain))
    assert learnt < equal / 4


@pytest.mark.parametrize("how", ["all alike", "noise", "two classes", "one description"])
def test_relevances_are_not_warranted_where_nothing_is_to_be_learnt(how):
    descriptions = _descriptions(6)
    importances = np.random.default_rng(6).normal(size=(CLASSES, 40))
    if how == "all alike":
        importances[:] = importances[0]
    if how == "two classes":
        descriptions, importances = descriptions[:2], importances[:2]
    if how == "one description":
        descriptions[:] = descriptions[0]
    fitted = fit_relevance_map(descriptions, importances)
    assert not fitted.is_warranted
    assert np.isfinite(fitted.weights(_descriptions(7, 3))).all()


def test_the_rank_correlation_is_that_of_classes_left_out():
    descriptions = _descriptions(8)
    importances = _importances(descriptions, 8, 6)
    fitted = fit_relevance_map(descriptions, importances, normalisation="raw")
    predicted = []
    for left_out in range(CLASSES):
        kept = np.arange(CLASSES) != left_out
        means = []
        for relevances in fitted.relevances:
            inverse = np.linalg.inv(kernel(descriptions[kept], descriptions[kept], relevances) + 0.2 * np.eye(CLASSES - 1))
            sums = inverse.sum(axis=1)
            near = kernel(descriptions[left_out : left_out + 1], descriptions[kept], relevances)
            dual = inverse - np.outer(sums, sums) / sums.sum()
            means.append((near @ dual + sums / sums.sum()) @ importances[kept])
        predicted.append(np.mean(means, axis=0)[0])
    assert fitted.rank_correlation == pytest.approx(mean_rank_correlation(np.array(predicted), importances), abs=1e-9)


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "compiled"])
def test_logits_of_a_graph_and_of_edits_are_those_of_the_columns(jit):
    random, seen = np.random.default_rng(9), _descriptions(9)
    basis = random.normal(size=(20, CLASSES)).astype(np.float32)
    formula = RelevanceFormula(
        fit_relevance_map(seen, _importances(seen, 9, 6)), basis, random.normal(size=CLASSES), basis.T @ basis
    )
    features = random.normal(size=(4, 20)).astype(np.float32)
    descriptions = _descriptions(11, 4 * 3).reshape(4, 3, ENTRIES).astype(np.float32)
    descriptions[1, 0] = formula.normaliser.centre
    variables = {name: tf.Variable(value) for name, value in formula_variables(formula).items()}
    answer = tf.function(lambda x, d: described_logits(x, d, variables, formula), jit_compile=jit)
    found = answer(tf.constant(features), tf.constant(descriptions)).numpy()
    for row, described, logits in zip(features, descriptions, found, strict=True):
        columns, biases = formula(described)
        np.testing.assert_allclose(logits, row @ columns + biases, rtol=1e-3, atol=1e-3)
    edits, changes = np.array([[0, 2], [1, 3]]), np.array([[0.5, -0.2], [0.1, 0.0]])
    changed = np.tile(descriptions[0, 0].astype(np.float64), (2, 1))
    changed[np.arange(2)[:, None], edits] += changes
    columns, biases = formula(changed)
    expected = features[0] @ columns + biases
    np.testing.assert_allclose(formula.edited(features[0], descriptions[0, 0])(edits, changes), expected, rtol=1e-4, atol=1e-4)
