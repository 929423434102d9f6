"""Published features in miniature: res101.mat and att_splits.mat in the official form, of MATLAB 5 or 7.3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

IMAGES, TESTED, WIDTH, ENTRIES = 12, 3, 24, 9


def feature_files(classes: int = 12, unseen: int = 3, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the variables of both files: features follow attributes, rows and classes have orders of their own."""
    random = np.random.default_rng(seed)
    att = random.uniform(0, 1, (classes, ENTRIES))
    att /= np.linalg.norm(att, axis=1, keepdims=True)
    directions = random.normal(size=(ENTRIES, WIDTH))
    labels = random.permutation(np.repeat(np.arange(classes), IMAGES))
    features = np.maximum((att - att.mean(axis=0)) @ directions, 0)[labels] * 3 + random.uniform(0, 0.3, (len(labels), WIDTH))
    names = [f"{number + 1:03d}.Bird_{number}" for number in range(classes)]
    files = [f"/BS/work/images/{names[label]}/Bird_{row:04d}.jpg" for row, label in enumerate(labels)]
    locations: dict[str, list[int]] = {"trainval_loc": [], "test_seen_loc": [], "test_unseen_loc": []}
    of_class = dict.fromkeys(range(classes), 0)
    for row, label in enumerate(labels.tolist()):
        of_class[label] += 1
        of_seen = "test_seen_loc" if of_class[label] <= TESTED else "trainval_loc"
        locations["test_unseen_loc" if label >= classes - unseen else of_seen].append(row + 1)
    res101 = {"features": features.T, "image_files": files, "labels": (labels + 1).astype(np.int16).reshape(-1, 1)}
    splits = {"att": att.T, "original_att": att.T * 100, "allclasses_names": names}
    return res101, {**splits, **{name: np.array(rows, np.uint16).reshape(-1, 1) for name, rows in locations.items()}}


def first_version(splits: dict[str, Any]) -> dict[str, Any]:
    """Return the splits as in 2017: train_loc and val_loc take in the test images of seen classes."""
    both = np.concatenate([splits["trainval_loc"], splits["test_seen_loc"]])
    return {**splits, "train_loc": both[::2], "val_loc": both[1::2]}


def write_mat5(path: Path, variables: dict[str, Any]) -> None:
    """Write variables as MATLAB's save does by default; a list of texts is a column of cells."""
    savemat(path, {name: _cells(value) if isinstance(value, list) else value for name, value in variables.items()})


def _cells(texts: list[str]) -> np.ndarray:
    cells = np.empty((len(texts), 1), object)
    cells[:, 0] = texts
    return cells


def write_mat73(path: Path, variables: dict[str, Any]) -> None:
    """Write variables as MATLAB's save -v7.3 does: axes the other way round, texts as references to columns of numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:
        held = file.create_group("#refs#")
        for name, value in variables.items():
            if not isinstance(value, list):
                file[name] = np.asarray(value).T
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
                continue
            references = []
            for number, text in enumerate(value):
                held[f"{name}{number}"] = np.frombuffer(text.encode("utf-16-le"), np.uint16).reshape(-1, 1)
                held[f"{name}{number}"].attrs["MATLAB_class"] = np.bytes_("char")
                references.append(held[f"{name}{number}"].ref)
            file.create_dataset(name, data=np.array([references], h5py.ref_dtype), dtype=h5py.ref_dtype)
            file[name].attrs["MATLAB_class"] = np.bytes_("cell")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(512, b" "))


def write_features(folder: Path, form: float = 5, version: int = 2, **options: int) -> Path:
    """Write both files into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    res101, splits = feature_files(**options)
    write = write_mat5 if form == 5 else write_mat73
    write(folder / "res101.mat", res101)
    write(folder / "att_splits.mat", first_version(splits) if version == 1 else splits)
    return folder
