from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data.readers.annotations import per_image, read_boxes, read_parts
from niwt_tf.data.readers.tables import read_keyed_names, read_keyed_numbers
from niwt_tf.errors import InputError

IDS = ("c", "a", "b")


def read_rows(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray]:
    keys, values = read_keyed_numbers(path, columns)
    return np.array([IDS.index(key) for key in keys], np.int64), values


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_come_in_the_order_of_the_images(tmp_path: Path) -> None:
    table = write(tmp_path / "bounding_boxes.txt", "a 1 2 3 4\nb 5 6 7 8\nc 9 10 11.5 12\n")
    boxes = read_boxes(table, read_rows, 3)
    assert boxes is not None and boxes.dtype == np.float32
    assert boxes.tolist() == [[9, 10, 11.5, 12], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert read_boxes(tmp_path / "none.txt", read_rows, 3) is None


@pytest.mark.parametrize("text", ["a 1\nb 2\n", "a 1\nb 2\nb 3\n"])
def test_each_image_must_have_one_row(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="labels.txt must have one row for each of 3 images. Received: "):
        per_image(write(tmp_path / "labels.txt", text), 2, read_rows, 3)


def test_a_part_without_a_row_is_not_visible(tmp_path: Path) -> None:
    assert read_parts(tmp_path, read_rows, 3) == (None, ())
    write(tmp_path / "parts.txt", "0 bill\n1 left eye\n")
    table = write(tmp_path / "part_locs.txt", "b 1 30 40 1\na 0 10 20 1\n")
    parts, names = read_parts(tmp_path, read_rows, 3)
    assert names == ("bill", "left eye") and parts is not None
    assert parts.tolist() == [[[0, 0, 0], [0, 0, 0]], [[10, 20, 1], [0, 0, 0]], [[0, 0, 0], [30, 40, 1]]]
    write(table, "b 2 30 40 1\n")
    with pytest.raises(InputError, match="part_locs.txt must use only numbers that its archive lists. Received: 2"):
        read_parts(tmp_path, read_rows, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\n", "line 1 must have a key and 1 number. Received: 3 cells"),
        ("\na 1\nb wide\n", "line 3 must hold numbers only. Received: 'b wide'"),
        ("a nan\n", "line 1 must hold finite numbers. Received: 'a nan'"),
    ],
)
def test_faults_of_a_table_with_keys(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_keyed_numbers(write(tmp_path / "table.txt", text), 2)


def test_names_by_a_key(tmp_path: Path) -> None:
    path = write(tmp_path / "list.txt", "b second one\n\na\tfirst\n")
    assert read_keyed_names(path, str, "a letter", "a name") == {"b": "second one", "a": "first"}
    for text, message in (
        ("b\n", "line 1 must be a letter and a name. Received: 'b'"),
        ("b one\nb two\n", "line 2 must not repeat a letter. Received: b, also on line 1"),
        ("", "must list at least one name. Received: an empty file"),
    ):
        with pytest.raises(InputError, match=message):
            read_keyed_names(write(path, text), str, "a letter", "a name")
