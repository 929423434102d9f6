from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds
from niwt_tf.errors import InputError
from niwt_tf.explain.grad_cam import upsampled
from niwt_tf.explain.heat import FUSED, GRAD_CAM, KINDS, LAYER_CAM, Heat, HeatMaps, explained_twice, first_cut
from niwt_tf.explain.heat_choice import best_heat, bump, choose_heat, heat_candidates
from niwt_tf.methods.task import Task
from niwt_tf.models.backbones import build_network
from niwt_tf.models.cut import map_layers, output_of
from niwt_tf.models.network import Network
from tests.shared import further


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


@pytest.mark.parametrize(("rivals", "jit"), [(None, False), ([1, 0, 2], True), *further((None, True), ([1, 0, 2], False))])
def test_maps_are_those_of_a_tape_for_each_image_alone(network, images, rivals, jit):
    classes = [0, 3, 1]
    heat = HeatMaps(network, jit=jit)(images, np.array(classes), None if rivals is None else np.array(rivals), upsample=False)
    expected = [_by_hand(network, images[i], classes[i], rivals[i] if rivals else None) for i in range(3)]
    np.testing.assert_allclose(heat, expected, atol=1e-5)
    assert heat.max() == 1


def test_a_class_against_itself_leaves_no_evidence(network, images):
    assert HeatMaps(network)(images, np.array([1, 2, 3]), np.array([1, 2, 3])).max() == 0


def test_upsampled_maps_have_the_size_of_the_image_and_a_maximum_of_one(network, images):
    maps = HeatMaps(network)
    fine, coarse = (maps(images, np.zeros(3, int), upsample=upsample) for upsample in (True, False))
    assert fine.shape == (3, 32, 32)
    larger = upsampled(tf.constant(coarse), 32).numpy()
    np.testing.assert_allclose(fine, larger / larger.max(axis=(1, 2), keepdims=True), atol=1e-6)


def test_no_image_gives_no_map(network):
    assert HeatMaps(network)(np.empty((0, 32, 32, 3)), np.empty(0, int)).shape == (0, 32, 32)


@pytest.mark.parametrize(("classes", "rivals"), [([0, 1, 4], None), ([0, 1], None), ([0, 1, 2], [0, -1, 1])])
def test_a_class_that_is_not_there_is_refused(network, images, classes, rivals):
    with pytest.raises(InputError, match="Received"):
        HeatMaps(network)(images, np.array(classes), None if rivals is None else np.array(rivals))


@pytest.mark.slow
def test_the_gradients_may_be_those_of_another_network(network, images):
    other = build_network("small_vgg", network.class_names, weights="none", input_size=32, seed=2)
    classes = np.array([0, 3, 1])
    own, judged, whole = (
        maps(images, classes, upsample=False) for maps in (HeatMaps(network), HeatMaps(network, judging=other), HeatMaps(other))
    )
    seen = network.trunk(images, training=False)
    _, heat, _, _, _ = explained_twice(other, Heat())(seen, tf.constant(classes), tf.constant(classes))
    np.testing.assert_allclose(judged, heat, atol=1e-5)
    assert np.abs(judged - own).max() > 0.01 < np.abs(judged - whole).max()


def test_two_classes_in_one_pass_are_those_of_two(network, images):
    first, second = np.array([0, 3, 1]), np.array([2, 0, 3])
    maps = network.trunk(images, training=False)
    explain = explained_twice(network, Heat())
    own, heat, alphas, other_heat, other_alphas = explain(maps, tf.constant(first), tf.constant(second))
    np.testing.assert_array_equal(own, maps)
    for classes, found in ((first, heat), (second, other_heat)):
        np.testing.assert_allclose(found, HeatMaps(network)(images, classes, upsample=False), atol=1e-5)
    assert alphas.shape == other_alphas.shape == (3, network.num_neurons)


def _map_and_gradient(network, layer, images, classes):
    """Return a layer's map and the gradient by it, by a tape of its own."""
    cut = Network(network.model, layer)
    with tf.GradientTape() as tape:
        maps = cut.trunk(images, training=False)
        tape.watch(maps)
        logits = tf.gather(network.head(cut.tail(maps, training=False)), classes, batch_dims=1)
    return maps.numpy(), tape.gradient(logits, maps).numpy()


def _scaled(heat):
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-30)


@pytest.mark.parametrize("jit", [False, *further(True)])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_heat_by_hand(network, images, kind, jit):
    classes, fine = np.array([0, 3, 1]), "block3_relu"
    last = map_layers(network.model)[-1]
    maps, gradients = _map_and_gradient(network, fine, images, classes)
    expected = _scaled(np.maximum((maps * np.maximum(gradients, 0)).sum(axis=-1), 0))
    if kind == GRAD_CAM:
        expected = _scaled(np.maximum((maps * gradients.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0))
    if kind == FUSED:
        coarse, slopes = _map_and_gradient(network, last, images, classes)
        whole = _scaled(np.maximum((coarse * slopes.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0))
        expected = _scaled(expected * upsampled(tf.constant(whole), expected.shape[1]).numpy())
    heat = HeatMaps(network, Heat(kind, fine), jit=jit)(images, classes, upsample=False)
    np.testing.assert_allclose(heat, expected, atol=1e-4)


def test_heat_of_another_layer_leaves_map_and_importance_as_they_are(network, images):
    classes, others, heat = np.array([0, 3, 1]), np.array([2, 0, 3]), Heat(LAYER_CAM, "block3_relu")
    chosen = tf.constant(classes), tf.constant(others)
    plain = explained_twice(network, Heat())(network.trunk(images, training=False), *chosen)
    first = first_cut(network, heat)
    assert first.layer == "block3_relu" and first_cut(network, Heat()) is network
    found = explained_twice(network, heat)(first.trunk(images, training=False), *chosen)
    for place in (0, 2, 4):  # the own map and both importances
        np.testing.assert_allclose(found[place], plain[place], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found[1], HeatMaps(network, heat)(images, classes, upsample=False), atol=1e-5)


def test_candidates_are_rectified_layers_of_the_two_smallest_maps(network, images):
    found = heat_candidates(network, images)
    assert found[0] == Heat() and {each.kind for each in found} == set(KINDS)
    maps = {each.layer: output_of(network.model, each.layer).shape[1] for each in found[1:]}
    assert len(set(maps.values())) <= 2
    for layer in maps:
        assert Network(network.model, layer).trunk(images, training=False).numpy().min() >= 0


def test_the_bump_is_highest_in_the_middle():
    (heat,) = bump(1, 9)
    assert np.unravel_index(heat.argmax(), heat.shape) == (4, 4) and heat.min() > 0
    np.testing.assert_allclose(heat, heat.T)


@pytest.mark.parametrize(
    ("own", "sharp", "alike", "chosen"),
    [
        (0.5, 0.8, 0.9, GRAD_CAM),  # the better one is the same for another class, and the other beats the middle
        (0.5, 0.8, 0.2, LAYER_CAM),
        (0.1, 0.8, 0.9, LAYER_CAM),  # nothing else beats the middle, which has 0.3
        (0.1, 0.2, 0.2, LAYER_CAM),  # nothing does: the better one, and it says so
    ],
)
def test_a_map_that_is_the_same_for_another_class_is_taken_only_in_need(own, sharp, alike, chosen):
    labels, noise = np.repeat(np.arange(6), 2), np.random.default_rng(0).normal(0, 0.01, (2, 12))
    gains = np.array([own, sharp])[:, None] + noise
    correlations = np.stack([np.zeros(12), np.full(12, alike)])
    correlations[:, 0] = np.nan
    heat = best_heat([Heat(), Heat(LAYER_CAM, "fine")], gains, np.full(12, 0.3), correlations, labels)
    assert heat.kind == chosen and heat.centre == pytest.approx(0.3)
    place = int(chosen == LAYER_CAM)
    assert heat.gain == pytest.approx(gains[place].mean()) and heat.is_true == ((own, sharp)[place] > 0.3)


@pytest.mark.slow
def test_heat_is_chosen_on_held_out_images_and_kept(network, coloured_seen):
    fold = class_folds(coloured_seen, num_folds=1, num_validation=2, num_unseen=2, seed=0)[0]
    task = Task(Settings(), fold, network, Reader(network))
    heat = choose_heat(task, network, 0.01)
    assert heat.kind in KINDS and heat.is_measured
    again = Heat.from_arrays(heat.arrays())
    assert again == heat and again.is_true == (heat.lead_low > 0)
    assert choose_heat(task, network, 0.01) == heat
    assert Heat().is_true and not Heat().is_measured
    nothing = Task(Settings(), fold, network, Reader(network))
    nothing.keep("held out", task.held_out.take(np.arange(0)))
    assert not choose_heat(nothing, network, 0.01).is_measured
