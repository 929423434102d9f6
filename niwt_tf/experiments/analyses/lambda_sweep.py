"""Stage 3's lambda over many decades (NIWT Fig. 3b): what it does on test images, and on what it is chosen.

The curves on test images are for looking at. The calibration of each point, like lambda itself, is chosen on the folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from niwt_tf.experiments.analyses.record import AnalysisRecord, TableColumn, spread
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.metrics.calibration import choose_calibration, harmonic_means, seen_margin
from niwt_tf.metrics.gzsl import calibration_curve
from niwt_tf.plots.style import BLUE, GREEN, GREY, ORANGE, absent, curve, new_figure, percent_axis, save
from niwt_tf.protocol.selection import scores_of

_COLUMNS = (
    *(TableColumn("lambda", "λ", "number"), TableColumn("chosen", "Chosen", "text")),
    *(TableColumn("acc_seen", "Seen"), TableColumn("acc_seen_low"), TableColumn("acc_seen_high")),
    *(TableColumn("acc_unseen", "Unseen"), TableColumn("acc_unseen_low"), TableColumn("acc_unseen_high")),
    *(TableColumn("harmonic_mean", "H"), TableColumn("acc_zsl", "ZSL"), TableColumn("ausuc", "AUSUC")),
    TableColumn("calibration", "", "number"),
    *(TableColumn("validation_harmonic_mean", "H on folds"), TableColumn("validation_low"), TableColumn("validation_high")),
    TableColumn("validation_acc_zsl", "ZSL on folds"),
)


def lambda_sweep(finished: FinishedTransfer, test: TestFeatures, grid: Sequence[float], command: str) -> AnalysisRecord:
    """Return the curves over the lambdas of `grid` and the chosen one, ascending; everything else as the run chose it."""
    main, candidate, settings = finished.main, finished.candidate, finished.settings
    head = finished.head
    unit = seen_margin(main.features(main.held_out) @ head.columns + head.biases, main.held_out.labels)
    rows = []
    lambdas = sorted({*map(float, grid), candidate.regularization})
    hidden = not main.reader.execution.progress
    for strength in tqdm(lambdas, desc="lambda", unit="lambda", delay=5, leave=False, disable=hidden):
        tried = replace(candidate, regularization=strength)
        calibration, harmonics, zsl = _on_folds(finished, tried)
        made = finished.method.fit(main, tried).with_formula().generate(finished.unseen)
        assert isinstance(made, HeadParameters), "Eq. 3 makes columns"
        found = test.evaluate(made.seen, made.new, calibration * unit)
        seen, unseen = spread(found.per_class[: test.num_seen]), spread(found.per_class[test.num_seen :])
        mark = "chosen" if strength == candidate.regularization else ""
        scores = found.harmonic_mean, found.acc_zsl, found.ausuc, found.calibration
        rows.append((strength, mark, *seen, *unseen, *scores, *_range(harmonics), zsl))
    chosen = next(index for index, row in enumerate(rows) if row[1])
    decades = [index for index, row in enumerate(rows) if abs(np.log10(row[0]) - round(np.log10(row[0]))) < 1e-6]
    return AnalysisRecord(
        "Weight of the regulariser",
        _caption(finished, len(test.labels) > 0),
        command,
        _COLUMNS,
        tuple(rows),
        tuple(sorted({*decades, chosen})),
        {
            "chosen_lambda": candidate.regularization,
            "candidates": list(finished.method.lambdas(settings)),
            "chosen_on": "folds of validation classes" if finished.folds else "nothing: the first value of the grid",
            "test_curves": "only to look at: no choice is made from them",
        },
    )


def _on_folds(finished: FinishedTransfer, candidate: Any) -> tuple[float, list[float], float]:
    """Return the calibration, in units of `seen_margin`, each fold's H at it, and their mean accuracy without seen classes."""
    curves, units = [], []
    for task in finished.folds:
        scores = scores_of(task, finished.method.fit(task, candidate))
        curves.append(calibration_curve(scores.logits, scores.labels, scores.num_seen))
        units.append(scores.unit)
    if not curves:
        return 0.0, [], float("nan")
    calibration, _ = choose_calibration(curves, units)
    harmonics = [float(harmonic_means(c, np.array([calibration * u]))[0]) for c, u in zip(curves, units, strict=True)]
    return calibration, harmonics, float(np.mean([each.acc_unseen[-1] for each in curves]))


def _range(values: Sequence[float]) -> tuple[float, float, float]:
    unknown = float("nan")
    return (float(np.mean(values)), min(values), max(values)) if values else (unknown, unknown, unknown)


def _caption(finished: FinishedTransfer, tested: bool) -> str:
    sentences = [
        "Left: accuracy on the test images of seen and of unseen classes when all classes compete, and their harmonic mean H, "
        "for each weight λ of Eq. 3's regulariser; bands are 95 % intervals over classes. These curves are only to look at: no "
        "choice is made from them."
        if tested
        else "There are no test images, so there are no curves for them."
    ]
    count = len(finished.folds)
    if count:
        sentences.append(
            f"Right: H on {count} fold{'s' * (count != 1)} of validation classes, on which λ and the calibration of "
            "each point are chosen; the band goes from the lowest fold to the highest. The line marks the chosen λ."
        )
    else:
        sentences.append("There are too few seen classes for folds: λ is the first of its grid and nothing is calibrated.")
    return " ".join(sentences)


def draw_lambda_sweep(record: AnalysisRecord, path: Path) -> None:
    """Draw the curves on test images and, in a panel of their own, those on the folds."""
    figure = new_figure(10.5, 4.6)
    left, right = figure.subplots(1, 2)
    x, chosen = record.column("lambda"), float(record.details["chosen_lambda"])
    shown = {"acc_seen": (BLUE, "seen classes"), "acc_unseen": (ORANGE, "unseen classes"), "harmonic_mean": (GREEN, "H")}
    if not np.isfinite(record.column("acc_seen")).any():
        absent(left, "no test images")
    else:
        for name, (colour, label) in shown.items():
            sides = name != "harmonic_mean"
            low, high = (record.column(f"{name}_{side}") if sides else None for side in ("low", "high"))
            curve(left, x, record.column(name), colour, label, low, high)
        _finish(left, x, chosen, "Test images (only to look at; nothing is chosen here)", "accuracy, %")
    validation = record.column("validation_harmonic_mean")
    if np.isfinite(validation).any():
        edges = record.column("validation_low"), record.column("validation_high")
        curve(right, x, validation, GREEN, "H, mean over folds", *edges)
        curve(right, x, record.column("validation_acc_zsl"), GREY, "ZSL, mean over folds", linestyle=":")
        _finish(right, x, chosen, "Folds of validation classes (λ is chosen here)", "accuracy, %")
    else:
        absent(right, "no folds of validation classes:\nλ is the first of its grid")
    save(figure, path)


def _finish(axes: Any, x: np.ndarray, chosen: float, title: str, label: str) -> None:
    axes.axvline(chosen, color="black", linestyle="--", linewidth=1, label=f"chosen λ = {chosen:g}")
    axes.set_xscale("log")
    axes.set_xlim(x.min() / 1.5, x.max() * 1.5)
    axes.set_xlabel("λ of Eq. 3")
    axes.set_title(title, fontsize=10.5)
    percent_axis(axes, label)
    axes.legend(fontsize=9, frameon=False, loc="best")
