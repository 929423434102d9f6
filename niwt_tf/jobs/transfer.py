"""`niwt transfer`: Stage 3, a head column for each unseen class (Eq. 3), with every choice made on validation classes.

With another --head than niwt, that method's columns of all classes, chosen on the same validation classes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.compute.features import Reader, readers_of
from niwt_tf.explain.explainer import fit_explainer
from niwt_tf.files import finite, write_json
from niwt_tf.jobs.app import run_from_flags, run_job
from niwt_tf.jobs.run_data import RunData, load_run_data
from niwt_tf.methods.niwt.files import load_maps, load_measured, load_networks, load_operators
from niwt_tf.methods.niwt.niwt import choose
from niwt_tf.methods.niwt.solving import Trial
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import save_probabilities
from niwt_tf.protocol.selection import finite_values, make_head
from niwt_tf.runs.fingerprints import support_fingerprint
from niwt_tf.runs.run import Run

SETTINGS_USED = (
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
_INPUTS = ("train", "importance", "map")


def stage(run: Run, data: RunData) -> None:
    """Choose on the folds, solve for the unseen classes, write the expanded network."""
    extra = support_fingerprint(run.settings.support)
    transfer = run.stage("transfer", settings_used=SETTINGS_USED, inputs=_INPUTS, extra=extra)
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


def main(argv: list[str]) -> None:
    """Do the stage in the run that --run_dir names."""
    del argv
    with run_from_flags() as run:
        stage(run, load_run_data(run, _INPUTS))


if __name__ == "__main__":
    sys.exit(run_job("transfer", main=main))
