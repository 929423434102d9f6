import keras
import numpy as np
import pytest

from niwt_tf.methods.linear_tail import linear_tail
from niwt_tf.methods.operators import jacobian_of, jacobian_passes
from tests.shared import further

LAYERS = keras.layers


def residual(dtype="float64", ceiling=0.5, scale=True):
    """A tail with every kind of layer that is affine in inference; half of its values are above the ReLU's ceiling."""
    keras.utils.set_random_seed(0)
    options = {"dtype": dtype}
    inputs = keras.Input((5, 4, 3), **options)
    hidden = LAYERS.Conv2D(6, 3, padding="same", bias_initializer="normal", **options)(inputs)
    hidden = LAYERS.BatchNormalization(scale=scale, **options)(hidden)
    hidden = LAYERS.ReLU(ceiling, **options)(hidden)
    padded = LAYERS.ZeroPadding2D(((0, 1), (0, 1)), **options)(hidden)
    other = LAYERS.DepthwiseConv2D(2, use_bias=False, **options)(padded)
    other = LAYERS.BatchNormalization(**options)(other)
    summed = LAYERS.Activation("relu", **options)(LAYERS.Add(**options)([hidden, other]))
    pooled = LAYERS.GlobalAveragePooling2D(**options)(LAYERS.AveragePooling2D(2, **options)(summed))
    tail = keras.Model(inputs, LAYERS.Dense(7, bias_initializer="normal", **options)(LAYERS.Dropout(0.5, **options)(pooled)))
    random = np.random.default_rng(1)
    for layer in tail.layers:
        if isinstance(layer, LAYERS.BatchNormalization):
            layer.set_weights([random.uniform(0.3, 2.0, weight.shape) for weight in layer.get_weights()])
    return tail


@pytest.mark.parametrize("jit", [False, *further(True)])
@pytest.mark.parametrize("options", [{}, *further({"ceiling": None}, {"scale": False})])
def test_it_gives_the_jacobian_of_gradients(options, jit):
    tail = residual(**options)
    conv_map = np.random.default_rng(2).normal(size=(5, 4, 3))
    assert linear_tail(tail) is not None
    found = jacobian_of(tail, "forward", jit=jit)(conv_map)
    np.testing.assert_allclose(found, jacobian_of(tail, "reverse", jit=jit)(conv_map), rtol=1e-10, atol=1e-14)
    assert np.abs(found).max() > 0
    assert jacobian_passes(tail) == 3.0  # a pass for each neuron of the map


def test_each_image_has_masks_of_its_own():
    linear = linear_tail(residual("float32"))
    random = np.random.default_rng(3)
    one, other = (linear.masks(random.normal(size=(1, 5, 4, 3)).astype(np.float32)) for _ in range(2))
    assert [mask.shape for mask in one] == [(1, 5, 4, 6), (1, 5, 4, 6)]
    assert any(np.any(a != b) for a, b in zip(one, other, strict=True))
    assert all(set(np.unique(mask)) == {0.0, 1.0} for mask in one)


@pytest.mark.parametrize(
    "layer",
    [
        LAYERS.MaxPooling2D(2), LAYERS.ReLU(negative_slope=0.1), LAYERS.ReLU(threshold=0.5), LAYERS.Activation("gelu"),
        LAYERS.Conv2D(3, 1, activation="relu"), LAYERS.LayerNormalization(), LAYERS.LeakyReLU(),
    ],
    ids=lambda layer: layer.name,
)
def test_other_layers_are_left_to_general_differentiation(layer):
    inputs = keras.Input((4, 4, 3))
    assert linear_tail(keras.Model(inputs, LAYERS.Flatten()(layer(inputs)))) is None
    assert linear_tail(keras.Sequential([LAYERS.Flatten()])) is None
