from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.readers.tables import group_of, read_class_table, read_text, rows_of_classes
from niwt_tf.errors import InputError


def table(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "classes.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_values_names_and_groups(tmp_path: Path) -> None:
    read = read_class_table(table(tmp_path, 'class,has_size::small,furry\r\n"ape, great", 0.5 ,-1e1\r\n\r\nbear,1,2\r\n'))
    assert read.class_names == ("ape, great", "bear")
    assert read.knowledge.values.tolist() == [[0.5, -10.0], [1.0, 2.0]]
    assert read.knowledge.names == ("has_size::small", "furry")
    assert read.knowledge.groups == ("size", "")


def test_a_header_may_have_capitals_and_what_nobody_sees(tmp_path: Path) -> None:
    read = read_class_table(table(tmp_path, "\u200bClass , fur\u200b\nape,1\n"))
    assert (read.class_names, read.knowledge.names) == (("ape",), ("fur",))


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert read_class_table(table(tmp_path, b"\xef\xbb\xbfclass,a\nape,1\n")).class_names == ("ape",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("class,a\n", "only a header"),
        ("name,a\nape,1\n", "line 1 must have 'class' as its first column.*Received: 'name'"),
        ("a,class\n1,ape\n", r"it is a later column"),
        ("class\nape\n", "at least one attribute column"),
        ("class,a,\nape,1,2\n", "empty name for column 3"),
        ("class,a,a\nape,1,2\n", "'a' twice"),
        ("class,a,A\nape,1,2\n", "line 1 must name each column once. Received: 'a' and 'A', nearly the same name"),
        ("class,Class,a\nape,1,2\n", "'class' twice"),
        ("class,a\u202eb\nape,1\n", "line 1: the name of column 2 must not contain marks of text direction"),
        ("class,a\x1b[31m\nape,1\n", "line 1: the name of column 2 must be one line without control characters"),
        ("class,a\nape,1\nape,2\n", "line 3 must name a new class. Received: 'ape', also on line 2"),
        ("class,a\nape,1,2\n", "line 2 must have 2 cells.*Received: 3"),
        ("class,a,b\nape,1,2\nbear,1\n", "line 3 must have 3 cells.*Received: 2"),
        ("class,a\n,1\n", "line 2 must name its class"),
        ("class,a,b\nape,1,much\n", "line 2, column 'b' must be a finite number. Received: 'much'"),
        ("class,a\nape,NaN\n", "column 'a' must be a finite number in some row"),
        ("class,a\nape,-inf\n", "finite number. Received: '-inf'"),
        ("class,a\nape,1e39\n", "finite number. Received: '1e39'"),
        ("class,a\nape,1_0\n", "finite number. Received: '1_0'"),
        ("class,a\nape,\n", "column 'a' must be a finite number in some row. Received: an empty cell in each"),
        ('class,a\n"ape,1\n', "valid CSV"),
        (b"class,a\nape\x00,1\n", "binary data"),
        (b"\x89PNG\r\n\x1a\n\xff\xd8", "UTF-8"),
    ],
)
def test_one_sentence_for_each_fault(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = table(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_class_table(path)
    assert str(path) in str(caught.value)


def test_absent_file_and_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_class_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="readable file"):
        read_class_table(tmp_path)


def test_a_text_is_no_binary_file(tmp_path: Path) -> None:
    (tmp_path / "owl.txt").write_bytes(b"PK\x03\x04\0\0")
    with pytest.raises(InputError, match=r"owl.txt must be a text file. Received: binary data."):
        read_text(tmp_path / "owl.txt")


def test_rows_follow_the_classes_and_a_class_without_one_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "class,a\nbear,2\nape,1\ncat,3\n")
    read = read_class_table(path)
    assert rows_of_classes(path, read, ("ape", "bear")).values.tolist() == [[1], [2]]
    with pytest.raises(InputError, match="none for 'beer'. Did you mean 'bear'"):
        rows_of_classes(path, read, ("ape", "beer"))


def test_groups() -> None:
    assert [group_of(name) for name in ("has_wing_color::blue", "size::big", "furry")] == ["wing_color", "size", ""]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = table(tmp_path_factory.mktemp("junk"), b"class,a\n" + content)
    try:
        read_class_table(path)
    except InputError as error:
        assert str(path) in str(error)
