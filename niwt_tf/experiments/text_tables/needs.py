"""What the rows of a table of texts read, and what of it is not there: archive, images, split, texts, encoder, weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from niwt_tf.config.backbones import BACKBONES
from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.bert import encoder_folder
from niwt_tf.data.descriptions.sources import FOLDER
from niwt_tf.data.load import load_dataset
from niwt_tf.data.readers.archives import ARCHIVES, Archive, missing_files, official_folder, texts_folder
from niwt_tf.data.readers.folder import image_names
from niwt_tf.data.readers.xlsa17 import missing_split_files, read_standard_split
from niwt_tf.data.splits import published_folder
from niwt_tf.errors import InputError
from niwt_tf.experiments.table1.cost import IMAGES, SPLITS

_ARCHIVES = {
    **{name: f"{download.what}: {download.url}" for name, download in IMAGES.items()},
    "nabirds": "nabirds.tar.gz: https://dl.allaboutbirds.org/nabirds",
    "flowers": "102flowers.tgz and imagelabels.mat: https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
    "birds": "drawn: niwt render --num_species=200 --images_per_species=40 --data_dir=FOLDER",
}
_SPLITS = {
    "ps": f"{SPLITS.what}: {SPLITS.url}",
    "ss": "standard_split.zip: https://datasets.d2.mpi-inf.mpg.de/xian/standard_split.zip",
}
_TEXTS = {"captions": "text_c10, or what was drawn", "texts": f"{FOLDER}/<class>.txt, a text of yours for each class"}


def needs_of(every: Sequence[Settings], folder: Path) -> tuple[str, list[str]]:
    """Return a line for each thing that runs of one data set read, with where it comes from, and what is missing.

    Nothing is decoded and nothing fetched. What `folder` will hold is not missing.
    """
    first = every[0]
    archive = ARCHIVES["cub" if first.dataset == "birds" else first.dataset]
    data_dir = Path(os.path.expanduser(first.data_folder))
    official = _official(archive, data_dir)
    found = {
        "archive": [str(official / name) for name in missing_files(archive, official)],
        "images": [] if (official / archive.images).is_dir() else [str(official / archive.images)],
        "split": [each for settings in every for each in _split(settings, official)],
        "texts": [each for settings in every for each in _texts(settings, archive, official)],
        "encoder": [each for settings in every for each in _encoder(settings, folder)],
    }
    told = {
        "archive": _ARCHIVES[first.dataset],
        "images": _count(first.dataset, archive, official),
        "split": "; ".join(dict.fromkeys(_SPLITS.get(settings.split, "classes are drawn") for settings in every)),
        "texts": "; ".join(dict.fromkeys(_TEXTS.get(settings.knowledge, settings.knowledge) for settings in every)),
        "encoder": "; ".join(dict.fromkeys(settings.text_features for settings in every)),
    }
    lines = [f"Read from {data_dir}:"]
    for name, missing in found.items():
        lines.append(f"  {name:<10}{'MISSING' if missing else 'found':<10}{told[name]}")
    for settings in every:
        known = BACKBONES.get(settings.backbone)  # a module of TensorFlow Hub brings its weights
        published = None if known is None else known.published
        if settings.weights == "imagenet" and published is not None:
            lines.append(f"  {'weights':<10}{published.name}; Keras fetches it: {published.url}")
        elif settings.weights not in ("imagenet", "none") and not Path(settings.weights).is_file():
            found.setdefault("weights", []).append(settings.weights)
    return "\n".join(dict.fromkeys(lines)), list(dict.fromkeys(each for missing in found.values() for each in missing))


def check_data(every: Sequence[Settings]) -> None:
    """Read what runs of one data set read, without decoding an image or encoding a text: what is there may not be in order.

    Raises:
        InputError: it is not, or a class has no text, or classes are too few; in one sentence.
    """
    seen = set()
    for each in every:
        asked = each.split, each.num_unseen, each.unseen, each.seed, each.knowledge
        if asked in seen:
            continue
        seen.add(asked)
        load_dataset(
            each.dataset, each.data_folder, split=each.split, unseen=each.unseen, num_unseen=each.num_unseen,
            knowledge=each.knowledge, seed=each.seed, missing_images=each.missing_images, max_bad_images=None,
        )


def _count(dataset: str, archive: Archive, official: Path) -> str:
    """Return how many images are there, and how many should be."""
    root = official / archive.images
    places = [root, *(each for each in sorted(root.iterdir()) if each.is_dir())] if root.is_dir() else []
    held = sum(len(image_names(place)) for place in places)
    if dataset == "birds" or held == archive.num_images:
        return f"{held:,}"
    return f"{held:,} exist, the official archive has {archive.num_images:,}: figures will differ from the paper's"


def _official(archive: Archive, data_dir: Path) -> Path:
    try:
        return official_folder(archive, data_dir)
    except InputError:
        return data_dir if data_dir.name == archive.folder else data_dir / archive.folder


def _said(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except InputError as error:
        return [str(error).rstrip(".")]
    return []


def _split(settings: Settings, official: Path) -> list[str]:
    absolute = official.absolute()
    if settings.split == "ps":
        return list(missing_split_files(published_folder(absolute) or absolute.parent / "xlsa17", settings.dataset))
    if settings.split == "ss":
        folder = published_folder(absolute, "ss") or absolute.parent
        return _said(lambda: read_standard_split([folder, folder.parent], settings.dataset))
    return []


def _texts(settings: Settings, archive: Archive, official: Path) -> list[str]:
    if settings.knowledge == "captions":
        return [] if texts_folder(archive, official) else [f"{official / archive.texts} (or next to it)"]
    places = official / FOLDER, official.parent / FOLDER
    return [] if any(place.is_dir() for place in places) else [f"{places[0]} (or next to it), <class>.txt for each class"]


def _encoder(settings: Settings, folder: Path) -> list[str]:
    kind, _, place = settings.text_features.partition(":")
    if kind == "vectors":
        return [] if Path(os.path.expanduser(place)).is_file() else [place]
    own = bool(place) and folder in Path(place).parents  # it is made from the default one
    return _said(lambda: encoder_folder("" if own else place))
