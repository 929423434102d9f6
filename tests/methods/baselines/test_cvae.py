"""The conditional VAE by hand, its head against scikit-learn's optimum, and the method on a linear world."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.folds import main_partition
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.baselines.cvae import (
    METHOD,
    CVAEGenerator,
    divergence,
    initial_weights,
    loss_of,
    softmax_regression,
    train,
)
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.task import Task
from tests.methods.baselines.linear_world import linear_world


def test_the_loss_by_hand():
    """One number of everything: x = 2, k = 1, encoder relu(x + k) = 3, mean 3 - 2 = 1, log variance log 4 without the 3."""
    one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    both = np.ones((2, 1), np.float32)
    weights = [both, zero, one, zero - 2, 0 * one, np.float32([np.log(4)]), both, zero, 2 * one, zero - 9]
    # z = 1 + 2 * 0.5 = 2, made = 2 relu(2 + 1) - 9 = -3, half the squared error 12.5; divergence (1 + 4 - log 4 - 1) / 2.
    found = loss_of(weights, np.float32([[2]]), one, np.float32([[0.5]]), 0.1)
    assert float(found) == pytest.approx(12.5 + 0.1 * (4 - np.log(4)) / 2, rel=1e-6)
    np.testing.assert_allclose(divergence(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32)), [0.0])


def test_the_loss_is_the_same_compiled():
    rng = np.random.default_rng(0)
    weights = initial_weights(rng, 6, 3, 2)
    given = [rng.normal(size=(5, size)).astype(np.float32) for size in (6, 3, 2)]
    compiled = tf.function(lambda *each: loss_of(weights, *each, 1.0), jit_compile=True)
    assert float(compiled(*given)) == pytest.approx(float(loss_of(weights, *given, 1.0)), rel=1e-5)


def _generator(weights, world, standard, **changed) -> CVAEGenerator:
    rows = np.asarray(standard(world.sample.features), np.float32)
    normaliser = DescriptionNormaliser("raw", np.zeros(4, np.float32))
    given = {"generated": 25, "strength": 10.0, "seed": 0} | changed
    return CVAEGenerator(weights, normaliser, standard, world.seen, rows, world.sample.labels, **given)


@pytest.fixture(scope="module")
def trained():
    """Return a linear world and a generator of it."""
    world = linear_world()
    standard = Standard.of(world.sample.features)
    rows = np.asarray(standard(world.sample.features), np.float32)
    (_, weights), = train(rows, world.sample.labels, 2 * world.seen, 2, 0.1, (400,), 0)
    return world, _generator(weights, world, standard)


def _new(world, *rows: int) -> Descriptions:
    return Descriptions(tuple(f"new {row}" for row in rows), world.new[list(rows)])


def test_features_are_generated_by_hand():
    """z is added to the description and kept where it is positive; the decoder gives it and its negative."""
    world, standard = linear_world(), Standard(np.zeros(2, np.float32), np.ones(2, np.float32))
    weights = np.ones((2, 1), np.float32), np.zeros(1, np.float32), np.float32([[1, -1]]), np.float32([0, 3])
    normaliser = DescriptionNormaliser("raw", np.zeros(1, np.float32))
    rows = np.zeros((2, 2), np.float32), np.arange(2)
    generator = CVAEGenerator(weights, normaliser, standard, world.seen[:2, :1], *rows, 4, 1.0, 7)
    latent = np.random.default_rng([7, 53]).normal(size=(4, 1))
    found = generator.features_of(np.float32([[0.5], [-0.5]]))
    for made, described in zip(found, (0.5, -0.5), strict=True):
        kept = np.maximum(latent[:, 0] + described, 0)
        np.testing.assert_allclose(made, np.column_stack([kept, 3 - kept]), rtol=1e-5, atol=1e-6)


def test_generated_features_are_near_the_means_of_real_ones(trained):
    world, generator = trained
    real = np.asarray(generator.standard(world.unseen_features))
    means = np.stack([real[world.unseen_labels == label].mean(axis=0) for label in range(3)])
    made = generator.features_of(world.new).mean(axis=1)
    assert np.linalg.norm(made - means) < 0.5 * np.linalg.norm(means)


def test_one_linear_head_classifies_seen_and_new_classes(trained):
    world, generator = trained
    parameters = generator.generate(_new(world, 0, 1, 2))
    assert (parameters.names, parameters.unit_features) == (("new 0", "new 1", "new 2"), False)
    columns, biases = parameters.head
    assert (columns.shape, biases.shape, columns.dtype, biases.dtype) == ((10, 12), (12,), np.float32, np.float32)
    unseen, seen = parameters.scores_of(world.unseen_features), parameters.scores_of(world.sample.features)
    assert (unseen[:, 9:].argmax(axis=1) == world.unseen_labels).mean() > 0.9
    assert (seen.argmax(axis=1) == world.sample.labels).mean() > 0.9
    # The head is the softmax regression of exactly these rows.
    made = generator.features_of(world.new).reshape(-1, 10)
    labels = np.concatenate([world.sample.labels, np.repeat(np.arange(9, 12), 25)])
    fitted = softmax_regression(np.concatenate([generator.features, made]), labels, 12, 10.0)
    for found, expected in zip(parameters.head, generator.standard.head(fitted), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_new_class_changes_the_head_and_of_no_class_the_seen_are_left(trained):
    world, generator = trained
    assert not generator.independent and generator.formula is None
    one, two = generator.generate(_new(world, 0)), generator.generate(_new(world, 0, 1))
    assert np.abs(one.seen[0] - two.seen[0]).max() > 1e-4
    none = generator.generate(Descriptions((), np.zeros((0, 4), np.float32)))
    assert none.head[0].shape == (10, 9)
    with pytest.raises(InputError, match="a method that writes a network from texts alone"):
        generator.synthesize(_new(world, 0))


def test_a_seen_class_without_a_photograph_is_generated(trained):
    world, generator = trained
    kept = generator.labels != 4
    without = CVAEGenerator(**{**vars(generator), "features": generator.features[kept], "labels": generator.labels[kept]})
    scores = without.generate(_new(world, 0)).scores_of(world.sample.features)
    assert (scores.argmax(axis=1) == world.sample.labels)[~kept].mean() > 0.5


@pytest.mark.parametrize("classes", [2, 3])
def test_the_softmax_regression_weighs_classes_alike_and_is_the_optimum(classes):
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(classes), [30, 10, 5][:classes])
    rows = (rng.normal(size=(classes, 4))[labels] + rng.normal(size=(len(labels), 4))).astype(np.float32)
    fitted = softmax_regression(rows, labels, classes, 2.0)
    assert (fitted.shape, fitted.dtype) == ((classes, 5), np.float32)

    def loss(head: np.ndarray) -> float:
        logits = tf.nn.log_softmax(rows @ head[:, :-1].T + head[:, -1]).numpy()
        weights = len(labels) / (classes * np.bincount(labels)[labels])
        # Of two classes scikit-learn knows one column, the difference of both: it is that which is decayed.
        columns = head[:, :-1] if classes > 2 else head[1:, :-1] - head[:1, :-1]
        return float(2.0 / 4 * -(weights * logits[np.arange(len(labels)), labels]).sum() + (columns**2).sum() / 2)

    for moved in rng.normal(size=(20, *fitted.shape)):
        assert loss(fitted) < loss(fitted + 0.05 * moved)


def test_a_class_alone_has_a_head():
    np.testing.assert_array_equal(softmax_regression(np.ones((3, 2), np.float32), np.zeros(3, int), 1, 1.0), np.zeros((1, 3)))


@pytest.mark.slow
def test_stops_are_on_the_way_of_one_training():
    world = linear_world(images=8)
    given = world.sample.features, world.sample.labels, world.seen, 2, 1.0
    both, alone = dict(train(*given, (3, 5), 1)), dict(train(*given, (5,), 1))
    for one, same in zip(both[5], alone[5], strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-6)
    assert np.abs(both[3][0] - both[5][0]).max() > 1e-5


def test_the_method_fits_and_comes_back_from_a_file(coloured_seen, tmp_path):
    features = np.random.default_rng(0).random((len(coloured_seen.images), 7)).astype(np.float32)
    known = dict(zip(coloured_seen.images.paths, features, strict=True))

    def source(_, images):
        return np.stack([known[path] for path in images.paths])

    task = Task(Settings(seed=3), main_partition(coloured_seen, 0), None, None, source)
    values = {"latent": 2.0, "beta": 1.0, "steps": 2.0, "generated": 3.0, "strength": 1.0}
    candidate = METHOD.candidate_of({"features": "raw", "descriptions": "centred", **values})
    assert METHOD.candidate_of(candidate.as_dict()) == candidate
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHOD.grid, "steps", (2.0,))
        generator = METHOD.fit(task, candidate)
    np.savez(tmp_path / "generator.npz", **generator.arrays())
    with np.load(tmp_path / "generator.npz", allow_pickle=False) as file:
        again = METHOD.generator_of(task.settings, None, dict(file))
    new = Descriptions(("new",), coloured_seen.descriptions.values.mean(axis=0, keepdims=True))
    for before, after in zip(generator.generate(new).head, again.generate(new).head, strict=True):
        np.testing.assert_array_equal(before, after)
    assert METHOD.how(candidate) == "a head fitted to 3 features generated from its description, by CVAE"
