"""Tensors in a file that Python, C++ and a process without TensorFlow read alike: what is asked of a signature, or its answer.

Little-endian; a text is its length as int64 and its bytes. A message is: text (signature), int64 (status code), text (error),
int64 (number of tensors), and for each: text (name), int64 (1 float32, 7 string, as TensorFlow numbers them), int64 (rank), its
sides as int64, then its floats or its texts. Messages follow one another to the end of the file, so that whoever dies leaves
what it had answered.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FLOAT, STRING = 1, 7


@dataclass(frozen=True)
class Message:
    """What is asked of one signature, or what it answers: tensors by name, each float32, or bytes in an array of objects.

    An answer has TensorFlow's status code, 0 for success, and else what went wrong.
    """

    signature: str
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    code: int = 0
    error: str = ""


def append_message(path: str | os.PathLike[str], message: Message) -> None:
    """Write a message at the end of a file, which is made if it is not there.

    Raises:
        TypeError: a tensor is neither float32 nor bytes.
    """
    parts = [_text(message.signature), struct.pack("<q", message.code), _text(message.error)]
    parts.append(struct.pack("<q", len(message.tensors)))
    for name, tensor in message.tensors.items():
        if tensor.dtype == np.float32:
            kind, content = FLOAT, np.ascontiguousarray(tensor, "<f4").tobytes()
        elif tensor.dtype == object:
            kind, content = STRING, b"".join(_text(value) for value in tensor.ravel())
        else:
            raise TypeError(f"{name} is {tensor.dtype}, neither float32 nor string.")
        parts += [_text(name), struct.pack(f"<{2 + tensor.ndim}q", kind, tensor.ndim, *tensor.shape), content]
    with open(path, "ab") as file:
        file.write(b"".join(parts))


def read_messages(path: str | os.PathLike[str]) -> list[Message]:
    """Return the messages of a file; a last one that was cut off is left out."""
    content, place, messages = Path(path).read_bytes(), 0, []
    while place < len(content):
        try:
            message, place = _message(content, place)
        except (struct.error, ValueError):
            break
        messages.append(message)
    return messages


def _message(content: bytes, place: int) -> tuple[Message, int]:
    def integers(count: int) -> tuple[int, ...]:
        nonlocal place
        values = struct.unpack_from(f"<{count}q", content, place)
        place += 8 * count
        return values

    def take(length: int) -> bytes:
        nonlocal place
        if place + length > len(content):
            raise ValueError("cut off")
        place += length
        return content[place - length : place]

    def text() -> bytes:
        return take(integers(1)[0])

    signature, (code,), error, (count,) = text(), integers(1), text(), integers(1)
    tensors = {}
    for _ in range(count):
        name = text().decode()
        kind, rank = integers(2)
        shape = integers(rank)
        size = int(np.prod(shape, dtype=np.int64))
        if kind == FLOAT:
            tensors[name] = np.frombuffer(take(4 * size), "<f4").reshape(shape)
        else:
            values = np.empty(size, object)
            for index in range(size):
                values[index] = text()
            tensors[name] = values.reshape(shape)
    return Message(signature.decode(), tensors, code, error.decode(errors="replace")), place


def _text(value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return struct.pack("<q", len(content)) + content


TOLERANCE = 1e-4
_PNG_HEADER = 24  # bytes, up to the image's sides


def fault(answer: Message, batch: int) -> str | None:
    """Return what is wrong with an answer by itself, or None: an error, a number that is not finite, or another batch."""
    if answer.code:
        return f"status {answer.code}: {answer.error}"
    for name, tensor in answer.tensors.items():
        if tensor.ndim == 0 or len(tensor) != batch:
            return f"{name} must have {batch} rows; its shape is {list(tensor.shape)}"
        if tensor.dtype != object and not np.isfinite(tensor).all():
            return f"{name} must be finite"
    return None


def difference(expected: Message, received: Message) -> str | None:
    """Return how `received` differs from `expected`, or None.

    Numbers must agree to 1e-4 of the largest, or to 1e-4 where that is below 1. Strings must be equal, but where the numbers
    beside them, such as the scores of labels, tie or vanish: those may come in another order. Of images, named *_bytes,
    the sides must agree.
    """
    if received.code or received.tensors.keys() != expected.tensors.keys():
        return f"status {received.code}: {received.error}" if received.code else "other outputs"
    for name in sorted(expected.tensors):
        wanted, found = expected.tensors[name], received.tensors[name]
        if wanted.shape != found.shape:
            return f"{name} is {list(found.shape)}, not {list(wanted.shape)}"
        if wanted.dtype != object:
            apart = float(np.abs(found - wanted).max(initial=0))
            if not apart <= _margin(wanted):  # NaN too
                return f"{name} is {apart:g} apart"
        elif name.endswith("_bytes"):
            if any(a[:_PNG_HEADER] != b[:_PNG_HEADER] for a, b in zip(wanted.ravel(), found.ravel(), strict=True)):
                return f"{name} are other images"
        elif ((wanted != found) & ~_ties(wanted.shape, expected.tensors)).any():
            place = tuple(np.argwhere((wanted != found) & ~_ties(wanted.shape, expected.tensors))[0])
            return f"{name} is {found[place]!r}, not {wanted[place]!r}"
    return None


def _margin(values: np.ndarray) -> float:
    return TOLERANCE * max(1.0, float(np.abs(values).max(initial=0)))


def _ties(shape: tuple[int, ...], tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return bool `shape`: where a float tensor of that shape is near another number of its row, or near zero."""
    ties = np.zeros(shape, bool)
    for values in tensors.values():
        if values.dtype == object or values.shape != shape or len(shape) < 2:
            continue
        near = np.abs(values[..., :, None] - values[..., None, :]) <= _margin(values)
        ties |= (near.sum(axis=-1) > 1) | (np.abs(values) <= _margin(values))
    return ties
