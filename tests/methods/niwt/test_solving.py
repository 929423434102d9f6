"""Choices on validation classes: what is tried, what is chosen, and what cannot be reached."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest

import niwt_tf.experiments
from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds
from niwt_tf.methods.base import Trial, best_trial
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt import solving
from niwt_tf.methods.niwt.mapping import fit_ridge_map
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.niwt import METHOD, grid_of
from niwt_tf.methods.niwt.prepared import map_of, measured_of, statistics_of, support_for
from niwt_tf.methods.niwt.solving import NiwtCandidate, new_columns
from niwt_tf.methods.niwt.transfer import Transfer, TransferOptions
from niwt_tf.methods.niwt.transfer_closed_form import ClosedForm
from niwt_tf.methods.seen_heads import BiasForm, SeenHead
from niwt_tf.methods.task import Task
from niwt_tf.metrics.calibration import logit_statistics, seen_margin
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol.selection import select

ENGINES = ("tape", "operator", "closed_form")
SETTINGS = Settings(
    transfer_lambda=(1e-3, 1e-1),
    transfer_learning_rate=(1e-3, 1e-2),
    transfer_steps=4,
    num_support=6,
    transfer_batch_size=4,
    head_regularization=(1.0, 10.0, 100.0),
    map_regularization=(1.0,),
    engine="tape",
)


@pytest.fixture(scope="module")
def world(coloured_seen):
    """Return a function from settings to the folds' tasks, with heads and maps made of a random network."""
    folds = class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)
    base = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    random = np.random.default_rng(0)
    reader, kept = Reader(base), {}
    for fold in folds:
        heads = [
            SeenHead(s, random.normal(size=(base.num_features, 3)).astype(np.float32), np.zeros(3, np.float32))
            for s in SETTINGS.head_regularization
        ]
        means = [random.normal(size=(3, base.num_neurons)).astype(np.float32) for _ in heads]
        measured = [
            MeasuredHead(head, ClassImportance(mean, np.full(3, 4), 1.0, 0.0), mean, (mean.shape[1],))
            for head, mean in zip(heads, means, strict=True)
        ]
        operator = random.normal(size=(base.num_neurons, base.num_features)).astype(np.float32)
        maps = [fit_ridge_map(fold.training.descriptions.values, mean) for mean in means]
        kept[fold.name] = {"operator": operator, "measured": measured, "maps": maps}

    def tasks(settings=SETTINGS, heads=3, engines=None):
        made = []
        for fold in folds:
            first, names = kept[fold.name]["measured"][0].head, fold.training.images.class_names
            headed = base.with_head(first.columns, np.zeros(3), names, 3)
            task = Task(settings, fold, headed, reader)
            for key, value in kept[fold.name].items():
                task.keep(key, value if key == "operator" else value[:heads])
            made.append(task)
        if engines is not None:
            made[0].keep("engines", engines)
        return made

    return tasks


def _select(world, settings=SETTINGS, engines=("tape",), heads=3, folds=1):
    return select(settings, METHOD, world(settings, heads, engines)[:folds])


@pytest.mark.slow
@pytest.mark.combination
def test_the_head_first_and_then_lambda_and_rate_for_it(world):
    best, trials = _select(world)
    choices = [trial.candidate for trial in trials]
    assert [choice.head for choice in choices[:3]] == [0, 1, 2]
    assert {(choice.regularization, choice.learning_rate) for choice in choices[:3]} == {(1e-1, 1e-2)}
    assert len(trials) == 3 + 3
    chosen = max(trials[:3], key=lambda trial: trial.harmonic_mean).candidate.head
    assert {choice.head for choice in choices[3:]} == {chosen}
    tried = {(choice.regularization, choice.learning_rate) for choice in choices if choice.head == chosen}
    assert len(tried) == 4
    assert best == max(trials, key=lambda trial: trial.harmonic_mean)
    assert best.candidate.head_regularization == SETTINGS.head_regularization[best.candidate.head]


def test_validation_classes_decide_between_engines_too(world):
    best, trials = _select(world, SETTINGS.replace(transfer_learning_rate=(1e-2,)), ENGINES, heads=1)
    tried = [trial.candidate.engine for trial in trials]
    assert tried == ["tape"] * 2 + ["operator"] * 2 + ["closed_form"] * 2
    assert best.harmonic_mean == max(trial.harmonic_mean for trial in trials)


def _heads(count):
    return [SeenHead(1.0, np.zeros((2, 2), np.float32), np.zeros(2, np.float32))] * count


def test_anchors_are_tried_with_every_lambda_and_rate():
    settings = SETTINGS.replace(transfer_anchor="mean,zero")
    first, further = grid_of(settings, ("tape", "closed_form"), _heads(2))
    assert {choice.anchor for choice in first} == {"mean"}
    engines = [choice.engine for choice in further]
    assert (engines.count("tape"), engines.count("closed_form")) == (2 * 2 * 2 - 1, 2 * 2)


def test_each_further_layer_is_left_out_at_first():
    settings = SETTINGS.replace(extra_layers=("a", "b"), engine="closed_form")
    first, further = grid_of(settings, ("closed_form",), _heads(2))
    assert {choice.layer_weights for choice in [*first, *further]} == {(1.0, 0.0, 0.0)}


@pytest.mark.slow
def test_a_trial_is_what_its_columns_reach_on_the_validation_classes(world):
    settings = SETTINGS.replace(transfer_lambda=(1e-2,), transfer_learning_rate=(1e-2,), head_regularization=(1.0,))
    best, trials = _select(world, settings, heads=1, folds=2)
    assert trials == [best]
    harmonic, zsl = [], []
    for task in world(settings, 1):
        fold, head = task.partition, measured_of(task)[0].head
        candidate = NiwtCandidate(0, "tape", 1e-2, 1e-2)
        importances = map_of(task, candidate).predict(fold.validation_descriptions.values)
        known = support_for(task, "tape"), *statistics_of(task)
        new = new_columns(settings, candidate, task.network, head, importances, *known)
        expanded = task.network.with_head(head.columns, head.biases, fold.training.images.class_names, 3)
        expanded = expanded.expand(new.columns, new.biases, fold.evaluation.class_names[3:])
        logits = task.features(fold.evaluation) @ expanded.columns + expanded.biases
        labels = fold.evaluation.labels
        unseen = labels >= 3
        shares = [(logits[labels == c, 3:].argmax(axis=1) == c - 3).mean() for c in (3, 4)]
        zsl.append(np.mean(shares))
        logits[:, :3] -= best.calibration * seen_margin(logits[~unseen, :3], labels[~unseen])
        hits = logits.argmax(axis=1) == labels
        sides = [np.mean([hits[labels == c].mean() for c in np.unique(labels[side])]) for side in (~unseen, unseen)]
        harmonic.append(2 * sides[0] * sides[1] / max(sum(sides), 1e-12))
    assert best.acc_zsl == pytest.approx(np.mean(zsl))
    assert best.harmonic_mean == pytest.approx(np.mean(harmonic))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scale", ["matched", "raw"])
def test_matched_columns_have_the_scale_of_the_seen_logits(world, scale, engine):
    task = world(SETTINGS.replace(column_scale=scale))[0]
    head, support, (features, labels) = measured_of(task)[0].head, support_for(task, engine), statistics_of(task)
    choice = NiwtCandidate(0, engine, 1e-3, 1e-2)
    importances = map_of(task, choice).predict(task.partition.validation_descriptions.values)
    new = new_columns(task.settings, choice, task.network, head, importances, support, features, labels)
    statistics = logit_statistics(features, labels, head.columns, head.biases)
    assert (len(new.losses) > 0) == (engine != "closed_form")
    logits = features @ new.columns + new.biases
    if scale == "matched":
        np.testing.assert_allclose(logits.std(axis=0), statistics.deviation, rtol=1e-3)
        np.testing.assert_allclose(logits.mean(axis=0), statistics.mean, atol=1e-2)
    else:
        np.testing.assert_array_equal(new.biases, np.full(2, head.biases.mean(), np.float32))
    if (scale, engine) == ("raw", "closed_form"):
        expected = ClosedForm(support.operator).columns(importances, head.columns, 1e-3)
        np.testing.assert_array_equal(new.columns, expected)


def test_the_best_of_equals_is_the_first():
    trial = Trial(NiwtCandidate(0, "tape", 1e-3, 1e-2), 0.5, 0.4, 0.3)
    assert best_trial([trial, Trial(NiwtCandidate(1, "tape", 1e-3, 1e-2), 0.5, 0.4, 0.9)]) is trial


def test_the_closed_form_has_no_rate_to_try(world):
    _, trials = _select(world, engines=("closed_form",))
    assert {trial.candidate.learning_rate for trial in trials} == {1e-2}
    assert len(trials) == 3 + 1


def test_penalties_of_the_map_are_tried_for_the_best_head_of_the_closed_form(world):
    settings = SETTINGS.replace(map_regularization=(0.1, 1.0, 10.0))
    best, trials = _select(world, settings, ("closed_form",))
    assert [trial.candidate.map_regularization for trial in trials[:6]] == [None] * 3 + [0.1, 1.0, 10.0]
    start = best_trial(trials[:3]).candidate
    assert {dataclasses.replace(trial.candidate, map_regularization=None) for trial in trials[3:6]} == {start}
    assert trials[6].candidate.map_regularization == best_trial(trials[:6]).candidate.map_regularization
    assert best.harmonic_mean == max(trial.harmonic_mean for trial in trials)
    one = settings.replace(transfer_lambda=(1e-2,), transfer_learning_rate=(1e-2,))
    _, descents = _select(world, one, ("tape",), heads=2)
    assert len(descents) == 2
    assert {trial.candidate.map_regularization for trial in descents} == {None}


def test_a_chosen_penalty_is_that_of_the_map(world):
    task = world()[0]
    choice = NiwtCandidate(1, "closed_form", 1e-2, 1e-2, map_regularization=0.3)
    found = map_of(task, choice)
    values, targets = task.descriptions.values, measured_of(task)[1].targets
    expected = fit_ridge_map(values, targets, regularizations=(0.3,), normalisation="centred")
    np.testing.assert_array_equal(found.weights, expected.weights)
    kept = dataclasses.replace(choice, map_regularization=None)
    assert map_of(task, kept) is task.cached("maps", None)[1]


def test_a_candidate_goes_through_its_values():
    candidate = NiwtCandidate(1, "closed_form", 1e-2, 1e-2, "zero", (1.0, 0.3), 0.1, "lda", 10.0)
    assert NiwtCandidate.from_dict(candidate.as_dict() | {"calibration": 1.0}) == candidate
    arrays = {name: np.array(value) for name, value in candidate.as_dict().items()}
    assert NiwtCandidate.from_dict(arrays) == candidate


# Who may be given a test image: evaluation alone.
_MAY_TEST = {
    ("oracle", "score_oracle"),
    ("rerun", "read_test_features"),
    ("rerun", "evaluate_chosen"),
    ("lambda_sweep", "lambda_sweep"),
    ("layer_depth", "layer_depth"),
    ("support_images", "support_images"),
    ("weight_recovery", "weight_recovery"),
}
_TEST_TYPES = {"TestData", "TestFeatures", "Dataset", "test_data", "RunData"}


def _names(node: ast.AST) -> set[str]:
    found = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return found | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def test_nothing_that_trains_or_selects_takes_test_images():
    """By construction: what holds test images is named in the functions that evaluate, and nowhere else in experiments."""
    folder = Path(inspect.getfile(niwt_tf.experiments)).parent
    users = set()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Import | ast.ImportFrom) and _names(node) & _TEST_TYPES:
                users.add((path.stem, getattr(node, "name", ast.unparse(node)[:60])))
    assert users == _MAY_TEST


def test_the_stages_before_evaluation_do_not_ask_for_test_images(repository):
    tree = ast.parse((repository / "niwt_tf" / "jobs" / "fit.py").read_text(encoding="utf-8"))
    assert not _names(tree) & {"test", "dataset", "test_data", "TestData"}


def test_a_descents_columns_get_the_length_that_meets_the_importances_best():
    # The operator doubles: (4, 0) is multiplied by 6 / 4, and what reaches nothing stays so.
    operator = 2 * np.eye(2, dtype=np.float32)
    columns = np.array([[2.0, 0.0], [0.0, 0.0]], np.float32)
    found = solving._of_length(columns, operator, np.array([[6.0, 8.0], [1.0, 1.0]]))
    np.testing.assert_allclose(found, [[3.0, 0.0], [0.0, 0.0]])
    assert found.dtype == np.float32


def test_a_candidate_of_before_there_were_more_layers_and_heads():
    old = {"head": 1, "engine": "tape", "regularization": 0.1, "learning_rate": 0.01}
    assert NiwtCandidate.from_dict(old) == NiwtCandidate(1, "tape", 0.1, 0.01, "mean", (1.0,), None, "ridge", 0.0)


def test_a_descent_starts_at_the_closed_form_of_a_lambda_of_a_tenth(world, monkeypatch):
    task = world()[0]
    head, support, (features, labels) = measured_of(task)[0].head, support_for(task, "operator"), statistics_of(task)
    given = {}

    def descent(exact, importances, columns, biases, options, start):
        given.update(options=options, start=start)
        return Transfer(start, np.zeros(2, np.float32), np.array([0.5], np.float32), 0.25)

    monkeypatch.setattr(solving, "transfer_by_operator", descent)
    settings = task.settings.replace(transfer_steps=17, transfer_batch_size=3, regularizer="squared", seed=9)
    importances = map_of(task, CHOICE).predict(task.partition.validation_descriptions.values)
    new = new_columns(settings, CHOICE, task.network, head, importances, support, features, labels)
    np.testing.assert_array_equal(given["start"], ClosedForm(support.operator).columns(importances, head.columns, 0.1, "zero"))
    assert given["options"] == TransferOptions(1e-3, "zero", "squared", 1e-2, 3, 17, patience=40, seed=9)
    assert (new.mean_cosine, new.losses.tolist()) == (0.25, [0.5])


def test_a_descent_for_a_discriminant_has_lengths_that_meet_the_importances(world, monkeypatch):
    task = world()[0]
    head, support, (features, labels) = measured_of(task)[0].head, support_for(task, "operator"), statistics_of(task)
    columns = np.random.default_rng(3).normal(size=(len(head.columns), 2)).astype(np.float32)
    importances = np.random.default_rng(4).normal(size=(2, len(support.operator)))
    found = Transfer(columns, np.zeros(2, np.float32), np.array([0.5], np.float32), 0.25)
    monkeypatch.setattr(solving, "transfer_by_operator", lambda *of, **named: found)
    size = len(head.columns)
    form = BiasForm(np.full(size, 0.5, np.float32), np.eye(size, dtype=np.float32), 2.0, 1.0)
    head = dataclasses.replace(head, kind="lda", form=form)
    new = new_columns(task.settings, CHOICE, task.network, head, importances, support, features, labels)
    np.testing.assert_array_equal(new.columns, solving._of_length(columns, support.operator, importances))
    np.testing.assert_array_equal(new.biases, form.biases(new.columns))


CHOICE = NiwtCandidate(0, "operator", 1e-3, 1e-2, "zero")
