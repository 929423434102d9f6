"""Every real file of the archives' metadata, read and set against the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from niwt_tf.data.load import load_dataset
from niwt_tf.data.readers.awa2 import read_awa2_classes
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.tables import read_mat, read_names, read_numbered_names, texts_of, whole_numbers_of
from niwt_tf.data.readers.xlsa17 import read_proposed_split

pytestmark = pytest.mark.real_data

ARCHIVES = {"cub": "CUB", "awa2": "AWA2"}
COUNTS = {"cub": (150, 50, 7057, 1764, 2967), "awa2": (40, 10, 23527, 5882, 7913)}
LOCATIONS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")


def _folder(shared_data: Path, name: str) -> Path:
    return shared_data / "xlsa17/data" / ARCHIVES[name]


def _classes_of(path: Path) -> list[str]:
    return texts_of(path, "allclasses_names", read_mat(path, ["allclasses_names"])["allclasses_names"])


def _locations(path: Path) -> dict[str, np.ndarray]:
    content = read_mat(path, LOCATIONS)
    return {key: whole_numbers_of(path, key, content[key]) for key in LOCATIONS}


def _rows_by_name(shared_data: Path, name: str) -> list[str]:
    """Return image_files as res101.mat must hold them: the list by name tells which image stands in which row."""
    at = _locations(_folder(shared_data, name) / "att_splits.mat")
    listed = read_proposed_split(shared_data / "xlsa17", name)
    files = [""] * len(listed)
    for key, role in zip(LOCATIONS, ("train", "test_seen", "test_unseen"), strict=True):
        for row, image in zip(at[key], (image for image, of_role, _ in listed if of_role == role), strict=True):
            files[row - 1] = image
    return files


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_locations_of_every_matlab_file_are_a_partition(shared_data: Path, name: str) -> None:
    _, _, *counts = COUNTS[name]
    others = {"cub": "sent_splits.mat", "awa2": "binaryAtt_splits.mat"}[name]
    found = [_locations(_folder(shared_data, name) / file) for file in ("att_splits.mat", others)]
    for at in found:
        assert [len(at[key]) for key in LOCATIONS] == counts
        assert sorted(np.concatenate(list(at.values())).tolist()) == list(range(1, sum(counts) + 1))
    for key in LOCATIONS:
        assert sorted(found[0][key]) == sorted(found[1][key])


@pytest.mark.parametrize("name", ARCHIVES)
def test_class_lists_agree_with_the_list_by_name(shared_data: Path, name: str) -> None:
    folder = _folder(shared_data, name)
    seen, unseen = set(read_names(folder / "trainvalclasses.txt")), set(read_names(folder / "testclasses.txt"))
    assert (len(seen), len(unseen)) == COUNTS[name][:2] and not seen & unseen
    of_role: dict[str, set[str]] = {}
    for image, role, _ in read_proposed_split(shared_data / "xlsa17", name):
        of_role.setdefault(role, set()).add(image.partition("/")[0])
    assert of_role["train"] == seen and of_role["test_unseen"] == unseen and of_role["test_seen"] == seen
    for number in "123":
        train = set(read_names(folder / f"trainclasses{number}.txt"))
        held_out = set(read_names(folder / f"valclasses{number}.txt"))
        assert train | held_out == seen and not train & held_out
    assert set(_classes_of(folder / "att_splits.mat")) == seen | unseen
    if name == "cub":
        assert set(read_names(folder / "allclasses.txt")) == seen | unseen
        assert set(_classes_of(folder / "sent_splits.mat")) == seen | unseen
        assert loadmat(folder / "sent_splits.mat")["att"].shape == (1024, 200)
    else:
        official = shared_data / "awa2/Animals_with_Attributes2"
        assert set(read_names(official / "trainvalclasses.txt")) == seen
        assert set(read_names(official / "testclasses.txt")) == unseen


def test_attributes_of_all_cub_classes_are_those_of_the_split_file(shared_data: Path, tmp_path: Path) -> None:
    data = read_cub(_with_empty_images(shared_data, tmp_path, "cub"))
    path = _folder(shared_data, "cub") / "att_splits.mat"
    order = [data.class_names.index(name) for name in _classes_of(path)]
    np.testing.assert_allclose(loadmat(path)["original_att"].T, data.knowledge.values[order], rtol=1e-6)
    assert data.boxes is not None and data.boxes.min() >= 0 and data.boxes.shape == (11788, 4)
    assert data.parts is not None and data.parts[..., 2].max() == 1 and len(data.part_names) == 15


def test_attributes_of_all_awa2_classes_are_those_of_the_split_files(shared_data: Path) -> None:
    for binary, file, key in ((False, "att_splits.mat", "original_att"), (True, "binaryAtt_splits.mat", "att")):
        names, knowledge = read_awa2_classes(shared_data / "awa2", binary)
        path = _folder(shared_data, "awa2") / file
        real = loadmat(path)[key].astype(float).T
        order = [names.index(name) for name in _classes_of(path)]
        known = real >= 0  # the reader fills what nobody gave
        assert known.mean() > 0.99
        np.testing.assert_allclose(real[known], knowledge.values[order][known], rtol=1e-6)


def _with_empty_images(shared_data: Path, folder: Path, name: str) -> Path:
    """Link the real metadata into `folder` and make an empty file for every image."""
    official = {"cub": "cub/CUB_200_2011", "awa2": "awa2/Animals_with_Attributes2"}[name]
    images = {"cub": "images", "awa2": "JPEGImages"}[name]
    (folder / Path(official).name).mkdir()
    for entry in (shared_data / official).iterdir():
        if entry.name != images:
            (folder / Path(official).name / entry.name).symlink_to(entry)
    for entry in (shared_data / name).iterdir():
        if entry.name != Path(official).name:
            (folder / entry.name).symlink_to(entry)
    root = folder / Path(official).name / images
    files = _rows_by_name(shared_data, name)
    for class_name in {file.partition("/")[0] for file in files}:
        (root / class_name).mkdir(parents=True)
    for file in files:
        (root / file).touch()
    return folder


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_whole_archive_by_its_real_split_file(shared_data: Path, tmp_path: Path, name: str) -> None:
    folder = _with_empty_images(shared_data, tmp_path, name)
    splits = folder / "xlsa17/data" / ARCHIVES[name]
    splits.mkdir(parents=True)
    (splits / "att_splits.mat").symlink_to(_folder(shared_data, name) / "att_splits.mat")
    files = _rows_by_name(shared_data, name)
    classes = _classes_of(splits / "att_splits.mat")
    cells = np.empty((len(files), 1), object)
    cells[:, 0] = [f"/BS/Deep_Fragments/work/MSc/CUB_200_2011/CUB_200_2011/images/{file}" for file in files]
    labels = np.array([[classes.index(file.partition("/")[0]) + 1] for file in files], np.uint8)
    savemat(splits / "res101.mat", {"image_files": cells, "labels": labels})
    data = load_dataset(name, folder, split="ps", max_bad_images=None)
    split = data.split
    assert split is not None
    found = [len(part) for part in (split.seen, split.unseen, split.train, split.test_seen, split.test_unseen)]
    assert tuple(found) == COUNTS[name]
    listed = {image: role for image, role, _ in read_proposed_split(shared_data / "xlsa17", name)}
    for role in ("train", "test_seen", "test_unseen"):
        assert {data.paths[image] for image in getattr(split, role)} == {image for image in listed if listed[image] == role}


def test_captions_of_ten_real_classes_belong_to_listed_images(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read_cub(shared_data / "cub", missing_images="drop")
    assert data.captions is not None and len(data.captions) == 543
    assert {len(sentences) for sentences in data.captions} == {10}
    assert "captions of" not in caplog.text  # none without a class or an image
    _, listed = read_numbered_names(shared_data / "cub/CUB_200_2011/images.txt")
    assert len(listed) == 11788
