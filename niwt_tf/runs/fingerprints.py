"""What tells one data set from another.

Images count by their contents, which are read anyway when they are checked: see `load_dataset`.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niwt_tf.config.backbones import KERAS_HUB, is_given_model
from niwt_tf.config.names import METHOD_MODULES, added
from niwt_tf.data.descriptions.join import JOINT
from niwt_tf.data.hub_location import PREFIX, is_hub, module_fingerprint
from niwt_tf.data.images.duplicates import digest_of_image
from niwt_tf.data.schema import Dataset
from niwt_tf.files import digest_of, files_below, fingerprint


def data_fingerprint(dataset: Dataset) -> str:
    """Return 16 hex digits that change with the images (names and contents), labels, classes, knowledge or split.

    Where the folder lies and when its files were written make no difference.

    Raises:
        OSError: an image is not there.
    """
    return fingerprint(image_fingerprint(dataset), dataset.knowledge.names, dataset.knowledge.values)


def image_fingerprint(dataset: Dataset) -> str:
    """Return 16 hex digits that change with all that `data_fingerprint` changes with but the knowledge.

    Networks are trained on images and labels alone, so that runs on other descriptions of the same classes can share them.

    Raises:
        OSError: an image is not there.
    """
    contents = [(dataset.digests.get(path) or digest_of_image(dataset.root / path)).hex() for path in dataset.paths]
    return fingerprint(problem_fingerprint(dataset), contents)


def problem_fingerprint(dataset: Dataset) -> str:
    """Return 16 hex digits that change with the names of images, the labels, the classes or the split, and with nothing else.

    Two runs that have it in common are scored on the same test images, whatever describes their classes.
    """
    split = dataset.split
    roles = [] if split is None else [split.seen, split.unseen, split.train, split.test_seen, split.test_unseen]
    return fingerprint([dataset.name, dataset.class_names, dataset.paths], dataset.labels, *roles)


def descriptions_fingerprint(dataset: Dataset) -> str | None:
    """Return 16 hex digits that change with a table of class descriptions; None for those that are computed from texts.

    What is computed (a singular value decomposition, say) has other last digits on another machine.
    """
    knowledge = dataset.knowledge
    computed = {"captions", "texts"}.intersection(knowledge.source.split(JOINT))
    return None if computed else fingerprint(knowledge.names, knowledge.values)


def annotation_fingerprint(dataset: Dataset) -> dict[str, str]:
    """Return what changes with the boxes, parts and attributes of images: what explanations are measured with, and no more.

    It is apart from `data_fingerprint`, so that nothing is trained again for a corrected box.
    """
    known = [dataset.boxes, dataset.parts, dataset.part_names, dataset.image_attributes]
    return {"annotation": fingerprint(*known)}


def weights_fingerprint(weights: str, backbone: str = "", *, download: bool = False) -> dict[str, str]:
    """Return what tells the contents of initial weights, of a hub module or of a Keras model from others; nothing for a name.

    Raises:
        InputError: the hub module is not there and, with `download`, cannot be fetched.
    """
    path = Path(weights)
    found = {"weights_file": fingerprint(path)} if path.is_file() else {}
    if is_hub(backbone):
        found["hub_module"] = module_fingerprint(backbone.removeprefix(PREFIX), download=download)
    given = Path(backbone.removeprefix(KERAS_HUB))
    if is_given_model(backbone) and given.exists():
        files = [given] if given.is_file() else [path for path in files_below(given) if path.is_file()]
        found["backbone_model"] = fingerprint([[path.name, digest_of(path)] for path in files])
    return found


def support_fingerprint(support: str) -> dict[str, str]:
    """Return, for a folder of support images, what changes with the names and contents of its files; nothing for a name."""
    folder = Path(support)
    if support in ("seen", "noise") or not folder.is_dir():
        return {}
    files = [path for path in files_below(folder) if path.is_file()]
    return {"support": fingerprint([[path.relative_to(folder).as_posix(), digest_of(path)] for path in files])}


def method_package(method: str) -> dict[str, list[str]]:
    """Return, for a method that an installed package adds, the package and its version; nothing for one of this package."""
    point = None if method in METHOD_MODULES else added("niwt_tf.methods").get(method)
    return {} if point is None or point.dist is None else {PACKAGE: [point.dist.name, point.dist.version]}


def other_package(extra: Mapping[str, Any]) -> str:
    """Return which package has another version than the one that a stage was made with, or ""."""
    name, version = extra.get(PACKAGE) or ("", None)
    return name if name and _version(name) != version else ""


PACKAGE = "package"
_VERSIONS = ("niwt-tf", "tensorflow", "keras", "numpy", "scikit-learn", "pillow")


def package_versions() -> dict[str, str | None]:
    """Return the versions by name, Python's first; None for a package that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _VERSIONS}}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
