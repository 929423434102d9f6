"""What the rows of a table of texts read, and what of it is not there: archive, images, split, texts, encoder, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from niwt_tf.config.backbones import BACKBONES
from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.bert import encoder_folder
from niwt_tf.data.descriptions.documents import FOLDER
from niwt_tf.data.readers.archives import ARCHIVES, Archive, missing_files, official_folder, texts_folder
from niwt_tf.data.readers.xlsa17 import missing_split_files, read_standard_split
from niwt_tf.data.splits import published_folder
from niwt_tf.errors import InputError


def needs_of(every: Sequence[Settings], folder: Path) -> tuple[str, list[str]]:
    """Return a line for each thing that runs of one data set read, and what is missing, as a sentence names it.

    Nothing is decoded and nothing fetched. What `folder` will hold is not missing.
    """
    first = every[0]
    archive = ARCHIVES["cub" if first.dataset == "birds" else first.dataset]
    data_dir = Path(first.data_folder).expanduser()
    official = _official(archive, data_dir)
    found = {
        "archive": [str(official / name) for name in missing_files(archive, official)],
        "images": [] if (official / archive.images).is_dir() else [str(official / archive.images)],
        "split": [each for settings in every for each in _split(settings, official)],
        "texts": [each for settings in every for each in _texts(settings, archive, official)],
        "encoder": [each for settings in every for each in _encoder(settings, folder)],
    }
    lines = [f"Read from {data_dir}:"]
    for name, missing in found.items():
        lines.append(f"  {name:<10}{'MISSING' if missing else 'there'}")
    for settings in every:
        published = BACKBONES[settings.backbone].published
        if settings.weights == "imagenet" and published is not None:
            lines.append(f"  {'weights':<10}{published.name}; Keras fetches it: {published.url}")
        elif settings.weights not in ("imagenet", "none") and not Path(settings.weights).is_file():
            found.setdefault("weights", []).append(settings.weights)
    return "\n".join(dict.fromkeys(lines)), list(dict.fromkeys(each for missing in found.values() for each in missing))


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
        return [] if texts_folder(archive, official) else [f"{official / archive.texts} (or beside it)"]
    places = official / FOLDER, official.parent / FOLDER
    return [] if any(place.is_dir() for place in places) else [f"{places[0]} (or beside it), a text <class>.txt for each class"]


def _encoder(settings: Settings, folder: Path) -> list[str]:
    kind, _, place = settings.text_features.partition(":")
    if kind == "vectors":
        return [] if Path(place).expanduser().is_file() else [place]
    own = bool(place) and folder in Path(place).parents  # it is made from the default one
    return _said(lambda: encoder_folder("" if own else place))
