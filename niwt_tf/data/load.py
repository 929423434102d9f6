"""One call from a name and a folder to a data set with split and knowledge."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.config.names import added, dataset_names
from niwt_tf.config.settings import checked_arguments
from niwt_tf.data.checks import constant_entries, findings_of, say_findings
from niwt_tf.data.descriptions.sources import choose_knowledge
from niwt_tf.data.feature_rows import holds_features, row_digests
from niwt_tf.data.readers.archives import MISSING_IMAGES, take_images
from niwt_tf.data.readers.awa2 import read_awa2
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.flowers import read_flowers
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.readers.nabirds import read_nabirds
from niwt_tf.data.readers.xlsa17_features import read_xlsa17
from niwt_tf.data.schema import Dataset, Images
from niwt_tf.data.splits import choose_split
from niwt_tf.errors import InputError, brief, check_choice

if TYPE_CHECKING:
    from niwt_tf.data.images.pipeline import FileVerdict

# Each takes the folder and what is done about listed images that are not there.
_READERS: dict[str, Callable[[str | Path, str], Dataset]] = {
    "birds": read_cub,
    "cub": read_cub,
    "awa2": read_awa2,
    "nabirds": read_nabirds,
    "flowers": read_flowers,
    "xlsa17": read_xlsa17,
    "folder": lambda data_dir, _: read_folder(data_dir),
}


def load_dataset(
    name: str,
    data_dir: str | Path,
    split: str = "random",
    unseen: Sequence[str] = (),
    num_unseen: int | None = None,
    knowledge: str = "attributes",
    seed: int = 0,
    missing_images: str = "error",
    split_dir: str | Path | None = None,
    max_bad_images: int | None = 0,
    progress: bool = False,
    text_features: str = "lsa",
) -> Dataset:
    """Read a data set, leave out what cannot be decoded, and choose its split and knowledge.

    Args:
        name: "birds" (rendered), "cub", "awa2", "nabirds", "flowers", "folder", "xlsa17" (features without images), or what an
            installed package adds by the entry-point group `niwt_tf.datasets`.
        data_dir: the archive's folder or the one that holds it; for folder the one with classes.csv.
        split: "random", "ps", "ss" or the path of a CSV `image,role`.
        unseen: names of the unseen classes, with split "random".
        num_unseen: how many unseen classes to draw, with split "random".
        knowledge: "attributes", "binary", "captions", "sentences", "texts", the path of a CSV in the form of classes.csv, or
            several of these joined by "+".
        seed: of the draws.
        missing_images: "error", or "drop" to go on without listed images that are not there.
        split_dir: folder of the published splits and embeddings when it is not near `data_dir`.
        max_bad_images: how many images that cannot be decoded may be left out; None does not try to decode them.
        progress: show a bar while images are decoded or texts read, if that takes over 5 seconds.
        text_features: how captions and texts become numbers: "lsa", "encoder", "encoder_words", "vectors:PATH" or "hub:HANDLE".

    Raises:
        InputError: whatever is wrong, in one sentence.
    """
    check_choice("dataset", name, dataset_names())
    folders = {"data_dir": data_dir, **({} if split_dir is None else {"split_dir": split_dir})}
    for argument, folder in folders.items():
        if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
            raise InputError(f"{argument} must be the path of a folder. Received: {brief(folder)}.")
    given = {"unseen": unseen, "num_unseen": num_unseen, "split": split, "knowledge": knowledge, "seed": seed}
    given |= {"missing_images": missing_images, "text_features": text_features}
    plain = checked_arguments(given if max_bad_images is None else {**given, "max_bad_images": max_bad_images})
    most_bad = plain.pop("max_bad_images", None)
    dataset = described_dataset(name, data_dir, split_dir=split_dir, progress=progress, **plain)
    return checked_dataset(dataset, most_bad, progress)


def checked_dataset(dataset: Dataset, max_bad_images: int | None, progress: bool = False) -> Dataset:
    """Return a described data set without the images that cannot be decoded, after saying what may be wrong with it.

    For `max_bad_images` and `progress` see `load_dataset`.

    Raises:
        InputError: too many images cannot be decoded, or all seen classes have the same description.
    """
    judged: dict[str, FileVerdict] = {}
    if holds_features(dataset.root):
        dataset = dataset.replace(digests=row_digests(dataset.root, dataset.paths))
    elif max_bad_images is not None:
        dataset, judged = _decodable(dataset, max_bad_images, progress)
    if len(constant_entries(dataset)) == len(dataset.knowledge.names):
        raise InputError("The knowledge must differ between seen classes. Received: the same description for all of them.")
    say_findings(findings_of(dataset, judged))
    return dataset


def described_dataset(
    name: str,
    data_dir: str | Path,
    split: str = "random",
    unseen: Sequence[str] = (),
    num_unseen: int | None = None,
    knowledge: str = "attributes",
    seed: int = 0,
    missing_images: str = "error",
    split_dir: str | Path | None = None,
    progress: bool = False,
    text_features: str = "lsa",
) -> Dataset:
    """Read a data set and choose its split and knowledge, as `load_dataset` does, without a look at its images.

    Raises:
        InputError: whatever is wrong, in one sentence.
    """
    check_choice("dataset", name, dataset_names())
    check_choice("missing_images", missing_images, MISSING_IMAGES)
    dataset = _read(name, data_dir, missing_images)
    dataset = choose_split(dataset, split, tuple(unseen), num_unseen, seed, split_dir, missing_images)
    return choose_knowledge(dataset, knowledge, text_features=text_features, split_dir=split_dir, progress=progress)


def _read(name: str, data_dir: str | Path, missing_images: str) -> Dataset:
    if name in _READERS:
        return _READERS[name](data_dir, missing_images).replace(name=name)
    point = added("niwt_tf.datasets")[name]
    try:
        dataset = point.load()(data_dir, missing_images)
    except InputError:
        raise
    except Exception as error:  # whatever a package's own reader raises
        raise InputError(f"The data set {name!r} must be readable by {point.value}. Received: {error}.") from error
    if not isinstance(dataset, Dataset):
        raise InputError(f"{point.value} must return a Dataset. Received: {type(dataset).__name__}.")
    return dataset.replace(name=name)


def _decodable(dataset: Dataset, max_bad_images: int, progress: bool) -> tuple[Dataset, dict[str, FileVerdict]]:
    """Return the data set, which has a split, without the images that cannot be decoded, and what was found of each."""
    from niwt_tf.data.images.pipeline import judged_images, usable_images

    every = Images(dataset.root, dataset.paths, dataset.labels, dataset.class_names)
    judged = judged_images(every, progress)
    _, bad = usable_images(every, max_bad_images, judged=judged)
    split = dataset.split
    dataset = dataset.replace(digests={path: each.digest for path, each in judged.items() if not each.fault})
    if not bad or split is None:
        return dataset, judged
    kept = np.flatnonzero([path not in bad for path in dataset.paths])
    new_index = np.full(len(dataset.paths), -1, np.int64)
    new_index[kept] = np.arange(len(kept))
    parts = {name: new_index[getattr(split, name)] for name in ("train", "test_seen", "test_unseen")}
    remaining = dataclasses.replace(split, **{name: indices[indices >= 0] for name, indices in parts.items()})
    reduced = take_images(dataset.replace(split=None), kept)
    emptied = np.setdiff1d(split.seen, reduced.labels[remaining.train])
    if len(emptied):
        raise InputError(
            "Every seen class must keep a training image that can be decoded. "
            f"Received: none for {dataset.class_names[emptied[0]]!r}."
        )
    emptied = np.setdiff1d(dataset.labels, reduced.labels)
    if len(emptied):
        raise InputError(
            "Every class with images must have one that can be decoded, or it would count as a class without images. "
            f"Received: none for {dataset.class_names[emptied[0]]!r}."
        )
    return reduced.replace(split=remaining), judged
