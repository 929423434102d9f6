"""Every method under the same protocol."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from niwt_tf.compute.features import Reader
from niwt_tf.config.names import network_methods
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds, main_learner
from niwt_tf.data.schema import SeenData, TestData
from niwt_tf.methods.baselines.eszsl import METHOD as ESZSL
from niwt_tf.methods.baselines.linear import GridCandidate
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.task import Task
from niwt_tf.metrics.calibration import choose_calibration, seen_margin
from niwt_tf.metrics.gzsl import calibration_curve
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol.scoring import metrics_of, score_task
from niwt_tf.protocol.selection import choose, select

GRIDS = {"map_regularization": (1.0,), "transfer_lambda": (0.1,), "head_regularization": (1.0,)}
SETTINGS = Settings(finetune="head", num_support=6, **GRIDS)
FEW = dataclasses.replace(ESZSL, grid={"gamma": (0.1, 10.0), "lambda": (1.0,)})


@pytest.fixture(scope="module")
def network(coloured):
    return build_network("small_vgg", coloured.class_names, input_size=16)


@pytest.fixture(scope="module")
def bank(coloured, network):
    known = dict(zip(coloured.paths, Reader(network).features(coloured), strict=True))
    return lambda images: np.stack([known[path] for path in images.paths]) if len(images) else np.zeros((0, 256), np.float32)


@pytest.fixture(scope="module")
def task(network, bank):
    """Return a function from a learner to its task, whose features are read once for all."""

    def of(learner, settings=SETTINGS):
        names = learner.training.images.class_names
        columns = np.zeros((network.num_features, len(names)), np.float32)
        own = network.with_head(columns, np.zeros(len(names)), names, len(names))
        return Task(settings, learner, own, Reader(own), lambda _, images: bank(images))

    return of


@pytest.fixture(scope="module")
def folds(coloured_seen):
    return class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)


def test_the_choice_is_the_best_of_every_combination(folds, task):
    tasks = [task(fold) for fold in folds]
    chosen, trials = select(SETTINGS, FEW, tasks)
    assert len(trials) == 2 * 2 * 2
    assert chosen in trials
    assert chosen.harmonic_mean == max(trial.harmonic_mean for trial in trials)
    expected = {"features", "descriptions", "gamma", "lambda", "calibration", "harmonic_mean", "acc_zsl"}
    assert set(chosen.as_dict()) == expected
    assert (chosen, trials) == select(SETTINGS, FEW, [task(fold) for fold in folds])


def test_candidates_fitted_together_and_alone_are_the_same(folds, task):
    one = task(folds[0])
    for candidate, generator in FEW.fit_all(one, FEW.candidates(SETTINGS, [one])):
        alone, together = FEW.fit(one, candidate).arrays(), generator.arrays()
        assert alone.keys() == together.keys()
        for name, value in together.items():
            np.testing.assert_array_equal(alone[name], value)


def test_a_trial_equals_the_protocol_by_hand(folds, bank, task):
    _, trials = select(SETTINGS, FEW, [task(fold) for fold in folds])
    trial = next(each for each in trials if each.candidate == GridCandidate("unit", "l2", (("gamma", 10.0), ("lambda", 1.0))))
    curves, margins = [], []
    for fold in folds:
        seen, new = unit(fold.training.descriptions.values), unit(fold.validation_descriptions.values)
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
    """Return the learner of the first three classes, the descriptions of the others, and all images as test ones."""
    first = np.arange(3)
    seen = SeenData(coloured_seen.images.of_classes(first), coloured_seen.descriptions.take(first))
    return main_learner(seen, 0), coloured_seen.descriptions.take(np.arange(3, 5)), TestData(coloured_seen.images, 3)


@pytest.mark.parametrize("name", [name for name in network_methods() if name not in ("dem", "cnzsl")])
def test_the_network_scores_as_the_parameters_do_and_is_calibrated_by_the_seen_margin(folds, parted, task, name):
    main, unseen, test = parted
    method, tasks = method_of(name), [task(main), *(task(fold) for fold in folds)]
    if hasattr(method, "grid"):  # a point of each grid is enough here
        method = dataclasses.replace(method, grid={each: values[:1] for each, values in method.grid.items()})
    method.prepare(SETTINGS, tasks)
    chosen = choose(SETTINGS, method, tasks)
    assert chosen.trial in chosen.trials
    network, parameters = chosen.applied(tasks[0].network, unseen)
    held_out = parameters.scores(tasks[0], main.held_out)[:, :3]
    assert chosen.calibration == pytest.approx(chosen.trial.calibration * seen_margin(held_out, main.held_out.labels), rel=1e-4)
    scored = score_task(tasks[0], chosen, unseen, test)
    logits = Reader(network).logits(test.images)
    calibrated = scored.logits.copy()
    calibrated[:, :3] -= chosen.calibration
    scale = np.abs(calibrated).max()
    np.testing.assert_allclose(logits / scale, calibrated / scale, atol=1e-5)
    np.testing.assert_array_equal(scored.evaluation.predictions, calibrated.argmax(axis=1))


@pytest.mark.parametrize("name", ["niwt", "sync", "class_mean"])
def test_a_generator_goes_through_its_arrays(folds, parted, task, name):
    main, unseen, _ = parted
    method, tasks = method_of(name), [task(main), *(task(fold) for fold in folds)]
    method.prepare(SETTINGS, tasks)
    trial, _ = select(SETTINGS, method, tasks)
    generator = method.finish(method.fit(tasks[0], trial.candidate), tasks, trial, 1.0)
    again = method.generator_of(SETTINGS, tasks[0].network, generator.arrays())
    made, remade = generator.generate(unseen), again.generate(unseen)
    np.testing.assert_allclose(made.head[0], remade.head[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.head[1], remade.head[1], rtol=1e-5, atol=1e-6)
    columns, _ = generator.formula(unseen.values)
    np.testing.assert_allclose(columns, made.new[0], rtol=1e-5, atol=1e-6)
    formula = method.formula_of(generator.formula.arrays())
    np.testing.assert_array_equal(formula(unseen.values)[0], columns)
    assert method.candidate_of(trial.candidate.as_dict()) == trial.candidate


def test_metrics_have_null_where_no_image_can_tell(folds, parted, task):
    main, unseen, test = parted
    chosen = choose(SETTINGS, FEW, [task(main), *(task(fold) for fold in folds)])
    seen_alone = TestData(test.images.take(np.flatnonzero(test.images.labels < 3)), 3)
    metrics = metrics_of(score_task(task(main), chosen, unseen, seen_alone), 3, {"seed": 0})
    assert metrics["acc_zsl"] is None
    assert (metrics["num_seen"], metrics["num_unseen"], metrics["num_test_images"], metrics["seed"]) == (3, 2, 15, 0)
    none = TestData(test.images.take(np.empty(0, np.int64)), 3)
    assert metrics_of(score_task(task(main), chosen, unseen, none), 3, {})["acc_seen"] is None


def test_without_folds_the_first_candidate_is_taken_and_nothing_calibrated(parted, task):
    main, unseen, _ = parted
    chosen = choose(SETTINGS, ESZSL, [task(main)])
    assert chosen.trial.candidate == ESZSL.candidates(SETTINGS, [])[0]
    assert (chosen.trials, chosen.calibration) == ([], 0.0)
    assert np.isnan(chosen.trial.harmonic_mean)
    assert chosen.applied(task(main).network, unseen)[0].class_names[3:] == unseen.names
