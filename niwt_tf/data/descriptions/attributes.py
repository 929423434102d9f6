"""Attributes as yes or no."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from niwt_tf.data.class_names import plain_name
from niwt_tf.data.feature_rows import holds_features
from niwt_tf.data.readers.awa2 import read_awa2_classes
from niwt_tf.data.readers.tables import read_mat, texts_of
from niwt_tf.data.readers.xlsa17 import FOLDERS
from niwt_tf.data.schema import Dataset, Knowledge, dimension_names
from niwt_tf.errors import InputError, brief, listed, require

# CUB's strengths are the share of people, in percent, who saw the attribute in an image of the class.
_HALF_OF_PEOPLE = 50.0


def binary_attributes(dataset: Dataset, seen: np.ndarray) -> Knowledge:
    """Return the attributes of a data set, as they were read, as 0 and 1. `seen` are the indices of the seen classes.

    - AwA2 publishes them: predicate-matrix-binary.txt.
    - CUB publishes percentages: at least 50 is 1. Rendered birds have the same form.
    - In a user's own table, more than the middle between the least and the greatest value of the seen classes is 1.

    Raises:
        InputError: AwA2's file is absent or not in order.
    """
    known = dataset.knowledge
    if dataset.name == "awa2":
        names, published = read_awa2_classes(dataset.root.parent, binary=True)
        row_of = {name: row for row, name in enumerate(names)}
        values = published.values[[row_of[name] for name in dataset.class_names]]
    elif dataset.name in ("cub", "birds"):
        values = known.values >= _HALF_OF_PEOPLE
    else:
        of_seen = known.values[seen].astype(np.float64)
        values = known.values > (of_seen.min(axis=0) + of_seen.max(axis=0)) / 2
    return replace(known, values=values.astype(np.float32), source="binary")


_FILE = "sent_splits.mat"
_LOG = logging.getLogger("niwt_tf")


# Reads the published embeddings of captions, one a class: `sent_splits.mat` of Xian et al. 2018 (1024 numbers for CUB).
#
# The network that made them (Reed et al. 2016) was trained on captions and images of the Proposed Split's seen classes.


def class_sentences(dataset: Dataset, split_dir: str | Path | None = None) -> Knowledge:
    """Return the embeddings of a data set's classes, which are found by name: the file has its own order.

    `split_dir` is the folder xlsa17, its folder data or the one of the data set in it; by default xlsa17 is looked for in,
    beside and above the archive's folder.

    Raises:
        InputError: another data set, no such file, or one that is not in order or lacks a class.
    """
    of_features = holds_features(dataset.root)
    if dataset.name not in FOLDERS and not of_features:
        raise InputError(f"knowledge=sentences is published only for cub. Received: dataset {dataset.name!r}.")
    path = dataset.root.parent / _FILE if of_features else _find(dataset, split_dir)
    require(path.is_file(), f"knowledge=sentences needs {path}. Received: no such file.")
    if dataset.split is not None and not dataset.split.name.startswith("ps"):
        rule = "%s was learnt from classes that split=ps calls seen"
        _LOG.warning(f"{rule}; with other splits some of them are unseen, and figures are too good.", path)
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
    require(not absent, f"{path} must have a column for every class. Received: none for {listed(absent)}.")
    rows = values.T[[row_of[plain_name(name)] for name in dataset.class_names]].astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise InputError(f"{path}: att must hold finite numbers. Received: other values for {dataset.class_names[wrong[0]]!r}.")
    return Knowledge(rows, dimension_names(rows.shape[1]), ("",) * rows.shape[1], "sentences")


def _find(dataset: Dataset, split_dir: str | Path | None) -> Path:
    official, name = dataset.root.absolute().parent, FOLDERS[dataset.name]
    bases = [base / "xlsa17" for base in (official, official.parent, official.parent.parent)]
    if split_dir is not None:
        bases = [Path(os.path.expanduser(split_dir))]
    for base in bases:
        for inner in (base / "data" / name, base / name, base):
            if (inner / _FILE).is_file():
                return inner / _FILE
    wanted = (bases[0] if split_dir is not None else bases[1]) / "data" / name / _FILE
    raise InputError(f"knowledge=sentences needs {wanted}. Received: no such file.")
