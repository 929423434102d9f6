"""Stage 0 at toy size: what is learnt, what stays, and that an interrupted run ends as an uninterrupted one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.util import event_pb2

from niwt_tf.compute.features import Reader
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from niwt_tf.training import phases
from niwt_tf.training import trainer as training
from niwt_tf.training.trainer import train_seen
from tests.shared import further

COLOURS = {"red": (220, 40, 40), "green": (40, 220, 40), "blue": (40, 40, 220)}
QUICK = {"batch_size": 8}


def data(folder, per_class, seed):
    random = np.random.default_rng(seed)
    names, labels = [], []
    for label, (name, colour) in enumerate(COLOURS.items()):
        for index in range(per_class):
            pixels = np.clip(random.normal(colour, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
            names.append(f"{seed}-{name}-{index}.png")
            labels.append(label)
            Image.fromarray(pixels).save(folder / names[-1])
    return Images(folder, tuple(names), np.array(labels, np.int32), tuple(COLOURS))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return data(tmp_path_factory.mktemp("train"), 10, 0)


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    return data(tmp_path_factory.mktemp("validation"), 4, 1)


def small(seed=0):
    return build_network("small_vgg", tuple(COLOURS), input_size=16, seed=seed)


def batch_norm_weights(network):
    layers = [layer for layer in network.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return [value for layer in layers for value in layer.get_weights()]


def assert_same(one, two):
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_from_scratch_learns_colours(images, validation):
    network, history = train_seen(small(), images, validation, from_scratch=True, epochs=6, patience=6, **QUICK)
    assert [record["phase"] for record in history] == ["all"] * 6
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert max(record["validation_accuracy"] for record in history) > 0.9
    assert history[0]["learning_rate"] == pytest.approx(1e-3)
    assert history[-1]["learning_rate"] < 1e-4  # the cosine has come down


def test_head_alone_leaves_every_other_weight(images, validation):
    network = small()
    before = [layer.get_weights() for layer in network.model.layers[:-1]]
    columns = network.columns
    trained, history = train_seen(network, images, validation, finetune="head", epochs=5, **QUICK)
    for layer, weights in zip(trained.model.layers[:-1], before, strict=True):
        assert_same(layer.get_weights(), weights)
    assert not np.array_equal(trained.columns, columns)
    assert {record["phase"] for record in history} == {"head"}


def test_all_layers_after_the_head_with_batch_norm_left_alone(images, validation):
    network = small()
    statistics = batch_norm_weights(network)
    kernel = network.model.get_layer("block1_conv").get_weights()[0]
    _, history = train_seen(network, images, validation, epochs=2, finetune_learning_rate=1e-4, **QUICK)
    assert [record["phase"] for record in history] == ["head", "head", "all", "all"]
    assert_same(batch_norm_weights(network), statistics)
    assert not np.array_equal(network.model.get_layer("block1_conv").get_weights()[0], kernel)
    assert all(layer.trainable for layer in network.model.layers)


@pytest.mark.slow
@pytest.mark.combination
def test_from_scratch_trains_batch_norm(images):
    network = small()
    statistics = batch_norm_weights(network)
    train_seen(network, images, None, from_scratch=True, epochs=1, **QUICK)
    assert not np.array_equal(batch_norm_weights(network)[2], statistics[2])


@pytest.mark.slow
def test_weight_decay_shrinks_kernels_only(images):
    norms = {}
    for decay in (0.0, 10.0):
        network, _ = train_seen(small(), images, None, finetune="head", epochs=20, weight_decay=decay, **QUICK)
        norms[decay] = np.abs(network.columns).mean(), np.abs(network.biases).mean()
    assert norms[10.0][0] < 0.5 * norms[0.0][0]
    assert norms[10.0][1] > 0.5 * norms[0.0][1]


def test_the_best_epoch_is_kept_and_patience_ends_the_phase(images, validation, monkeypatch):
    scores = iter([0.2, 0.6, 0.5, 0.4, 0.9])
    monkeypatch.setattr(training, "class_normalised_accuracy", lambda *arguments: next(scores))
    network, history = train_seen(small(), images, validation, finetune="head", epochs=5, patience=2, **QUICK)
    assert [record["validation_accuracy"] for record in history] == [0.2, 0.6, 0.5, 0.4]
    expected, _ = train_seen(small(), images, None, finetune="head", epochs=2, **QUICK)
    np.testing.assert_array_equal(network.columns, expected.columns)


@pytest.mark.slow
def test_the_best_epoch_is_kept_over_an_interruption(images, validation, tmp_path, monkeypatch):
    scores, saved = iter([0.2, 0.6, 0.5, 0.4]), []
    monkeypatch.setattr(training, "class_normalised_accuracy", lambda *arguments: next(scores))
    options = {"finetune": "head", "epochs": 5, "patience": 2, "work_dir": tmp_path, **QUICK}
    save = training.save_checkpoint

    def killed(*arguments):
        save(*arguments)
        saved.append(1)
        if len(saved) == 3:  # one epoch after the best
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        train_seen(small(), images, validation, **options)
    network, history = train_seen(small(), images, validation, **options)
    assert [record["validation_accuracy"] for record in history] == [0.2, 0.6, 0.5, 0.4]
    expected, _ = train_seen(small(), images, None, finetune="head", epochs=2, **QUICK)
    np.testing.assert_array_equal(network.columns, expected.columns)


@pytest.mark.slow
def test_same_seed_same_weights_other_seed_others(images, validation):
    results = [
        train_seen(small(), images, validation, from_scratch=True, epochs=1, seed=seed, **QUICK)[0].model.get_weights()
        for seed in (3, 3, 4)
    ]
    assert_same(results[0], results[1])
    assert not np.array_equal(results[0][0], results[2][0])


@pytest.mark.parametrize(
    ("from_scratch", "stop_at"),
    [pytest.param(True, 3, marks=pytest.mark.slow), *further((True, 1), (False, 1), (False, 3))],
)
def test_an_interrupted_run_ends_as_an_uninterrupted_one(images, validation, tmp_path, monkeypatch, from_scratch, stop_at):
    options = {"from_scratch": from_scratch, "epochs": 4 if from_scratch else 2, "finetune_learning_rate": 1e-3, **QUICK}
    whole, whole_history = train_seen(small(), images, validation, **options)

    save, saved = training.save_checkpoint, []

    def killed(*arguments):
        save(*arguments)
        saved.append(1)
        if len(saved) == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        train_seen(small(), images, validation, work_dir=tmp_path, **options)
    resumed, history = train_seen(small(), images, validation, work_dir=tmp_path, **options)
    assert len(saved) == 4  # no epoch was done twice
    assert_same(resumed.model.get_weights(), whole.model.get_weights())
    assert [record["loss"] for record in history] == [record["loss"] for record in whole_history]
    assert list((tmp_path / "logs").iterdir())


def test_logs_are_those_of_tensorboard_without_it(tmp_path):
    def written(folder, write):
        writer = tf.summary.create_file_writer(str(folder))
        write(writer)
        writer.close()
        (file,) = folder.iterdir()
        *_, last = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
        event = event_pb2.Event.FromString(last)
        (value,) = event.summary.value
        return event.step, value.tag, value.metadata, tf.make_ndarray(value.tensor)

    def theirs(writer):
        with writer.as_default(step=3):
            tf.summary.scalar("loss", 0.25)

    ours = written(tmp_path / "a", lambda writer: training._log(writer, {"phase": "head", "epoch": 3, "loss": 0.25}, 3))
    assert ours == written(tmp_path / "b", theirs)


@pytest.mark.slow
def test_a_checkpoint_of_another_run_or_a_broken_one_is_not_used(images, validation, tmp_path):
    options = {"finetune": "head", "epochs": 1, "work_dir": tmp_path, **QUICK}
    train_seen(small(), images, validation, **options)
    expected, _ = train_seen(small(), images, validation, **{**options, "work_dir": None, "seed": 5})
    other, _ = train_seen(small(), images, validation, **options, seed=5)
    np.testing.assert_array_equal(other.columns, expected.columns)
    (tmp_path / "checkpoint.npz").write_bytes(b"junk")
    again, _ = train_seen(small(), images, validation, **options, seed=5)
    np.testing.assert_array_equal(again.columns, expected.columns)


@pytest.mark.slow
def test_a_head_that_was_expanded_is_trained_on(images, validation):
    two = build_network("small_vgg", ("red", "green"), input_size=16)
    first, _ = train_seen(two, images.of_classes(np.array([0, 1])), None, from_scratch=True, epochs=2, **QUICK)
    columns = np.random.default_rng(0).normal(0, 0.05, (first.num_features, 1))
    larger, history = train_seen(
        first.expand(columns, [0.0], ["blue"]), images, validation, from_scratch=True, epochs=4, **QUICK
    )
    assert larger.class_names == tuple(COLOURS)
    assert max(record["validation_accuracy"] for record in history) > 0.6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"finetune": "heads"}, "finetune must be one of all, head.*Did you mean 'head'"),
        ({"epochs": 0}, "epochs must be at least 1. Received: 0"),
        ({"learning_rate": -1.0}, "learning_rate must be greater than 0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"finetune": "head", "learning_rate": 1e38}, "learning_rate must be low enough"),
    ],
)
def test_arguments_out_of_range(images, options, sentence):
    with pytest.raises(InputError, match=sentence):
        train_seen(small(), images, None, **{"epochs": 3, **QUICK, **options})


def test_no_image_and_labels_beyond_the_classes(images):
    with pytest.raises(InputError, match="at least one training image"):
        train_seen(small(), images.take(np.array([], np.int64)), None, **QUICK)
    with pytest.raises(InputError, match=r"labels must be in 0..1, the network's classes. Received: 2"):
        train_seen(build_network("small_vgg", ("red", "green"), input_size=16), images, None, **QUICK)


@pytest.mark.parametrize("dtype", [pytest.param(np.float16, marks=pytest.mark.slow), *further(np.float32)])
def test_a_head_learns_the_same_of_features_on_disk(images, validation, tmp_path, monkeypatch, dtype):
    def stored(asked):
        rows = Reader(small()).features(asked).astype(dtype)
        file = np.memmap(tmp_path / f"{asked.paths[0]}.bin", dtype, "w+", shape=rows.shape)
        file[:] = rows
        return file

    options = {"finetune": "head", "epochs": 3, "features_of": stored, **QUICK}
    held, first = train_seen(small(), images, validation, **options)
    monkeypatch.setattr(phases, "LARGEST_IN_MEMORY", 0)
    read, second = train_seen(small(), images, validation, **options)
    np.testing.assert_allclose(read.columns, held.columns, rtol=1e-6, atol=1e-7)
    assert [record["train_accuracy"] for record in second] == [record["train_accuracy"] for record in first]
    assert [record["validation_accuracy"] for record in second] == [record["validation_accuracy"] for record in first]
