"""Reads Oxford Flowers 102 (Nilsback and Zisserman 2008): 8,189 photographs of 102 categories, some species and some genera.

Written from the archive's description and proven on miniatures. It was never run on the real photographs, which are not here.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from niwt_tf.data.class_names import plain_name
from niwt_tf.data.readers import archives
from niwt_tf.data.readers.folder import image_names
from niwt_tf.data.readers.tables import existing_directory, line_of, read_mat, read_names, whole_numbers_of
from niwt_tf.data.schema import Dataset, no_knowledge
from niwt_tf.errors import InputError, require, suggestion

_ARCHIVE = archives.ARCHIVES["flowers"]
SPECIES = "species.txt"
_IMAGE = re.compile(r"image_\d{5}\.jpg")
_PUBLISHED_SPECIES = 55  # of N3's paper, which does not list them
_LOG = logging.getLogger("niwt_tf")
# By number, from 1: the archive has numbers alone. As published with it, but for a question mark behind one name.
CATEGORIES = (
    "pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "english marigold", "tiger lily",
    "moon orchid", "bird of paradise", "monkshood", "globe thistle", "snapdragon", "colt's foot", "king protea",
    "spear thistle", "yellow iris", "globe-flower", "purple coneflower", "peruvian lily", "balloon flower",
    "giant white arum lily", "fire lily", "pincushion flower", "fritillary", "red ginger", "grape hyacinth", "corn poppy",
    "prince of wales feathers", "stemless gentian", "artichoke", "sweet william", "carnation", "garden phlox",
    "love in the mist", "mexican aster", "alpine sea holly", "ruby-lipped cattleya", "cape flower", "great masterwort",
    "siam tulip", "lenten rose", "barbeton daisy", "daffodil", "sword lily", "poinsettia", "bolero deep blue", "wallflower",
    "marigold", "buttercup", "oxeye daisy", "common dandelion", "petunia", "wild pansy", "primula", "sunflower",
    "pelargonium", "bishop of llandaff", "gaura", "geranium", "orange dahlia", "pink-yellow dahlia", "cautleya spicata",
    "japanese anemone", "black-eyed susan", "silverbush", "californian poppy", "osteospermum", "spring crocus",
    "bearded iris", "windflower", "tree poppy", "gazania", "azalea", "water lily", "rose", "thorn apple", "morning glory",
    "passion flower", "lotus", "toad lily", "anthurium", "frangipani", "clematis", "hibiscus", "columbine", "desert-rose",
    "tree mallow", "magnolia", "cyclamen", "watercress", "canna lily", "hippeastrum", "bee balm", "ball moss", "foxglove",
    "bougainvillea", "camellia", "mallow", "mexican petunia", "bromelia", "blanket flower", "trumpet creeper",
    "blackberry lily",
)


def read_flowers(data_dir: str | Path, missing_images: str = "error") -> Dataset:
    """Read Oxford Flowers 102 from the folder with `jpg/` and `imagelabels.mat`, or the one that holds it.

    A file `species.txt` in or beside that folder, one name a line, says which categories are classes; without it all are.
    There are no attributes. `setid.mat` is not a zero-shot split and is not used.

    Raises:
        InputError: files are absent or not in order, an image has no label, listed images are missing, or species.txt names
            what is no category, names one twice or names one without images.
    """
    official = archives.official_folder(_ARCHIVE, existing_directory("data_dir", data_dir))
    path = official / "imagelabels.mat"
    numbers = whole_numbers_of(path, "labels", read_mat(path, ["labels"])["labels"])
    wrong = np.flatnonzero((numbers < 1) | (numbers > len(CATEGORIES)))
    if len(wrong):
        rule = f"{path}: labels must be from 1 to {len(CATEGORIES)}"
        raise InputError(f"{rule}. Received: {numbers[wrong[0]]} for image {wrong[0] + 1}.")
    paths = tuple(f"image_{number:05d}.jpg" for number in range(1, len(numbers) + 1))
    _check_labelled(path, official / "jpg", paths)
    every = Dataset("flowers", official / "jpg", paths, numbers - 1, CATEGORIES, no_knowledge(len(CATEGORIES)))
    return archives.drop_missing(_of_species(every, official), missing_images, path)


def _check_labelled(path: Path, root: Path, paths: tuple[str, ...]) -> None:
    """Refuse images behind the last label: labels go by position, so those of another archive would pass for this one's."""
    behind = sorted(set(filter(_IMAGE.fullmatch, image_names(root))) - set(paths)) if root.is_dir() else []
    if behind:
        raise InputError(f"{path} must have a label for each image in {root}. Received: {len(paths)}, none for {behind[0]!r}.")


def _of_species(dataset: Dataset, official: Path) -> Dataset:
    """Return the images of the categories that are classes."""
    listed = next((place / SPECIES for place in (official, official.parent) if (place / SPECIES).is_file()), None)
    present = np.unique(dataset.labels)
    if listed is None:
        told = "There is no %s in or next to %s: all %d categories are classes, genera too. N3's paper keeps %d species."
        _LOG.info(told, SPECIES, official, len(present), _PUBLISHED_SPECIES)
        return archives.take_classes(dataset, present)
    classes = np.sort(_read_species(listed))  # by number, whatever the order of the list
    empty = np.setdiff1d(classes, present)
    if len(empty):
        received = f"{CATEGORIES[empty[0]]!r}, which has none"
        raise InputError(f"{listed} must name categories that have images. Received: {received}.")
    kept = archives.take_images(dataset, np.flatnonzero(np.isin(dataset.labels, classes)))
    _LOG.info("%s keeps %d of %d categories, with %d images.", listed, len(classes), len(present), len(kept.paths))
    return archives.take_classes(kept, classes)


def _read_species(path: Path) -> list[int]:
    """Return the indices of the categories that a list names."""
    found: list[int] = []
    for row, name in enumerate(map(plain_name, read_names(path))):
        where = f"{path}, line {line_of(path, row)}"
        if name not in CATEGORIES:
            rule = f"{where} must be one of the {len(CATEGORIES)} categories"
            raise InputError(f"{rule}. Received: {name[:80]!r}.{suggestion(name, CATEGORIES)}")
        require(CATEGORIES.index(name) not in found, f"{where} must name a category once. Received: {name!r} again.")
        found.append(CATEGORIES.index(name))
    require(found, f"{path} must name at least one category. Received: an empty file.")
    return found
