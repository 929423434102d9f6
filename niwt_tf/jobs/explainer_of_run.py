"""What explains images by the network of a run, read from the run's folder alone: no data set is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.network_explainer import NetworkExplainer
from niwt_tf.methods.niwt.column_map import ColumnMap
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import load_probabilities
from niwt_tf.runs.run import RunDirectory


def explainer_of_run(run_dir: Path) -> NetworkExplainer:
    """Return what explains images by the stage `transfer` of a run. Nothing is written or held.

    Raises:
        InputError: it is no run's folder, or the stage is not finished or out of date; the sentence names the job to run.
    """
    folder = RunDirectory(run_dir).reading().folder("transfer")
    has_map = (folder / "column_map.npz").is_file()
    return NetworkExplainer(
        Network.load(folder / "network.keras"),
        Explainer.from_arrays(_arrays(folder / "explainer.npz")),
        load_probabilities(folder / "probabilities.json"),
        _arrays(folder / "descriptions.npz")["values"],
        ColumnMap.from_arrays(_arrays(folder / "column_map.npz")) if has_map else None,
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
