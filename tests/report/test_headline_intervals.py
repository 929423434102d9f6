"""Headline figures over classes: the same as the evaluation's, and for drawn classes as by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from niwt_tf.metrics.gzsl import calibrated_predictions, per_class_accuracy
from niwt_tf.protocol.scoring import metrics_of
from niwt_tf.report.headline_intervals import _AreaOfClasses, headline_estimates
from tests.report.page_contents import scored_toy

NAMES = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "ece")


def test_values_are_those_of_the_evaluation():
    scored = scored_toy(5, 9, 7)
    metrics, estimates = metrics_of(scored, 5, {}, 1.5), headline_estimates(scored, 5, 1.5)
    for name in NAMES:
        assert estimates[name].value == pytest.approx(metrics[name], abs=1e-9)
        assert estimates[name].low < estimates[name].value < estimates[name].high


def test_an_accuracy_has_students_interval_of_its_classes():
    scored = scored_toy(5, 9, 7)
    accuracies, found = scored.evaluation.per_class[5:], headline_estimates(scored, 5, 1.0)["acc_unseen"]
    half = t.ppf(0.975, 3) * accuracies.std(ddof=1) / 2
    assert (found.low, found.high) == pytest.approx((max(accuracies.mean() - half, 0), accuracies.mean() + half))


def test_the_area_of_drawn_classes_is_that_of_every_constant():
    scored = scored_toy(3, 6, 5, seed=4)
    seen, unseen = np.array([[0, 0, 2], [0, 1, 2]]), np.array([[3, 5, 5], [4, 4, 4]])
    constants = [-np.inf, *np.unique(scored.curve.calibrations[1:]) + 1e-6]
    points = []
    for constant in constants:
        accuracies = per_class_accuracy(scored.labels, calibrated_predictions(scored.logits, 3, constant), 6)
        points.append((accuracies[seen].mean(axis=1), accuracies[unseen].mean(axis=1)))
    acc_seen, acc_unseen = np.array(points).transpose(1, 2, 0)
    expected = np.trapezoid(acc_seen, acc_unseen, axis=1)
    assert _AreaOfClasses(scored, 3)(seen, unseen) == pytest.approx(expected, abs=1e-9)


def test_what_cannot_be_known_is_not():
    estimates = headline_estimates(scored_toy(2, 3, 4, only_seen=True), 2, 1.0)
    for name in ("acc_unseen", "harmonic_mean", "acc_zsl", "ausuc"):
        assert (estimates[name].value, estimates[name].low) == (None, None)
    assert estimates["acc_seen"].value is not None
    single = headline_estimates(scored_toy(4, 5, 6), 4, 1.0)
    assert single["acc_unseen"].value is not None and single["acc_unseen"].low is None
    assert single["harmonic_mean"].value is not None and single["harmonic_mean"].low is None
    nothing = headline_estimates(scored_toy(2, 3, 0), 2, 1.0)
    assert {estimate.value for estimate in nothing.values()} == {None}


def test_many_classes_that_do_not_vary_have_a_point():
    scored = scored_toy(10, 20, 3)
    scored.logits[np.arange(60), scored.labels] += 50
    estimates = headline_estimates(type(scored)(scored.logits, scored.labels, scored.evaluation, scored.curve), 10, 1.0)
    assert (estimates["acc_zsl"].low, estimates["acc_zsl"].value, estimates["acc_zsl"].high) == (1, 1, 1)
    assert (estimates["ausuc"].low, estimates["ausuc"].high) == pytest.approx((1, 1))


def test_few_classes_that_do_not_vary_have_no_interval():
    scored = scored_toy(4, 8, 3)
    scored.logits[np.arange(24), scored.labels] += 50
    estimates = headline_estimates(type(scored)(scored.logits, scored.labels, scored.evaluation, scored.curve), 4, 1.0)
    for name in ("acc_zsl", "ausuc"):
        assert estimates[name].value == pytest.approx(1) and (estimates[name].low, estimates[name].high) == (None, None)


def test_the_seed_fixes_the_intervals():
    scored = scored_toy(5, 9, 7)
    first, again, other = (headline_estimates(scored, 5, 1.0, seed) for seed in (1, 1, 2))
    assert first == again != other
