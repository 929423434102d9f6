"""The area under the ROC curve, by hand and beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from niwt_tf.metrics.auc import auc_lower_bound, paired_auc, separation_auc


def test_auc_by_hand():
    scores = np.array([[1.0], [2.0], [2.0], [4.0]])
    some, every = [False, True, False, True], [True] * 4
    # Of the pairs of 2 and 4 with 1 and 2, three are in order and one is a tie.
    np.testing.assert_allclose(separation_auc(scores, np.array([some, every]).T), [[3.5 / 4, np.nan]])


@pytest.mark.parametrize("attributes", [3, 600])  # in one part and in several
def test_auc_is_that_of_scikit_learn(attributes):
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, (30, 2)).astype(np.float32)
    present = random.uniform(size=(30, attributes)) < 0.5
    aucs = separation_auc(scores, present)
    for k in (0, attributes - 1):
        np.testing.assert_allclose(aucs[:, k], [roc_auc_score(present[:, k], scores[:, n]) for n in range(2)])


def test_paired_auc_is_the_diagonal():
    random = np.random.default_rng(1)
    scores = random.integers(0, 6, (30, 4)).astype(np.float32)
    present = random.uniform(size=(30, 4)) < [0.2, 0.5, 0.8, -1.0]
    aucs = paired_auc(scores, present)
    np.testing.assert_allclose(aucs, separation_auc(scores, present).diagonal())
    assert np.isnan(aucs[3]) and np.isfinite(aucs[:3]).all()


def test_the_lower_bound_holds_as_often_as_it_says():
    random = np.random.default_rng(0)
    present = np.arange(60) < 20
    shifts, draws = 1.0, 400
    scores = random.standard_normal((60, draws)) + shifts * present[:, None]
    aucs = paired_auc(scores, np.tile(present[:, None], draws))
    below = auc_lower_bound(aucs, np.full(draws, 20), 60)
    truth = 0.7602  # of two normal distributions one deviation apart: the normal distribution at 1 / sqrt(2)
    assert 0.86 < np.mean(below < truth) < 0.95
    assert auc_lower_bound(np.array([1.0]), np.array([20]), 60) == 1.0
    assert np.isnan(auc_lower_bound(np.array([np.nan]), np.array([0]), 60)).all()
