"""A network or a bundle as one LiteRT file (.tflite), for phones: pixels in, calibrated logits out.

TensorFlow's own converter writes it; a fresh process without TensorFlow, with the interpreter of the extra `niwt-tf[litert]`,
answers images with it before it appears. Labels go along as phones expect them: as files of a zip archive behind the model.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from niwt_tf.config.extras import check_installed
from niwt_tf.errors import InputError, check_choice, first_line
from niwt_tf.files import replacing
from niwt_tf.serving.export.portable import Portable
from niwt_tf.serving.export.verification import VerificationError

PRECISIONS = ("float32", "float16", "int8")
# By how much logits may differ, as a share of the largest; what int8 weights change is told and not judged.
_TOLERANCES = {"float32": 1e-3, "float16": 3e-2}
_ASKING = """
import json, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter

path, images, answers = sys.argv[1:]
answer = Interpreter(model_path=path).get_signature_runner()
logits, seconds = [], []
for image in np.load(images):
    begun = time.perf_counter()
    (found,) = answer(images=image[None]).values()
    logits.append(found)
    seconds.append(time.perf_counter() - begun)
np.save(answers, np.concatenate(logits))
print(json.dumps({"seconds": float(np.median(seconds)), "tensorflow": "tensorflow" in sys.modules}))
"""


@dataclass(frozen=True)
class LiteRtReport:
    """How a file compares with the network.

    Attributes:
        size: of the file in bytes.
        images: how many were compared.
        difference: the largest of a logit, relative to the largest logit where that is above 1.
        same_labels: share of the images that are called the same.
        milliseconds: median of an image on this machine's processor, one at a time.
    """

    size: int
    images: int
    difference: float
    same_labels: float
    milliseconds: float


def export_litert(
    source: Portable, path: str | os.PathLike[str], images: np.ndarray | None = None, precision: str = "float32"
) -> LiteRtReport:
    """Write a network or a bundle as a LiteRT file, compared with it in a fresh process, or write nothing.

    Input `images` float32 [1, S, S, 3], RGB in 0..255; one output [1, C], calibrated logits. `unzip` shows labels.txt and
    niwt.json in the file.

    Args:
        source: what to write.
        path: of the file, .tflite.
        images: float32 [M, S, S, 3] to compare on; None makes 16 of noise.
        precision: "float32"; "float16" for the weights; or "int8" for the weights, quantised dynamically.

    Raises:
        InputError: another suffix or precision, the extra is missing, or layers that LiteRT does not have.
        VerificationError: answers differ by more than 1e-3 (float32) or 3e-2 (float16), or are called otherwise in float32.
        OSError: the file cannot be written.
    """
    if not str(path).endswith(".tflite"):
        raise InputError(f"path must end in .tflite. Received: {str(path)!r}.")
    check_choice("precision", precision, PRECISIONS)
    check_installed("ai_edge_litert", "A LiteRT file")
    if images is None:
        side = source.input_form.size
        images = np.random.default_rng(0).uniform(0, 255, (16, side, side, 3)).astype(np.float32)
    contents = _with_files(_converted(source, precision), source, precision)
    answers = source.function(1)
    expected = np.concatenate([answers(tf.constant(image[None]))["logits"].numpy() for image in images])
    with replacing(path) as temporary:
        temporary.write_bytes(contents)
        found, seconds = _asked(temporary, images)
        scale = max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(found - expected).max()) / scale if np.isfinite(found).all() else float("inf")
        same = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
        if not difference <= _TOLERANCES.get(precision, np.finfo(np.float64).max) or (precision == "float32" and same < 1):
            told = f"logits differ by {difference:.3g}, {same:.1%} of {len(images)} images get the same class"
            raise VerificationError(f"LiteRT gives other answers than the network in {precision}: {told}.")
    return LiteRtReport(len(contents), len(images), difference, same, 1e3 * seconds)


def _converted(source: Portable, precision: str) -> bytes:
    inner = source.function(1)
    answers = tf.function(
        lambda images: {"logits": inner(images)["logits"]}, input_signature=inner.input_signature, autograph=False
    )
    # As constants: the converter leaves Keras's variables out.
    frozen = convert_variables_to_constants_v2(answers.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter's own, which names the operations
        rule = "LiteRT must have all operations of the network"
        raise InputError(f"{rule}. Received: {source.name}: {first_line(error)}") from error


def _with_files(contents: bytes, source: Portable, precision: str) -> bytes:
    """Return a model with its labels behind it, in the order of the logits, as `tflite_support` packs associated files."""
    stream = io.BytesIO(contents)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", "\n".join(source.labels) + "\n")
        archive.writestr("niwt.json", json.dumps({**source.description, "precision": precision}, ensure_ascii=False))
    return stream.getvalue()


def _asked(path: Path, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Return logits [M, C] and the median of seconds that a fresh process took."""
    with tempfile.TemporaryDirectory() as folder:
        given, answers = Path(folder) / "images.npy", Path(folder) / "logits.npy"
        np.save(given, images)
        command = [sys.executable, "-c", _ASKING, str(path), str(given), str(answers)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise VerificationError(f"LiteRT must be able to run the file. Received: {said}")
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        assert not told["tensorflow"], "the interpreter runs without TensorFlow"
        return np.load(answers), float(told["seconds"])
