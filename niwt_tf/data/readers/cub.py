"""Reads the CUB_200_2011 layout (Wah et al. 2011), with captions of Reed et al. 2016; rendered birds are written in it too."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from niwt_tf.data.readers import archives
from niwt_tf.data.readers.annotations import ReadRows, per_image, read_boxes, read_parts
from niwt_tf.data.readers.tables import group_of, line_of, list_directory, positions, read_numbered_names, read_numbers
from niwt_tf.data.schema import Dataset, Knowledge
from niwt_tf.errors import InputError, require

_ARCHIVE = archives.ARCHIVES["cub"]


def read_cub(data_dir: str | Path, missing_images: str = "error") -> Dataset:
    """Read CUB-200-2011 or anything in its layout, from its folder or the one that holds it.

    Boxes, parts, per-image attributes and captions (`text_c10`, in or beside the official folder) are read where present. Class
    strengths stay in the file's units (0 to 100). `train_test_split.txt` is not a zero-shot split and is not used. With
    missing_images="drop" only the images (and the classes) that are there count.

    Raises:
        InputError: files are absent (all are named) or not in order, a label contradicts its image's folder, or listed images
            are missing.
    """
    official = archives.whole_folder(
        _ARCHIVE, data_dir, missing_images, lambda folder: read_numbered_names(folder / "images.txt")[1]
    )
    image_ids, paths = read_numbered_names(official / "images.txt")
    class_ids, class_names = read_numbered_names(official / "classes.txt")
    of_labels, read_rows, images = official / "image_class_labels.txt", _by_number(image_ids), len(image_ids)
    labels = positions(of_labels, class_ids, per_image(of_labels, 2, read_rows, images)[:, 0])
    _check_folders(official, paths, labels, class_names, image_ids)
    parts, part_names = read_parts(official / "parts", read_rows, images)
    knowledge = _read_knowledge(official, len(class_names))
    of_images = official / "attributes/image_attribute_labels.txt"
    attributes = _read_image_attributes(of_images, image_ids, len(knowledge.names))
    boxes = read_boxes(official / "bounding_boxes.txt", read_rows, images)
    dataset = Dataset("cub", official / "images", tuple(paths), labels, tuple(class_names), knowledge)
    dataset = dataset.replace(boxes=boxes, parts=parts, part_names=part_names, image_attributes=attributes)
    dataset = archives.drop_missing(dataset, missing_images, official / "images.txt")
    captions = archives.texts_folder(_ARCHIVE, official)
    return dataset.replace(captions=None if captions is None else read_captions(captions, dataset.paths, paths))


def _check_folders(official: Path, paths: list[str], labels: np.ndarray, class_names: list[str], image_ids: np.ndarray) -> None:
    """Refuse an image in the folder of another class than its label's; folders that are no class's say nothing."""
    numbers = [class_number(name) for name in class_names]
    class_of = {number: name for number, name in zip(numbers, class_names, strict=True)}
    for image, path in enumerate(paths):
        number = class_number(path.rpartition("/")[0])
        if number == numbers[labels[image]] or number not in class_of:
            continue
        table = official / "image_class_labels.txt"
        row = int(np.flatnonzero(read_numbers(table, 2)[:, 0] == image_ids[image])[0])
        raise InputError(
            f"{table}, line {line_of(table, row)} must give image {image_ids[image]} the class of its folder in images.txt, "
            f"{class_of[number]!r}. Received: {class_names[labels[image]]!r} for {path!r}."
        )


def _by_number(image_ids: np.ndarray) -> ReadRows:
    """Return what reads a table whose first column is an image's number."""

    def read_rows(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray]:
        table = read_numbers(path, columns)
        return positions(path, image_ids, table[:, 0]), table[:, 1:]

    return read_rows


def _read_knowledge(official: Path, num_classes: int) -> Knowledge:
    candidates = [folder / "attributes.txt" for folder in (official, official / "attributes", official.parent)]
    _, names = read_numbered_names(next(path for path in candidates if path.is_file()))
    path = official / "attributes/class_attribute_labels_continuous.txt"
    values = read_numbers(path, len(names))
    require(len(values) == num_classes, f"{path} must have one row for each of {num_classes} classes. Received: {len(values)}.")
    return Knowledge(values.astype(np.float32), tuple(names), tuple(group_of(name) for name in names))


def _read_image_attributes(path: Path, image_ids: np.ndarray, num_attributes: int) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        # Some rows of the official file have more columns than the five documented; the first three are right in all.
        table = np.loadtxt(path, dtype=np.int64, usecols=(0, 1, 2), comments=None, ndmin=2, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise InputError(f"{path} must hold rows of image, attribute and 0 or 1. Received: {str(error).rstrip('.')}.") from None
    present = np.zeros((len(image_ids), num_attributes), np.float32)
    attributes = positions(path, np.arange(1, num_attributes + 1), table[:, 1])
    present[positions(path, image_ids, table[:, 0]), attributes] = np.clip(table[:, 2], 0, 1)
    return present


_LOG = logging.getLogger("niwt_tf")


def class_number(class_folder: str) -> str:
    """Return what a class folder of captions and one of images have in common: the number before the dot.

    Their spelling differs for some classes; a name without a number stands for itself.
    """
    number, found, _ = class_folder.partition(".")
    return number if found and number.isdigit() else class_folder


def read_captions(
    folder: Path, paths: Sequence[str], listed: Collection[str] | None = None
) -> tuple[tuple[str, ...], ...] | None:
    """Return the sentences of each of `paths`, images as "class/file", or None where no image has any.

    Captions of images that the archive does not list (`listed`, by default `paths`), and folders of classes that it does not
    have, are passed over with a warning that counts them.
    """
    folder_of = {class_number(entry.name): entry for entry in list_directory(folder) if entry.is_dir()}
    _warn_of_others(folder, folder_of, paths if listed is None else listed)
    captions = []
    for path in paths:
        class_folder, _, name = path.rpartition("/")
        captions.append(_sentences(folder_of.get(class_number(class_folder)), Path(name).stem))
    return tuple(captions) if any(captions) else None


def _warn_of_others(folder: Path, folder_of: dict[str, Path], listed: Collection[str]) -> None:
    stems: dict[str, set[str]] = {}
    for path in listed:
        class_folder, _, name = path.rpartition("/")
        stems.setdefault(class_number(class_folder), set()).add(Path(name).stem)
    unknown = [entry.name for number, entry in folder_of.items() if number not in stems]
    absent = [
        f"{entry.name}/{file.name}"
        for number, entry in folder_of.items()
        if number in stems
        for file in list_directory(entry)
        if file.suffix == ".txt" and file.stem not in stems[number]
    ]
    for names, of in ((unknown, "classes that the data set does not have"), (absent, "images that the data set does not list")):
        if names:
            _LOG.warning("%s holds captions of %d %s; they are not used, the first %r.", folder, len(names), of, names[0])


def _sentences(folder: Path | None, stem: str) -> tuple[str, ...]:
    path = None if folder is None else folder / f"{stem}.txt"
    if path is None or not path.is_file():
        return ()
    # A stray byte in one of a hundred thousand sentences says nothing about a class.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())
