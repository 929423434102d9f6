"""Tensors as the JSON of TensorFlow Serving's REST API, in row format: one object a row of the batch."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# A string output of such a name is answered as base64, any other as text; a string input may be either.
BYTES = "_bytes"
_BASE64 = "b64"


def to_rows(tensors: Mapping[str, np.ndarray], as_bytes: bool = False) -> list[dict[str, Any]]:
    """Return arrays with the same number of rows as one object a row, name -> nested lists; strings are arrays of bytes.

    With `as_bytes` every string is written as base64, whatever its name, so that any bytes survive.
    """
    columns = {name: _plain(value, as_bytes or name.endswith(BYTES)) for name, value in tensors.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: np.ndarray, as_bytes: bool) -> list[Any]:
    if value.dtype.kind not in "OSU":
        return value.tolist()

    def written(item: Any) -> Any:
        if isinstance(item, list):
            return [written(inner) for inner in item]
        content = item.encode() if isinstance(item, str) else item
        if as_bytes:
            return {_BASE64: base64.b64encode(content).decode("ascii")}
        return content.decode("utf-8", "replace")

    return [written(row) for row in value.tolist()]


def from_rows(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return the arrays that rows of the same names make: float32 or int64, and strings as bytes in arrays of objects.

    Raises:
        ValueError: they are no list of objects, differ in names or shapes, or something is neither a number nor a string.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):  # JSON may be anything
        raise ValueError("rows must be a list of objects")
    names = list(rows[0]) if rows else []
    if any(set(row) != set(names) for row in rows):
        raise ValueError("every row must have the same names")
    return {name: from_lists([row[name] for row in rows], name) for name in names}


def from_lists(rows: Sequence[Any], name: str) -> np.ndarray:
    """Return the array of nested lists, see `from_rows`."""
    shape = _shape(rows)
    values: list[Any] = []
    _collect(rows, shape, values, name)
    if values and all(isinstance(value, bytes) for value in values):
        array = np.empty(len(values), object)
        array[:] = values
        return array.reshape(shape)
    if any(isinstance(value, bytes) for value in values):
        raise ValueError(f"{name} mixes strings and numbers")
    whole = bool(values) and all(isinstance(value, int) for value in values)
    try:
        return np.array(values, np.int64 if whole else np.float32).reshape(shape)
    except OverflowError:
        raise ValueError(f"{name} has a number that is too large") from None


def _shape(value: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(value, Sequence) and not isinstance(value, str | bytes):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _collect(value: Any, shape: tuple[int, ...], into: list[Any], name: str) -> None:
    if shape:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != shape[0]:
            raise ValueError(f"{name} has rows of different shapes")
        for item in value:
            _collect(item, shape[1:], into, name)
    elif isinstance(value, str):
        into.append(value.encode("utf-8", "replace"))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        into.append(value)
    elif isinstance(value, Mapping) and set(value) == {_BASE64} and isinstance(value[_BASE64], str):
        try:
            into.append(base64.b64decode(value[_BASE64], validate=True))
        except binascii.Error:
            raise ValueError(f"{name} has a string that is not base64") from None
    else:
        raise ValueError(f"{name} must be numbers, strings or base64")
