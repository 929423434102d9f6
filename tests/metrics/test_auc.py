"""The area under the ROC curve, by hand and beside scikit-learn's."""

import numpy as np
import pytest
from scipy.stats import norm
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


def test_one_image_of_each_kind_is_enough():
    scores, present = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[False, False], [True, True]])
    np.testing.assert_array_equal(paired_auc(scores, present), [1.0, 0.0])
    np.testing.assert_array_equal(separation_auc(scores, present[:, :1]), [[1.0], [0.0]])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("present", [True, False])
def test_images_of_one_kind_have_no_auc(present):
    assert np.isnan(separation_auc(np.array([[1.0], [2.0]]), np.full((2, 1), present))).all()


def test_the_lower_bound_by_hand():
    # Hanley and McNeil: Q1 = 0.75 / 1.25 and Q2 = 2 x 0.75^2 / 1.75, with 2 images of one kind and 3 of the other.
    variance = (0.75 * 0.25 + 1 * (0.6 - 0.5625) + 2 * (1.125 / 1.75 - 0.5625)) / 6
    found = auc_lower_bound(np.array([0.75, 0.75, 0.75]), np.array([2, 0, 5]), 5)
    assert found[0] == pytest.approx(0.75 - norm.ppf(0.9) * np.sqrt(variance), abs=1e-4)
    assert np.isnan(found[1:]).all()
    single = auc_lower_bound(np.array([0.75]), np.array([1]), 2)
    assert single[0] == pytest.approx(0.75 - norm.ppf(0.9) * np.sqrt(0.1875), abs=1e-4)


def test_the_lower_bound_of_an_auc_below_a_half_by_hand():
    # A (1 - A) + 2 (A / (2 - A) - A^2) + 1 (2 A^2 / (1 + A) - A^2), over 3 x 2 pairs, for A = 0.4.
    spread = 0.24 + 2 * (0.25 - 0.16) + (0.32 / 1.4 - 0.16)
    bound = 0.4 - norm.ppf(0.9) * np.sqrt(spread / 6)
    assert auc_lower_bound(np.array([0.4]), np.array([3]), 5) == pytest.approx(bound, abs=1e-4)
