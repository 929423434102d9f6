from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.schema import Images
from niwt_tf.experiments.faithfulness_names import PartEnergy, name_quality, named_attributes
from niwt_tf.experiments.faithfulness_truth import ImageTruth
from niwt_tf.explain.explainer import Explainer

PRESENT = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 1], [0, 1, 1]], bool)  # of the third every image has it
POOLED = np.array([[4.0, 4.0, 0.0], [3.0, 3.0, 1.0], [2.0, 2.0, 0.0], [1.0, 1.0, 2.0]], np.float32)


def explainer(neuron_names, confidences):
    attributes = ("red crown", "blue crown", "long tail")
    groups = ("crown_color", "crown_color", "tail_shape")
    count = len(neuron_names)
    weights = np.ones((3, count), np.float32)
    return Explainer(
        weights, np.zeros(3, np.float32), attributes, groups, neuron_names, np.array(confidences, np.float32), 1.0, 0.5
    )


def test_names_by_hand():
    of = explainer(("red crown", "blue crown", "red crown"), [0.99, 0.99, 0.5])
    quality = name_quality(POOLED, PRESENT, named_attributes(of), of.confident)
    np.testing.assert_allclose(quality.auc, [1.0, 0.0, 0.375])
    assert quality.good["value"] == 0.5 and quality.good["count"] == 2
    assert quality.mean_auc["value"] == 0.5 and quality.mean_auc["count"] == 2
    # Under the two names that tell images apart, both neurons have the AUCs 1 and 0.
    assert quality.good["chance"] == quality.mean_auc["chance"] == 0.5


@pytest.mark.parametrize(
    ("names", "confidences"),
    [(("", "", ""), [0, 0, 0]), (("red crown",) * 3, [0.5] * 3), (("long tail",) * 3, [1.0] * 3)],
    ids=["no names", "no confident ones", "an attribute of every image"],
)
def test_names_that_cannot_be_measured_are_absent(names, confidences):
    of = explainer(names, confidences)
    quality = name_quality(POOLED, PRESENT, named_attributes(of), of.confident)
    assert quality.mean_auc is None and quality.good is None


def truth(boxes, parts):
    images = Images(Path("."), ("a", "b"), np.array([0, 1], np.int32), ("x", "y"))
    return ImageTruth(images, 1, PRESENT[[0, 2]], np.array([2]), boxes, parts, np.array([[4, 4]] * 2), ("crown", "tail"))


def test_part_energy_by_hand():
    boxes = np.array([[0.0, 0.0, 4.0, 2.0]] * 2)  # the upper half; a disc has the radius 0.6 and is one pixel
    parts = np.array([[[0.5, 0.5, 1.0], [3.5, 1.5, 1.0]], [[0.5, 0.5, 1.0], [3.5, 1.5, 0.0]]])
    measured = PartEnergy(explainer(("red crown", "long tail", ""), [1.0, 0.5, 0.0]), truth(boxes, parts), (4, 4), 4)
    maps = np.zeros((2, 4, 4, 3), np.float32)
    maps[:, 0, 0, 0] = 1.0
    maps[:, 3, 3, 0] = 3.0
    maps[:, 1, 3] = 2.0
    measured.add(maps[:1], np.array([0]))
    measured.add(maps[1:], np.array([1]))
    # Neuron 0 has 1 of 1 + 2 + 3 at the crown of the image that has a red one; the disc is 1 of the box's 8 pixels.
    np.testing.assert_allclose(measured.energy, [1 / 6, np.nan])
    np.testing.assert_allclose(measured.chance, [1 / 8, np.nan])
    # Neuron 1 is not confident, so it is no part of the figure; its tail is visible in the first image alone.
    assert measured.parts == {0: (0,), 1: (1,)}
    assert measured.of_neurons() == {0: pytest.approx((1 / 6, 1 / 8)), 1: pytest.approx((1.0, 1 / 8))}


def test_without_boxes_the_whole_image_is_the_frame():
    parts = np.array([[[0.5, 0.5, 1.0], [3.5, 1.5, 1.0]]] * 2)
    measured = PartEnergy(explainer(("red crown", "", ""), [1.0, 0.0, 0.0]), truth(None, parts), (4, 4), 4)
    measured.add(np.ones((2, 4, 4, 3), np.float32), np.arange(2))
    np.testing.assert_allclose(measured.energy, [1 / 16, np.nan])
    np.testing.assert_allclose(measured.chance, [1 / 16, np.nan])


def test_without_parts_nothing_is_measured():
    measured = PartEnergy(explainer(("red crown", "", ""), [1.0, 0.0, 0.0]), truth(None, None), (4, 4), 4)
    measured.add(np.ones((2, 4, 4, 3), np.float32), np.arange(2))
    assert np.isnan(measured.energy).all() and measured.of_neurons() == {} and measured.parts == {}
