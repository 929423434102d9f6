"""Chooses seen and unseen classes and what each image is for."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from niwt_tf.data.class_names import places_of
from niwt_tf.data.feature_rows import holds_features
from niwt_tf.data.readers import xlsa17
from niwt_tf.data.readers.xlsa17 import FOLDERS, classes_with_images, split_by_roles
from niwt_tf.data.readers.xlsa17_features import proposed_split
from niwt_tf.data.schema import Dataset, Split
from niwt_tf.errors import InputError, check_choice, require, suggestion

_TEST_FRACTION = 0.2  # of each seen class's images


def random_split(dataset: Dataset, num_unseen: int, seed: int = 0) -> Dataset:
    """Draw `num_unseen` unseen classes from those with images; classes without images are unseen besides.

    With 0 every class that has images is seen: nothing is hidden to measure on.

    Raises:
        InputError: fewer than 2 seen classes would remain, or an argument is out of range.
    """
    with_images = classes_with_images(dataset)
    if len(with_images) < 2 or len(dataset.class_names) < 3:
        received = f"{len(dataset.class_names)} classes, {len(with_images)} with images"
        raise InputError(
            f"The data set {dataset.name!r} must have 2 seen classes, with images, and an unseen one. Received: {received}."
        )
    most = len(with_images) - 2
    if not 0 <= num_unseen <= most:
        rule = f"from 0 to {most}, so that 2 of {len(with_images)} classes with images stay seen"
        raise InputError(f"num_unseen must be {rule}. Received: {num_unseen}.")
    drawn = _generator(seed, 0).permutation(with_images)[:num_unseen]
    return _split_by_class(dataset, f"random seed {seed}", drawn, seed, hides_none=num_unseen == 0)


def named_split(dataset: Dataset, unseen: Sequence[str], seed: int = 0, name: str | None = None) -> Dataset:
    """Make the classes called `unseen`, and those without images, the unseen ones.

    Raises:
        InputError: a name is not a class (the nearest is suggested) or occurs twice; fewer than 2 seen or no unseen class.
    """
    classes = places_of(unseen, dataset.class_names, f"unseen must name classes of the data set {dataset.name!r}")
    name = "unseen " + ",".join(unseen) if name is None else name
    return _split_by_class(dataset, name, np.array(classes, np.int64), seed)


def csv_split(dataset: Dataset, path: str | Path, missing_images: str = "error") -> Dataset:
    """Read the split from a CSV `image,role` with roles trainval (or train), test_seen and test_unseen.

    Images are named relative to the images folder; images that the file does not name are not used.

    Raises:
        InputError: a line names an image that the data set does not hold (allowed with missing_images="drop"), an image twice
            or another role; a class is both seen and unseen; a seen class has no training image; too few classes remain.
    """
    path = Path(os.path.expanduser(path))
    return split_by_roles(dataset, path.name, xlsa17.read_role_list(path), path, missing_images)


def xlsa17_split(
    dataset: Dataset,
    folder: str | Path,
    kind: str = "ps",
    missing_images: str = "error",
    seed: int = 0,
) -> Dataset:
    """Use a published split of Xian et al. 2018 for CUB or AWA2: "ps", the Proposed Split, or "ss", the Standard Split.

    The Standard Split has classes alone, so a fifth of each seen class's images is kept for testing, drawn by `seed`.
    `folder` is xlsa17 (see `read_proposed_split`), a list of the Proposed Split as CSV, or for "ss" the folder that holds
    standard_split or the one beside it. With missing_images="drop", names that the data set does not hold are passed over.

    Raises:
        InputError: the files are absent or not in order, name images that the data set lacks, or leave too few classes.
    """
    folder = Path(os.path.expanduser(folder))
    if check_choice("split", kind, ("ps", "ss")) == "ps":
        rows = xlsa17.read_role_list(folder) if folder.is_file() else xlsa17.read_proposed_split(folder, dataset.name)
        return split_by_roles(dataset, "ps", rows, folder, missing_images)
    unseen = xlsa17.read_standard_split([folder, folder.parent], dataset.name)
    if missing_images == "drop":
        unseen = tuple(name for name in unseen if name in dataset.class_names)
    return named_split(dataset, unseen, seed, name="ss")


def choose_split(
    dataset: Dataset,
    split: str = "random",
    unseen: Sequence[str] = (),
    num_unseen: int | None = None,
    seed: int = 0,
    split_dir: str | Path | None = None,
    missing_images: str = "error",
) -> Dataset:
    """Return the data set with a split, as the options of the same names ask: "ps", "ss", "random" or the path of a CSV.

    `unseen` names the unseen classes in the place of drawing `num_unseen`: None draws none where classes without images are
    unseen already, otherwise a fifth of all. `split_dir` holds the published splits; by default xlsa17 is looked for in, beside
    and above the archive's folder. With missing_images="drop", a split file may name images that are not there.

    Raises:
        InputError: options that exclude each other, an unknown split, and all that the single splits raise.
    """
    if (unseen or num_unseen is not None) and split != "random":
        raise InputError(f"unseen and num_unseen are only for split=random. Received: split={split!r}.")
    if unseen and num_unseen is not None:
        raise InputError(f"num_unseen must not be given together with unseen, which names the classes. Received: {num_unseen}.")
    if split == "random":
        if unseen:
            return named_split(dataset, unseen, seed)
        if num_unseen is None:
            with_images = len(classes_with_images(dataset))
            num_unseen = max(1, with_images // 5) if with_images == len(dataset.class_names) else 0
        return random_split(dataset, num_unseen, seed)
    if split == "ps" and holds_features(dataset.root):
        return proposed_split(dataset)
    if split in ("ps", "ss"):
        if dataset.name not in FOLDERS:
            rule = (
                f"split={split} is published only for cub and awa2; for other data sets give a CSV, or --unseen or "
                "--num_unseen"
            )
            raise InputError(f"{rule}. Received: dataset {dataset.name!r}.")
        official = dataset.root.absolute().parent
        folder = published_folder(official, split, split_dir)
        if folder is None:
            rule = f"split=ps needs the folder xlsa17 of published splits in {official.parent}"
            raise InputError(f"{rule}. Received: no such folder.")
        return xlsa17_split(dataset, folder, split, missing_images, seed)
    if not Path(os.path.expanduser(split)).is_file():
        near = suggestion(split, ("ps", "ss", "random"))
        raise InputError(f"split must be ps, ss, random or the path of a CSV file. Received: {split!r}.{near}")
    return csv_split(dataset, split, missing_images)


def published_folder(official: Path, split: str = "ps", split_dir: str | Path | None = None) -> Path | None:
    """Return where the published splits of an archive are, or None where split "ps" has no folder xlsa17.

    It is `split_dir`, or looked for in, beside and above `official`, CUB_200_2011 or Animals_with_Attributes2.
    """
    if split_dir is not None:
        return Path(os.path.expanduser(split_dir))
    bases = [official, official.parent, official.parent.parent]
    if split == "ss":
        return next((base for base in bases if (base / "standard_split").is_dir()), official.parent)
    return next((base / "xlsa17" for base in bases if (base / "xlsa17").is_dir()), None)


def _generator(seed: int, *keys: int) -> np.random.Generator:
    require(seed >= 0, f"seed must be 0 or more. Received: {seed}.")
    return np.random.default_rng([seed, *keys])


def _split_by_class(dataset: Dataset, name: str, unseen: np.ndarray, seed: int, hides_none: bool = False) -> Dataset:
    with_images = classes_with_images(dataset)
    seen = np.setdiff1d(with_images, unseen)
    train, test = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for label in seen:
        images = np.flatnonzero(dataset.labels == label)
        # Keyed by the name, so that a class keeps its test images when other classes come or go.
        order = _generator(seed, 1, zlib.crc32(dataset.class_names[label].encode())).permutation(images)
        count = min(max(1, round(_TEST_FRACTION * len(images))), len(images) - 1)
        test.append(np.sort(order[:count]))
        train.append(np.sort(order[count:]))
    every_unseen = np.setdiff1d(np.arange(len(dataset.class_names)), seen)
    test_unseen = np.flatnonzero(np.isin(dataset.labels, every_unseen))
    made = Split(name, seen, every_unseen, np.concatenate(train), np.concatenate(test), test_unseen, hides_none)
    return dataset.replace(split=made)
