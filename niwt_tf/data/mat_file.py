"""Reads MATLAB files of published archives, and says plainly what is not as it should be."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.errors import InputError, suggestion

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER = 512  # version 7.3 writes so many bytes of text before HDF5 begins


def read_mat(path: Path, keys: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return the variables `keys` of a MATLAB file, and those of `optional` that it has.

    Raises:
        InputError: the file cannot be read, is of version 7.3 or no MATLAB file, or lacks one of `keys`.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        with open(path, "rb") as file:
            begin = file.read(_HEADER + len(_HDF5))
    except OSError as error:
        raise InputError(f"{path} must be a readable MATLAB file. Received: {error.strerror or error}.") from None
    rule = f"{path} must be a MATLAB file of version 7 or before"
    if begin.startswith((_HDF5, b"MATLAB 7.3")) or begin[_HEADER:] == _HDF5:
        raise InputError(f"{rule}: load it in MATLAB and save it with '-v7'. Received: version 7.3 (HDF5).")
    try:
        content = loadmat(path, variable_names=[*keys, *optional])
    except (OSError, EOFError, ValueError, TypeError, LookupError, MemoryError, zlib.error, MatReadError) as error:
        raise InputError(f"{rule}. Received: {str(error).rstrip('.')}.") from None
    missing = next((key for key in keys if key not in content), None)
    if missing is not None:
        held = _names_in(path)
        listed = f"{', '.join(held[:8])}{' and others' if len(held) > 8 else ''}" if held else "no variable"
        raise InputError(
            f"{path} must hold {', '.join(keys)}. Received: {listed}, but no {missing}.{suggestion(missing, held)}"
        )
    return content


def texts_of(path: Path, key: str, value: Any) -> list[str]:
    """Return a cell array of texts as a list.

    Raises:
        InputError: it is something else, or a text is empty; the row is named.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "OU" or max(value.shape, default=0) != value.size:
        raise InputError(f"{path}: {key} must be one column of texts. Received: {_kind(value)}.")
    texts = [_text(cell) for cell in value.ravel()]
    for row, text in enumerate(texts, start=1):
        if not text:
            raise InputError(f"{path}: {key} must be one column of texts. Received: none in row {row}.")
    return [text or "" for text in texts]


def whole_numbers_of(path: Path, key: str, value: Any) -> np.ndarray:
    """Return a column or row of whole numbers of any type as int64.

    Raises:
        InputError: it has another shape or type, or holds other numbers.
    """
    rule = f"{path}: {key} must be one column of whole numbers."
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or max(value.shape, default=0) != value.size:
        raise InputError(f"{rule} Received: {_kind(value)}.")
    flat = value.ravel()
    with np.errstate(invalid="ignore"):
        numbers = flat.astype(np.int64)
    wrong = np.flatnonzero(numbers != flat)
    if len(wrong):
        raise InputError(f"{rule} Received: {flat[wrong[0]]:g} in row {wrong[0] + 1}.")
    return numbers


def _names_in(path: Path) -> list[str]:
    from scipy.io import whosmat

    return [name for name, _, _ in whosmat(path)]


def _text(cell: Any) -> str | None:
    # loadmat wraps a string in as many arrays as the cell was nested.
    while isinstance(cell, np.ndarray):
        cell = cell.ravel()[0] if cell.size else ""
    return cell.strip() if isinstance(cell, str) else None


def _kind(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    shape = " x ".join(map(str, value.shape))
    return f"{shape} of {'cells' if value.dtype.kind == 'O' else 'text' if value.dtype.kind == 'U' else value.dtype}"
