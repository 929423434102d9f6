"""What a run's export holds besides the network, gathered from the run's earlier stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.files import read_json
from niwt_tf.jobs.run_directory import Run
from niwt_tf.method.column_map import ColumnMap
from niwt_tf.models.network import Network
from niwt_tf.serving.contents import Contents, DescribedClasses

if TYPE_CHECKING:
    from niwt_tf.jobs.run_data import RunData

_FIGURES = ("validation_harmonic_mean", "validation_acc_zsl")
_HOW = {
    "closed_form": "from its description, in closed form",
    "operator": "from its description, by descent on exact operators",
    "tape": "from its description, by descent through nested gradients",
}


def contents_of(run: Run, data: RunData, network: Network) -> Contents:
    """Return what goes with the network of the stage `transfer`."""
    folder = run.folder("transfer")
    selection = read_json(folder / "selection.json")
    figures = {name: selection["figures"].get(name) for name in _FIGURES}
    column_map = None
    if (folder / "column_map.npz").is_file():
        with np.load(folder / "column_map.npz", allow_pickle=False) as file:
            column_map = ColumnMap.from_arrays(dict(file))
    return Contents(
        knowledge=_described(data, network),
        column_map=column_map,
        images=_image_counts(data, network),
        validation={name: float(value) for name, value in figures.items() if value is not None},
        how=_HOW[selection["chosen"]["engine"]],
    )


def _described(data: RunData, network: Network) -> DescribedClasses:
    known = data.dataset.knowledge
    rows = [data.dataset.class_names.index(name) for name in network.class_names]
    return DescribedClasses(known.names, known.groups, known.source, known.values[rows])


def _image_counts(data: RunData, network: Network) -> list[int]:
    images = data.seen.images
    counts = dict(zip(images.class_names, np.bincount(images.labels, minlength=len(images.class_names)), strict=True))
    return [int(counts.get(name, 0)) for name in network.class_names]
