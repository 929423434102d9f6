"""Everything that a published experiment reads, and what of it is not there: told together, before any work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from niwt_tf.data.archives import ARCHIVES, Archive, missing_files, official_folder, texts_folder
from niwt_tf.data.class_documents import listed, text_files
from niwt_tf.data.folder import image_names
from niwt_tf.data.lists import read_numbered_names
from niwt_tf.data.presence import count_missing
from niwt_tf.data.splits import published_folder
from niwt_tf.data.table import plain_name
from niwt_tf.data.xlsa17 import missing_split_files, read_proposed_split, split_files
from niwt_tf.errors import InputError


@dataclass(frozen=True)
class Part:
    """A part of what an experiment reads.

    Attributes:
        name: "archive", "images", "split" or "texts".
        missing: what of it is not there, as a message names it; empty where it is complete.
        count: of images, how many files of them there are and how many the official archive holds; None of other parts.
    """

    name: str
    missing: tuple[str, ...]
    count: tuple[int, int] | None = None


def archive_parts(
    dataset: str,
    data_dir: str | Path,
    with_texts: bool = False,
    missing_images: str = "error",
    with_split: bool = True,
) -> list[Part]:
    """Return the parts of an archive with what of them is not there; nothing is decoded.

    Args:
        dataset: "cub" or "awa2".
        data_dir: the official folder or the one that holds it; it may be absent.
        with_texts: whether captions or texts of classes are needed.
        missing_images: with "drop", one image is enough.
        with_split: whether the Proposed Split is needed.

    Raises:
        InputError: a file that is there and lists images is not in order.
    """
    archive, folder = ARCHIVES[dataset], Path(data_dir).expanduser()
    try:
        official = official_folder(archive, folder)
    except InputError:
        official = folder if folder.name == archive.folder else folder / archive.folder
    missing = [str(official / name) for name in missing_files(archive, official)]
    splits = published_folder(official.absolute()) or official.absolute().parent / "xlsa17"
    parts = [
        Part("archive", tuple(missing)),
        Part(
            "images",
            _missing_images(dataset, archive, official, splits, missing_images),
            (_num_images(official / archive.images), archive.num_images),
        ),
    ]
    if with_split:
        parts.append(Part("split", tuple(missing_split_files(splits, dataset))))
    if with_texts:
        parts.append(Part("texts", _missing_texts(dataset, archive, official)))
    return parts


def _num_images(root: Path) -> int:
    """Return how many image files the folders of the classes hold."""
    return sum(len(image_names(folder)) for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else 0


def _missing_images(dataset: str, archive: Archive, official: Path, splits: Path, missing_images: str) -> tuple[str, ...]:
    root = official / archive.images
    if missing_images == "drop":
        held = root.is_dir() and any(image_names(folder) for folder in sorted(root.iterdir()) if folder.is_dir())
        return () if held else (f"any image in {root}",)
    if dataset == "cub" and (official / archive.known_by).is_file():
        return tuple(count_missing(root, tuple(read_numbered_names(official / archive.known_by)[1])))
    if dataset == "awa2" and split_files(splits, dataset):
        return tuple(count_missing(root, tuple(name for name, _, _ in read_proposed_split(splits, dataset))))
    return () if root.is_dir() else (f"{archive.num_images} images in {root}",)


def _missing_texts(dataset: str, archive: Archive, official: Path) -> tuple[str, ...]:
    folder = texts_folder(archive, official)
    if folder is None:
        return (f"{official / archive.texts} (or beside {archive.folder})",)
    if dataset == "cub" or not (official / "classes.txt").is_file():
        return ()
    _, classes = read_numbered_names(official / "classes.txt")
    held = text_files(folder)
    without = [name for name in classes if plain_name(name) not in held]
    return (f"texts of {len(without)} of {len(classes)} classes in {folder}: {listed(without)}",) if without else ()
