"""Baselines under the same protocol."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.folds import class_folds, main_learner
from niwt_tf.data.schema import SeenData, TestData
from niwt_tf.experiments.comparison.oracle import baseline_metrics, score_baseline
from niwt_tf.methods.baselines.eszsl import METHOD as ESZSL
from niwt_tf.methods.registry import BY_NAME
from niwt_tf.metrics.calibration import choose_calibration, seen_margin
from niwt_tf.metrics.gzsl import calibration_curve
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol.selection import BaselineTrial, choose_baseline, fit_baseline

SETTINGS = Settings()
FEW = dataclasses.replace(ESZSL, grid={"gamma": (0.1, 10.0), "lambda": (1.0,)})


@pytest.fixture(scope="module")
def bank(coloured):
    reader = Reader(build_network("small_vgg", coloured.class_names, input_size=16))
    known = dict(zip(coloured.paths, reader.features(coloured), strict=True))
    return lambda images: np.stack([known[path] for path in images.paths]) if len(images) else np.zeros((0, 256), np.float32)


@pytest.fixture(scope="module")
def folds(coloured_seen):
    return class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)


def test_the_choice_is_the_best_of_every_combination(folds, bank):
    banks = {fold.name: bank for fold in folds}
    chosen, trials = choose_baseline(SETTINGS, FEW, folds, banks)
    assert len(trials) == 2 * 2 * 2
    assert chosen in trials
    assert chosen.harmonic_mean == max(trial.harmonic_mean for trial in trials)
    assert set(chosen.as_dict()) == {
        "features",
        "descriptions",
        "gamma",
        "lambda",
        "calibration",
        "harmonic_mean",
        "acc_zsl",
    }
    assert (chosen, trials) == choose_baseline(SETTINGS, FEW, folds, banks)


def test_a_trial_equals_the_protocol_by_hand(folds, bank):
    _, trials = choose_baseline(SETTINGS, FEW, folds, {fold.name: bank for fold in folds})
    trial = next(each for each in trials if (each.features, each.descriptions, each.candidate["gamma"]) == ("unit", "l2", 10.0))
    curves, margins = [], []
    for fold in folds:
        seen, new = unit(fold.training.descriptions), unit(fold.validation_descriptions)
        x, labels = unit(bank(fold.training.images)).astype(np.float64), fold.training.images.labels
        signs = np.where(labels[:, None] == np.arange(len(seen)), 1.0, -1.0)
        left = np.linalg.inv(x.T @ x + 10.0 * np.eye(x.shape[1])) @ x.T @ signs @ seen
        compatibility = left @ np.linalg.inv(seen.T @ seen + np.eye(seen.shape[1]))
        scores = unit(bank(fold.evaluation)) @ compatibility @ np.concatenate([seen, new]).T
        held_out = fold.evaluation.labels < len(seen)
        curves.append(calibration_curve(scores, fold.evaluation.labels, len(seen)))
        margins.append(seen_margin(scores[held_out, : len(seen)], fold.evaluation.labels[held_out]))
    calibration, harmonic = choose_calibration(curves, margins)
    assert trial.calibration == pytest.approx(calibration, rel=1e-3, abs=1e-3)
    assert trial.harmonic_mean == pytest.approx(harmonic)


@pytest.fixture(scope="module")
def parted(coloured_seen):
    """Return the learner of the first three classes, and all images as test ones."""
    first = np.arange(3)
    seen = SeenData(coloured_seen.images.of_classes(first), coloured_seen.descriptions[first])
    return main_learner(seen, 0), coloured_seen.descriptions[3:], TestData(coloured_seen.images, 3)


@pytest.mark.parametrize("name", ["ale", "eszsl", "sync", "class_mean"])
def test_the_head_scores_as_the_classifier_does_and_is_calibrated_by_the_seen_margin(bank, parted, name):
    main, unseen, test = parted
    method = BY_NAME[name]
    first = {parameter: values[0] for parameter, values in method.grid.items()}
    trial = BaselineTrial("unit", "centred", first, 0.7, 0.0, 0.0)
    classifier = fit_baseline(SETTINGS, method, trial, main, bank, unseen)
    scored = score_baseline(classifier, bank, test)
    normaliser = DescriptionNormaliser.fit(main.training.descriptions, "centred")
    columns, biases = classifier.fitted.head(normaliser(main.training.descriptions), normaliser(unseen))
    np.testing.assert_allclose(scored.logits, unit(bank(test.images)) @ columns + biases, atol=1e-5)
    held_out = unit(bank(main.held_out)) @ columns[:, :3] + biases[:3]
    assert classifier.calibration == pytest.approx(0.7 * seen_margin(held_out, main.held_out.labels), rel=1e-4)
    logits = scored.logits.copy()
    logits[:, :3] -= classifier.calibration
    np.testing.assert_array_equal(scored.evaluation.predictions, logits.argmax(axis=1))


def test_metrics_have_null_where_no_image_can_tell(bank, parted):
    main, unseen, test = parted
    trial = BaselineTrial("unit", "l2", {"gamma": 1.0, "lambda": 1.0}, 0.0, 0.0, 0.0)
    classifier = fit_baseline(SETTINGS, ESZSL, trial, main, bank, unseen)
    seen_alone = TestData(test.images.take(np.flatnonzero(test.images.labels < 3)), 3)
    metrics = baseline_metrics(score_baseline(classifier, bank, seen_alone), 3, {"seed": 0})
    assert metrics["acc_zsl"] is None
    assert (metrics["num_seen"], metrics["num_unseen"], metrics["num_test_images"], metrics["seed"]) == (3, 2, 15, 0)
    none = TestData(test.images.take(np.empty(0, np.int64)), 3)
    assert baseline_metrics(score_baseline(classifier, bank, none), 3, {})["acc_seen"] is None
