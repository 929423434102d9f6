"""What is one name and what is two, and names with commas in lists."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from niwt_tf.config.settings import SETTINGS
from niwt_tf.data.class_names import alike, check_apart, check_name, listed_names, places_of, plain_name
from niwt_tf.data.readers.class_texts import read_class_texts
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.readers.tables import read_class_table
from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.errors import InputError

SAME = (
    "moss wren", "MOSS WREN", " Moss  Wren ", "Moss\u00a0Wren", "Moss\u200bWren", "Mo\u00adss Wren", "\ufeffMoss Wren",
    "Moss\u2009Wren", "Moss\tWren", "Ｍoss Wren", "Moss\u200dWren",
    "Moss\ufe0f Wren", "Moss\u034f Wren", "Moss\u3164Wren", "Moss Wren\U000e0100",
)  # fmt: skip
OTHER = ("Moss Wrens", "Moss-Wren", "Móss Wren", "Wren, Moss", "Moss Wren 2")


@pytest.mark.parametrize("name", SAME)
def test_one_name(name):
    assert alike(name, ["Owl", "Moss Wren"]) == "Moss Wren"


@pytest.mark.parametrize("name", OTHER)
def test_another_name(name):
    assert alike(name, ["Owl", "Moss Wren"]) is None


def test_letters_that_are_written_in_two_ways():
    assert plain_name("e\u0301mu") == "\u00e9mu"
    assert alike("e\u0301mu", ["\u00c9mu"]) is not None
    assert alike("stra\u00dfe", ["STRASSE"]) is not None
    assert plain_name(" Moss\u00a0\u200b Wren ") == "Moss Wren"
    assert plain_name("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"
    assert plain_name("\u00a0\u200b ") == ""


REFUSED = {
    "": "have 1 to 200 characters", "\u200b ": "have 1 to 200 characters", "x" * 201: "have 1 to 200 characters",
    "a\0b": "one line without control characters. Received: 'a\\\\x00b'", "two\nlines": "one line",
    "tab\there": "one line",
    "\x1b[31mred": "one line", "a\u2028b": "one line", "a\x85b": "one line",
    "half \ud83e": "UTF-8 text", "caf\udce9": "be UTF-8 text, which this is not: give it another name", "a\x7fb": "one line",
    "\u202egnp.exe": "not contain marks of text direction. Received: '\\\\u202egnp.exe'", "\u2066abc\u2069": "marks",
    "a\u200fb": "marks",
    "\u200d": "a visible character", "\u3164": "visible character", "\u2800 \u0301": "visible character",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_name_is_refused_on_every_way_in(name, tmp_path):
    sentence = REFUSED[name]
    with pytest.raises(InputError, match=f"^name must .*{sentence}"):
        check_name(name)
    with pytest.raises(InputError, match=f"Dataset.class_names: the name of a class must .*{sentence}"):
        Dataset("folder", tmp_path, (), np.zeros(0), ("Owl", name), Knowledge(np.eye(2), ("p", "q"), ("", "")))
    if not plain_name(name) or "UTF-8" in sentence:  # a table cannot hold it
        return
    table = tmp_path / "classes.csv"
    numbers, texts = [["class", "p"], [name, 1], ["Owl", 2]], [["class", "text"], [name, "x"]]
    for read, rows in ((read_class_table, numbers), (read_class_texts, texts)):
        with open(table, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        with pytest.raises(InputError, match=f"classes.csv, line [2-3]: the name of a class must .*{sentence}|binary data"):
            read(table)


@pytest.mark.parametrize(
    "name", ["x" * 200, "Owl, great", "عنقاء 🐦", "👨\u200d👩\u200d👧", "क्\u200dष", "=1+1", "../x", "-1", "\u0301a"]
)
def test_what_is_a_name(name):
    check_name(name)


def test_what_looks_the_same_is_written_out():
    with pytest.raises(InputError, match=r"cards must give .* Received: 'Moss Wren' and 'Moss\\xa0Wren'\."):
        check_apart(["Moss Wren", "Moss\u00a0Wren"], "cards")
    with pytest.raises(InputError, match="Received: 'Owl' and 'owl'"):
        check_apart(["Owl", "owl"], "cards")


KNOWN = ("Owl", "Wren, moss", "a,b", "b", "Owl, great, grey")


@pytest.mark.parametrize(
    ("flag", "places"),
    [("Owl", [0]), ("Wren, moss", [1]), ("b,Wren, moss,Owl", [3, 1, 0]), ("Wren,moss", [1]), ("a,b", [2]), 
     ('"Owl, great, grey",Owl', [4, 0]), ('"Wren, moss",b', [1, 3]), (' Owl , b ', [0, 3])],
)  # fmt: skip
def test_names_with_commas_in_a_list(flag, places):
    option = next(each for each in SETTINGS if each.name == "unseen")
    assert places_of(option.parse(flag), KNOWN, "unseen must name classes") == places


def test_lists_are_read_as_they_are_written():
    option = next(each for each in SETTINGS if each.name == "unseen")
    assert option.parse(listed_names(KNOWN)) == KNOWN


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [(["owl"], "Did you mean 'Owl'"), (["Owl", "Owl"], "each class once"), (["Wren", "b"], "Received: 'Wren'")],
)
def test_names_that_are_not_known(wanted, sentence):
    with pytest.raises(InputError, match=sentence):
        places_of(wanted, KNOWN, "unseen must name classes")


@pytest.mark.parametrize("other", ["Cat", "CAT", "\u00a0cat", "ca\u200bt"])
def test_every_table_and_data_set_refuses_two_of_one_name(tmp_path, other):
    table = tmp_path / "classes.csv"
    table.write_text(f"class,fur\ncat,1\n{other},0\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 3 must name a new class"):
        read_class_table(table)
    table.write_text(f"class,text\ncat,red\n{other},blue\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 3 must name a new class"):
        read_class_texts(table)
    with pytest.raises(InputError, match="class_names must give each class a name"):
        names = ("cat", other.strip("\u00a0\u200b"))
        names = names if names[1] != "cat" else ("cat", "Cat")
        Dataset("mine", tmp_path, (), np.zeros(0), names, Knowledge(np.zeros((2, 1)), ("fur",), ("",)))


def test_folders_are_found_by_the_same_rule(tmp_path):
    (tmp_path / "classes.csv").write_text("class,fur\nMoss wren,1\nOwl,0\n", encoding="utf-8")
    for folder in ("Moss\u00a0wren", "Owl"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / folder / "a.png")
    assert read_folder(tmp_path).class_names == ("Moss wren", "Owl")
    (tmp_path / "images" / "Moss wren").mkdir()
    with pytest.raises(InputError, match="differs in more than case, blanks or invisible characters"):
        read_folder(tmp_path)


def test_a_list_of_names_is_read_as_it_was_written():
    names = ('5" gull', '"Big" owl', "owl, barn", "None")
    option = next(option for option in SETTINGS if option.name == "unseen")
    assert option.parse(listed_names(names)) == names
    assert option.parse(listed_names(names[3:])) == names[3:]
