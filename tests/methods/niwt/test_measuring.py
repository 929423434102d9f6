"""Stages 1 and 2 for several partitions at once: one walk through the images gives what one network at a time does."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.compute import features as reading
from niwt_tf.compute.distributed import Team
from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import RowCache
from niwt_tf.compute.features import Reader, readers_of
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds, main_partition
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.errors import InputError
from niwt_tf.methods.importance import class_importance, importance_of_maps, shared_importance
from niwt_tf.methods.niwt import measuring
from niwt_tf.methods.niwt.files import load_maps, load_measured, save_maps, save_measured
from niwt_tf.methods.niwt.measuring import fit_map, fit_maps, measure_importance, seen_operators
from niwt_tf.methods.niwt.niwt import METHOD
from niwt_tf.methods.niwt.support import support_maps
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.methods.relevance import fit_relevance_map
from niwt_tf.methods.seen_heads import DiscriminantPath, RidgeHeadPath, RidgeMoments, SeenHead, temperature_scale
from niwt_tf.methods.task import tasks_of
from niwt_tf.models.backbones import build_network
from niwt_tf.models.layers import ClassHead
from niwt_tf.models.network import Network
from niwt_tf.protocol.selection import choose
from tests.shared import further


@pytest.fixture(scope="module")
def network(coloured) -> Network:
    return build_network("small_vgg", coloured.class_names, input_size=16, seed=1)


@pytest.fixture(scope="module")
def partitions(coloured_seen):
    folds = class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)
    return [main_partition(coloured_seen, 0), *folds]


def _networks(network, partitions):
    random = np.random.default_rng(0)
    made = {}
    for partition in partitions:
        names = partition.training.images.class_names
        columns = random.normal(size=(network.num_features, len(names)))
        made[partition.name] = network.with_head(columns, np.zeros(len(names)), names, len(names))
    return made


def _readers(networks):
    return {name: Reader(each) for name, each in networks.items()}


def _measure(settings, partitions, networks, operators):
    return measure_importance(settings, partitions, networks, operators, _readers(networks))


def _bent_network(names, dtype: str) -> Network:
    """Return a toy network whose tail is nowhere linear; the same weights for every type."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    conv = keras.layers.Conv2D(4, 3, strides=4, activation="tanh", name="cut", dtype=dtype)
    conv_map = conv(keras.layers.Rescaling(1 / 255, dtype=dtype)(inputs))
    hidden = keras.layers.Dense(6, activation="softplus", dtype=dtype)(keras.layers.Flatten(dtype=dtype)(conv_map))
    network = Network(keras.Model(inputs, ClassHead(names, 5, "cut", dtype=dtype)(hidden)), "cut")
    random = np.random.default_rng(0)
    network.model.set_weights([random.normal(0, 0.3, weight.shape) for weight in network.model.get_weights()])
    return network


def test_class_importance_against_finite_differences(coloured):
    """From image files to class means, with differences of logits in float64."""
    bent = _bent_network(coloured.class_names, "float32")
    found = class_importance(bent, coloured, reader=Reader(bent, Execution(batch_size=4)), keep_vectors=True)
    network = _bent_network(coloured.class_names, "float64")
    pixels = np.stack([np.asarray(Image.open(coloured.root / path), np.float32) for path in coloured.paths])
    maps, own, step = network.trunk(pixels).numpy(), np.arange(25), 1e-5
    places = maps.shape[1] * maps.shape[2]
    numeric = np.empty((25, 4))
    for neuron in range(4):
        shift = np.zeros(maps.shape[1:])
        shift[:, :, neuron] = step / places
        up, down = (network.head(network.tail(maps + sign * shift)).numpy()[own, coloured.labels] for sign in (1, -1))
        numeric[:, neuron] = (up - down) / (2 * step)
    numeric /= np.linalg.norm(numeric, axis=1, keepdims=True)
    np.testing.assert_allclose(found.vectors, numeric, atol=1e-4)
    expected = np.stack([numeric[coloured.labels == label].mean(axis=0) for label in range(5)])
    np.testing.assert_allclose(found.means, expected, atol=1e-4)
    assert list(found.counts) == [5] * 5


@pytest.mark.slow
@pytest.mark.combination
def test_networks_over_one_trunk_equal_one_at_a_time(network, partitions, coloured):
    networks = list(_networks(network, partitions).values())
    labels = []
    for each in networks:
        index = {name: label for label, name in enumerate(each.class_names)}
        labels.append(np.array([index.get(coloured.class_names[label], -1) for label in coloured.labels], np.int32))
    labels[1][::3] = -1
    reader = Reader(networks[0], Execution(batch_size=7))
    together = shared_importance(networks, coloured, labels, reader=reader, keep_vectors=True)
    for each, owners, found in zip(networks, labels, together, strict=True):
        taken = np.flatnonzero(owners >= 0)
        images = coloured.take(taken)
        alone = class_importance(
            each, type(images)(images.root, images.paths, owners[taken], each.class_names), keep_vectors=True
        )
        np.testing.assert_array_equal(found.counts, alone.counts)
        np.testing.assert_allclose(found.means, alone.means, atol=1e-5)
        np.testing.assert_allclose(found.vectors, alone.vectors, atol=1e-5)
        np.testing.assert_allclose(found.rank_correlation_within, alone.rank_correlation_within, atol=1e-4)
        np.testing.assert_allclose(found.rank_correlation_across, alone.rank_correlation_across, atol=1e-4)


@pytest.fixture(scope="module", params=["head", pytest.param("all", marks=pytest.mark.slow)])
def measured(request, network, partitions):
    settings = Settings(
        finetune=request.param, head_regularization=(1.0, 10.0), fold_importance_images=2, importance_over="own"
    )
    used = partitions if request.param == "head" else partitions[:2]
    return _measure(settings, used, _networks(network, partitions), {})


def test_every_partition_and_head_is_measured_on_its_own_training_images(network, partitions, measured):
    for partition in partitions[: len(measured)]:
        for strength, each in zip((1.0, 10.0), measured[partition.name], strict=True):
            assert each.head.regularization == strength
            # All training images of the main partition's classes, two of each of a fold's.
            assert set(each.importance.counts) == {4 if partition.name == "main" else 2}
            assert len(each.importance.means) == len(partition.classes)
    names = partitions[0].training.images.class_names
    head = measured["main"][1].head
    alone = class_importance(network.with_head(head.columns, head.biases, names, 5), partitions[0].training.images)
    np.testing.assert_allclose(measured["main"][1].importance.means, alone.means, atol=1e-5)


def test_the_trained_head_is_the_one_candidate_of_softmax(network, partitions):
    networks = _networks(network, partitions)
    found = _measure(Settings(seen_head="softmax", importance_over="own"), partitions[1:2], networks, {})
    np.testing.assert_array_equal(found["fold_0"][0].head.columns, networks["fold_0"].columns)
    assert len(found["fold_0"]) == 1
    assert found["fold_0"][0].head.regularization == 0 and found["fold_0"][0].sizes == (network.num_neurons,)


@pytest.mark.slow
def test_over_shared_images_every_class_is_asked_about_the_same_ones(network, partitions):
    settings = Settings(finetune="head", seen_head="softmax", importance_over="shared", num_support=12)
    networks = _networks(network, partitions)
    operators = seen_operators(settings, partitions, _readers(networks))
    found = _measure(settings, partitions, networks, operators)
    sample = balanced_sample(partitions[0].training.images, 12, settings.seed)
    for partition in partitions:
        # A fold takes those of the sample that it may see.
        allowed = sample.take(np.flatnonzero(np.isin(sample.paths, partition.training.images.paths)))
        maps = support_maps(Reader(network), "seen", allowed, len(allowed), 0)
        columns = networks[partition.name].columns
        for label in range(len(partition.classes)):
            asked = np.repeat(columns[None, :, label], len(maps), axis=0).astype(np.float32)
            mean = importance_of_maps(network.tail, tf.constant(maps), tf.constant(asked)).numpy().mean(axis=0)
            means = found[partition.name][0].targets
            np.testing.assert_allclose(means[label], mean / np.linalg.norm(mean), atol=1e-4)
    assert np.isfinite(found["main"][0].importance.rank_correlation_within)
    assert np.isnan(found["fold_0"][0].importance.rank_correlation_within)


def test_a_single_support_image_is_enough_for_every_fold(network, partitions):
    settings = Settings(finetune="head", num_support=1)
    operators = seen_operators(settings, partitions, _readers(_networks(network, partitions)))
    assert list(operators) == [partition.name for partition in partitions]
    assert all(np.isfinite(operator).all() and np.abs(operator).max() > 0 for operator in operators.values())


@pytest.mark.parametrize("over", ["shared", *further("own")])
def test_what_a_stage_hands_on_lies_in_memory_as_its_file_gives_it_back(network, partitions, tmp_path, over):
    """Else the jobs, which read files, and `Niwt.fit`, which does not, multiply by other kernels and round differently."""
    settings = Settings(map="ridge", finetune="head", importance_over=over, num_support=12, fold_importance_images=2)
    networks = _networks(network, partitions)
    measured = _measure(settings, partitions, networks, seen_operators(settings, partitions, _readers(networks)))
    maps, names = fit_maps(settings, partitions, measured), [partition.name for partition in partitions]
    save_measured(tmp_path, measured)
    from_files = load_measured(tmp_path, names)
    save_maps(tmp_path, maps)
    assert {head.head.kind for head in measured["main"]} == ({"ridge", "lda"} if over == "shared" else {"ridge"})
    for handed, read in ((measured, from_files), (maps, load_maps(tmp_path, names))):
        for (path, array), (_, again) in zip(_arrays(handed), _arrays(read), strict=True):
            np.testing.assert_array_equal(array, again, err_msg=path)
            assert array.flags.c_contiguous == again.flags.c_contiguous, path


def _arrays(record, path=""):
    """Yield the arrays of a mapping, a list or a dataclass and of those within it, by where they are."""
    if isinstance(record, np.ndarray):
        yield path, record
    elif isinstance(record, dict):
        for name, value in record.items():
            yield from _arrays(value, f"{path} {name}")
    elif isinstance(record, list):
        for place, value in enumerate(record):
            yield from _arrays(value, f"{path} {place}")
    elif dataclasses.is_dataclass(record):
        yield from _arrays(vars(record), path)


@pytest.mark.parametrize("kind", [pytest.param("cosine", marks=pytest.mark.slow), *further("ridge")])
def test_maps_are_fitted_for_every_head(network, partitions, measured, kind):
    settings = Settings(map=kind)
    maps = fit_maps(settings, partitions[1:2], measured)
    assert {name: len(fitted) for name, fitted in maps.items()} == {"fold_0": 2}
    again = fit_map(settings, partitions[1].training.descriptions.values, measured["fold_0"][1].importance.means)
    np.testing.assert_array_equal(maps["fold_0"][1].weights, again.weights)
    assert maps["fold_0"][0].predict(partitions[1].validation_descriptions.values).shape == (2, network.num_neurons)


def test_an_importance_that_is_not_finite_names_the_image_and_the_class(network, coloured):
    columns = network.columns
    columns[:, 2] = 1e38  # so large that the gradient overflows
    broken = network.with_head(columns, network.biases, network.class_names, 5)
    sentence = r"Importance must be finite; .* image '2_0\.png' and the class 'blue'\."
    with np.errstate(over="ignore"), pytest.raises(InputError, match=sentence):
        class_importance(broken, coloured)


@pytest.mark.slow
def test_dead_neurons_and_a_class_without_importance_go_through(network, partitions, coloured):
    """A head column of zeros, and neurons that no column reaches, give zeros and no NaN up to the predicted importances."""
    columns = network.columns
    columns[:, 1] = 0.0
    dead = network.with_head(columns, network.biases, network.class_names, 5)
    found = class_importance(dead, coloured)
    np.testing.assert_array_equal(found.means[1], 0.0)
    assert np.isfinite(found.means).all()
    assert np.isfinite([found.rank_correlation_within, found.rank_correlation_across]).all()
    means = found.means.copy()
    means[:, :7] = 0.0
    descriptions = partitions[0].training.descriptions.values
    for kind in ("ridge", "cosine"):
        fitted = fit_map(Settings(map=kind), descriptions, means)
        assert np.isfinite(fitted.predict(descriptions)).all()
    nothing = class_importance(network.with_head(0 * columns, network.biases, network.class_names, 5), coloured)
    np.testing.assert_array_equal(nothing.means, 0.0)


class _Member(Team):
    """A member whose sums are what all members together put in, once they have all been asked."""

    def __init__(self, index, others):
        self.index, self.size, self._others = index, 2, others

    def sum(self, *arrays):
        if self.index == 0:
            self._others.append(arrays)
            return arrays
        return tuple(mine + other for mine, other in zip(arrays, self._others.pop(0), strict=True))


def test_a_team_of_two_measures_what_one_does(network, partitions, coloured):
    """The second member adds what the first put in, in the order in which they asked."""
    labels = [coloured.labels]
    alone = class_importance(network, coloured, keep_vectors=True)
    exchanged = []
    for index in (0, 1):
        reader = Reader(network, Execution(batch_size=4, team=_Member(index, exchanged)))
        together = shared_importance([network], coloured, labels, reader=reader, keep_vectors=True)[0]
    np.testing.assert_array_equal(together.counts, alone.counts)
    np.testing.assert_allclose(together.means, alone.means, atol=1e-6)
    np.testing.assert_allclose(together.vectors, alone.vectors, atol=1e-6)
    # Batches of other sizes may round differently, and two neurons that are nearly alike change places.
    np.testing.assert_allclose(together.rank_correlation_within, alone.rank_correlation_within, atol=1e-4)
    np.testing.assert_allclose(together.rank_correlation_across, alone.rank_correlation_across, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("finetune", ["head", *further("all")])
def test_with_a_cache_each_image_is_decoded_once_for_all_of_stage_1_and_never_for_stage_3(
    network, partitions, tmp_path, monkeypatch, finetune
):
    counts = []

    def counting(images, *arguments, **options):
        counts.append(len(images))
        return image_batches(images, *arguments, **options)

    monkeypatch.setattr(reading, "image_batches", counting)
    settings = Settings(map="ridge", finetune=finetune, head_regularization=(1.0,), num_support=6, transfer_lambda=(1e-2,))
    networks = _networks(network, partitions)
    execution = Execution(cache=RowCache(tmp_path, 10**8))
    readers = readers_of(settings, networks, execution)
    operators = seen_operators(settings, partitions, readers)
    measured = measure_importance(settings, partitions, networks, operators, readers)
    assert sum(counts) <= 25  # every image of the seen classes, and each once: the networks share their trunk and tail
    counts.clear()
    again = readers_of(settings, networks, Execution(cache=RowCache(tmp_path, 10**8)))
    maps = fit_maps(settings, partitions, measured)

    def chosen(some_readers):
        tasks = tasks_of(settings, partitions, networks, some_readers)
        for task in tasks:
            name = task.partition.name
            for key, value in (("operator", operators[name]), ("measured", measured[name]), ("maps", maps[name])):
                task.keep(key, value)
        return choose(settings, METHOD, tasks)

    cached = chosen(again)
    assert not counts
    plain = chosen(_readers(networks))
    np.testing.assert_allclose(cached.calibration, plain.calibration, rtol=1e-3)
    np.testing.assert_allclose(cached.generator.features, plain.generator.features, atol=1e-5)


def test_a_fold_that_sees_no_image_of_the_main_sample_has_its_own(network, partitions):
    settings = Settings(finetune="head", num_support=1)
    sample = balanced_sample(partitions[0].training.images, 5, settings.seed)
    fold = partitions[1]
    own = fold.training.images
    own = own.take(np.flatnonzero(~np.isin(own.paths, sample.paths)))
    blind = dataclasses.replace(fold, training=dataclasses.replace(fold.training, images=own))
    readers = _readers(_networks(network, partitions))
    main, alone = (seen_operators(settings, [partition], readers) for partition in (partitions[0], blind))
    for group in ([partitions[0], blind], [partitions[0], partitions[2], blind]):
        together = seen_operators(settings, group, readers)
        np.testing.assert_allclose(together["main"], main["main"], atol=1e-5)
        np.testing.assert_allclose(together["fold_0"], alone["fold_0"], atol=1e-5)


def test_in_one_walk_each_partition_has_the_heads_of_its_own_images(network, partitions):
    reader = Reader(network)
    for partition, moments in zip(partitions, measuring._moments(reader, partitions, False), strict=True):
        images = partition.training.images
        alone = _ridge_moments(reader.features(images), images.labels)
        for found, expected in zip(RidgeHeadPath(moments).solve(3.0), RidgeHeadPath(alone).solve(3.0), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_targets_by_hand():
    """What a column reaches through the operator; only a discriminant keeps its length."""
    operator, columns = np.array([[3.0, 0.0], [4.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 2.0], [1.0, 0.0]])
    ridge = SeenHead(1.0, columns, np.zeros(2), "ridge")
    np.testing.assert_allclose(measuring._targets(operator, ridge, Blocks((2, 1), (1.0, 1.0))), [[0.6, 0.8, 1], [0.6, 0.8, 0]])
    path = DiscriminantPath(_ridge_moments(np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2))
    discriminant = dataclasses.replace(ridge, kind="lda", form=path.solve(0.1)[2])
    np.testing.assert_allclose(measuring._targets(operator, discriminant, Blocks((3,), (1.0,))), [[3, 4, 2], [6, 8, 0]])


def _ridge_moments(features, labels):
    moments = RidgeMoments(features.shape[1], np.bincount(labels))
    moments.add(features, labels)
    return moments


OF_HEADS = {"head_regularization": (1.0, 2.0, 3.0), "lda_shrinkage": (1.0, 10.0), "map": "ridge"}


@pytest.mark.parametrize(
    ("options", "kinds", "count"),
    [
        ({}, ("ridge", "lda"), 5),
        ({"seen_head": "ridge"}, ("ridge",), 3),
        ({"seen_head": "softmax,lda"}, ("softmax", "lda"), 3),
        ({"seen_head": "ridge,lda", "importance_over": "own"}, ("ridge",), 3),
        ({"map": "relevance"}, ("lda",), 2),
    ],
)
def test_how_many_heads_there_are(options, kinds, count):
    asked = Settings(**(OF_HEADS | options))
    assert (measuring.kinds_of(asked), measuring.num_heads(asked)) == (kinds, count)
    moments = RidgeMoments(2, np.array([3, 3]))
    moments.add(np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32), np.repeat([0, 1], 3))
    trained = SeenHead(0.0, np.eye(2, dtype=np.float32), np.zeros(2, np.float32), "softmax")
    heads = measuring.candidate_heads(asked, trained, moments, np.zeros((0, 2)), np.zeros(0, int))
    assert (len(heads), tuple(dict.fromkeys(head.kind for head in heads))) == (count, kinds)


def test_refitted_heads_have_the_scale_of_probabilities_and_the_trained_one_its_own():
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], 30)
    features = (np.eye(2)[labels] + random.normal(size=(60, 2))).astype(np.float32)
    moments = RidgeMoments(2, np.bincount(labels))
    moments.add(features, labels)
    trained = SeenHead(0.0, 9 * np.eye(2, dtype=np.float32), np.zeros(2, np.float32), "softmax")
    asked = Settings(**(OF_HEADS | {"seen_head": "softmax,ridge,lda"}))
    first, *refitted = measuring.candidate_heads(asked, trained, moments, features, labels)
    assert first is trained
    for head in refitted:
        assert temperature_scale(features @ head.columns + head.biases, labels) == pytest.approx(1.0, rel=1e-2)
        if head.form is not None:
            np.testing.assert_allclose(head.form.biases(head.columns), head.biases, rtol=1e-3, atol=1e-4)
    # Without held-out images they are left as they are solved.
    _, left, *_ = measuring.candidate_heads(asked, trained, moments, features[:0], labels[:0])
    np.testing.assert_array_equal(left.columns, RidgeHeadPath(moments).solve(1.0)[0])


def test_partitions_share_a_walk_where_the_trunk_is_frozen(partitions):
    assert measuring._groups(Settings(finetune="head"), partitions) == [partitions]
    assert measuring._groups(Settings(finetune="all"), partitions) == [[each] for each in partitions]


def test_of_a_fold_so_many_images_of_each_class_are_measured(partitions):
    few = Settings(fold_importance_images=2)
    assert measuring._measured_images(few, partitions[0]) is partitions[0].training.images
    counts = np.bincount(measuring._measured_images(few, partitions[1]).labels)
    assert counts.tolist() == [2] * len(partitions[1].classes)


def test_each_layer_has_a_map_of_its_own():
    random = np.random.default_rng(2)
    descriptions, targets = random.random((7, 3)), random.normal(size=(7, 6)).astype(np.float32)
    head = SeenHead(1.0, np.zeros((2, 7), np.float32), np.zeros(7, np.float32))
    measured = measuring.MeasuredHead(head, None, targets, (2, 1, 3))
    asked = Settings(map="ridge", map_regularization=(0.1, 10.0))
    found = measuring._fit_layers(asked, descriptions, measured)
    parts = [fit_map(asked, descriptions, targets[:, rows]) for rows in (slice(0, 2), slice(2, 3), slice(3, 6))]
    np.testing.assert_array_equal(found.weights, np.concatenate([part.weights for part in parts]))
    np.testing.assert_array_equal(found.bias, np.concatenate([part.bias for part in parts]))
    assert (found.regularization, found.rank_correlation) == (parts[0].regularization, parts[0].rank_correlation)


@pytest.mark.parametrize("count", [1, 3])
def test_the_relevance_map_is_fitted_to_the_most_shrunk_head(partitions, count):
    random = np.random.default_rng(3)
    heads = []
    for _ in range(count):
        head = SeenHead(1.0, np.zeros((2, 5), np.float32), np.zeros(5, np.float32), "lda")
        classes = len(partitions[0].classes)
        heads.append(measuring.MeasuredHead(head, None, random.normal(size=(classes, 6)).astype(np.float32), (2, 4)))
    found = fit_maps(Settings(map="relevance"), partitions[:1], {"main": heads})["main"]
    values = partitions[0].training.descriptions.values
    expected = fit_relevance_map(values, heads[-1].targets, (2, 4), normalisation="centred")
    np.testing.assert_array_equal(found.duals, expected.duals)
    assert found.rank_correlation == expected.rank_correlation


def test_images_are_streamed_once_and_those_of_others_have_no_label(coloured):
    one, other = coloured.take(np.array([0, 3, 5])), coloured.take(np.array([5, 7]))
    together = measuring._union([one, other])
    assert together.paths == (*one.paths, other.paths[1])
    assert measuring._labels_of(together, other).tolist() == [-1, -1, *other.labels.tolist()]


def test_a_sample_holds_as_many_images_as_there_are_classes_at_least(network, partitions, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        measuring, "balanced_sample", lambda images, count, seed: drawn.append((count, seed)) or balanced_sample(images, 1, 0)
    )
    networks = _networks(network, partitions[:1])
    for num_support in (2, 40):
        seen_operators(Settings(finetune="head", num_support=num_support, seed=5), partitions[:1], _readers(networks))
    assert drawn == [(len(partitions[0].classes), 5), (40, 5)]


def test_the_operator_of_the_features_follows_that_of_the_own_layer(network, partitions):
    settings = Settings(finetune="head", num_support=4)
    networks = _networks(network, partitions[:2])
    alone = seen_operators(settings, partitions[:2], _readers(networks))
    found = seen_operators(settings.replace(extra_layers=("features",)), partitions[:2], _readers(networks))
    for name in ("main", "fold_0"):
        assert found[name].shape == (network.num_neurons + network.num_features, network.num_features)
        np.testing.assert_allclose(found[name][: network.num_neurons], alone[name], atol=1e-6)
        np.testing.assert_array_equal(found[name][network.num_neurons :], np.eye(network.num_features))


def test_what_each_worker_has_gathered_is_brought_together_for_every_partition(network, partitions, monkeypatch):
    asked = []
    monkeypatch.setattr(RidgeMoments, "reduce", lambda moments, team: asked.append((moments, team)))
    reader = Reader(network)
    made = measuring._moments(reader, partitions, keep_maps=False)
    assert asked == [(each, reader.execution.team) for each in made]
    assert [int(each.counts.sum()) for each in made] == [len(each.training.images) for each in partitions]
