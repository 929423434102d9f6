"""NABirds in miniature: what becomes of its categories, and what is refused."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.load import load_dataset
from niwt_tf.data.readers import nabirds
from niwt_tf.data.readers.nabirds import consolidated, read_nabirds, species_of
from niwt_tf.errors import InputError
from tests.data.readers import miniature_archives as miniature

SPECIES = ("American Kestrel", "Common Loon", "Oak Titmouse", "Blue Jay")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.write_nabirds(tmp_path_factory.mktemp("nabirds"))


@pytest.fixture
def spoilt(archive: Path, tmp_path: Path) -> Path:
    """Return a copy's official folder."""
    return Path(shutil.copytree(archive, tmp_path / "data")) / "nabirds"


@pytest.mark.parametrize("inner", ["", "nabirds"])
def test_categories_of_one_species_are_one_class(archive: Path, inner: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "niwt_tf"):
        data = read_nabirds(archive / inner)
    assert data.class_names == SPECIES
    assert "5 categories with images became 4 classes" in caplog.text and "404" not in caplog.text
    assert np.bincount(data.labels).tolist() == [16, 8, 8, 8]
    folders = {path.partition("/")[0] for path, label in zip(data.paths, data.labels, strict=True) if label == 0}
    assert folders == {"0295", "0902"}
    assert data.knowledge.values.shape == (4, 0)
    assert data.boxes is not None and data.boxes[0].tolist() == [4, 3, 32, 30]
    assert data.parts is not None and data.parts[5].tolist() == [[0, 0, 1], [3, 2, 1], [6, 4, 1]]
    assert data.part_names == ("bill", "crown", "nape")


def test_a_whole_archive_of_another_number_of_classes_is_told(
    archive: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nabirds, "_ARCHIVE", dataclasses.replace(nabirds._ARCHIVE, num_images=40))
    read_nabirds(archive)
    assert "All images of NABirds make 4 classes, but N3's paper has 404" in caplog.text


def test_texts_beside_it_describe_the_species(archive: Path) -> None:
    data = load_dataset("nabirds", archive, num_unseen=1, knowledge="texts", max_bad_images=None)
    assert data.name == "nabirds" and data.knowledge.source == "texts" and data.knowledge.values.shape[0] == 4


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "--knowledge must be texts or the path of a CSV file .*'nabirds', which has no attributes"),
        ({"knowledge": "texts", "split": "ss", "num_unseen": None}, "split=ss is published only for cub and awa2; .* a CSV"),
    ],
)
def test_what_it_does_not_have_is_one_sentence(archive: Path, asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_dataset("nabirds", archive, **{"num_unseen": 1, **asked})  # type: ignore[arg-type]


def test_a_csv_names_images_as_the_archive_does(archive: Path, tmp_path: Path) -> None:
    data = read_nabirds(archive)
    roles = {0: "trainval", 1: "test_unseen", 2: "trainval", 3: "test_unseen"}
    rows = [f"{path},{roles[int(label)]}" for path, label in zip(data.paths, data.labels, strict=True)]
    (tmp_path / "split.csv").write_text("image,role\n" + "\n".join(rows) + "\n")
    made = load_dataset("nabirds", archive, split=str(tmp_path / "split.csv"), knowledge="texts", max_bad_images=None)
    assert made.split is not None and made.split.unseen.tolist() == [1, 3]


def test_classes_whose_images_are_not_there_can_be_left_out(spoilt: Path) -> None:
    shutil.rmtree(spoilt / "images/0817")
    with pytest.raises(InputError, match="8 of 40 missing, the first '0817/"):
        read_nabirds(spoilt)
    data = read_nabirds(spoilt, "drop")
    assert data.class_names == ("American Kestrel", "Common Loon", "Blue Jay") and len(data.paths) == 32


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("images.txt", "only-an-id\n", "images.txt, line 41 must be an id .* and a path. Received: 'only-an-id'"),
        ("images.txt", "{first} 0001/again.jpg\n", "line 41 must not repeat an id .*. Received: {first}, also on line 1"),
        ("image_class_labels.txt", "unknown 817\n", "line 41 must name an image of images.txt. Received: 'unknown'"),
        ("image_class_labels.txt", "{first} red\n", "line 41 must hold numbers only. Received: '{first} red'"),
        ("image_class_labels.txt", "{first} 817\n", "must have one row for each of 40 images. Received: 41 rows"),
        ("bounding_boxes.txt", "{first} 1 2 nan 4\n", "line 41 must hold finite numbers"),
        ("bounding_boxes.txt", "{first} 1 2 3\n", "line 41 must have a key and 4 numbers. Received: 4 cells"),
        ("parts/part_locs.txt", "{first} 9 1 1 1\n", "part_locs.txt must use only numbers that its archive lists. Received: 9"),
    ],
)
def test_lines_out_of_order_are_named(spoilt: Path, file: str, text: str, sentence: str) -> None:
    first = (spoilt / "images.txt").read_text().split()[0]
    _append(spoilt / file, text.format(first=first))
    with pytest.raises(InputError, match=sentence.format(first=first)):
        read_nabirds(spoilt)


def test_categories_that_the_archive_does_not_list_and_files_that_are_not_there(spoilt: Path) -> None:
    labels = spoilt / "image_class_labels.txt"
    labels.write_text(labels.read_text().replace(" 817\n", " 818\n"))
    with pytest.raises(InputError, match="must use only numbers that its archive lists. Received: 818"):
        read_nabirds(spoilt)
    labels.unlink()
    (spoilt / "classes.txt").unlink()
    with pytest.raises(InputError, match="without classes.txt, image_class_labels.txt."):
        read_nabirds(spoilt)
    shutil.rmtree(spoilt / "images/0817")
    with pytest.raises(InputError, match="without classes.txt, image_class_labels.txt, 8 of 40 images in .*the first '0817"):
        read_nabirds(spoilt)
    with pytest.raises(InputError, match="data_dir must be the folder nabirds with images.txt"):
        read_nabirds(spoilt / "images")


def test_a_label_that_contradicts_its_images_folder(spoilt: Path) -> None:
    labels = spoilt / "image_class_labels.txt"
    labels.write_text(labels.read_text().replace(" 817\n", " 313\n", 1))
    told = r"line \d+ must give the image the category of its folder in images.txt, 817. Received: 313 for '0817/"
    with pytest.raises(InputError, match=told):
        read_nabirds(spoilt)
    listed = spoilt / "images.txt"
    listed.write_text(listed.read_text().replace(" 0817/", " mine/"))  # a folder that is no category's says nothing
    (spoilt / "images/0817").rename(spoilt / "images/mine")
    assert np.bincount(read_nabirds(spoilt).labels).tolist() == [16, 9, 7, 8]


def test_an_archive_of_another_layout_is_not_read(cub: Path) -> None:
    with pytest.raises(InputError, match="images.txt, line 1 must be an id .* and a path. Received: '11 001.Red"):
        read_nabirds(cub / "CUB_200_2011")


def test_boxes_and_parts_belong_to_images_by_id(spoilt: Path) -> None:
    lines = (spoilt / "images.txt").read_text().splitlines()
    image = lines[3].split()[0]
    for name, told in (("bounding_boxes.txt", "7 8 9 10"), ("parts/part_locs.txt", "1 11 12 0")):
        kept = [line for line in (spoilt / name).read_text().splitlines() if not line.startswith((image, f"{image} 1"))]
        (spoilt / name).write_text("\n".join([*reversed(kept), f"{image} {told}"]) + "\n")
    data = read_nabirds(spoilt)
    assert data.boxes is not None and data.boxes[3].tolist() == [7, 8, 9, 10] and data.boxes[2].tolist() == [4, 3, 32, 30]
    assert data.parts is not None and data.parts[3].tolist() == [[0, 0, 0], [11, 12, 0], [0, 0, 0]]


def test_what_is_not_needed_may_be_absent(spoilt: Path) -> None:
    shutil.rmtree(spoilt / "parts")
    for name in ("bounding_boxes.txt", "hierarchy.txt", "train_test_split.txt", "sizes.txt"):
        (spoilt / name).unlink()
    data = read_nabirds(spoilt)
    assert data.boxes is data.parts is None and len(data.paths) == 40


def test_consolidation_by_hand() -> None:
    categories = ["Birds", "Kestrel", "Kestrel (Male)", "Sora", "Kestrel (Female, immature)", "Gull (Adult) (Dark)", "Gull"]
    labels, names = consolidated(categories, np.array([5, 2, 3, 4, 4, 5]))
    assert names == ("Kestrel", "Sora", "Gull")  # no image is of "Birds", "Kestrel" and "Gull" themselves
    assert labels.tolist() == [2, 0, 1, 0, 0, 2]


@pytest.mark.parametrize(
    ("category", "species"),
    [
        ("American Kestrel (Female, immature)", "American Kestrel"),
        ("Blue-winged Teal  (Male)", "Blue-winged Teal"),
        ("Blue-winged  Teal", "Blue-winged Teal"),
        ("Sharp-shinned Hawk (Adult )", "Sharp-shinned Hawk"),
        ("Fox Sparrow (Thick-billed/Slate-colored)", "Fox Sparrow"),
        ("Gull (Adult) (Dark)", "Gull"),
        ("Gull(Adult)", "Gull"),
        ("Gull (Adult", "Gull (Adult"),
    ],
)
def test_species_by_hand(category: str, species: str) -> None:
    assert species_of(category) == species


WORDS = st.lists(st.text("abc-'", min_size=1), min_size=1, max_size=4).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6), st.data())
def test_images_share_a_class_where_their_categories_share_a_species(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    held = np.array(data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=9)), np.int64)
    labels, names = consolidated([f"{name} ({note})" for name, note in pairs], held)
    assert [names[label] for label in labels] == [pairs[place][0] for place in held]
    assert len(set(names)) == len(names) == len(set(labels.tolist()))


@given(st.text("abc -'", min_size=1).map(str.strip).filter(bool), st.lists(st.text("ab ,/", max_size=6), max_size=3))
def test_a_species_is_the_name_without_its_details(name: str, details: list[str]) -> None:
    name = " ".join(name.split())
    assert species_of(name + "".join(f" ({each})" for each in details)) == name
    assert species_of(species_of(name)) == species_of(name)


def test_a_name_that_is_a_detail_alone_stays() -> None:
    assert species_of("(unknown)") == "(unknown)"
