"""Whether two answers to one request are the same, as far as arithmetic in another order allows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from niwt_tf.serving.checks.messages import Message

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
