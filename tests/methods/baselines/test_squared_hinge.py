import numpy as np
import pytest
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_info, threadpool_limits

from niwt_tf.methods.baselines import squared_hinge
from niwt_tf.methods.baselines.squared_hinge import squared_hinge_path

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


def _plain_columns(features, labels, penalty):
    """Newton's method as it is written down: the system [D, D] of the images within the margin, summed anew at each step."""
    columns = []
    for label in range(labels.max() + 1):
        signs, column = np.where(labels == label, 1.0, -1.0), np.zeros(features.shape[1])
        for _ in range(100):
            inside = features[signs * (features @ column) < 1]
            wanted = signs[signs * (features @ column) < 1]
            system = inside.T @ inside + penalty * len(features) / 2 * np.eye(features.shape[1])
            column = column + 0.5 * (np.linalg.solve(system, inside.T @ wanted) - column)
        columns.append(column)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("gram_images", [0, 4096])
@pytest.mark.parametrize("width", [4, 20, 80])
def test_a_path_over_kept_systems_is_the_plain_one(monkeypatch, width, gram_images):
    """Images few or many within the margin, fewer or more than features, with inner products kept or not."""
    monkeypatch.setattr(squared_hinge, "_GRAM_IMAGES", gram_images)
    features = GENERATOR.normal(size=(45, width)) + 2 * (LABELS[:, None] == np.arange(width) % 3)
    for penalty, columns in zip([3.0, 0.1, 1e-3], squared_hinge_path(features, LABELS, 3, [3.0, 0.1, 1e-3]), strict=True):
        np.testing.assert_allclose(columns, _plain_columns(features, LABELS, penalty), atol=1e-8)


def test_a_class_is_solved_by_one_thread_and_the_limit_ends(monkeypatch):
    """Threads that share a small system wait for each other: on busy processors that was most of the time."""

    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    solve, within = squared_hinge._solve, []

    def watched(*arguments):
        within.append(threads())
        return solve(*arguments)

    monkeypatch.setattr(squared_hinge, "_solve", watched)
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        list(squared_hinge_path(GENERATOR.normal(size=(45, 6)), LABELS, 3, [0.1]))
        assert threads() == before
    assert within == [[1] * len(before)] * 3
