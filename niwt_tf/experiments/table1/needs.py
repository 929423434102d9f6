"""What `niwt reproduce` says beforehand: files, where they come from, gigabytes, GPU hours, and what is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from niwt_tf.config.settings import Settings
from niwt_tf.data.class_names import plain_name
from niwt_tf.data.readers.archives import ARCHIVES, Archive, count_missing, missing_files, official_folder, texts_folder
from niwt_tf.data.readers.folder import image_names
from niwt_tf.data.readers.tables import read_numbered_names, text_files
from niwt_tf.data.readers.xlsa17 import missing_split_files, read_proposed_split, split_files
from niwt_tf.data.splits import published_folder
from niwt_tf.errors import InputError, listed
from niwt_tf.experiments.table1.cost import CAPTIONS, IMAGES, SPLITS, WEIGHTS, Download, cache_gigabytes, operations
from niwt_tf.experiments.table1.paper import SOURCE, PaperRow


def parts_needed(wanted: Mapping[PaperRow, Settings]) -> list[NeededPart]:
    """Return what the rows of one data set read, with what of it is not there.

    Raises:
        InputError: a file that lists images is there and not in order.
    """
    every = list(wanted.values())
    with_texts = any(settings.knowledge in ("captions", "texts") for settings in every)
    first, with_split = every[0], any(settings.split == "ps" for settings in every)
    parts = archive_parts(first.dataset, first.data_folder, with_texts, first.missing_images, with_split)
    files = sorted({settings.weights for settings in every} - {"imagenet", "none"})
    absent = tuple(file for file in files if not Path(file).is_file())
    return [*parts, *([NeededPart("weights", absent)] if files else [])]


def needs_text(
    wanted: Mapping[PaperRow, Settings], parts: Sequence[NeededPart], folder: Path, cache_gb: float, tflops: float
) -> str:
    """Return what is printed before any work on rows of one data set, whose runs go into a folder.

    The cache has at most `cache_gb` gigabytes; a device is assumed to do `tflops` 10^12 floating point operations a second.
    """
    dataset, data_dir = next((settings.dataset, settings.data_folder) for settings in wanted.values())
    lines = [f"Table 1: {len(wanted)} row{'s' * (len(wanted) > 1)}. Paper: {SOURCE}.", f"Read from {data_dir}:"]
    for part in parts:
        state = "MISSING" if part.missing else "found"
        lines.append(f"  {part.name:<10}{state:<10}{_source(part.name, dataset)}{_count(part)}")
    lines += map(_weights_line, dict.fromkeys(each.backbone for each in wanted.values() if each.weights == "imagenet"))
    size = max(cache_gigabytes(settings) for settings in wanted.values())
    # Those of train/, one a fold if all layers are trained, and the one of transfer/.
    folds = [(each.backbone, each.num_folds if each.finetune == "all" else 0) for each in wanted.values()]
    kept = sum(WEIGHTS[backbone].unpacked * (2 + number) for backbone, number in folds)
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free / 1e9
    lines += [
        f"Written to {folder}, where {free:.0f} GB are free:", f"  networks  about {kept:.1f} GB, for all rows together",
        f"  cache     at most {min(size, cache_gb):.1f} GB (--cache_gb); one network's maps and features are {size:.1f} GB",
        "Upper limit of GPU hours. This is an estimate: the floating point operations of all forward and backward",
        f"passes, at an assumed speed of {tflops:g} x 10^12 a second (--gpu_tflops). It does not include",
        "the work of the processor, which decodes images and solves for the ridge head:",
    ]
    total, trained = 0.0, set()
    for row, settings in wanted.items():
        network = settings.replace(knowledge="attributes")
        needed = operations(settings, trained=network in trained)
        total += needed.hours(tflops)
        with_others = "  (its network is an earlier row's)" if network in trained else ""
        lines.append(f"  {row.name:<36}{needed.hours(tflops):8.2f}{with_others}")
        trained.add(network)
    if len(wanted) > 1:
        lines.append(f"  {'together':<36}{total:8.2f}")
    return "\n".join(lines)


def _count(part: NeededPart) -> str:
    if part.count is None or part.count[0] == part.count[1]:
        return ""
    return f"; {part.count[0]:,} exist, the official archive has {part.count[1]:,}: figures will differ from the paper's"


def _source(name: str, dataset: str) -> str:
    if name == "texts" and dataset == "awa2":
        return "descriptions/<class>.txt, a text of yours for each class"
    if name in ("images", "weights"):
        return "in the same file" if name == "images" else "the file of --weights"
    return _sizes({"archive": IMAGES[dataset], "split": SPLITS, "texts": CAPTIONS}[name])


def _sizes(download: Download) -> str:
    packed = f"{download.packed:g} GB" if download.packed is not None else "size not stated"
    return f"{download.what}, {packed} ({download.unpacked:g} GB unpacked): {download.url}"


def _weights_line(backbone: str) -> str:
    file = WEIGHTS[backbone]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    state = "found" if (home / file.what).is_file() else "fetched"
    return f"  {'weights':<10}{state:<10}{file.what}, {file.packed:g} GB, in {home}; Keras fetches it: {file.url}"


@dataclass(frozen=True)
class NeededPart:
    """A part of what an experiment reads: "archive", "images", "split", "texts" or "weights".

    What is missing is as a message names it. The count is of images: how many there are, and how many the official archive has.
    """

    name: str
    missing: tuple[str, ...]
    count: tuple[int, int] | None = None


def archive_parts(
    dataset: str, data_dir: str | Path, with_texts: bool = False, missing_images: str = "error", with_split: bool = True
) -> list[NeededPart]:
    """Return the parts of an archive, "cub" or "awa2", with what of them is not there; nothing is decoded.

    The folder is the official one or holds it, and may be absent. If missing images are dropped, one is enough. Texts are
    captions or those of classes; the split is the Proposed Split.

    Raises:
        InputError: a file that is there and lists images is not in order.
    """
    archive, folder = ARCHIVES[dataset], Path(os.path.expanduser(data_dir))
    try:
        official = official_folder(archive, folder)
    except InputError:
        official = folder if folder.name == archive.folder else folder / archive.folder
    missing = tuple(str(official / name) for name in missing_files(archive, official))
    splits = published_folder(official.absolute()) or official.absolute().parent / "xlsa17"
    root = official / archive.images
    held = sum(len(image_names(each)) for each in root.iterdir() if each.is_dir()) if root.is_dir() else 0
    missing_pictures = _missing_images(dataset, archive, official, splits, missing_images == "drop", held)
    parts = [NeededPart("archive", missing), NeededPart("images", missing_pictures, (held, archive.num_images))]
    if with_split:
        parts.append(NeededPart("split", tuple(missing_split_files(splits, dataset))))
    if with_texts:
        parts.append(NeededPart("texts", _missing_texts(dataset, archive, official)))
    return parts


def _missing_images(
    dataset: str, archive: Archive, official: Path, splits: Path, one_is_enough: bool, held: int
) -> tuple[str, ...]:
    root = official / archive.images
    if one_is_enough:
        return () if held else (f"any image in {root}",)
    if dataset == "cub" and (official / archive.known_by).is_file():
        return tuple(count_missing(root, tuple(read_numbered_names(official / archive.known_by)[1])))
    if dataset == "awa2" and split_files(splits, dataset):
        return tuple(count_missing(root, tuple(name for name, _, _ in read_proposed_split(splits, dataset))))
    return () if root.is_dir() else (f"{archive.num_images} images in {root}",)


def _missing_texts(dataset: str, archive: Archive, official: Path) -> tuple[str, ...]:
    folder = texts_folder(archive, official)
    if folder is None:
        return (f"{official / archive.texts} (or next to {archive.folder})",)
    if dataset == "cub" or not (official / "classes.txt").is_file():
        return ()
    _, classes = read_numbered_names(official / "classes.txt")
    held = text_files(folder)
    without = [name for name in classes if plain_name(name) not in held]
    return (f"texts of {len(without)} of {len(classes)} classes in {folder}: {listed(without)}",) if without else ()
