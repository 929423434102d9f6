from dataclasses import replace

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.baselines.class_mean import METHOD as CLASS_MEAN
from niwt_tf.methods.baselines.class_mean_gp import METHOD
from niwt_tf.methods.baselines.linear import Sample
from niwt_tf.methods.relevance import NOISE, WIDTHS, fit_relevance_map
from tests.methods.baselines.linear_world import fit_one, linear_world


def test_means_by_hand():
    """Two classes, of means (1, 1) and (3, 5): by symmetry each gets 1/2, and more the nearer a description is to its own.

    With q = exp(-width) between the two, A^-1 1 / (1' A^-1 1) is (1/2, 1/2), and P is (1, -1; -1, 1) / 2 (1 + p - q).
    """
    sample = Sample(np.array([[0.0, 0.0], [2.0, 2.0], [3.0, 5.0]], np.float32), np.array([0, 0, 1]))
    seen = np.array([[1.0, 0.0], [0.0, 1.0]])
    fitted = fit_one(METHOD, sample, seen, {})
    columns, biases = fitted.columns(np.array([[0.5, 0.5], [0.0, 1.0]]))
    np.testing.assert_allclose(columns[:, 0], [4, 6], rtol=1e-6)
    np.testing.assert_allclose(biases[0], -13, rtol=1e-6)
    nearness = np.exp(-np.array(WIDTHS))
    shifts = (1 - nearness) / (2 * (1 + NOISE - nearness))
    predicted = np.array([2.0, 3.0]) + shifts[:, None] * np.array([2.0, 4.0])
    np.testing.assert_allclose(columns[:, 1], 2 * predicted.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(biases[1], -(predicted**2).sum(axis=1).mean(), rtol=1e-6)


def test_it_is_niwts_map_with_means_in_the_place_of_importances():
    world = linear_world()
    raw = 3 * np.concatenate([world.seen, world.new]) + 1
    normaliser = DescriptionNormaliser.fit(raw[:9], "centred")
    fitted = fit_one(METHOD, world.sample, normaliser(raw[:9]), {})
    means = world.sample.class_means
    weights = fit_relevance_map(raw[:9], means).weights(raw[9:])
    columns, biases = fitted.formula(normaliser)(raw[9:])
    np.testing.assert_allclose(columns.T, 2 * (weights @ means).mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(biases, -((weights @ means) ** 2).sum(axis=2).mean(axis=0), rtol=1e-4)
    own, plain = fitted.seen_columns(world.seen), fit_one(CLASS_MEAN, world.sample, world.seen, {"penalty": 1.0})
    for found, expected in zip(own, plain.seen_columns(world.seen), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert world.unseen_accuracy(replace(fitted, relevance=fit_relevance_map(world.seen, means, normalisation="raw"))) > 0.9


def test_there_is_one_candidate_and_it_is_niwts():
    (candidate,) = METHOD.candidates(None, [])
    assert candidate.as_dict() == {"features": "raw", "descriptions": "centred"}
    assert METHOD.candidate_of(candidate.as_dict()) == candidate
