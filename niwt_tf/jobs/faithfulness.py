"""`niwt faithfulness`: how true the explanations of the test images are, beside chance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.csv_text import csv_text
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness.measure import Faithfulness, Figures, measure_faithfulness
from niwt_tf.explain.faithfulness.table import FIGURES, SIDES, as_text
from niwt_tf.files import read_json, write_json
from niwt_tf.jobs.app import run_from_flags
from niwt_tf.jobs.run_data import RunData, TransferFiles, check_has_pixels, load_run_data
from niwt_tf.protocol.scoring import load_scores
from niwt_tf.runs.fingerprints import annotation_fingerprint
from niwt_tf.runs.run import Run

SETTINGS_USED = ("precision", "jit", "cache_dtype", "seed")
_COLUMNS = ("value", "low", "high", "count", "left_out", "chance")
_NEURON_COLUMNS = (
    *("neuron", "name", "group", "held_out_auc"), *("auc", "auc_seen", "auc_unseen"),
    *("part", "part_energy", "part_chance"),
)

_INPUTS = ("transfer", "evaluate")


def stage(run: Run, data: RunData) -> None:
    """Write metrics.json (evaluate's and these), faithfulness.csv, neurons.csv and activating.npz."""
    extra = annotation_fingerprint(data.dataset)
    made = run.stage("faithfulness", settings_used=SETTINGS_USED, inputs=_INPUTS, extra=extra, publishes=["metrics.json"])
    if made.up_to_date:
        return
    transfer, evaluate = TransferFiles(run.folder("transfer")), run.folder("evaluate")
    with made.writing() as folder:
        if not run.team.is_chief:
            return  # the others wait for the chief, who writes alone
        network, explainer = transfer.network, transfer.explainer
        scored = load_scores(evaluate / "scores.npz", network.num_seen, network.calibration)
        measured = measure_faithfulness(
            network, explainer, data.dataset, scored.evaluation.predictions, transfer.probabilities.temperature, data.execution,
            run.settings.seed,
        )
        write_json(folder / "metrics.json", {**read_json(evaluate / "metrics.json"), "faithfulness": measured.figures})
        _write_csv(folder / "faithfulness.csv", ("measure", "classes", *_COLUMNS), _figure_rows(measured.figures))
        _write_neurons(folder / "neurons.csv", explainer, measured)
        activating = measured.activating
        np.savez(folder / "activating.npz", images=activating.images, values=activating.values, regions=activating.regions)
        made.record(
            metrics={
                f"{name}_{side}": figure["value"] for name, sides in measured.figures.items() for side, figure in sides.items()
            }
        )


def _figure_rows(figures: Figures) -> Iterable[Sequence[Any]]:
    for figure in FIGURES:
        for side in SIDES:
            found = figures.get(figure.name, {}).get(side)
            if found is not None:
                yield figure.name, side, *(_rounded(found.get(column)) for column in _COLUMNS)


def _write_neurons(path: Path, explainer: Explainer, measured: Faithfulness) -> None:
    groups = dict(zip(explainer.attribute_names, explainer.attribute_groups, strict=True))
    rows = []
    for neuron, name in enumerate(explainer.neuron_names):
        aucs = (measured.names[side].auc[neuron] for side in ("all", "seen", "unseen"))
        energies = measured.part_energy.get(neuron, (None, None))
        rows.append(
            (
                neuron, name, groups[name] if name else "", _rounded(explainer.neuron_aucs[neuron]),
                *(_rounded(auc) for auc in aucs),
                " and ".join(measured.parts.get(neuron, ())), *(_rounded(energy) for energy in energies),
            )
        )
    _write_csv(path, _NEURON_COLUMNS, rows)


def _rounded(value: float | None) -> float | int | str:
    """Return what a cell holds: nothing for what is not known."""
    if value is None or np.isnan(value):
        return ""
    return value if isinstance(value, int) else round(float(value), 6)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    path.write_text(csv_text([header, *rows]), encoding="utf-8")


def main() -> None:
    """Do the stage in the run that --run_dir names and print the table."""
    with run_from_flags() as run:
        check_has_pixels(run, "niwt faithfulness")
        stage(run, load_run_data(run, _INPUTS))
        if run.team.is_chief:
            print(as_text(read_json(run.folder("faithfulness") / "metrics.json")["faithfulness"]))
