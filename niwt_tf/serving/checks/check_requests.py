"""What a check asks of each signature, made from its form alone: good images and numbers, and bad ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.data.images.decode import decode_image
from niwt_tf.serving.bundle.warmup import example
from niwt_tf.serving.checks.messages import Message

_DESCRIBED = 2
_UNKNOWN_SIDE = 2
_IMAGE_INPUTS = ("image_bytes", "inputs")
_NAME_INPUTS = ("class_name", "rival")


class NotAskedError(Exception):
    """A signature whose inputs cannot be made up; the message says why."""


def drawn_images() -> list[bytes]:
    """Return three small images, of other sizes and formats, the same ones each time."""
    random = np.random.default_rng(0)

    def pixels(height: int, width: int, channels: int) -> np.ndarray:
        coarse = random.integers(0, 256, (4, 4, channels)).astype(np.float32)
        return np.asarray(tf.cast(tf.image.resize(coarse, [height, width]), tf.uint8))

    files = [tf.io.encode_png(pixels(48, 48, 3)), tf.io.encode_jpeg(pixels(40, 60, 3)), tf.io.encode_png(pixels(33, 21, 1))]
    return [bytes(file.numpy()) for file in files]


def bad_images() -> dict[str, bytes]:
    """Return what is no image that may be answered, by what is wrong with it."""
    good = drawn_images()[0]
    bad = {"empty": b"", "cut off": good[: len(good) // 2], "text": b"This is no image.\n"}
    bombs = {"30000 x 30000 pixels": _png(30_000, 30_000), "1000000 x 1 pixels": _png(1_000_000, 1)}
    return {**bad, **bombs, "animated": _moving_gif()}


def _png(width: int, height: int) -> bytes:
    """Return a black PNG of at most a million pixels, or the head of a larger one."""
    rows = bytes(min(height * (1 + 3 * width), 4_000_000))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _moving_gif() -> bytes:
    """Return a GIF of two frames of a pixel."""
    screen = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes([255, 0, 0, 0, 255, 0])  # with a table of two colours
    frames = [b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2" + pixel + b"\0" for pixel in (b"\x44\1", b"\x4c\1")]
    return b"GIF89a" + screen + b"".join(frames) + b";"


def request(name: str, signature: Any, images: Sequence[bytes], descriptions: np.ndarray | None) -> Message:
    """Return a request of one row an image to a signature, of which there is the SignatureDef.

    Descriptions are float32 [M, K] for an input of that name, or None for random numbers.

    Raises:
        NotAskedError: an input is neither images nor names of classes nor numbers of known shape.
    """
    return Message(name, {key: _input(key, signature, images, descriptions) for key in sorted(signature.inputs)})


def takes_images(signature: Any) -> bool:
    """Say whether a signature is asked about encoded images."""
    return any(key in signature.inputs for key in _IMAGE_INPUTS)


def row(message: Message, index: int) -> Message:
    """Return a request about, or an answer to, one image of several."""
    return Message(message.signature, {name: tensor[index : index + 1] for name, tensor in message.tensors.items()})


def with_image(message: Message, content: bytes) -> Message:
    """Return the request about the first image, with other bytes in its place."""
    asked = dict(row(message, 0).tensors)
    for key in asked.keys() & set(_IMAGE_INPUTS):
        asked[key] = strings([example(content) if key == "inputs" else content])
    return Message(message.signature, asked)


def with_bad_numbers(message: Message, signature: Any) -> list[tuple[str, Message]]:
    """Return what is wrong, and a good request about the first image with it: other shapes than the SignatureDef's, and NaN.

    There is none for a signature that takes no numbers.
    """
    first, made = row(message, 0), []
    for key, tensor in first.tensors.items():
        if tensor.dtype != np.float32:
            continue
        sides = [side.size for side in signature.inputs[key].tensor_shape.dim]
        for axis, side in enumerate(sides):
            for other in sorted({1, side - 1, side + 1} - {0, side}) if axis and side > 0 else ():
                shape = [other if place == axis else size for place, size in enumerate(tensor.shape)]
                made.append((f"{key} of shape {shape}", key, np.resize(tensor, shape)))
        wrong = tensor.copy()
        wrong.flat[:1] = np.nan
        made.append((f"{key} with NaN", key, wrong))
    return [(what, Message(message.signature, {**first.tensors, key: tensor})) for what, key, tensor in made]


def strings(values: Sequence[bytes]) -> np.ndarray:
    """Return bytes as an array that keeps zeros at their end."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _input(key: str, signature: Any, images: Sequence[bytes], descriptions: np.ndarray | None) -> np.ndarray:
    info = signature.inputs[key]
    sides = [side.size for side in info.tensor_shape.dim]
    kind = tf.dtypes.as_dtype(info.dtype)
    if kind == tf.string and len(sides) == 1 and key in _IMAGE_INPUTS:
        classifies = signature.method_name == tf.saved_model.CLASSIFY_METHOD_NAME
        return strings([example(image) for image in images] if classifies else list(images))
    if kind == tf.string and len(sides) == 1 and key in _NAME_INPUTS:
        return strings([b""] * len(images))  # the best class, or the best of the others
    if kind != tf.float32 or not sides:
        raise NotAskedError(f"its input {key!r} is neither images nor numbers")
    if len(sides) == 4 and sides[3] == 3 and sides[1] == sides[2] > 0:
        return np.stack([decode_image(tf.constant(image), sides[1]).numpy() for image in images])
    if key == "descriptions" and descriptions is not None and len(sides) == 3:
        return np.tile(descriptions[-_DESCRIBED:].astype(np.float32), (len(images), 1, 1))
    shape = [len(images), *(side if side > 0 else _UNKNOWN_SIDE for side in sides[1:])]
    return np.random.default_rng(0).random(shape, np.float32)


def ports(signatures: Mapping[str, Any]) -> dict[str, dict[str, dict[str, str]]]:
    """Return the graph's names of each signature's inputs and outputs."""
    return {
        name: {
            "inputs": {key: info.name for key, info in signature.inputs.items()},
            "outputs": {key: info.name for key, info in signature.outputs.items()},
        }
        for name, signature in signatures.items()
    }
