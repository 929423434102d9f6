"""Reads captions of images (Reed et al. 2016): `text_c10/<class>/<image>.txt`, one sentence a line."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from niwt_tf.data.lists import list_directory

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
    """Return the sentences of each image, or None where no image has any.

    Captions of images that the archive does not list, and folders of classes that it does not have, are passed over with
    a warning that counts them.

    Args:
        folder: text_c10.
        paths: images as "class/file".
        listed: all images of the archive, where `paths` are only some of them.
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
    if unknown:
        _LOG.warning(
            "%s holds captions of %d classes that the data set does not have; they are not used, the first %r.",
            *(folder, len(unknown), unknown[0]),
        )
    absent = [
        f"{entry.name}/{file.name}"
        for number, entry in folder_of.items()
        if number in stems
        for file in list_directory(entry)
        if file.suffix == ".txt" and file.stem not in stems[number]
    ]
    if absent:
        _LOG.warning(
            "%s holds captions of %d images that the data set does not list; they are not used, the first %r.",
            *(folder, len(absent), absent[0]),
        )


def _sentences(folder: Path | None, stem: str) -> tuple[str, ...]:
    path = None if folder is None else folder / f"{stem}.txt"
    if path is None or not path.is_file():
        return ()
    # A stray byte in one of a hundred thousand sentences says nothing about a class.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())
