"""The layouts of the official archives: which files and folders each must hold, and which of them are not there."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwt_tf.data.readers.tables import existing_directory
from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.errors import InputError, brief, check_choice


@dataclass(frozen=True)
class Archive:
    """Where an official archive keeps what its reader must have. Places are relative to the official folder."""

    folder: str
    known_by: str  # the file that messages call the folder's mark
    files: tuple[tuple[str, ...], ...]  # required ones, each with the places where it may be
    images: str
    texts: str  # name of the folder of texts or captions, in or beside the official one
    num_images: int  # how many the official archive holds


ARCHIVES = {
    "cub": Archive(
        "CUB_200_2011",
        "images.txt",
        (
            ("images.txt",),
            ("classes.txt",),
            ("image_class_labels.txt",),
            ("attributes/class_attribute_labels_continuous.txt",),
            ("attributes.txt", "attributes/attributes.txt", "../attributes.txt"),
        ),
        "images",
        "text_c10",
        11788,
    ),
    "awa2": Archive(
        "Animals_with_Attributes2",
        "predicates.txt",
        (("classes.txt",), ("predicates.txt",), ("predicate-matrix-continuous.txt",)),
        "JPEGImages",
        "descriptions",
        37322,
    ),
    "nabirds": Archive(
        "nabirds",
        "images.txt",
        (("images.txt",), ("classes.txt",), ("image_class_labels.txt",)),
        "images",
        "descriptions",
        48562,
    ),
    "flowers": Archive("102flowers", "imagelabels.mat", (("imagelabels.mat",),), "jpg", "descriptions", 8189),
}


def official_folder(archive: Archive, data_dir: Path) -> Path:
    """Return the official folder: `data_dir` or the one of the official name in it, whichever holds more of the archive.

    Raises:
        InputError: neither holds any of it.
    """
    inner = data_dir / archive.folder
    held = {folder: len(archive.files) - len(missing_files(archive, folder)) for folder in (inner, data_dir)}
    found = max(held, key=lambda folder: held[folder])
    if not held[found]:
        wanted = f"the folder {archive.folder} with {archive.known_by}, or the folder that holds it"
        raise InputError(f"data_dir must be {wanted}. Received: {str(data_dir)!r}.")
    return found


def missing_files(archive: Archive, official: Path) -> list[str]:
    """Return the required files that are not there, as a message names them."""
    absent = [places for places in archive.files if not any((official / place).is_file() for place in places)]
    return [places[0] + (" in it or next to it" if len(places) > 1 else "") for places in absent]


def texts_folder(archive: Archive, official: Path) -> Path | None:
    """Return the folder of texts or captions, in or beside the official folder, or None."""
    candidates = (official / archive.texts, official.parent / archive.texts)
    return next((folder for folder in candidates if folder.is_dir()), None)


def whole_folder(
    archive: Archive, data_dir: str | Path, missing_images: str, listed: Callable[[Path], Sequence[str]]
) -> Path:
    """Return the official folder, which has every file that its reader must have.

    Args:
        archive: its layout.
        data_dir: the official folder or the one that holds it.
        missing_images: unless "drop", images that are not there are told beside the files.
        listed: gives the images that the folder's images.txt lists.

    Raises:
        InputError: there is no such folder, or files are absent; all are named.
    """
    official = official_folder(archive, existing_directory("data_dir", data_dir))
    missing = missing_files(archive, official)
    if missing:
        if missing_images == "error" and (official / "images.txt").is_file():
            missing += count_missing(official / archive.images, tuple(listed(official)))
        raise incomplete(official, missing)
    return official


def incomplete(official: Path, missing: Sequence[str]) -> InputError:
    """Return the error that names all that an archive lacks."""
    return InputError(f"{official} must hold the complete archive. Received: one without {', '.join(missing)}.")


_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
MISSING_IMAGES = ("error", "drop")
_LOG = logging.getLogger("niwt_tf")


def present_images(root: Path, paths: tuple[str, ...]) -> np.ndarray:
    """Return bool [M]: whether `root` holds each path; every folder is listed once, which is quick on a network disk.

    Raises:
        OSError: a folder is there and cannot be listed.
    """
    held: dict[str, set[str]] = {}
    for folder in {path.rpartition("/")[0] for path in paths}:
        try:
            held[folder] = {entry.name for entry in (root / folder).iterdir()}
        except ValueError:  # of a name with a null byte, which no folder has
            held[folder] = set()
        except OSError as error:
            if error.errno not in _ABSENT:  # else images that cannot be listed now would be left out as missing
                raise
            held[folder] = set()
    return np.array([path.rpartition("/")[2] in held[path.rpartition("/")[0]] for path in paths], bool)


def count_missing(root: Path, paths: tuple[str, ...]) -> list[str]:
    """Return, for a message, how many of `paths` are not below `root`, with the first of them; nothing if all are there."""
    absent = np.flatnonzero(~present_images(root, paths))
    return [f"{len(absent)} of {len(paths)} images in {root} (the first {brief(paths[absent[0]])})"] if len(absent) else []


def drop_missing(dataset: Dataset, missing_images: str, listing: Path) -> Dataset:
    """Return the data set without images that are not on disk, and without the classes that then have none.

    The data set has no split yet; `listing` is the file that lists its images, for messages.

    Raises:
        InputError: images are missing and `missing_images` is "error", no image at all is there, or a path leads out of the
            folder of images.
    """
    check_choice("missing_images", missing_images, MISSING_IMAGES)
    outside = next((path for path in dataset.paths if path.startswith("/") or ".." in path.split("/")), None)
    if outside is not None:
        raise InputError(f"{listing} must list images in {dataset.root}. Received: {brief(outside)}, which leads out of it.")
    present = present_images(dataset.root, dataset.paths)
    absent = np.flatnonzero(~present)
    if not present.any():
        received = f"none (0 of {len(present)} images)"
        raise InputError(f"{dataset.root} must hold images of {listing.name}. Received: {received}.")
    if not len(absent):
        return dataset
    if missing_images == "error":
        raise InputError(
            f"{listing} lists images that {dataset.root} must hold (missing_images=drop leaves them out). "
            f"Received: {len(absent)} of {len(present)} missing, the first {brief(dataset.paths[absent[0]])}."
        )
    kept = np.flatnonzero(present)
    reduced = take_images(dataset, kept)
    classes = np.unique(reduced.labels)
    counts = len(kept), len(present), len(classes), len(dataset.class_names)
    _LOG.info("%d of %d images and %d of %d classes exist.", *counts)
    return take_classes(reduced, classes)


def take_images(dataset: Dataset, kept: np.ndarray) -> Dataset:
    """Return the data set with the images at indices `kept` alone; classes stay. It must have no split."""
    arrays = {field: getattr(dataset, field) for field in ("boxes", "parts", "image_attributes")}
    return dataset.replace(
        paths=tuple(dataset.paths[i] for i in kept),
        labels=dataset.labels[kept],
        captions=None if dataset.captions is None else tuple(dataset.captions[i] for i in kept),
        **{field: None if array is None else array[kept] for field, array in arrays.items()},
    )


def take_classes(dataset: Dataset, classes: np.ndarray) -> Dataset:
    """Return the data set with the given classes alone, relabelled; every image must belong to one. It must have no split."""
    new_label = np.full(len(dataset.class_names), -1, np.int32)
    new_label[classes] = np.arange(len(classes))
    known, texts = dataset.knowledge, dataset.class_texts
    return dataset.replace(
        labels=new_label[dataset.labels],
        class_names=tuple(dataset.class_names[c] for c in classes),
        knowledge=Knowledge(known.values[classes], known.names, known.groups, known.source),
        class_texts=None if texts is None else tuple(texts[c] for c in classes),
    )
