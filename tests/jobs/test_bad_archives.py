"""Archives in disorder: `niwt run` says so in one sentence before it trains, and leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from tests.data.readers import miniature_archives as miniature


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """Return a folder with both archives, cub/ and awa2/."""
    folder: Path = tmp_path_factory.mktemp("archives")
    miniature.write_cub(folder / "cub")
    miniature.write_awa2(folder / "awa2")
    return folder


def _edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return spoil


def _gone(*names: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for name in names:
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()

    return spoil


def _mat(name: str, key: str, change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        content = {key: value for key, value in loadmat(folder / name).items() if not key.startswith("__")}
        content[key] = change(content[key])
        savemat(folder / name, {key: value for key, value in content.items() if value is not None})

    return spoil


def _first_label_wrong(labels: np.ndarray) -> np.ndarray:
    other = labels[labels != labels[0]][0]
    return np.concatenate([[[other]], labels[1:]])


CUB, AWA2 = "xlsa17/data/CUB/", "xlsa17/data/AWA2/"
MISTAKES = [
    ("cub", _gone("CUB_200_2011/classes.txt", "attributes.txt"), "without classes.txt, attributes.txt in it or next to it"),
    ("cub", _gone("CUB_200_2011/images/002.Laysan_Albatross"), "8 of 64 missing, the first '002.Laysan_Albatross/"),
    (
        "cub",
        _edited("CUB_200_2011/image_class_labels.txt", "9 2\n", "9 3\n"),
        "line 9 must give image 9 the class of its folder",
    ),
    ("cub", _gone(CUB + "res101.mat"), "res101.mat"),
    ("cub", _mat(CUB + "res101.mat", "image_files", lambda _: None), "but no image_files"),
    ("cub", _mat(CUB + "res101.mat", "labels", _first_label_wrong), "row 1: the label must go with the folder"),
    ("cub", _mat(CUB + "att_splits.mat", "trainval_loc", lambda rows: rows + 60), "of res101.mat, which has 64 rows"),
    ("cub", _mat(CUB + "att_splits.mat", "trainval_loc", lambda rows: rows + 0.5), "trainval_loc must be one column of whole"),
    ("awa2", _gone("Animals_with_Attributes2/predicates.txt"), "one without predicates.txt"),
    ("awa2", _gone("Animals_with_Attributes2/JPEGImages/bat"), "none for 1 of 8 classes, the first 'bat'"),
    ("awa2", _gone("Animals_with_Attributes2/JPEGImages/bat/bat_10002.jpg"), "'bat/bat_10002.jpg', which does not exist"),
    ("awa2", _mat(AWA2 + "att_splits.mat", "test_seen_loc", lambda rows: np.tile(rows, 2)), "Received: 12 x 2 of"),
]


@pytest.mark.parametrize(("dataset", "spoil", "sentence"), MISTAKES, ids=[sentence for _, _, sentence in MISTAKES])
def test_one_sentence_before_any_work(niwt, archives, tmp_path, dataset, spoil, sentence):
    data = Path(shutil.copytree(archives / dataset, tmp_path / dataset))
    spoil(data)
    job = niwt("run", f"--dataset={dataset}", "--split=ps", f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}")
    assert job.status == 2 and sentence in job.err, job.err
    assert job.err.splitlines()[-1].startswith("niwt run: ") and "Received: " in job.err
    assert not (tmp_path / "run").exists()
