"""Texts of classes from a folder and from a CSV, and what is refused."""

from __future__ import annotations

import pytest

from niwt_tf.data.readers.class_texts import MOST_WORDS, check_class_texts, read_class_texts
from niwt_tf.errors import InputError


def _csv(folder, *rows):
    path = folder / "classes.csv"
    path.write_text("\n".join(("class,text", *rows)) + "\n", encoding="utf-8")
    return path


def test_a_table_and_a_folder_say_the_same(tmp_path):
    table = read_class_texts(_csv(tmp_path, 'wren,"small, brown"', "owl,large"))
    assert (table.names, table.texts, table.values.shape) == (("wren", "owl"), ("small, brown", "large"), (2, 0))
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "wren.txt").write_text("small, brown\n")
    (folder / "owl.txt").write_text("\ufefflarge", encoding="utf-8")
    (folder / "notes.md").write_text("not a class")
    found = read_class_texts(folder)
    assert (found.names, found.texts) == (("owl", "wren"), ("large", "small, brown"))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (("a,red",), "must describe at least 2 classes. Received: only one class, 'a'"),
        ((), "must describe at least 2 classes. Received: no class"),
        (("a,red", "b,"), "must have a text for each class. Received: none for 'b'"),
        (("a,red bird", "b,Red  bird"), "must have a different text for each class. Received: the same text for 'a' and 'b'"),
        (("a,red", "a,blue"), "line 3 must name a new class. Received: 'a', also on line 2"),
        ((",red", "b,blue"), "line 2 must name a class. Received: an empty cell"),
        (("a," + "red " * (MOST_WORDS + 1), "b,blue"), "in at most 2000 words. Received: 2001 for 'a'"),
    ],
)
def test_rows_that_are_not_in_order_are_refused(tmp_path, rows, sentence):
    with pytest.raises(InputError, match=sentence):
        read_class_texts(_csv(tmp_path, *rows))


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"wren": "red", "wren ": "blue"}, "a name that differs in more than case.*'wren' twice"),
        ({"wren": "red", " ": "blue"}, "its own name. Received: ''"),
        ({"wren": "red", "owl": 5}, "must give a text by the name of each class. Received: 5"),
        ({"wren": "red", 5: "blue"}, "must give a text by the name of each class. Received: 5"),
    ],
)
def test_names_and_texts_from_python_are_checked(texts, sentence):
    with pytest.raises(InputError, match=sentence):
        check_class_texts(texts, "texts")


def test_places_that_hold_no_descriptions_are_refused(tmp_path):
    with pytest.raises(InputError, match="with a file <class>.txt for each class"):
        read_class_texts(tmp_path)
    with pytest.raises(InputError, match="which does not exist"):
        read_class_texts(tmp_path / "nowhere")
    (tmp_path / "other.csv").write_text("name,words\na,red\n")
    with pytest.raises(InputError, match="line 1 must be the header class,text. Received: 'name,words'"):
        read_class_texts(tmp_path / "other.csv")
