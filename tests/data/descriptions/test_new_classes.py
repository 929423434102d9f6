from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.data.descriptions.new_classes import Entry, described, described_in_words, read_description
from niwt_tf.data.descriptions.tfidf import Words
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError

NAMES, GROUPS = ("black", "stripes", "legs", "size::big"), ("", "", "", "size")
SEEN = Knowledge(np.array([[0, 1, 2, 3], [10, 1, 4, 9]], np.float32), NAMES, GROUPS)
JSON = '{\n "black": 0.5,\n "stripes": 1,\n "legs": 4,\n "size::big": -3\n}\n'
CSV = "attribute,value\nblack,0.5\nstripes,1\n\nlegs,4\nsize::big,-3\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(("name", "text"), [("owl.json", JSON), ("owl.csv", CSV), ("owl", JSON), ("owl.txt", CSV)])
def test_a_file_gives_the_attributes_in_the_bundles_order(tmp_path, name, text):
    read = read_description(write(tmp_path, name, text), SEEN)
    assert read.values.tolist() == [0.5, 1, 4, -3]
    assert read.values.dtype == np.float32
    assert (read.text, read.notes) == ("", ())


def test_a_cell_that_says_nothing_is_like_an_attribute_that_is_not_named(tmp_path):
    path = write(tmp_path, "owl.csv", CSV.replace("legs,4", "legs,n/a").replace("attribute,value", "Attribute,Value"))
    read = read_description(path, SEEN, missing="mean")
    assert read.values[[0, 1, 3]].tolist() == [0.5, 1, -3]
    assert read.notes[0] == "1 attributes get the mean of the seen classes: legs."


def test_byte_order_mark_blanks_and_composed_names(tmp_path):
    seen = Knowledge(np.ones((2, 1)), ("höhe",), ("",))
    read = read_description(write(tmp_path, "a.csv", "\ufeffattribute, value\r\nho\u0308he , 2\r\n"), seen)
    assert read.values.tolist() == [2]
    assert read_description(write(tmp_path, "a.json", '\ufeff{"ho\\u0308he": 3}'), seen).values.tolist() == [3]


JSON_MISTAKES = {
    "an unknown one": (JSON.replace("stripes", "strips"),
        "line 3 must name one of the bundle's 4 attributes. Received: 'strips', "
                       "unknown, and none for 'stripes'. Did you mean 'stripes'?"),
    "a missing one": (JSON.replace(' "legs": 4,\n', ""),
        "owl must name every one of the bundle's 4 attributes. Received: none for "
                      "'legs'; with missing=mean they get the mean of the seen classes."),
    "nothing": ("{}",
        "must name every one of the bundle's 4 attributes. Received: none for 'black', 'stripes', 'legs' and 1 more."),
    "many unknown": ('{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}',
        "Received: 'a', 'b', 'c' and 2 more, unknown, and none for 'black'"),
    "twice": (JSON.replace("legs", "black"), "line 4 must name each attribute once. Received: 'black' again."),
    "twice in two spellings": (JSON.replace("legs", "bl\\u0061ck"), "line 4 must name each attribute once. Received: 'black'"),
    "NaN": (JSON.replace("4,", "NaN,"), "line 4, 'legs' must be a finite number. Received: nan."),
    "infinity": (JSON.replace("4,", "-Infinity,"), "line 4, 'legs' must be a finite number. Received: -inf."),
    "too large": (JSON.replace("4,", "1e39,"), "line 4, 'legs' must be a finite number. Received: 1e+39."),
    "a huge integer": (JSON.replace("4,", "9" * 400 + ","), "line 4, 'legs' must be a finite number. Received: 999"),
    "an integer of too many digits": (JSON.replace("4,", "9" * 5000 + ","),
        "must be a JSON object of numbers. Received: Exceeds"),
    "text": (JSON.replace("4,", '"4",'), "line 4, 'legs' must be a finite number. Received: \"4\"."),
    "true": (JSON.replace("4,", "true,"), "line 4, 'legs' must be a finite number. Received: true."),
    "null": (JSON.replace("4,", "null,"), "line 4, 'legs' must be a finite number. Received: null."),
    "a list": (JSON.replace("4,", "[4],"), "line 4, 'legs' must be a finite number. Received: a list."),
    "an object": (JSON.replace("4,", '{"a":\n1},'), "line 4, 'legs' must be a finite number. Received: an object."),
    "a list of all": ("[1, 2, 3, 4]", "must be a JSON object of attributes' values. Received: a list."),
    "a number alone": ("7", "must be a JSON object of attributes' values. Received: 7."),
    "no JSON": (JSON.replace("4,", "4"), "line 5 must be JSON. Received: Expecting ',' delimiter."),
    "nesting without end": ('{"black":' + "[" * 100_000, "must be a JSON object of numbers. Received: "),
    "empty": ("", "line 1 must be JSON. Received: Expecting value."),
    "not UTF-8": (b'{"black": "\xff"}', "must be UTF-8 text: save it again as UTF-8. Received: another encoding on line 1."),
}  # fmt: skip


@pytest.mark.parametrize("mistake", JSON_MISTAKES)
def test_json_mistakes(tmp_path, mistake):
    text, sentence = JSON_MISTAKES[mistake]
    path = write(tmp_path, "owl.json", text)
    with pytest.raises(InputError) as raised:
        read_description(path, SEEN)
    assert sentence in str(raised.value).replace("owl.json", "owl")
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 500


CSV_MISTAKES = {
    "a header of a table": ("class,black\nowl,1\n",
        "line 1 must be attribute,value. Received: 'class,black'; give a table with a row "),
    "no header": ("black,0.5\n", "line 1 must be attribute,value. Received: 'black,0.5'."),
    "text": (CSV.replace("legs,4", "legs,four"), "line 5, column 'value' must be a finite number. Received: 'four'."),
    "NaN": (CSV.replace("legs,4", "legs,nan"), "line 5, column 'value' must be a finite number. Received: 'nan'."),
    "an empty cell": (CSV.replace("legs,4", "legs,"),
        "line 5, column 'value' must be a finite number. Received: an empty cell."),
    "three cells": (CSV.replace("legs,4", "legs,4,5"), "line 5 must have 2 cells like the header. Received: 3."),
    "twice": (CSV.replace("legs", "black"), "line 5 must name each attribute once. Received: 'black' again."),
    "unknown": (CSV.replace("legs", "lgs"),
        "line 5 must name one of the bundle's 4 attributes. Received: 'lgs', unknown, and none "
                "for 'legs'. Did you mean 'legs'?"),
    "empty": ("", "must have a header line. Received: an empty file."),
}  # fmt: skip


@pytest.mark.parametrize("mistake", CSV_MISTAKES)
def test_csv_mistakes(tmp_path, mistake):
    text, sentence = CSV_MISTAKES[mistake]
    with pytest.raises(InputError) as raised:
        read_description(write(tmp_path, "owl.csv", text), SEEN)
    assert sentence in str(raised.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="must be a file. Received: no such file"):
        read_description(tmp_path / "owl.json", SEEN)
    with pytest.raises(InputError, match="must be a readable file"):
        read_description(tmp_path, SEEN)


def test_missing_attributes_take_the_mean_and_are_named(tmp_path):
    read = read_description(write(tmp_path, "owl.json", '{"legs": 5, "stripes": 0}'), SEEN, missing="mean")
    assert read.values.tolist() == [5, 0, 5, 6]
    assert read.notes == ("2 attributes get the mean of the seen classes: black, size::big.",)
    with pytest.raises(InputError, match="none for 'black', 'stripes', 'legs' and 1 more.$"):
        described([], SEEN, "it", "mean")
    with pytest.raises(InputError, match="missing must be one of error, mean. Received: 'median'"):
        described([], SEEN, "it", "median")
    nothing = Knowledge(np.zeros((0, 4)), SEEN.names, SEEN.groups)
    with pytest.raises(InputError, match="missing=mean needs seen classes with descriptions"):
        described([Entry("legs", 1.0, "it")], nothing, "it", "mean")


@pytest.mark.parametrize(("factor", "doubtful"), [(1, False), (0.2, False), (0.05, True), (20, True)])
def test_other_units_are_doubted(factor, doubtful):
    entries = [Entry(name, 10.0 * factor, "it") for name in SEEN.names]
    notes = described(entries, SEEN, "owl.json").notes
    assert bool(notes) == doubtful
    assert all("another unit" in note for note in notes)


def test_a_text_in_the_words_of_attributes():
    read = described_in_words("  black, no stripes ", SEEN)
    assert read.values.tolist() == [10, 1, 3, 6]
    assert read.text == "black, no stripes"
    assert "understood black; denied stripes" in read.notes[0]
    with pytest.raises(InputError, match="nothing is understood"):
        described_in_words("a purple cow", SEEN)


def test_a_text_in_the_words_of_captions():
    words = Words.fit(["a red bird", "a blue owl", "a red owl"], 2)
    seen = Knowledge(words(["a red bird", "a blue owl", "a red owl"]), words.names, ("", ""), source="captions")
    read = described_in_words("The red bird of paradise", seen, words)
    np.testing.assert_array_equal(read.values, words(["a red bird"])[0])
    assert read.notes == ("Of the text, 2 different words are known; not known, 'paradise'.",)
    with pytest.raises(InputError, match="text must use words of the texts .* Received: none of them"):
        described_in_words("paradise", seen, words)
    with pytest.raises(InputError, match="a bundle without words.npz"):
        described_in_words("red", seen)
    for source, sentence in {
        "attributes + captions": "text alone cannot describe a class if the knowledge is attributes . captions: give "
        "attributes, with a number for each of 2 entries",
        "sentences": "cannot be turned into the published sentences' embeddings: give attributes",
        "texts": "text needs a bundle that knows the words of its texts",
    }.items():
        with pytest.raises(InputError, match=sentence):
            described_in_words("red", Knowledge(seen.values, seen.names, seen.groups, source))
    with pytest.raises(InputError, match="must give 4 numbers, as the bundle has. Received: 2"):
        described_in_words("red", SEEN, words)


@given(st.dictionaries(st.text(max_size=8), st.floats(-1e6, 1e6, width=32), min_size=1, max_size=6), st.booleans())
def test_whatever_json_says_is_read_as_it_says(values, compact):
    names = {name.strip(): value for name, value in values.items() if name.isascii()}
    text = json.dumps(names, indent=None if compact else 2)
    seen = Knowledge(np.ones((1, len(names))), tuple(names), ("",) * len(names))
    if names:
        with TemporaryDirectory() as folder:
            read = read_description(write(Path(folder), "x.json", text), seen)
        assert read.values.tolist() == list(names.values())
