"""The neurons that have a name, with the image regions that they answer to most.

Dimensions: M test images, N neurons.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.csv_text import text_of_cell
from niwt_tf.data.schema import Images
from niwt_tf.explain.sentences import plain
from niwt_tf.plots.style import readable_names
from niwt_tf.report.pictures import data_uri, region_picture

_SIDE = 88  # pixels


@dataclass(frozen=True)
class NeuronEntry:
    """A neuron and what its name is worth; figures are in [0, 1], None where unknown.

    Attributes:
        neuron: its number.
        name: the attribute that it is named by.
        held_out_auc: how well it told held-out training images with the attribute from others.
        auc: how well its activation tells test images with the attribute from others.
        auc_seen: the same over images of seen classes.
        auc_unseen: the same over images of unseen classes.
        part_energy: share of its activation near the part that the attribute is of.
        pictures: (`data:` address, what it shows in words) of the regions that it answers to most, the most first.
        part_chance: what `part_energy` would be if the neuron answered alike everywhere in the object's box.
    """

    neuron: int
    name: str
    held_out_auc: float
    auc: float | None
    auc_seen: float | None
    auc_unseen: float | None
    part_energy: float | None
    pictures: tuple[tuple[str, str], ...]
    part_chance: float | None = None


@dataclass(frozen=True)
class Dictionary:
    """The entries that are shown, and how many neurons there are with and without a name."""

    entries: tuple[NeuronEntry, ...]
    num_neurons: int
    num_named: int


def dictionary(
    neurons_csv: str | os.PathLike[str], activating: str | os.PathLike[str], images: Images, most: int = 60,
    resize: str = "squash",
) -> Dictionary:
    """Return at most `most` named neurons, by their AUC on held-out training images, then by number.

    Args:
        neurons_csv: the stage faithfulness's neurons.csv.
        activating: its activating.npz: images [N, R] as indices of `images` (-1 for none) and regions [N, R, 4], x0, y0, x1, y1
            as fractions of an image.
        images: the test images, in the order that the indices mean.
        most: how many neurons; pictures are made of these alone.
        resize: how the network was shown the images, as in an `InputForm`.
    """
    with open(neurons_csv, encoding="utf-8", newline="") as file:
        rows = [{name: text_of_cell(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
    arrays = read_arrays(activating)
    best, regions = arrays["images"], arrays["regions"]
    named = [row for row in rows if row["name"]]
    named.sort(key=lambda row: (-float(row["held_out_auc"]), int(row["neuron"])))
    class_names = readable_names(images.class_names)

    def entry(row: dict[str, str]) -> NeuronEntry:
        neuron, pictures = int(row["neuron"]), []
        for image, region in zip(best[neuron].tolist(), regions[neuron], strict=True):
            if image >= 0:
                path = Path(images.paths[image])
                shown = f"{class_names[images.labels[image]]} ({path.name})"
                alt = f"Where neuron {neuron} ({plain(row['name'])}) is most active in an image of {shown}"
                pictures.append((data_uri(region_picture(images.root / path, region, _SIDE, resize)), alt))
        names = ("auc", "auc_seen", "auc_unseen", "part_energy", "part_chance")
        auc, auc_seen, auc_unseen, part_energy, part_chance = (float(row[name]) if row[name] else None for name in names)
        said = row["name"], float(row["held_out_auc"])
        return NeuronEntry(neuron, *said, auc, auc_seen, auc_unseen, part_energy, tuple(pictures), part_chance)

    return Dictionary(tuple(map(entry, named[:most])), len(rows), len(named))
