"""What the stages hand to each other comes back equal, and without pickles."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.folds import class_folds, main_partition
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt.files import (
    forms_of,
    load_maps,
    load_measured,
    load_operators,
    part_of,
    save_maps,
    save_measured,
    save_operators,
)
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.relevance import fit_relevance_map
from niwt_tf.methods.seen_heads import BiasForm, SeenHead
from niwt_tf.models.backbones import build_network
from niwt_tf.protocol.seen_networks import load_networks, save_networks
from tests.shared import further


@pytest.fixture(scope="module")
def partitions(coloured_seen):
    return [main_partition(coloured_seen, 0), *class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)]


@pytest.mark.parametrize("finetune", ["head", *further("all")])
def test_networks(tmp_path, partitions, finetune):
    settings, random = Settings(finetune=finetune), np.random.default_rng(0)
    main = build_network("small_vgg", partitions[0].training.images.class_names, input_size=16)
    networks = {"main": main}
    for partition in partitions[1:]:
        names = partition.training.images.class_names
        networks[partition.name] = main.with_head(random.normal(size=(main.num_features, 3)), random.normal(size=3), names, 3)
    save_networks(tmp_path, settings, networks)
    assert sum(path.suffix == ".keras" for path in tmp_path.iterdir()) == (1 if finetune == "head" else 3)
    loaded = load_networks(tmp_path, settings, partitions)
    assert list(loaded) == list(networks)
    images = random.uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    for name, network in networks.items():
        assert (loaded[name].class_names, loaded[name].num_seen) == (network.class_names, network.num_seen)
        np.testing.assert_array_equal(loaded[name].columns, network.columns)
        np.testing.assert_array_equal(loaded[name].biases, network.biases)
        np.testing.assert_array_equal(loaded[name].model(images, training=False), network.model(images, training=False))


def test_measured_heads(tmp_path):
    random = np.random.default_rng(0)

    def one(strength: float) -> MeasuredHead:
        head = SeenHead(strength, random.normal(size=(6, 3)).astype(np.float32), random.normal(size=3).astype(np.float32))
        importance = ClassImportance(random.normal(size=(3, 4)).astype(np.float32), np.array([1, 2, 3]), 0.5, float("nan"))
        return MeasuredHead(head, importance, importance.means + 1, (1, 3))

    measured = {"main": [one(1.0), one(10.0)], "fold_0": [one(1.0), one(10.0)]}
    save_measured(tmp_path, measured)
    loaded = load_measured(tmp_path, list(measured))
    for name, heads in measured.items():
        for before, after in zip(heads, loaded[name], strict=True):
            assert after.head.regularization == before.head.regularization
            np.testing.assert_array_equal(after.head.columns, before.head.columns)
            np.testing.assert_array_equal(after.head.biases, before.head.biases)
            np.testing.assert_array_equal(after.importance.means, before.importance.means)
            np.testing.assert_array_equal(after.targets, before.targets)
            assert after.sizes == before.sizes
            np.testing.assert_array_equal(after.importance.counts, before.importance.counts)
            assert after.importance.rank_correlation_within == 0.5
            assert np.isnan(after.importance.rank_correlation_across)


@pytest.mark.parametrize("how", ["centred", "l2", "raw"])
def test_maps(tmp_path, how):
    random = np.random.default_rng(0)
    descriptions = random.normal(size=(4, 5)).astype(np.float32)
    normaliser = DescriptionNormaliser.fit(descriptions, how)
    maps = {
        name: [
            ImportanceMap(random.normal(size=(3, 5)).astype(np.float32), np.ones(3, np.float32), normaliser, penalty, 0.25)
            for penalty in (0.1, 2.0)
        ]
        for name in ("main", "fold_0")
    }
    save_maps(tmp_path, maps)
    loaded = load_maps(tmp_path, list(maps))
    for name, fitted in maps.items():
        for before, after in zip(fitted, loaded[name], strict=True):
            assert (after.normaliser.how, after.regularization, after.rank_correlation) == (how, before.regularization, 0.25)
            np.testing.assert_array_equal(after.predict(descriptions), before.predict(descriptions))


def test_relevance_maps_of_several_partitions(tmp_path):
    random = np.random.default_rng(0)
    descriptions = random.normal(size=(6, 5))
    sizes = {"main": 6, "fold_0": 4}
    maps = {name: fit_relevance_map(descriptions[:seen], random.normal(size=(seen, 4))) for name, seen in sizes.items()}
    save_maps(tmp_path, maps)
    loaded = load_maps(tmp_path, list(maps))
    for name, fitted in maps.items():
        np.testing.assert_array_equal(loaded[name].weights(descriptions), fitted.weights(descriptions))
        assert loaded[name].rank_correlation == fitted.rank_correlation


def test_heads_with_and_without_a_form_and_their_kinds(tmp_path):
    random = np.random.default_rng(0)
    forms = [None, BiasForm(np.ones(6), np.eye(6, dtype=np.float32), 0.5, 2.0), BiasForm(np.ones(6), np.eye(6), 5.0, 3.0)]
    importance = ClassImportance(np.ones((3, 4), np.float32), np.array([1, 2, 3]), 0.5, 0.25)
    heads = [
        SeenHead(strength, random.normal(size=(6, 3)).astype(np.float32), np.zeros(3, np.float32), kind, form)
        for strength, kind, form in zip((3.0, 1.0, 10.0), ("ridge", "lda", "lda"), forms, strict=True)
    ]
    save_measured(tmp_path, {"main": [MeasuredHead(head, importance, importance.means, (4,)) for head in heads]})
    loaded = load_measured(tmp_path, ["main"])["main"]
    assert [(each.head.regularization, each.head.kind) for each in loaded] == [(3.0, "ridge"), (1.0, "lda"), (10.0, "lda")]
    assert loaded[0].head.form is None
    assert [(each.head.form.shrinkage, each.head.form.scale) for each in loaded[1:]] == [(0.5, 2.0), (5.0, 3.0)]
    assert loaded[0].importance.rank_correlation_across == 0.25
    assert forms_of(heads[:1]) == {}


def test_operators(tmp_path):
    operators = {"main": np.ones((2, 3), np.float32), "fold_0": np.zeros((2, 3), np.float32)}
    save_operators(tmp_path, operators)
    loaded = load_operators(tmp_path)
    assert loaded.keys() == operators.keys()
    for name, operator in operators.items():
        np.testing.assert_array_equal(loaded[name], operator)


def test_arrays_of_a_part_are_those_with_its_name_before_a_stroke():
    one, other = np.ones(1), np.zeros(2)
    arrays = {"few_shot/mean": one, "few_shot_mean": other, "mean": other, "few_shot/few_shot/x": one}
    found = part_of(arrays, "few_shot")
    assert found.keys() == {"mean", "few_shot/x"} and found["mean"] is one
