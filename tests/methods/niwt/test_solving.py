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
from niwt_tf.methods.niwt import solving
from niwt_tf.methods.niwt.importance import ClassImportance
from niwt_tf.methods.niwt.mapping import fit_ridge_map
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.seen_heads import SeenHead
from niwt_tf.methods.niwt.solving import Choice, Trial, candidates, fold_data, new_columns, select
from niwt_tf.methods.niwt.transfer_closed_form import ClosedForm
from niwt_tf.metrics.calibration import logit_statistics, seen_margin
from niwt_tf.models.backbones import build_network

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
    """Return folds, what they share, heads and maps, made of a random network."""
    folds = class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)
    base = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    random = np.random.default_rng(0)
    reader, data, measured, maps = Reader(base), [], {}, {}
    for fold in folds:
        names = fold.training.images.class_names
        heads = [
            SeenHead(s, random.normal(size=(base.num_features, 3)).astype(np.float32), np.zeros(3, np.float32))
            for s in SETTINGS.head_regularization
        ]
        means = [random.normal(size=(3, base.num_neurons)).astype(np.float32) for _ in heads]
        operator = random.normal(size=(base.num_neurons, base.num_features)).astype(np.float32)
        headed = base.with_head(heads[0].columns, heads[0].biases, names, 3)
        data.append(fold_data(SETTINGS, ENGINES, fold, headed, operator, reader))
        measured[fold.name] = [
            MeasuredHead(head, ClassImportance(mean, np.full(3, 4), 1.0, 0.0), mean, (mean.shape[1],))
            for head, mean in zip(heads, means, strict=True)
        ]
        maps[fold.name] = [fit_ridge_map(fold.training.descriptions, mean) for mean in means]
    return folds, data, measured, maps


def test_the_head_first_and_then_lambda_and_rate_for_it(world):
    best, trials = select(SETTINGS, ("tape",), *world, progress=False)
    choices = [trial.choice for trial in trials]
    assert [choice.head for choice in choices[:3]] == [0, 1, 2]
    assert {(choice.regularization, choice.learning_rate) for choice in choices[:3]} == {(1e-1, 1e-2)}
    assert len(trials) == 3 + 3
    chosen = max(trials[:3], key=lambda trial: trial.harmonic_mean).choice.head
    assert {choice.head for choice in choices[3:]} == {chosen}
    tried = {(choice.regularization, choice.learning_rate) for choice in choices if choice.head == chosen}
    assert len(tried) == 4
    assert best == max(trials, key=lambda trial: trial.harmonic_mean)
    assert best.head_regularization == SETTINGS.head_regularization[best.choice.head]


def test_validation_classes_decide_between_engines_too(world):
    best, trials = select(SETTINGS, ENGINES, *world, progress=False)
    tried = [trial.choice.engine for trial in trials]
    assert tried == ["tape"] * 6 + ["operator"] * 2 + ["closed_form"] * 2
    assert best.harmonic_mean == max(trial.harmonic_mean for trial in trials)


def test_anchors_are_tried_with_every_lambda_and_rate():
    settings = SETTINGS.replace(transfer_anchor="mean,zero")
    first, further = candidates(settings, ("tape", "closed_form"), 2)
    assert {choice.anchor for choice in first} == {"mean"}
    assert [len(further[engine]) for engine in ("tape", "closed_form")] == [2 * 2 * 2 - 1, 2 * 2]


def test_each_further_layer_is_weighted_in_turn():
    settings = SETTINGS.replace(extra_layers=("a", "b"), engine="closed_form")
    first, further = candidates(settings, ("closed_form",), 2)
    assert {choice.layer_weights for choice in [*first, *further["closed_form"]]} == {(1.0, 0.0, 0.0)}


def test_a_trial_is_what_its_columns_reach_on_the_validation_classes(world):
    folds, data, measured, maps = world
    settings = SETTINGS.replace(transfer_lambda=(1e-2,), transfer_learning_rate=(1e-2,), head_regularization=(1.0,))
    only = {name: heads[:1] for name, heads in measured.items()}
    best, trials = select(settings, ("tape",), folds, data, only, maps, progress=False)
    assert trials == [best]
    harmonic, zsl = [], []
    for fold, shared in zip(folds, data, strict=True):
        head = only[fold.name][0].head
        new = new_columns(
            settings,
            Choice(0, "tape", 1e-2, 1e-2),
            shared.network,
            head,
            maps[fold.name][0].predict(fold.validation_descriptions),
            shared.support,
            shared.statistics_features,
            shared.statistics_labels,
        )
        expanded = shared.network.with_head(head.columns, head.biases, fold.training.images.class_names, 3)
        expanded = expanded.expand(new.columns, new.biases, fold.evaluation.class_names[3:])
        logits = shared.features @ expanded.columns + expanded.biases
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
    folds, data, measured, maps = world
    shared, head = data[0], measured["fold_0"][0].head
    settings = SETTINGS.replace(column_scale=scale)
    importances = maps["fold_0"][0].predict(folds[0].validation_descriptions)
    features, labels = shared.statistics_features, shared.statistics_labels
    choice = Choice(0, engine, 1e-3, 1e-2)
    new = new_columns(settings, choice, shared.network, head, importances, shared.support, features, labels)
    statistics = logit_statistics(features, labels, head.columns, head.biases)
    assert (len(new.losses) > 0) == (engine != "closed_form")
    logits = features @ new.columns + new.biases
    if scale == "matched":
        np.testing.assert_allclose(logits.std(axis=0), statistics.deviation, rtol=1e-3)
        np.testing.assert_allclose(logits.mean(axis=0), statistics.mean, atol=1e-2)
    else:
        np.testing.assert_array_equal(new.biases, np.full(2, head.biases.mean(), np.float32))
    if (scale, engine) == ("raw", "closed_form"):
        expected = ClosedForm(shared.support.operator).columns(importances, head.columns, 1e-3)
        np.testing.assert_array_equal(new.columns, expected)


def test_the_best_of_equals_is_the_first():
    trial = Trial(Choice(0, "tape", 1e-3, 1e-2), 1.0, 0.5, 0.4, 0.3, 0.9)
    assert solving.best_trial([trial, Trial(Choice(1, "tape", 1e-3, 1e-2), 10.0, 0.5, 0.4, 0.9, 0.9)]) is trial


def test_the_closed_form_has_no_rate_to_try(world):
    _, trials = select(SETTINGS, ("closed_form",), *world, progress=False)
    assert {trial.choice.learning_rate for trial in trials} == {1e-2}
    assert len(trials) == 3 + 1


def test_penalties_of_the_map_are_tried_for_the_best_head_of_the_closed_form(world):
    settings = SETTINGS.replace(map_regularization=(0.1, 1.0, 10.0))
    best, trials = select(settings, ("closed_form",), *world, progress=False)
    assert [trial.choice.map_regularization for trial in trials[:6]] == [None] * 3 + [0.1, 1.0, 10.0]
    start = solving.best_trial(trials[:3]).choice
    assert {dataclasses.replace(trial.choice, map_regularization=None) for trial in trials[3:6]} == {start}
    assert trials[6].choice.map_regularization == solving.best_trial(trials[:6]).choice.map_regularization
    assert best.harmonic_mean == max(trial.harmonic_mean for trial in trials)
    _, descents = select(settings, ("tape",), *world, progress=False)
    assert {trial.choice.map_regularization for trial in descents} == {None}


def test_a_chosen_penalty_is_that_of_the_map(world):
    folds, _, measured, maps = world
    choice = Choice(1, "closed_form", 1e-2, 1e-2, map_regularization=0.3)
    found = solving.chosen_map(SETTINGS, folds[0], measured, maps, choice)
    expected = fit_ridge_map(
        folds[0].training.descriptions, measured[folds[0].name][1].targets, regularizations=(0.3,), normalisation="centred"
    )
    np.testing.assert_array_equal(found.weights, expected.weights)
    kept = dataclasses.replace(choice, map_regularization=None)
    assert solving.chosen_map(SETTINGS, folds[0], measured, maps, kept) is maps[folds[0].name][1]


# Who may be given a test image: evaluation alone.
_MAY_TEST = {
    ("scoring", "score_network"),
    ("baseline_scoring", "score_baseline"),
    ("oracle", "score_oracle"),
    ("faithfulness", "measure_faithfulness"),
    ("faithfulness_truth", "present_attributes"),
    ("faithfulness_truth", "truth_of_test_images"),
    ("finished_transfer", "read_test_features"),
    ("finished_transfer", "evaluate_transferer"),
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


@pytest.mark.parametrize("stage", ["train", "importance", "map", "transfer"])
def test_the_stages_before_evaluation_do_not_ask_for_test_images(repository, stage):
    tree = ast.parse((repository / "niwt_tf" / "jobs" / f"{stage}.py").read_text(encoding="utf-8"))
    assert not _names(tree) & {"test", "dataset", "test_data", "TestData"}
