"""Reads the features that published tables are computed on: `res101.mat` and `att_splits.mat` of Xian et al. 2018.

For CUB, AWA1, AWA2, SUN, aPY and FLO (Oxford Flowers, which later work added in the same form), or a folder of one's own in
that form. The images themselves are not there: see `niwt_tf.data.feature_rows`.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwt_tf.data.class_names import plain_name
from niwt_tf.data.feature_rows import feature_rows, row_path
from niwt_tf.data.readers.tables import existing_directory, read_mat, read_text, text_files, texts_of, whole_numbers_of
from niwt_tf.data.readers.xlsa17 import split_by_roles
from niwt_tf.data.schema import Dataset, Knowledge, dimension_names
from niwt_tf.errors import InputError, brief, listed, require

NAME = "xlsa17"
FEATURES, SPLITS = "res101.mat", "att_splits.mat"
TEXTS = "descriptions"
ROLES = {"trainval_loc": "train", "test_seen_loc": "test_seen", "test_unseen_loc": "test_unseen"}
# Only the first version has them.
_OF_VERSION_1 = ("train_loc", "val_loc")
_LOG = logging.getLogger("niwt_tf")


@dataclass(frozen=True)
class Counts:
    """What a published data set has: images, classes, numbers that describe a class, and images of each role."""

    title: str
    images: int
    classes: int
    entries: int
    trainval: int
    test_seen: int
    test_unseen: int


# Xian et al. 2018, Table 1; FLO as it is distributed, 1,024 numbers of captions describe a class.
PUBLISHED = {
    "CUB": Counts("CUB", 11788, 200, 312, 7057, 1764, 2967),
    "AWA1": Counts("AWA1", 30475, 50, 85, 19832, 4958, 5685),
    "AWA2": Counts("AWA2", 37322, 50, 85, 23527, 5882, 7913),
    "SUN": Counts("SUN", 14340, 717, 102, 10320, 2580, 1440),
    "APY": Counts("aPY", 15339, 32, 64, 5932, 1483, 7924),
    "FLO": Counts("FLO", 8189, 102, 1024, 5631, 1403, 1155),
}


def feature_folder(data_dir: str | Path) -> Path:
    """Return the folder of the two files: `data_dir`, or the only one below it that has one of them.

    Raises:
        InputError: there is none, or there are several to choose from.
    """
    folder = existing_directory("data_dir", data_dir)
    found = [folder] if _has_either(folder) else []
    for pattern in ("*", "data/*"):
        found = found or sorted(inner for inner in folder.glob(pattern) if inner.is_dir() and _has_either(inner))
    rule = f"data_dir must be a folder that holds {FEATURES} and {SPLITS}"
    if len(found) > 1:
        names = ", ".join(inner.name for inner in found)
        raise InputError(f"{rule}, such as {found[0]}. Received: {str(data_dir)!r}, which holds those of {names}.")
    require(found, f"{rule}, such as xlsa17/data/CUB. Received: {str(data_dir)!r} without them.")
    return found[0]


def _has_either(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (FEATURES, SPLITS))


def missing_files(data_dir: str | Path) -> list[str]:
    """Return which of the two files are not there, by their paths."""
    try:
        folder = feature_folder(data_dir)
    except InputError:
        folder = Path(os.path.expanduser(data_dir))
    return [str(folder / name) for name in (FEATURES, SPLITS) if not (folder / name).is_file()]


def read_xlsa17(data_dir: str | Path, missing_images: str = "error") -> Dataset:
    """Read one data set of features. Its split is chosen later, see `proposed_split`.

    `att` describes the classes as it stands there, each of length 1, which is what the field's methods are given. Where the
    folder has `descriptions/<class>.txt`, these are the classes' texts.

    Raises:
        InputError: a file is absent or not in order, in one sentence that names it and the variable.
    """
    del missing_images  # none is there
    folder = feature_folder(data_dir)
    absent = missing_files(folder)
    require(not absent, f"data_dir must hold {FEATURES} and {SPLITS}. Received: {str(data_dir)!r} without {', '.join(absent)}.")
    features, splits = folder / FEATURES, folder / SPLITS
    rows = feature_rows(features)
    content = read_mat(features, ["labels"], ["image_files"])
    labels = whole_numbers_of(features, "labels", content["labels"])
    if len(labels) != len(rows):
        rule = f"{features}: labels must have a row for each of {len(rows)} columns of features"
        raise InputError(f"{rule}. Received: {len(labels)}.")
    described = read_mat(splits, ["att"], ["allclasses_names"])
    values = _descriptions(splits, described["att"])
    if "allclasses_names" in described:
        names = texts_of(splits, "allclasses_names", described["allclasses_names"])
    else:
        names = [f"class {number:03d}" for number in range(1, len(values) + 1)]
    if len(names) != len(values):
        rule = f"{splits}: att must have a column for each of {len(names)} allclasses_names"
        raise InputError(f"{rule}. Received: {len(values)}.")
    wrong = np.flatnonzero((labels < 1) | (labels > len(names)))
    if len(wrong):
        rule = f"{features}, row {wrong[0] + 1}: the label must be one of 1 to {len(names)}, the classes of {SPLITS}"
        raise InputError(f"{rule}. Received: {labels[wrong[0]]}.")
    paths = tuple(row_path(row, name) for row, name in enumerate(_image_names(features, content, len(labels))))
    entries = dimension_names(values.shape[1])
    knowledge = Knowledge(values, entries, ("",) * len(entries))
    dataset = Dataset(NAME, features, paths, (labels - 1).astype(np.int32), tuple(names), knowledge)
    return dataset.replace(class_texts=_texts(folder / TEXTS, names))


def _descriptions(path: Path, att: np.ndarray) -> np.ndarray:
    """Return att [K, C] as float32 [C, K]."""
    rule = f"{path}: att must be a matrix of finite numbers, a column for each class."
    if not isinstance(att, np.ndarray) or att.ndim != 2 or att.dtype.kind not in "iuf" or not att.size:
        raise InputError(f"{rule} Received: {brief(att)}.")
    if not np.isfinite(att).all():
        raise InputError(f"{rule} Received: NaN or infinity in column {np.flatnonzero(~np.isfinite(att).all(axis=0))[0] + 1}.")
    return np.ascontiguousarray(att.T, np.float32)


def _image_names(path: Path, content: dict[str, np.ndarray], count: int) -> list[str]:
    """Return "class/file" of each image, or "image" where the file does not say."""
    if "image_files" not in content:
        return ["image"] * count
    files = texts_of(path, "image_files", content["image_files"])
    require(len(files) == count, f"{path}: image_files must have a row for each of {count} labels. Received: {len(files)}.")
    return ["/".join(file.replace("\\", "/").split("/")[-2:]).strip("/") or "image" for file in files]


def _texts(folder: Path, names: list[str]) -> tuple[str, ...] | None:
    if not folder.is_dir():
        return None
    files = text_files(folder)
    absent = [name for name in names if plain_name(name) not in files]
    require(not absent, f"{folder} must have a file <class>.txt for every class. Received: none for {listed(absent)}.")
    return tuple(read_text(files[plain_name(name)]).strip() for name in names)


def split_version(path: Path) -> int:
    """Return which version of the Proposed Split a file `att_splits.mat` is, 1 or 2.

    The first (2017) has the variables train_loc and val_loc, whose images take in those of test_seen_loc: whatever is chosen on
    them has seen test images. The second (2019) has left them out. The images of trainval_loc, test_seen_loc and
    test_unseen_loc, which are all that is read here, are the same in both where both were at hand (AWA2).

    Raises:
        InputError: it cannot be read.
    """
    return 1 if set(read_mat(path, [], _OF_VERSION_1)) & set(_OF_VERSION_1) else 2


def proposed_split(dataset: Dataset) -> Dataset:
    """Return the data set with the Proposed Split of its `att_splits.mat`; the name of the split says which version it is.

    Raises:
        InputError: a variable is absent or not in order, or it is no split.
    """
    path = dataset.root.parent / SPLITS
    content = read_mat(path, list(ROLES))
    rows, count = [], len(dataset.paths)
    for key, role in ROLES.items():
        places = whole_numbers_of(path, key, content[key]) - 1
        if len(places) and (places.min() < 0 or places.max() >= count):
            received = f"{places.min() + 1} to {places.max() + 1}"
            raise InputError(
                f"{path}: {key} must hold row numbers of {FEATURES}, which has {count} rows. Received: {received}."
            )
        rows += [(dataset.paths[place], role, f"{path}, {key}") for place in places]
    version = split_version(path)
    if version == 1:
        held = read_mat(path, [], _OF_VERSION_1)
        tested = set(whole_numbers_of(path, "test_seen_loc", content["test_seen_loc"]).tolist())
        used = {int(row) for key in _OF_VERSION_1 if key in held for row in whole_numbers_of(path, key, held[key])}
        said = "%s is version 1: train_loc and val_loc, which are not read, hold %d of %d of test_seen_loc."
        _LOG.info(said, path, len(tested & used), len(tested))
    return split_by_roles(dataset, f"ps version {version}", rows, path)


def counted(dataset: Dataset) -> Counts:
    """Return the counts of a data set with a split, under the name of its folder."""
    split = dataset.split
    sizes = (0, 0, 0) if split is None else (len(split.train), len(split.test_seen), len(split.test_unseen))
    title = dataset.root.parent.name
    return Counts(title, len(dataset.paths), len(dataset.class_names), dataset.knowledge.values.shape[1], *sizes)
