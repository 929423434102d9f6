from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.data.images.messages import is_of_image
from niwt_tf.errors import InputError
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.local_transport import LocalTransport
from niwt_tf.serving.client.transport import RequestError
from tests.serving.client.conftest import COLOURS, LABELS, NUM_SEEN, expected_scores, picture, png

REDDISH = (200, 40, 90)
GREENISH = (60, 180, 30)


def _counting(client, monkeypatch):
    sizes = []
    call = client.call

    def counted(signature, inputs):
        sizes.append(len(inputs["image_bytes"]))
        return call(signature, inputs)

    monkeypatch.setattr(client, "call", counted)
    return sizes


def test_classes_come_best_first_with_what_is_known_of_them(client):
    found = client.classify([png(REDDISH), png(GREENISH)])
    assert found.errors == {}
    for row, colour in enumerate((REDDISH, GREENISH)):
        scores = expected_scores(colour)
        order = np.argsort(-scores)
        assert found.labels[row] == tuple(LABELS[place] for place in order)
        np.testing.assert_allclose(found.scores[row], scores[order], rtol=1e-4)
        assert found.is_seen[row].tolist() == [bool(place < NUM_SEEN) for place in order]


def test_batches_change_no_answer(client, monkeypatch):
    images = [png((7 * i, 255 - 7 * i, 60)) for i in range(7)]
    sizes = _counting(client, monkeypatch)
    whole = client.classify(images)
    client._batch_size = 3
    done = []
    parts = client.classify(images, done.append)
    assert sizes == [7, 3, 3, 1] and done == [3, 3, 1]
    assert whole.labels == parts.labels
    np.testing.assert_allclose(np.stack(whole.scores), np.stack(parts.scores), rtol=1e-5)


def test_one_bad_image_costs_no_other_its_answer(client, monkeypatch, tmp_path):
    client._batch_size = 3
    sizes = _counting(client, monkeypatch)
    missing = tmp_path / "missing.png"
    images = [png(REDDISH), b"not an image", png(GREENISH), missing, b"", png(REDDISH), png(GREENISH)]
    found = client.classify(images)
    assert set(found.errors) == {1, 3, 4}
    assert "image" in found.errors[1] and "\n" not in found.errors[1]
    assert found.errors[3] == "It cannot be read (No such file or directory)."
    assert [bool(labels) for labels in found.labels] == [place not in found.errors for place in range(7)]
    assert found.labels[0] == found.labels[5] and found.labels[2] == found.labels[6]
    # The first batch is asked image by image, then the second, of which one was never sent; the third is whole.
    assert sizes == [3, 1, 1, 1, 2, 1, 1, 1]


def test_classes_that_are_only_described_compete(client):
    yellow, dark = (255, 255, 0), (0, 0, 0)
    found = client.classify_with([png(yellow), png(dark), png(REDDISH)], {"yellow": [1, 1, 0], "dark": [0, 0, 0]})
    assert [labels[0] for labels in found.labels] == ["yellow", "dark", "red"]
    scores = expected_scores(REDDISH, np.vstack([COLOURS, [[1, 1, 0], [0, 0, 0]]]))
    names = [*LABELS, "yellow", "dark"]
    assert dict(zip(found.labels[2], found.scores[2].tolist(), strict=True)) == pytest.approx(
        dict(zip(names, scores, strict=True)), rel=1e-4
    )


@pytest.mark.parametrize(
    ("descriptions", "message"),
    [
        ({}, "at least one class. Received: none"),
        ({"a": [1, 2, 3], "b": [1, 2]}, r"equally long \('a' has 3\). Received: 2 for 'b'"),
        ({"a": [1, 2, float("nan")]}, "finite numbers. Received: other values for 'a'"),
        ({"green": [1, 2, 3]}, "name of a known class. Received: 'green'"),
        ([[1, 2, 3]], "descriptions must be a dict of numbers or texts by class name. Received"),
        ({5: [1, 2, 3]}, "descriptions: the name of a class must be a text. Received: 5"),
        ({"a": 5}, "lists of numbers, or texts. Received: 5 for 'a'"),
        ({"a": None}, "lists of numbers, or texts. Received: None for 'a'"),
        ({"a": ["x", 2, 3]}, "lists of numbers, or texts. Received: .* for 'a'"),
        ({"a": [1e39, 2, 3]}, "finite numbers. Received: other values for 'a'"),
    ],
)
def test_descriptions_that_cannot_be_are_named(client, descriptions, message):
    with pytest.raises(InputError, match=message):
        client.classify_with([png(REDDISH)], descriptions)


@pytest.mark.parametrize("count", [1, 3])
def test_descriptions_of_another_length_than_the_models_are_no_fault_of_the_images(client, count):
    with pytest.raises(RequestError) as raised:
        client.classify_with([png(REDDISH)] * count, {"new": [1, 2, 3, 4]})
    assert raised.value.code == "INVALID_ARGUMENT" and not raised.value.can_be_repeated
    assert "\n" not in raised.value.detail and not is_of_image(raised.value.detail)


def test_images_that_are_all_bad_are_all_named(client):
    client._batch_size = 2
    truncated = png(REDDISH, 40)[:60]
    found = client.classify([truncated, truncated, b"?", b"?", png(GREENISH)])
    assert set(found.errors) == {0, 1, 2, 3} and found.labels[4]
    assert all(map(is_of_image, found.errors.values()))


def test_explanations_have_words_and_a_picture(client):
    explained = client.explain([png(REDDISH), b"?"])
    assert set(explained.errors) == {1} and explained.rows[1] is None
    row = explained.rows[0]
    scores = np.sort(expected_scores(REDDISH))[::-1]
    assert (row.label, row.is_seen) == ("red", True)
    assert (row.score, row.runner_up_score) == pytest.approx(tuple(scores[:2]), rel=1e-4)
    assert [name for name, _ in row.attributes] == ["red", "green", "blue"]  # and not the two empty places
    assert [(neuron, name) for neuron, name, _ in row.neurons][0] == ("neuron 2", "blue")
    assert [weight for *_, weight in row.neurons] == pytest.approx([200 / 255, 90 / 255, 40 / 255], rel=1e-5)
    np.testing.assert_allclose(row.heatmap, [[value / 255 for value in REDDISH]] * 2, rtol=1e-5)
    assert Image.open(io.BytesIO(row.heatmap_png)).size == (3, 2)


def test_the_generic_call_gives_every_output_of_a_signature(client):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.float32)
    tensors = client.call("logits", {"images": pixels}).tensors
    features = pixels.mean((1, 2)) / 255
    np.testing.assert_allclose(tensors["features"], features, rtol=1e-5)
    expected = -10 * ((features[:, None] - COLOURS) ** 2).sum(-1)
    np.testing.assert_allclose(tensors["logits"], expected, rtol=1e-4)
    assert tensors["logits"].dtype == np.float32


def test_answers_of_grpc_say_their_version(server):
    with Client(server.grpc, "toy") as over_grpc, Client(server.rest, "toy") as over_rest:
        assert over_grpc.classify([png(REDDISH), b"?"]).versions == (1, None)
        assert over_rest.classify([png(REDDISH)]).versions == (None,)


def test_images_larger_than_grpcs_own_limit_pass(client):
    noise = np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8)
    content = picture(noise, "bmp")
    assert len(content) > 5e6
    assert len(client.classify([content]).labels[0]) == len(LABELS)


def test_bytes_survive_whatever_they_are(client):
    image = png(REDDISH)
    assert client.classify([image + b"\x00\xff\x00"]).labels == client.classify([image]).labels


@pytest.mark.parametrize(("name", "version"), [("nothing", None), ("toy", 7)])
def test_what_is_not_served_is_not_found(url, name, version):
    with Client(url, name, version) as client, pytest.raises(RequestError) as raised:
        client.classify([png(REDDISH)])
    assert raised.value.code == "NOT_FOUND" and "not found" in raised.value.detail


def test_a_signature_that_is_not_there_is_named(client):
    with pytest.raises(RequestError, match='"segment"'):
        client.call("segment", {"image_bytes": np.array([png(REDDISH)], object)})


def test_an_unknown_label_is_no_fault_of_the_images(url):
    with Client(url, "toy", "nightly") as client, pytest.raises(RequestError, match="INVALID_ARGUMENT: .*nightly"):
        client.classify([png(REDDISH), png(GREENISH)])


@pytest.mark.parametrize("images", [[None], [5], [np.zeros((8, 8, 3), np.uint8)], np.zeros((2, 8, 8, 3), np.uint8)])
def test_images_are_files_or_their_contents(client, images):
    """A number would be taken for an open file, and an array for a path."""
    with pytest.raises(InputError, match="images must be paths of files or their contents, in a list. Received: .* at place 0"):
        client.classify(images)


def test_a_path_that_none_can_have_is_of_that_image_alone(client):
    answer = client.classify([png(REDDISH), "a\0.png"])
    assert answer.labels[0] and "cannot be read" in answer.errors[1]


@pytest.mark.parametrize("images", [[], "photo.png", b"...", None, 5, (path for path in ["photo.png"])])
def test_images_must_be_a_list_of_some(client, images):
    with pytest.raises(InputError, match="images must be a list of at least one image"):
        client.classify(images)


@pytest.mark.parametrize(
    "server", ["localhost:8500", "grpc://localhost", "http://localhost:8501/v1", "http://localhost:port", "", "grpc://:8500"]
)
def test_addresses_that_are_none_are_refused(server):
    with pytest.raises(InputError, match="server must be like grpc://localhost:8500"):
        Client(server, "toy")


def test_a_password_that_would_not_be_sent_is_refused_and_not_shown():
    with pytest.raises(InputError, match="server must be an address without a user's name or password") as raised:
        Client("http://me:secret@localhost:8501", "toy")
    assert "secret" not in str(raised.value)


def test_other_schemes_are_refused():
    with pytest.raises(InputError, match="must be one of grpc, http, https. Received: 'gprc'. Did you mean 'grpc'?"):
        Client("gprc://localhost:8500", "toy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "name must be"),
        ({"name": "toy", "timeout": 0}, "timeout must be greater than 0"),
        ({"name": "toy", "timeout": float("nan")}, "timeout must be greater than 0"),
        ({"name": "toy", "retries": -1}, "retries must be at least 0"),
        ({"name": "toy", "batch_size": 0}, "batch_size must be at least 1"),
        ({"name": 5}, "name must be the name of the model on the server. Received: 5"),
        ({"name": "toy", "timeout": "30"}, "timeout must be a number of seconds. Received: '30'"),
        ({"name": "toy", "timeout": None}, "timeout must be a number of seconds. Received: None"),
        ({"name": "toy", "retries": "3"}, "retries must be an integer. Received: '3'"),
        ({"name": "toy", "batch_size": 2.5}, "batch_size must be an integer. Received: 2.5"),
        ({"name": "toy", "version": 2.5}, "version must be the number of a version, a label or None. Received: 2.5"),
        ({"name": "toy", "version": -1}, "version must be the number of a version, a label or None. Received: -1"),
        ({"name": "toy", "version": ""}, "version must be the number of a version, a label or None. Received: ''"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Client("http://localhost:8501", **arguments)


@pytest.mark.parametrize("server", [None, 8501, Path("exports/birds")])
def test_a_server_that_is_neither_an_address_nor_a_transport_is_refused(server):
    with pytest.raises(InputError, match="server must be an address, such as .*, or a transport"):
        Client(server, "toy")


def test_a_transport_of_no_folder_is_refused():
    for folder in (None, 5, ""):
        with pytest.raises(InputError, match="folder must be the path of an exported SavedModel. Received"):
            LocalTransport(folder)


def _fails(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr


def test_a_client_over_rest_imports_no_tensorflow():
    heavy = "[name for name in ('tensorflow', 'keras', 'grpc') if name in sys.modules]"
    made = "from niwt_tf.serving.client.client import Client; Client('http://localhost:1', 'toy').close()"
    assert _fails(f"import sys; {made}; assert not {heavy}, {heavy}") == ""


@pytest.mark.slow
def test_nothing_of_it_needs_keras():
    names = ("client.grpc_transport", "client.local_transport", "loopback.server", "bundle.warmup")
    modules = ", ".join(f"niwt_tf.serving.{name}" for name in names)
    assert "Error" not in _fails(f"import sys; sys.modules['keras'] = sys.modules['tf_keras'] = None; import {modules}")
