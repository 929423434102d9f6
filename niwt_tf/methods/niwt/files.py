"""What the stages hand to each other, as .npz files without pickles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.relevance import RelevanceMap
from niwt_tf.methods.seen_heads import BiasForm, SeenHead


def save_operators(folder: Path, operators: Mapping[str, np.ndarray]) -> None:
    """Write operators.npz, one mean operator [N, D] a partition."""
    np.savez(folder / "operators.npz", **dict(operators))  # type: ignore[arg-type]


def load_operators(folder: Path) -> dict[str, np.ndarray]:
    """Read what `save_operators` wrote."""
    return read_arrays(folder / "operators.npz")


def save_measured(folder: Path, measured: Mapping[str, Sequence[MeasuredHead]]) -> None:
    """Write one file a partition: the H candidate heads and their importances."""
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
    """Read what `save_measured` wrote for the partitions `names`."""
    measured = {}
    for name in names:
        data = read_arrays(folder / f"{name}.npz")
        measured[name] = [
            MeasuredHead(
                head,
                ClassImportance(
                    data["importance"][h], data["counts"], float(data["rank_correlation_within"][h]),
                    float(data["rank_correlation_across"][h])
                ),
                data["targets"][h],
                tuple(data["sizes"].tolist()),
            )
            for h, head in enumerate(seen_heads_of(data))
        ]
    return measured


def seen_heads_of(arrays: Mapping[str, np.ndarray]) -> list[SeenHead]:
    """Return the heads whose columns [H, D, S], biases, penalties, kinds and forms the arrays hold."""
    return [
        SeenHead(float(strength), arrays["columns"][h], arrays["biases"][h], str(arrays["head_kind"][h]), form_of(arrays, h))
        for h, strength in enumerate(arrays["head_regularization"])
    ]


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


def save_maps(folder: Path, maps: Mapping[str, Sequence[ImportanceMap] | RelevanceMap]) -> None:
    """Write one file a partition: the map of each candidate head, or the one of all."""
    for name, fitted in maps.items():
        if isinstance(fitted, RelevanceMap):
            found = {**fitted.arrays(), "map_rank_correlation": np.array(fitted.rank_correlation)}
            np.savez(folder / f"{name}.npz", **found)  # type: ignore[arg-type]
            continue
        np.savez(
            folder / f"{name}.npz",
            weights=np.stack([each.weights for each in fitted]),
            bias=np.stack([each.bias for each in fitted]),
            normalisation=np.array(fitted[0].normaliser.how),
            centre=fitted[0].normaliser.centre,
            regularization=np.array([each.regularization for each in fitted]),
            rank_correlation=np.array([each.rank_correlation for each in fitted]),
        )


def load_maps(folder: Path, names: Sequence[str]) -> dict[str, list[ImportanceMap] | RelevanceMap]:
    """Read what `save_maps` wrote for the partitions `names`."""
    maps: dict[str, list[ImportanceMap] | RelevanceMap] = {}
    for name in names:
        data = read_arrays(folder / f"{name}.npz")
        if "relevances" in data:
            maps[name] = RelevanceMap.from_arrays(data)
            continue
        normaliser = DescriptionNormaliser(str(data["normalisation"]), data["centre"])
        maps[name] = [
            ImportanceMap(weights, bias, normaliser, float(regularization), float(correlation))
            for weights, bias, regularization, correlation in zip(
                data["weights"], data["bias"], data["regularization"], data["rank_correlation"], strict=True
            )
        ]
    return maps


def part_of(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names start with a prefix and a stroke, without these."""
    return {name.removeprefix(f"{prefix}/"): value for name, value in arrays.items() if name.startswith(f"{prefix}/")}
