"""An ONNX file: answers, metadata, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.models.backbones import build_network
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.export.onnx import export_onnx
from niwt_tf.serving.export.portable import of_network
from niwt_tf.serving.export.verification import VerificationError
from tests.hub_modules import SIZE, save_reusable
from tests.shared import further


@pytest.fixture
def runtime():
    """Return onnxruntime, or skip the test."""
    pytest.importorskip("tf2onnx", reason="The extra niwt-tf[onnx] is not installed: no tf2onnx.")
    return pytest.importorskip("onnxruntime", reason="The extra niwt-tf[onnx] is not installed: no onnxruntime.")


def _answers(runtime, path, images):
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session, dict(zip(("logits", "features"), session.run(["logits", "features"], {"images": images}), strict=True))


def _pixels(count, size):
    return np.random.default_rng(7).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def test_the_file_answers_as_the_network_and_says_what_it_is(runtime, network, tmp_path):
    path = tmp_path / "new" / "toy.onnx"
    assert export_onnx(of_network(network), path) < 1e-4
    for count in (1, 5):
        images = _pixels(count, 16)
        session, found = _answers(runtime, path, images)
        np.testing.assert_allclose(found["logits"], network.model(images, training=False), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["features"], network.tail(network.trunk(images)), rtol=1e-4, atol=1e-4)
    said = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert tuple(said["labels"]) == network.class_names
    assert (len(said["seen"]), said["input_size"], said["calibration"]) == (4, 16, 0.75)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["hub", *further("mobilenet_v2")])
def test_other_backbones(runtime, backbone, tmp_path):
    size, layer = (SIZE, "net/second") if backbone == "hub" else (64, None)
    name = f"hub:{save_reusable(tmp_path / 'module')}" if backbone == "hub" else backbone
    network = build_network(name, ("a", "b", "c"), layer=layer, input_size=size)
    assert export_onnx(of_network(network), tmp_path / "a.onnx") < 1e-4


def test_another_answer_is_found_and_nothing_is_written(runtime, network, tmp_path, monkeypatch):
    class Session(runtime.InferenceSession):
        def run(self, *arguments):
            return [answer + 1e-2 for answer in super().run(*arguments)]

    monkeypatch.setattr(runtime, "InferenceSession", Session)
    with pytest.raises(VerificationError, match="differs by 0.0"):
        export_onnx(of_network(network), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_refused(network, tmp_path):
    with pytest.raises(InputError, match=r"must end in \.onnx"):
        export_onnx(of_network(network), tmp_path / "a.pb")


def test_without_the_extra_it_is_one_sentence(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(InputError, match=r"An ONNX file needs tf2onnx: pip install 'niwt-tf\[onnx\]'. Received: no tf2onnx"):
        export_onnx(of_network(network), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--run_dir=nowhere"], "--run_dir must hold the stage transfer"),
        ([], "Either --run_dir or --bundle must be given. Received: neither."),
        (["--run_dir=a", "--bundle=b"], "Either --run_dir or --bundle must be given. Received: both."),
        (["--bundle=nowhere"], "--bundle must"),
    ],
)
def test_the_job_without_a_run(niwt, flags, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = niwt("export_onnx", *flags)
    assert (job.status, said in job.err) == (2, True)


@pytest.mark.slow
def test_the_job(runtime, niwt, finished_run, tmp_path):
    job = niwt("export_onnx", f"--run_dir={finished_run.path}", f"--path={tmp_path / 'birds.onnx'}")
    assert (job.status, "10 classes" in job.err) == (0, True), job.err
    assert (tmp_path / "birds.onnx").is_file()


@pytest.mark.slow
def test_a_bundle_answers_with_the_classes_that_it_learnt(runtime, niwt, saved_model, tmp_path):
    shutil.copytree(saved_model, tmp_path / "toy/1")
    values = json.dumps({name: 1.0 for name in Bundle.open(saved_model).attribute_names})
    (tmp_path / "card.json").write_text(values)
    added = niwt("add_class", f"--bundle={tmp_path / 'toy'}", "--name=new one", f"--attributes={tmp_path / 'card.json'}")
    assert added.status == 0, added.err
    job = niwt("export_onnx", f"--bundle={tmp_path / 'toy'}", f"--path={tmp_path / 'a.onnx'}")
    labels = list(Bundle.open(tmp_path / "toy").labels)
    assert (job.status, f"{len(labels)} classes" in job.err) == (0, True), job.err
    served = tf.saved_model.load(str(tmp_path / "toy/2")).signatures["logits"]
    pixels = _pixels(3, Bundle.open(saved_model).input_form.size)
    session, found = _answers(runtime, tmp_path / "a.onnx", pixels)
    np.testing.assert_allclose(found["logits"], served(images=tf.constant(pixels))["logits"], rtol=1e-4, atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == labels and labels[-1] == "new one"
