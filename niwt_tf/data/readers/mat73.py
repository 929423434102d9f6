"""Variables of MATLAB files of version 7.3, which are HDF5, in the form in which SciPy gives those of earlier versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.arrays import check_hdf5


def read_mat73(path: Path, keys: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return those variables among `keys` that the file has, and the names of all.

    Numbers and texts have MATLAB's order of axes. A cell array holds texts; a cell that is none is empty.

    Raises:
        InputError: the file links to another or declares more than it holds.
        OSError, KeyError, ValueError, TypeError, RuntimeError: it is no such file.
    """
    import h5py

    check_hdf5(path)
    with h5py.File(path, "r") as file:
        names = [name for name in file if not name.startswith("#")]
        found = {key: _value(file, file[key]) for key in keys if key in names and isinstance(file[key], h5py.Dataset)}
    return found, names


def _value(file: Any, held: Any) -> np.ndarray:
    if held.attrs.get("MATLAB_empty", 0):
        return np.zeros([int(size) for size in held[()]], np.float64)
    if held.dtype.kind == "O":
        cells = held[()]
        texts, known = np.empty(cells.shape, object), dict[str, str]()
        for place, reference in np.ndenumerate(cells):
            cell = file[reference]
            if cell.name not in known:  # a million cells may name the same text
                known[cell.name] = _text(cell)
            texts[place] = known[cell.name]
        return texts.T
    if held.attrs.get("MATLAB_class", b"") == b"char":
        return np.array([_text(held)], np.str_)
    return np.asarray(held[()]).T


def _text(held: Any) -> str:
    if getattr(held, "dtype", None) != np.uint16 or held.attrs.get("MATLAB_empty", 0):
        return ""
    return held[()].ravel().astype("<u2").tobytes().decode("utf-16-le", "replace")
