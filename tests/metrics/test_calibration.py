"""Scale and bias of new columns, and the constant between seen and unseen classes."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.metrics import calibration
from niwt_tf.metrics.calibration import choose_calibration, logit_statistics, match_logits, seen_margin
from niwt_tf.metrics.gzsl import CalibrationCurve, calibration_curve, evaluate_scores


def test_statistics_by_hand():
    # Logits are the features themselves. Class 0's on images of class 1: 4 and 8; class 1's on the image of class 0: 3.
    features = np.array([[9.0, 2.0], [4.0, 9.0], [8.0, 9.0]])
    statistics = logit_statistics(features, np.array([0, 1, 1]), np.eye(2), np.array([0.0, 1.0]))
    assert statistics.mean == pytest.approx((4 + 8 + 3) / 3)
    assert statistics.deviation == pytest.approx((2.0 + 0.0) / 2)


def test_matched_columns_have_the_seen_statistics_and_keep_their_direction():
    random = np.random.default_rng(0)
    features, labels = random.normal(2, 3, (200, 6)), random.integers(0, 4, 200)
    statistics = logit_statistics(features, labels, random.normal(size=(6, 4)), random.normal(size=4))
    columns = random.normal(size=(6, 3))
    matched, biases = match_logits(columns, features, statistics)
    logits = features @ matched + biases
    np.testing.assert_allclose(logits.mean(axis=0), statistics.mean, atol=1e-4)
    np.testing.assert_allclose(logits.std(axis=0), statistics.deviation, rtol=1e-4)
    cosine = (matched * columns).sum(axis=0) / np.linalg.norm(matched, axis=0) / np.linalg.norm(columns, axis=0)
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-6)
    assert (matched.dtype, biases.dtype) == (np.float32, np.float32)


def test_a_column_without_any_effect_stays_finite():
    statistics = logit_statistics(np.ones((3, 2)), np.array([0, 1, 1]), np.eye(2), np.zeros(2))
    matched, biases = match_logits(np.zeros((2, 1)), np.ones((3, 2)), statistics)
    assert (matched == 0).all()
    np.testing.assert_allclose(biases, statistics.mean)


def _world(seed: int, bias: float, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores [M, 6] and labels of 4 seen and 2 unseen classes, the seen scores too high by `bias`."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 6, 300)
    scores = random.normal(size=(300, 6)) + 2.0 * (labels[:, None] == np.arange(6))
    scores[:, :4] += bias
    return scores * scale, labels


def test_the_constant_undoes_a_bias_and_is_in_the_given_unit():
    worlds = [_world(seed, bias=3.0) for seed in range(3)]
    curves = [calibration_curve(scores, labels, 4) for scores, labels in worlds]
    constant, mean = choose_calibration(curves, [1.0, 1.0, 1.0])
    assert constant == pytest.approx(3.0, abs=1.0)
    reached = [evaluate_scores(scores, labels, 4, constant).harmonic_mean for scores, labels in worlds]
    assert mean == pytest.approx(np.mean(reached))
    doubled = [calibration_curve(2 * scores, labels, 4) for scores, labels in worlds]
    assert choose_calibration(doubled, [2.0, 2.0, 2.0]) == pytest.approx((constant, mean))


def test_no_other_constant_is_much_better():
    worlds = [_world(seed, bias=1.5) for seed in range(2)]
    _, mean = choose_calibration([calibration_curve(scores, labels, 4) for scores, labels in worlds], [1.0, 1.0])
    every = [
        np.mean([evaluate_scores(scores, labels, 4, constant).harmonic_mean for scores, labels in worlds])
        for constant in np.linspace(-2, 5, 300)
    ]
    assert mean >= max(every) - 0.015


def test_without_a_unit_nothing_is_divided_by_zero():
    scores, labels = _world(0, bias=1.0)
    with np.errstate(all="raise"):
        constant, mean = choose_calibration([calibration_curve(scores, labels, 4)], [0.0])
    assert np.isfinite(constant)
    assert np.isfinite(mean)


def test_seen_margin_by_hand():
    scores, labels = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.5]]), np.array([0, 1])
    assert seen_margin(scores, labels) == pytest.approx((2.0 + 0.5) / 2)
    assert seen_margin(4 * scores + 7, labels) == pytest.approx(4 * 1.25)
    wrong = np.array([1, 0])
    assert seen_margin(scores, wrong) == pytest.approx(scores.std())
    assert seen_margin(scores[:0], labels[:0]) == 1.0


def test_each_fold_is_measured_by_its_own_margin():
    """A fold whose scores are twice as large, with twice the margin, chooses what it chose before."""
    worlds = [_world(seed, bias=3.0) for seed in range(2)]
    curves = [calibration_curve(scores, labels, 4) for scores, labels in worlds]
    larger = calibration_curve(2 * worlds[1][0], worlds[1][1], 4)
    alone = choose_calibration(curves, [1.0, 1.0])
    assert choose_calibration([curves[0], larger], [1.0, 2.0]) == pytest.approx(alone)
    assert choose_calibration([curves[0], larger], [1.0, 1.0]) != pytest.approx(alone)


def test_the_constant_is_the_middle_of_the_plateau():
    """The harmonic mean is 0.6 for constants in (1, 3], and lower elsewhere."""
    edges, seen, unseen = np.array([-np.inf, 1.0, 3.0, 5.0]), np.array([0.9, 0.6, 0.3, 0.1]), np.array([0.1, 0.6, 0.7, 0.9])
    constant, mean = choose_calibration([CalibrationCurve(edges, seen, unseen)], [1.0])
    assert constant == pytest.approx(2.0, abs=0.01) and mean == pytest.approx(0.6)
    constant, _ = choose_calibration([CalibrationCurve(2 * edges, seen, unseen)], [2.0])
    assert constant == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("near", "best", "expected"),
    [("01110", 2, (1, 3)), ("11011", 3, (3, 4)), ("11011", 1, (0, 1)), ("111", 1, (0, 2)), ("00100", 2, (2, 2))],
)
def test_the_run_of_near_best_candidates_ends_at_the_first_that_is_not(near, best, expected):
    assert calibration._run_around(np.array([mark == "1" for mark in near]), best) == expected


def test_a_margin_that_is_not_above_0_leaves_the_spread_and_no_spread_leaves_1():
    balanced = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert seen_margin(balanced, np.array([0, 1])) == 0.5  # margins of 1 and -1
    assert seen_margin(np.ones((2, 2)), np.array([0, 1])) == 1.0
    assert seen_margin(np.array([[0.75, 0.25]]), np.array([0])) == 0.5  # small, and a margin all the same


def test_matching_by_hand():
    # Logits of 0 and 1 have the mean 0.5 and the deviation 0.5; those of a column of zeros cannot be stretched.
    features, columns = np.array([[0.0], [1.0]]), np.array([[1.0, 0.0]])
    matched, biases = match_logits(columns, features, calibration.LogitStatistics(mean=2.0, deviation=1.5))
    np.testing.assert_allclose(matched, [[3.0, 0.0]])
    np.testing.assert_allclose(biases, [0.5, 2.0])


def _steps(seen, unseen):
    """A curve whose points change at 0, 1, 2 and 3."""
    return CalibrationCurve(np.array([-np.inf, 0.0, 1.0, 2.0, 3.0]), np.array(seen), np.array(unseen))


def test_harmonic_means_at_each_step_by_hand():
    curve = _steps([1.0, 0.5, 0.25, 0.0, 0.0], [0.0, 0.25, 0.5, 0.0, 1.0])
    third = 2 * 0.5 * 0.25 / 0.75
    # A point holds up to and with the next edge; where both accuracies are 0, so is the mean.
    found = calibration.harmonic_means(curve, np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.5, 9.0]))
    np.testing.assert_allclose(found, [0.0, 0.0, third, third, third, 0.0, 0.0])


@pytest.mark.parametrize("unit", [1.0, 0.5])
def test_the_constant_is_amid_the_best_step_in_units_of_the_margin(unit):
    curve = _steps([1.0, 0.9, 0.8, 0.5, 0.0], [0.0, 0.5, 0.8, 0.9, 1.0])
    constant, mean = choose_calibration([curve], [unit])
    assert (constant, mean) == (pytest.approx(1.5 / unit, abs=0.01 / unit), pytest.approx(0.8))


def test_only_what_is_near_the_best_belongs_to_its_run():
    near = _steps([1.0, 0.8, 0.796, 0.5, 0.0], [0.0, 0.8, 0.796, 0.9, 1.0])
    assert choose_calibration([near], [1.0])[0] == pytest.approx(1.0, abs=0.01)
    further = _steps([1.0, 0.8, 0.794, 0.5, 0.0], [0.0, 0.8, 0.794, 0.9, 1.0])
    assert choose_calibration([further], [1.0])[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("near", "best", "expected"),
    [([0, 1, 1, 1, 0], 2, (1, 3)), ([1, 1, 1], 1, (0, 2)), ([1, 0, 1, 0, 1], 2, (2, 2)), ([1, 1, 0, 1], 0, (0, 1))],
)
def test_the_run_around_the_best(near, best, expected):
    assert calibration._run_around(np.array(near, bool), best) == expected


def test_the_margin_of_scores_below_0_is_over_the_best_other_one():
    scores = np.array([[-1.0, -3.0, -4.0], [-5.0, -2.0, -2.5]])
    assert seen_margin(scores, np.array([0, 1])) == pytest.approx((2.0 + 0.5) / 2)
