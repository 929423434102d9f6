"""The stages that fit: importances (Eq. 1), the map from descriptions to them (Eq. 2), a head column of each class (Eq. 3).

With another --head than niwt the first two are done all the same, for what they say of the network, and the third has that
method's columns of all classes, chosen on the same validation classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.compute.features import Reader, readers_of
from niwt_tf.explain.explainer import fit_explainer
from niwt_tf.files import finite, write_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.methods.niwt.files import (
    load_maps,
    load_measured,
    load_networks,
    load_operators,
    save_maps,
    save_measured,
    save_operators,
)
from niwt_tf.methods.niwt.measuring import fit_maps, measure_importance, seen_operators
from niwt_tf.methods.niwt.niwt import choose
from niwt_tf.methods.niwt.solving import Trial
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import save_probabilities
from niwt_tf.protocol.selection import finite_values, make_head
from niwt_tf.runs.fingerprints import support_fingerprint
from niwt_tf.runs.run import Run

_IMPORTANCE_SETTINGS = (
    "seen_head",
    "head_regularization",
    "lda_shrinkage",
    "importance_over",
    "num_support",
    "fold_importance_images",
    "extra_layers",
    "precision",
    "jit",
    "cache_dtype",
    "seed",
)
_MAP_SETTINGS = ("map", "map_regularization", "normalisation", "seed")
_TRANSFER_SETTINGS = (
    "head",
    "support",
    "num_support",
    "engine",
    "regularizer",
    "transfer_anchor",
    "transfer_lambda",
    "transfer_learning_rate",
    "transfer_batch_size",
    "transfer_steps",
    "column_scale",
    "extra_layer_weights",
    "precision",
    "jit",
    "cache_dtype",
    "seed",
)
_TRANSFER_INPUTS = ("train", "importance", "map")


def importance_job(argv: list[str]) -> None:
    """Do Stage 1 in the run that --run_dir names."""
    del argv
    with run_from_flags() as run:
        importance_stage(run, load_run_data(run, ["train"]))


def importance_stage(run: Run, data: RunData) -> None:
    """Measure importance for every learner and candidate head."""
    importance = run.stage("importance", settings_used=_IMPORTANCE_SETTINGS, inputs=["train"], described=False)
    if importance.up_to_date:
        return
    networks = load_networks(run.folder("train"), run.settings, data.learners)
    with importance.writing() as folder:
        readers = readers_of(run.settings, networks, data.execution)
        operators = seen_operators(run.settings, data.learners, readers)
        save_operators(folder, operators)
        measured = measure_importance(run.settings, data.learners, networks, operators, readers)
        save_measured(folder, measured)
        first = measured["main"][0].importance
        consistency = {
            "rank_correlation_within": first.rank_correlation_within,
            "rank_correlation_across": first.rank_correlation_across,
        }
        importance.record(
            shapes={"importance": (len(measured["main"]), *first.means.shape)},
            metrics={name: value for name, value in consistency.items() if value == value},
        )


def map_job(argv: list[str]) -> None:
    """Do Stage 2 in the run that --run_dir names."""
    del argv
    with run_from_flags() as run:
        map_stage(run, load_run_data(run, ["importance"]))


def map_stage(run: Run, data: RunData) -> None:
    """Fit the map of every learner and candidate head."""
    mapping = run.stage("map", settings_used=_MAP_SETTINGS, inputs=["importance"])
    if mapping.up_to_date:
        return
    measured = load_measured(run.folder("importance"), [learner.name for learner in data.learners])
    with mapping.writing() as folder:
        maps = fit_maps(run.settings, data.learners, measured)
        save_maps(folder, maps)
        best = max(each.rank_correlation for each in maps["main"])
        metrics = {"map_rank_correlation": best} if best == best else {}
        mapping.record(shapes={"weights": maps["main"][0].weights.shape}, metrics=metrics)


def transfer_job(argv: list[str]) -> None:
    """Do Stage 3 in the run that --run_dir names."""
    del argv
    with run_from_flags() as run:
        transfer_stage(run, load_run_data(run, _TRANSFER_INPUTS))


def transfer_stage(run: Run, data: RunData) -> None:
    """Choose on the folds, solve for the unseen classes, write the expanded network."""
    extra = support_fingerprint(run.settings.support)
    transfer = run.stage("transfer", settings_used=_TRANSFER_SETTINGS, inputs=_TRANSFER_INPUTS, extra=extra)
    if transfer.up_to_date:
        return
    networks = load_networks(run.folder("train"), run.settings, data.learners)
    with transfer.writing() as folder:
        readers = readers_of(run.settings, networks, data.execution)
        write = _write_niwt if run.settings.head == "niwt" else _write_method
        selection, shapes = write(run, data, networks, readers, folder)
        known = data.seen_knowledge
        np.savez(folder / "descriptions.npz", values=np.concatenate([known.values, data.unseen_descriptions]))
        write_json(folder / "selection.json", selection)
        metrics = {name: value for name, value in selection["figures"].items() if value is not None}
        transfer.record(shapes=shapes, metrics=metrics)


def _write_niwt(
    run: Run, data: RunData, networks: Mapping[str, Network], readers: Mapping[str, Reader], folder: Path
) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Write the network that NIWT expands and what later classes need; return selection.json and the shapes of the columns."""
    names = [learner.name for learner in data.learners]
    measured = load_measured(run.folder("importance"), names)
    maps = load_maps(run.folder("map"), names)
    operators = load_operators(run.folder("importance"))
    transferer, trials = choose(run.settings, data.learners, networks, measured, maps, operators, readers)
    expanded, new = transferer.expand(data.unseen_names, data.unseen_descriptions)
    expanded.save(folder / "network.keras")
    np.savez(folder / "columns.npz", columns=new.columns, biases=new.biases, losses=new.losses)
    if transferer.column_map is not None:
        np.savez(folder / "column_map.npz", **transferer.column_map.arrays())  # type: ignore[arg-type]
    np.savez(folder / "few_shot.npz", **transferer.few_shot.arrays())  # type: ignore[arg-type]
    _write_explainer(folder, data, transferer.head.targets, transferer.network.num_neurons)
    save_probabilities(folder / "probabilities.json", transferer.probabilities)
    importance = transferer.head.importance
    measured_figures = {
        "rank_correlation_within": importance.rank_correlation_within,
        "rank_correlation_across": importance.rank_correlation_across,
        "map_rank_correlation": transferer.importance_map.rank_correlation,
        "validation_harmonic_mean": transferer.trial.harmonic_mean,
        "validation_acc_zsl": transferer.trial.acc_zsl,
        "transfer_cosine": new.mean_cosine,
    }
    figures = {name: finite(value) for name, value in measured_figures.items()}
    selection = {"chosen": _plain(transferer.trial), "trials": [_plain(trial) for trial in trials], "figures": figures}
    return selection, {"columns": new.columns.shape}


def _write_method(
    run: Run, data: RunData, networks: Mapping[str, Network], readers: Mapping[str, Reader], folder: Path
) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Write the network with another method's head; return selection.json and the shapes of the unseen classes' columns."""
    made = make_head(run.settings, data.learners, networks, readers, data.unseen_names, data.unseen_descriptions)
    made.network.save(folder / "network.keras")
    num_seen = made.network.num_seen
    columns, biases = made.network.columns[:, num_seen:], made.network.biases[num_seen:]
    np.savez(folder / "columns.npz", columns=columns, biases=biases, losses=np.empty(0, np.float32))
    _write_explainer(folder, data, made.targets, made.network.num_neurons)
    save_probabilities(folder / "probabilities.json", made.probabilities)
    # What is known of NIWT's importances says nothing of this head.
    figures = {
        "rank_correlation_within": None,
        "rank_correlation_across": None,
        "map_rank_correlation": None,
        "validation_harmonic_mean": finite(made.trial.harmonic_mean),
        "validation_acc_zsl": finite(made.trial.acc_zsl),
        "transfer_cosine": None,
    }
    engine = {"engine": run.settings.head}
    chosen, *trials = ({**engine, **finite_values(trial.as_dict())} for trial in (made.trial, *made.trials))
    return {"chosen": chosen, "trials": trials, "figures": figures}, {"columns": columns.shape}


def _write_explainer(folder: Path, data: RunData, targets: np.ndarray, num_neurons: int) -> None:
    known = data.seen_knowledge
    explainer = fit_explainer(targets, known.values, known.names, known.groups, num_neurons=num_neurons)
    np.savez(folder / "explainer.npz", **explainer.arrays())  # type: ignore[arg-type]


def _plain(trial: Trial) -> dict[str, Any]:
    values = asdict(trial)
    return {name: finite(value) for name, value in {**values.pop("choice"), **values}.items()}
