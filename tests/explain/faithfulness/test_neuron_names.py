from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.schema import Images
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness import neuron_names
from niwt_tf.explain.faithfulness.neuron_names import PartEnergy, name_quality, named_attributes
from niwt_tf.explain.faithfulness.truth import ImageTruth

PRESENT = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 1], [0, 1, 1]], bool)  # of the third every image has it
POOLED = np.array([[4.0, 4.0, 0.0], [3.0, 3.0, 1.0], [2.0, 2.0, 0.0], [1.0, 1.0, 2.0]], np.float32)


def explainer(neuron_names, aucs):
    attributes = ("red crown", "blue crown", "long tail")
    groups = ("crown_color", "crown_color", "tail_shape")
    count = len(neuron_names)
    weights = np.ones((3, count), np.float32)
    return Explainer(
        weights, np.zeros(3, np.float32), attributes, groups, neuron_names, np.array(aucs, np.float32), 1.0, 0.5
    )


def test_names_by_hand():
    of = explainer(("red crown", "blue crown", ""), [0.99, 0.99, 0])
    quality = name_quality(POOLED, PRESENT, named_attributes(of))
    np.testing.assert_allclose(quality.auc, [1.0, 0.0, np.nan])
    assert quality.good["value"] == 0.5 and quality.good["count"] == 2
    assert quality.mean_auc["value"] == 0.5 and quality.mean_auc["count"] == 2
    # Under the other's name, the neurons have the AUCs 0 and 1.
    assert quality.good["chance"] == quality.mean_auc["chance"] == 0.5
    assert "left_out" not in quality.good


def test_a_neurons_own_name_is_no_part_of_its_chance():
    of = explainer(("red crown", "red crown", ""), [1.0, 1.0, 0.0])
    quality = name_quality(POOLED, PRESENT, named_attributes(of))
    assert quality.mean_auc["value"] == quality.good["value"] == 1.0
    assert quality.mean_auc["chance"] == quality.good["chance"] == 0.0


def test_without_another_name_there_is_no_chance():
    of = explainer(("red crown", "", ""), [1.0, 0.0, 0.0])
    quality = name_quality(POOLED, PRESENT[:, [0, 2, 2]], named_attributes(of))
    assert quality.mean_auc == {"value": 1.0, "count": 1} and "chance" not in quality.good


def test_names_that_every_image_has_are_counted_as_left_out():
    of = explainer(("red crown", "long tail", ""), [1.0, 1.0, 0.0])
    quality = name_quality(POOLED, PRESENT, named_attributes(of))
    np.testing.assert_allclose(quality.auc, [1.0, np.nan, np.nan])
    assert quality.good["count"] == quality.mean_auc["count"] == 1
    assert quality.good["left_out"] == quality.mean_auc["left_out"] == 1


def test_neurons_of_one_name_are_one_observation():
    names = ("red crown",) * 6 + ("blue crown",) * 6
    of, pooled = explainer(names, [1.0] * 12), np.repeat(POOLED[:, :2], 6, axis=1)
    many = name_quality(pooled, PRESENT, named_attributes(of))
    pair = explainer(("red crown", "blue crown"), [1.0] * 2)
    few = name_quality(POOLED[:, :2], PRESENT, named_attributes(pair))
    for each, other in ((many.mean_auc, few.mean_auc), (many.good, few.good)):
        assert each == {key: pytest.approx(value) for key, value in {**other, "count": 12}.items()}


def test_in_blocks_it_is_the_same(monkeypatch):
    random = np.random.default_rng(0)
    pooled, present = random.normal(size=(20, 9)), random.uniform(size=(20, 3)) < 0.5
    attributes = random.integers(-1, 3, 9)
    whole = name_quality(pooled, present, attributes)
    monkeypatch.setattr(neuron_names, "_BLOCK_ENTRIES", 40)  # two neurons
    parts = name_quality(pooled, present, attributes)
    np.testing.assert_array_equal(parts.auc, whole.auc)
    assert parts.mean_auc == pytest.approx(whole.mean_auc) and parts.good == pytest.approx(whole.good)


@pytest.mark.parametrize(
    ("names", "aucs"),
    [(("", "", ""), [0, 0, 0]), (("long tail",) * 3, [1.0] * 3)],
    ids=["no names", "an attribute of every image"],
)
def test_names_that_cannot_be_measured_are_absent(names, aucs):
    of = explainer(names, aucs)
    quality = name_quality(POOLED, PRESENT, named_attributes(of))
    assert quality.mean_auc is None and quality.good is None


def truth(boxes, parts):
    images = Images(Path("."), ("a", "b"), np.array([0, 1], np.int32), ("x", "y"))
    return ImageTruth(images, 1, PRESENT[[0, 2]], np.array([2]), boxes, parts, np.array([[4, 4]] * 2), ("crown", "tail"))


def add(measured, known, maps, rows):
    measured.add(maps, rows, known.boxes_of(rows, 4))


def test_part_energy_by_hand():
    boxes = np.array([[0.0, 0.0, 4.0, 2.0]] * 2)  # the upper half; a disc has the radius 0.6 and is one pixel
    parts = np.array([[[0.5, 0.5, 1.0], [3.5, 1.5, 1.0]], [[0.5, 0.5, 1.0], [3.5, 1.5, 0.0]]])
    known = truth(boxes, parts)
    measured = PartEnergy(explainer(("red crown", "long tail", ""), [1.0, 0.9, 0.0]), known, (4, 4), 4)
    maps = np.zeros((2, 4, 4, 3), np.float32)
    maps[:, 0, 0, 0] = 1.0
    maps[:, 3, 3, 0] = 3.0
    maps[:, 1, 3] = 2.0
    add(measured, known, maps[:1], np.array([0]))
    add(measured, known, maps[1:], np.array([1]))
    # Neuron 0 has 1 of 1 + 2 + 3 at the crown of the image that has a red one; the disc is 1 of the box's 8 pixels.
    # Neuron 1 has all of its activation at the tail, which the first image alone shows.
    np.testing.assert_allclose(measured.energy, [(1 / 6 + 1) / 2, np.nan])
    np.testing.assert_allclose(measured.chance, [1 / 8, np.nan])
    assert measured.parts == {0: (0,), 1: (1,)}
    assert measured.of_neurons() == {0: pytest.approx((1 / 6, 1 / 8)), 1: pytest.approx((1.0, 1 / 8))}


def test_without_boxes_the_whole_image_is_the_frame():
    parts = np.array([[[0.5, 0.5, 1.0], [3.5, 1.5, 1.0]]] * 2)
    known = truth(None, parts)
    measured = PartEnergy(explainer(("red crown", "", ""), [1.0, 0.0, 0.0]), known, (4, 4), 4)
    add(measured, known, np.ones((2, 4, 4, 3), np.float32), np.arange(2))
    np.testing.assert_allclose(measured.energy, [1 / 16, np.nan])
    np.testing.assert_allclose(measured.chance, [1 / 16, np.nan])


def test_without_parts_nothing_is_measured():
    known = truth(None, None)
    measured = PartEnergy(explainer(("red crown", "", ""), [1.0, 0.0, 0.0]), known, (4, 4), 4)
    add(measured, known, np.ones((2, 4, 4, 3), np.float32), np.arange(2))
    assert np.isnan(measured.energy).all() and measured.of_neurons() == {} and measured.parts == {}


def test_an_edge_of_the_box_inside_of_a_pixel_counts_as_the_pixels_part():
    boxes = np.array([[0.0, 0.0, 4.0, 1.5]] * 2)  # 6 pixels; of the disc at the second row's first, half
    parts = np.array([[[0.5, 1.5, 1.0], [0.0, 0.0, 0.0]]] * 2)
    known = truth(boxes, parts)
    measured = PartEnergy(explainer(("red crown", "", ""), [1.0, 0.0, 0.0]), known, (4, 4), 4)
    add(measured, known, np.ones((2, 4, 4, 3), np.float32), np.arange(2))
    np.testing.assert_allclose(measured.energy, [0.5 / 16, np.nan])
    np.testing.assert_allclose(measured.chance, [0.5 / 6, np.nan])
