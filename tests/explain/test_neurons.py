"""Which neurons get a name: those whose name is more than chance, and holds on images that it was not found on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from niwt_tf.explain import neurons
from niwt_tf.explain.neurons import GOOD_AUC, Activations, NeuronNames, name_neurons


def _images(means: np.ndarray, each: int = 6, noise: float = 0.01, seed: int = 0) -> Activations:
    """Return activations of `each` images a class, around class means [S, N]."""
    labels = np.repeat(np.arange(len(means)), each)
    values = means[labels] + noise * np.random.default_rng(seed).standard_normal((len(labels), means.shape[1]))
    return Activations(values, labels)


def _halves(means: np.ndarray, noise: float = 0.01) -> tuple[Activations, Activations]:
    return _images(means, noise=noise, seed=1), _images(means, noise=noise, seed=2)


def test_the_chances_are_those_of_every_order_of_the_classes():
    first, second = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.4]), np.array([0.5, 0.1, 0.4, 0.2, 0.3, 0.1])
    descriptions = np.array([[0, 1], [0, 0], [1, 1], [1, 0], [1, 0], [0, 1]], float)
    directions, _ = neurons._standardised(np.stack([first, second], axis=1))
    attributes, _ = neurons._standardised(descriptions)
    largest = (directions.T @ attributes).max(axis=1)
    chances = neurons._chances(directions, attributes, largest, neurons._orders(6, 1e9))
    orders = list(itertools.permutations(range(6)))
    for values, chance, own in zip((first, second), chances, largest, strict=True):
        reached = [max(np.corrcoef(values, descriptions[list(order), k])[0, 1] for k in (0, 1)) for order in orders]
        assert chance == pytest.approx(np.mean(np.array(reached) >= own - 1e-9), abs=0.03)  # 1,999 orders drawn


def test_a_neuron_that_follows_an_attribute_has_its_name_and_its_auc_on_held_out_images():
    attribute, other = np.arange(12) % 2, np.arange(12) % 4 < 2
    means = np.stack([attribute, 0.5 - attribute, np.ones(12), np.random.default_rng(0).random(12)], axis=1)
    found, held_out = _halves(means, noise=0.3)
    named = name_neurons(found, held_out, np.stack([attribute, other], axis=1), ("a", "b"))
    assert named.names == ("a", "", "", "")  # a negative correlation is no name
    values, labels = held_out
    above, below = (values[np.isin(labels, np.flatnonzero(attribute == present)), 0] for present in (1, 0))
    expected = (above[:, None] > below).mean()
    np.testing.assert_allclose(named.aucs, [expected, 0, 0, 0], rtol=1e-6)


def test_a_name_that_does_not_hold_on_held_out_images_is_none():
    attribute = np.arange(12) % 2
    descriptions = attribute[:, None]
    means = attribute[:, None].astype(float)
    found, held_out = _halves(means)
    assert name_neurons(found, held_out, descriptions, ("a",)).names == ("a",)
    shuffled = held_out._replace(values=np.random.default_rng(0).permuted(held_out.values, axis=0))
    named = name_neurons(found, shuffled, descriptions, ("a",))
    assert named.names == ("",) and not named.aucs.any()


@pytest.mark.parametrize(("few", "names"), [(3, ("a",)), (2, ("",))])
def test_an_attribute_of_too_few_classes_names_nothing(few, names):
    attribute = np.arange(14) < few
    named = name_neurons(*_halves(attribute[:, None].astype(float)), attribute[:, None], ("a",))
    assert named.names == names


def test_of_equal_attributes_the_first_names():
    attribute = (np.arange(12) % 2).astype(float)
    descriptions = np.stack([1 - attribute, attribute, 3 * attribute + 1, attribute], axis=1)
    named = name_neurons(*_halves(np.stack([attribute, 1 - attribute], axis=1)), descriptions, ("not", "b", "c", "d"))
    assert named.names == ("b", "not")


@pytest.mark.parametrize("how", ["one class", "nothing held out", "a class without images", "attributes that do not vary"])
def test_nothing_is_named_where_nothing_can_be_known(how):
    classes = 1 if how == "one class" else 8
    attribute = (np.arange(classes) % 2).astype(float)
    found, held_out = _halves(attribute[:, None])
    if how == "nothing held out":
        held_out = Activations(np.empty((0, 1)), np.empty(0, np.int64))
    if how == "a class without images":
        found = Activations(found.values[found.labels > 0], found.labels[found.labels > 0])
    descriptions = np.ones((classes, 1)) if how == "attributes that do not vary" else attribute[:, None]
    named = name_neurons(found, held_out, descriptions, ("a",))
    assert named.names == ("",) and not named.aucs.any()


@pytest.mark.parametrize(("classes", "attributes"), [(14, 50), (40, 60)])
@pytest.mark.parametrize("rare", [False, True])
def test_neurons_without_meaning_have_no_names(monkeypatch, classes, attributes, rare):
    """Also where few classes own an attribute, and where a few activations stand out."""
    monkeypatch.setattr(neurons, "_MOST_ORDERS", 499)
    random = np.random.default_rng(0)
    found, held_out = _halves(random.standard_t(3, (classes, 400)), noise=1.0)
    values = random.standard_normal((classes, attributes))
    named = name_neurons(found, held_out, values > 0.8 if rare else values, [f"{k}" for k in range(attributes)])
    assert np.mean([name != "" for name in named.names]) < 0.02


def test_most_names_hold_on_other_images_of_the_same_classes():
    random = np.random.default_rng(3)
    attributes = random.random((30, 20)) < 0.4
    means = np.concatenate([attributes[:, :10] + 0.3 * random.standard_normal((30, 10)), random.random((30, 200))], axis=1)
    found, held_out = _halves(means, noise=0.4)
    named = name_neurons(found, held_out, attributes, [str(k) for k in range(20)])
    assert [named.names[n] for n in range(10)] == [str(n) for n in range(10)]
    assert sum(name != "" for name in named.names[10:]) <= 2
    assert (named.aucs[:10] > GOOD_AUC).all()


def test_blocks_of_neurons_change_nothing(monkeypatch):
    random = np.random.default_rng(1)
    attributes = random.random((12, 6))
    halves = _halves(np.concatenate([attributes, random.random((12, 20))], axis=1))
    whole = name_neurons(*halves, attributes, "abcdef")
    assert any(whole.names)
    monkeypatch.setattr(neurons, "_BLOCK_ENTRIES", 40)
    blocks = name_neurons(*halves, attributes, "abcdef")
    assert blocks.names == whole.names
    np.testing.assert_allclose(blocks.aucs, whole.aucs)


def test_no_names():
    assert NeuronNames.none(2).names == ("", "")
