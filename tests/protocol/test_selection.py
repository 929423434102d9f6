"""Every method under the same protocol."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from tqdm import tqdm

from niwt_tf.compute.features import Reader
from niwt_tf.config.names import network_methods
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds, main_partition
from niwt_tf.data.schema import SeenData, TestData
from niwt_tf.methods.base import Trial
from niwt_tf.methods.baselines.eszsl import METHOD as ESZSL
from niwt_tf.methods.baselines.linear import GridCandidate, LinearMethod
from niwt_tf.methods.registry import method_of
from niwt_tf.methods.task import Task
from niwt_tf.metrics.calibration import choose_calibration, seen_margin
from niwt_tf.metrics.gzsl import calibration_curve
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol.probabilities import FoldScores
from niwt_tf.protocol.scoring import metrics_of, score_task
from niwt_tf.protocol.selection import _Tried, choose, plain, select
from tests.methods.baselines.linear_world import SMALL
from tests.shared import further

GRIDS = {"map": "ridge", "map_regularization": (1.0,), "transfer_lambda": (0.1,), "head_regularization": (1.0,)}
SETTINGS = Settings(finetune="head", num_support=6, **GRIDS)
FEW = dataclasses.replace(ESZSL, grid={"gamma": (0.1, 10.0), "lambda": (1.0,)})


@pytest.fixture(scope="module")
def network(coloured):
    return build_network("small_vgg", coloured.class_names, input_size=16)


@pytest.fixture(scope="module")
def features_of(coloured, network):
    known = dict(zip(coloured.paths, Reader(network).features(coloured), strict=True))
    return lambda images: np.stack([known[path] for path in images.paths]) if len(images) else np.zeros((0, 256), np.float32)


@pytest.fixture(scope="module")
def task(network, features_of):
    """Return a function from a partition to its task, whose features are read once for all."""

    def of(partition, settings=SETTINGS):
        names = partition.training.images.class_names
        columns = np.zeros((network.num_features, len(names)), np.float32)
        own = network.with_head(columns, np.zeros(len(names)), names, len(names))
        return Task(settings, partition, own, Reader(own), lambda _, images: features_of(images))

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


def test_images_that_candidates_are_scored_on_are_read_once(folds, network, features_of):
    read = []

    def source(reader, images):
        read.append(images)
        return features_of(images)

    tasks = [Task(SETTINGS, fold, network, Reader(network), source) for fold in folds]
    select(SETTINGS, FEW, tasks)
    for task in tasks:
        assert sum(images is task.evaluated for images in read) == 1


def test_candidates_fitted_together_and_alone_are_the_same(folds, task):
    one = task(folds[0])
    for candidate, generator in FEW.fit_all(one, FEW.candidates(SETTINGS, [one])):
        alone, together = FEW.fit(one, candidate).arrays(), generator.arrays()
        assert alone.keys() == together.keys()
        for name, value in together.items():
            np.testing.assert_array_equal(alone[name], value)


class _OneByOne(LinearMethod):
    """The same method without shared work."""

    def fit_all(self, task, candidates):
        for candidate in candidates:
            yield from super().fit_all(task, [candidate])


GRIDS_OF_TWO = {
    "eszsl": {"gamma": (0.1, 10.0), "lambda": (1.0, 100.0)},
    "sync": {"lambda": (2.0**-9, 2.0**-3), "sigma": (0.5, 2.0)},
    "ale": {"learning_rate": (0.03, 0.3), "epochs": (3.0, 1.0)},
    "dem": {"hidden": (8.0,), "learning_rate": (1e-2,), "weight_decay": (1e-3,), "steps": (20.0, 5.0)},
    "cnzsl": {"hidden": (8.0,), "learning_rate": (5e-3,), "scale": (5.0,), "epochs": (2.0, 1.0)},
    "sae": {"lambda": (0.1, 1.0), "decoder": (1.0, 0.0)},
    "class_mean": {"penalty": (0.1, 1.0)},
    "class_mean_gp": {},
}
# Whose training compiles for seconds waits for the slow tests.
QUICK = [pytest.param(name, marks=pytest.mark.slow) if name in ("cnzsl", "dem") else name for name in SMALL]


@pytest.mark.parametrize("name", QUICK)
def test_trials_are_the_same_whether_candidates_share_their_work_or_not(folds, task, name):
    shared = dataclasses.replace(method_of(name), grid=GRIDS_OF_TWO[name])
    kinds = {each: getattr(shared, each) for each in ("features", "descriptions", "formulas")}
    alone = _OneByOne(name, shared.grid, shared.path, **kinds)
    found, expected = (select(SETTINGS, method, [task(fold) for fold in folds])[1] for method in (shared, alone))
    by_candidate = {trial.candidate: trial for trial in found}
    assert len(found) == len(by_candidate) == len(expected)
    for trial in expected:
        same = by_candidate[trial.candidate]
        assert (same.harmonic_mean, same.acc_zsl) == pytest.approx((trial.harmonic_mean, trial.acc_zsl))
        assert same.calibration == pytest.approx(trial.calibration, rel=1e-3, abs=1e-3)


def test_candidates_that_make_no_whole_grid_are_fitted_and_no_others(folds, task):
    method = dataclasses.replace(ESZSL, grid=GRIDS_OF_TWO["eszsl"])
    one = task(folds[0])
    every = method.candidates(SETTINGS, [one])
    asked = [every[0], every[3], every[9], every[4]]
    found = [candidate for candidate, _ in method.fit_all(one, asked)]
    assert len(found) == len(asked)
    assert set(found) == set(asked)


def test_a_trial_equals_the_protocol_by_hand(folds, features_of, task):
    _, trials = select(SETTINGS, FEW, [task(fold) for fold in folds])
    trial = next(each for each in trials if each.candidate == GridCandidate("unit", "l2", (("gamma", 10.0), ("lambda", 1.0))))
    curves, margins = [], []
    for fold in folds:
        seen, new = unit(fold.training.descriptions.values), unit(fold.validation_descriptions.values)
        x, labels = unit(features_of(fold.training.images)).astype(np.float64), fold.training.images.labels
        signs = np.where(labels[:, None] == np.arange(len(seen)), 1.0, -1.0)
        left = np.linalg.inv(x.T @ x + 10.0 * np.eye(x.shape[1])) @ x.T @ signs @ seen
        compatibility = left @ np.linalg.inv(seen.T @ seen + np.eye(seen.shape[1]))
        scores = unit(features_of(fold.evaluation)) @ compatibility @ np.concatenate([seen, new]).T
        held_out = fold.evaluation.labels < len(seen)
        curves.append(calibration_curve(scores, fold.evaluation.labels, len(seen)))
        margins.append(seen_margin(scores[held_out, : len(seen)], fold.evaluation.labels[held_out]))
    calibration, harmonic = choose_calibration(curves, margins)
    assert trial.calibration == pytest.approx(calibration, rel=1e-3, abs=1e-3)
    assert trial.harmonic_mean == pytest.approx(harmonic)


@pytest.fixture(scope="module")
def parted(coloured_seen):
    """Return the partition of the first three classes, the descriptions of the others, and all images as test ones."""
    first = np.arange(3)
    seen = SeenData(coloured_seen.images.of_classes(first), coloured_seen.descriptions.take(first))
    return main_partition(seen, 0), coloured_seen.descriptions.take(np.arange(3, 5)), TestData(coloured_seen.images, 3)


def _method(name):
    """Return a method; a baseline with one point of its grid, which is small."""
    method = method_of(name)
    small = {each: (value,) for each, value in SMALL.get(name, {}).items()}
    return dataclasses.replace(method, grid=small) if small else method


@pytest.fixture(scope="module")
def prepared(folds, parted, task):
    """Return the tasks of the first three classes and of the folds, prepared for NIWT."""
    tasks = [task(parted[0]), *(task(fold) for fold in folds)]
    method_of("niwt").prepare(SETTINGS, tasks)
    return tasks


def test_every_method_with_a_network_is_here():
    assert {name for name in network_methods() if not method_of(name).reads_texts} == {"niwt", *SMALL, "cvae"}


@pytest.mark.parametrize("name", ["niwt", *QUICK])
def test_the_network_scores_as_the_parameters_do_and_is_calibrated_by_the_seen_margin(parted, prepared, name):
    main, unseen, test = parted
    chosen = choose(SETTINGS, _method(name), prepared)
    assert chosen.trial in chosen.trials
    assert chosen.trial.harmonic_mean == max(trial.harmonic_mean for trial in chosen.trials)
    network, parameters = chosen.applied(prepared[0].network, unseen)
    columns, biases = parameters.head
    np.testing.assert_array_equal(network.columns, columns)
    np.testing.assert_array_equal(network.biases, biases)
    assert (network.class_names, network.num_seen) == ((*main.training.images.class_names, *unseen.names), 3)
    rows = prepared[0].features(main.held_out)
    by_hand = (unit(rows) if parameters.unit_features else rows) @ columns[:, :3] + biases[:3]
    others = [np.delete(scores, label).max() for scores, label in zip(by_hand, main.held_out.labels, strict=True)]
    margin = (by_hand[np.arange(len(by_hand)), main.held_out.labels] - others).mean()
    margin = margin if margin > 0 else by_hand.std()
    assert chosen.calibration == pytest.approx(chosen.trial.calibration * margin, rel=1e-4)
    assert network.calibration == pytest.approx(chosen.calibration, rel=1e-6)
    scored = score_task(prepared[0], chosen, unseen, test)
    logits = Reader(network).logits(test.images)
    calibrated = scored.logits.copy()
    calibrated[:, :3] -= chosen.calibration
    scale = np.abs(calibrated).max()
    np.testing.assert_allclose(logits / scale, calibrated / scale, atol=1e-5)
    np.testing.assert_array_equal(scored.evaluation.predictions, calibrated.argmax(axis=1))


def _from_file(path, generator):
    np.savez(path, **generator.arrays())
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _assert_same(made, remade):
    assert (made.names, made.unit_features) == (remade.names, remade.unit_features)
    for value, again in zip(made.head, remade.head, strict=True):
        np.testing.assert_allclose(again, value, rtol=1e-5, atol=1e-6)
    assert dict(remade.figures) == pytest.approx(dict(made.figures), rel=1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_a_baselines_generator_goes_through_its_arrays(parted, prepared, name, tmp_path):
    unseen, method = parted[1], _method(name)
    chosen = choose(SETTINGS, method, prepared)
    generator, (network, made) = chosen.generator, chosen.applied(prepared[0].network, unseen)
    again = method.generator_of(SETTINGS, network, _from_file(tmp_path / "generator.npz", generator))
    _assert_same(made, again.generate(unseen))
    np.testing.assert_array_equal(generator.formula(unseen.values)[0], made.new[0])
    formula = method.formula_of(generator.formula.arrays())
    np.testing.assert_array_equal(formula(unseen.values)[0], made.new[0])
    assert method.candidate_of(chosen.trial.as_dict()) == chosen.trial.candidate


@pytest.mark.parametrize("engine", ["closed_form", *further("operator", "tape")])
def test_niwts_generator_goes_through_its_arrays_by_every_engine(parted, prepared, engine, tmp_path):
    unseen, method = parted[1], method_of("niwt")
    settings = SETTINGS.replace(engine=engine, transfer_steps=3, transfer_batch_size=4, transfer_learning_rate=(1e-2,))
    tasks = [task.with_settings(settings) for task in prepared]
    trial, _ = select(settings, method, tasks)
    fitted = method.fit(tasks[0], trial.candidate)
    generator = method.finish(fitted, tasks, trial, 1.0)
    assert generator.candidate.engine == engine
    made = generator.generate(unseen)
    _assert_same(fitted.generate(unseen), made)  # what is finished makes the columns that were chosen
    network = made.apply(tasks[0].network)  # which has more classes than the one that the generator was fitted with
    again = method.generator_of(settings, network, _from_file(tmp_path / "generator.npz", generator))
    remade = again.generate(unseen)
    _assert_same(made, remade)
    np.testing.assert_allclose(remade.losses, made.losses, rtol=1e-4)
    assert (len(made.losses) > 0) == (engine != "closed_form")
    assert again.candidate == generator.candidate == method.candidate_of(trial.as_dict())
    assert again.figures == pytest.approx(generator.figures, nan_ok=True)
    np.testing.assert_array_equal(again.importances, generator.importances)
    for name, value in generator.few_shot.arrays().items():
        np.testing.assert_array_equal(again.few_shot.arrays()[name], value)
    assert (again.formula is None) == (generator.formula is None) == (engine != "closed_form")
    if engine == "closed_form":
        columns, _ = generator.formula(unseen.values)
        np.testing.assert_array_equal(columns, made.new[0])
        np.testing.assert_array_equal(method.formula_of(generator.formula.arrays())(unseen.values)[0], columns)


@pytest.mark.parametrize("name", ["niwt", *QUICK])
def test_of_no_class_the_seen_part_is_made_alone(parted, prepared, name):
    unseen, method = parted[1], _method(name)
    candidate = method.candidates(SETTINGS, prepared)[0]
    generator = method.fit(prepared[0], candidate)
    none, some = generator.generate(unseen.take(np.arange(0))), generator.generate(unseen)
    assert (none.names, none.head[0].shape[1], len(none.head[1])) == ((), 3, 3)
    np.testing.assert_array_equal(none.head[0], some.head[0][:, :3])
    np.testing.assert_array_equal(none.head[1], some.head[1][:3])


def test_metrics_have_null_where_no_image_can_tell(folds, parted, task):
    main, unseen, test = parted
    chosen = choose(SETTINGS, FEW, [task(main), *(task(fold) for fold in folds)])
    seen_alone = TestData(test.images.take(np.flatnonzero(test.images.labels < 3)), 3)
    metrics = metrics_of(score_task(task(main), chosen, unseen, seen_alone), 3, {"seed": 0}, 1.0)
    assert metrics["acc_zsl"] is None
    assert (metrics["num_seen"], metrics["num_unseen"], metrics["num_test_images"], metrics["seed"]) == (3, 2, 15, 0)
    none = TestData(test.images.take(np.empty(0, np.int64)), 3)
    assert metrics_of(score_task(task(main), chosen, unseen, none), 3, {}, 1.0)["acc_seen"] is None


def test_without_folds_the_first_candidate_is_taken_and_nothing_calibrated(parted, task):
    main, unseen, _ = parted
    chosen = choose(SETTINGS, ESZSL, [task(main)])
    assert chosen.trial.candidate == ESZSL.candidates(SETTINGS, [])[0]
    assert (chosen.trials, chosen.calibration) == ([], 0.0)
    assert np.isnan(chosen.trial.harmonic_mean)
    assert chosen.applied(task(main).network, unseen)[0].class_names[3:] == unseen.names


def _scores(acc_unseen, margin, cosine):
    """Scores of a seen class and two others: one image of these is right once 0.5 is taken off, one once 1.5 is, or never."""
    logits = np.array([[margin, 0.0, -1.0], [1.5, 1.0, 0.5], [2.5, 0.5, 1.0 if acc_unseen == 1.0 else 0.25]])
    return FoldScores(logits, np.array([0, 1, 2]), 1, margin, {"transfer_cosine": cosine})


def test_a_trial_is_the_mean_over_its_folds():
    tried = _Tried()
    for scores in (_scores(1.0, 2.0, 0.5), _scores(0.5, 4.0, 0.25)):
        tried.add(scores)
    found = tried.trial("a candidate")
    curves = [calibration_curve(each.logits, each.labels, 1) for each in (_scores(1.0, 2.0, 0.5), _scores(0.5, 4.0, 0.25))]
    assert (found.calibration, found.harmonic_mean) == choose_calibration(curves, [2.0, 4.0])
    assert (found.candidate, found.acc_zsl, dict(found.figures)) == ("a candidate", 0.75, {"transfer_cosine": 0.375})


def test_a_trials_record_has_none_for_what_json_does_not_have():
    trial = Trial(GridCandidate("unit", "l2", (("gamma", 10.0),)), 0.5, float("nan"), float("inf"))
    found = plain(trial)
    assert (found["calibration"], found["harmonic_mean"], found["acc_zsl"], found["gamma"]) == (0.5, None, None, 10.0)


@pytest.mark.parametrize("with_folds", [True, False])
def test_a_candidate_that_another_run_chose_is_taken_and_its_calibration_measured(folds, parted, task, with_folds):
    tasks = [task(parted[0]), *(task(fold) for fold in folds if with_folds)]
    candidate = FEW.candidates(SETTINGS, tasks)[-1]
    chosen = choose(SETTINGS, FEW, tasks, candidate=candidate)
    assert (chosen.trial.candidate, list(chosen.trials)) == (candidate, [chosen.trial])
    if with_folds:
        tried = next(trial for trial in select(SETTINGS, FEW, tasks)[1] if trial.candidate == candidate)
        assert chosen.trial == tried
        assert chosen.probabilities.figures["validation_folds"] == 2
    else:
        assert (chosen.trial.calibration, chosen.calibration) == (0.0, 0.0)
        assert np.isnan([chosen.trial.harmonic_mean, chosen.trial.acc_zsl]).all()
        assert "validation_folds" not in chosen.probabilities.figures


def test_that_there_are_no_folds_is_said(parted, task, caplog):
    with caplog.at_level("WARNING", logger="niwt_tf"):
        choose(SETTINGS, ESZSL, [task(parted[0])])
    assert "too few seen classes or images for folds" in caplog.text


def test_progress_is_counted_in_candidates_of_all_folds(folds, task, monkeypatch):
    bars = []

    class Bar(tqdm):
        def __init__(self, *given, **options):
            bars.append((self, options))
            super().__init__(*given, **{**options, "disable": False, "file": io.StringIO()})

    monkeypatch.setattr("niwt_tf.protocol.selection.tqdm", Bar)
    for progress in (True, False):
        _, trials = select(SETTINGS, FEW, [task(fold) for fold in folds], progress=progress)
        bar, options = bars.pop()
        assert (bar.n, bar.total, options["disable"]) == (2 * len(trials), 2 * len(trials), not progress)
        assert bar.postfix == f"best={max(trial.harmonic_mean for trial in trials):.3f}"
    assert select(SETTINGS, FEW, [task(fold) for fold in folds[:1]]) and bars[0][1]["disable"]
