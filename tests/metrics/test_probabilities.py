"""Temperature, likelihood and expected calibration error: by hand, and as properties of random logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import log_loss

from niwt_tf.metrics.gzsl import class_weights
from niwt_tf.metrics.probabilities import Probabilities, expected_calibration_error, fit_temperature, negative_log_likelihood

SEEDS = st.integers(0, 2**31)


def _world(seed: int, count: int = 400, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [M, C] whose plain softmax is the very chance with which each label was drawn."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, classes))
    labels = np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return logits, labels


def test_class_weights_by_hand():
    np.testing.assert_allclose(class_weights(np.array([3, 3, 0, 3])), [1 / 6, 1 / 6, 1 / 2, 1 / 6])
    assert class_weights(np.empty(0, int)).shape == (0,)


def test_probabilities_by_hand():
    found = Probabilities(temperature=2.0).of(np.array([[2 * np.log(3), 0.0], [1e4, 0.0]], np.float32))
    np.testing.assert_allclose(found, [[0.75, 0.25], [1.0, 0.0]], atol=1e-6)


@settings(max_examples=20)
@given(SEEDS, st.floats(0.05, 50))
def test_a_known_scale_is_recovered(seed, scale):
    logits, labels = _world(seed, count=3000)
    assert fit_temperature([scale * logits], [labels]) == pytest.approx(scale, rel=0.15)


@settings(max_examples=30)
@given(SEEDS, st.floats(0.1, 10))
def test_the_temperature_goes_with_the_scale_of_the_logits(seed, scale):
    logits, labels = _world(seed)
    once = fit_temperature([logits], [labels])
    assert fit_temperature([scale * logits], [labels]) == pytest.approx(scale * once, rel=1e-4)
    # The same set twice is no other evidence, nor is a constant that is the same for every class.
    assert fit_temperature([logits, logits + 7], [labels, labels]) == pytest.approx(once, rel=1e-4)


@settings(max_examples=20)
@given(SEEDS)
def test_no_other_temperature_is_likelier(seed):
    logits, labels = _world(seed)
    logits[:, 0] += 1.0
    reached = negative_log_likelihood(logits, labels, fit_temperature([logits], [labels]))
    assert reached <= min(negative_log_likelihood(logits, labels, t) for t in np.geomspace(0.1, 10, 200)) + 1e-3


def test_each_class_counts_the_same_in_temperature_and_likelihood():
    logits, labels = _world(0, count=60, classes=3)
    repeated = np.concatenate([np.arange(60), *[np.flatnonzero(labels == 1)] * 40])
    more = negative_log_likelihood(logits[repeated], labels[repeated], 1.5)
    assert more == pytest.approx(negative_log_likelihood(logits, labels, 1.5))
    # Platt's smoothing alone depends on the number of images.
    found = fit_temperature([logits[repeated]], [labels[repeated]])
    assert found == pytest.approx(fit_temperature([logits], [labels]), rel=0.1)


def test_the_likelihood_is_scikit_learns():
    logits, labels = _world(1)
    expected = log_loss(labels, softmax(logits / 1.7, axis=1), sample_weight=class_weights(labels))
    assert negative_log_likelihood(logits, labels, 1.7) == pytest.approx(expected)


def test_logits_without_a_mistake_keep_a_finite_temperature():
    labels = np.arange(50) % 5
    logits = 10.0 * np.eye(5)[labels]
    temperature = fit_temperature([logits], [labels])
    # The smoothed targets are met exactly: the true class has 51 / 52, the other four the rest.
    assert Probabilities(temperature).of(logits).max(axis=1) == pytest.approx(51 / 52, rel=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "logits", [np.zeros((4, 3)), np.empty((0, 3)), np.array([[1.0], [2.0]]), np.array([[1.0, 1.0], [3.0, 3.0]])]
)
def test_what_tells_nothing_leaves_the_temperature(logits):
    assert fit_temperature([logits], [np.zeros(len(logits), int)]) == 1.0


def test_calibration_error_by_hand():
    # With 15 bins 0.62 and 0.64 share (9/15, 10/15]; 0.9 is in (13/15, 14/15] and 0.95 in (14/15, 1].
    highest = np.array([0.62, 0.64, 0.9, 0.95])
    probabilities, labels = np.stack([highest, 1 - highest], axis=1), np.array([0, 1, 0, 1])
    gaps = abs(1 - 0.62 - 0.64), abs(1 - 0.9), abs(0 - 0.95)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(sum(gaps) / 4)
    weights = np.array([1.0, 3.0, 1.0, 1.0])
    weighted = abs(1 - 0.62 - 3 * 0.64), 0.1, 0.95
    assert expected_calibration_error(probabilities, labels, weights) == pytest.approx(sum(weighted) / 6)
    # One bin: the mean highest probability against the share of right answers.
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(0.5 - highest.mean()))
    assert np.isnan(expected_calibration_error(probabilities[:0], labels[:0]))


@pytest.mark.parametrize("right", [True, False])
def test_certain_answers_are_off_by_nothing_or_by_all(right):
    certain = np.eye(3)[[0, 1, 2]] * (1 + 1e-12)
    labels = np.array([0, 1, 2]) if right else np.array([1, 2, 0])
    assert expected_calibration_error(certain, labels) == pytest.approx(0 if right else 1, abs=1e-9)


@settings(max_examples=20)
@given(SEEDS)
def test_true_chances_have_little_error_and_overconfident_ones_more(seed):
    logits, labels = _world(seed, count=3000)
    errors = [expected_calibration_error(Probabilities(t).of(logits), labels) for t in (1.0, 0.3)]
    assert errors[0] < 0.05 < errors[1]


def test_a_record_comes_back_equal():
    probabilities = Probabilities(0.7, 0.25, {"validation_ece": 0.04})
    assert Probabilities.from_dict(probabilities.as_dict()) == probabilities


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0}, {"temperature": float("nan")}, {"abstain_below": 1.5}, {"temperature": None}, {"figures": 3}],
)
def test_what_is_no_record(change):
    with pytest.raises(ValueError, match=r"range|not a record"):
        Probabilities.from_dict({**Probabilities().as_dict(), **change})


@pytest.mark.parametrize(
    "record",
    [
        {"temperature": 0, "abstain_below": 0, "figures": {}},
        {"temperature": float("inf"), "abstain_below": 0, "figures": {}},
        {"temperature": float("nan"), "abstain_below": 0, "figures": {}},
        {"temperature": 1, "abstain_below": -0.5, "figures": {}},
        {"temperature": 1, "abstain_below": 1.5, "figures": {}},
        {"temperature": 1, "figures": {}},
        {"temperature": None, "abstain_below": 0, "figures": {}},
        {"temperature": 1, "abstain_below": 0, "figures": []},
        [],
    ],
)
def test_what_is_no_record_of_probabilities(record):
    with pytest.raises(ValueError):
        Probabilities.from_dict(record)


@pytest.mark.parametrize(("temperature", "below"), [(0.25, 0.0), (1.5, 1.0), (1.0, 0.5)])
def test_a_record_comes_back(temperature, below):
    made = Probabilities(temperature, below, {"validation_folds": 2.0})
    assert Probabilities.from_dict(made.as_dict()) == made
    assert Probabilities() == Probabilities(1.0, 0.0, {})


def test_an_error_of_one_bin_by_hand_at_the_ends():
    # A probability of 1 is in the last bin, one of 1/2 of two in the first; right answers only in the last.
    probabilities, labels = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 1])
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx((0.0 + 0.5) / 2)
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(0.5 - 0.75))
    # What exceeds 1 by a rounding is in the last bin too: a wrong answer of 1 and a right one of 0.9.
    above = np.array([[1 + 1e-12, 0.0], [0.1, 0.9]])
    assert expected_calibration_error(above, np.array([1, 1]), bins=2) == pytest.approx(abs(-1 + 0.1) / 2)


def test_the_temperature_is_sought_within_bounds():
    # What is always wrong asks for logits of no weight at all.
    logits = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature([logits], [np.array([1, 0])]) == pytest.approx(np.exp(8.0), rel=1e-2)
    assert negative_log_likelihood(logits, np.array([0, 1])) == pytest.approx(np.log(1 + np.exp(-1.0)))
