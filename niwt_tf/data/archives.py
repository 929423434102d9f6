"""The layouts of the official archives: which files and folders each must hold, and which of them are not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from niwt_tf.errors import InputError


@dataclass(frozen=True)
class Archive:
    """Where an official archive keeps what its reader must have.

    Attributes:
        folder: name of the official folder; all other places are relative to it.
        known_by: the file that messages call the folder's mark.
        files: required files, each with the places where it may be.
        images: folder of the images.
        texts: name of the folder of texts or captions, in or beside the official one.
        num_images: how many images the official archive holds.
    """

    folder: str
    known_by: str
    files: tuple[tuple[str, ...], ...]
    images: str
    texts: str
    num_images: int


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
    return [places[0] + (" in or beside it" if len(places) > 1 else "") for places in absent]


def texts_folder(archive: Archive, official: Path) -> Path | None:
    """Return the folder of texts or captions, in or beside the official folder, or None."""
    candidates = (official / archive.texts, official.parent / archive.texts)
    return next((folder for folder in candidates if folder.is_dir()), None)


def incomplete(official: Path, missing: Sequence[str]) -> InputError:
    """Return the error that names all that an archive lacks."""
    return InputError(f"{official} must hold the whole archive. Received: one without {', '.join(missing)}.")
