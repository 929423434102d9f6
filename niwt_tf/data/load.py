"""One call from a name and a folder to a data set with split and knowledge."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from niwt_tf.config.names import added, dataset_names
from niwt_tf.data.descriptions.sources import choose_knowledge
from niwt_tf.data.readers.archives import MISSING_IMAGES, take_images
from niwt_tf.data.readers.awa2 import read_awa2
from niwt_tf.data.readers.cub import read_cub
from niwt_tf.data.readers.flowers import read_flowers
from niwt_tf.data.readers.folder import read_folder
from niwt_tf.data.readers.nabirds import read_nabirds
from niwt_tf.data.schema import Dataset, Images
from niwt_tf.data.splits import choose_split
from niwt_tf.errors import InputError, check_choice

# Each takes the folder and what is done about listed images that are not there.
_READERS: dict[str, Callable[[str | Path, str], Dataset]] = {
    "birds": read_cub,
    "cub": read_cub,
    "awa2": read_awa2,
    "nabirds": read_nabirds,
    "flowers": read_flowers,
    "folder": lambda data_dir, _: read_folder(data_dir),
}
_LOG = logging.getLogger("niwt_tf")


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
        name: "birds" (rendered), "cub", "awa2", "nabirds", "flowers", "folder", or what an installed package adds by the
            entry-point group `niwt_tf.datasets`.
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
    check_choice("missing_images", missing_images, MISSING_IMAGES)
    dataset = _read(name, data_dir, missing_images)
    dataset = choose_split(dataset, split, tuple(unseen), num_unseen, seed, split_dir, missing_images)
    dataset = choose_knowledge(dataset, knowledge, text_features=text_features, split_dir=split_dir, progress=progress)
    if max_bad_images is not None:
        dataset = _decodable(dataset, max_bad_images, progress)
    constant, of = constant_entries(dataset), len(dataset.knowledge.names)
    if len(constant) == of:
        raise InputError("The knowledge must differ between seen classes. Received: the same description of all of them.")
    if constant:
        names = ", ".join(constant[:5]) + (" and others" if len(constant) > 5 else "")
        said = "%d of %d attributes are constant over the seen classes and cannot be learnt: %s."
        _LOG.warning(said, len(constant), of, names)
    return dataset


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


def _decodable(dataset: Dataset, max_bad_images: int, progress: bool) -> Dataset:
    """Return the data set, which has a split, without the images that cannot be decoded."""
    from niwt_tf.data.images.pipeline import usable_images

    every = Images(dataset.root, dataset.paths, dataset.labels, dataset.class_names)
    _, bad = usable_images(every, max_bad_images, progress=progress)
    split = dataset.split
    if not bad or split is None:
        return dataset
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
    return reduced.replace(split=remaining)


def constant_entries(dataset: Dataset) -> tuple[str, ...]:
    """Return the knowledge entries that have one value over all seen classes: nothing can be learnt of them."""
    assert dataset.split is not None
    seen = dataset.knowledge.values[dataset.split.seen]
    constant = np.flatnonzero((seen == seen[0]).all(axis=0))
    return tuple(dataset.knowledge.names[k] for k in constant)
