"""What is said of a data set, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.data.checks import ERROR, NOTE, WARNING, Finding, advised_unseen, class_sizes, findings_of, say_findings
from niwt_tf.data.descriptions.normalise import Scale
from niwt_tf.data.images.duplicates import Appearance
from niwt_tf.data.images.pipeline import FileVerdict
from niwt_tf.data.schema import Dataset, Knowledge, Split

NAMES = ("ant", "bee", "cat", "dog", "eel")
# Each differs from every other in two attributes at least, and shares one with another.
VALUES = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1], [1, 0, 0, 0, 1]], np.float32)
ATTRIBUTES = ("fur", "legs", "wings", "fins", "size")


def _dataset(tmp_path, values=VALUES, counts=(5, 5, 5, 5, 0), hidden=0, names=ATTRIBUTES, **changes) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    paths = tuple(f"{NAMES[label]}/{place}.jpg" for place, label in enumerate(labels))
    seen = [label for label, count in enumerate(counts) if count][: len(counts) - hidden]
    unseen = [label for label in range(len(counts)) if label not in seen]
    of_seen, last = np.isin(labels, seen), np.r_[labels[1:] != labels[:-1], True]
    parts = (np.flatnonzero(which) for which in (of_seen & ~last, of_seen & last, ~of_seen))
    split = Split("by hand", seen, unseen, *parts, all_seen=not unseen)
    known = Knowledge(np.asarray(values, np.float32), names, ("",) * len(names))
    return Dataset("folder", tmp_path, paths, labels, NAMES[: len(counts)], known, split).replace(**changes)


def _found(dataset, judged=None) -> dict[str, Finding]:
    return {finding.kind: finding for finding in findings_of(dataset, judged)}


def _judged(dataset, **faults) -> dict[str, FileVerdict]:
    noise = np.random.default_rng(0)
    looks = [
        Appearance(noise.choice([-1, 1], 63).astype(np.int8), noise.integers(0, 256, (16, 16, 3)).astype(np.uint8))
        for _ in dataset.paths
    ]
    return {path: FileVerdict("", path.encode(), look=look) for path, look in zip(dataset.paths, looks, strict=True)} | faults


def test_nothing_is_wrong_with_good_data_but_that_it_is_little(tmp_path):
    dataset = _dataset(tmp_path)
    found = _found(dataset, _judged(dataset))
    assert set(found) == {"few_classes", "num_unseen", "of_one_class"} and {each.level for each in found.values()} == {NOTE}
    assert found["few_classes"].sentence.startswith("4 classes have photographs.")
    said = found["num_unseen"].sentence
    assert "hide 2 of 4" in said and "--num_unseen=2" in said
    assert said.endswith("the accuracy of the 1 class without photographs is not measured.")


@pytest.mark.parametrize(("classes", "held_out"), [(0, 0), (2, 0), (3, 1), (4, 2), (9, 2), (19, 3), (50, 10), (200, 40)])
def test_a_fifth_of_the_classes_is_to_be_held_out(classes, held_out):
    assert advised_unseen(classes) == held_out


def test_files_that_cannot_be_decoded_are_errors_and_may_empty_a_class(tmp_path):
    dataset = _dataset(tmp_path, counts=(1, 5, 5, 5, 0))
    judged = _judged(dataset, **{"ant/0.jpg": FileVerdict("damaged"), "cat/6.jpg": FileVerdict("no such file")})
    found = _found(dataset, judged)
    assert found["undecodable"].level == found["emptied_class"].level == ERROR
    assert found["undecodable"].groups == (("ant/0.jpg",), ("cat/6.jpg",))
    assert found["undecodable"].remarks == ("damaged", "no such file")
    assert found["emptied_class"].groups == (("ant",),)
    assert "few_photographs" not in found
    sizes = class_sizes(dataset, judged)
    assert sizes[0] == ("ant", "seen", 0, 0, 0, 1) and sizes[2] == ("cat", "seen", 4, 3, 1, 1)
    assert sizes[4] == ("eel", "described", 0, 0, 0, 0)


def test_copies_and_pictures_of_one_colour(tmp_path):
    dataset = _dataset(tmp_path)
    judged = _judged(dataset)
    first, second, third, fourth = dataset.paths[0], dataset.paths[3], dataset.paths[4], dataset.paths[5]
    plain = Appearance(np.ones(63, np.int8), np.full((16, 16, 3), 7, np.uint8))
    judged[fourth] = judged[first]._replace(look=judged[first].look)  # of another class, identical
    judged[third] = judged[second]._replace(digest=b"saved again")  # held out, and looks the same
    judged[dataset.paths[6]] = FileVerdict("", b"plain", look=plain)
    found = _found(dataset, judged)
    assert found["identical_across_classes"].groups == ((first, fourth),)
    assert found["nearly_identical_across_roles"].groups == ((second, third),)
    assert found["identical_across_classes"].level == found["nearly_identical_across_roles"].level == ERROR
    assert found["one_colour"].groups == ((dataset.paths[6],),)
    assert found["nearly_identical_across_roles"].sentence == (
        "2 photographs are nearly identical in both training and test, which makes figures too good: 'ant/3.jpg = ant/4.jpg'."
    )


def test_sizes(tmp_path):
    found = _found(_dataset(tmp_path, counts=(2, 30, 5, 5, 0)))
    assert found["few_photographs"].groups == (("ant",),) and found["few_photographs"].level == WARNING
    assert found["uneven_sizes"].sentence.startswith("'bee' has 30 photographs, 'ant' has 2: ")


def test_hidden_classes_are_told_from_described_ones(tmp_path):
    dataset = _dataset(tmp_path, hidden=2)
    assert [size.role for size in class_sizes(dataset)] == ["seen", "seen", "seen", "hidden", "described"]
    assert _found(dataset)["num_unseen"].sentence.endswith("Here 1 class is hidden.")


def test_descriptions_that_cannot_be_told_apart(tmp_path):
    values = VALUES.copy()
    values[4], values[3] = values[0], values[2] + np.eye(5)[0]
    found = _found(_dataset(tmp_path, values))
    assert found["identical_descriptions"].groups == (("ant", "eel"),) and found["identical_descriptions"].level == ERROR
    assert found["one_attribute_apart"].groups == (("cat", "dog"),) and found["one_attribute_apart"].remarks == ("fur",)
    assert found["one_attribute_apart"].level == NOTE and "cat and dog (fur)" in found["one_attribute_apart"].sentence
    values[3] = values[2] + 0.04 * np.eye(5)[0]
    found = _found(_dataset(tmp_path, values))
    assert found["nearly_identical_descriptions"].groups == (("cat", "dog"),)
    assert found["nearly_identical_descriptions"].level == WARNING


def test_texts_that_are_the_same_but_for_case_and_blanks(tmp_path):
    found = _found(_dataset(tmp_path, class_texts=("A  bird.", "", "a bird.\n", "A fish.", "")))
    assert found["identical_texts"].groups == (("ant", "cat"),)


def test_what_single_classes_have(tmp_path):
    values = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0.6], [0, 0, 1, 0, 0], [1, 0, 0, 0, 1], [0, 1, 0, 1, 0]])
    found = _found(_dataset(tmp_path, values))
    assert found["constant"].groups == (("fins",),)
    assert found["of_one_class"].groups == (("wings",),) and found["of_one_class"].remarks == ("cat",)
    assert found["shares_nothing"].groups == (("cat",),)
    assert found["beyond_the_seen"].groups == (("eel",),) and found["beyond_the_seen"].remarks == ("fins",)
    values[0, 2] = 0.3  # another class has wings in part
    assert "of_one_class" not in _found(_dataset(tmp_path / "part", values))


def test_numbers_of_texts_are_no_attributes(tmp_path):
    names = tuple(f"dimension {number}" for number in range(1, 6))
    assert set(_found(_dataset(tmp_path, names=names))) == {"few_classes", "num_unseen"}


def test_scales_are_said(tmp_path):
    dataset = _dataset(tmp_path)
    scale = Scale(np.zeros(5), np.array([1, 1, 1, 1, 5000.0]))
    known = Knowledge(VALUES, ATTRIBUTES, ("",) * 5, scale=scale)
    assert _found(dataset.replace(knowledge=known))["scales"].sentence.startswith(
        "Ranges of attributes differ from 1 (fur) to 5000 (size), so each is scaled to 0..1"
    )


def test_reading_says_what_is_no_note_and_where_pictures_are_shown(caplog):
    with caplog.at_level("INFO", "niwt_tf"):
        say_findings([Finding("constant", WARNING, "One is constant."), Finding("num_unseen", NOTE, "Hold out 3.")])
        assert caplog.messages == ["One is constant."]
        say_findings([Finding("identical_within", WARNING, "Two are the same.", "images", (("a", "b"),))])
    assert caplog.messages[1:] == ["Two are the same.", "niwt check_data shows them, with --page=FILE.html."]
