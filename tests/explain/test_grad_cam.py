import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.explain.grad_cam import (
    attribute_weights,
    grad_cam,
    importance,
    scaled_to_one,
    unit_length,
    upsampled,
)
from niwt_tf.explain.heat import Steps, explained

RANDOM = np.random.default_rng(0)
MAPS = tf.constant(RANDOM.standard_normal((3, 4, 5, 6)).astype(np.float32))
LINEAR = tf.constant(RANDOM.standard_normal((4, 5, 6, 7)).astype(np.float32))
MIXING = tf.constant(RANDOM.standard_normal((6, 8)).astype(np.float32))
COLUMNS = tf.constant(RANDOM.standard_normal((8, 7)).astype(np.float32))
CLASSES = tf.constant([6, 0, 3])


def linear_logits(maps):
    """Logit c is the sum of map times LINEAR[..., c], which is therefore its gradient."""
    return tf.einsum("bhwn,hwnc->bc", maps, LINEAR)


def curved_logits(maps):
    return tf.matmul(tf.reduce_mean(tf.nn.relu(tf.tensordot(maps, MIXING, 1)) ** 2, axis=[1, 2]), COLUMNS)


def gradients_of(maps, logits_of, classes):
    """Return the gradients by the one map of the logits of classes [B]."""
    return explained(maps, Steps((tf.identity, tf.identity)), logits_of, lambda _: (classes,)).gradients[0][0]


def test_gradients_of_a_linear_tail_are_its_weights():
    gradients = gradients_of(MAPS, linear_logits, CLASSES)
    expected = np.moveaxis(LINEAR.numpy(), -1, 0)[CLASSES.numpy()]
    np.testing.assert_allclose(gradients, expected, rtol=1e-6)
    np.testing.assert_allclose(importance(gradients), expected.mean(axis=(1, 2)), atol=1e-6)


def test_gradients_equal_a_plain_tape_for_each_image():
    gradients = gradients_of(MAPS, curved_logits, CLASSES)
    for i, c in enumerate(CLASSES.numpy()):
        alone = MAPS[i : i + 1]
        with tf.GradientTape() as tape:
            tape.watch(alone)
            logit = curved_logits(alone)[0, c]
        np.testing.assert_allclose(gradients[i], tape.gradient(logit, alone)[0], rtol=1e-5, atol=1e-7)


def test_gradient_of_a_difference_is_the_difference_of_gradients():
    others = tf.constant([1, 5, 2])
    steps = Steps((tf.identity, tf.identity))
    _, logits, chosen, ((first,), (second,)) = explained(MAPS, steps, curved_logits, lambda _: (CLASSES, others))
    np.testing.assert_array_equal(chosen[1], others)
    np.testing.assert_allclose(logits, curved_logits(MAPS), rtol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(MAPS)
        both = curved_logits(MAPS)
        difference = tf.gather(both, CLASSES, batch_dims=1) - tf.gather(both, others, batch_dims=1)
    np.testing.assert_allclose(first - second, tape.gradient(difference, MAPS), atol=1e-6)


def test_classes_can_be_chosen_by_the_logits():
    steps = Steps((tf.identity, tf.identity))
    _, logits, (best,), _ = explained(MAPS, steps, curved_logits, lambda each: (tf.argmax(each, axis=1),))
    np.testing.assert_array_equal(best, np.argmax(logits, axis=1))


def test_half_precision_answers_in_float32():
    maps, columns = (tf.cast(each, tf.bfloat16) for each in (MAPS, MIXING))
    gradients = gradients_of(maps, lambda each: tf.matmul(tf.reduce_sum(each, axis=[1, 2]), columns), CLASSES)
    assert gradients.dtype == tf.float32
    np.testing.assert_array_equal(gradients[:, 0, 0], tf.cast(columns, tf.float32).numpy().T[CLASSES.numpy()])
    assert grad_cam(maps, importance(gradients)).dtype == tf.float32


@pytest.mark.slow
def test_compiled_by_xla_equals_eager():
    def everything(maps, classes):
        gradients = gradients_of(maps, curved_logits, classes)
        alphas = importance(gradients)
        heat = grad_cam(maps, alphas)
        return gradients, heat, upsampled(heat, 20), attribute_weights(alphas, tf.transpose(MIXING), tf.ones(8))

    with tf.device("CPU"):
        compiled = tf.function(everything, jit_compile=True)(MAPS, CLASSES)
    for one, other in zip(compiled, everything(MAPS, CLASSES), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_grad_cam_by_hand():
    maps = tf.constant([[[[1.0, 0.0], [0.0, 1.0]]], [[[2.0, 1.0], [4.0, 0.0]]], [[[1.0, 2.0], [3.0, 4.0]]]])  # [3, 1, 2, 2]
    alphas = tf.constant([[2.0, -1.0], [1.0, 2.0], [-1.0, -1.0]])
    # Sums are (2, -1), (4, 4) and (-3, -7).
    np.testing.assert_array_equal(grad_cam(maps, alphas), [[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]]])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_scaling_works_for_any_size(scale):
    vectors = tf.constant([[3.0, 4.0], [0.0, 0.0]]) * scale
    np.testing.assert_allclose(unit_length(vectors), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(scaled_to_one(vectors[:, None]), [[[0.75, 1.0]], [[0.0, 0.0]]], rtol=1e-6)


def test_upsampling_is_bilinear_between_centres():
    heat = upsampled(tf.constant([[[0.0, 1.0], [0.0, 1.0]]]), 4)
    np.testing.assert_allclose(heat[0], [[0.0, 0.25, 0.75, 1.0]] * 4, rtol=1e-6)


@pytest.mark.parametrize("size", [5, 7, 32])
def test_upsampling_is_what_images_get(size):
    heat = tf.constant(RANDOM.uniform(size=(2, 3, 5)).astype(np.float32))
    np.testing.assert_allclose(upsampled(heat, size), tf.image.resize(heat[..., None], [size, size])[..., 0], atol=1e-6)


def test_attribute_weights_are_the_inverse_map_at_unit_length():
    weights, bias = tf.constant([[1.0, 0.0], [1.0, 1.0], [0.0, -2.0]]), tf.constant([0.5, 0.0, 0.0])
    alphas = tf.constant([[30.0, 40.0]])
    np.testing.assert_allclose(attribute_weights(alphas, weights), [[0.6, 1.4, -1.6]], rtol=1e-6)
    np.testing.assert_allclose(attribute_weights(alphas, weights, bias), [[1.1, 1.4, -1.6]], rtol=1e-6)
