"""A network as a LiteRT file, answered by a process without TensorFlow."""

from __future__ import annotations

import zipfile

import pytest

from niwt_tf.errors import InputError
from niwt_tf.files import entries_of
from niwt_tf.models.backbones import build_network
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.export.litert import export_litert
from niwt_tf.serving.export.portable import of_bundle, of_network
from niwt_tf.serving.export.verification import VerificationError

NAMES = ("cat", "dog", "eel")


@pytest.fixture(scope="module")
def small():
    made = build_network("small_vgg", NAMES, input_size=16)
    made.calibration = 0.3
    return made


def test_what_is_refused(small, tmp_path):
    with pytest.raises(InputError, match="path must end in .tflite. Received: 'a.onnx'"):
        export_litert(of_network(small), "a.onnx")
    with pytest.raises(InputError, match="precision must be one of float32, float16, int8"):
        export_litert(of_network(small), tmp_path / "a.tflite", precision="int4")
    assert entries_of(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "share"), [("float32", 1.1), ("float16", 0.6), ("int8", 0.5)])
def test_it_answers_as_the_network_does(small, tmp_path, precision, share):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "net.tflite"
    report = export_litert(of_network(small), path, precision=precision)
    weights = sum(weight.numpy().nbytes for weight in small.model.weights)
    assert report.size < share * weights + 20_000
    assert report.difference < {"float32": 1e-4, "float16": 1e-2, "int8": 0.2}[precision]
    assert report.images == 16 and report.milliseconds > 0
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().split() == list(NAMES)
        assert f'"precision": "{precision}"' in archive.read("niwt.json").decode()


@pytest.mark.slow
def test_other_answers_leave_no_file(small, tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    other = build_network("small_vgg", NAMES, input_size=16, seed=5)
    from niwt_tf.serving.export import litert

    contents = litert._converted(of_network(other), "float32")
    monkeypatch.setattr(litert, "_converted", lambda *_: contents)
    with pytest.raises(VerificationError, match="LiteRT gives other answers than the network in float32"):
        export_litert(of_network(small), tmp_path / "net.tflite")
    assert entries_of(tmp_path) == []


@pytest.mark.slow
def test_a_bundle_is_written_as_its_network_is(saved_model, tmp_path):
    pytest.importorskip("ai_edge_litert")
    report = export_litert(of_bundle(saved_model), tmp_path / "bundle.tflite")
    assert report.difference < 1e-4 and report.same_labels == 1
    with zipfile.ZipFile(tmp_path / "bundle.tflite") as archive:
        assert archive.read("labels.txt").decode().split("\n")[:-1] == list(Bundle.open(saved_model).labels)
