"""ESZSL under the same protocol."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.baselines.eszsl import fit
from niwt_tf.data.schema import SeenData, TestData
from niwt_tf.experiments import baseline
from niwt_tf.experiments.baseline import Choice, choose_eszsl, evaluate_eszsl
from niwt_tf.experiments.folds import class_folds, main_learner
from niwt_tf.method.calibration import seen_margin
from niwt_tf.method.reader import Reader
from niwt_tf.models.backbones import build_network


@pytest.fixture(scope="module")
def network(coloured):
    return build_network("small_vgg", coloured.class_names, input_size=16)


@pytest.mark.parametrize("source", ["head", "map"])
def test_the_choice_is_one_of_the_grid_and_repeats(coloured_seen, network, monkeypatch, source):
    monkeypatch.setattr(baseline, "GRID", (0.1, 10.0))
    folds = class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)
    banks = {fold.name: Reader(network).features for fold in folds}
    choice = choose_eszsl(folds, banks)
    assert choice == choose_eszsl(folds, banks)
    assert (choice.gamma in (0.1, 10.0), choice.lambda_ in (0.1, 10.0)) == (True, True)
    assert choice.features in ("unit", "raw")
    assert choice.descriptions in ("l2", "centred")
    assert 0 < choice.harmonic_mean <= 1
    assert set(choice.as_dict()) == {"features", "descriptions", "gamma", "lambda_", "calibration", "harmonic_mean"}


@pytest.fixture(scope="module")
def parted(coloured_seen):
    """Return the learner of the first three classes, and all images as test ones."""
    first = np.arange(3)
    seen = SeenData(coloured_seen.images.of_classes(first), coloured_seen.descriptions[first])
    return main_learner(seen, 0), coloured_seen.descriptions[3:], TestData(coloured_seen.images, 3)


def test_evaluation_equals_a_fit_by_hand(network, parted):
    main, unseen, test = parted
    found = evaluate_eszsl(Choice("raw", "raw", 2.0, 0.5, 0.7, 0.0), main, Reader(network).features, unseen, test)
    features, labels = Reader(network).features(main.training.images), main.training.images.labels
    fitted = fit(features, labels, main.training.descriptions, gamma=2.0, lambda_=0.5)
    every = np.concatenate([main.training.descriptions, unseen])
    scores = fitted.scores(Reader(network).features(test.images), every)
    held_out = fitted.scores(Reader(network).features(main.held_out), main.training.descriptions)
    scores[:, :3] -= 0.7 * seen_margin(held_out, main.held_out.labels)
    np.testing.assert_array_equal(found.predictions, scores.argmax(axis=1))


def test_unseen_classes_without_a_test_image(network, parted):
    main, unseen, test = parted
    choice = Choice("unit", "l2", 1.0, 1.0, 0.0, 0.0)
    seen_alone = TestData(test.images.take(np.flatnonzero(test.images.labels < 3)), 3)
    assert np.isnan(evaluate_eszsl(choice, main, Reader(network).features, unseen, seen_alone).acc_zsl)
    on_maps = evaluate_eszsl(choice, main, Reader(network).pooled_maps, unseen, seen_alone)
    assert 0 <= on_maps.acc_seen <= 1
    none = TestData(test.images.take(np.empty(0, np.int64)), 3)
    assert np.isnan(evaluate_eszsl(choice, main, Reader(network).features, unseen, none).acc_seen)
