"""What an export holds and answers, asked through a v1 Session."""

from __future__ import annotations

import io
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from niwt_tf.data.images.decode import decode_image
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.backbones import build_network
from niwt_tf.serving.bundle.warmup import example
from niwt_tf.serving.export import savedmodel
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.serving.export.verification import Verification, VerificationError
from niwt_tf.serving.predict import opened
from tests.serving.answers import predict, verified_here
from tests.shared import further

EXPLAINED = {
    **dict.fromkeys(("label", "runner_up", "heatmap_png_bytes"), ("string", [-1])),
    **dict.fromkeys(("score", "is_seen", "runner_up_score"), ("float32", [-1])),
    "heatmap": ("float32", [-1, 2, 2]),
    **{name: ("string", [-1, size]) for name, size in (("attributes", 5), ("neurons", 3), ("neuron_names", 3))},
    **{name: ("float32", [-1, size]) for name, size in (("attribute_weights", 5), ("neuron_weights", 3))},
    **{f"{side}_{what}": (kind, [-1, 3]) for side in ("for", "against") for what, kind in (
        ("attributes", "string"), ("weights", "float32")
    )},
}

CONTRASTED = {
    "opposing_attributes": ("string", [-1, 5]),
    "opposing_weights": ("float32", [-1, 5]),
    "neuron_aucs": ("float32", [-1, 3]),
    "difference_heatmap": ("float32", [-1, 2, 2]),
    **{f"difference_{name}": ("string", [-1, 3]) for name in ("neurons", "neuron_names")},
    **{f"difference_neuron_{name}": ("float32", [-1, 3]) for name in ("aucs", "weights")},
}


@pytest.fixture(scope="module")
def servable(saved_model):
    with opened(saved_model) as servable:
        yield servable


@pytest.fixture(scope="module")
def pixels(image_paths):
    return np.stack([decode_image(tf.constant(path.read_bytes()), 16).numpy() for path in image_paths])


def _inputs(paths):
    return {"image_bytes": np.array([path.read_bytes() for path in paths], object)}


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
        methods = {name: signatures[name].method_name.removeprefix("tensorflow/serving/") for name in found}
    answer = {"labels": ("string", [-1, -1]), "scores": ("float32", [-1, -1])}
    image_bytes = {"image_bytes": ("string", [-1])}
    assert found == {
        "serving_default": {"in": image_bytes, "out": {**answer, "is_seen": ("float32", [-1, -1])}},
        "logits": {
            "in": {"images": ("float32", [-1, 16, 16, 3])},
            "out": {"logits": ("float32", [-1, -1]), "features": ("float32", [-1, 256])},
        },
        "classify": {
            "in": {"inputs": ("string", [-1])},
            "out": {"classes": answer["labels"], "scores": answer["scores"]},
        },
        "classify_with": {
            "in": {**image_bytes, "descriptions": ("float32", [-1, -1, 6])},
            "out": {**answer, "logits": ("float32", [-1, -1])},
        },
        "explain": {"in": image_bytes, "out": EXPLAINED},
        "explain_class": {
            "in": {**image_bytes, "class_name": ("string", [-1]), "rival": ("string", [-1])},
            "out": {**EXPLAINED, **CONTRASTED},
        },
    }
    assert methods == {name: "classify" if name == "classify" else "predict" for name in found}


def test_labels_and_scores_are_the_networks(network, servable, image_paths, pixels):
    answer = servable.run("serving_default", _inputs(image_paths))
    logits = np.asarray(network.model(pixels, training=False), np.float64)
    probabilities = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)  # temperature 2
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
    together = servable.run("serving_default", _inputs(image_paths))
    for i, path in enumerate(image_paths):
        alone = servable.run("serving_default", _inputs([path]))
        assert alone["labels"][0].tolist() == together["labels"][i].tolist()
        np.testing.assert_allclose(alone["scores"][0], together["scores"][i], atol=1e-6)


def test_classify_takes_records_and_answers_as_serving_default(servable, image_paths):
    records = np.array([example(path.read_bytes()) for path in image_paths], object)
    answer, expected = servable.run("classify", {"inputs": records}), servable.run("serving_default", _inputs(image_paths))
    assert answer["classes"].tolist() == expected["labels"].tolist()
    np.testing.assert_allclose(answer["scores"], expected["scores"], rtol=1e-5)  # another graph


def test_described_classes_get_the_logits_of_their_columns(network, contents, servable, image_paths, pixels):
    random = np.random.default_rng(3)
    descriptions = random.random((5, 2, 6)).astype(np.float32)
    descriptions[2, 1] = contents.formula.importance_map.normaliser.centre
    answer = servable.run("classify_with", {**_inputs(image_paths), "descriptions": descriptions})
    plain = servable.run("logits", {"images": pixels})
    for i in range(5):
        columns, biases = contents.formula(descriptions[i])
        expected = plain["features"][i] @ columns + biases
        np.testing.assert_allclose(answer["logits"][i, 7:], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(answer["logits"][:, :7], plain["logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answer["scores"].sum(1), 1.0, atol=1e-5)
    assert [name.decode() for name in answer["labels"][0]] == list(network.class_names)


def test_explain_is_about_the_best_class(servable, image_paths):
    explained, best = servable.run("explain", _inputs(image_paths)), servable.run("serving_default", _inputs(image_paths))
    assert explained["label"].tolist() == best["labels"][:, 0].tolist()
    assert explained["runner_up"].tolist() == best["labels"][:, 1].tolist()
    np.testing.assert_allclose(explained["score"], best["scores"][:, 0], atol=1e-6)
    assert all(tf.io.decode_png(png).shape == (16, 16, 3) for png in explained["heatmap_png_bytes"])


def test_no_described_class_is_the_known_ones_alone(servable, image_paths):
    answer = servable.run("classify_with", {**_inputs(image_paths), "descriptions": np.zeros((5, 0, 6), np.float32)})
    best = servable.run("serving_default", _inputs(image_paths))
    assert [row[np.argmax(scores)] for row, scores in zip(answer["labels"], answer["scores"], strict=True)] == [
        row[0] for row in best["labels"]
    ]


def test_a_description_that_is_not_finite_is_refused(servable, image_paths):
    descriptions = np.full((5, 1, 6), np.nan, np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="descriptions must be finite"):
        servable.run("classify_with", {**_inputs(image_paths), "descriptions": descriptions})


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_refused_and_its_first_frame_alone_is_answered(servable, form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]

    def answer(images):
        buffer = io.BytesIO()
        images[0].save(buffer, form, save_all=True, append_images=images[1:])
        return servable.run("serving_default", {"image_bytes": np.array([buffer.getvalue()], object)})

    assert answer(frames[:1])["labels"].shape == (1, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="The image must not be animated"):
        answer(frames)


def test_a_description_whose_length_overflows_is_refused(servable, image_paths):
    descriptions = np.full((5, 1, 6), 3e38, np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="descriptions must not be so large"):
        servable.run("classify_with", {**_inputs(image_paths), "descriptions": descriptions})


def test_pixels_that_are_not_finite_are_refused(servable, pixels):
    with pytest.raises(tf.errors.InvalidArgumentError, match="images must be finite"):
        servable.run("logits", {"images": np.where(np.arange(16)[:, None] == 3, np.float32(np.nan), pixels)})


@pytest.mark.slow
def test_an_unsure_answer_is_unknown(network, image_paths, tmp_path, servable):
    sure = servable.run("serving_default", _inputs(image_paths))
    below = float(np.sort(sure["scores"][:, 0])[2])  # two of the five are less sure
    contents = Contents(probabilities=Probabilities(2.0, below))
    with verified_here():
        path = export_network(network, tmp_path, contents=contents, k=3, check_images=image_paths)
    with opened(path) as abstaining:
        answer = abstaining.run("serving_default", _inputs(image_paths))
    unsure = sure["scores"][:, 0] < below
    assert unsure.sum() == 2
    assert (answer["labels"][:, 0] == b"unknown").tolist() == unsure.tolist()
    assert answer["labels"][:, 1:].tolist() == sure["labels"][:, 1:].tolist()
    assert (answer["is_seen"][unsure, 0] == 0).all()
    np.testing.assert_array_equal(answer["scores"], sure["scores"])


def test_is_seen_follows_the_labels(network, servable, image_paths):
    answer = servable.run("serving_default", _inputs(image_paths))
    expected = [[float(network.index_of(name.decode()) < 4) for name in row] for row in answer["labels"]]
    assert answer["is_seen"].tolist() == expected
    assert 0 < np.mean(expected) < 1


@pytest.mark.slow
def test_weights_are_written_once(network, contents, image_paths, tmp_path):
    with verified_here():
        path = export_network(network, tmp_path, k=3, check_images=image_paths)
    weights = sum(variable.value.numpy().nbytes for variable in network.model.weights)
    stored = sum(file.stat().st_size for file in (path / "variables").iterdir())
    head = network.columns.nbytes
    padding = 32 * network.num_features * 4 - head
    assert weights <= stored < 1.02 * (weights + padding)


@pytest.mark.slow
def test_it_is_a_reusable_feature_extractor(network, saved_model, pixels):
    loaded = tf.saved_model.load(str(saved_model))
    features = loaded(tf.constant(pixels / 255.0))
    expected = network.tail(network.trunk(pixels, training=False), training=False)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
    endpoints = loaded(tf.constant(pixels / 255.0), training=False, return_endpoints=True)
    np.testing.assert_allclose(endpoints["default"], features, rtol=1e-5, atol=1e-5)
    assert endpoints[network.layer].shape == network.trunk(pixels).shape
    assert len(loaded.variables) == len(network.model.weights) - len(network.head.weights)
    assert 0 < len(loaded.trainable_variables) <= len(loaded.variables)
    assert list(loaded.regularization_losses) == []


@pytest.mark.slow
def test_the_folder_can_be_moved(saved_model, image_paths, tmp_path):
    moved = shutil.copytree(saved_model, tmp_path / "elsewhere" / "1")
    assert predict(moved, image_paths).labels == predict(saved_model, image_paths).labels


def test_what_lies_beside_the_model(saved_model, network):
    assert sorted(os.listdir(saved_model)) == ["assets", "assets.extra", "niwt.json", "saved_model.pb", "variables"]
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


@pytest.mark.slow
def test_k_is_at_most_the_number_of_classes(network, image_paths, tmp_path, monkeypatch):
    monkeypatch.setattr(savedmodel, "verify", lambda *_: Verification(5, 0.0))
    path = export_network(network.without("ibis"), tmp_path, k=50, check_images=image_paths)
    predictions = predict(path, image_paths)
    assert predictions.scores.shape == (5, 6)
    np.testing.assert_allclose(predictions.scores.sum(1), 1.0, atol=1e-5)
    assert set(predictions.labels[0]) == set(network.class_names) - {"ibis"}


@pytest.mark.slow
def test_a_model_that_answers_otherwise_is_not_exported(network, image_paths, tmp_path, monkeypatch):
    write = savedmodel._write

    def other(_, contents, folder, k):
        swapped = {"gnu": "cat", "cat": "gnu"}
        names = [swapped.get(name, name) for name in network.class_names]
        renamed = network.with_head(network.columns, network.biases, names, network.num_seen)
        write(renamed, contents, folder, k)

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
        ({"metadata": {"labels": []}}, "metadata must not repeat a field that the export writes itself. Received: 'labels'"),
    ],
)
def test_bad_arguments_leave_nothing(network, image_paths, tmp_path, options, sentence):
    with pytest.raises(InputError, match=sentence):
        export_network(network, tmp_path / "toy", **{"check_images": image_paths, **options})
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mobilenet_v2", *further("vgg16", "resnet50", "efficientnet_v2_b0")])
def test_every_backbone_can_be_exported(backbone, image_paths, tmp_path):
    network = build_network(backbone, ["a", "b", "c"], input_size=32)
    network.head.bias.assign([0.3, -0.2, 0.1])
    path = export_network(network, tmp_path, check_images=image_paths)
    weights = sum(variable.value.numpy().nbytes for variable in network.model.weights)
    stored = sum(file.stat().st_size for file in (path / "variables").iterdir())
    padding = (32 - 3) * network.num_features * 4  # the head takes a whole page
    assert weights <= stored < 1.02 * (weights + padding)
