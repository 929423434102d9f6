"""A fitted method in a folder: its network, its generator and what was chosen, without a pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.descriptions.normalise import Scale
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError
from niwt_tf.files import (
    digest_of,
    entries_of,
    has_seal,
    is_sealed,
    read_json,
    recover,
    replacing_directory,
    sealed,
    write_json,
)
from niwt_tf.methods.base import Trial
from niwt_tf.methods.registry import method_of
from niwt_tf.metrics.intervals import or_none
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.network import Network
from niwt_tf.protocol.selection import Chosen

_FORMAT = 6


@dataclass(frozen=True)
class SavedModel:
    """What a folder holds.

    Attributes:
        network: with the present classes.
        settings: that everything was made with.
        chosen: the fitted method; its trials are not kept.
        knowledge: a row for each class of the network.
        photographs: how many each class had that the method was fitted on.
        importances: [S, N] of those classes, where the generator has none of its own.
        explaining: what explanations need that is learnt from images, as arrays of any names but `importances`.
        texts: of the classes that the network was written for, where the method reads texts.
    """

    network: Network
    settings: Settings
    chosen: Chosen
    knowledge: Knowledge
    photographs: Mapping[str, int]
    importances: np.ndarray | None
    explaining: Mapping[str, np.ndarray]
    texts: Mapping[str, str] = field(default_factory=dict)


def save_model(path: str | os.PathLike[str], model: SavedModel) -> None:
    """Write a model to the folder `path`, which appears whole or not at all.

    Raises:
        InputError: `path` is something else than a saved model.
    """
    folder = Path(path)
    blocking = next((above for above in folder.absolute().parents if above.exists() and not above.is_dir()), None)
    if blocking is not None:
        raise InputError(f"path must not be inside a file. Received: {str(folder)!r}, and {str(blocking)!r} is a file.")
    recover(folder)
    if folder.exists() and not (folder / "model.json").is_file() and (not folder.is_dir() or entries_of(folder)):
        raise InputError(f"path must be new, empty or a saved model. Received: {str(folder)!r}.")
    chosen, known, trial = model.chosen, model.knowledge, model.chosen.trial
    with replacing_directory(folder) as temporary:
        model.network.save(temporary / "network.keras")
        np.savez(temporary / "generator.npz", **chosen.generator.arrays())  # type: ignore[arg-type]
        beside = dict(model.explaining)
        if model.importances is not None:
            beside["importances"] = model.importances
        np.savez(temporary / "classes.npz", descriptions=known.values, **beside)  # type: ignore[arg-type]
        reached = {"harmonic_mean": trial.harmonic_mean, "acc_zsl": trial.acc_zsl, "calibration": trial.calibration}
        record = {
            "format": _FORMAT,
            "method": chosen.method,
            "settings": model.settings.as_dict(),
            "description_names": list(known.names),
            "description_groups": list(known.groups),
            "description_source": known.source,
            "description_scale": None if known.scale is None else known.scale.as_lists(),
            "photographs": dict(model.photographs),
            "texts": dict(model.texts),
            "calibration": chosen.calibration,
            "candidate": trial.candidate.as_dict(),
            "trial": {name: or_none(value) for name, value in {**reached, **trial.figures}.items()},
            "probabilities": chosen.probabilities.as_dict(),
        }
        files = {path.name: digest_of(path) for path in sorted(temporary.iterdir())}
        write_json(temporary / "model.json", sealed({**record, "files": files}))


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read what `save_model` wrote.

    Raises:
        InputError: the folder does not hold a saved model, or one of another version.
    """
    folder = Path(path)
    recover(folder)
    try:
        record = read_json(folder / "model.json")
        version = record["format"]
        if version == _FORMAT:
            _check_whole(folder, record)
            return _read(folder, record)
    except DamagedModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        version = None
    if version is not None:
        raise InputError(f"path must hold a model of format {_FORMAT}: fit and save it again. Received: {version!r}.")
    raise InputError(f"path must be a folder that Niwt.save wrote. Received: {str(folder)!r}.")


def _check_whole(folder: Path, record: Mapping[str, Any]) -> None:
    """Check that a saved model is as it was written; those of earlier versions do not say.

    Raises:
        InputError: a file was changed or is missing; it is named.
    """
    files = record.get("files")
    if files is None and not has_seal(record):
        return
    changed = [] if files and is_sealed(record) else ["model.json"]
    changed = changed or [name for name, digest in (files or {}).items() if not _has_digest(folder / name, digest)]
    if changed:
        rule = f"{folder} must be unchanged since Niwt.save wrote it."
        raise DamagedModelError(f"{rule} Received: {changed[0]}, which was changed or is missing.")


class DamagedModelError(InputError):
    """A saved model whose files are not as they were written."""


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and digest_of(path) == digest


def _read(folder: Path, record: Mapping[str, Any]) -> SavedModel:
    generator, classes = read_arrays(folder / "generator.npz"), read_arrays(folder / "classes.npz")
    settings = Settings.from_dict({name: tuple(v) if isinstance(v, list) else v for name, v in record["settings"].items()})
    probabilities = Probabilities.from_dict(record["probabilities"])
    names, groups = tuple(record["description_names"]), tuple(record["description_groups"])
    scale = Scale.from_lists(record.get("description_scale"))
    knowledge = Knowledge(classes["descriptions"], names, groups, record["description_source"], scale=scale)
    network, method = Network.load(folder / "network.keras"), method_of(record["method"])
    reached = {name: float("nan") if value is None else value for name, value in record["trial"].items()}
    calibration, harmonic_mean, acc_zsl = (reached.pop(name) for name in ("calibration", "harmonic_mean", "acc_zsl"))
    fitted = method.generator_of(settings, network, generator)
    candidate = method.candidate_of(record["candidate"])
    trial = Trial(candidate, calibration, harmonic_mean, acc_zsl, reached)
    chosen = Chosen(method.name, fitted, trial, (), float(record["calibration"]), probabilities)
    explaining = {name: value for name, value in classes.items() if name not in ("descriptions", "importances")}
    beside = record["photographs"], classes.get("importances"), explaining, record.get("texts", {})
    return SavedModel(network, settings, chosen, knowledge, *beside)
