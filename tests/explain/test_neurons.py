import itertools

import numpy as np
import pytest

from niwt_tf.explain import neurons
from niwt_tf.explain.neurons import CONFIDENT, name_neurons


def test_names_and_confidences_are_those_of_every_order_of_the_classes():
    # Rows have length 1 already, and only the first two neurons are of interest.
    first = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.4])
    second = np.array([0.5, 0.1, 0.4, 0.2, 0.3, 0.1])
    importances = np.stack([first, second, np.sqrt(1.0 - first**2 - second**2)], axis=1)
    descriptions = np.array([[0, 1, 3], [0, 0, 3], [1, 1, 3], [1, 0, 3], [1, 0, 3], [0, 0, 3]], np.float32)
    names, confidences = name_neurons(importances, descriptions, ("a", "b", "same"))
    assert names[:2] == ("a", "b")
    orders = list(itertools.permutations(range(6)))
    for values, confidence in zip((first, second), confidences, strict=False):
        reached = [
            max(np.corrcoef(values, descriptions[list(order), k])[0, 1] for k in (0, 1)) for order in orders
        ]
        share = np.mean(np.array(reached) >= reached[0] - 1e-9)  # the first order is the true one
        assert 1.0 - confidence == pytest.approx(share, abs=0.03)  # 1,999 orders drawn


def test_a_weight_that_only_cancels_gives_no_name():
    # Neuron 0 is "a" and what both share; neuron 1 is what they share, so a decoder of "a" would use it negatively.
    random = np.random.default_rng(0)
    attribute = (np.arange(40) % 2).astype(float)
    other = (np.arange(40) % 4 < 2).astype(float)
    shared = random.standard_normal(40)
    vectors = np.stack([0.1 * attribute + 0.02 * shared, 0.02 * shared, -0.1 * attribute, np.ones(40)], axis=1)
    names, confidences = name_neurons(vectors, np.stack([attribute, other], axis=1), ("a", "b"))
    assert names[0] == "a" and confidences[0] > 0.999
    assert confidences[1] < CONFIDENT
    assert names[2] != "a" and confidences[2] < CONFIDENT  # a negative correlation is no name


def test_neurons_and_attributes_that_do_not_vary():
    importances = np.zeros((6, 3))
    importances[:, 0] = 1.0
    attributes = np.array([[1, 7], [0, 7], [1, 7], [0, 7], [1, 7], [0, 7]])
    names, confidences = name_neurons(importances, attributes, ("a", "same"))
    assert names == ("", "", "") and not confidences.any()
    names, confidences = name_neurons(np.eye(6), np.ones((6, 2)), ("a", "b"))
    assert names == ("",) * 6 and not confidences.any()


def test_a_perfect_correlation_is_sure_and_the_first_of_equals_names():
    values = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    importances = np.stack([0.6 * values, np.sqrt(1.0 - 0.36 * values)], axis=1)
    descriptions = np.stack([1 - values, values, 3.0 * values + 1.0, values], axis=1)
    names, confidences = name_neurons(importances, descriptions, ("not", "b", "c", "d"))
    assert names == ("b", "not")
    # "not" and "b" to "d" are three of six classes each: 2 of the 20 ways to choose three go along as well.
    np.testing.assert_allclose(confidences, 0.9, atol=0.03)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_classes_give_names_without_confidence(classes):
    values = np.arange(classes, dtype=float)
    importances = np.stack([0.1 * values, np.ones(classes)], axis=1)
    names, confidences = name_neurons(importances, values[:, None], ("a",))
    assert names == (("a" if classes > 1 else ""), "") and not confidences.any()


@pytest.mark.parametrize(("classes", "attributes"), [(7, 312), (40, 47)])
@pytest.mark.parametrize("rare", [False, True])
@pytest.mark.parametrize("tails", [3, 1000])
def test_neurons_without_meaning_are_confident_as_often_as_stated(monkeypatch, classes, attributes, rare, tails):
    """Also where a few classes own an attribute and a few importances stand out: there Student's t would be wrong."""
    monkeypatch.setattr(neurons, "_MOST_ORDERS", 199)
    random = np.random.default_rng(0)
    noise = random.standard_t(tails, (classes, 1000))
    values = random.standard_normal((classes, attributes))
    _, confidences = name_neurons(noise, values > 1.6 if rare else values, [""] * attributes)
    assert (confidences >= CONFIDENT).mean() < 0.075
    if not rare:
        assert (confidences >= CONFIDENT).mean() > 0.02


def test_blocks_of_neurons_change_nothing(monkeypatch):
    random = np.random.default_rng(1)
    importances, descriptions = random.standard_normal((9, 50)), random.uniform(size=(9, 6))
    whole = name_neurons(importances, descriptions, "abcdef")
    monkeypatch.setattr(neurons, "_BLOCK_ENTRIES", 40)
    blocks = name_neurons(importances, descriptions, "abcdef")
    assert blocks[0] == whole[0]
    np.testing.assert_allclose(blocks[1], whole[1], rtol=1e-6)
