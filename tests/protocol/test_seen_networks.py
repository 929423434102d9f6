"""Stage 0 for the main partition and the folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.io import savemat

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.feature_cache import RowCache
from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.metrics.gzsl import class_normalised_accuracy
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol import seen_networks
from niwt_tf.protocol.seen_networks import load_networks, partitions_of, save_networks, train_partitions
from tests.shared import further

QUICK = {"input_size": 16, "epochs": 2, "num_folds": 1, "validation_classes": 2, "batch_size": 8}


@pytest.fixture(scope="module", params=["head", pytest.param("all", marks=pytest.mark.slow)])
def trained(request, coloured_seen, tmp_path_factory):
    settings = Settings(finetune=request.param, **QUICK)
    partitions = partitions_of(settings, coloured_seen, 2)
    work = tmp_path_factory.mktemp("work")
    return settings, partitions, train_partitions(settings, partitions, Execution(), work_dir=work), work


def test_one_network_a_partition_with_its_own_classes(trained):
    _, partitions, results, work = trained
    assert list(results) == ["main", "fold_0"]
    for partition in partitions:
        network = results[partition.name].network
        assert network.class_names == partition.training.images.class_names
        assert network.num_seen == len(partition.classes)
        assert [record["epoch"] for record in results[partition.name].history] == [1, 2]
        assert list((work / partition.name / "logs").iterdir())


def test_the_accuracy_is_that_of_the_held_out_images(trained):
    _, partitions, results, _ = trained
    for partition in partitions:
        result, held_out = results[partition.name], partition.held_out
        predictions = Reader(result.network).logits(held_out).argmax(axis=1)
        assert result.validation_accuracy == class_normalised_accuracy(held_out.labels, predictions, len(partition.classes))


def test_a_frozen_trunk_is_shared_and_a_trained_one_is_not(trained):
    settings, _, results, _ = trained
    main, fold = (results[name].network for name in ("main", "fold_0"))
    maps = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype(np.float32)
    same = np.allclose(main.trunk(maps, training=False), fold.trunk(maps, training=False))
    assert same == (settings.finetune == "head")
    assert main.columns.shape[1] == fold.columns.shape[1] + 2


def test_a_finished_training_is_taken_from_its_checkpoint(trained):
    settings, partitions, results, work = trained
    again = train_partitions(settings, partitions, Execution(), work_dir=work)
    for name, result in results.items():
        assert again[name].history == result.history
        np.testing.assert_array_equal(again[name].network.columns, result.network.columns)


def test_partitions_follow_the_seed(coloured_seen):
    drawn = [
        [tuple(partition.classes) for partition in partitions_of(Settings(seed=seed, **QUICK), coloured_seen, 2)]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_without_a_held_out_image_there_is_no_accuracy(coloured_seen):
    alone = coloured_seen.images.take(np.arange(0, 25, 5))
    seen = type(coloured_seen)(alone, coloured_seen.descriptions)
    settings = Settings(finetune="head", **QUICK)
    results = train_partitions(settings, partitions_of(settings, seen, 2)[:1], Execution())
    assert np.isnan(results["main"].validation_accuracy)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "jit", "attribute_loss"), [("mixed_float16", False, 0.0), *further(("mixed_bfloat16", True, 1.0))]
)
def test_a_twin_is_trained_and_its_weights_are_kept_in_float32(coloured_seen, precision, jit, attribute_loss):
    settings = Settings(finetune="all", precision=precision, jit=jit, attribute_loss=attribute_loss, **QUICK)
    partitions = partitions_of(settings, coloured_seen, 2)[:1]
    result = train_partitions(settings, partitions, Execution(precision=precision, jit=jit))["main"]
    assert {layer.compute_dtype for layer in result.network.model.layers} == {"float32"}
    assert [record["epoch"] for record in result.history] == [1, 2]
    assert result.history[1]["loss"] < result.history[0]["loss"]
    untrained = train_partitions(settings.replace(precision="float32", jit=False), partitions, Execution())["main"]
    mixed, plain = (each.network.model.get_weights() for each in (result, untrained))
    assert all(np.isfinite(weight).all() for weight in mixed)
    np.testing.assert_allclose(mixed[0], plain[0], atol=0.05)
    assert any(np.abs(one - other).max() > 0 for one, other in zip(mixed, plain, strict=True))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"finetune": "all", "weights": "none"}, (True, 24, 24)),
        ({"finetune": "all", "weights": "none", "epochs": 3}, (True, 3, 3)),
        ({"finetune": "all", "weights": "imagenet"}, (False, 20, 7)),
        ({"finetune": "all", "weights": "none", "backbone": "own.keras"}, (False, 20, 7)),
        ({"finetune": "head", "weights": "none"}, (False, 60, 7)),
    ],
)
def test_only_what_has_no_weights_yet_is_trained_from_scratch_and_never_stopped_early(
    coloured_seen, monkeypatch, options, expected
):
    network = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    asked = []

    def training(*_, from_scratch, epochs, patience, **__):
        asked.append((from_scratch, epochs, patience))
        return network, []

    monkeypatch.setattr(seen_networks, "_new_network", lambda *_: network)
    monkeypatch.setattr(seen_networks, "train_seen", training)
    settings = Settings(input_size=16, patience=7, **options)
    train_partitions(settings, partitions_of(settings, coloured_seen, 2)[:1], Execution())
    assert asked == [expected]


@pytest.mark.parametrize(("weight", "expected"), [(0.5, True), (0.0, False)])
def test_whole_networks_are_trained_on_the_descriptions_of_their_partition(coloured_seen, monkeypatch, weight, expected):
    network, asked = build_network("small_vgg", coloured_seen.images.class_names, input_size=16), []
    monkeypatch.setattr(seen_networks, "_new_network", lambda *_: network)
    monkeypatch.setattr(
        seen_networks, "train_seen", lambda *_, attribute_loss, **__: asked.append(attribute_loss) or (network, [])
    )
    settings = Settings(input_size=16, finetune="all", attribute_loss=weight)
    train_partitions(settings, partitions_of(settings, coloured_seen, 2)[:1], Execution())
    assert [each is not None for each in asked] == [expected]


def test_the_accuracy_is_of_what_was_trained_and_not_of_features_from_before(coloured_seen, monkeypatch, tmp_path):
    network = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)

    def training(_, images, held_out, *, features_of, **__):
        features_of(held_out)
        later = build_network("small_vgg", coloured_seen.images.class_names, input_size=16, seed=5)
        network.model.set_weights(later.model.get_weights())
        return network, []

    monkeypatch.setattr(seen_networks, "_new_network", lambda *_: network)
    monkeypatch.setattr(seen_networks, "train_seen", training)
    settings = Settings(input_size=16, finetune="all")
    partition = partitions_of(settings, coloured_seen, 2)[0]
    before = Reader(network).features(partition.held_out)
    trained = train_partitions(settings, [partition], Execution(cache=RowCache(tmp_path, 10**8)))["main"]
    after = Reader(network).features(partition.held_out)
    labels, classes = partition.held_out.labels, len(network.class_names)
    stale, fresh = (
        class_normalised_accuracy(labels, (features @ network.columns + network.biases).argmax(axis=1), classes)
        for features in (before, after)
    )
    assert trained.validation_accuracy == fresh != stale


@pytest.mark.parametrize("finetune", ["all", "head"])
def test_trained_networks_of_folds_are_kept_whole_or_where_they_share_a_trunk_their_heads(coloured_seen, tmp_path, finetune):
    settings = Settings(finetune=finetune, **QUICK)
    partitions = partitions_of(settings, coloured_seen, 2)
    networks = {
        partition.name: build_network("small_vgg", partition.training.images.class_names, input_size=16, seed=seed)
        for seed, partition in enumerate(partitions)
    }
    if finetune == "head":
        fold, main = networks["fold_0"], networks["main"]
        networks["fold_0"] = main.with_head(fold.columns, fold.biases + 1, fold.class_names, fold.num_seen)
    save_networks(tmp_path, settings, networks)
    assert (tmp_path / "folds.npz").is_file() == (finetune == "head")
    if finetune == "head":
        assert set(np.load(tmp_path / "folds.npz").files) == {"fold_0_columns", "fold_0_biases"}
    read = load_networks(tmp_path, settings, partitions)
    assert list(read) == ["main", "fold_0"]
    for name, network in networks.items():
        assert read[name].class_names == network.class_names
        for weight, expected in zip(read[name].model.get_weights(), network.model.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize(("finetune", "weight", "expected"), [("all", 0.5, True), ("all", 0.0, False), ("head", 0.5, False)])
def test_only_whole_networks_are_trained_on_descriptions(finetune, weight, expected):
    assert seen_networks.has_attribute_loss(Settings(finetune=finetune, attribute_loss=weight)) is expected


def test_a_head_on_random_weights_is_warned_of(coloured_seen, monkeypatch, caplog):
    network = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    monkeypatch.setattr(seen_networks, "_new_network", lambda *_: network)
    monkeypatch.setattr(seen_networks, "train_seen", lambda *_, **__: (network, []))
    own = {"weights": "none", "backbone": "own.keras"}
    for options in ({"weights": "none"}, {"weights": "imagenet"}, {"weights": "own.h5"}, own):
        caplog.clear()
        settings = Settings(finetune="head", input_size=16, **options)
        train_partitions(settings, partitions_of(settings, coloured_seen, 2)[:1], Execution())
        assert ("random weights" in caplog.text) == (options == {"weights": "none"})


@pytest.mark.parametrize("finetune", ["head", "all"])
def test_a_hub_module_is_told_of_the_images_of_the_partition_whose_network_it_is(coloured_seen, monkeypatch, finetune):
    """A frozen trunk is shared, so that the images of all seen classes tell what to expect."""
    network = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    told = []
    monkeypatch.setattr(seen_networks, "_new_network", lambda *_: network)
    monkeypatch.setattr(seen_networks, "_settle", lambda _, made, partition, __: told.append((made, partition.name)))
    monkeypatch.setattr(seen_networks, "train_seen", lambda *_, **__: (network, []))
    monkeypatch.setattr(seen_networks.Reader, "features", lambda self, images: np.zeros((len(images), network.num_features)))
    settings = Settings(**{**QUICK, "finetune": finetune, "weights": "imagenet"})
    results = train_partitions(settings, partitions_of(settings, coloured_seen, 2), Execution())
    assert list(results) == ["main", "fold_0"]
    assert told == [(network, name) for name in (("main",) if finetune == "head" else ("main", "fold_0"))]


@pytest.mark.parametrize(
    ("backbone", "weights", "expected"),
    [("hub:some/module", "none", True), ("hub:some/module", "own.h5", False), ("small_vgg", "none", False)],
)
def test_only_a_hub_module_without_other_weights_is_told(coloured_seen, monkeypatch, backbone, weights, expected):
    told, images = [], coloured_seen.images
    network = build_network("small_vgg", images.class_names, input_size=16)
    monkeypatch.setattr(seen_networks, "settle", lambda tail, maps: told.append((tail, maps.shape)))
    monkeypatch.setattr(seen_networks.Reader, "pooled_maps", lambda self, images: np.zeros((len(images), 128)))
    partition = partitions_of(Settings(**QUICK), coloured_seen, 2)[0]
    asked = Settings(finetune="head", backbone=backbone, weights=weights)
    seen_networks._settle(asked, network, partition, Execution())
    assert told == ([(network.tail, (len(partition.training.images), 128))] if expected else [])


@pytest.mark.parametrize(
    ("finetune", "precision", "is_mixed"),
    [("all", "mixed_bfloat16", True), ("all", "float32", False), ("head", "mixed_bfloat16", False)],
)
def test_what_is_trained_in_a_mixed_precision_is_a_twin(coloured_seen, monkeypatch, finetune, precision, is_mixed):
    network = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    twin = build_network("small_vgg", coloured_seen.images.class_names, input_size=16, seed=1)
    asked, trained = [], []
    monkeypatch.setattr(seen_networks, "_new_network", lambda *_: network)
    monkeypatch.setattr(seen_networks, "in_precision", lambda made, precision: asked.append((made, precision)) or twin)
    monkeypatch.setattr(seen_networks, "train_seen", lambda made, *_, **__: trained.append(made) or (made, []))
    before = [each.get_weights() for each in (network.model, twin.model)]
    settings = Settings(**{**QUICK, "finetune": finetune, "precision": precision, "weights": "imagenet"})
    result = train_partitions(settings, partitions_of(settings, coloured_seen, 2)[:1], Execution())["main"]
    assert (asked, trained) == (([(network, precision)], [twin]) if is_mixed else ([], [network]))
    assert result.network is network
    for weight, expected in zip(network.model.get_weights(), before[is_mixed], strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_new_heads_are_drawn_by_the_seed_around_0_with_a_deviation_of_one_over_the_root_of_the_features(coloured_seen):
    partition = partitions_of(Settings(**QUICK), coloured_seen, 2)[1]
    shared = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    made = seen_networks._with_new_head(shared, partition, seed=3)
    expected = np.random.default_rng(3).normal(size=(shared.num_features, 3)) / np.sqrt(shared.num_features)
    np.testing.assert_allclose(made.columns, expected, rtol=1e-5)
    np.testing.assert_array_equal(made.biases, np.zeros(3))
    assert (made.class_names, made.num_seen) == (partition.training.images.class_names, 3)


def test_callbacks_hear_of_the_main_partition_alone(coloured_seen, monkeypatch):
    network = build_network("small_vgg", coloured_seen.images.class_names, input_size=16)
    heard = []
    monkeypatch.setattr(seen_networks, "_new_network", lambda *_: network)
    monkeypatch.setattr(seen_networks, "train_seen", lambda made, *_, callbacks, **__: heard.append(callbacks) or (made, []))
    settings = Settings(**{**QUICK, "finetune": "head", "weights": "imagenet"})
    train_partitions(settings, partitions_of(settings, coloured_seen, 2), Execution(), callbacks=["one"])
    assert heard == [["one"], ()]


def test_a_backbone_of_features_goes_with_features_alone(coloured_seen, tmp_path):
    savemat(tmp_path / "res101.mat", {"features": np.ones((7, 3))})  # three images of seven numbers
    of_features = replace(coloured_seen.images, root=tmp_path / "res101.mat")
    assert seen_networks._width_of(Settings(backbone="features", finetune="head"), of_features) == 7
    settings = Settings(backbone="features", finetune="head")
    with pytest.raises(InputError, match="--backbone must be features for a data set of features, and only for"):
        seen_networks._width_of(settings, coloured_seen.images)
    assert seen_networks._width_of(Settings(**QUICK), coloured_seen.images) is None
