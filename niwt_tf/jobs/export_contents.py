"""What a run's export holds besides the network, gathered from the run's earlier stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.data.schema import Knowledge
from niwt_tf.explain.explainer import Explainer
from niwt_tf.files import read_json
from niwt_tf.methods.niwt.column_map import ColumnMap
from niwt_tf.methods.niwt.few_shot import FewShotPrior
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import load_probabilities
from niwt_tf.runs.run import Run
from niwt_tf.serving.export.contents import HOW, Contents

if TYPE_CHECKING:
    from niwt_tf.jobs.run_data import RunData

_FIGURES = ("validation_harmonic_mean", "validation_acc_zsl")


def contents_of(run: Run, data: RunData, network: Network, abstain: bool = False) -> Contents:
    """Return what goes with the network of the stage `transfer`; with `abstain` unsure answers are "unknown"."""
    folder = run.folder("transfer")
    selection = read_json(folder / "selection.json")
    figures = {name: selection["figures"].get(name) for name in _FIGURES}
    # A descent makes no column map, and other heads than NIWT's have no prior for photographs either.
    column_map, few_shot = _arrays(folder / "column_map.npz"), _arrays(folder / "few_shot.npz")
    probabilities = load_probabilities(folder / "probabilities.json")
    return Contents(
        knowledge=_described(data, network),
        probabilities=probabilities if abstain else replace(probabilities, abstain_below=0.0),
        column_map=ColumnMap.from_arrays(column_map) if column_map else None,
        explainer=Explainer.from_arrays(_arrays(folder / "explainer.npz")),
        few_shot=FewShotPrior.from_arrays(few_shot) if few_shot else None,
        images=_image_counts(data, network),
        validation={name: float(value) for name, value in figures.items() if value is not None},
        how=HOW[selection["chosen"]["engine"]],
    )


def _described(data: RunData, network: Network) -> Knowledge:
    known = data.dataset.knowledge
    rows = [data.dataset.class_names.index(name) for name in network.class_names]
    return replace(known, values=known.values[rows])


def _image_counts(data: RunData, network: Network) -> list[int]:
    images = data.seen.images
    counts = dict(zip(images.class_names, np.bincount(images.labels, minlength=len(images.class_names)), strict=True))
    return [int(counts.get(name, 0)) for name in network.class_names]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, or none where there is no such file."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
