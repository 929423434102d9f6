from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp, ttest_rel

from niwt_tf.metrics.intervals import (
    Mean,
    bootstrapped,
    clustered_mean,
    clustered_share,
    holm,
    mean_of,
    mean_over_classes,
    paired_p,
    plain_mean,
    ranks,
)

NAN = float("nan")


def test_every_class_counts_the_same():
    values, labels = np.array([1.0, 1.0, 1.0, 0.0, NAN]), np.array([4, 4, 4, 7, 9])
    figure = mean_over_classes(values, labels, chance=np.array([0.2, 0.2, 0.2, 0.4, 1.0]), bounds=(-10.0, 10.0))
    # Two class means, 1 and 0: their mean 0.5 has the standard error 0.5, and t with one degree of freedom is 12.706.
    assert figure == {
        "value": 0.5,
        "low": pytest.approx(0.5 - 12.7062 * 0.5, abs=1e-4),
        "high": pytest.approx(0.5 + 12.7062 * 0.5, abs=1e-4),
        "count": 4,
        "left_out": 1,
        "chance": pytest.approx(0.3),
    }


def test_an_interval_stays_where_values_can_be():
    figure = mean_over_classes(np.array([1.0, 0.0]), np.array([0, 1]))
    assert (figure["low"], figure["high"]) == (0.0, 1.0)


def test_one_class_has_no_interval():
    assert mean_over_classes(np.array([0.2, 0.4]), np.array([3, 3])) == {"value": pytest.approx(0.3), "count": 2}


@pytest.mark.parametrize(("classes", "low"), [(2, None), (9, None), (10, 1.0)])
def test_few_classes_that_are_all_the_same_have_no_interval(classes, low):
    values, labels = np.ones(2 * classes), np.repeat(np.arange(classes), 2)
    for figure in (mean_over_classes(values, labels), plain_mean(np.ones(classes)), clustered_mean(values, labels)):
        assert figure["value"] == 1.0 and figure.get("low") == figure.get("high") == low
    values[0] = 0.5
    assert "low" in mean_over_classes(values, labels)


@settings(max_examples=25)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20, unique_by=lambda value: round(value, 6)))
def test_intervals_are_those_of_scipy(values):
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    figure, mean = plain_mean(np.array(values), bounds=(-99.0, 99.0)), mean_of(values)
    assert (figure["low"], figure["high"]) == pytest.approx((low, high), abs=1e-9)
    assert (mean.low, mean.high) == pytest.approx((low, high), abs=1e-9)


def test_nothing_measured_is_absent():
    assert mean_over_classes(np.array([NAN]), np.array([0])) is None
    assert mean_over_classes(np.empty(0), np.empty(0, int)) is None
    assert plain_mean(np.array([NAN])) is None


def test_plain_mean():
    figure = plain_mean(np.array([0.4, NAN, 0.6]))
    assert figure["value"] == pytest.approx(0.5) and figure["count"] == 2


def test_members_of_a_cluster_are_one_observation():
    values, alone = np.array([0.2, 0.4, 0.9]), np.arange(3)
    plain = plain_mean(values)
    # Clusters of one are independent values, whatever they are called.
    assert clustered_mean(values, np.array([7, 1, 3])) == {key: pytest.approx(value) for key, value in plain.items()}
    # Saying everything twice tells nothing new.
    twice = clustered_mean(np.repeat(values, 2), np.repeat(alone, 2))
    assert twice == {**{key: pytest.approx(plain[key]) for key in ("value", "low", "high")}, "count": 6}
    assert clustered_mean(values, np.zeros(3, int)) == {"value": pytest.approx(0.5), "count": 3}


def test_members_of_unequal_clusters_count_the_same():
    # Deviations from the mean 0.5 sum to 0.2 and -0.2 in the clusters: the error is sqrt(2 * 0.08) / 4 = 0.1.
    figure = clustered_mean(np.array([0.6, 0.5, 0.6, 0.3]), np.array([0, 0, 0, 1]), bounds=(-9.0, 9.0))
    assert figure["value"] == pytest.approx(0.5)
    assert figure["high"] == pytest.approx(0.5 + 12.7062 * 0.1, abs=1e-4)


def test_wilson():
    # (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) with p = 0.8, n = 10, z = 1.96.
    hits = np.arange(10) < 8
    assert clustered_share(hits, np.arange(10))["low"] == pytest.approx(binomtest(8, 10).proportion_ci(method="wilson").low)
    expected = {"value": 0.8, "low": pytest.approx(0.4902, abs=1e-4), "high": pytest.approx(0.9433, abs=1e-4)}
    assert clustered_share(hits, np.arange(10)) == {**expected, "count": 10}
    assert clustered_share(np.repeat(hits, 3), np.repeat(np.arange(10), 3)) == {**expected, "count": 30}


def test_a_share_of_all_keeps_a_width():
    for count in range(1, 40):
        none = clustered_share(np.zeros(count, bool), np.arange(count))
        assert none["low"] == none["value"] == 0.0 < none["high"]
    figure = clustered_share(np.ones(4, bool), np.arange(4))
    assert figure["high"] == 1.0 and figure["low"] == pytest.approx(4 / (4 + 1.96**2), abs=1e-4)


def test_student_s_interval_of_two_figures():
    found = mean_of([0.4, 0.6])
    # Student's factor of one degree of freedom, 12.706, times 0.1414 / sqrt(2).
    assert (found.value, found.half, found.count) == (pytest.approx(0.5), pytest.approx(1.27062, abs=1e-5), 2)
    assert found.low == pytest.approx(-0.77062, abs=1e-5)


def test_a_mean_is_written_with_its_interval():
    assert (f"{Mean(0.25, 0.5, 2):.2f}", f"{Mean(0.25, 0.5, 2):+.1f}", f"{Mean(0.25, None, 1):+.2f}") == (
        "0.25 ± 0.50",
        "+0.2 ± 0.5",
        "+0.25",
    )


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
    assert paired_p([0.1, 0.1]) == paired_p([-0.1, -0.1]) == 0.0
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


def test_a_bootstrap_draws_whole_clusters():
    values, clusters = np.array([1.0, 1.0, 5.0, 5.0, 5.0, 9.0]), np.array([0, 0, 3, 3, 3, 7])
    figure = bootstrapped(lambda at: float(values[at].mean()), clusters, resamples=5000)
    # Of 27 draws of three clusters one is all of the first, and one all of the last: 3.7 % each, more than 2.5 %.
    assert figure == {"value": pytest.approx(26 / 6), "count": 6, "low": 1.0, "high": 9.0}
    assert "low" not in bootstrapped(lambda at: float(values[at].mean()), np.zeros(6))


@pytest.mark.parametrize(("clusters", "has_interval"), [(1, False), (9, False), (10, True), (11, True), (30, True)])
def test_the_same_value_of_enough_clusters_has_an_interval_of_no_width(clusters, has_interval):
    figure = clustered_mean(np.full(clusters, 0.5), np.arange(clusters))
    assert figure == {"value": 0.5, "count": clusters, **({"low": 0.5, "high": 0.5} if has_interval else {})}


def test_a_difference_of_rounding_is_none():
    assert "low" not in plain_mean(np.array([0.5, 0.5 + 1e-13]))
    assert "low" in plain_mean(np.array([0.5, 0.5 + 1e-11]))
    assert mean_of([0.5, 0.5 + 1e-13]).half == 0.0 and mean_of([0.5, 0.5 + 1e-11]).half > 0.0
    assert ranks(np.array([[0.5, 0.5 + 1e-13], [0.5, 0.5 + 1e-11]])).tolist() == [[1.5, 1.5], [2.0, 1.0]]


@pytest.mark.parametrize("of", [mean_over_classes, clustered_mean])
def test_fractions_are_bounded_by_0_and_1_unless_it_is_said_otherwise(of):
    values = np.array([1.0, 0.0])
    assert (of(values, np.arange(2))["low"], of(values, np.arange(2))["high"]) == (0.0, 1.0)
    assert (plain_mean(values)["low"], plain_mean(values)["high"]) == (0.0, 1.0)
    wide = of(10 * values, np.arange(2), bounds=(-2.0, 20.0))
    assert (wide["low"], wide["high"]) == (-2.0, 20.0)


def test_a_share_of_one_trial_by_hand():
    # Wilson with n = 1, p = 1: the lower end is 1 / (1 + z^2).
    found = clustered_share(np.array([True, True]), np.array([4, 4]))
    assert found == {"value": 1.0, "low": pytest.approx(1 / (1 + 1.95996**2), abs=1e-5), "high": 1.0, "count": 2}


def test_a_mean_excludes_zero_only_beyond_its_interval():
    assert Mean(0.3, 0.2, 3).excludes_zero and Mean(-0.3, 0.2, 3).excludes_zero
    assert not Mean(0.2, 0.2, 3).excludes_zero and not Mean(0.1, 0.2, 3).excludes_zero
    assert (Mean(0.3, 0.2, 3).low, Mean(0.3, 0.2, 3).high) == pytest.approx((0.1, 0.5))
    assert Mean(0.3, None, 1).low is Mean(0.3, None, 1).high is None


def test_two_figures_have_a_p_and_two_clusters_a_bootstrap():
    assert paired_p([0.1, 0.3]) == pytest.approx(ttest_1samp([0.1, 0.3], 0).pvalue)
    alone = bootstrapped(lambda at: float(len(at)), np.zeros(3, int))
    assert alone == {"value": 3.0, "count": 3}
    values = np.array([0.0, 1.0])
    two = bootstrapped(lambda at: float(values[at].mean()), np.arange(2), resamples=200)
    assert (two["value"], two["low"], two["high"], two["count"]) == (0.5, 0.0, 1.0, 2)
    again = bootstrapped(lambda at: float(values[at].mean()), np.arange(2), resamples=200, seed=0)
    assert again == two


def test_what_was_left_out_is_counted_only_where_something_was():
    labels = np.array([0, 1, 2])
    assert "left_out" not in mean_over_classes(np.array([0.1, 0.2, 0.4]), labels)
    assert mean_over_classes(np.array([0.1, NAN, 0.4]), labels)["left_out"] == 1
    assert "chance" not in mean_over_classes(np.array([0.1, 0.2, 0.4]), labels)
