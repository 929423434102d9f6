"""What an export holds and answers, asked through a v1 Session."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.data.decode import decode_image
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.models.backbones import build_network
from niwt_tf.serving import savedmodel
from niwt_tf.serving.predict import opened, predict
from niwt_tf.serving.savedmodel import export_network
from niwt_tf.serving.verification import Verification, VerificationError


@pytest.fixture(scope="module")
def servable(saved_model):
    with opened(saved_model) as servable:
        yield servable


@pytest.fixture(scope="module")
def pixels(image_paths):
    return np.stack([decode_image(tf.constant(path.read_bytes()), 16).numpy() for path in image_paths])


def _bytes(paths):
    return np.array([path.read_bytes() for path in paths], object)


def test_signatures_are_named_and_batch_first(saved_model):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(saved_model)).signature_def
        found = {
            name: {
                side: {
                    key: (tf.dtypes.as_dtype(t.dtype).name, [d.size for d in t.tensor_shape.dim]) for key, t in tensors.items()
                }
                for side, tensors in (("in", signature.inputs), ("out", signature.outputs))
            }
            for name, signature in signatures.items()
            if not name.startswith("__")
        }
    assert found == {
        "serving_default": {
            "in": {"image_bytes": ("string", [-1])},
            "out": {"labels": ("string", [-1, 3]), "scores": ("float32", [-1, 3])},
        },
        "logits": {
            "in": {"images": ("float32", [-1, 16, 16, 3])},
            "out": {"logits": ("float32", [-1, 7]), "features": ("float32", [-1, 256])},
        },
    }


def test_labels_and_scores_are_the_networks(network, servable, image_paths, pixels):
    answer = servable.run("serving_default", {"image_bytes": _bytes(image_paths)})
    logits = np.asarray(network.model(pixels, training=False), np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.argsort(-logits, axis=1)[:, :3]
    expected = [[network.class_names[c] for c in row] for row in order]
    assert [[name.decode() for name in row] for row in answer["labels"]] == expected
    assert len({row[0] for row in expected}) > 1
    np.testing.assert_allclose(answer["scores"], np.take_along_axis(probabilities, order, 1), atol=1e-5)


def test_logits_are_calibrated_and_features_feed_them(network, servable, pixels):
    answer = servable.run("logits", {"images": pixels})
    by_hand = answer["features"] @ network.columns + network.biases - 0.75 * (np.arange(7) < 4)
    np.testing.assert_allclose(answer["logits"], by_hand, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answer["logits"], network.model(pixels, training=False), rtol=1e-4, atol=1e-4)


def test_a_row_of_a_batch_is_the_image_alone(servable, image_paths):
    together = servable.run("serving_default", {"image_bytes": _bytes(image_paths)})
    for i, path in enumerate(image_paths):
        alone = servable.run("serving_default", {"image_bytes": _bytes([path])})
        assert alone["labels"][0].tolist() == together["labels"][i].tolist()
        np.testing.assert_allclose(alone["scores"][0], together["scores"][i], atol=1e-6)


def test_weights_are_written_once(network, saved_model):
    weights = sum(variable.value.numpy().nbytes for variable in network.model.weights)
    stored = sum(path.stat().st_size for path in (saved_model / "variables").iterdir())
    whole = sum(path.stat().st_size for path in saved_model.rglob("*") if path.is_file())
    assert weights <= stored < 1.02 * weights
    assert whole < 1.5 * weights  # this network is smaller than VGG16's graph


def test_the_folder_can_be_moved(saved_model, image_paths, tmp_path):
    moved = shutil.copytree(saved_model, tmp_path / "elsewhere" / "1")
    assert predict(moved, image_paths).labels == predict(saved_model, image_paths).labels


def test_what_lies_beside_the_model(saved_model, network):
    assert sorted(os.listdir(saved_model)) == ["assets", "fingerprint.pb", "niwt.json", "saved_model.pb", "variables"]
    assert os.listdir(saved_model.parent) == ["1"]
    described = read_json(saved_model / "niwt.json")
    assert described["labels"] == list(network.class_names)
    assert described["seen"] == ["cat", "dog", "eel", "fox é"]
    assert described["unseen"] == ["gnu", "hen", "ibis"]
    assert (described["input_size"], described["k"], described["calibration"]) == (16, 3, 0.75)
    assert described["metrics"] == {"acc_seen": 0.5}
    assert described["checked"]["images"] == 5
    assert described["checked"]["largest_score_difference"] <= 1e-4
    assert described["versions"]["tensorflow"] == tf.__version__


def test_k_is_at_most_the_number_of_classes(network, image_paths, tmp_path, monkeypatch):
    monkeypatch.setattr(savedmodel, "verify", lambda *_: Verification(5, 0.0))
    path = export_network(network.without("ibis"), tmp_path, k=50, check_images=image_paths)
    predictions = predict(path, image_paths)
    assert predictions.scores.shape == (5, 6)
    np.testing.assert_allclose(predictions.scores.sum(1), 1.0, atol=1e-5)
    assert set(predictions.labels[0]) == set(network.class_names) - {"ibis"}


def test_a_model_that_answers_otherwise_is_not_exported(network, image_paths, tmp_path, monkeypatch):
    write = savedmodel._write

    def other(_, folder, k):
        renamed = network.renamed("gnu", "x").renamed("cat", "gnu").renamed("x", "cat")
        write(renamed, folder, k)

    monkeypatch.setattr(savedmodel, "_write", other)
    with pytest.raises(VerificationError, match="must be labelled"):
        export_network(network, tmp_path / "exports" / "toy", k=7, check_images=image_paths)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"k": 0}, "k must be at least 1. Received: 0"),
        ({"check_images": []}, "check_images must name at least one image"),
        ({"check_images": ["absent.png"]}, "absent.png.*No such file"),
        ({"check_images": [__file__]}, "check_images must be files that can be decoded.*test_savedmodel.py"),
        ({"metadata": {"labels": []}}, "metadata must not name what the export says itself. Received: 'labels'"),
    ],
)
def test_bad_arguments_leave_nothing(network, image_paths, tmp_path, options, sentence):
    with pytest.raises(InputError, match=sentence):
        export_network(network, tmp_path / "toy", **{"check_images": image_paths, **options})
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["vgg16", "resnet50", "mobilenet_v2", "efficientnet_v2_b0"])
def test_every_backbone_can_be_exported(backbone, image_paths, tmp_path):
    network = build_network(backbone, ["a", "b", "c"], input_size=32)
    network.head.bias.assign([0.3, -0.2, 0.1])
    path = export_network(network, tmp_path, check_images=image_paths)
    weights = sum(variable.value.numpy().nbytes for variable in network.model.weights)
    stored = sum(file.stat().st_size for file in (path / "variables").iterdir())
    assert weights <= stored < 1.02 * weights
