"""PDCNN: a folded column is a projection first, window means are a convolution, and words of colours are learnt."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.config.names import network_methods
from niwt_tf.data.folds import Fold
from niwt_tf.errors import InputError
from niwt_tf.methods.baselines import pdcnn, pdcnn_conv, pdcnn_fc
from niwt_tf.methods.baselines.pdcnn import Writer, episode, initial_weights, window_means
from niwt_tf.methods.baselines.pdcnn_conv import ConvParameters
from niwt_tf.methods.baselines.pooled_text import PooledTexts, TextCandidate
from niwt_tf.methods.standard import Standard
from tests.methods.baselines.text_world import NEW, accuracy, text_tasks

MODULES = {"fc": pdcnn_fc, "conv": pdcnn_conv}


@pytest.fixture
def short(monkeypatch):
    """Make the training short."""
    for module in (pdcnn, pdcnn_fc, pdcnn_conv):
        monkeypatch.setattr(module, "STEPS", (60, 30))
        if hasattr(module, "METHOD"):
            monkeypatch.setattr(type(module.METHOD), "steps", (60, 30))
    monkeypatch.setattr(pdcnn, "RATE", 1e-2)


def test_a_folded_column_is_a_projection_first():
    rng = np.random.default_rng(0)
    weights = [each + rng.normal(0, 0.1, each.shape) for each in initial_weights(rng, 6, 4, None)]
    features, texts = rng.normal(3, 2, (20, 6)).astype(np.float32), rng.normal(size=(5, 4))
    standard, writer = Standard.of(features), Writer(tuple(weights))
    projection, first, first_bias, last, last_bias = weights
    written = np.maximum(texts @ first + first_bias, 0) @ last + last_bias
    expected = (standard(features) @ projection) @ written[:, :-1].T + written[:, -1]
    columns, biases = standard.head(writer.head(texts))
    np.testing.assert_allclose(features @ columns + biases, expected, atol=1e-4)
    # As the loss has it, for an episode of three classes in another order.
    asked, images, labels = np.array([4, 0, 2]), rng.integers(0, 20, pdcnn.BATCH), rng.integers(0, 3, pdcnn.BATCH)
    loss = pdcnn._loss(standard(features), texts.astype(np.float32), None, 3)
    found = loss([tf.constant(each, tf.float32) for each in weights], tf.constant(np.concatenate([asked, images, labels])))
    logits = expected[images][:, asked]
    by_hand = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    assert float(found) == pytest.approx(by_hand.mean(), rel=1e-4)


@pytest.mark.parametrize("shape", [(4, 5), (2, 2), (1, 1)])
def test_a_filters_mean_response_is_that_of_a_convolution(shape):
    rng = np.random.default_rng(1)
    maps, filters = rng.normal(size=(3, *shape, 4)).astype(np.float32), rng.normal(size=(3, 3, 4, 2)).astype(np.float32)
    expected = tf.reduce_mean(tf.nn.conv2d(maps, filters, 1, "SAME"), axis=[1, 2])
    np.testing.assert_allclose(window_means(maps) @ filters.reshape(-1, 2), expected, atol=1e-5)


def test_a_folded_filter_is_one_over_projected_channels():
    rng = np.random.default_rng(2)
    weights = [each + rng.normal(0, 0.1, each.shape) for each in initial_weights(rng, 6, 4, 3)]
    writer, texts = Writer(tuple(weights)), rng.normal(size=(2, 4))
    maps, (channels, last) = rng.normal(size=(5, 4, 4, 3)).astype(np.float32), weights[5:]
    hidden = np.maximum(texts @ weights[1] + weights[2], 0)
    kernels = (hidden @ last).reshape(2, 3, 3, pdcnn.CHANNELS).transpose(1, 2, 3, 0)
    expected = tf.reduce_mean(tf.nn.conv2d(maps @ channels, kernels, 1, "SAME"), axis=[1, 2])
    np.testing.assert_allclose(window_means(maps) @ writer.filters(texts).T, expected, atol=1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_words_are_learnt_and_all_is_found_again_in_arrays(name, coloured_seen, tiny_bert, short):
    method = MODULES[name].METHOD
    tasks = text_tasks(coloured_seen, tiny_bert)
    candidates = method.candidates(tasks[0].settings, tasks)
    assert candidates == [TextCandidate(*each) for each in (("max", 60), ("max", 30), ("mean", 60), ("mean", 30))]
    assert method.candidate_of(candidates[3].as_dict()) == candidates[3]
    images = tasks[0].partition.training.images
    scores = {}
    for candidate in candidates[::2]:
        generator = method.fit(tasks[0], candidate)
        parameters = generator.generate(NEW)
        scores[candidate.pooling] = parameters.scores(tasks[0], images)
        assert scores[candidate.pooling].shape == (len(images), 7)
        assert accuracy(tasks[0], scores[candidate.pooling]) > 0.7
    assert np.abs(scores["max"] - scores["mean"]).max() > 0.1
    whole = scores["mean"]
    scale = np.abs(whole).max()
    with pytest.raises(InputError, match="at least one class" if method.name in network_methods() else "from texts alone"):
        generator.synthesize(NEW.take(np.arange(0)))
    if method.name in network_methods():
        # The new classes alone, and one alone.
        np.testing.assert_allclose(generator.synthesize(NEW).scores(tasks[0], images), whole[:, 5:], atol=1e-4 * scale)
        one = generator.synthesize(NEW.take(np.array([1])))
        np.testing.assert_allclose(one.scores(tasks[0], images), whole[:, 6:], atol=1e-4 * scale)
    none = generator.generate(NEW.take(np.arange(0)))
    np.testing.assert_allclose(none.scores(tasks[0], images), whole[:, :5], atol=1e-4 * scale)
    again = method.generator_of(tasks[0].settings, tasks[0].network, generator.arrays())
    np.testing.assert_allclose(again.generate(NEW).scores(tasks[0], images), whole, atol=1e-5 * scale)
    assert again.reads_texts and again.independent and method.reads_texts
    assert all(each.dtype != object for each in generator.arrays().values())
    early = method.fit(tasks[0], candidates[3]).arrays()  # a stop on the way
    assert not np.allclose(early["weight_0"], generator.arrays()["weight_0"])


@pytest.mark.slow
def test_one_makes_a_network_of_seed_and_task_alone(coloured_seen, tiny_bert, short):
    task, fold = text_tasks(coloured_seen, tiny_bert, text_pooling=("mean",))
    method, candidate = pdcnn_fc.METHOD, TextCandidate("mean", 30)
    assert method.candidates(task.settings, [task, fold]) == [TextCandidate("mean", 60), candidate]
    generator = method.fit(task, candidate)
    network = generator.generate(NEW).apply(task.network)
    assert (network.class_names, network.num_seen) == ((*task.descriptions.names, "teal", "rust"), 5)
    alone = generator.synthesize(NEW).apply(task.network)
    assert (alone.class_names, alone.num_seen) == (("teal", "rust"), 0)
    assert "mean-pooled" in method.how(candidate)
    same = method.fit(text_tasks(coloured_seen, tiny_bert)[0], candidate).arrays()
    for name, value in generator.arrays().items():
        np.testing.assert_array_equal(same[name], value)
    assert isinstance(fold.partition, Fold) and len(method.fit(fold, candidate).trained.seen) == fold.num_seen == 3


def test_the_other_only_scores(coloured_seen, tiny_bert):
    task = text_tasks(coloured_seen, tiny_bert)[0]
    scores = ConvParameters((np.zeros((2, 1)), np.zeros(1)), (np.zeros((9, 1)), np.zeros(1)))
    with pytest.raises(TypeError, match="outside the network"):
        scores.apply(task.network)
    assert "pdcnn_fc" in network_methods() and "pdcnn_conv" not in network_methods()


def test_an_episode_has_a_part_of_each_class_and_its_images():
    parts = {"max": np.zeros((5, 2), np.float32)}
    texts, labels = PooledTexts(("a", "b", "c"), parts, np.array([0, 0, 1, 2, 2]), "?"), np.array([0, 2, 2, 0])
    drawn = episode(np.random.default_rng(3), labels, texts, 2, 10)
    asked, images, places = drawn[:2], drawn[2:12], drawn[12:]
    classes = texts.classes[asked]
    assert sorted(classes) == [0, 2]  # the second class has no image
    np.testing.assert_array_equal(labels[images], classes[places])
