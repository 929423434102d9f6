from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from niwt_tf.data import schema
from niwt_tf.data.schema import Dataset, Descriptions, Images, Knowledge, Split
from niwt_tf.errors import InputError

KNOWLEDGE = Knowledge(np.arange(6.0).reshape(3, 2), ("a", "b"), ("", "g"))


def dataset(**changes: object) -> Dataset:
    fields: dict = {
        "name": "toy",
        "root": Path("root"),
        "paths": ("p0", "p1", "p2", "p3", "p4", "p5"),
        "labels": [0, 0, 1, 1, 2, 2],
        "class_names": ("x", "y", "z"),
        "knowledge": KNOWLEDGE,
    }
    return Dataset(**(fields | changes))


def split(**changes: object) -> Split:
    fields: dict = {"name": "s", "seen": [0, 2], "unseen": [1], "train": [0, 4], "test_seen": [1, 5], "test_unseen": [2, 3]}
    return Split(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1]}, "Dataset.labels must be"),
        ({"labels": [0, 0, 1, 1, 2, 3]}, "0..2"),
        ({"class_names": ("x", "x", "z")}, "differs in more than case"),
        ({"class_names": ("x", "y")}, "0..1|one row"),
        ({"boxes": np.zeros((6, 3))}, "Dataset.boxes"),
        ({"parts": np.zeros((6, 2, 3)), "part_names": ("beak",)}, "Dataset.parts"),
        ({"captions": ((),)}, "Dataset.captions"),
        ({"class_texts": ("",)}, "Dataset.class_texts"),
        ({"image_attributes": np.zeros((6, 3))}, "Dataset.image_attributes"),
    ],
)
def test_dataset_checks_shapes(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataset(**changes)


@pytest.mark.parametrize(
    ("values", "names", "groups"),
    [
        (np.zeros(2), ("a", "b"), ("", "")),
        (np.zeros((1, 2)), ("a",), ("", "")),
        (np.zeros((1, 2)), ("a", "b"), ("",)),
        (np.zeros((1, 2)), ("a", "a"), ("", "")),
        (np.array([[0, np.nan]]), ("a", "b"), ("", "")),
    ],
)
def test_knowledge_is_checked(values: np.ndarray, names: tuple, groups: tuple) -> None:
    with pytest.raises(InputError, match=r"Knowledge\."):
        Knowledge(values, names, groups)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seen": [0]}, "at least 2 seen"),
        ({"unseen": []}, "at least 1 unseen"),
        ({"unseen": [2]}, "both seen and unseen"),
        ({"test_seen": [0]}, "an image twice"),
    ],
)
def test_split_is_checked(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(**changes)


def test_training_data_hold_no_test_image_and_labels_are_renumbered() -> None:
    data = dataset(split=split())
    seen = schema.seen_data(data)
    assert seen.images.paths == ("p0", "p4")
    assert seen.images.labels.tolist() == [0, 1]
    assert seen.images.class_names == ("x", "z")
    assert (seen.descriptions.names, seen.descriptions.texts) == (("x", "z"), None)
    assert seen.descriptions.values.tolist() == [[0, 1], [4, 5]]
    second = seen.of_classes(np.array([1]))
    assert second.images.paths == ("p4",)
    assert (second.descriptions.names, second.descriptions.values.tolist()) == (("z",), [[4, 5]])
    unseen = schema.unseen_descriptions(data)
    assert (unseen.names, unseen.values.tolist()) == (("y",), [[2, 3]])
    tested = schema.test_data(data)
    assert tested.num_seen == 2
    assert dict(zip(tested.images.paths, tested.images.labels.tolist(), strict=True)) == {"p1": 0, "p5": 1, "p2": 2, "p3": 2}
    assert tested.images.class_names == ("x", "z", "y")


CAPTIONS = tuple((f"first of p{image}", f"second of p{image}") for image in range(6))


def test_no_caption_of_a_test_image_reaches_training() -> None:
    data = dataset(split=split(), captions=CAPTIONS)
    seen = schema.seen_data(data)
    assert seen.descriptions.texts == ("first of p0\nsecond of p0", "first of p4\nsecond of p4")
    # A class that has no other images is described by those of its own.
    assert schema.unseen_descriptions(data).texts == ("\n".join([*CAPTIONS[2], *CAPTIONS[3]]),)


@pytest.mark.parametrize("tested", [[1, 5], [0, 4]])
def test_captions_follow_the_split_and_not_the_order_of_images(tested: list[int]) -> None:
    parts = {"train": [image for image in (0, 1, 4, 5) if image not in tested], "test_seen": tested}
    texts = schema.seen_data(dataset(split=split(**parts), captions=CAPTIONS)).descriptions.texts
    assert texts is not None
    for image in tested:
        assert not any(f"p{image}" in text for text in texts)
    assert all(f"p{image}" in "\n".join(texts) for image in parts["train"])


def test_a_classes_own_text_goes_before_its_captions() -> None:
    data = dataset(split=split(), captions=CAPTIONS, class_texts=("of x", "of y", "of z"))
    assert schema.seen_data(data).descriptions.texts == ("of x", "of z")
    assert schema.unseen_descriptions(data).texts == ("of y",)


@pytest.mark.parametrize("texts", [None, ("of x", "of y", "of z")])
def test_descriptions_are_taken_in_the_order_asked_for(texts: tuple[str, ...] | None) -> None:
    every = Descriptions(("x", "y", "z"), KNOWLEDGE.values, texts)
    taken = every.take(np.array([2, 0]))
    assert (len(every), len(taken)) == (3, 2)
    assert taken.names == ("z", "x")
    assert taken.values.tolist() == [[4, 5], [0, 1]]
    assert taken.texts == (None if texts is None else ("of z", "of x"))
    nothing = every.take(np.arange(0))
    assert (len(nothing), nothing.values.shape, nothing.names) == (0, (0, 2), ())


@pytest.mark.parametrize("changes", [{"names": ("x", "y")}, {"texts": ("one",)}, {"values": np.zeros((4, 2))}])
def test_descriptions_have_a_row_and_a_text_for_each_name(changes: dict) -> None:
    fields: dict = {"names": ("x", "y", "z"), "values": KNOWLEDGE.values, "texts": None}
    with pytest.raises(InputError, match="Descriptions must have a row and a text for each name"):
        Descriptions(**(fields | changes))


def test_without_a_split_nothing_is_handed_out() -> None:
    with pytest.raises(InputError, match="has no split"):
        schema.seen_data(dataset())


def test_images_of_classes_follow_the_order_asked_for() -> None:
    images = Images(Path("r"), ("a", "b", "c"), np.array([0, 1, 2], np.int32), ("x", "y", "z"))
    chosen = images.of_classes(np.array([2, 0]))
    assert chosen.paths == ("a", "c")
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.class_names == ("z", "x")
    assert len(images.take(np.array([1]))) == 1
