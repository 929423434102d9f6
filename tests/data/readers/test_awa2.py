from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from niwt_tf.data.readers.awa2 import read_awa2, read_awa2_classes
from niwt_tf.errors import InputError


@pytest.mark.parametrize("inner", ["", "Animals_with_Attributes2"])
def test_images_and_predicates_with_a_missing_value_filled(awa2: Path, inner: str) -> None:
    data = read_awa2(awa2 / inner)
    assert data.class_names == ("antelope", "grizzly+bear", "pig", "rat")
    assert data.paths[3] == "grizzly+bear/grizzly+bear_10001.jpg"
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert data.knowledge.values[0].tolist() == [30, 5, 1]  # (30 + 60 + 0) / 3 stands for the missing one
    assert data.knowledge.groups == ("", "", "")
    assert read_awa2(awa2, binary=True).knowledge.values[0].tolist() == [0, 1, 0]


def test_classes_without_images(awa2: Path) -> None:
    images = awa2 / "Animals_with_Attributes2/JPEGImages"
    shutil.rmtree(images / "grizzly+bear")
    for image in (images / "rat").iterdir():
        image.unlink()
    with pytest.raises(InputError, match="none for 2 of 4 classes, the first 'grizzly"):
        read_awa2(awa2)
    data = read_awa2(awa2, missing_images="drop")
    assert data.class_names == ("antelope", "pig")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.knowledge.values[1].tolist() == [60, 1, 3]
    shutil.rmtree(images)
    for policy in ("error", "drop"):
        with pytest.raises(InputError, match="none for any of 4 classes"):
            read_awa2(awa2, policy)


def test_faults(awa2: Path) -> None:
    matrix = awa2 / "Animals_with_Attributes2/predicate-matrix-continuous.txt"
    matrix.write_text("1 2 3\n1 2\n")
    with pytest.raises(InputError, match="line 2 must have 3 numbers"):
        read_awa2(awa2)
    matrix.write_text("1 2 3\n")
    with pytest.raises(InputError, match="one row for each of 4 classes. Received: 1"):
        read_awa2(awa2)


def test_all_that_an_archive_lacks_is_told_at_once(awa2: Path) -> None:
    official = awa2 / "Animals_with_Attributes2"
    for name in ("predicates.txt", "predicate-matrix-continuous.txt"):
        (official / name).unlink()
    shutil.rmtree(official / "JPEGImages/pig")
    told = (
        r"Animals_with_Attributes2 must hold the complete archive. Received: one without predicates.txt, "
        r"predicate-matrix-continuous.txt, images of 1 of 4 classes in JPEGImages/ \(the first 'pig'\)\.$"
    )
    with pytest.raises(InputError, match=told):
        read_awa2(awa2)
    with pytest.raises(InputError, match="one without predicates.txt, images of 1"):
        read_awa2(awa2, binary=True)
    for name in ("classes.txt", "predicate-matrix-binary.txt"):
        (official / name).unlink()
    with pytest.raises(InputError, match="must be the folder Animals_with_Attributes2"):
        read_awa2(awa2)


def test_an_image_that_is_called_after_another_class(awa2: Path) -> None:
    images = awa2 / "Animals_with_Attributes2/JPEGImages"
    (images / "pig/my_own.jpg").touch()  # says nothing
    read_awa2(awa2)
    (images / "pig/grizzly+bear_10004.jpg").touch()
    told = r"pig/grizzly\+bear_10004.jpg must be an image of the class .*'pig'. Received: a file that names 'grizzly\+bear'"
    with pytest.raises(InputError, match=told):
        read_awa2(awa2)


@pytest.mark.real_data
def test_real_metadata(shared_data: Path) -> None:
    for binary in (False, True):
        names, knowledge = read_awa2_classes(shared_data / "awa2", binary)
        assert (len(names), knowledge.values.shape) == (50, (50, 85))
        assert 0 <= knowledge.values.min() <= knowledge.values.max() <= (1 if binary else 100)
    with pytest.raises(InputError, match="none for any of 50 classes"):
        read_awa2(shared_data / "awa2", missing_images="drop")
