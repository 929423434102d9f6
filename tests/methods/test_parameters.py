"""Parameters of a network: of its head alone, and of any layers."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import main_partition
from niwt_tf.errors import InputError
from niwt_tf.methods.parameters import HeadParameters, NetworkParameters
from niwt_tf.methods.task import Task
from niwt_tf.metrics.ranks import unit
from niwt_tf.models.backbones import build_network

SEEN, NEW = 3, ("grey", "dark")


@pytest.fixture(scope="module")
def task(coloured_seen):
    """Return the task of the first three classes with a network of random weights, calibrated by 2."""
    partition = main_partition(coloured_seen.of_classes(np.arange(SEEN)), 0)
    network = build_network("small_vgg", partition.training.images.class_names, input_size=16, seed=1)
    network = network.with_head(network.columns, np.arange(3.0), network.class_names, SEEN)
    network.calibration = 2.0
    return Task(Settings(), partition, network, Reader(network))


def _drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _head(task, **changes):
    features = task.network.num_features
    seen, new = ((_drawn(features, n, seed=n), _drawn(n, seed=10 + n)) for n in (SEEN, len(NEW)))
    return HeadParameters(NEW, seen, new, **changes)


def _before_calibration(network, images):
    logits = Reader(network).logits(images)
    logits[:, : network.num_seen] += network.calibration
    return logits


@pytest.mark.parametrize("unit_features", [False, True])
def test_a_head_scores_what_the_network_with_it_answers(task, coloured, unit_features):
    parameters = _head(task, unit_features=unit_features)
    made = parameters.apply(task.network)
    assert (made.class_names, made.num_seen, made.calibration) == (("red", "green", "blue", "grey", "dark"), SEEN, 2.0)
    scores, features = parameters.scores(task, coloured), task.reader.features(coloured)
    scale = np.abs(scores).max()
    np.testing.assert_allclose(_before_calibration(made, coloured) / scale, scores / scale, atol=1e-5)
    np.testing.assert_array_equal(scores, parameters.scores_of(features))
    rows, (columns, biases) = unit(features) if unit_features else features, parameters.head
    np.testing.assert_allclose(scores, rows @ columns + biases, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(columns[:, :SEEN], parameters.seen[0])
    np.testing.assert_array_equal(biases[SEEN:], parameters.new[1])


def test_a_head_scores_what_the_task_reads_of_an_image(task, coloured):
    parameters = _head(task)
    other = Task(task.settings, task.partition, task.network, task.reader, lambda reader, images: 2 * reader.features(images))
    np.testing.assert_array_equal(parameters.scores(other, coloured), parameters.scores_of(2 * task.features(coloured)))


@pytest.mark.parametrize("unit_features", [False, True])
def test_a_head_leaves_the_network_as_it_is_and_shares_its_weights(task, coloured, unit_features):
    before = [np.array(weight) for weight in task.network.model.get_weights()]
    answers = Reader(task.network).logits(coloured)
    made = _head(task, unit_features=unit_features).apply(task.network)
    made.calibration = 5.0
    for weight, kept in zip(task.network.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    assert (task.network.calibration, task.network.class_names) == (2.0, ("red", "green", "blue"))
    np.testing.assert_array_equal(Reader(task.network).logits(coloured), answers)
    assert made.trunk.weights[0] is task.network.trunk.weights[0]


def test_a_head_takes_the_place_of_one_with_other_new_classes(task):
    parameters = _head(task)
    expanded = task.network.expand(_drawn(task.network.num_features, 1), np.zeros(1), ["pink"])
    assert parameters.apply(expanded).class_names == ("red", "green", "blue", "grey", "dark")


def test_a_head_of_another_width_is_refused(task):
    narrow = [(columns[:-1], biases) for columns, biases in (_head(task).seen, _head(task).new)]
    with pytest.raises(InputError, match=r"columns and biases must be \[256, 5\] and \[5\]. Received: \(255, 5\) and \(5,\)"):
        HeadParameters(NEW, *narrow).apply(task.network)


def _network_parameters(task, weights, **changes):
    total = SEEN + len(NEW)
    head = {"columns": _drawn(task.network.num_features, total), "biases": _drawn(total, seed=1), "num_seen": SEEN}
    return NetworkParameters(NEW, weights, **head, **changes)


def _path(network):
    return network.trunk.weights[0].path


def _weight(network, path):
    return next(weight for weight in network.model.weights if weight.path == path)


def test_weights_are_changed_by_path_and_the_given_network_stays(task, coloured):
    network = task.network
    before, answers = [np.array(weight) for weight in network.model.get_weights()], Reader(network).logits(coloured)
    paths = _path(network), network.tail.weights[0].path
    assert len(set(paths)) == 2
    values = {path: _drawn(*_weight(network, path).shape, seed=4) for path in paths}
    parameters = _network_parameters(task, values)
    made = parameters.apply(network)
    for weight in made.model.weights:
        if weight.path in values:
            np.testing.assert_array_equal(weight.numpy(), values[weight.path])
        elif all(weight is not of_head for of_head in made.head.weights):
            np.testing.assert_array_equal(weight.numpy(), _weight(network, weight.path).numpy())
    np.testing.assert_array_equal(made.columns, parameters.columns)
    np.testing.assert_array_equal(made.biases, parameters.biases)
    assert (made.class_names, made.num_seen, made.calibration) == (("red", "green", "blue", "grey", "dark"), SEEN, 2.0)
    for weight, kept in zip(network.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
    np.testing.assert_array_equal(Reader(network).logits(coloured), answers)


@pytest.mark.slow
def test_scores_are_the_logits_of_the_network_that_is_made(task, coloured):
    path = _path(task.network)
    changed = _network_parameters(task, {path: 0.3 * _drawn(*_weight(task.network, path).shape, seed=5)})
    scores, made = changed.scores(task, coloured), changed.apply(task.network)
    assert scores.shape == (len(coloured), SEEN + len(NEW))
    scale = np.abs(scores).max()
    np.testing.assert_allclose(_before_calibration(made, coloured) / scale, scores / scale, atol=1e-6)
    features = Reader(made).features(coloured)
    np.testing.assert_allclose((features @ changed.columns + changed.biases) / scale, scores / scale, atol=1e-5)
    unchanged = _network_parameters(task, {})
    assert np.abs(unchanged.scores(task, coloured) - scores).max() / scale > 1e-3
    assert task.network.calibration == 2.0


def test_without_weights_it_is_the_head_alone(task, coloured):
    alone = _network_parameters(task, {})
    columns, biases = alone.columns, alone.biases
    head = HeadParameters(NEW, (columns[:, :SEEN], biases[:SEEN]), (columns[:, SEEN:], biases[SEEN:]))
    scores, scale = head.scores(task, coloured), np.abs(head.scores(task, coloured)).max()
    np.testing.assert_allclose(alone.scores(task, coloured) / scale, scores / scale, atol=1e-5)


def test_what_does_not_fit_is_told_by_its_path(task):
    path = _path(task.network)
    shape = _weight(task.network, path).shape
    with pytest.raises(InputError) as told:
        _network_parameters(task, {path: np.zeros((2, 5))}).apply(task.network)
    assert str(told.value) == f"weights[{path!r}] must be of shape {tuple(shape)}. Received: shape (2, 5)."
    with pytest.raises(InputError) as told:
        _network_parameters(task, {"absent/kernel": np.zeros(3)}).apply(task.network)
    assert str(told.value) == "weights['absent/kernel'] must be a weight of the network. Received: shape (3,)."
    narrow = NetworkParameters(NEW, {}, _drawn(4, 5), _drawn(5), SEEN)
    with pytest.raises(InputError, match="columns and biases must be"):
        narrow.apply(task.network)


def test_weights_that_are_not_finite_are_told_by_their_path(task):
    path = _path(task.network)
    value = np.full(_weight(task.network, path).shape, np.nan)
    with pytest.raises(InputError, match=r"weights\[.*\] must be finite. Received: NaN or infinity."):
        _network_parameters(task, {path: value}).apply(task.network)
