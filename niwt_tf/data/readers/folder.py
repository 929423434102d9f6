"""Reads a user's own folder: `classes.csv`, `images/<class>/**` and, if there, `descriptions/<class>.txt`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from niwt_tf.data.class_names import likeness
from niwt_tf.data.images.foreign import FOREIGN_SUFFIXES
from niwt_tf.data.readers import tables
from niwt_tf.data.readers.tables import PassedOver, list_directory, matched_rows
from niwt_tf.data.schema import Dataset
from niwt_tf.errors import InputError, listed, require
from niwt_tf.files import files_below, is_litter

# Formats that the decoder may refuse are listed as well: such a file must be named and counted, not passed over.
IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", *FOREIGN_SUFFIXES)
)
_TOTALS = frozenset({"total", "totals", "sum", "mean", "average", "median", "min", "max", "std", "count"})  # of a spreadsheet
_LOG = logging.getLogger("niwt_tf")


def photographs_below(folder: Path, say: bool = True) -> list[Path]:
    """Return the image files that `each_photograph` yields."""
    return list(each_photograph(folder, say))


def each_photograph(folder: Path, say: bool = True) -> Iterator[Path]:
    """Yield the image files (by their endings) in a folder and in the folders in it, sorted; links are followed.

    Other files are counted and named in a warning at the end, unless `say` is false.

    Raises:
        InputError: a folder cannot be read.
    """
    others = PassedOver(folder, "not image files")
    try:
        for path in files_below(folder):
            if path.suffix.lower() in IMAGE_SUFFIXES and (path.is_file() or path.is_symlink()):
                yield path
            else:
                others.add(path)
    except OSError as error:
        raise InputError(f"{error.filename} must be a readable folder. Received: {error.strerror or error}.") from None
    if say:
        others.say()


def image_names(folder: Path) -> list[str]:
    """Return the names of the image files (by extension) directly in a folder, sorted.

    Raises:
        InputError: the folder cannot be read.
    """
    return [entry.name for entry in list_directory(folder) if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.is_dir()]


def read_folder(data_dir: str | Path) -> Dataset:
    """Read a folder of images and class descriptions.

    Classes are the rows of `classes.csv`, in its order. A class without images is one to be learnt from its description alone.

    Raises:
        InputError: a part is absent or empty, the table is not in order, or a class folder or description has no row.
    """
    folder = tables.existing_directory("data_dir", data_dir)
    csv_path = tables.class_table_in(folder)
    if not csv_path.is_file():
        meant = f" Did you mean {str(folder.parent)!r}?" if tables.class_table_in(folder.parent).is_file() else ""
        rule = "data_dir must hold classes.csv with one row for each class"
        raise InputError(f"{rule}. Received: {str(data_dir)!r} without it{_nearly(folder, 'classes.')}.{meant}")
    if csv_path.suffix == ".csv" and csv_path.with_suffix(".xlsx").is_file():
        _LOG.warning("%s is read, not the classes.xlsx next to it.", csv_path)
    table = tables.read_class_table(csv_path)
    images = folder / "images"
    rule = "data_dir must hold images/ with one folder for each class"
    require(images.is_dir(), f"{rule}. Received: {str(data_dir)!r} without it{_nearly(folder, 'images')}.")
    class_folders = [entry for entry in list_directory(images) if entry.is_dir()]
    rows = {likeness(name) for name in table.class_names}
    hidden = [entry.name for entry in images.iterdir() if is_litter(entry.name) and likeness(entry.name) in rows]
    if hidden:
        rule = "must not name the folder of a class as hidden files are, with . or __ before it or ~ behind it"
        raise InputError(f"{images} {rule}: it would be skipped. Received: {listed(hidden)}.")
    stray = PassedOver(images, "outside the class folders")
    for entry in list_directory(images):
        if not entry.is_dir():
            stray.add(entry)
    stray.say()
    labels_of = matched_rows(csv_path, table.class_names, (of.name for of in class_folders), "class folder in images/")
    found = []
    for label, of in zip(labels_of, class_folders, strict=True):
        photographs = photographs_below(of)
        if not photographs and next(files_below(of), None) is not None:
            raise InputError(
                f"{of} must hold photographs that can be read, with an ending such as .jpg, .png, .tif or .heic. "
                f"Received: {str(next(files_below(of)).name)!r} and no image; if you remove the folder, the class counts as "
                f"unseen."
            )
        found += [(label, path.relative_to(images).as_posix()) for path in photographs]
    require(found, f"{images} must hold image files in one folder for each class. Received: no image.")
    labels, paths = np.array([label for label, _ in found], np.int32), tuple(path for _, path in found)
    without = set(range(len(table.class_names))) - set(labels.tolist())
    totals = [name for label in sorted(without) if likeness(name := table.class_names[label]) in _TOTALS]
    if totals:
        rule = "rows count as classes without photographs"
        _LOG.warning("%s: %s: %s. Remove them if they are totals.", csv_path, rule, listed(totals))
    dataset = Dataset("folder", images, paths, labels, table.class_names, table.knowledge)
    return dataset.replace(class_texts=_descriptions(folder / "descriptions", csv_path, table.class_names))


def _nearly(folder: Path, name: str) -> str:
    """Return what a folder has whose name begins so but for its case, for a message, or nothing."""
    near = [entry.name for entry in list_directory(folder) if entry.name.lower().startswith(name)]
    return f", but with {near[0]!r}" if near else ""


def _descriptions(folder: Path, csv_path: Path, class_names: tuple[str, ...]) -> tuple[str, ...] | None:
    if not folder.exists():
        return None
    require(folder.is_dir(), f"{folder} must be a folder with a file <class>.txt for each class. Received: a file.")
    files = tables.text_files(folder)
    texts = [""] * len(class_names)
    for row, file in zip(matched_rows(csv_path, class_names, files, "file in descriptions/"), files.values(), strict=True):
        texts[row] = tables.read_text(file).strip()
    return tuple(texts)
