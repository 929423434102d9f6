"""Covariances of few directions against whole ones."""

import numpy as np
import pytest

from niwt_tf.methods.few_shot import Covariance

GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(60, 9)) @ GENERATOR.normal(size=(9, 9))
ROWS -= ROWS.mean(axis=0)
WHOLE = ROWS.T @ ROWS / len(ROWS)


def as_matrix(covariance):
    return covariance.factor @ covariance.factor.T + np.diag(covariance.diagonal)


@pytest.mark.parametrize("rows", [ROWS, ROWS[:5]])  # more images than features, and fewer
def test_all_directions_are_the_whole_covariance(rows):
    expected = rows.T @ rows / len(rows)
    np.testing.assert_allclose(as_matrix(Covariance.of(rows)), expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("rank", [1, 4])
def test_few_directions_keep_the_variances_and_the_largest_directions(rank):
    few = Covariance.of(ROWS, rank)
    assert few.factor.shape == (9, rank)
    np.testing.assert_allclose(np.diag(as_matrix(few)), np.diag(WHOLE), rtol=1e-5)
    kept = np.linalg.eigvalsh(few.factor.T.astype(np.float64) @ few.factor)
    np.testing.assert_allclose(kept, np.linalg.eigvalsh(WHOLE)[-rank:], rtol=1e-5)


@pytest.mark.parametrize("rank", [3, 9])
def test_what_it_solves_and_measures_is_that_of_its_matrix(rank):
    covariance, vectors = Covariance.of(ROWS, rank), GENERATOR.normal(size=(9, 2))
    matrix = as_matrix(covariance).astype(np.float64)
    np.testing.assert_allclose(
        covariance.solve(vectors, 0.7), np.linalg.solve(matrix + 0.7 * np.eye(9), vectors), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(covariance.deviations(vectors), np.sqrt(np.diag(vectors.T @ matrix @ vectors)), rtol=1e-5)
    assert covariance.mean_variance == pytest.approx(np.trace(matrix) / 9, rel=1e-5)


def test_rows_without_variance():
    covariance = Covariance.of(np.zeros((4, 3)))
    assert covariance.mean_variance == 0
    np.testing.assert_allclose(covariance.solve(np.ones((3, 1)), 2.0), 0.5)
