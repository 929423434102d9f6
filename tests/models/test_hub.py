"""A hub module as a trunk: which endpoint, whose weights, which precision, and a saved network without its module."""

import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.compute.features import model_fingerprint
from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from niwt_tf.models.cut import check_not_degenerate
from niwt_tf.models.hub import HubMap, settle
from niwt_tf.models.network import Network, in_precision
from tests.hub_modules import DECAY, SIZE, save_dictionary, save_only_features, save_reusable, save_signature
from tests.shared import further

NAMES = ("cat", "dog", "eel")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_reusable(tmp_path_factory.mktemp("modules") / "reusable")


@pytest.fixture
def network(folder):
    return build_network(f"hub:{folder}", NAMES, layer="net/second", seed=1)


@pytest.fixture(scope="module")
def unchanged(folder):
    """Return the same network, for tests that change nothing of it."""
    return build_network(f"hub:{folder}", NAMES, layer="net/second", seed=1)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)


def logits(network, images):
    return np.asarray(network.model(images, training=False))


def test_the_map_is_the_module_s_endpoint_of_images_in_0_to_1(unchanged, folder, images):
    module = tf.saved_model.load(str(folder))
    expected = module(tf.constant(images / 255), training=False, return_endpoints=True)["net/second"]
    np.testing.assert_allclose(unchanged.trunk(images), expected, atol=1e-6)
    assert (unchanged.layer, unchanged.input_size, unchanged.num_neurons, unchanged.num_features) == ("net_second", SIZE, 6, 12)


def test_the_weights_are_the_module_s_own_variables(network, folder):
    layer = network.model.get_layer("net_second")
    names = [(weight.name, weight.trainable) for weight in layer.weights]
    expected = [("first_kernel", True), ("norm_mean", False), ("second_kernel", True), ("steps", False)]
    assert sorted(names) == expected
    before = np.asarray(network.trunk(np.ones((1, SIZE, SIZE, 3), np.float32)))
    for weight in layer.trainable_weights:
        weight.assign(2 * weight)
    np.testing.assert_allclose(network.trunk(np.ones((1, SIZE, SIZE, 3), np.float32)), 4 * before, rtol=1e-5)


@pytest.mark.slow
def test_adam_trains_the_module_and_a_copy_is_apart(network, images):
    copy = network.copy()
    before = logits(network, images)
    np.testing.assert_array_equal(logits(copy, images), before)
    copy.model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    copy.model.fit(images, np.array([0, 1, 2, 0]), verbose=0)
    own, trained = (each.model.get_layer("net_second").trainable_weights for each in (network, copy))
    assert all(np.abs(a.numpy() - b.numpy()).max() > 1e-3 for a, b in zip(own, trained, strict=True))
    np.testing.assert_array_equal(logits(network, images), before)


def test_a_frozen_layer_is_not_trained(network):
    layer = network.model.get_layer("net_second")
    layer.trainable = False
    assert {weight.path for weight in layer.weights}.isdisjoint(w.path for w in network.model.trainable_weights)


@pytest.mark.parametrize("change", ["none", *further("frozen", "inference")])
def test_training_is_passed_on_unless_the_layer_is_frozen_or_in_inference(network, images, change):
    layer = network.model.get_layer("net_second")
    layer.trainable, layer.inference = change != "frozen", change == "inference"
    network.model(images, training=False)
    assert not network.model.losses
    network.model(images, training=True)
    steps = next(int(weight.numpy()) for weight in layer.weights if weight.name == "steps")
    assert steps == (1 if change == "none" else 0)


def test_the_module_s_regularisation_is_a_loss_in_training(network, images):
    kernel = next(w for w in network.model.get_layer("net_second").weights if w.name == "first_kernel")
    network.model(images, training=True)
    (loss,) = network.model.losses
    assert float(loss) == pytest.approx(DECAY * float((kernel.numpy() ** 2).sum()) / 2, rel=1e-5)


def test_a_linear_head_on_the_features_can_do_what_one_on_the_mean_can(network, images):
    pooled = np.asarray(network.trunk(images)).mean(axis=(1, 2))
    settle(network.tail, pooled)
    features = np.asarray(network.tail(network.trunk(images)))
    turned = features[:, :6] - features[:, 6:]
    scaled = (pooled - pooled.mean(axis=0)) / np.sqrt(pooled.var(axis=0) + 1e-6)
    kernel = network.model.get_layer("directions").kernel.numpy()[:, :6]
    np.testing.assert_allclose(turned @ kernel.T, scaled, atol=1e-5)


def test_the_tail_is_not_degenerate(network, images):
    settle(network.tail, np.asarray(network.trunk(images)).mean(axis=(1, 2)))
    check_not_degenerate(network.model, network.layer)


def test_the_map_alone_is_rounded_in_half_precision(unchanged, images):
    mixed = in_precision(unchanged, "mixed_bfloat16")
    assert mixed.trunk(images).dtype == tf.bfloat16
    expected = tf.cast(unchanged.trunk(images), tf.bfloat16)
    np.testing.assert_array_equal(mixed.trunk(images).numpy(), expected.numpy())


@pytest.mark.parametrize(("save", "layer"), [(save_dictionary, "last"), *further((save_signature, "conv"))])
def test_a_dictionary_or_a_signature_will_do(save, layer, tmp_path, images):
    network = build_network(f"hub:{save(tmp_path / 'module')}", NAMES, input_size=SIZE)
    assert (network.layer, network.num_neurons) == (layer, 6)  # its only map is found without --layer
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network.model(images, training=True) ** 2)
    weights = network.model.get_layer(layer).trainable_weights
    assert {weight.name for weight in weights} == {"first_kernel", "second_kernel"}
    assert all(float(tf.norm(slope)) > 0 for slope in tape.gradient(total, [weight.value for weight in weights]))


@pytest.mark.slow
def test_a_module_of_any_size_takes_the_one_that_is_given(tmp_path):
    folder = save_reusable(tmp_path / "any", size=None)
    network = build_network(f"hub:{folder}", NAMES, layer="net/first", input_size=24)
    assert network.trunk.output_shape == (None, 12, 12, 4)
    assert build_network(f"hub:{folder}", NAMES, layer="net/first").input_size == 224


def test_a_module_without_an_inner_map_says_what_it_offers(tmp_path):
    with pytest.raises(InputError, match=r"inner convolution.*offers default \[6\] for float images \[16, 16, 3\]"):
        build_network(f"hub:{save_only_features(tmp_path / 'module')}", NAMES)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r"--layer must name.*default \[6\], net/first \[8, 8, 4\], net/second \[4, 4, 6\]\. Received: None"),
        ({"layer": "net/secnd"}, "Did you mean 'net/second'"),
        ({"layer": "default"}, "Received: 'default'"),
        ({"layer": "net/first", "input_size": 32}, "16 x 16 pixels.*Received: 32"),
        ({"layer": "net/first", "weights": "imagenet"}, "has its own weights. Received: 'imagenet'"),
    ],
)
def test_what_does_not_fit_the_module(folder, options, sentence):
    with pytest.raises(InputError, match=sentence):
        build_network(f"hub:{folder}", NAMES, **options)


def test_a_broken_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no proto")
    with pytest.raises(InputError, match="readable SavedModel"):
        build_network(f"hub:{tmp_path}", NAMES)


@pytest.mark.slow
def test_a_saved_network_holds_the_weights_and_is_read_by_another_process(network, images, tmp_path):
    for weight in network.model.get_layer("net_second").trainable_weights:
        weight.assign(1.5 * weight)
    network.save(tmp_path / "a.keras")
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys, numpy as np; from niwt_tf.models.network import Network;"
        "images, out = np.load(sys.argv[2]), sys.argv[3];"
        "np.save(out, Network.load(sys.argv[1]).model(images, training=False))"
    )
    paths = [str(tmp_path / name) for name in ("a.keras", "images.npy", "logits.npy")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(paths[2]), logits(network, images), rtol=1e-5, atol=1e-6)


def test_a_saved_network_whose_module_is_gone_or_another(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "module")
    build_network(f"hub:{moved}", NAMES, layer="net/second").save(tmp_path / "a.keras")
    shutil.rmtree(moved)
    with pytest.raises(InputError, match=r"a\.keras was made from a hub module.*Received: '.*module', not a folder"):
        Network.load(tmp_path / "a.keras")
    save_dictionary(moved)
    with pytest.raises(InputError, match="must be the one that the network was saved with"):
        Network.load(tmp_path / "a.keras")


def test_the_fingerprint_is_of_contents_and_not_of_where_the_module_lies(unchanged, folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "moved")
    again = build_network(f"hub:{moved}", NAMES, layer="net/second", seed=1)
    assert model_fingerprint(again.trunk) == model_fingerprint(unchanged.trunk)
    again.model.get_layer("net_second").trainable_weights[0].assign_add(tf.ones_like(again.model.trainable_weights[0].value))
    assert model_fingerprint(again.trunk) != model_fingerprint(unchanged.trunk)


def test_a_mirrored_copy_has_variables_of_its_own(unchanged, images):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        copy = keras.models.clone_model(unchanged.model)
    copy.set_weights(unchanged.model.get_weights())

    def of_copy():
        step = tf.function(lambda: strategy.run(copy, (tf.constant(images),), {"training": False}))
        return np.asarray(strategy.experimental_local_results(step())[0])

    before = logits(unchanged, images)
    np.testing.assert_allclose(of_copy(), before, rtol=1e-5, atol=1e-6)
    layer = next(layer for layer in copy.layers if isinstance(layer, HubMap))
    layer.trainable_weights[0].assign(2 * layer.trainable_weights[0])
    np.testing.assert_array_equal(logits(unchanged, images), before)
    assert np.abs(of_copy() - before).max() > 1e-3
