from __future__ import annotations

import base64
import json
import re
import shutil
import threading
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.warmup import write_warmup
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.transport import RequestError
from niwt_tf.serving.loopback.served_model import ServedModel
from niwt_tf.serving.loopback.server import loopback, main
from tests.serving.client.conftest import LABELS, SERVERS, expected_scores, png, running
from tests.shared import further

RED = (255, 0, 0)


def _rest(url, body=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _base64(content):
    return {"b64": base64.b64encode(content).decode()}


@pytest.fixture
def model(server):
    return f"{server.rest}/v1/models/toy"


@pytest.fixture
def stubs(server):
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://")) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel), model_service_pb2_grpc.ModelServiceStub(channel)


def test_rows_of_json(model):
    status, answer = _rest(f"{model}:predict", {"instances": [_base64(png(RED)), _base64(png((0, 255, 0)))]})
    assert status == 200 and list(answer) == ["predictions"]
    assert [row["labels"][0] for row in answer["predictions"]] == ["red", "green"]
    assert sorted(answer["predictions"][0]["labels"]) == sorted(LABELS)  # quotes, newline, Arabic and emoji as they were
    assert answer["predictions"][0]["scores"] == pytest.approx(sorted(expected_scores(RED), reverse=True), rel=1e-4)
    by_name = {"signature_name": "serving_default", "instances": [{"image_bytes": _base64(png(RED))}]}
    assert _rest(f"{model}/versions/1:predict", by_name)[1]["predictions"] == answer["predictions"][:1]


def test_columns_of_json(model):
    body = {"signature_name": "logits", "inputs": {"images": [[[[255, 0, 0.0]] * 4] * 4]}}
    status, answer = _rest(f"{model}:predict", body)
    assert status == 200 and answer["outputs"]["features"] == [[1, 0, 0]]


def test_only_outputs_named_bytes_are_base64(model):
    body = {"signature_name": "explain", "instances": [_base64(png(RED))]}
    row = _rest(f"{model}:predict", body)[1]["predictions"][0]
    assert base64.b64decode(row["heatmap_png_bytes"]["b64"]).startswith(b"\x89PNG")
    assert (row["label"], row["neurons"]) == ("red", ["neuron 2", "neuron 0", "neuron 1"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("toy:predict", b"{", 400),
        ("toy:predict", b"\xff", 400),
        ("toy:predict", {"rows": []}, 400),
        ("toy:predict", {"instances": []}, 400),
        ("toy:predict", {"instances": [{"b64": "!"}]}, 400),
        ("toy:predict", {"instances": ["text"]}, 400),
        ("toy:predict", {"instances": [3]}, 400),
        ("toy:predict", {"instances": [{"image": "x"}]}, 400),
        ("toy:predict", {"signature_name": 3, "instances": ["x"]}, 400),
        ("toy:predict", {"signature_name": "none", "instances": ["x"]}, 400),
        ("toy:predict", {"signature_name": "logits", "instances": [[[1, 2], [3]]]}, 400),
        ("toy:predict", {"signature_name": "logits", "instances": [[1, 2, 3]]}, 400),
        ("none:predict", {"instances": ["x"]}, 404),
        ("toy/versions/9:predict", {"instances": [_base64(b"x")]}, 404),
        ("toy/labels/none:predict", {"instances": [_base64(b"x")]}, 400),
        ("none", None, 404),
    ],
)
def test_mistakes_have_their_status_and_say_why(server, path, body, status):
    received, answer = _rest(f"{server.rest}/v1/models/{path}", body)
    assert received == status and isinstance(answer["error"], str) and answer["error"]


def test_status_and_metadata(model, stubs):
    _, answer = _rest(model)
    assert [(row["version"], row["state"]) for row in answer["model_version_status"]] == [("1", "AVAILABLE")]
    signatures = _rest(f"{model}/metadata")[1]["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) >= {"serving_default", "logits", "classify", "classify_with", "explain"}
    assert signatures["serving_default"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "toy"
    response = stubs[0].GetModelMetadata(request)
    unpacked = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(unpacked) and response.model_spec.version.value == 1
    assert unpacked.signature_def["classify"].method_name == "tensorflow/serving/classify"
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "toy"
    assert [row.version for row in stubs[1].GetModelStatus(status).model_version_status] == [1]


@pytest.mark.slow
def test_classify_takes_examples(stubs):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "classify"
    for colour in (RED, (0, 0, 255)):
        request.input.example_list.examples.add().features.feature["image/encoded"].bytes_list.value.append(png(colour))
    response = stubs[0].Classify(request)
    assert [row.classes[0].label for row in response.result.classifications] == ["red", LABELS[2]]
    assert response.model_spec.version.value == 1
    scores = [one.score for one in response.result.classifications[0].classes]
    assert scores == pytest.approx(sorted(expected_scores(RED), reverse=True), rel=1e-4)


def _predict(stubs, inputs, outputs=(), signature=""):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name, request.model_spec.signature_name = "toy", signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return stubs[0].Predict(request)


def test_a_filter_of_outputs(stubs):
    response = _predict(stubs, {"image_bytes": np.array([png(RED)], object)}, ["scores"])
    assert list(response.outputs) == ["scores"]
    assert (response.model_spec.name, response.model_spec.version.value) == ("toy", 1)
    assert response.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({}, ()),
        ({"image": np.array([b"x"], object)}, ()),
        ({"image_bytes": np.float32([1])}, ()),
        ({"image_bytes": np.array([b"x"], object)}, ()),
        ({"image_bytes": np.array([png(RED)], object)}, ("logits",)),
    ],
)
def test_mistakes_are_invalid_arguments(stubs, inputs, outputs):
    with pytest.raises(grpc.RpcError) as raised:
        _predict(stubs, inputs, outputs)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT and raised.value.details()


def _tensor(kind, sizes, **values):
    return tensor_pb2.TensorProto(
        dtype=kind, tensor_shape={"dim": [{"size": size} for size in sizes]}, **values
    )


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (_tensor(1, [2**43], float_val=[0.0]), r"its shape \[8796093022208\] is that of 35184372088832 bytes, more than"),
        (_tensor(1, [2**20, 2**20], tensor_content=b"1234"), "more than"),
        (_tensor(7, [2**43], string_val=[b"x"]), "more than"),
        (_tensor(1, [3], tensor_content=b"12345678"), r"its shape \[3\] is not that of 8 bytes"),
        (_tensor(1, [-1], float_val=[1.0]), r"its shape \[-1\] is not known"),
        (tensor_pb2.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}), "is not known"),
        (_tensor(1, [2], float_val=[1.0, 2.0, 3.0]), "is not a tensor"),
        (_tensor(1, [2]), ""),
        (_tensor(0, [1]), ""),
        (_tensor(20, [1]), ""),
        (_tensor(99, [1]), ""),
    ],
)
def test_what_is_no_tensor_is_an_invalid_argument_before_it_is_made(stubs, tensor, said):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toy"
    request.inputs["image_bytes"].CopyFrom(tensor)
    with pytest.raises(grpc.RpcError) as raised:
        stubs[0].Predict(request, timeout=300)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert re.search(said, raised.value.details())


def test_a_missing_signature_is_a_failed_precondition(stubs):
    with pytest.raises(grpc.RpcError) as raised:
        _predict(stubs, {"image_bytes": np.array([b"x"], object)}, signature="segment")
    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_a_new_version_takes_over_without_a_failed_or_mixed_answer(kind, models, second_toy, publish):
    with running(kind, models) as address:
        stop, answers, failures = threading.Event(), [], []

        def ask(url):
            with Client(url, "toy", retries=0) as client:
                while not stop.is_set():
                    try:
                        found = client.classify([png(RED), png((9, 99, 9))])
                        answers.append((found.labels, found.versions, found.errors))
                    except RequestError as error:
                        failures.append(error)

        def answered(new):
            return sum(labels[0][0].startswith("new ") == new for labels, _, _ in answers)

        asking = [threading.Thread(target=ask, args=(url,)) for url in (address.grpc, address.rest, address.grpc)]
        for thread in asking:
            thread.start()
        try:
            _wait(lambda: answered(new=False) > 20)
            publish(second_toy, models / "2")
            _wait(lambda: answered(new=True) > 20 and any(versions == (2, 2) for _, versions, _ in answers))
        finally:
            stop.set()
            for thread in asking:
                thread.join()
    assert failures == []
    kinds = {True: 0, False: 0}
    for labels, versions, errors in answers:
        is_new = {label.startswith("new ") for row in labels for label in row}
        assert len(is_new) == 1 and not errors
        (only,) = is_new
        kinds[only] += 1
        assert versions in {(None, None), (2, 2) if only else (1, 1)}
    assert kinds[True] > 20 and kinds[False] > 20


@pytest.mark.slow
def test_a_request_that_has_begun_ends_on_its_version(models, second_toy, publish):
    served = ServedModel(models, "toy")
    inputs = {"image_bytes": np.array([png(RED)], object)}
    with served.lease("toy") as first:
        publish(second_toy, models / "2")
        served.refresh()
        with served.lease("toy") as second:
            assert (first.number, second.number) == (1, 2)
            assert second.run("", inputs)["labels"][0, 0] == b"new red"
        assert first.run("", inputs)["labels"][0, 0] == b"red"
        with pytest.raises(RequestError, match=r"Specific\(toy, 1\)"), served.lease("toy", 1):
            pass
    with pytest.raises(RuntimeError):  # its Session was closed when the last request ended
        first.servable.run("serving_default", inputs)
    served.close()


@pytest.mark.slow
def test_a_version_that_a_label_names_stays(models, second_toy, publish):
    with loopback(models, "toy", labels={"stable": 1}, poll_seconds=0.02) as server:
        publish(second_toy, models / "2")
        _wait(lambda: server.model.states() == {1: None, 2: None})
        for url in (server.grpc, server.rest):
            with Client(url, "toy", "stable") as stable, Client(url, "toy") as newest, Client(url, "toy", 1) as first:
                found = [client.classify([png(RED)]).labels[0][0] for client in (stable, newest, first)]
            assert found == ["red", "new red", "red"]


def test_removing_the_newest_version_goes_back(models, second_toy, publish):
    publish(second_toy, models / "2")
    served = ServedModel(models, "toy")
    assert served.states() == {2: None}
    shutil.rmtree(models / "2")
    served.refresh()
    assert served.states() == {1: None}
    shutil.rmtree(models)
    served.refresh()
    assert served.states() == {1: None}  # a folder that vanished is no reason to stop
    served.close()


@pytest.mark.slow
def test_a_version_whose_warm_up_fails_is_not_served(models, second_toy, publish, tmp_path):
    good, bad = np.array([png(RED)], object), np.array([b"not an image"], object)
    broken = shutil.copytree(second_toy, tmp_path / "broken")
    write_warmup(broken, [("serving_default", {"image_bytes": good}), ("serving_default", {"image_bytes": bad})], "toy")
    served = ServedModel(models, "toy")
    publish(broken, models / "2")
    served.refresh()
    assert served.states()[1] is None and "INVALID_ARGUMENT" in served.states()[2]
    with served.lease("toy") as version:
        assert version.number == 1
    write_warmup(broken, [("serving_default", {"image_bytes": good})], "toy")
    publish(broken, models / "3")
    served.refresh()
    assert served.states() == {2: served.states()[2], 3: None}
    served.close()


def test_an_incomplete_version_is_tried_again_when_it_changes(models, second_toy):
    served = ServedModel(models, "toy")
    (models / "2").mkdir()
    shutil.copy(second_toy / "saved_model.pb", models / "2")
    served.refresh()
    assert served.states()[1] is None and served.states()[2]
    shutil.copytree(second_toy, models / "2", dirs_exist_ok=True)
    served.refresh()
    assert served.states() == {2: None}
    served.close()


def test_a_folder_without_a_version_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must hold a version that loads. Received: .*\(no version\)"):
        ServedModel(tmp_path, "toy")
    (tmp_path / "1").mkdir()
    with pytest.raises(InputError, match="version 1: "):
        ServedModel(tmp_path, "toy")


@pytest.mark.parametrize("protocol", ["rest", *further("grpc")])
def test_a_port_that_is_taken_is_refused(toy, protocol):
    with loopback(toy.parent, "toy") as first:
        port = int((first.grpc if protocol == "grpc" else first.rest).rsplit(":", 1)[1])
        sentence = f"--{protocol}_port must be free on 127.0.0.1. Received: {port} "
        with pytest.raises(OSError, match=sentence), loopback(toy.parent, "toy", **{f"{protocol}_port": port}):
            pass


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b"])
def test_a_name_that_no_address_can_have_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="must have a name.*Received: " + re.escape(repr(name))):
        ServedModel(tmp_path, name)


@pytest.mark.parametrize("port", ["-1", "65536", "x", "\u0663", "9" * 5000])
def test_a_port_that_does_not_exist_is_refused(port, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["folder", "toy", f"--rest_port={port}"])
    assert raised.value.code == 2
    assert "argument --rest_port: must be a number from 0 to 65535. Received: " in capsys.readouterr().err


def _wait(condition):
    end = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
