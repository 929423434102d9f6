from __future__ import annotations

import logging

import numpy as np
import pytest

from niwt_tf.compute.feature_cache import identities_of
from niwt_tf.data.feature_rows import feature_rows, rows_at
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.load import load_dataset
from niwt_tf.data.readers.xlsa17_features import PUBLISHED, counted, read_xlsa17, split_version
from niwt_tf.data.schema import Images, seen_data, test_data
from niwt_tf.errors import InputError
from niwt_tf.runs.fingerprints import data_fingerprint
from tests.data.readers.feature_files import (
    ENTRIES,
    IMAGES,
    TESTED,
    WIDTH,
    feature_files,
    first_version,
    write_features,
    write_mat5,
    write_mat73,
)
from tests.shared import further


@pytest.mark.parametrize("form", [5, 7.3])
def test_both_forms_of_matlab_are_read_alike(tmp_path, form):
    folder = write_features(tmp_path / "xlsa17/data/CUB", form)
    dataset = load_dataset("xlsa17", tmp_path / "xlsa17", split="ps")
    res101, splits = feature_files()
    assert dataset.class_names == tuple(splits["allclasses_names"]) and dataset.root == folder / "res101.mat"
    assert (dataset.labels + 1).tolist() == res101["labels"].ravel().tolist()
    np.testing.assert_allclose(dataset.knowledge.values, splits["att"].T, rtol=1e-6)
    np.testing.assert_allclose(feature_rows(dataset.root), res101["features"].T, rtol=1e-6)
    assert dataset.paths[16] == "17/" + "/".join(res101["image_files"][16].split("/")[-2:])
    split = dataset.split
    for name, role in (("train", "trainval_loc"), ("test_seen", "test_seen_loc"), ("test_unseen", "test_unseen_loc")):
        assert (getattr(split, name) + 1).tolist() == sorted(splits[role].ravel().tolist())
    assert split.name == "ps version 2" and split.unseen.tolist() == [9, 10, 11]
    counts = counted(dataset)
    assert (counts.images, counts.classes, counts.entries) == (12 * IMAGES, 12, ENTRIES)
    assert (counts.trainval, counts.test_seen, counts.test_unseen) == (9 * (IMAGES - TESTED), 9 * TESTED, 3 * IMAGES)


def test_versions_of_the_split_are_told_apart(tmp_path, caplog):
    caplog.set_level(logging.INFO, "niwt_tf")
    first, second = (write_features(tmp_path / f"v{number}", version=number) for number in (1, 2))
    assert [split_version(folder / "att_splits.mat") for folder in (first, second)] == [1, 2]
    one, other = (load_dataset("xlsa17", folder, split="ps") for folder in (first, second))
    assert one.split.name == "ps version 1"
    tested = 9 * TESTED
    assert f"version 1: train_loc and val_loc, which are not read, hold {tested} of {tested} of test_seen_loc" in caplog.text
    assert one.split.train.tolist() == other.split.train.tolist()  # what is read is the same


def test_batches_are_maps_of_one_position(tmp_path):
    dataset = load_dataset("xlsa17", write_features(tmp_path / "CUB"), split="ps")
    images = test_data(dataset).images
    rows = np.concatenate([batch.numpy() for batch, _ in image_batches(images, 1, 7)])
    assert rows.shape == (len(images), 1, 1, WIDTH)
    np.testing.assert_array_equal(rows[:, 0, 0], feature_rows(dataset.root)[rows_at(images.paths)])
    labels = np.concatenate([labels.numpy() for _, labels in image_batches(images, 1, 7, shuffle=True, seed=3)])
    assert sorted(labels.tolist()) == sorted(images.labels.tolist()) and labels.tolist() != images.labels.tolist()
    assert len(np.unique(identities_of(images), axis=0)) == len(images)


def test_features_count_as_contents(tmp_path):
    res101, splits = feature_files()
    folder = write_features(tmp_path / "CUB")
    before = data_fingerprint(load_dataset("xlsa17", folder, split="ps"))
    res101["features"][3, 5] += 1
    write_mat5(folder / "res101.mat", res101)
    assert data_fingerprint(load_dataset("xlsa17", folder, split="ps")) != before
    write_mat73(folder / "res101.mat", feature_files()[0])
    assert data_fingerprint(load_dataset("xlsa17", folder, split="ps")) == before


def test_other_splits_and_texts(tmp_path):
    folder = write_features(tmp_path / "CUB")
    dataset = load_dataset("xlsa17", folder, split="random", num_unseen=4, seed=1)
    assert len(dataset.split.unseen) == 4
    with pytest.raises(InputError, match="split=ss is published only for cub and awa2"):
        load_dataset("xlsa17", folder, split="ss")
    (folder / "descriptions").mkdir()
    for name in dataset.class_names[1:]:
        (folder / f"descriptions/{name}.txt").write_text(f"A bird called {name}.")
    with pytest.raises(InputError, match="must have a file <class>.txt for every class. Received: none for '001.Bird_0'"):
        read_xlsa17(folder)
    (folder / f"descriptions/{dataset.class_names[0]}.txt").write_text("A small red bird.")
    described = load_dataset("xlsa17", folder, split="ps", knowledge="texts")
    assert seen_data(described).descriptions.texts[0] == "A small red bird."


def test_classes_without_names_and_images_without_files_are_numbered(tmp_path):
    folder = tmp_path / "FLO"
    folder.mkdir()
    res101, splits = feature_files()
    write_mat5(folder / "res101.mat", {name: value for name, value in res101.items() if name != "image_files"})
    write_mat5(folder / "att_splits.mat", {name: value for name, value in splits.items() if name != "allclasses_names"})
    dataset = load_dataset("xlsa17", folder, split="ps")
    assert dataset.class_names[:2] == ("class 001", "class 002") and dataset.paths[1] == "2/image"


def test_folders_are_found_or_asked_for(tmp_path):
    with pytest.raises(InputError, match="data_dir must be a folder that holds res101.mat and att_splits.mat, such as"):
        read_xlsa17(tmp_path)
    for name in ("CUB", "SUN"):
        write_features(tmp_path / "xlsa17/data" / name)
    with pytest.raises(InputError, match="such as .*CUB. Received: .*, which holds those of CUB, SUN"):
        read_xlsa17(tmp_path / "xlsa17")
    (tmp_path / "xlsa17/data/SUN/res101.mat").unlink()
    with pytest.raises(InputError, match="must hold res101.mat and att_splits.mat. Received: .* without .*SUN/res101.mat"):
        read_xlsa17(tmp_path / "xlsa17/data/SUN")


@pytest.mark.parametrize("write", [write_mat5, *further(write_mat73)])
@pytest.mark.parametrize(
    ("file", "changes", "sentence"),
    [
        ("res101", {"features": np.zeros((24, 0))}, "features must be a matrix of finite numbers"),
        ("res101", {"features": np.full((24, 144), np.nan)}, "Received: NaN or infinity in column 1"),
        ("res101", {"features": np.zeros((24, 7))}, "labels must have a row for each of 7 columns of features. Received: 144"),
        ("res101", {"features": None}, "must hold features. Received: image_files, labels, but no features"),
        ("res101", {"labels": np.full((144, 1), 13)}, "row 1: the label must be one of 1 to 12, .* Received: 13"),
        ("res101", {"image_files": ["a.jpg"]}, "image_files must have a row for each of 144 labels. Received: 1"),
        ("att_splits", {"att": np.zeros((9, 5))}, "att must have a column for each of 12 allclasses_names. Received: 5"),
        ("att_splits", {"att": np.full((9, 12), np.inf)}, "Received: NaN or infinity in column 1"),
        ("att_splits", {"trainval_loc": np.full((3, 1), 145)}, "trainval_loc must hold row .* 144 rows. Received: 145 to 145"),
        ("att_splits", {"test_seen_loc": None}, "but no test_seen_loc"),
    ],
)  # fmt: skip
def test_one_sentence_for_each_fault(tmp_path, write, file, changes, sentence):
    folder = write_features(tmp_path / "CUB")
    variables = {**feature_files()[0 if file == "res101" else 1], **changes}
    write(folder / f"{file}.mat", {name: value for name, value in variables.items() if value is not None})
    with pytest.raises(InputError, match=sentence) as raised:
        load_dataset("xlsa17", folder, split="ps")
    assert "\n" not in str(raised.value)


def test_features_cannot_be_augmented(tmp_path):
    dataset = load_dataset("xlsa17", write_features(tmp_path / "CUB"), split="ps")
    images = Images(dataset.root, dataset.paths, dataset.labels, dataset.class_names)
    with pytest.raises(InputError, match="augment must be false"):
        image_batches(images, 1, 8, augment=True)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["CUB", "AWA2"])
def test_real_splits_have_the_published_counts(tmp_path, shared_data, name):
    folder, counts = tmp_path / name, PUBLISHED[name]
    folder.mkdir()
    (folder / "att_splits.mat").symlink_to(shared_data / f"xlsa17/data/{name}/att_splits.mat")
    labels = np.arange(counts.images).reshape(-1, 1) % counts.classes + 1  # those of the images are not at hand
    write_mat5(folder / "res101.mat", {"features": np.ones((2, counts.images), np.float32), "labels": labels})
    dataset = read_xlsa17(folder)
    assert (len(dataset.class_names), dataset.knowledge.values.shape[1]) == (counts.classes, counts.entries)
    assert split_version(folder / "att_splits.mat") == 2
    if name == "AWA2":  # of May 2017
        assert split_version(shared_data / "xlsa17/data/AWA2/binaryAtt_splits.mat") == 1


def test_the_first_version_is_made_as_it_was():
    splits = first_version(feature_files()[1])
    held = {int(row) for name in ("train_loc", "val_loc") for row in splits[name].ravel()}
    assert held == {int(row) for name in ("trainval_loc", "test_seen_loc") for row in splits[name].ravel()}
