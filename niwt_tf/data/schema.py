"""The one record that every reader makes and everything later takes: images, labels, classes, split and knowledge.

Dimensions: M images, C classes, K description entries (attributes), P parts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from niwt_tf.data.class_names import check_apart
from niwt_tf.data.descriptions.normalise import Scale
from niwt_tf.errors import InputError, require


@dataclass(frozen=True)
class Knowledge:
    """What is said of each class: `values[c, k]` is the strength of entry k for class c."""

    values: np.ndarray  # float32 [C, K], finite, in the units of its source or on `scale`
    names: tuple[str, ...]  # K, unique
    groups: tuple[str, ...]  # K ("" where an entry has none), for instance "crown_colour"
    source: str = "attributes"  # where it comes from, for instance "attributes" or a path
    words: TextEncoder | None = None  # what turns the text of a later class into values, for captions and texts
    scale: Scale | None = None  # what brought `values` from the units of a table to one scale, where these differ much

    def __post_init__(self) -> None:
        require(self.values.ndim == 2, f"Knowledge.values must be [classes, entries]. Received shape {self.values.shape}.")
        entries = self.values.shape[1]
        require(len(self.names) == entries, f"Knowledge.names must hold {entries} names. Received: {len(self.names)}.")
        require(len(self.groups) == entries, f"Knowledge.groups must hold {entries} names. Received: {len(self.groups)}.")
        require(len(set(self.names)) == entries, "Knowledge.names must be unique.")
        require(bool(np.isfinite(self.values).all()), f"Knowledge.values from {self.source} must be finite.")
        object.__setattr__(self, "values", np.asarray(self.values, np.float32))

    @property
    def in_units(self) -> np.ndarray:
        """Values in the units of their source, float32 [C, K]."""
        return self.values if self.scale is None else self.scale.undone(self.values)


def no_knowledge(num_classes: int) -> Knowledge:
    """Return what is known of classes that come without attributes: texts or a table must be asked for."""
    return Knowledge(np.zeros((num_classes, 0), np.float32), (), ())


@dataclass(frozen=True)
class Split:
    """Which classes are seen, and what each image is for. All arrays are int64 indices."""

    name: str  # how it was made, for instance "ps" or "random seed 0"
    seen: np.ndarray  # classes [S], ascending
    unseen: np.ndarray  # classes [U], ascending, disjoint from `seen`
    train: np.ndarray  # images of seen classes, for training and every choice
    test_seen: np.ndarray  # images of seen classes, for evaluation alone
    test_unseen: np.ndarray  # images of unseen classes, for evaluation alone (may be empty)
    all_seen: bool = False  # whether it is meant that no class is unseen

    def __post_init__(self) -> None:
        for field in ("seen", "unseen", "train", "test_seen", "test_unseen"):
            object.__setattr__(self, field, np.asarray(getattr(self, field), np.int64))
        require(len(self.seen) >= 2, f"The split {self.name!r} must have at least 2 seen classes. Received: {len(self.seen)}.")
        is_meant = len(self.unseen) >= 1 or self.all_seen
        require(is_meant, f"The split {self.name!r} must have at least 1 unseen class. Received: none.")
        require(not set(self.seen) & set(self.unseen), f"The split {self.name!r} has classes that are both seen and unseen.")
        used = np.concatenate([self.train, self.test_seen, self.test_unseen])
        require(len(set(used.tolist())) == len(used), f"The split {self.name!r} uses an image twice.")


@dataclass(frozen=True)
class Dataset:
    """Images by path with everything known about them. Arrays are never modified."""

    name: str  # "birds", "cub", "awa2", "nabirds", "flowers", "folder" or that of an added one
    root: Path  # folder that `paths` are relative to
    paths: tuple[str, ...]  # M
    labels: np.ndarray  # int32 [M], indices into `class_names`
    class_names: tuple[str, ...]  # C; a class may have no image at all
    knowledge: Knowledge  # one row a class
    split: Split | None = None  # None until one is chosen
    boxes: np.ndarray | None = None  # float32 [M, 4] as x, y, width, height in pixels of the file
    parts: np.ndarray | None = None  # float32 [M, P, 3] as x, y in pixels and visibility 0 or 1
    part_names: tuple[str, ...] = ()  # P
    captions: tuple[tuple[str, ...], ...] | None = None  # sentences of each image (M tuples)
    class_texts: tuple[str, ...] | None = None  # one text a class ("" where there is none)
    image_attributes: np.ndarray | None = None  # float32 [M, K] in [0, 1]
    digests: Mapping[str, bytes] = dataclasses.field(default_factory=dict, repr=False)  # of the files that were read, by path

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.asarray(self.labels, np.int32))
        images, classes, entries = len(self.paths), len(self.class_names), self.knowledge.values.shape[1]
        require(self.labels.shape == (images,), f"Dataset.labels must be [{images}]. Received shape {self.labels.shape}.")
        check_apart(self.class_names, "Dataset.class_names")
        in_range = images == 0 or (self.labels.min() >= 0 and self.labels.max() < classes)
        require(bool(in_range), f"Dataset.labels must be in 0..{classes - 1}.")
        rows = self.knowledge.values.shape[0]
        require(rows == classes, f"Dataset.knowledge must have one row for each of {classes} classes. Received: {rows}.")
        shapes = {"boxes": (images, 4), "parts": (images, len(self.part_names), 3), "image_attributes": (images, entries)}
        for field, shape in shapes.items():
            value = getattr(self, field)
            require(value is None or value.shape == shape, f"Dataset.{field} must be {list(shape)}.")
        require(self.captions is None or len(self.captions) == images, f"Dataset.captions must have {images} rows.")
        require(self.class_texts is None or len(self.class_texts) == classes, f"Dataset.class_texts must have {classes} texts.")

    def replace(self, **changes: object) -> Dataset:
        """Return a copy with some fields changed (and every check repeated)."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


class InputForm(NamedTuple):
    """How a network takes an image: as a square of `size` pixels, brought to it by "squash", "crop" or "pad"."""

    size: int
    resize: str = "squash"

    def part(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return what of an image the square shows, as left, top, right, bottom in its pixels; padding lies outside of it."""
        if self.resize == "squash":
            return 0.0, 0.0, float(width), float(height)
        side = (min if self.resize == "crop" else max)(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side


@dataclass(frozen=True)
class Images:
    """Labelled image files, and nothing else: what a training or evaluation function is given."""

    root: Path  # folder that `paths` are relative to
    paths: tuple[str, ...]
    labels: np.ndarray  # int32, indices into `class_names`
    class_names: tuple[str, ...]  # in label order

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: np.ndarray) -> Images:
        """Return the images at `indices`, classes unchanged."""
        paths = tuple(self.paths[i] for i in indices)
        return Images(self.root, paths, self.labels[np.asarray(indices, np.int64)], self.class_names)

    def of_classes(self, classes: np.ndarray) -> Images:
        """Return the images of `classes` (label indices), relabelled 0..len(classes)-1 in the order given."""
        new = np.full(len(self.class_names), -1, np.int32)
        new[classes] = np.arange(len(classes))
        kept = np.flatnonzero(new[self.labels] >= 0)
        paths = tuple(self.paths[i] for i in kept)
        return Images(self.root, paths, new[self.labels[kept]], tuple(self.class_names[c] for c in classes))


@dataclass(frozen=True)
class Descriptions:
    """What is said of C classes: numbers, and the texts that they come from where there are any."""

    names: tuple[str, ...]
    values: np.ndarray  # float32 [C, K], raw
    texts: tuple[str, ...] | None = None  # one a class, its sentences in lines

    def __post_init__(self) -> None:
        count, rule = len(self.names), "Descriptions must have a row and a text for each name."
        require(len(self.values) == count and (self.texts is None or len(self.texts) == count), rule)

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: np.ndarray) -> Descriptions:
        """Return the classes at `indices`."""
        texts = None if self.texts is None else tuple(self.texts[c] for c in indices)
        return Descriptions(tuple(self.names[c] for c in indices), self.values[indices], texts)


@dataclass(frozen=True)
class SeenData:
    """All that training and every choice may touch: training images of the S seen classes and those classes' descriptions.

    It holds no path of a test image and no caption of one, so no function that is given only this can tune on one.
    """

    images: Images
    descriptions: Descriptions

    def of_classes(self, classes: np.ndarray) -> SeenData:
        """Return the part that belongs to `classes` (seen-class indices)."""
        return SeenData(self.images.of_classes(classes), self.descriptions.take(classes))


@dataclass(frozen=True)
class TestData:
    """What evaluation alone is given: test images of seen and unseen classes. Labels below `num_seen`, S, are seen classes."""

    __test__ = False  # not a pytest class

    images: Images
    num_seen: int


def seen_data(dataset: Dataset) -> SeenData:
    """Return what training and selection may use of a dataset with a split."""
    split = _split_of(dataset)
    images = Images(dataset.root, dataset.paths, dataset.labels, dataset.class_names).take(split.train)
    return SeenData(images.of_classes(split.seen), descriptions_of(dataset).take(split.seen))


def unseen_descriptions(dataset: Dataset) -> Descriptions:
    """Return the descriptions of the U unseen classes."""
    return descriptions_of(dataset).take(_split_of(dataset).unseen)


def descriptions_of(dataset: Dataset) -> Descriptions:
    """Return the descriptions of all classes of a data set with a split: texts of their own, or their images' captions."""
    texts = dataset.class_texts
    if texts is None and dataset.captions is not None:
        texts = caption_texts(dataset)
    return Descriptions(dataset.class_names, dataset.knowledge.values, texts)


def caption_texts(dataset: Dataset) -> tuple[str, ...]:
    """Return each class's captions, one a line; "" where it has none.

    Captions of seen classes' test images are left out. An unseen class has no other images than those it is tested on, so its
    captions stand for the description that a person would give (as in Reed et al. 2016).
    """
    held_out = set() if dataset.split is None else set(dataset.split.test_seen.tolist())
    lines: list[list[str]] = [[] for _ in dataset.class_names]
    for image, captions in enumerate(dataset.captions or ()):
        if image not in held_out:
            lines[dataset.labels[image]] += captions
    return tuple("\n".join(of_class) for of_class in lines)


def test_data(dataset: Dataset) -> TestData:
    """Return the test images, labelled over seen then unseen classes."""
    split = _split_of(dataset)
    every = Images(dataset.root, dataset.paths, dataset.labels, dataset.class_names)
    tested = every.take(np.concatenate([split.test_seen, split.test_unseen]))
    return TestData(tested.of_classes(np.concatenate([split.seen, split.unseen])), len(split.seen))


test_data.__test__ = False  # type: ignore[attr-defined]


def _split_of(dataset: Dataset) -> Split:
    if not isinstance(dataset, Dataset):
        raise InputError(f"dataset must be what load_dataset returns. Received: {type(dataset).__name__}.")
    if dataset.split is None:
        raise InputError(f"The data set {dataset.name!r} has no split: choose one with split=, unseen= or num_unseen=.")
    return dataset.split


class TextEncoder(Protocol):
    """A text -> K numbers."""

    @property
    def names(self) -> tuple[str, ...]:
        """K unique names of the numbers."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [len(texts), K]; a text of which nothing is known is 0."""

    def known(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text that count and those that do not, each once, in order."""

    def arrays(self) -> dict[str, np.ndarray] | None:
        """Return all that it is as arrays by name, for an .npz file, or None where it cannot go into one."""


def dimension_names(count: int) -> tuple[str, ...]:
    """Return names of numbers that mean nothing by themselves."""
    return tuple(f"dimension {number}" for number in range(1, count + 1))
