"""Which images are shown, and what is said of them."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from niwt_tf.compute.execution import Execution
from niwt_tf.explain.words import WeightedAttribute
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.report.gallery import drawn_images, gallery


def _gallery(world, **options):
    explainer, dataset = options.pop("explainer", world.explainer), options.pop("dataset", world.dataset)
    return gallery(world.network, explainer, Probabilities(2.0), dataset, world.scored, Execution(), **options)


@pytest.fixture(scope="module")
def entries(world):
    return {entry.path: entry for entry in _gallery(world)}


def _pixels(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"), int)


def test_right_and_wrong_ones_of_unseen_then_seen_classes(world, entries):
    facts = [(entry.right, entry.true_seen, entry.predicted_seen) for entry in entries.values()]
    assert facts == [(True, False, False)] * 2 + [(False, False, True)] + [(True, True, True)] * 2 + [(False, True, False)]
    assert list(entries)[2] == "blue_like_red.png" and list(entries)[5] == "green_like_blue.png"
    assert {entry.true_class for entry in entries.values()} == {"Red", "Green", "Blue"}


def test_scores_and_rivals(entries):
    entry = entries["blue_like_red.png"]
    assert (entry.true_class, entry.predicted, entry.rival) == ("Blue", "Red", "Blue")
    # Mean colours are a quarter of (240, 0, 80); logits are a twentieth of them, and the temperature is 2.
    exponentials = np.exp(np.array([60, 0, 20]) / 20 / 2)
    assert entry.score == pytest.approx(exponentials[0] / exponentials.sum(), rel=1e-5)


def test_scores_are_those_after_calibration(world):
    evaluation = dataclasses.replace(world.scored.evaluation, calibration=100.0)
    scored = dataclasses.replace(world.scored, evaluation=evaluation)
    made = gallery(world.network, world.explainer, Probabilities(), world.dataset, scored, Execution(), unseen_right=1)
    assert made[0].score == pytest.approx(1.0)
    assert made[1].predicted == "Red" and made[1].score < 1e-20 and made[1].rival == "Blue"


def test_words_are_those_of_the_inverse_map(entries):
    entry = entries["blue_like_red.png"]
    assert entry.speaks_for == (WeightedAttribute("is red", "colour", 1.0),)
    assert entry.speaks_against == (WeightedAttribute("is blue", "colour", -0.25),)
    # The importances for red and blue are at right angles: their difference is (1, 0, -1) / sqrt 2, without a bias.
    assert [word.attribute for word in entry.against_true] == ["is red"]
    assert entry.against_true[0].weight == pytest.approx(2**-0.5)
    assert entries["blue_0.png"].against_true == ()


def test_words_are_true_or_not(entries):
    assert entries["blue_like_red.png"].true_attributes == {"is blue"}
    assert entries["blue_0.png"].true_attributes == {"is blue"}
    assert entries["red_0.png"].true_attributes == {"is red"}


def test_the_image_s_own_attributes_come_first(world):
    own = np.zeros((6, 3), np.float32)
    own[2, 0] = 1  # blue_like_red.png is red
    made = _gallery(world, dataset=world.dataset.replace(image_attributes=own), unseen_right=1, seen_right=0, seen_wrong=0)
    assert [entry.true_attributes for entry in made] == [frozenset(), {"is red"}]


def test_heat_is_where_the_colour_is(entries):
    heat = _pixels(entries["blue_0.png"].heat)
    assert heat.shape == (64, 192, 3) == _pixels(entries["blue_0.png"].image).shape
    colour = np.ptp(heat, axis=2)
    assert heat[:16, :48].min(axis=(0, 1)).max() > 150  # light
    assert colour[52:].max() < 12 and colour[:, 150:].max() < 12 and heat[52:].max() < 12


def test_a_map_in_which_nothing_speaks_for_the_answer_is_empty(world, entries):
    assert not any(entry.heat_is_empty for entry in entries.values())
    # There is no green in the red image, and green has weights for nothing else.
    predictions = world.scored.evaluation.predictions.copy()
    red, green = (list(world.network.class_names).index(name) for name in ("Red", "Green"))
    predictions[world.scored.labels == red] = green
    evaluation = dataclasses.replace(world.scored.evaluation, predictions=predictions)
    scored = dataclasses.replace(world.scored, evaluation=evaluation)
    made = gallery(world.network, world.explainer, Probabilities(2.0), world.dataset, scored, Execution())
    assert {entry.path for entry in made if entry.heat_is_empty} == {"red_0.png"}


def test_a_named_neuron_is_shown_where_it_answers(entries):
    (neuron,) = entries["blue_0.png"].neurons
    # alpha is 1 / 20 / 4 at each position, the mean activation 240 / 4.
    assert (neuron.neuron, neuron.name, neuron.auc) == (2, "is blue", pytest.approx(0.99))
    assert neuron.weight == pytest.approx(60 / 80)
    assert neuron.alt == "Where neuron 2 (is blue) is active in the image of Blue"
    picture = _pixels(neuron.picture)
    assert picture.shape == (37, 112, 3) and picture[4, 10, 2] > 200 and picture[:, 100:].max() < 20


def test_a_neuron_without_a_name_is_passed_over(entries):
    assert entries["green_0.png"].neurons == ()


def test_the_neurons_that_count_most_are_shown(world, monkeypatch):
    # Red counts most for the class Red, and blue a little.
    world.network.head.kernel.assign(np.array([[0.1, 0, 0], [0, 0, 0], [0.01, 0, 0]]))
    chosen = {"unseen_right": 0, "seen_right": 0, "seen_wrong": 0}
    try:
        (both,) = _gallery(world, **chosen)
        monkeypatch.setattr("niwt_tf.report.gallery._NEURONS", 1)
        (one,) = _gallery(world, **chosen)
    finally:
        world.network.head.kernel.assign(np.eye(3) / 20)
    assert [neuron.name for neuron in both.neurons] == ["is red", "is blue"]  # by weight
    assert [neuron.name for neuron in one.neurons] == ["is red"]


def test_classes_are_called_as_among_all(world, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "niwt_tf.report.gallery.readable_names", lambda names: asked.append(names) or tuple(map(str.upper, names))
    )
    made = _gallery(world, unseen_right=1, unseen_wrong=1, seen_right=0, seen_wrong=0)
    assert asked == [world.network.class_names] and made[1].predicted == "RED" and made[1].true_class == "BLUE"


def test_fewer_than_asked_and_none(world):
    predictions = world.scored.evaluation.predictions
    assert len(drawn_images(world.scored.labels, predictions, 2, (100, 6, 0, 1), 0)) == 4
    assert _gallery(world, unseen_right=0, unseen_wrong=0, seen_right=0, seen_wrong=0) == ()


def test_the_seed_decides():
    labels = np.tile(np.arange(10), 50)
    predictions = np.where(np.arange(500) % 3 == 0, (labels + 1) % 10, labels)
    draws = [drawn_images(labels, predictions, 6, (6, 6, 3, 3), seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    for drawn in draws:
        assert len(set(drawn.tolist())) == 18
        unseen, right = labels[drawn] >= 6, (labels == predictions)[drawn]
        np.testing.assert_array_equal(unseen, [True] * 12 + [False] * 6)
        np.testing.assert_array_equal(right, [True] * 6 + [False] * 6 + [True] * 3 + [False] * 3)
        assert set(np.bincount(labels[drawn[:6]])[6:]) == {1, 2}  # four unseen classes have six places
        assert len(set(labels[drawn[12:15]])) == 3
    fewer = drawn_images(labels, predictions, 6, (2, 6, 3, 3), 0)
    np.testing.assert_array_equal(fewer[2:], draws[0][6:])
