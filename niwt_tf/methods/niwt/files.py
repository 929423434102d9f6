"""What the stages hand to each other, as .npz files without pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.folds import Learner
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.files import finite, read_json, replacing_directory, write_json
from niwt_tf.methods.niwt.column_map import ColumnMap
from niwt_tf.methods.niwt.few_shot import FewShotPrior
from niwt_tf.methods.niwt.importance import ClassImportance
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.niwt import Transferer
from niwt_tf.methods.niwt.operators import tail_operator
from niwt_tf.methods.niwt.seen_heads import BiasForm, SeenHead
from niwt_tf.methods.niwt.solving import Choice, Trial
from niwt_tf.methods.niwt.support import Support
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.network import Network


def save_networks(folder: Path, settings: Settings, networks: Mapping[str, Network]) -> None:
    """Write main.keras and the folds' networks: whole ones, or where they share main's trunk and tail their heads alone."""
    main = networks["main"]
    main.save(folder / "main.keras")
    folds = {name: network for name, network in networks.items() if name != "main"}
    if settings.finetune == "head":
        heads = {f"{name}_{part}": getattr(network, part) for name, network in folds.items() for part in ("columns", "biases")}
        np.savez(folder / "folds.npz", **heads)
    else:
        for name, network in folds.items():
            network.save(folder / f"{name}.keras")


def load_networks(folder: Path, settings: Settings, learners: Sequence[Learner]) -> dict[str, Network]:
    """Read what `save_networks` wrote for the learners."""
    if settings.finetune != "head":
        return {learner.name: Network.load(folder / f"{learner.name}.keras") for learner in learners}
    networks = {"main": Network.load(folder / "main.keras")}
    with np.load(folder / "folds.npz", allow_pickle=False) as file:
        for learner in learners[1:]:
            names = learner.training.images.class_names
            head = file[f"{learner.name}_columns"], file[f"{learner.name}_biases"]
            networks[learner.name] = networks["main"].with_head(*head, names, len(names))
    return networks


def save_operators(folder: Path, operators: Mapping[str, np.ndarray]) -> None:
    """Write operators.npz, one mean operator [N, D] a learner."""
    np.savez(folder / "operators.npz", **dict(operators))  # type: ignore[arg-type]


def load_operators(folder: Path) -> dict[str, np.ndarray]:
    """Read what `save_operators` wrote."""
    with np.load(folder / "operators.npz", allow_pickle=False) as file:
        return dict(file)


def save_measured(folder: Path, measured: Mapping[str, Sequence[MeasuredHead]]) -> None:
    """Write one file a learner: the H candidate heads and their importances."""
    for name, heads in measured.items():
        np.savez(
            folder / f"{name}.npz",
            head_regularization=np.array([head.head.regularization for head in heads]),
            head_kind=np.array([head.head.kind for head in heads]),
            **forms_of([head.head for head in heads]),  # type: ignore[arg-type]
            columns=np.stack([head.head.columns for head in heads]),
            biases=np.stack([head.head.biases for head in heads]),
            importance=np.stack([head.importance.means for head in heads]),
            targets=np.stack([head.targets for head in heads]),
            counts=heads[0].importance.counts,
            sizes=np.array(heads[0].sizes),
            rank_correlation_within=np.array([head.importance.rank_correlation_within for head in heads]),
            rank_correlation_across=np.array([head.importance.rank_correlation_across for head in heads]),
        )


def load_measured(folder: Path, names: Sequence[str]) -> dict[str, list[MeasuredHead]]:
    """Read what `save_measured` wrote for the learners `names`."""
    measured = {}
    for name in names:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
            data = dict(file)
        measured[name] = [
            MeasuredHead(
                SeenHead(
                    float(data["head_regularization"][h]),
                    data["columns"][h],
                    data["biases"][h],
                    str(data["head_kind"][h]),
                    form_of(data, h),
                ),
                ClassImportance(
                    data["importance"][h],
                    data["counts"],
                    float(data["rank_correlation_within"][h]),
                    float(data["rank_correlation_across"][h]),
                ),
                data["targets"][h],
                tuple(data["sizes"].tolist()),
            )
            for h in range(len(data["head_regularization"]))
        ]
    return measured


def forms_of(heads: Sequence[SeenHead]) -> dict[str, np.ndarray]:
    """Return the discriminants' forms as arrays by name; they share centre and covariance."""
    forms = [head.form for head in heads]
    shared = next((form for form in forms if form is not None), None)
    if shared is None:
        return {}
    numbers = [(float("nan"),) * 2 if form is None else (form.shrinkage, form.scale) for form in forms]
    return {"form_centre": shared.centre, "form_within": shared.within, "form_numbers": np.array(numbers)}


def form_of(data: Mapping[str, np.ndarray], head: int) -> BiasForm | None:
    """Return the form of a head among those whose `forms_of` the arrays hold, or None where it has none."""
    if "form_numbers" not in data or np.isnan(data["form_numbers"][head, 0]):
        return None
    shrinkage, scale = (float(number) for number in data["form_numbers"][head])
    return BiasForm(data["form_centre"], data["form_within"], shrinkage, scale)


def save_maps(folder: Path, maps: Mapping[str, Sequence[ImportanceMap]]) -> None:
    """Write one file a learner: the map of each candidate head."""
    for name, fitted in maps.items():
        np.savez(
            folder / f"{name}.npz",
            weights=np.stack([each.weights for each in fitted]),
            bias=np.stack([each.bias for each in fitted]),
            normalisation=np.array(fitted[0].normaliser.how),
            centre=fitted[0].normaliser.centre,
            regularization=np.array([each.regularization for each in fitted]),
            rank_correlation=np.array([each.rank_correlation for each in fitted]),
        )


def load_maps(folder: Path, names: Sequence[str]) -> dict[str, list[ImportanceMap]]:
    """Read what `save_maps` wrote for the learners `names`."""
    maps = {}
    for name in names:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
            data = dict(file)
        normaliser = DescriptionNormaliser(str(data["normalisation"]), data["centre"])
        maps[name] = [
            ImportanceMap(weights, bias, normaliser, float(regularization), float(correlation))
            for weights, bias, regularization, correlation in zip(
                data["weights"], data["bias"], data["regularization"], data["rank_correlation"], strict=True
            )
        ]
    return maps


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
