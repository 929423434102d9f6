"""The state of a training run in one file that appears whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.arrays import read_arrays
from niwt_tf.files import replacing

_FILE = "checkpoint.npz"


@dataclass
class Progress:
    """How far a training run is.

    Attributes:
        phase: index of the present phase.
        epoch: epochs done in it.
        finished: the phase is over (early stopping, or its last epoch).
        best: highest validation accuracy in the phase so far, -1 before the first.
        best_epoch: the epoch that gave the weights to keep.
        stale: epochs since the accuracy last rose.
        history: one record an epoch, over all phases.
    """

    phase: int = 0
    epoch: int = 0
    finished: bool = False
    best: float = -1.0
    best_epoch: int = 0
    stale: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    folder: Path, key: str, progress: Progress, weights: Sequence[np.ndarray], optimizer: Sequence[np.ndarray],
    best: Sequence[np.ndarray]
) -> None:
    """Write the state. `key` says what is trained on what; `best` is left out where the present weights are the best ones."""
    arrays: dict[str, np.ndarray] = {"state": np.array(json.dumps({"key": key, **dataclasses.asdict(progress)}))}
    kept = () if progress.best_epoch == progress.epoch else best
    for name, values in (("weights", weights), ("optimizer", optimizer), ("best", kept)):
        arrays.update({f"{name}_{i}": value for i, value in enumerate(values)})
    with replacing(folder / _FILE) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def load_checkpoint(folder: Path, key: str) -> tuple[Progress, list[np.ndarray], list[np.ndarray], list[np.ndarray]] | None:
    """Return progress, weights, optimiser and best weights, or None where there is no state of this `key`."""
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        arrays = read_arrays(path)
        state = json.loads(str(arrays["state"]))
        if state.pop("key") != key:
            logging.getLogger("niwt_tf").warning("%s belongs to another training run and is not used.", path)
            return None
        weights, optimizer, best = (_numbered(arrays, name) for name in ("weights", "optimizer", "best"))
        return Progress(**state), weights, optimizer, best or list(weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logging.getLogger("niwt_tf").warning("%s cannot be read and is not used: %s", path, error)
        return None


def _numbered(arrays: Mapping[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{i}"] for i in range(count)]
