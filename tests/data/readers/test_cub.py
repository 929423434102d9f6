from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.readers.cub import read_cub
from niwt_tf.errors import InputError


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("inner", ["", "CUB_200_2011"])
def test_everything_belongs_together_by_image_id(cub: Path, inner: str) -> None:
    data = read_cub(cub / inner)
    assert data.class_names == ("001.Red_Finch", "002.Blue_Wren", "003.Clarks_Tern", "004.Grey_Owl")
    assert data.paths[3] == "002.Blue_Wren/bird_1_21.jpg"
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert data.boxes is not None and data.parts is not None and data.image_attributes is not None
    assert data.boxes[3].tolist() == [21, 2, 30, 40]
    assert data.part_names == ("back", "left eye")
    assert data.parts[3].tolist() == [[21.5, 1, 0], [21.5, 2, 1]]
    assert data.image_attributes.tolist() == [[1, 0]] * 12
    assert data.knowledge.values[1].tolist() == [50, 25]
    assert data.knowledge.groups == ("bill_shape", "size")
    assert (data.root / data.paths[0]).is_file()


def test_captions_are_matched_by_class_number(cub: Path) -> None:
    captions = read_cub(cub).captions
    assert captions is not None
    assert captions[7] == ("a clarks bird with wings.", "this bird is clarks.")
    (cub / "text_c10/001.Red_Finch/bird_1_11.txt").unlink()
    captions = read_cub(cub).captions
    assert captions is not None and captions[0] == ()


def test_optional_files_may_be_absent(cub: Path) -> None:
    for path in ("text_c10", "CUB_200_2011/parts"):
        shutil.rmtree(cub / path)
    (cub / "CUB_200_2011/bounding_boxes.txt").unlink()
    (cub / "CUB_200_2011/attributes/image_attribute_labels.txt").unlink()
    shutil.move(cub / "attributes.txt", cub / "CUB_200_2011/attributes.txt")
    data = read_cub(cub)
    assert data.boxes is data.parts is data.captions is data.image_attributes is None


def test_missing_images_are_an_error_or_dropped_with_their_classes(cub: Path) -> None:
    images = cub / "CUB_200_2011/images"
    shutil.rmtree(images / "001.Red_Finch")
    (images / "002.Blue_Wren/bird_2_22.jpg").unlink()
    with pytest.raises(InputError, match="missing_images=drop.*4 of 12 missing, the first '001.Red_Finch/bird_1_11.jpg'"):
        read_cub(cub)
    data = read_cub(cub, missing_images="drop")
    assert data.class_names == ("002.Blue_Wren", "003.Clarks_Tern", "004.Grey_Owl")
    assert data.labels.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert data.knowledge.values[:, 0].tolist() == [50, 10, 75.5]
    assert data.boxes is not None and data.boxes[:, 0].tolist() == [21, 23, 31, 32, 33, 41, 42, 43]
    assert data.captions is not None and data.captions[-1][1] == "this bird is grey."
    shutil.rmtree(images)
    with pytest.raises(InputError, match="Received: none .0 of"):
        read_cub(cub, missing_images="drop")
    with pytest.raises(InputError, match="missing_images must be one of error, drop. Received: 'dorp'. Did you mean 'drop'"):
        read_cub(cub, missing_images="dorp")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("images.txt", "11 001", "x 001", "images.txt, line 1 must be a number and a name"),
        ("images.txt", "12 001", "11 001", "images.txt, line 2 must not repeat a number. Received: 11, also on line 1"),
        ("image_class_labels.txt", "43 4", "43 9", "image_class_labels.txt must use only numbers.*Received: 9"),
        (
            "image_class_labels.txt",
            "43 4\n",
            "",
            "image_class_labels.txt must have one row for each of 12 images. Received: 11",
        ),
        ("image_class_labels.txt", "43 4", "42 4", "one row for each of 12 images"),
        ("bounding_boxes.txt", "43 43.0", "43 wide", "bounding_boxes.txt, line 1 must hold numbers only"),
        ("bounding_boxes.txt", "43 43.0 2.0", "43 43.0", "line 1 must have 5 numbers. Received: 4"),
        ("parts/part_locs.txt", "11 2", "11 7", "part_locs.txt must use only numbers.*Received: 7"),
        ("attributes/class_attribute_labels_continuous.txt", "50.0", "nan", "line 2 must hold finite numbers"),
        ("attributes/class_attribute_labels_continuous.txt", "50.0 25.0\n", "", "one row for each of 4 classes. Received: 3"),
        ("attributes/image_attribute_labels.txt", "11 1 1", "11 one 1", "must hold rows of image, attribute and 0 or 1"),
        ("attributes/image_attribute_labels.txt", "11 1 1", "99 1 1", "must use only numbers.*Received: 99"),
    ],
)
def test_one_sentence_for_each_fault(cub: Path, file: str, old: str, new: str, message: str) -> None:
    edit(cub / "CUB_200_2011" / file, old, new)
    with pytest.raises(InputError, match=message):
        read_cub(cub)


def test_all_that_an_archive_lacks_is_told_at_once(cub: Path, tmp_path: Path) -> None:
    (cub / "attributes.txt").unlink()
    with pytest.raises(InputError, match=r"CUB_200_2011 must hold the complete.*one without attributes.txt in it or"):
        read_cub(cub)
    (cub / "CUB_200_2011/image_class_labels.txt").unlink()
    shutil.rmtree(cub / "CUB_200_2011/images/003.Clarks_Tern")
    told = (
        r"one without image_class_labels.txt, attributes.txt in it or next to it, 3 of 12 images in .*images "
        r"\(the first '003.Clarks_Tern/bird_1_31.jpg'\)\.$"
    )
    with pytest.raises(InputError, match=told):
        read_cub(cub)
    with pytest.raises(InputError, match=r"one without image_class_labels.txt, attributes.txt in it or next to it\.$"):
        read_cub(cub, missing_images="drop")
    (cub / "CUB_200_2011/images.txt").unlink()
    with pytest.raises(InputError, match="one without images.txt, image_class_labels.txt, attributes.txt"):
        read_cub(cub)
    with pytest.raises(InputError, match="data_dir must be the folder CUB_200_2011 with images.txt, or the folder that holds"):
        read_cub(cub / "text_c10")
    with pytest.raises(InputError, match="no such folder"):
        read_cub(tmp_path / "none")


def test_files_that_hold_nothing(cub: Path) -> None:
    (cub / "CUB_200_2011/classes.txt").write_text("\n")
    with pytest.raises(InputError, match="classes.txt must list at least one name"):
        read_cub(cub)
    (cub / "CUB_200_2011/classes.txt").write_bytes(b"1 \xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_cub(cub)


def test_a_label_that_contradicts_its_images_folder_is_named_with_its_line(cub: Path) -> None:
    labels = cub / "CUB_200_2011/image_class_labels.txt"
    edit(labels, "22 2\n", "\n22 3\n")
    told = (
        r"image_class_labels.txt, line 9 must give image 22 the class of its folder in images.txt, '002.Blue_Wren'. "
        r"Received: '003.Clarks_Tern' for '002.Blue_Wren/bird_2_22.jpg'"
    )
    with pytest.raises(InputError, match=told):
        read_cub(cub)


def test_folders_that_are_no_classs_say_nothing_of_labels(cub: Path) -> None:
    images = cub / "CUB_200_2011/images"
    (images / "002.Blue_Wren").rename(images / "mixed")
    listing = cub / "CUB_200_2011/images.txt"
    listing.write_text(listing.read_text().replace("002.Blue_Wren", "mixed"))
    assert read_cub(cub).labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_captions_of_what_the_archive_does_not_list_are_counted(cub: Path, caplog: pytest.LogCaptureFixture) -> None:
    (cub / "text_c10/009.Emu").mkdir()
    for name in ("001.Red_Finch/bird_9_99.txt", "001.Red_Finch/bird_8_98.txt", "009.Emu/emu.txt"):
        (cub / "text_c10" / name).write_text("a bird.\n")
    shutil.rmtree(cub / "CUB_200_2011/images/004.Grey_Owl")
    captions = read_cub(cub, missing_images="drop").captions
    assert captions is not None and captions[0] == ("a red bird with wings.", "this bird is red.")
    assert "captions of 1 classes that the data set does not have; they are not used, the first '009.Emu'" in caplog.text
    assert "captions of 2 images that the data set does not list" in caplog.text and "bird_8_98.txt" in caplog.text
    assert "Grey_Owl" not in caplog.text  # listed, though its images are not there


@pytest.mark.real_data
def test_real_files(shared_data: Path) -> None:
    with pytest.raises(InputError, match="11245 of 11788 missing"):
        read_cub(shared_data / "cub")
    data = read_cub(shared_data / "cub", missing_images="drop")
    assert (len(data.paths), len(data.class_names), data.knowledge.values.shape) == (543, 10, (10, 312))
    assert data.captions is not None and all(len(sentences) == 10 for sentences in data.captions)
    assert data.parts is not None and data.parts.shape == (543, 15, 3)
    assert data.boxes is not None and (data.boxes[:, 2:] > 0).all()
    assert data.knowledge.values.min() >= 0 and data.knowledge.values.max() <= 100
    assert np.bincount(data.labels).tolist() == [60, 60, 58, 60, 44, 41, 53, 48, 59, 60]
