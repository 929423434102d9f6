"""Each check of `niwt check_export` by a SavedModel with that fault; the Session is in this process unless a test says so."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.warmup import WARMUP, write_warmup
from niwt_tf.serving.checks import checking
from niwt_tf.serving.checks.check_processes import C_API, SESSION, ProcessAnswers, ask, native_loader
from niwt_tf.serving.checks.check_requests import bad_images, drawn_images, strings
from niwt_tf.serving.checks.checking import BundleChecks, Check, check_export
from niwt_tf.serving.checks.messages import Message
from niwt_tf.serving.predict import opened
from tests.serving.answers import answered_here
from tests.serving.saved_models import brightness, save, scored


@pytest.fixture(scope="module")
def opened_once():
    """Return `opened` that keeps its Sessions open: copies of one SavedModel, which tests break elsewhere, have one."""
    kept = {}
    with ExitStack() as stack:

        @contextmanager
        def once(folder):
            files = [folder / "saved_model.pb", *sorted((folder / "variables").iterdir())]
            model = tuple(path.read_bytes() for path in files)
            if model not in kept:
                kept[model] = stack.enter_context(opened(folder))
            yield kept[model]

        yield once


@pytest.fixture
def here(monkeypatch, opened_once):
    """Answer in this process what a Session in another one would."""
    monkeypatch.setattr(checking, "ask", partial(answered_here, opened=opened_once))


@pytest.fixture
def session_here(monkeypatch, opened_once):
    """Answer in this process what a Session in another one would, and have processes of their own for the others."""

    def asked(command, *arguments, **options):
        if command == SESSION:
            return answered_here(command, *arguments, opened=opened_once)
        return ask(command, *arguments, **options)

    monkeypatch.setattr(checking, "ask", asked)


@pytest.fixture
def bundle(saved_model, tmp_path) -> Path:
    """Return a copy of the toy bundle that may be broken."""
    return Path(shutil.copytree(saved_model, tmp_path / "toy" / "1"))


def _run(folder: Path, *names: str, images: tuple[bytes, ...] = ()) -> list[Check]:
    """Return the outcomes of some checks."""
    examination = BundleChecks(folder, images)
    chosen = {name: check for name, check in examination.checks().items() if name in names}
    examination.checks = lambda: chosen  # type: ignore[method-assign]
    return list(checking._outcomes(examination))


def _one(folder: Path, name: str, **options) -> Check:
    (check,) = _run(folder, name, **options)
    return check


def test_a_good_bundle(here, bundle):
    image = drawn_images()[0]
    write_warmup(bundle, [("serving_default", {"image_bytes": strings([image, image])})], "toy")
    found = _run(bundle, "signatures", "operations", "size", "session", "batching", "warm-up", "bad images")
    assert {check.name: check.status for check in found} == {check.name: "ok" for check in found}
    details = {check.name: check.detail for check in found}
    assert details["session"] == "classify, classify_with, explain, explain_class, logits, serving_default answer without Keras"
    assert details["warm-up"] == "1 records are answered"
    assert details["batching"] == "3 images together get the same answers as each alone"


def test_the_drawn_images_can_be_replaced(here, bundle, image_paths):
    contents = tuple(path.read_bytes() for path in image_paths)
    said = "5 images together get the same answers as each alone"
    assert _one(bundle, "batching", images=contents) == Check("batching", "ok", said)
    assert _one(bundle, "batching", images=contents[:1]).status == "not run"


def test_a_changed_byte(here, bundle):
    data = bundle / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    assert _one(bundle, "format").status == "FAILED"
    assert "variables.data-00000-of-00001, it was changed" in _one(bundle, "format").detail
    assert _one(bundle, "size").status == "FAILED"


def test_a_bundle_as_it_was_written(saved_model):
    check = _one(saved_model, "format")
    assert check.status == "ok" and check.detail.startswith("format 2, 7 classes, ")


def test_a_foreign_saved_model_is_checked_as_far_as_that_goes(here, tmp_path):
    path = save(tmp_path / "1", lambda image_bytes: scored(image_bytes, brightness(image_bytes)))
    names = ("format", "signatures", "operations", "session", "batching", "warm-up", "bad images")
    found = {check.name: check for check in _run(path, *names)}
    assert found["format"].status == "FAILED" and "no niwt.json" in found["format"].detail
    assert found["warm-up"].status == "not run"
    assert {found[name].status for name in ("signatures", "operations", "session", "batching")} == {"ok"}


def test_no_warm_up(here, bundle):
    (bundle / WARMUP).unlink(missing_ok=True)
    assert _one(bundle, "warm-up").detail == "assets.extra/tf_serving_warmup_requests does not exist"
    assert _one(bundle, "warm-up").status == "FAILED"


@pytest.mark.parametrize(
    ("signature", "inputs", "said"),
    [
        ("serving_default", {"image_bytes": strings([b"no image"])}, "record 2 (serving_default): "),
        (
            "serving_default",
            {"pixels": np.zeros(1, np.float32)},
            "record 2 (serving_default): ValueError: the inputs",
        ),
        ("gone", {"image_bytes": strings([b""])}, "record 2 (gone): "),
    ],
)
def test_a_warm_up_record_that_fails(here, bundle, signature, inputs, said):
    good = ("serving_default", {"image_bytes": strings(drawn_images())})
    write_warmup(bundle, [good, (signature, inputs)], "toy")
    check = _one(bundle, "warm-up")
    assert check.status == "FAILED" and check.detail.startswith(said)


def test_warm_up_that_is_damaged(here, bundle):
    write_warmup(bundle, [("serving_default", {"image_bytes": strings(drawn_images())})], "toy")
    content = bytearray((bundle / WARMUP).read_bytes())
    content[20] ^= 1
    (bundle / WARMUP).write_bytes(content)
    assert _one(bundle, "warm-up").status == "FAILED"


def test_an_answer_that_depends_on_the_batch(here, tmp_path):
    def call(image_bytes):
        values = brightness(image_bytes)
        return scored(image_bytes, values - tf.reduce_mean(values))

    check = _one(save(tmp_path / "1", call), "batching")
    assert check.status == "FAILED" and check.detail.startswith("serving_default: image 1 of 3 alone: scores is ")


def test_an_answer_that_is_not_finite(here, tmp_path):
    path = save(tmp_path / "1", lambda image_bytes: scored(image_bytes, brightness(image_bytes) / 0.0))
    assert _one(path, "session") == Check("session", "FAILED", "serving_default: scores must be finite")


def test_an_answer_of_another_length(here, tmp_path):
    path = save(tmp_path / "1", lambda image_bytes: {"scores": tf.concat([brightness(image_bytes), [1.0]], 0)})
    assert _one(path, "session").detail == "serving_default: scores must have 3 rows; its shape is [4]"


def test_what_is_no_image_but_answered(here, tmp_path):
    path = save(tmp_path / "1", lambda image_bytes: scored(image_bytes, tf.cast(tf.strings.length(image_bytes), tf.float32)))
    check = _one(path, "bad images")
    assert check.status == "FAILED"
    assert check.detail == "serving_default: an image that is empty must be INVALID_ARGUMENT: it is answered"


def _pixel_sums(tmp_path: Path, checked: bool) -> Path:
    def call(images):
        images = tf.debugging.assert_all_finite(tf.ensure_shape(images, [None, 2, 2, 3]), "finite") if checked else images
        return {"scores": tf.reduce_sum(images, axis=[1, 2, 3])}

    return save(tmp_path / "1", call, tf.TensorSpec([None, 2, 2, 3], tf.float32, name="images"))


def test_numbers_of_another_shape_but_answered(monkeypatch, tmp_path):
    asked = []

    def refusing(command, folder, requests, ports):
        assert command == C_API
        asked.extend(request.tensors["images"] for request in requests)
        return ProcessAnswers([Message(request.signature, code=3) for request in requests[: len(codes)]], "status 9: a crash")

    monkeypatch.setattr(checking, "ask", refusing)
    path, codes = _pixel_sums(tmp_path, True), range(8)
    assert _one(path, "bad numbers").detail == "8 requests with other shapes or NaN: INVALID_ARGUMENT"
    shapes = [(1, 1, 2, 3), (1, 3, 2, 3), (1, 2, 1, 3), (1, 2, 3, 3), (1, 2, 2, 1), (1, 2, 2, 2), (1, 2, 2, 4), (1, 2, 2, 3)]
    assert [tensor.shape for tensor in asked] == shapes
    assert np.isnan(asked[-1]).any() and not any(np.isnan(tensor).any() for tensor in asked[:-1])
    codes = range(3)
    dead = "serving_default: images of shape [1, 2, 3, 3]: the process ended: status 9: a crash"
    assert _one(path, "bad numbers") == Check("bad numbers", "FAILED", dead)


@pytest.mark.slow
@pytest.mark.parametrize("checked", [False, True])
def test_the_c_interface_checks_no_shape_itself(tmp_path, checked):
    check = _one(_pixel_sums(tmp_path, checked), "bad numbers")
    wrong = "serving_default: images of shape [1, 1, 2, 3] must be INVALID_ARGUMENT: it is answered"
    right = "8 requests with other shapes or NaN: INVALID_ARGUMENT"
    assert check == Check("bad numbers", "ok" if checked else "FAILED", right if checked else wrong)


@pytest.mark.slow
def test_a_bundle_refuses_numbers_of_another_shape(saved_model):
    # Descriptions are of 6 numbers, images of 16 x 16 x 3.
    images = [(1, *shape) for shape in ((1, 16, 3), (15, 15, 3), (15, 16, 3), (16, 17, 3), (17, 17, 3))]
    descriptions = [(1, 2, length) for length in (1, 5, 7)]
    requests = [Message("logits", {"images": np.ones(shape, np.float32)}) for shape in images]
    image = strings(drawn_images()[:1])
    for shape in descriptions:
        requests.append(Message("classify_with", {"image_bytes": image, "descriptions": np.ones(shape, np.float32)}))
    answers = ask(C_API, saved_model, requests, BundleChecks(saved_model).ports).answers
    assert [(answer.code, "not compatible with expected shape" in answer.error) for answer in answers] == [(3, True)] * 8
    assert _one(saved_model, "bad numbers").detail == "14 requests with other shapes or NaN: INVALID_ARGUMENT"


def test_a_decoder_without_a_limit_of_pixels(here, tmp_path):
    good = drawn_images()[0]

    def call(image_bytes):
        # Answers the bomb, which it tells by its header, without decoding it.
        header = tf.strings.substr(tf.strings.join([image_bytes, "." * 24]), 16, 4)
        large = tf.equal(header, b"\x00\x00u0")
        return scored(image_bytes, brightness(tf.where(large, good, image_bytes)))

    check = _one(save(tmp_path / "1", call), "bad images")
    assert check.status == "FAILED" and "30000 x 30000 pixels must be" in check.detail


def test_bombs_and_animations_are_images_otherwise():
    bomb = bad_images()["30000 x 30000 pixels"]
    assert tf.io.decode_raw(bomb[16:24], tf.uint8).numpy().tolist() == [0, 0, 117, 48] * 2
    assert len(bomb) < 5000
    assert tf.io.decode_gif(bad_images()["animated"]).numpy().tolist() == [[[[255, 0, 0]]], [[[0, 255, 0]]]]
    wide = bad_images()["1000000 x 1 pixels"]
    assert tf.io.decode_png(wide).shape == (1, 1_000_000, 3) and len(wide) < 5000


_DYING = """
import os, sys
from niwt_tf.serving.checks.messages import append_message, read_messages, Message
import numpy as np
for number, asked in enumerate(read_messages(sys.argv[1] + "/requests.bin")):
    if number == {after}:
        print("a crash", file=sys.stderr, flush=True)
        os._exit(9)
    rows = len(next(iter(asked.tensors.values())))
    append_message(sys.argv[1] + "/answers.bin", Message(asked.signature, {{"scores": np.ones((rows, 1), np.float32)}}))
"""


def test_a_process_that_ends_fails_the_check_that_ended_it(monkeypatch, tmp_path):
    path = save(tmp_path / "1", lambda image_bytes: scored(image_bytes, brightness(image_bytes)))

    def runs(after: int, *names: str) -> list[str]:
        monkeypatch.setattr(checking, "SESSION", (sys.executable, "-c", _DYING.format(after=after)))
        return [f"{check.status}: {check.detail}" for check in _run(path, *names)]

    # A request of all images comes first, then three of one image, then those of bad ones.
    dead = "the process ended: status 9: a crash"
    assert runs(0, "session", "batching") == ["FAILED: status 9: a crash", "not run: the Session does not answer"]
    assert runs(4, "session", "bad images") == [
        "ok: serving_default answer without Keras",
        f"FAILED: serving_default for an image that is empty: {dead}",
    ]
    assert runs(0, "bad images") == ["not run: the process of the Session had ended before"]


def test_no_saved_model_and_no_image_are_named(tmp_path, saved_model):
    with pytest.raises(InputError, match="exported SavedModel"):
        check_export(tmp_path)
    with pytest.raises(InputError, match="nowhere.png"):
        check_export(saved_model, [tmp_path / "nowhere.png"])


def test_a_machine_without_compiler_or_server(here, bundle, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert _one(bundle, "C++ loader") == Check("C++ loader", "not run", "no g++")
    assert _one(bundle, "model server") == Check("model server", "not run", "no tensorflow_model_server")


def test_a_server_that_does_not_start(here, bundle, monkeypatch, tmp_path):
    program = tmp_path / "bin" / "tensorflow_model_server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no such option\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    assert _one(bundle, "model server") == Check("model server", "FAILED", "the server ended with status 3: no such option")


@pytest.mark.slow
def test_a_session_in_a_process_without_keras(saved_model):
    assert _one(saved_model, "session").status == "ok"


@pytest.mark.slow
def test_the_c_interface_answers_alike_and_sees_what_does_not(session_here, saved_model, monkeypatch):
    asked, said = checking.ask, {}

    def once(command, *arguments, **options):
        if command not in said:
            said[command] = asked(command, *arguments, **options)
        return said[command]

    monkeypatch.setattr(checking, "ask", once)
    assert _one(saved_model, "C interface") == Check("C interface", "ok", "6 signatures give the same answers as the Session")
    (tensors,) = (answer.tensors for answer in said[C_API].answers if "features" in answer.tensors)
    tensors["features"] = tensors["features"] + 1
    assert _one(saved_model, "C interface").detail == "logits: features is 1 apart"


@pytest.mark.slow
@pytest.mark.combination
@pytest.mark.skipif(shutil.which("g++") is None, reason="not run: no g++")
def test_the_native_loader_is_compiled_once_and_answers_alike(session_here, saved_model, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _one(saved_model, "C++ loader") == Check("C++ loader", "ok", "6 signatures give the same answers as the Session")
    (made,) = (tmp_path / "niwt-tf").iterdir()
    before = made.stat().st_mtime_ns
    assert native_loader() == made and made.stat().st_mtime_ns == before


_SERVER = """#!{python}
import sys
from niwt_tf.serving.loopback.server import main
given = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
ports = ["--grpc_port=" + given["port"], "--rest_port=" + given["rest_api_port"]]
main([given["model_base_path"], given["model_name"], *ports])
"""


@pytest.mark.slow
def test_a_server_is_asked_where_there_is_one(session_here, saved_model, monkeypatch, tmp_path):
    program = tmp_path / "tensorflow_model_server"
    program.write_text(_SERVER.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(checking.__file__).parents[2]))
    assert _one(saved_model, "model server") == Check("model server", "ok", "6 signatures give the same answers as the Session")


@pytest.mark.skipif(shutil.which("tensorflow_model_server") is None, reason="not run: no tensorflow_model_server")
def test_tensorflow_serving_itself(saved_model):
    assert _one(saved_model, "model server").status == "ok"
