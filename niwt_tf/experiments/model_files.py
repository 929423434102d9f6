"""A fitted model as a folder: network.keras, model.npz and model.json, without pickles."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.experiments.artefacts import form_of, forms_of
from niwt_tf.experiments.heads import SeenHead
from niwt_tf.experiments.measuring import MeasuredHead
from niwt_tf.experiments.scoring import finite
from niwt_tf.experiments.selection import Choice, Trial
from niwt_tf.experiments.settings import Settings
from niwt_tf.experiments.support import Support
from niwt_tf.experiments.transferring import Transferer
from niwt_tf.files import read_json, replacing_directory, write_json
from niwt_tf.method.column_map import ColumnMap
from niwt_tf.method.few_shot import FewShotPrior
from niwt_tf.method.importance import ClassImportance
from niwt_tf.method.mapping import DescriptionNormaliser, ImportanceMap
from niwt_tf.method.operator import tail_operator
from niwt_tf.method.probabilities import Probabilities
from niwt_tf.models.network import Network

_FORMAT = 4
_ARRAYS = frozenset(
    ("columns", "biases", "importance", "targets", "counts", "map_weights", "map_bias", "map_centre")
    + ("operator", "support_maps", "features", "labels", "sizes", "class_descriptions")
)
_ENTRIES = frozenset(
    ("settings", "seen", "description_names", "description_groups", "description_source", "normalisation")
    + ("map", "rank_correlation", "head_regularization", "head_kind")
    + ("calibration", "trial", "choice", "probabilities")
)


def save_model(
    path: str | os.PathLike[str], network: Network, transferer: Transferer, knowledge: Knowledge
) -> None:
    """Write a model to the folder `path`, which appears whole or not at all; `knowledge` has a row for each class.

    Raises:
        InputError: `path` is something else than a saved model.
    """
    folder = Path(path)
    if folder.exists() and not (folder / "model.json").is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"path must be new, empty or a saved model. Received: {str(folder)!r}.")
    fitted, importance, head = transferer.importance_map, transferer.head.importance, transferer.head.head
    with replacing_directory(folder) as temporary:
        network.save(temporary / "network.keras")
        np.savez(
            temporary / "model.npz",
            columns=head.columns,
            biases=head.biases,
            importance=importance.means,
            targets=transferer.head.targets,
            counts=importance.counts,
            map_weights=fitted.weights,
            map_bias=fitted.bias,
            map_centre=fitted.normaliser.centre,
            operator=transferer.support.operator,
            support_maps=transferer.support.maps,
            features=transferer.features,
            labels=transferer.labels,
            sizes=np.array(transferer.head.sizes),
            class_descriptions=knowledge.values,
            **forms_of([head]),  # type: ignore[arg-type]
        )
        if transferer.column_map is not None:
            np.savez(temporary / "column_map.npz", **transferer.column_map.arrays())  # type: ignore[arg-type]
        np.savez(temporary / "few_shot.npz", **transferer.few_shot.arrays())  # type: ignore[arg-type]
        write_json(
            temporary / "model.json",
            {
                "format": _FORMAT,
                "settings": transferer.settings.as_dict(),
                "seen": transferer.network.class_names,
                "description_names": list(knowledge.names),
                "description_groups": list(knowledge.groups),
                "description_source": knowledge.source,
                "normalisation": fitted.normaliser.how,
                "map": [fitted.regularization, finite(fitted.rank_correlation)],
                "rank_correlation": [finite(importance.rank_correlation_within), finite(importance.rank_correlation_across)],
                "head_regularization": head.regularization,
                "head_kind": head.kind,
                "calibration": transferer.calibration,
                "trial": {name: finite(value) for name, value in asdict(transferer.trial).items() if name != "choice"},
                "choice": asdict(transferer.trial.choice),
                "probabilities": transferer.probabilities.as_dict(),
            },
        )


def load_model(path: str | os.PathLike[str]) -> tuple[Network, Transferer, Knowledge]:
    """Return the network, what makes further classes, and the descriptions of the network's classes.

    Raises:
        InputError: the folder does not hold a saved model.
    """
    folder = Path(path)
    try:
        record = read_json(folder / "model.json")
        with np.load(folder / "model.npz", allow_pickle=False) as file:
            data = dict(file)
        choice = Choice(**{**record["choice"], "layer_weights": tuple(record["choice"]["layer_weights"])})
        column_map = _column_map(folder) if choice.engine == "closed_form" else None
        probabilities = Probabilities.from_dict(record["probabilities"])
        few_shot = _few_shot(folder)
        known = record["format"] == _FORMAT
        known = known and data.keys() >= _ARRAYS and record.keys() >= _ENTRIES
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile):
        known = False
    if not known:
        raise InputError(f"path must be a folder that Niwt.save wrote. Received: {str(folder)!r}.")
    network = Network.load(folder / "network.keras")
    head = SeenHead(
        record["head_regularization"], data["columns"], data["biases"], record["head_kind"], form_of(data, 0)
    )
    within, across = (_number(value) for value in record["rank_correlation"])
    importance = ClassImportance(data["importance"], data["counts"], within, across)
    penalty, correlation = (_number(value) for value in record["map"])
    normaliser = DescriptionNormaliser(record["normalisation"], data["map_centre"])
    settings = Settings.from_dict({**record["settings"], **_tuples(record["settings"])})
    headed = network.with_head(head.columns, head.biases, record["seen"], len(record["seen"]))
    exact = tail_operator(headed.tail, data["support_maps"]) if choice.engine == "operator" else None
    transferer = Transferer(
        settings,
        headed,
        MeasuredHead(head, importance, data["targets"], tuple(data["sizes"].tolist())),
        ImportanceMap(data["map_weights"], data["map_bias"], normaliser, penalty, correlation),
        _trial(choice, record["trial"]),
        Support(data["operator"], data["support_maps"], exact),
        data["features"],
        data["labels"],
        _number(record["calibration"]),
        column_map,
        probabilities,
        few_shot,
    )
    names, groups = tuple(record["description_names"]), tuple(record["description_groups"])
    knowledge = Knowledge(data["class_descriptions"], names, groups, record["description_source"])
    return network, transferer, knowledge


def _trial(choice: Choice, record: dict[str, Any]) -> Trial:
    plain = {name: value if isinstance(value, str) else _number(value) for name, value in record.items()}
    return Trial(choice, **plain)  # type: ignore[arg-type]


def _column_map(folder: Path) -> ColumnMap:
    with np.load(folder / "column_map.npz", allow_pickle=False) as file:
        return ColumnMap.from_arrays(dict(file))


def _few_shot(folder: Path) -> FewShotPrior:
    with np.load(folder / "few_shot.npz", allow_pickle=False) as file:
        return FewShotPrior.from_arrays(dict(file))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _tuples(settings: dict[str, object]) -> dict[str, tuple[object, ...]]:
    return {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
