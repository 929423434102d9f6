import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import in_precision
from niwt_tf.training.attribute_loss import AttributeLoss
from niwt_tf.training.trainer import train_seen


@pytest.fixture(scope="module")
def network():
    return build_network("small_vgg", ("red", "green", "blue"), input_size=16, dropout=0.0)


def test_targets_run_from_the_lowest_value_to_the_highest_and_shared_entries_are_left_out():
    loss = AttributeLoss.of(np.array([[0.0, 5.0, 80.0], [10.0, 5.0, 20.0], [5.0, 5.0, 50.0]]), 1.0)
    np.testing.assert_allclose(loss.targets, [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])


def test_descriptions_that_do_not_differ_are_refused():
    with pytest.raises(InputError, match="attribute_loss needs descriptions that differ"):
        AttributeLoss.of(np.full((3, 2), 7.0), 1.0)


def test_the_loss_by_hand():
    loss = AttributeLoss(np.array([[1.0, 0.0], [0.0, 0.5]], np.float32), 3.0)
    logits = np.array([[2.0, -1.0], [0.0, 4.0]], np.float32)
    first = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    second = (np.log(2.0) + (0.5 * np.log1p(np.exp(-4.0)) + 0.5 * np.log1p(np.exp(4.0)))) / 2
    np.testing.assert_allclose(loss(tf.constant(logits), tf.constant([0, 1])).numpy(), [3 * first, 3 * second], rtol=1e-6)


def test_a_widened_network_answers_for_the_classes_as_before(network):
    loss = AttributeLoss(np.zeros((3, 4), np.float32), 1.0)
    wide = loss.widened(network, seed=0)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    assert wide.model(pixels).shape == (2, 7)
    np.testing.assert_allclose(wide.model(pixels)[:, :3], network.model(pixels), rtol=1e-5)
    wide.head.kernel.assign_add(np.ones((network.num_features, 7)))
    loss.give_back(wide, network)
    np.testing.assert_array_equal(network.columns, wide.columns[:, :3])
    assert network.columns.shape == (network.num_features, 3)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_widened_network_computes_in_the_precision_of_the_one_it_widens(network, precision):
    half = in_precision(network, precision)
    wide = AttributeLoss(np.zeros((3, 4), np.float32), 1.0).widened(half, seed=0)
    dtypes = [layer.compute_dtype for layer in half.model.layers]
    assert [layer.compute_dtype for layer in wide.model.layers] == dtypes
    assert {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}[precision] in dtypes


@pytest.fixture
def trained(tmp_path):
    random, names = np.random.default_rng(0), []
    for index in range(9):
        pixels = random.integers(0, 60, (16, 16, 3), np.uint8)
        pixels[..., index % 3] += 180
        names.append(f"{index}.png")
        Image.fromarray(pixels).save(tmp_path / names[-1])
    images = Images(tmp_path, tuple(names), np.arange(9, dtype=np.int32) % 3, ("red", "green", "blue"))

    def train(attribute_loss, **more):
        made = build_network("small_vgg", images.class_names, input_size=16, seed=3)
        options = {"from_scratch": True, "epochs": 2, "batch_size": 4, "attribute_loss": attribute_loss, **more}
        return train_seen(made, images, images, **options)

    return images, train


@pytest.mark.slow
def test_a_weight_of_nothing_changes_no_class_gradient(trained):
    """The further outputs have no way back into trunk, tail or classes then."""
    images, train = trained
    targets = np.eye(len(images.class_names), dtype=np.float32)
    alone, _ = train(None)
    beside, history = train(AttributeLoss(targets, 0.0))
    np.testing.assert_allclose(beside.columns, alone.columns, atol=2e-5)
    np.testing.assert_allclose(beside.model.get_weights()[0], alone.model.get_weights()[0], atol=2e-5)
    assert len(beside.class_names) == len(images.class_names)
    assert all(0 <= record["validation_accuracy"] <= 1 for record in history)


@pytest.mark.slow
def test_the_loss_moves_the_trunk_and_another_weight_is_another_training(trained, tmp_path):
    images, train = trained
    targets, work = np.eye(len(images.class_names), dtype=np.float32), tmp_path / "work"
    alone, _ = train(None)
    with_loss, _ = train(AttributeLoss(targets, 5.0), work_dir=work)
    assert np.abs(with_loss.model.get_weights()[0] - alone.model.get_weights()[0]).max() > 1e-4
    again, _ = train(AttributeLoss(targets, 5.0), work_dir=work)
    np.testing.assert_array_equal(again.columns, with_loss.columns)
    other, _ = train(AttributeLoss(targets, 1.0), work_dir=work)
    assert np.abs(other.columns - with_loss.columns).max() > 1e-6
