"""Oxford Flowers in miniature: categories by number, species by a list, and what is refused."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from niwt_tf.data.load import load_dataset
from niwt_tf.data.readers.flowers import CATEGORIES, _read_species, read_flowers
from niwt_tf.errors import InputError
from tests.data.readers import miniature_archives as miniature


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.write_flowers(tmp_path_factory.mktemp("flowers") / "102flowers")


@pytest.fixture
def copy(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "102flowers"))


def test_there_are_102_names_and_none_twice() -> None:
    assert len(CATEGORIES) == len(set(CATEGORIES)) == 102
    assert [CATEGORIES[number - 1] for number in (1, 12, 54, 102)] == [
        "pink primrose", "colt's foot", "sunflower", "blackberry lily",
    ]


def test_without_a_list_every_category_is_a_class(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "niwt_tf"):
        data = read_flowers(archive.parent)
    assert data.class_names == ("pink primrose", "colt's foot", "sunflower", "blackberry lily")
    assert np.bincount(data.labels).tolist() == [8] * 4
    assert data.paths[0] == "image_00001.jpg" and len(data.paths) == 32 and data.knowledge.values.shape == (4, 0)
    assert "There is no species.txt in or next to" in caplog.text and "N3's paper keeps 55" in caplog.text


@pytest.mark.parametrize("beside", [False, True])
def test_a_list_says_which_are_species(copy: Path, beside: bool, caplog: pytest.LogCaptureFixture) -> None:
    (copy.parent if beside else copy).joinpath("species.txt").write_text("sunflower\n\n colt's foot \n")
    with caplog.at_level(logging.INFO, "niwt_tf"):
        data = read_flowers(copy)
    assert data.class_names == ("colt's foot", "sunflower") and len(data.paths) == len(data.labels) == 16
    assert "keeps 2 of 4 categories, with 16 images." in caplog.text
    every = dict(zip(read_flowers_all(copy).paths, read_flowers_all(copy).labels, strict=True))
    assert {every[path] for path, label in zip(data.paths, data.labels, strict=True) if label == 1} == {2}


def read_flowers_all(folder: Path):  # type: ignore[no-untyped-def]
    """Return the data set without its list."""
    for place in (folder, folder.parent):
        (place / "species.txt").unlink(missing_ok=True)
    return read_flowers(folder)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sunflower\nsunflowr\n", "line 2 must be one of the 102 categories. Received: 'sunflowr'.*'sunflower'"),
        ("rose\n\nrose\n", "line 3 must name a category once. Received: 'rose' again."),
        ("\n", "species.txt must name at least one category. Received: an empty file."),
        ("sunflower\nfoxglove\n", "species.txt must name categories that have images. Received: 'foxglove', which has none."),
    ],
)
def test_a_list_out_of_order(copy: Path, text: str, sentence: str) -> None:
    (copy / "species.txt").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_flowers(copy)


def test_texts_beside_it_and_no_attributes(copy: Path) -> None:
    (copy / "descriptions").mkdir()
    for name in ("pink primrose", "colt's foot", "sunflower", "blackberry lily"):
        (copy / "descriptions" / f"{name}.txt").write_text(f"A flower: {name}.")
    data = load_dataset("flowers", copy, num_unseen=1, knowledge="texts", max_bad_images=None)
    assert data.knowledge.source == "texts"
    with pytest.raises(InputError, match="'flowers', which has no attributes. Received: 'binary'"):
        load_dataset("flowers", copy, num_unseen=1, knowledge="binary")
    with pytest.raises(InputError, match="split=ps is published only for cub and awa2"):
        load_dataset("flowers", copy, split="ps", knowledge="texts")


def test_images_and_labels_out_of_order(copy: Path) -> None:
    (copy / "jpg/image_00007.jpg").unlink()
    with pytest.raises(InputError, match="1 of 32 missing, the first 'image_00007.jpg'"):
        read_flowers(copy)
    assert len(read_flowers(copy, "drop").paths) == 31
    savemat(copy / "imagelabels.mat", {"labels": np.array([[1, 103, 2]])})
    with pytest.raises(InputError, match="labels must be from 1 to 102. Received: 103 for image 2."):
        read_flowers(copy)
    savemat(copy / "imagelabels.mat", {"label": np.array([[1, 2]])})
    with pytest.raises(InputError, match="but no labels.*label"):
        read_flowers(copy)
    (copy / "imagelabels.mat").unlink()
    with pytest.raises(InputError, match="data_dir must be the folder 102flowers with imagelabels.mat"):
        read_flowers(copy)


def test_an_image_behind_the_last_label(copy: Path) -> None:
    (copy / "jpg/notes.jpg").touch()  # says nothing
    read_flowers(copy)
    (copy / "jpg/image_00033.jpg").touch()
    with pytest.raises(InputError, match="must have a label for each image in .*jpg. Received: 32, none for 'image_00033.jpg'"):
        read_flowers(copy)


def test_labels_that_cannot_be_read(copy: Path) -> None:
    path = copy / "imagelabels.mat"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"no labels", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="imagelabels.mat must be a MATLAB file. Received: "):
            read_flowers(copy)
    path.write_bytes(b"MATLAB 7.3 MAT-file")
    with pytest.raises(InputError, match="imagelabels.mat must be a complete HDF5 file. Received: "):
        read_flowers(copy)
    strange = ((np.full((1, 9), 1.5), "1.5 in row 1"), (np.ones((4, 8)), "4 x 8 of"), (np.ones((1, 0)), "1 x 0 of"))
    for labels, received in strange:
        savemat(path, {"labels": labels})
        with pytest.raises(InputError, match=f"labels must be one column of whole numbers. Received: {received}"):
            read_flowers(copy)


@given(st.lists(st.sampled_from(CATEGORIES), min_size=1, unique=True))
def test_any_list_of_categories_is_read_in_its_order(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "species.txt"
    path.write_text("\n".join(names))
    assert [CATEGORIES[index] for index in _read_species(path)] == names
