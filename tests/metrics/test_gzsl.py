import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, recall_score

from niwt_tf.metrics import gzsl as ev


def test_class_normalised_accuracy_by_hand():
    labels = np.array([0, 0, 0, 1])
    predictions = np.array([0, 1, 1, 1])
    np.testing.assert_allclose(ev.per_class_accuracy(labels, predictions, 3), [1 / 3, 1.0, np.nan])
    assert ev.class_normalised_accuracy(labels, predictions, 3) == pytest.approx(2 / 3)
    assert np.isnan(ev.class_normalised_accuracy(labels[:0], predictions[:0], 3))


@pytest.mark.parametrize(("seen", "unseen", "expected"), [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.8, 0.2, 0.32)])
def test_harmonic_mean(seen, unseen, expected):
    assert ev.harmonic_mean(seen, unseen) == pytest.approx(expected)


def test_calibration_moves_an_image_to_the_unseen_class_when_it_exceeds_the_margin():
    scores = np.array([[2.0, 0.0, 1.5, 0.0]])
    assert ev.calibrated_predictions(scores, 2, 0.0) == [0]
    assert ev.calibrated_predictions(scores, 2, 0.5) == [0]
    assert ev.calibrated_predictions(scores, 2, 0.51) == [2]


def test_curve_and_area_by_hand():
    # One seen class (0) and one unseen class (1). Margins: seen images 2 and 0, unseen images 1 and -1.
    scores = np.array([[2.0, 0.0], [0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    curve = ev.calibration_curve(scores, np.array([0, 0, 1, 1]), 1)
    np.testing.assert_allclose(curve.calibrations, [-np.inf, -1, 0, 1, 2])
    np.testing.assert_allclose(curve.acc_seen, [1, 1, 0.5, 0.5, 0])
    np.testing.assert_allclose(curve.acc_unseen, [0, 0.5, 0.5, 1, 1])
    assert curve.area == pytest.approx(0.5 * 1 + 0.5 * 0.5)


random_case = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 40), st.integers(0, 10_000), st.booleans())


def scores_and_labels(case):
    num_seen, num_unseen, images, seed, coarse = case
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(images, num_seen + num_unseen))
    scores = np.round(scores) if coarse else scores
    return scores, generator.integers(0, num_seen + num_unseen, images), num_seen


@settings(max_examples=60, deadline=None)
@given(random_case)
def test_every_point_of_the_curve_is_what_evaluation_gives_there(case):
    scores, labels, num_seen = scores_and_labels(case)
    curve = ev.calibration_curve(scores, labels, num_seen)
    edges = np.append(curve.calibrations, curve.calibrations[-1] + 2)
    for point in range(len(curve.calibrations)):
        inside = edges[point + 1] - 1e-9
        result = ev.evaluate_scores(scores, labels, num_seen, inside)
        for expected, got in ((result.acc_seen, curve.acc_seen[point]), (result.acc_unseen, curve.acc_unseen[point])):
            assert np.isnan(expected) or got == pytest.approx(expected)
    assert 0 <= curve.area <= 1 + 1e-9


def test_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 7)
    scores = generator.normal(size=(42, 6)) + 1.5 * np.eye(6)[labels]
    result = ev.evaluate_scores(scores, labels, 4, 0.3)
    recalls = recall_score(labels, result.predictions, average=None, labels=np.arange(6))
    np.testing.assert_allclose(result.per_class, recalls)
    assert result.acc_seen == pytest.approx(recalls[:4].mean())
    unseen = labels >= 4
    expected = balanced_accuracy_score(labels[unseen], 4 + scores[unseen, 4:].argmax(axis=1))
    assert result.acc_zsl == pytest.approx(expected)


def test_what_no_image_can_tell_is_nan_and_not_zero():
    result = ev.evaluate_scores(np.eye(3), np.array([0, 1, 1]), 2, 0.0)
    assert np.isnan([result.acc_unseen, result.acc_zsl, result.ausuc, result.harmonic_mean]).all()
    assert result.acc_seen == pytest.approx(0.75)


def test_every_class_is_seen():
    scores = np.array([[3.0, 1.0], [0.0, 2.0], [5.0, 4.0]])
    labels = np.array([0, 1, 1])
    found = ev.evaluate_scores(scores, labels, 2, 1.5)
    assert (found.acc_seen, found.predictions.tolist()) == (0.75, [0, 1, 0])
    assert np.isnan([found.acc_unseen, found.harmonic_mean, found.acc_zsl, found.ausuc]).all()
    curve = ev.calibration_curve(scores, labels, 2)
    assert (curve.acc_seen.tolist(), curve.acc_unseen.tolist(), curve.area) == ([0.75], [0], 0)


def test_average_precision_by_hand():
    # Class 0 ranks its images first and third (1/2 + 1/2 * 2/3), class 1 its only image second; class 2 has none.
    scores = np.log([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1]])
    assert ev.mean_average_precision(scores, np.array([0, 0, 1])) == pytest.approx((5 / 6 + 1 / 2) / 2)
    # Ranks are those of probabilities: what is added to all logits of an image changes nothing.
    shifted = scores + np.array([[0.0], [9.0], [-9.0]])
    assert ev.mean_average_precision(shifted, np.array([0, 0, 1])) == pytest.approx(2 / 3)
    assert np.isnan(ev.mean_average_precision(np.empty((0, 3)), np.empty(0, int)))


def test_one_image_of_a_class_is_measured():
    np.testing.assert_array_equal(ev.per_class_accuracy(np.array([0, 1]), np.array([0, 0]), 3), [1.0, 0.0, np.nan])


def test_the_harmonic_mean_of_small_accuracies_and_of_what_is_unknown():
    assert ev.harmonic_mean(0.25, 0.5) == pytest.approx(1 / 3)
    assert ev.harmonic_mean(0.0, 0.0) == 0.0
    assert np.isnan(ev.harmonic_mean(float("nan"), 0.5))


def test_an_area_never_exceeds_1():
    accuracies = np.array([1.0, 1.0 + 1e-15]), np.array([0.0, 1.0])
    assert ev.CalibrationCurve(np.array([-np.inf, 0.0]), *accuracies).area == 1.0
    assert ev.CalibrationCurve(np.array([-np.inf, 0.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0])).area == 0.5


def test_the_scalars_are_the_six_numbers():
    found = ev.evaluate_scores(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1]), 1, 0.5).scalars()
    names = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc", "calibration")
    assert found == dict(zip(names, (1.0, 1.0, 1.0, 1.0, 1.0, 0.5), strict=True))


def test_a_class_without_images_is_no_division_by_zero():
    with np.errstate(all="raise"):
        found = ev.per_class_accuracy(np.array([0]), np.array([0]), 2)
    np.testing.assert_array_equal(found, [1.0, np.nan])


def test_average_precision_ranks_images_by_their_probability():
    """By its logit image 0 comes first for class 0, by its probability 0.731 behind the other's 0.953."""
    assert ev.mean_average_precision(np.array([[5.0, 4.0], [3.0, 0.0]]), np.array([0, 1])) == pytest.approx(0.5)


def test_zsl_where_there_are_more_unseen_classes_than_seen():
    # Of classes 1, 2 and 3 beside one seen class, the last two images are right.
    scores = np.array([[0.0, 1.0, 3.0, 1.0], [9.0, 1.0, 3.0, 1.0], [0.0, 1.0, 1.0, 3.0]])
    assert ev.evaluate_scores(scores, np.array([1, 2, 3]), 1, 0.0).acc_zsl == pytest.approx(2 / 3)


def test_the_curve_of_seen_classes_alone_is_one_point():
    # The answer 2 is right once of twice, and 1 where 0 is true is wrong: 0, 0 and 1 of the three classes.
    scores = np.eye(3)[[1, 2, 2]]
    curve = ev.calibration_curve(scores, np.array([0, 1, 2]), 3)
    assert (curve.acc_seen.tolist(), curve.acc_unseen.tolist()) == ([pytest.approx(1 / 3)], [0.0])
    assert curve.calibrations.tolist() == [-np.inf]
