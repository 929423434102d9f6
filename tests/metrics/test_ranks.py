import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from niwt_tf.methods.importance import PairwiseRankCorrelation
from niwt_tf.metrics.ranks import map_correlation, mean_rank_correlation, standardised_ranks, unit


def vectors_with_ties(seed, rows=12, neurons=9):
    vectors = np.random.default_rng(seed).normal(size=(rows, neurons))
    return np.where(vectors < -0.2, 0.0, vectors)


def test_dot_products_of_standardised_ranks_are_spearman_correlations():
    vectors = vectors_with_ties(0)
    ranks = standardised_ranks(vectors)
    for i, j in itertools.combinations(range(len(vectors)), 2):
        assert ranks[i] @ ranks[j] == pytest.approx(spearmanr(vectors[i], vectors[j]).statistic)


def test_a_constant_vector_has_no_order():
    np.testing.assert_array_equal(standardised_ranks(np.ones((1, 4))), np.zeros((1, 4)))


def test_streamed_pairs_equal_every_pair_computed_alone():
    vectors, labels = vectors_with_ties(1), np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3])
    streamed = PairwiseRankCorrelation(5, vectors.shape[1])
    for part in np.array_split(np.arange(12), 4):
        streamed.add(vectors[part], labels[part])

    def between(first, second):
        pairs = itertools.combinations(first, 2) if first is second else itertools.product(first, second)
        return np.mean([spearmanr(vectors[i], vectors[j]).statistic for i, j in pairs])

    members = [np.flatnonzero(labels == c) for c in range(4)]
    assert streamed.within == pytest.approx(np.mean([between(m, m) for m in members]))
    assert streamed.across == pytest.approx(np.mean([between(a, b) for a, b in itertools.combinations(members, 2)]))


def test_undefined_without_pairs():
    single = PairwiseRankCorrelation(2, 3)
    single.add(np.array([[1.0, 2.0, 3.0]]), np.array([0]))
    assert np.isnan(single.within) and np.isnan(single.across)


def test_mean_over_rows():
    rows = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    assert mean_rank_correlation(rows, rows * [[1.0], [-1.0]]) == pytest.approx(0.0)


def test_unit_vectors_by_hand():
    np.testing.assert_allclose(unit(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])), [[0.6, 0.8], [0.0, 0.0], [0.0, -1.0]])


def test_maps_are_compared_over_their_positions():
    random = np.random.default_rng(4)
    first, second = random.normal(size=(3, 2, 4)), random.normal(size=(3, 2, 4))
    second[2] = 0.5  # has no order
    found = map_correlation(first, second)
    expected = [spearmanr(first[row].ravel(), second[row].ravel()).statistic for row in (0, 1)]
    np.testing.assert_allclose(found[:2], expected)
    assert np.isnan(found[2]) and np.isnan(map_correlation(second, first)[2])
