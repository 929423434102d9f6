"""Reads the published zero-shot splits of Xian et al. 2018 as image names and roles, never as positions in images.txt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from niwt_tf.data.lists import read_names
from niwt_tf.data.mat_file import read_mat, texts_of, whole_numbers_of
from niwt_tf.data.roles import read_role_list
from niwt_tf.errors import InputError, check_choice

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
    `<NAME>_PS.csv` is.

    Args:
        folder: xlsa17, its folder data, or its folder data/<NAME>; or a folder that holds <NAME>_PS.csv.
        dataset_name: "cub" or "awa2".

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
        f"split=ps needs {_SPLITS} and {_FEATURES} in {folder / 'data' / name} (the one counts rows of the other) "
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
    """Return the files that hold the Proposed Split: (att_splits.mat, res101.mat), a list alone, or nothing.

    Args:
        folder: as for `read_proposed_split`.
        dataset_name: "cub" or "awa2".
    """
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
    inner = next((inner for inner in _mat_folders(folder, name) if _holds_one(inner)), folder / "data" / name)
    return [str(inner / file) for file in (_SPLITS, _FEATURES) if not (inner / file).is_file()]


def _mat_folders(folder: Path, name: str) -> tuple[Path, ...]:
    return folder / "data" / name, folder / name, folder


def _holds_one(folder: Path) -> bool:
    return (folder / _SPLITS).is_file() or (folder / _FEATURES).is_file()


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
                f"{splits_path}: {key} must count {len(names)} rows of {features_path.name}. Received: {received}."
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
