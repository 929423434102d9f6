from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from niwt_tf.experiments.intervals_over_problems import Mean, holm, mean_of, paired_p, ranks


def test_student_s_interval_of_two_figures():
    found = mean_of([0.4, 0.6])
    # Student's factor of one degree of freedom, 12.706, times 0.1414 / sqrt(2).
    assert (found.value, found.half, found.count) == (pytest.approx(0.5), pytest.approx(1.27062, abs=1e-5), 2)
    assert found.low == pytest.approx(-0.77062, abs=1e-5)


def test_one_figure_has_no_interval_and_none_has_no_mean():
    assert mean_of([0.7]) == Mean(0.7, None, 1)
    assert not mean_of([0.7]).excludes_zero
    assert mean_of([]) is None
    assert paired_p([0.3]) is None


@settings(max_examples=25)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_nothing_is_ever_nan(values):
    found, p = mean_of(values), paired_p(values)
    assert np.isfinite([found.value, found.half, p]).all()
    assert 0 <= p <= 1


def test_equal_differences_speak_for_themselves():
    assert paired_p([0.0, 1e-17, -1e-17]) == 1.0
    assert paired_p([0.1 + 0.2 - 0.3, 0.0]) == 1.0
    assert paired_p([0.1, 0.1]) == 0.0
    assert mean_of([0.1, 0.1]).half == 0
    assert mean_of([1e-17, 0.0]).excludes_zero is False


def test_p_is_that_of_the_paired_test():
    one, two = np.array([0.5, 0.6, 0.9]), np.array([0.4, 0.55, 0.7])
    assert paired_p(one - two) == pytest.approx(ttest_rel(one, two).pvalue)


def test_holm_by_hand():
    # 0.01 * 3, then 0.03 * 2, then the larger of 0.04 * 1 and what came before.
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"b": 0.03, "c": 0.06, "a": 0.06})
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_ties_share_their_rank():
    scores = np.array([[0.5, 0.7, 0.5 + 1e-16, 0.1], [0.2, 0.2, 0.2, 0.2]])
    assert ranks(scores).tolist() == [[2.5, 1.0, 2.5, 4.0], [2.5] * 4]
