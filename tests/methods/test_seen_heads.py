"""The closed-form head against the normal equations and scikit-learn, and its temperature against a grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import Ridge

from niwt_tf.methods import seen_heads
from niwt_tf.methods.seen_heads import RidgeHeadPath, RidgeMoments, temperature_scale


def _data(counts: tuple[int, ...] = (20, 7, 3), features: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centres = random.normal(0, 2, (len(counts), features))
    return (centres[labels] + random.normal(size=(len(labels), features)) + 4.0).astype(np.float32), labels


def _class_weights(labels: np.ndarray) -> np.ndarray:
    return 1.0 / (len(np.unique(labels)) * np.bincount(labels)[labels])


@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
def test_equals_weighted_ridge_of_scikit_learn(strength):
    features, labels = _data()
    weights = _class_weights(labels)
    centred = features - weights @ features
    penalty = strength * float((weights @ centred**2).mean())
    targets = np.eye(3)[labels]
    expected = Ridge(alpha=penalty).fit(features.astype(np.float64), targets, sample_weight=weights)
    columns, biases = RidgeHeadPath.of(features, labels, 3).solve(strength)
    np.testing.assert_allclose(columns, expected.coef_.T, atol=1e-5)
    np.testing.assert_allclose(biases, expected.intercept_, atol=1e-5)


@pytest.mark.parametrize("strength", [1e-9, 1e-4, 0.1, 30.0])
@pytest.mark.parametrize("features", [5, 60])
def test_wide_features_are_solved_by_factors_with_the_same_result(monkeypatch, features, strength):
    rows, labels = _data(features=features)
    expected = RidgeHeadPath.of(rows, labels, 3).solve(strength)
    monkeypatch.setattr(seen_heads, "_WIDE", 0)
    path = RidgeHeadPath.of(rows, labels, 3)
    for found, wanted in zip(path.solve(strength), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted).max())
    assert ("_spectrum" in vars(path)) == (strength < 1e-6)


def test_wide_features_that_do_not_vary_are_solved_too(monkeypatch):
    """Rounding leaves negative eigenvalues, larger than the penalty, in a covariance that is 0."""
    rows = np.tile(np.random.default_rng(0).normal(0, 1000, 60), (7, 1))
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    expected = RidgeHeadPath.of(rows, labels, 3).solve(10.0)
    monkeypatch.setattr(seen_heads, "_WIDE", 0)
    path = RidgeHeadPath.of(rows, labels, 3)
    assert np.linalg.eigvalsh(path._covariance).min() < -1e-10
    for found, wanted in zip(path.solve(10.0), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_one_feature_by_hand():
    # Class 0 at 0 and 2 (weights 1/4 each), class 1 at 5 (weight 1/2): mean 3, variance 9/4 + 1/4 + 4/2 = 4.5, covariance
    # with class 1's target: (5 - 3) (1 - 1/2) / 2 + (-3 - 1) (-1/2) / 4 = 1. The penalty is one variance, so w = 1 / 9.
    columns, biases = RidgeHeadPath.of(np.array([[0.0], [2.0], [5.0]]), np.array([0, 0, 1]), 2).solve(1.0)
    np.testing.assert_allclose(columns, [[-1 / 9, 1 / 9]], rtol=1e-6)
    np.testing.assert_allclose(biases, [0.5 + 3 / 9, 0.5 - 3 / 9], rtol=1e-6)


def test_a_class_weighs_the_same_however_many_images_it_has():
    features, labels = _data((4, 4, 4))
    more = np.concatenate([np.arange(12), np.tile(np.arange(4), 5)])
    once, often = (RidgeHeadPath.of(features[rows], labels[rows], 3).solve(1.0) for rows in (np.arange(12), more))
    np.testing.assert_allclose(once[0], often[0], atol=1e-6)
    np.testing.assert_allclose(once[1], often[1], atol=1e-6)


def test_more_strength_shrinks_and_more_features_than_images_are_fine():
    features, labels = _data((3, 3), features=50)
    path = RidgeHeadPath.of(features, labels, 2)
    norms = [np.linalg.norm(path.solve(strength)[0]) for strength in (0.1, 1.0, 10.0, 1000.0)]
    assert norms == sorted(norms, reverse=True)
    assert np.isfinite(norms).all()
    assert np.isfinite(RidgeHeadPath.of(np.ones((4, 3)), np.array([0, 0, 1, 1]), 2).solve(1.0)[0]).all()


def test_temperature_against_a_grid():
    features, labels = _data((30, 30, 30), seed=4)
    columns, biases = RidgeHeadPath.of(features, labels, 3).solve(1.0)
    logits = features @ columns + biases
    wrong = np.random.default_rng(0).permutation(90)[:9]
    labels = labels.copy()
    labels[wrong] = (labels[wrong] + 1) % 3  # with mistakes, so that the best scale is finite

    def cross_entropy(scale: float) -> float:
        # Smoothed targets: (M + 1) / (M + 2) for the true class, the rest shared by the two others.
        targets = np.where(labels[:, None] == np.arange(3), 91 / 92, 0.5 / 92)
        return float(-(targets * log_softmax(scale * logits, axis=1)).sum(axis=1).mean())

    scale = temperature_scale(logits, labels)
    grid = np.exp(np.linspace(-4, 8, 2000))
    assert scale == pytest.approx(grid[np.argmin([cross_entropy(value) for value in grid])], rel=0.01)
    assert temperature_scale(10 * logits, labels) == pytest.approx(scale / 10, rel=1e-2)


def test_temperature_is_bounded_without_a_mistake():
    assert temperature_scale(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])) <= np.exp(8.0)
    assert np.isfinite(temperature_scale(np.zeros((2, 2)), np.array([0, 1])))


def test_streamed_moments_give_the_same_head():
    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3
    moments = RidgeMoments(5, np.bincount(labels))
    for part in np.array_split(np.arange(30), 4):
        moments.add(features[part], labels[part])
    streamed, whole = RidgeHeadPath(moments).solve(2.0), RidgeHeadPath.of(features, labels, 3).solve(2.0)
    for one, other in zip(streamed, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
