"""Columns that see images: identities, limits, and the same answer however the images arrive."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.errors import InputError
from niwt_tf.methods.few_shot import METRICS, FewShotChoice, FewShotPrior, SeenMoments
from niwt_tf.methods.seen_heads import RidgeHeadPath
from niwt_tf.metrics.calibration import logit_statistics, match_logits

GENERATOR = np.random.default_rng(0)
MEANS = GENERATOR.normal(size=(5, 8))  # the last class is not seen
LABELS = np.repeat(np.arange(4), 20)
FEATURES = (MEANS[LABELS] + 0.3 * GENERATOR.normal(size=(80, 8))).astype(np.float32)
HEAD = GENERATOR.normal(size=(8, 4)).astype(np.float32)
STATISTICS = logit_statistics(FEATURES, LABELS, HEAD, np.zeros(4, np.float32))
COLUMN = match_logits(GENERATOR.normal(size=(8, 1)).astype(np.float32), FEATURES, STATISTICS)
ZERO, BIAS = COLUMN[0][:, 0], float(COLUMN[1][0])
IMAGES = (MEANS[4] + 0.3 * GENERATOR.normal(size=(12, 8))).astype(np.float32)
CHOICE = FewShotChoice("within", 0.3, 2.0, 0.5)


def prior_of(choice=CHOICE, rank=8, margin=4.0):
    return SeenMoments.of(FEATURES, LABELS, STATISTICS, rank).prior(choice, margin)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_no_image_changes_nothing():
    refined = prior_of().refine(ZERO, BIAS, np.empty((0, 8), np.float32))
    np.testing.assert_array_equal(refined.column, ZERO)
    assert (refined.bias, refined.images) == (BIAS, 0)


def test_an_unmatched_column_is_left_alone_without_images():
    refined = prior_of().refine(7 * ZERO, 5.0, np.empty((0, 8), np.float32))
    np.testing.assert_array_equal(refined.column, 7 * ZERO)
    assert refined.bias == 5.0


@given(order=st.permutations(range(12)))
def test_the_order_does_not_matter(order):
    prior = prior_of()
    once, again = prior.refine(ZERO, BIAS, IMAGES), prior.refine(ZERO, BIAS, IMAGES[list(order)])
    np.testing.assert_allclose(again.column, once.column, rtol=1e-5, atol=1e-6)
    assert again.bias == pytest.approx(once.bias, rel=1e-5)


@given(cuts=st.lists(st.integers(0, 12), max_size=3).map(sorted))
def test_many_calls_are_one(cuts):
    prior = prior_of()
    once = prior.refine(ZERO, BIAS, IMAGES)
    column, bias, images, scale = ZERO, BIAS, 0, None
    for part in np.split(IMAGES, cuts):
        refined = prior.refine(column, bias, part, images=images, scale=scale)
        column, bias, images, scale = refined.column, refined.bias, refined.images, refined.scale
    np.testing.assert_allclose(column, once.column, rtol=1e-4, atol=1e-5)
    assert bias == pytest.approx(once.bias, rel=1e-4)
    assert images == once.images == 12


def test_endless_images_leave_the_data_alone():
    prior = prior_of()
    data = prior.data_columns(IMAGES.mean(axis=0, dtype=np.float64)[:, None])[:, 0]
    far = [cosine(prior.refine(ZERO, BIAS, np.tile(IMAGES, (times, 1))).column, data) for times in (1, 10, 1000)]
    assert far[0] < far[1] < far[2]
    assert far[2] == pytest.approx(1, abs=1e-6)


def test_a_heavy_description_and_a_light_one():
    data = prior_of().data_columns(IMAGES.mean(axis=0, dtype=np.float64)[:, None])[:, 0]
    heavy, light = (prior_of(replace(CHOICE, weight=weight)).refine(ZERO, BIAS, IMAGES).column for weight in (1e9, 1e-9))
    assert cosine(heavy, ZERO) == pytest.approx(1, abs=1e-6)
    assert cosine(light, data) == pytest.approx(1, abs=1e-6)


def test_one_image_weighs_what_the_weights_say():
    prior = prior_of(replace(CHOICE, weight=3.0))
    data = prior.data_columns(IMAGES[:1].T.astype(np.float64))[:, 0]
    mean = (3 * ZERO / (1 / prior.scales(ZERO[:, None])) + data) / 4
    refined = prior.refine(ZERO, BIAS, IMAGES[:1])
    assert cosine(refined.column, mean) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_scale_and_bias_are_those_of_the_images_behind_the_moments(metric):
    prior = prior_of(replace(CHOICE, metric=metric, surplus=0.0))
    refined = prior.refine(ZERO, BIAS, IMAGES)
    columns, biases = match_logits(3.0 * refined.column[:, None], FEATURES, STATISTICS)
    np.testing.assert_allclose(refined.column, columns[:, 0], rtol=1e-4)
    assert refined.bias == pytest.approx(float(biases[0]), rel=1e-4, abs=1e-4)


def test_the_bias_falls_with_the_share_of_the_images():
    with_surplus, without = (prior_of(replace(CHOICE, surplus=surplus)) for surplus in (0.5, 0.0))
    for count in (1, 2, 12):
        biases = [prior.refine(ZERO, BIAS, IMAGES[:count]).bias for prior in (with_surplus, without)]
        assert biases[1] - biases[0] == pytest.approx(0.5 * 4.0 * count / (2.0 + count), rel=1e-4)


def test_few_directions_answer_as_all_where_the_features_have_few():
    generator = np.random.default_rng(3)
    flat = generator.normal(size=(3, 8))  # 8 features that vary in 3 directions
    features = (generator.normal(size=(80, 3)) @ flat).astype(np.float32)
    few, whole = (SeenMoments.of(features, LABELS, STATISTICS, rank).prior(CHOICE, 4.0) for rank in (3, 8))
    ours, theirs = (each.refine(ZERO, BIAS, IMAGES) for each in (few, whole))
    np.testing.assert_allclose(ours.column, theirs.column, rtol=1e-3, atol=1e-4)
    assert ours.bias == pytest.approx(theirs.bias, rel=1e-3)


@pytest.mark.parametrize("rank", [4, 8])
def test_the_data_column_is_that_of_the_covariance(rank):
    prior = prior_of(rank=rank)
    within = prior.metric.factor @ prior.metric.factor.T + np.diag(prior.metric.diagonal)
    image = IMAGES[:1].T.astype(np.float64)
    expected = np.linalg.solve(within + prior.penalty * np.eye(8), image - FEATURES.mean(axis=0, dtype=np.float64)[:, None])
    np.testing.assert_allclose(prior.data_columns(image), prior.data_scale * expected, rtol=1e-4, atol=1e-5)


def test_all_directions_are_the_covariance_within_classes():
    prior = prior_of()
    residuals = FEATURES - np.stack([FEATURES[c == LABELS].mean(axis=0) for c in range(4)])[LABELS]
    expected = residuals.T @ residuals / (80 - 4)
    np.testing.assert_allclose(prior.metric.factor @ prior.metric.factor.T, expected, atol=1e-5)


def test_with_the_total_covariance_it_is_the_ridge_column():
    # Every class has as many images, so that the ridge head's moments are the plain ones.
    head, _ = RidgeHeadPath.of(FEATURES, LABELS, 4).solve(0.3)
    prior = prior_of(FewShotChoice("total", 0.3, 2.0, 0.0))
    class_means = np.stack([FEATURES[c == LABELS].mean(axis=0, dtype=np.float64) for c in range(4)], axis=1)
    columns = prior.data_columns(class_means)
    ratios = columns / head
    np.testing.assert_allclose(ratios, ratios[0, 0], rtol=1e-3)
    assert prior.total.deviations(columns).mean() == pytest.approx(STATISTICS.deviation, rel=1e-4)


def test_images_of_the_class_raise_its_logit_on_others_of_it():
    refined = prior_of(replace(CHOICE, surplus=0.0)).refine(ZERO, BIAS, IMAGES[:2])
    other = IMAGES[2:].astype(np.float64)
    assert (other @ refined.column + refined.bias).mean() > (other @ ZERO + BIAS).mean()


def test_classes_of_one_image_have_no_spread_of_their_own():
    moments = SeenMoments.of(FEATURES[:4], np.arange(4), STATISTICS)
    refined = moments.prior(CHOICE, 1.0).refine(ZERO, BIAS, IMAGES)
    assert np.isfinite(refined.column).all() and np.isfinite(refined.bias)


def test_features_without_variance_give_no_nan():
    moments = SeenMoments.of(np.ones((6, 8), np.float32), np.arange(6) % 2, STATISTICS)
    refined = moments.prior(CHOICE, 1.0).refine(ZERO, BIAS, IMAGES)
    assert np.isfinite(refined.column).all() and np.isfinite(refined.bias)


def test_arrays_bring_it_back(tmp_path):
    prior = prior_of()
    np.savez(tmp_path / "few_shot.npz", **prior.arrays())
    with np.load(tmp_path / "few_shot.npz", allow_pickle=False) as file:
        assert {array.dtype for array in dict(file).values()} == {np.dtype(np.float32)}
        again = FewShotPrior.from_arrays(dict(file))
    ours, theirs = (each.refine(ZERO, BIAS, IMAGES) for each in (prior, again))
    np.testing.assert_allclose(ours.column, theirs.column, rtol=1e-5)
    assert ours.bias == pytest.approx(theirs.bias, rel=1e-5)


@pytest.mark.parametrize("features", [np.zeros((2, 7)), np.zeros(8), np.full((1, 8), np.nan)])
def test_features_that_are_none(features):
    with pytest.raises(InputError, match=r"features must be finite and \[n, 8\]\. Received"):
        prior_of().refine(ZERO, BIAS, features)
