"""The weight of a description: worlds in which it should be light or heavy, and folds in which nothing can be told."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds
from niwt_tf.methods.few_shot import FewShotChoice, SeenMoments
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt import few_shot_choice
from niwt_tf.methods.niwt.few_shot_choice import COUNTS, UNCHOSEN, WEIGHTS, FewShotFold, best_choice, few_shot_prior, world_of
from niwt_tf.methods.niwt.mapping import fit_ridge_map
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.niwt import METHOD
from niwt_tf.methods.niwt.solving import NiwtCandidate
from niwt_tf.methods.seen_heads import RidgeHeadPath, SeenHead
from niwt_tf.methods.task import Task
from niwt_tf.metrics.calibration import LogitStatistics, logit_statistics, match_logits, seen_margin
from niwt_tf.metrics.gzsl import CalibrationCurve, calibration_curve
from niwt_tf.models.backbones import build_network

SEEN, NEW, FEATURES = 6, 4, 24


def toy_world(noise: float, useful: bool, seed: int = 0, counts=COUNTS) -> FewShotFold:
    """Return classes around random means whose zero-shot columns are those of the true means, or random."""
    generator = np.random.default_rng(seed)
    means = generator.normal(size=(SEEN + NEW, FEATURES))
    labels = np.repeat(np.arange(SEEN + NEW), 40)
    features = (means[labels] + noise * generator.normal(size=(len(labels), FEATURES))).astype(np.float32)
    seen = labels < SEEN
    columns, biases = RidgeHeadPath.of(features[seen], labels[seen], SEEN).solve(0.3)
    statistics = logit_statistics(features[seen], labels[seen], columns, biases)
    wanted = means[SEEN:].T - means[:SEEN].mean(axis=0)[:, None]
    start = wanted if useful else generator.normal(size=wanted.shape)
    given = {
        count: np.stack(
            [
                (means[SEEN + c] + noise * generator.normal(size=(count, FEATURES))).mean(axis=0)
                for _ in range(3)
                for c in range(NEW)
            ],
            axis=1,
        )
        for count in counts
    }
    scores = features @ columns + biases
    margin = seen_margin(scores[seen], labels[seen])
    zero_shot, _ = match_logits(start.astype(np.float32), features[seen], statistics)
    moments = SeenMoments.of(features[seen], labels[seen], statistics)
    return FewShotFold(moments, zero_shot, given, features, labels, scores, margin)


def test_a_description_that_says_nothing_is_light_and_a_true_one_heavy():
    misled = best_choice([toy_world(1.5, useful=False)], 0.5)
    told = best_choice([toy_world(1.5, useful=True)], 0.5)
    assert misled.weight == min(WEIGHTS)
    assert told.weight >= 4 * misled.weight


def test_the_choice_is_the_same_each_time():
    assert best_choice([toy_world(1.0, useful=True)], 0.5) == best_choice([toy_world(1.0, useful=True)], 0.5)


def test_what_calibration_gave_is_taken_back():
    # A constant off the seen logits that helped zero-shot classes puts refined ones ahead of the seen ones.
    choices = [best_choice([toy_world(1.0, useful=False)], calibration) for calibration in (0.0, 0.5, 1.0)]
    assert choices[0].surplus == 0
    assert 0 < choices[1].surplus < choices[2].surplus


@pytest.mark.parametrize("worlds", [[], [toy_world(1.0, True, counts=())]])
def test_without_images_nothing_is_chosen(worlds):
    assert best_choice(worlds, 0.5) == UNCHOSEN


def test_counts_that_only_some_folds_reach_are_left_out():
    short = toy_world(1.0, True, counts=(1, 2))
    cut = replace(toy_world(1.0, True, seed=1), means={n: toy_world(1.0, True, seed=1).means[n] for n in (1, 2)})
    assert best_choice([short, toy_world(1.0, True, seed=1)], 0.5) == best_choice([short, cut], 0.5)


def test_a_fold_is_scored_by_columns_as_refine_makes_them():
    world, weights = toy_world(1.0, True, counts=(1, 3)), [0.5, 4.0]
    found = few_shot_choice._curves(world, [1, 3], "within", 0.1, weights)
    prior = world.moments.prior(FewShotChoice("within", 0.1, 1.0, 0.0), world.margin)
    zero_shot = world.columns.T
    for count, index, draw in itertools.product((1, 3), range(2), range(3)):
        given = np.split(world.means[count], 3, axis=1)[draw].T
        refine = replace(prior, weight=weights[index]).refine
        made = [refine(column, 0.0, np.tile(mean, (count, 1))) for column, mean in zip(zero_shot, given, strict=True)]
        new = world.features @ np.stack([each.column for each in made], axis=1) + [each.bias for each in made]
        expected = calibration_curve(np.concatenate([world.seen_scores, new], axis=1), world.labels, SEEN)
        curve = found[count][index][draw]
        for calibration in np.linspace(-2, 2, 9) * world.margin:
            for one, other in zip(at(curve, calibration), at(expected, calibration), strict=True):
                assert one == pytest.approx(other, abs=0.01)  # rounding may move an image


def at(curve, calibration):
    """Return accuracy on seen and on new classes."""
    point = np.searchsorted(curve.calibrations, calibration) - 1
    return curve.acc_seen[point], curve.acc_unseen[point]


@pytest.fixture(scope="module")
def coloured_world(coloured_seen):
    """Return the task of a fold of the coloured images with a random network, head and map, and its generator."""
    settings = Settings(engine="closed_form", map="ridge")
    fold = class_folds(coloured_seen, num_folds=1, num_validation=2, num_unseen=2, seed=0)[0]
    network = build_network("small_vgg", fold.training.images.class_names, input_size=16)
    random = np.random.default_rng(0)
    head = SeenHead(1.0, random.normal(size=(network.num_features, 3)).astype(np.float32), np.zeros(3, np.float32))
    means = random.normal(size=(3, network.num_neurons)).astype(np.float32)
    operator = random.normal(size=(network.num_neurons, network.num_features)).astype(np.float32)
    measured = MeasuredHead(head, ClassImportance(means, np.full(3, 4), 1.0, 0.0), means, (means.shape[1],))
    task = Task(settings, fold, network, Reader(network))
    task.keep("operator", operator)
    task.keep("measured", [measured])
    task.keep("maps", [fit_ridge_map(fold.training.descriptions.values, means)])
    return task, METHOD.fit(task, CANDIDATE)


CANDIDATE = NiwtCandidate(0, "closed_form", 1e-2, 1e-2)


def test_images_refine_or_are_scored_and_never_both(coloured_world):
    task, generator = coloured_world
    world, features = world_of(task, generator), task.features(task.evaluated)
    # Five images a validation class: two may be given to it, three are scored with the held-out ones.
    assert set(world.means) == {1, 2}
    assert np.bincount(world.labels)[3:].tolist() == [3, 3]
    given = world.means[1].T
    assert given.shape == (3 * 2, features.shape[1])
    rest = np.abs(given[:, None] - world.features[None]).max(axis=2)
    assert (rest > 1e-6).all()
    assert (np.abs(given[:, None] - features[None]).max(axis=2).min(axis=1) < 1e-6).all()


def test_the_seen_scores_of_a_fold_have_the_biases_and_its_margin_is_that_of_its_held_out_images(coloured_world):
    task, generator = coloured_world
    biases = np.array([0.5, -0.25, 2.0], np.float32)
    measured = replace(generator.head, head=replace(generator.head.head, biases=biases))
    held_out = task.partition.held_out
    expected = seen_margin(task.features(held_out) @ measured.head.columns + biases, held_out.labels)
    world = world_of(task, replace(generator, head=measured))
    assert world.margin == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(world.seen_scores, world.features @ measured.head.columns + biases, rtol=1e-4, atol=1e-5)


def _with_rows(generator):
    random = np.random.default_rng(1)
    rows = random.normal(size=(30, len(generator.head.head.columns))).astype(np.float32)
    return replace(generator, features=rows, labels=np.arange(30) % 3)


def test_the_prior_is_of_the_main_network_and_in_its_units(coloured_world):
    main = _with_rows(coloured_world[1])
    one, two = (few_shot_prior(main, [coloured_world], 0.4, margin) for margin in (1.0, 2.0))
    head = main.head.head
    expected = logit_statistics(main.features, main.labels, head.columns, head.biases)
    assert one.statistics == two.statistics == LogitStatistics(expected.mean, expected.deviation)
    np.testing.assert_allclose(one.mean, main.features.mean(axis=0), atol=1e-6)
    assert two.surplus == pytest.approx(2 * one.surplus)
    assert one.weight in WEIGHTS


def test_without_folds_the_default_is_taken(coloured_world):
    prior = few_shot_prior(_with_rows(coloured_world[1]), [], 0.4, 1.0)
    assert (prior.weight, prior.surplus) == (UNCHOSEN.weight, 0.0)


def _ends(last, seen, unseen):
    """A curve of two points, which changes at `last`."""
    return CalibrationCurve(np.array([-np.inf, last]), np.array(seen), np.array(unseen))


@pytest.mark.parametrize(
    ("curve", "share", "expected"),
    [
        # The constant less the surplus is best above 1.5, up to which the surplus goes from -1: in the middle is -0.75.
        (_ends(1.5, [0.1, 0.5], [0.1, 0.5]), 1.0, -0.75),
        # It is best up to -1, so from a surplus of 2 to the largest that is tried, 3.
        (_ends(-1.0, [0.5, 0.1], [0.5, 0.1]), 1.0, 2.5),
        # By half of it, the constant comes to 0 at a surplus of 2 only.
        (_ends(0.0, [0.5, 0.1], [0.5, 0.1]), 0.5, 2.5),
    ],
)
def test_the_surplus_by_hand(curve, share, expected):
    assert few_shot_choice._surplus([[curve]], [share], [1.0], 1.0) == pytest.approx(expected, abs=0.02)
    # In another unit all is larger by it; the constant is in units already.
    scaled = replace(curve, calibrations=2 * curve.calibrations)
    assert few_shot_choice._surplus([[scaled]], [share], [2.0], 1.0) == pytest.approx(expected, abs=0.02)


def test_the_surplus_is_in_proportion_to_the_constant():
    curve = _ends(3.0, [0.1, 0.5], [0.1, 0.5])
    assert few_shot_choice._surplus([[curve]], [1.0], [1.0], 2.0) == pytest.approx(-1.5, abs=0.04)
    assert few_shot_choice._surplus([[curve]], [1.0], [1.0], 0.0) == 0.0


@pytest.mark.parametrize(("counts", "folds"), [(1, 1), (2, 2), (1, 3)])
def test_of_surpluses_only_those_near_the_best_count(counts, folds):
    """How near is by the mean over all counts and folds."""
    edges = np.array([-np.inf, -2.0, -1.0])
    # 0.5 from 0 to 1, nearly as much from 1 to 2 and 0.49 beyond, of the constant 0 less the surplus.
    for accuracy, last in ((0.4993, 3.0), (0.498, 2.0)):
        curve = CalibrationCurve(edges, np.array([0.49, accuracy, 0.5]), np.array([0.49, accuracy, 0.5]))
        found = few_shot_choice._surplus([[curve] * folds] * counts, [1.0] * counts, [1.0] * folds, 1.0)
        assert found == pytest.approx((-1.0 + last) / 2, abs=0.02)


def test_a_class_gives_no_more_images_than_are_asked_of_one(coloured_world, monkeypatch):
    task, generator = coloured_world
    monkeypatch.setattr(few_shot_choice, "COUNTS", (1,))
    world = world_of(task, generator)
    assert set(world.means) == {1}
    assert np.bincount(world.labels)[3:].tolist() == [4, 4]


def test_so_many_images_at_most_are_scored(coloured_world, monkeypatch):
    task, generator = coloured_world
    every = len(world_of(task, generator).labels)
    monkeypatch.setattr(few_shot_choice, "_SCORED", 5)
    world = world_of(task, generator)
    assert (every > 5, len(world.labels), world.features.shape[0], world.seen_scores.shape) == (True, 5, 5, (5, 3))


@pytest.mark.parametrize(("left", "counts", "scored"), [(1, {1}, 0), (0, set(), 0), (2, {1}, 1), (4, {1, 2}, 2)])
def test_classes_of_few_images_give_half_of_them_and_at_least_one(coloured_world, left, counts, scored):
    task, generator = coloured_world
    images, taken = task.partition.evaluation, []
    for label in range(5):
        members = np.flatnonzero(images.labels == label)
        taken += [members if label < 3 else members[:left]]
    fold = replace(task.partition, evaluation=images.take(np.concatenate(taken)))
    short = Task(task.settings, fold, task.network, task.reader)
    world = world_of(short, generator)
    assert set(world.means) == counts
    assert np.bincount(world.labels, minlength=5)[3:].tolist() == [scored, scored]
    assert all(means.shape == (generator.head.head.columns.shape[0], 3 * 2) for means in world.means.values())


def test_what_is_tried_and_what_is_taken_without_a_choice():
    assert FewShotChoice("within", 0.3, 2.0, 0.0) == few_shot_choice.UNCHOSEN
    assert COUNTS == (1, 2, 5, 10, 20)
    assert set(few_shot_choice._FIRST_WEIGHTS) < set(WEIGHTS)
