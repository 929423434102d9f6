"""Reads the published zero-shot splits of Xian et al. 2018 as image names and roles, never as positions in images.txt."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from niwt_tf.data.readers.tables import composed, read_mat, read_names, read_rows, texts_of, whole_numbers_of
from niwt_tf.data.schema import Dataset, Split
from niwt_tf.errors import InputError, check_choice, require, suggestion

FOLDERS = {"cub": "CUB", "awa2": "AWA2"}
_SPLITS, _FEATURES = "att_splits.mat", "res101.mat"
_LOCATIONS = {"trainval_loc": "train", "test_seen_loc": "test_seen", "test_unseen_loc": "test_unseen"}
# The ten test classes of Lampert et al. 2009, which the Standard Split keeps.
_AWA2_STANDARD = (
    *("chimpanzee", "giant+panda", "leopard", "persian+cat", "pig"),
    *("hippopotamus", "humpback+whale", "raccoon", "rat", "seal"),
)


def read_proposed_split(folder: Path, dataset_name: str) -> list[tuple[str, str, str]]:
    """Return (image, role, where it stands) of the Proposed Split; images as "class/file".

    `att_splits.mat` counts rows of `res101.mat`'s `image_files`, so the two are used together; without `res101.mat`, the list
    `<NAME>_PS.csv` is. `folder` is xlsa17, its folder data, or its folder data/<NAME>; or one that holds <NAME>_PS.csv.

    Raises:
        InputError: neither is there, or a file is not in order.
    """
    name = FOLDERS[check_choice("The data set of split=ps", dataset_name, FOLDERS)]
    files = split_files(folder, dataset_name)
    if len(files) == 2:
        return _roles_from_mat(*files)
    if files:
        return read_role_list(files[0])
    missing = ", ".join(missing_split_files(folder, dataset_name))
    raise InputError(
        f"split=ps needs {_SPLITS} and {_FEATURES} in {folder / 'data' / name} (the first has row numbers of the second) "
        f"or {folder / 'lists' / (name + '_PS.csv')}. Received: no {missing}."
    )


def read_standard_split(bases: list[Path], dataset_name: str) -> tuple[str, ...]:
    """Return the unseen classes of the Standard Split, from `standard_split/<NAME>/testclasses.txt` in one of `bases`.

    The class lists in xlsa17/data are those of the Proposed Split and are not used.

    Raises:
        InputError: the list is absent; for AWA2 its ten classes are known here.
    """
    name = FOLDERS[check_choice("The data set of split=ss", dataset_name, FOLDERS)]
    for base in bases:
        for inner in (base / "standard_split" / name, base / name, base):
            if "standard_split" in inner.parts and (inner / "testclasses.txt").is_file():
                return tuple(read_names(inner / "testclasses.txt"))
    if name == "AWA2":
        return _AWA2_STANDARD
    wanted = bases[0] / "standard_split" / name / "testclasses.txt"
    raise InputError(f"split=ss needs the Standard Split's class list {wanted}. Received: no such file.")


def split_files(folder: Path, dataset_name: str) -> tuple[Path, ...]:
    """Return what holds the Proposed Split: (att_splits.mat, res101.mat), a list alone, or nothing."""
    name = FOLDERS[check_choice("The data set of split=ps", dataset_name, FOLDERS)]
    for inner in _mat_folders(folder, name):
        if (inner / _SPLITS).is_file() and (inner / _FEATURES).is_file():
            return inner / _SPLITS, inner / _FEATURES
    for inner in (folder / "lists", folder, folder.parent / "lists", folder.parent.parent / "lists"):
        if (inner / f"{name}_PS.csv").is_file():
            return (inner / f"{name}_PS.csv",)
    return ()


def missing_split_files(folder: Path, dataset_name: str) -> list[str]:
    """Return the files of the Proposed Split that are not in `folder`; none where the list by name is there."""
    if split_files(folder, dataset_name):
        return []
    name = FOLDERS[dataset_name]
    files = _SPLITS, _FEATURES
    holding = (inner for inner in _mat_folders(folder, name) if any((inner / file).is_file() for file in files))
    inner = next(holding, folder / "data" / name)
    return [str(inner / file) for file in files if not (inner / file).is_file()]


def _mat_folders(folder: Path, name: str) -> tuple[Path, ...]:
    return folder / "data" / name, folder / name, folder


def _roles_from_mat(splits_path: Path, features_path: Path) -> list[tuple[str, str, str]]:
    features = read_mat(features_path, ["image_files"], ["labels"])
    files = texts_of(features_path, "image_files", features["image_files"])
    names = ["/".join(file.replace("\\", "/").split("/")[-2:]) for file in files]
    if "labels" in features:
        _check_labels(features_path, whole_numbers_of(features_path, "labels", features["labels"]), names)
    splits = read_mat(splits_path, list(_LOCATIONS))
    found = []
    for key, role in _LOCATIONS.items():
        rows = whole_numbers_of(splits_path, key, splits[key]) - 1
        if len(rows) and (rows.min() < 0 or rows.max() >= len(names)):
            received = f"{rows.min() + 1} to {rows.max() + 1}"
            raise InputError(
                f"{splits_path}: {key} must hold row numbers of {features_path.name}, which has {len(names)} rows. Received: "
                f"{received}."
            )
        found += [(names[row], role, f"{splits_path}, {key}") for row in rows]
    return found


def _check_labels(path: Path, labels: np.ndarray, names: list[str]) -> None:
    """Refuse labels that do not stand for folders one for one."""
    if len(labels) != len(names):
        raise InputError(f"{path}: labels must have a row for each of {len(names)} image_files. Received: {len(labels)}.")
    folders = [name.rpartition("/")[0] for name in names]
    of_label: dict[int, Counter[str]] = {}
    for label, folder in zip(labels.tolist(), folders, strict=True):
        of_label.setdefault(label, Counter())[folder] += 1
    folder_of = {label: counted.most_common(1)[0][0] for label, counted in of_label.items()}
    label_of: dict[str, int] = {}
    for row, (label, folder) in enumerate(zip(labels.tolist(), folders, strict=True), start=1):
        if folder_of[label] == folder and label_of.setdefault(folder, label) == label:
            continue
        other = f"{label_of[folder]} elsewhere" if folder_of[label] == folder else f"that of {folder_of[label]!r}"
        raise InputError(
            f"{path}, row {row}: the label must go with the folder in image_files. "
            f"Received: {label}, {other}, for {names[row - 1]!r}."
        )


ROLES = {"train": "train", "trainval": "train", "test_seen": "test_seen", "test_unseen": "test_unseen"}
_LOG = logging.getLogger("niwt_tf")


def read_role_list(path: Path) -> list[tuple[str, str, str]]:
    """Read a CSV of `image,role` and return (image, role, where it stands); the roles trainval and train are one.

    Raises:
        InputError: the header or a role is wrong, or an image is empty; the line is named.
    """
    rows = read_rows(path)
    require(rows[0][1] == ["image", "role"], f"{path}, line 1 must be 'image,role'. Received: {','.join(rows[0][1])[:80]!r}.")
    found = []
    for line, (image, role) in rows[1:]:
        found.append((image, ROLES[check_choice(f"{path}, line {line}: the role", role, ROLES)], f"{path}, line {line}"))
    return found


def classes_with_images(dataset: Dataset) -> np.ndarray:
    """Return the indices of the classes that have at least one image, int64, ascending."""
    return np.unique(dataset.labels).astype(np.int64)


def split_by_roles(
    dataset: Dataset, name: str, rows: Iterable[tuple[str, str, str]], source: Path, missing_images: str = "error"
) -> Dataset:
    """Return the data set with the split that (image, role, where it stands) rows make; other images are not used.

    Classes without images are unseen. With missing_images="drop", rows of images that are not there are passed over.

    Raises:
        InputError: a row names an image that the data set lacks, or one twice; a class is both seen and unseen; a seen class
            has no training image; fewer than 2 seen classes or no unseen one remain.
    """
    check_choice("missing_images", missing_images, ("error", "drop"))
    index_of = {composed(path): index for index, path in enumerate(dataset.paths)}
    images: dict[str, list[int]] = {"train": [], "test_seen": [], "test_unseen": []}
    used: dict[int, str] = {}
    rows = list(rows)
    for image, role, where in rows:
        index = index_of.get(image)
        if index is None:
            if missing_images == "drop":
                continue
            near = suggestion(image, [path for path in dataset.paths if path.rpartition("/")[0] == image.rpartition("/")[0]])
            absent = sum(other not in index_of for other, _, _ in rows)
            which = "which does not exist" if absent == 1 else f"which does not exist, like {absent - 1} more of {len(rows)}"
            raise InputError(f"{where} must name an image of the data set. Received: {image!r}, {which}.{near}")
        require(index not in used, f"{where} must name each image once. Received: {image!r} again.")
        used[index] = role
        images[role].append(index)
    require(used, f"{source} must name images of the data set {dataset.name!r}. Received: none that exists.")
    indices = {role: np.sort(np.array(found, np.int64)) for role, found in images.items()}
    seen = np.unique(dataset.labels[np.concatenate([indices["train"], indices["test_seen"]])]).astype(np.int64)
    without_images = np.setdiff1d(np.arange(len(dataset.class_names)), classes_with_images(dataset))
    unseen = np.union1d(np.unique(dataset.labels[indices["test_unseen"]]), without_images).astype(np.int64)
    untrained = np.setdiff1d(seen, dataset.labels[indices["train"]])
    _refuse_classes(dataset, np.intersect1d(seen, unseen), f"{source} must make a class either seen or unseen. Received: both")
    _refuse_classes(dataset, untrained, f"{source} must give every seen class a training image. Received: none")
    split = Split(name, seen, unseen, indices["train"], indices["test_seen"], indices["test_unseen"])
    left_out = len(dataset.class_names) - len(seen) - len(unseen)
    if left_out:
        _LOG.warning("%s names no image of %d classes: they are neither seen nor unseen.", source, left_out)
    return dataset.replace(split=split)


def _refuse_classes(dataset: Dataset, wrong: np.ndarray, rule: str) -> None:
    if len(wrong):
        raise InputError(f"{rule} for {dataset.class_names[wrong[0]]!r}.")
