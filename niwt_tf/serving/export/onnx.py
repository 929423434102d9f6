"""A network or a bundle as one ONNX file, for runtimes other than TensorFlow: pixels in, logits and features out.

Needs the extra `niwt-tf[onnx]`. Decoding of image files is not in the file: ONNX has no portable operation for it.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf import __version__
from niwt_tf.config.extras import imported
from niwt_tf.errors import InputError
from niwt_tf.files import replacing
from niwt_tf.serving.export.portable import Portable
from niwt_tf.serving.export.verification import VerificationError

OPSET = 17
_TOLERANCE = 1e-4
_BATCHES = (3, 1)  # of two sizes, so that a size that was frozen in is found out
_LARGEST = 2**31 - 1  # a protocol buffer cannot be longer


def export_onnx(source: Portable, path: str | os.PathLike[str]) -> float:
    """Write a network or a bundle as an ONNX file, verified by onnxruntime, or write nothing.

    Input `images` float32 [B, S, S, 3], RGB in 0..255; outputs `logits` [B, C] (calibrated) and `features` [B, D]. The file's
    metadata, all JSON: labels, seen, input_size, layer, calibration, preprocessing and niwt_tf. The largest difference
    from the source is returned, relative to its largest answer where that is above 1.

    Raises:
        InputError: another suffix than .onnx, a network of 2 GB, or the extra is missing.
        VerificationError: onnxruntime answers otherwise than the source, by more than 1e-4.
        OSError: the file cannot be written.
    """
    if not str(path).endswith(".onnx"):
        raise InputError(f"path must end in .onnx. Received: {str(path)!r}.")
    if source.size > _LARGEST:
        raise InputError(f"A network must be below 2 GB for a single ONNX file. Received: {source.name}.")
    converter, runtime = (imported(name, "An ONNX file") for name in ("tf2onnx", "onnxruntime"))
    answers = source.function(None)
    model, _ = converter.convert.from_function(answers, input_signature=answers.input_signature, opset=OPSET)
    model.producer_name, model.producer_version = "niwt-tf", __version__
    for name, value in source.description.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, json.dumps(value, ensure_ascii=False)
    contents = model.SerializeToString()
    difference = _difference(runtime.InferenceSession(contents, providers=["CPUExecutionProvider"]), answers, source)
    with replacing(path) as temporary:
        temporary.write_bytes(contents)
    return difference


def _difference(session: Any, answers: Any, source: Portable) -> float:
    """Return by how much two runtimes differ at most on random pixels; more than 1e-4 is a VerificationError."""
    random, worst, side = np.random.default_rng(0), 0.0, source.input_form.size
    for count in _BATCHES:
        images = random.uniform(0, 255, (count, side, side, 3)).astype(np.float32)
        for name, expected in answers(tf.constant(images)).items():
            (found,) = session.run([name], {"images": images})
            scale = max(1.0, float(np.abs(expected).max()))
            same = found.shape == tuple(expected.shape)
            difference = float(np.abs(found - expected).max()) / scale if same else float("inf")
            if not difference <= _TOLERANCE:
                raise VerificationError(
                    f"onnxruntime gives other answers than the network: {name} differs by {difference:.3g}."
                )
            worst = max(worst, difference)
    return worst


