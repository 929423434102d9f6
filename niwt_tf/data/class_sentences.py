"""Reads the published embeddings of captions, one a class: `sent_splits.mat` of Xian et al. 2018 (1024 numbers for CUB).

The network that made them (Reed et al. 2016) was trained on captions and images of the Proposed Split's seen classes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from niwt_tf.data.class_documents import listed
from niwt_tf.data.mat_file import read_mat, texts_of
from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.data.table import plain_name
from niwt_tf.data.text_encoder import dimension_names
from niwt_tf.data.xlsa17 import FOLDERS
from niwt_tf.errors import InputError, brief

_FILE = "sent_splits.mat"
_LOG = logging.getLogger("niwt_tf")


def class_sentences(dataset: Dataset, split_dir: str | Path | None = None) -> Knowledge:
    """Return the embeddings of a data set's classes.

    The file has its own order of classes: they are found by name.

    Args:
        dataset: cub or awa2.
        split_dir: the folder xlsa17, its folder data or the one of the data set in it; by default xlsa17 is looked for in,
            beside and above the archive's folder.

    Raises:
        InputError: another data set, no such file, or one that is not in order or lacks a class.
    """
    if dataset.name not in FOLDERS:
        raise InputError(f"knowledge=sentences is published for cub alone. Received: dataset {dataset.name!r}.")
    path = _find(dataset, split_dir)
    if dataset.split is not None and dataset.split.name != "ps":
        _LOG.warning(
            "%s was learnt from classes that split=ps calls seen; with other splits some of them are unseen, "
            "and figures are too good.",
            path,
        )
    content = read_mat(path, ["att", "allclasses_names"])
    names = [plain_name(name) for name in texts_of(path, "allclasses_names", content["allclasses_names"])]
    values = content["att"]
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "iuf":
        raise InputError(f"{path}: att must be a matrix of numbers. Received: {brief(values)}.")
    if values.shape[1] != len(names) or not len(values):
        shape = " x ".join(map(str, values.shape))
        raise InputError(f"{path}: att must have a column for each of {len(names)} classes. Received: {shape}.")
    row_of = {name: row for row, name in enumerate(names)}
    if len(row_of) < len(names):
        twice = next(name for row, name in enumerate(names) if row_of[name] != row)
        raise InputError(f"{path}: allclasses_names must name each class once. Received: {twice!r} twice.")
    absent = [name for name in dataset.class_names if plain_name(name) not in row_of]
    if absent:
        raise InputError(f"{path} must have a column for every class. Received: none for {listed(absent)}.")
    rows = values.T[[row_of[plain_name(name)] for name in dataset.class_names]].astype(np.float32)
    _check_finite(path, rows, dataset.class_names)
    return Knowledge(rows, dimension_names(rows.shape[1]), ("",) * rows.shape[1], "sentences")


def _check_finite(path: Path, rows: np.ndarray, class_names: Sequence[str]) -> None:
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise InputError(f"{path}: att must hold finite numbers. Received: others for {class_names[wrong[0]]!r}.")


def _find(dataset: Dataset, split_dir: str | Path | None) -> Path:
    official, name = dataset.root.absolute().parent, FOLDERS[dataset.name]
    bases = [base / "xlsa17" for base in (official, official.parent, official.parent.parent)]
    if split_dir is not None:
        bases = [Path(split_dir).expanduser()]
    for base in bases:
        for inner in (base / "data" / name, base / name, base):
            if (inner / _FILE).is_file():
                return inner / _FILE
    wanted = (bases[0] if split_dir is not None else bases[1]) / "data" / name / _FILE
    raise InputError(f"knowledge=sentences needs {wanted}. Received: no such file.")
