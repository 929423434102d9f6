from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.explain.grad_cam import GradCam, explained_twice, upsampled
from niwt_tf.models.backbones import build_network


@pytest.fixture(scope="module")
def network():
    names = [f"class {number}" for number in range(4)]
    return build_network("small_vgg", names, weights="none", input_size=32, seed=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


def _by_hand(network, image, chosen: int, rival: int | None) -> np.ndarray:
    """Grad-CAM of one image by a tape of its own (Selvaraju et al. 2017, Eqs. 1 and 2)."""
    with tf.GradientTape() as tape:
        maps = network.trunk(image[None], training=False)
        tape.watch(maps)
        logits = network.head(network.tail(maps, training=False))[0]
        score = logits[chosen] - (0.0 if rival is None else logits[rival])
    weights = tape.gradient(score, maps).numpy()[0].mean(axis=(0, 1))
    heat = np.maximum((maps.numpy()[0] * weights).sum(axis=-1), 0)
    return heat / heat.max() if heat.max() > 0 else heat


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("rivals", [None, [1, 0, 2]])
def test_maps_are_those_of_a_tape_for_each_image_alone(network, images, jit, rivals):
    classes = [0, 3, 1]
    heat = GradCam(network, jit=jit)(images, np.array(classes), None if rivals is None else np.array(rivals), upsample=False)
    expected = [_by_hand(network, images[i], classes[i], rivals[i] if rivals else None) for i in range(3)]
    np.testing.assert_allclose(heat, expected, atol=1e-5)
    assert heat.max() == 1


def test_a_class_against_itself_leaves_no_evidence(network, images):
    assert GradCam(network)(images, np.array([1, 2, 3]), np.array([1, 2, 3])).max() == 0


def test_upsampled_maps_have_the_size_of_the_image_and_a_maximum_of_one(network, images):
    maps = GradCam(network)
    fine, coarse = (maps(images, np.zeros(3, int), upsample=upsample) for upsample in (True, False))
    assert fine.shape == (3, 32, 32)
    larger = upsampled(tf.constant(coarse), 32).numpy()
    np.testing.assert_allclose(fine, larger / larger.max(axis=(1, 2), keepdims=True), atol=1e-6)


def test_no_image_gives_no_map(network):
    assert GradCam(network)(np.empty((0, 32, 32, 3)), np.empty(0, int)).shape == (0, 32, 32)


@pytest.mark.parametrize(("classes", "rivals"), [([0, 1, 4], None), ([0, 1], None), ([0, 1, 2], [0, -1, 1])])
def test_a_class_that_is_not_there_is_refused(network, images, classes, rivals):
    with pytest.raises(InputError, match="Received"):
        GradCam(network)(images, np.array(classes), None if rivals is None else np.array(rivals))


def test_the_gradients_may_be_those_of_another_network(network, images):
    other = build_network("small_vgg", network.class_names, weights="none", input_size=32, seed=2)
    classes = np.array([0, 3, 1])
    own, judged, whole = (
        maps(images, classes, upsample=False) for maps in (GradCam(network), GradCam(network, other), GradCam(other))
    )
    seen = network.trunk(images, training=False)
    heat, _, _, _ = explained_twice(other)(seen, tf.constant(classes), tf.constant(classes))
    np.testing.assert_allclose(judged, heat, atol=1e-5)
    assert np.abs(judged - own).max() > 0.01 < np.abs(judged - whole).max()


def test_two_classes_in_one_pass_are_those_of_two(network, images):
    first, second = np.array([0, 3, 1]), np.array([2, 0, 3])
    maps = network.trunk(images, training=False)
    heat, alphas, other_heat, other_alphas = explained_twice(network)(maps, tf.constant(first), tf.constant(second))
    for classes, found in ((first, heat), (second, other_heat)):
        np.testing.assert_allclose(found, GradCam(network)(images, classes, upsample=False), atol=1e-5)
    assert alphas.shape == other_alphas.shape == (3, network.num_neurons)
