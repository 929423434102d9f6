"""Reads the published zero-shot splits of Xian et al. 2018 as image names and roles, never as positions in images.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.lists import read_names
from niwt_tf.data.roles import read_role_list
from niwt_tf.errors import InputError, check_choice

FOLDERS = {"cub": "CUB", "awa2": "AWA2"}
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
    for inner in (folder / "data" / name, folder / name, folder):
        if (inner / "att_splits.mat").is_file() and (inner / "res101.mat").is_file():
            return _roles_from_mat(inner / "att_splits.mat", inner / "res101.mat")
    for inner in (folder / "lists", folder, folder.parent / "lists", folder.parent.parent / "lists"):
        if (inner / f"{name}_PS.csv").is_file():
            return read_role_list(inner / f"{name}_PS.csv")
    raise InputError(
        f"split=ps needs att_splits.mat and res101.mat in {folder / 'data' / name} (the one counts rows of the other) "
        f"or {folder / 'lists' / (name + '_PS.csv')}. Received: neither."
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


def _roles_from_mat(splits_path: Path, features_path: Path) -> list[tuple[str, str, str]]:
    files = [_text(cell) for cell in _load(features_path, ["image_files"])["image_files"].ravel()]
    names = ["/".join(file.replace("\\", "/").split("/")[-2:]) for file in files]
    splits = _load(splits_path, list(_LOCATIONS))
    found = []
    for key, role in _LOCATIONS.items():
        rows = splits[key].ravel().astype(np.int64) - 1
        if len(rows) and (rows.min() < 0 or rows.max() >= len(names)):
            received = f"{rows.min() + 1} to {rows.max() + 1}"
            raise InputError(
                f"{splits_path}: {key} must count {len(names)} rows of {features_path.name}. Received: {received}."
            )
        found += [(names[row], role, f"{splits_path}, {key}") for row in rows]
    return found


def _load(path: Path, keys: list[str]) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=keys)
    except (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, MatReadError) as error:
        raise InputError(f"{path} must be a MATLAB file of version 7.2 or before. Received: {error}.") from None
    for key in keys:
        if key not in content:
            raise InputError(f"{path} must hold {', '.join(keys)}. Received: no {key}.")
    return content


def _text(cell: Any) -> str:
    # loadmat wraps a string in as many arrays as the cell was nested.
    while isinstance(cell, np.ndarray):
        cell = cell.ravel()[0] if cell.size else ""
    return str(cell).strip()
