"""The official layouts, whole: what is read of a miniature, what is missing of one, and that it has the real files' form."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from niwt_tf.data.load import load_dataset
from niwt_tf.data.schema import Dataset
from niwt_tf.experiments.table1.needs import archive_parts
from tests.data.readers import miniature_archives as miniature


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both archives, cub/ and awa2/."""
    folder = tmp_path_factory.mktemp("archives")
    miniature.write_cub(folder / "cub")
    miniature.write_awa2(folder / "awa2")
    return folder


def names(data: Dataset, classes: np.ndarray) -> set[str]:
    return {data.class_names[c] for c in classes}


@pytest.mark.parametrize("knowledge", ["attributes", "captions"])
def test_cub_by_the_proposed_split(archives: Path, knowledge: str) -> None:
    data = load_dataset("cub", archives / "cub", split="ps", knowledge=knowledge, max_bad_images=None)
    split = data.split
    assert split is not None and split.name == "ps"
    assert names(data, split.unseen) == set(miniature.CUB_UNSEEN) and names(data, split.seen) == set(miniature.CUB_SEEN)
    assert (len(split.train), len(split.test_seen), len(split.test_unseen)) == (36, 12, 16)
    assert not set(data.labels[split.train]) & set(split.unseen)
    assert data.knowledge.source == knowledge
    assert data.captions is not None and all(len(sentences) == 10 for sentences in data.captions)  # of the renamed class too
    assert data.parts is not None and data.boxes is not None


def test_awa2_by_the_proposed_split(archives: Path) -> None:
    data = load_dataset("awa2", archives / "awa2", split="ps", max_bad_images=None)
    split = data.split
    assert split is not None and names(data, split.unseen) == set(miniature.AWA2_UNSEEN)
    assert (len(split.train), len(split.test_seen), len(split.test_unseen)) == (36, 12, 16)
    assert data.knowledge.values.min() >= 0


@pytest.mark.parametrize(("name", "folder"), [("cub", "CUB"), ("awa2", "AWA2")])
def test_attributes_in_the_split_are_those_of_the_archive(archives: Path, name: str, folder: str) -> None:
    data = load_dataset(name, archives / name, split="ps", max_bad_images=None)
    splits = loadmat(archives / name / "xlsa17/data" / folder / "att_splits.mat")
    listed = [cell.item() for cell in splits["allclasses_names"].ravel()]
    order = [data.class_names.index(class_name) for class_name in listed]
    assert order != sorted(order)  # else positions in one could pass for positions in the other
    known = data.knowledge.values[order][:, 1:].T
    np.testing.assert_allclose(splits["original_att"][1:], known, rtol=1e-6)


@pytest.mark.parametrize("name", ["cub", "awa2"])
def test_nothing_is_missing_of_a_whole_archive(archives: Path, name: str) -> None:
    for inner in ("", {"cub": "CUB_200_2011", "awa2": "Animals_with_Attributes2"}[name]):
        parts = archive_parts(name, archives / name / inner, with_texts=name == "cub")
        assert [part.missing for part in parts] == [()] * (4 if name == "cub" else 3)


def test_every_part_that_is_missing_is_named(archives: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(archives / "cub", tmp_path / "cub"))
    (folder / "CUB_200_2011/classes.txt").unlink()
    (folder / "xlsa17/data/CUB/res101.mat").unlink()
    shutil.rmtree(folder / "text_c10")
    shutil.rmtree(folder / "CUB_200_2011/images" / miniature.CUB_UNSEEN[0])
    archive, images, split, texts = archive_parts("cub", folder, with_texts=True)
    assert [Path(name).name for name in (*archive.missing, *split.missing)] == ["classes.txt", "res101.mat"]
    assert images.missing[0].startswith("8 of 64 images in ") and miniature.CUB_UNSEEN[0] in images.missing[0]
    assert "text_c10" in texts.missing[0]
    assert archive_parts("cub", folder, missing_images="drop")[1].missing == ()
    assert [part.name for part in archive_parts("cub", folder, with_split=False)] == ["archive", "images"]


def test_images_that_the_split_names_are_counted_for_awa2(archives: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(archives / "awa2", tmp_path / "awa2"))
    (folder / "Animals_with_Attributes2/JPEGImages/bat/bat_10003.jpg").unlink()
    images = archive_parts("awa2", folder)[1]
    assert images.missing[0].startswith("1 of 64 images in ") and "'bat/bat_10003.jpg'" in images.missing[0]


def test_classes_without_a_text_are_named_for_awa2(archives: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(archives / "awa2", tmp_path / "awa2"))
    assert archive_parts("awa2", folder, with_texts=True)[3].missing[0].endswith("(or next to Animals_with_Attributes2)")
    miniature.write_awa2_texts(folder)
    assert archive_parts("awa2", folder, with_texts=True)[3].missing == ()
    data = load_dataset("awa2", folder, split="ps", knowledge="texts", max_bad_images=None)
    assert data.knowledge.source.startswith("texts") and len(data.knowledge.values) == 8
    for name in ("bat", "killer+whale"):
        (folder / f"descriptions/{name}.txt").unlink()
    (texts,) = archive_parts("awa2", folder, with_texts=True)[3].missing
    assert texts.startswith("texts of 2 of 8 classes") and texts.endswith("'killer+whale', 'bat'")


@pytest.mark.parametrize(("name", "count"), [("cub", "11788 images in "), ("awa2", "37322 images in ")])
def test_of_a_folder_that_is_not_there_everything_is_missing(tmp_path: Path, name: str, count: str) -> None:
    archive, images, split, texts = archive_parts(name, tmp_path / "none", with_texts=True)
    assert len(archive.missing) == {"cub": 5, "awa2": 3}[name] and images.missing[0].startswith(count)
    assert len(split.missing) == 2 and len(texts.missing) == 1


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["CUB", "AWA2"])
def test_the_miniature_has_the_real_files_form(archives: Path, shared_data: Path, folder: str) -> None:
    real, small = (
        {key: value for key, value in loadmat(base / "xlsa17/data" / folder / "att_splits.mat").items() if key[0] != "_"}
        for base in (shared_data, archives / folder.lower())
    )
    assert set(small) == set(real)
    for key, value in real.items():
        assert (small[key].dtype, small[key].ndim) == (value.dtype, value.ndim)
        assert (value.shape[1] == 1) == (small[key].shape[1] == 1)
    np.testing.assert_allclose(np.linalg.norm(real["att"], axis=0), 1)
    np.testing.assert_allclose(np.linalg.norm(small["att"], axis=0), 1)


def _form(path: Path) -> list[list[str]]:
    """Return the separators of a file's first two lines: what is left when numbers and words are one letter each."""
    lines = path.read_text(encoding="utf-8").splitlines()[:2]
    return [["\t" if "\t" in line else " ", str(line.startswith(" ")), str(len(line.split()) > 3)] for line in lines]


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name",
    [
        *(f"cub/CUB_200_2011/{name}" for name in ("images.txt", "classes.txt", "image_class_labels.txt", "bounding_boxes.txt")),
        *(f"cub/CUB_200_2011/{name}" for name in ("train_test_split.txt", "parts/parts.txt", "parts/part_locs.txt")),
        *("cub/attributes.txt", "cub/CUB_200_2011/attributes/class_attribute_labels_continuous.txt"),
        *(f"awa2/Animals_with_Attributes2/{name}" for name in ("classes.txt", "predicates.txt", "testclasses.txt")),
        *(f"awa2/Animals_with_Attributes2/predicate-matrix-{name}.txt" for name in ("binary", "continuous")),
    ],
)
def test_lists_and_tables_are_written_as_the_real_ones(archives: Path, shared_data: Path, name: str) -> None:
    assert _form(archives / name) == _form(shared_data / name)
