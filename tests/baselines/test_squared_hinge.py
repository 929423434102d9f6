import numpy as np
import pytest
from sklearn.svm import LinearSVC

from niwt_tf.baselines.squared_hinge import squared_hinge_path

GENERATOR = np.random.default_rng(0)
LABELS = np.repeat(np.arange(3), 15)


def _objective(columns, features, labels, penalty):
    signs = np.where(labels[:, None] == np.arange(columns.shape[1]), 1.0, -1.0)
    losses = np.maximum(0, 1 - signs * (features @ columns)) ** 2
    return losses.mean(axis=0) + penalty / 2 * (columns**2).sum(axis=0)


@pytest.mark.parametrize("width", [6, 80])
@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_is_the_optimum_that_scikit_learn_finds(width, penalty):
    """LinearSVC minimises |w|^2 / 2 + C sum of losses: with C = 1 / (penalty M) the same up to a factor."""
    features = GENERATOR.normal(size=(45, width)) + LABELS[:, None] * GENERATOR.normal(size=width)
    (columns,) = squared_hinge_path(features, LABELS, 3, [penalty])
    for label in range(3):
        strength = 1 / (penalty * 45)
        machine = LinearSVC(loss="squared_hinge", C=strength, fit_intercept=False, dual=True, tol=1e-8, max_iter=200_000)
        expected = machine.fit(features, label == LABELS).coef_[0]
        np.testing.assert_allclose(columns[:, label], expected, rtol=2e-3, atol=2e-4)


def test_a_path_is_the_same_as_single_solves():
    features = GENERATOR.normal(size=(45, 6))
    penalties = [1.0, 1e-2, 1e-6]
    for penalty, columns in zip(penalties, squared_hinge_path(features, LABELS, 3, penalties), strict=True):
        (alone,) = squared_hinge_path(features, LABELS, 3, [penalty])
        np.testing.assert_allclose(columns, alone, rtol=1e-3, atol=1e-5)
        nearby = alone + 1e-3 * GENERATOR.normal(size=alone.shape)
        assert (_objective(columns, features, LABELS, penalty) <= _objective(nearby, features, LABELS, penalty)).all()
