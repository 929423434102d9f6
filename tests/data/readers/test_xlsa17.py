from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.xlsa17 import read_proposed_split
from niwt_tf.data.splits import choose_split, xlsa17_split
from niwt_tf.errors import InputError
from tests.data.readers.feature_files import write_mat73

# Another order than images.txt's: positions in one must not be read as positions in the other.
ORDER = [43, 42, 41, 33, 32, 31, 23, 22, 21, 13, 12, 11]
CLASSES = {1: "001.Red_Finch", 2: "002.Blue_Wren", 3: "003.Clarks_Tern", 4: "004.Grey_Owl"}


def column(*rows: int) -> np.ndarray:
    return np.array(rows, np.uint16).reshape(-1, 1)


def write_mat(folder: Path, test_unseen: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = np.empty((len(ORDER), 1), object)
    files[:, 0] = [f"/BS/work/CUB_200_2011/images//{CLASSES[i // 10]}/bird_{i % 10}_{i}.jpg" for i in ORDER]
    savemat(folder / "res101.mat", {"image_files": files, "features": np.zeros((2, 12))})
    locations = {"trainval_loc": column(4, 5, 7, 8, 10, 11), "test_seen_loc": column(6, 9, 12), "test_unseen_loc": test_unseen}
    savemat(folder / "att_splits.mat", {**locations, "att": np.zeros((2, 4))})


@pytest.mark.parametrize("inner", ["", "data", "data/CUB"])
def test_positions_count_rows_of_image_files(cub: Path, inner: str) -> None:
    write_mat(cub / "xlsa17/data/CUB", column(1, 2, 3))
    data = xlsa17_split(read_cub(cub), cub / "xlsa17" / inner)
    split = data.split
    assert split is not None
    assert split.unseen.tolist() == [3]
    assert [data.paths[i] for i in split.test_seen] == [
        "001.Red_Finch/bird_1_11.jpg",
        "002.Blue_Wren/bird_1_21.jpg",
        "003.Clarks_Tern/bird_1_31.jpg",
    ]
    assert split.train.tolist() == [1, 2, 4, 5, 7, 8]


def test_found_in_and_beside_the_archive(cub: Path) -> None:
    with pytest.raises(InputError, match="split=ps needs the folder xlsa17"):
        choose_split(read_cub(cub), "ps")
    write_mat(cub / "xlsa17/data/CUB", column(1, 2, 3))
    assert choose_split(read_cub(cub / "CUB_200_2011"), "ps").split is not None
    assert choose_split(read_cub(cub), "ps", split_dir=cub / "xlsa17").split is not None


def test_list_by_name_where_res101_is_absent(cub: Path) -> None:
    write_mat(cub / "xlsa17/data/CUB", column(1, 2, 3))
    (cub / "xlsa17/data/CUB/res101.mat").unlink()
    with pytest.raises(InputError, match=r"att_splits.mat and res101.mat.*lists/CUB_PS.csv. Received: no .*res101.mat\.$"):
        choose_split(read_cub(cub), "ps")
    rows = [f"{CLASSES[i // 10]}/bird_{i % 10}_{i}.jpg,{'test_unseen' if i < 20 else 'trainval'}\n" for i in ORDER]
    (cub / "xlsa17/lists").mkdir()
    (cub / "xlsa17/lists/CUB_PS.csv").write_text("image,role\n" + "".join(rows))
    split = choose_split(read_cub(cub), "ps").split
    assert split is not None and split.unseen.tolist() == [0]
    assert len(read_proposed_split(cub / "xlsa17/data/CUB", "cub")) == 12


def test_faults_of_the_matlab_files(cub: Path) -> None:
    folder = cub / "xlsa17/data/CUB"
    for wrong in (column(13), column(0)):
        write_mat(folder, wrong)
        with pytest.raises(InputError, match="test_unseen_loc must hold row numbers of .*, which has 12 rows"):
            choose_split(read_cub(cub), "ps")
    savemat(folder / "att_splits.mat", {"trainval_loc": column(1)})
    with pytest.raises(InputError, match="Received: trainval_loc, but no test_seen_loc"):
        choose_split(read_cub(cub), "ps")
    for junk in (b"", b"junk" * 100, (folder / "res101.mat").read_bytes()[:200], b"\x89HDF\r\n\x1a\n" + bytes(600)):
        (folder / "att_splits.mat").write_bytes(junk)
        with pytest.raises(InputError, match="must be a MATLAB file|must hold|must be a complete HDF5 file"):
            choose_split(read_cub(cub), "ps")


def spoilt(folder: Path, name: str, **changes: object) -> None:
    write_mat(folder, column(1, 2, 3))
    content = {key: value for key, value in loadmat(folder / name).items() if not key.startswith("__")} | changes
    savemat(folder / name, {key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("res101.mat", {"image_files": None}, "res101.mat must hold image_files. Received: features, but no image_files"),
        ("res101.mat", {"image_files": None, "imagefiles": 1}, "but no image_files. Did you mean 'imagefiles'"),
        (
            "res101.mat",
            {"image_files": np.zeros((12, 1))},
            "image_files must be one column of texts. Received: 12 x 1 of float64",
        ),
        ("res101.mat", {"image_files": np.array([["a", 3]], object)}, "must be one column of texts. Received: none in row 2"),
        ("res101.mat", {"labels": column(*range(1, 4))}, "labels must have a row for each of 12 image_files. Received: 3"),
        ("res101.mat", {"labels": np.full((12, 1), 0.5)}, "labels must be one column of whole numbers. Received: 0.5 in row 1"),
        (
            "att_splits.mat",
            {"test_seen_loc": np.ones((3, 4))},
            "must be one column of whole numbers. Received: 3 x 4 of float64",
        ),
        ("att_splits.mat", {"test_seen_loc": "six"}, "test_seen_loc must be one column of whole numbers. Received: 1 of text"),
        ("att_splits.mat", {"trainval_loc": column(4, 4)}, "trainval_loc must name each image once"),
        (
            "res101.mat",
            {"labels": column(4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 4, 1)},
            "row 11: the label must go with the folder.*Received: 4, that of '004.Grey_Owl', for '001.Red_Finch/bird_2_12.jpg'",
        ),
        (
            "res101.mat",
            {"labels": column(4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 5, 1)},
            "row 11: the label must go with the folder.*Received: 5, 1 elsewhere, for '001.Red_Finch/bird_2_12.jpg'",
        ),
    ],
)
def test_one_sentence_for_each_fault_of_a_matlab_file(cub: Path, name: str, changes: dict, message: str) -> None:
    spoilt(cub / "xlsa17/data/CUB", name, **changes)
    with pytest.raises(InputError, match=message):
        choose_split(read_cub(cub), "ps")


def test_labels_are_numbers_of_folders_in_any_order_and_type(cub: Path) -> None:
    spoilt(cub / "xlsa17/data/CUB", "res101.mat", labels=np.array([[2.0] * 3 + [7] * 3 + [1] * 3 + [4] * 3]))
    assert choose_split(read_cub(cub), "ps").split is not None


def test_version_7_3_of_a_matlab_file_is_read_as_well(cub: Path) -> None:
    write_mat(cub / "xlsa17/data/CUB", column(1, 2, 3))
    split = choose_split(read_cub(cub), "ps").split
    for name in ("res101.mat", "att_splits.mat"):
        path = cub / "xlsa17/data/CUB" / name
        held = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
        files = [cell[0][0] for cell in held.pop("image_files", ())]
        write_mat73(path, {**held, **({"image_files": files} if files else {})})
        again = choose_split(read_cub(cub), "ps").split
        assert [again.train.tolist(), again.test_unseen.tolist()] == [split.train.tolist(), split.test_unseen.tolist()]
        with h5py.File(path, "w", userblock_size=512) as file:
            file["other"] = np.zeros(3)
        with pytest.raises(InputError, match=f"{name} must hold .* Received: other, but no"):
            choose_split(read_cub(cub), "ps")
        write_mat73(path, {**held, **({"image_files": files} if files else {})})


def test_a_matlab_file_that_was_cut_short_is_told_wherever_it_ends(cub: Path) -> None:
    write_mat(cub / "xlsa17/data/CUB", column(1, 2, 3))
    path = cub / "xlsa17/data/CUB/res101.mat"
    data = read_cub(cub)
    content = loadmat(path)
    savemat(path, {"features": content["features"], "image_files": content["image_files"]}, do_compression=True)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match="res101.mat must"):
            choose_split(data, "ps")


def test_too_few_classes_left_after_dropping(cub: Path) -> None:
    write_mat(cub / "xlsa17/data/CUB", column(1, 2, 3))
    for image in (cub / "CUB_200_2011/images/004.Grey_Owl").iterdir():
        image.unlink()
    data = read_cub(cub, "drop")
    with pytest.raises(InputError, match="'ps' must have at least 1 unseen class"):
        choose_split(data, "ps", missing_images="drop")
    with pytest.raises(InputError, match="att_splits.mat, test_unseen_loc must name .*, which does not exist, like 2 more"):
        choose_split(data, "ps")


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "folder", "unseen"), [("cub", "CUB", 50), ("awa2", "AWA2", 10)])
def test_real_lists_have_the_published_counts(shared_data: Path, name: str, folder: str, unseen: int) -> None:
    rows = read_proposed_split(shared_data / "xlsa17", name)
    published = loadmat(shared_data / "xlsa17/data" / folder / "att_splits.mat")
    keys = {"train": "trainval_loc", "test_seen": "test_seen_loc", "test_unseen": "test_unseen_loc"}
    for role, key in keys.items():
        assert sum(row[1] == role for row in rows) == published[key].size
    assert len({image.split("/")[0] for image, role, _ in rows if role == "test_unseen"}) == unseen
