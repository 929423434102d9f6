"""Keras models that the package knows nothing of as backbones: files, presets of KerasHub, keras.applications, tokens."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.config.backbones import APPLICATIONS
from niwt_tf.errors import InputError
from niwt_tf.estimator.plain_model import plain_model
from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.methods.operators import jacobian_of, mean_operators, tail_operator
from niwt_tf.models.backbones import build_network
from niwt_tf.models.flops import flops_of
from niwt_tf.models.given import preprocessing_of
from niwt_tf.models.network import Network, in_precision, recut
from niwt_tf.models.tokens import PatchGrid, PatchTokens, grid_of
from tests.shared import further

NAMES = ("cat", "dog", "eel")
SIDE = 32


def pixels(count: int = 2, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, side, side, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """Return the table's MobileNetV2 and a file of the same weights in a plain Keras model."""
    path = tmp_path_factory.mktemp("mobilenet") / "mobilenet.keras"
    network = build_network("mobilenet_v2", NAMES, input_size=SIDE, seed=4)
    plain = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    plain.set_weights(network.model.get_weights()[:-3])  # all but the head's
    plain.save(path)
    return network, path


@pytest.mark.slow
@pytest.mark.combination
def test_three_doors_to_one_network(mobilenet):
    network, path = mobilenet
    named = build_network("MobileNetV2", NAMES, input_size=SIDE, seed=4)
    filed = build_network(str(path), NAMES, layer="block_14_add", preprocessing="tf", seed=4)
    for found in (named, filed):
        assert found.layer == network.layer == "block_14_add"
        np.testing.assert_array_equal(found.model(pixels()), network.model(pixels()))
    assert build_network(str(path), NAMES, preprocessing="tf").layer == "block_16_project_BN"


@pytest.mark.slow
def test_keras_hub_is_a_further_door_to_one_network(tmp_path):
    """A small VGG, for KerasHub has no MobileNetV2: its preset and a plain Keras file of the same layers and weights."""
    keras_hub = pytest.importorskip("keras_hub")
    given = features = keras.Input((SIDE, SIDE, 3))
    for block, filters in enumerate((4, 6, 8), start=1):
        features = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{block}")(features)
        features = keras.layers.MaxPooling2D(name=f"pool{block}")(features)
    plain = keras.Model(given, features)
    plain.save(tmp_path / "plain.keras")
    preset = keras_hub.models.VGGBackbone([1] * 3, [4, 6, 8], image_shape=(SIDE, SIDE, 3))
    preset.set_weights(plain.get_weights())
    folder = str(tmp_path / "preset")
    preset.save_to_preset(folder)
    converter = keras_hub.layers.VGGImageConverter(image_size=(SIDE, SIDE), scale=[1 / 127.5] * 3, offset=[-1.0] * 3)
    converter.save_to_preset(folder)
    filed = build_network(str(tmp_path / "plain.keras"), NAMES, layer="conv2", preprocessing="tf", seed=4)
    found = build_network(f"keras_hub:{folder}", NAMES, layer="block2_conv1", seed=4)
    assert found.num_neurons == filed.num_neurons == 6
    np.testing.assert_allclose(found.trunk(pixels()), filed.trunk(pixels()), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.model(pixels()), filed.model(pixels()), rtol=1e-5, atol=1e-6)


def convolutions() -> keras.Model:
    layers = keras.layers
    given = keras.Input((SIDE, SIDE, 3))
    features = layers.Conv2D(6, 3, strides=2, activation="relu", name="head")(given)
    added = layers.Add(name="sum")([features, layers.Conv2D(6, 3, padding="same", name="middle")(features)])
    return keras.Model(given, layers.Conv2D(8, 3, activation="relu", name="last")(added), name="inner")


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory):
    """Return the file of a model without preprocessing, and the model."""
    path, model = tmp_path_factory.mktemp("convolutional") / "plain.keras", convolutions()
    model.save(path)
    return path, model


def test_models_inside_of_models_are_opened_and_old_classes_left_out(convolutional, tmp_path):
    _, plain = convolutional
    layers = [keras.layers.Rescaling(1 / 127.5, -1), plain, keras.layers.GlobalAveragePooling2D(name="images")]
    whole = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers, keras.layers.Dense(7, activation="softmax")])
    whole.save(tmp_path / "whole.keras")
    network = build_network(str(tmp_path / "whole.keras"), NAMES)
    assert network.layer == "sum"
    assert {"inner_head", "middle", "images_1"} < {layer.name for layer in network.model.layers}
    expected = np.asarray(plain(pixels() / 127.5 - 1)).mean(axis=(1, 2))
    np.testing.assert_allclose(network.tail(network.trunk(pixels())), expected, rtol=1e-4, atol=1e-5)


def test_a_model_of_any_size_takes_the_size_that_is_asked_for(tmp_path):
    given = keras.Input((None, None, 3))
    conv_map = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Conv2D(4, 3)(given))
    keras.Model(given, conv_map).save(tmp_path / "any.keras")
    assert build_network(str(tmp_path / "any.keras"), NAMES, input_size=20, preprocessing="unit").input_size == 20


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "preprocessing must be given for a model without a Rescaling or Normalization layer"),
        ({"preprocessing": "tf", "input_size": 64}, "input_size must be what the backbone takes, 32. Received: 64"),
        ({"preprocessing": "tf", "layer": "midle"}, "layer must name a layer.*middle"),
        ({"preprocessing": "tf", "weights": "imagenet"}, "weights must be none or a .keras file"),
    ],
)
def test_what_a_file_is_refused_for(convolutional, options, sentence):
    with pytest.raises(InputError, match=sentence):
        build_network(str(convolutional[0]), NAMES, **options)


def test_what_is_no_model_of_images(tmp_path):
    with pytest.raises(InputError, match="must be a model that Keras reads safely. Received: '.*gone.keras', not a file"):
        build_network(str(tmp_path / "gone.keras"), NAMES)
    (tmp_path / "torn.keras").write_bytes(b"torn")
    with pytest.raises(InputError, match="must be a .keras file"):
        build_network(str(tmp_path / "torn.keras"), NAMES)
    given = keras.Input((SIDE, SIDE, 3))
    keras.Model(given, keras.layers.Lambda(lambda x: x + 1)(given)).save(tmp_path / "lambda.keras")
    with pytest.raises(InputError, match="that Keras reads safely"):
        build_network(str(tmp_path / "lambda.keras"), NAMES)
    two = [keras.Input((SIDE, SIDE, 3)), keras.Input((SIDE, SIDE, 3))]
    keras.Model(two, keras.layers.Add()(two)).save(tmp_path / "two.keras")
    with pytest.raises(InputError, match=r"with one output. Received: inputs of shape \(None, 32, 32, 3\), \(None"):
        build_network(str(tmp_path / "two.keras"), NAMES)
    with pytest.raises(InputError, match="name a preset of KerasHub or its folder"):
        build_network("keras_hub:./gone", NAMES)
    with pytest.raises(InputError, match="preprocessing must be auto for small_vgg"):
        build_network("small_vgg", NAMES, preprocessing="tf")


def test_the_names_are_those_of_keras():
    assert set(APPLICATIONS) == {name for name in dir(keras.applications) if name[0].isupper()}
    modes = {name: preprocessing_of(name) for name in APPLICATIONS}
    assert {modes[name] for name in ("MobileNetV2", "NASNetMobile", "ResNet50V2", "Xception")} == {"tf"}
    assert {modes[name] for name in ("ResNet50", "VGG19")} == {"caffe"}
    assert modes["DenseNet121"] == "torch"
    assert {modes[name] for name in ("EfficientNetB0", "ConvNeXtTiny", "MobileNetV3Small")} == {"none"}


@pytest.mark.parametrize(
    ("tokens", "side", "known", "expected"),
    [
        (197, 224, [], (1, 14, 14)),
        (261, 224, [], (5, 16, 16)),
        (49, 224, [(56, 56)], (0, 7, 7)),
        (9, 32, [], (5, 2, 2)),
        (325, 256, [(18, 18)], (1, 18, 18)),
    ],
)
def test_the_grid_of_a_sequence(tokens, side, known, expected):
    assert grid_of(tokens, side, known) == expected


def test_a_sequence_that_is_no_grid():
    with pytest.raises(InputError, match="must be a grid of patches after at most 16 other tokens. Received: 300 tokens"):
        grid_of(300, 224, [])


def test_tokens_come_back_from_their_map_and_others_have_no_gradient_in_inference():
    tokens = tf.constant(np.random.default_rng(0).normal(size=(2, 5 + 12, 7)).astype(np.float32))
    grid, back = PatchGrid(5, 3, 4), PatchTokens(5, 7)
    conv_map = grid(tokens)
    assert conv_map.shape == (2, 3, 4, 7 + 3) == grid.compute_output_shape(tokens.shape)
    np.testing.assert_array_equal(conv_map[0, 1, 2, :7], tokens[0, 5 + 4 + 2])
    np.testing.assert_array_equal(back(conv_map), tokens)
    for training in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(conv_map)
            total = tf.reduce_sum(back(conv_map, training=training))
        gradient = tape.gradient(total, conv_map)
        assert (gradient.numpy()[..., :7] == 1).all()
        assert bool(gradient.numpy()[..., 7:].any()) == training


def _vision(kind: str):
    models = pytest.importorskip("keras_hub").models
    sizes = {"num_layers": 3, "num_heads": 2, "hidden_dim": 24, "patch_size": 8, "image_shape": (SIDE, SIDE, 3)}
    if kind == "ViT":
        return models.ViTBackbone(mlp_dim=32, **sizes)
    if kind == "DINOV2":
        registers = {"num_register_tokens": 4, "position_embedding_shape": (SIDE, SIDE, 3)}
        return models.DINOV2Backbone(intermediate_dim=32, **registers, **sizes)
    text = {"vocabulary_size": 9, "embedding_dim": 24, "hidden_dim": 24, "num_layers": 1, "num_heads": 2}
    encoders = (
        getattr(models, f"{kind}VisionEncoder")(intermediate_dim=32, **sizes),
        getattr(models, f"{kind}TextEncoder")(intermediate_dim=32, **text),
    )
    return getattr(models, f"{kind}Backbone")(*encoders, *([24] if kind == "CLIP" else []))


SLOW = [pytest.param("SigLIP", marks=pytest.mark.slow), *further("DINOV2", "CLIP")]


@pytest.fixture(scope="module", params=["ViT", *SLOW])
def transformer(request, tmp_path_factory):
    """Return a random vision transformer, the features that it gives itself, and the network on its preset."""
    keras_hub = pytest.importorskip("keras_hub")
    model, folder = _vision(request.param), tmp_path_factory.mktemp(request.param)
    model.save_to_preset(str(folder))
    converter = getattr(keras_hub.layers, f"{request.param}ImageConverter")
    converter(image_size=(SIDE, SIDE), scale=[1 / 127.5] * 3, offset=[-1.0] * 3).save_to_preset(str(folder))
    given = pixels() / 127.5 - 1
    output = np.asarray(model(given) if request.param == "ViT" else getattr(model, "vision_encoder", model)({"images": given}))
    network = build_network(f"keras_hub:{folder}", NAMES)
    return request.param, output[:, 0] if output.ndim == 3 else output, network


def test_a_transformer_gives_its_own_features(transformer):
    kind, expected, network = transformer
    others = {"ViT": 1, "DINOV2": 5, "CLIP": 1, "SigLIP": 0}[kind]
    maps = network.trunk(pixels())
    assert maps.shape == (2, 4, 4, 24 + -(-others * 24 // 16))
    np.testing.assert_allclose(network.tail(maps), expected, atol=1e-5)
    assert flops_of(network.tail) > 1e5


@pytest.mark.slow
def test_a_transformer_is_saved_copied_and_made_twin(transformer, tmp_path):
    _, _, network = transformer
    network.save(tmp_path / "network.keras")
    loaded = Network.load(tmp_path / "network.keras")
    loaded.save(tmp_path / "again.keras")
    for same in (loaded, network.copy(), Network.load(tmp_path / "again.keras"), in_precision(network, "float32")):
        assert same.layer == network.layer
        np.testing.assert_allclose(same.model(pixels()), network.model(pixels()), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.combination  # tests/methods/test_operators.py has it of other tails
def test_operators_on_tokens_are_the_nested_tape(transformer):
    """Importance is the mean gradient over patch tokens; that of the other tokens is 0."""
    _, _, network = transformer
    maps, columns = network.trunk(pixels(3)), np.random.default_rng(1).normal(size=(24, 3)).astype(np.float32)
    expected = importance_of_maps(network.tail, maps, tf.constant(columns.T)).numpy()
    largest = np.abs(expected).max()
    assert (expected[:, 24:] == 0).all()
    for mode in ("forward", "reverse"):
        matrix = jacobian_of(network.tail, mode)
        found = np.stack([matrix(each) @ column for each, column in zip(maps, columns.T, strict=True)])
        assert np.abs(found - expected).max() <= 1e-5 * largest
    every = tail_operator(network.tail, maps).apply(tf.constant(columns), tf.range(3)).numpy()
    assert np.abs(every[range(3), range(3)] - expected).max() <= 1e-5 * largest
    (mean,) = mean_operators(network.tail, maps.numpy(), np.ones((1, 3), bool))
    np.testing.assert_allclose(mean @ columns, every.mean(axis=0).T, atol=1e-5 * largest)


@pytest.mark.slow
@pytest.mark.combination
def test_a_transformer_as_a_plain_model(transformer):
    _, _, network = transformer
    plain = plain_model(network)
    assert not [layer for layer in plain.layers if isinstance(layer, PatchGrid | PatchTokens)]
    np.testing.assert_allclose(plain(pixels()), network.model(pixels()), atol=1e-4)


def test_a_layer_of_tokens_is_named_as_it_is(transformer):
    _, _, network = transformer
    grids = [layer.name for layer in network.model.layers if layer.name.endswith("_grid")]
    (other,) = recut(network, [grids[-2].removesuffix("_grid")])
    assert other.layer == grids[-2] != network.layer
    np.testing.assert_allclose(other.tail(other.trunk(pixels())), network.tail(network.trunk(pixels())), atol=1e-5)
    with pytest.raises(InputError, match="must differ from --layer"):
        recut(network, [network.layer.removesuffix("_grid")])
