"""What new columns are fitted on (NIWT Table 2): seen training images, images of other things, or noise.

Every other choice is made anew on the folds for each kind of support, as `niwt transfer` makes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from niwt_tf.experiments.analyses.record import AnalysisRecord, TableColumn, spread
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures, evaluate_chosen
from niwt_tf.plots.style import BLUE, GREEN, ORANGE, PURPLE, new_figure, percent_axis, save

# Table 2 of the paper: H in its own setting. For reference; other data cannot be compared with it.
PAPER = {"seen": 0.381, "imagenet": 0.370, "noise": 0.302}
_MEASURES = {
    "acc_seen": ("seen", BLUE),
    "acc_unseen": ("unseen", ORANGE),
    "harmonic_mean": ("H", GREEN),
    "acc_zsl": ("ZSL", PURPLE),
}
_COLUMNS = (
    TableColumn("support", "Support images", "text"),
    *(TableColumn("acc_seen", "Seen"), TableColumn("acc_seen_low"), TableColumn("acc_seen_high")),
    *(TableColumn("acc_unseen", "Unseen"), TableColumn("acc_unseen_low"), TableColumn("acc_unseen_high")),
    *(TableColumn("harmonic_mean", "H"), TableColumn("acc_zsl", "ZSL"), TableColumn("ausuc", "AUSUC")),
    *(TableColumn("validation_harmonic_mean", "H on folds"), TableColumn("calibration", "", "number")),
    *(TableColumn("engine", kind="text"), TableColumn("lambda", kind="number")),
)


def support_images(finished: FinishedTransfer, test: TestFeatures, imagenet: str | None, command: str) -> AnalysisRecord:
    """Return one row a kind of support; `imagenet` is a folder of other images, or None for no such row."""
    kinds = {"seen": "seen", "noise": "noise"} if imagenet is None else {"seen": "seen", "imagenet": imagenet, "noise": "noise"}
    titles = {"seen": "seen training images", "imagenet": "images of the folder", "noise": "noise"}
    rows = []
    hidden = not finished.main.reader.execution.progress
    for kind, support in tqdm(kinds.items(), desc="support", unit="kind", delay=5, leave=False, disable=hidden):
        chosen = finished.chosen(finished.settings.replace(support=support))
        found, trial = evaluate_chosen(chosen, finished.unseen, test), chosen.trial
        seen, unseen = spread(found.per_class[: test.num_seen]), spread(found.per_class[test.num_seen :])
        scores = found.harmonic_mean, found.acc_zsl, found.ausuc, trial.harmonic_mean, found.calibration
        rows.append((titles[kind], *seen, *unseen, *scores, trial.candidate.engine, trial.candidate.regularization))
    absent = "" if imagenet is not None else " Without --imagenet_dir there is no row of other photographs."
    count = finished.settings.num_support
    details = {
        "supports": list(kinds),
        "num_support": count,
        "paper_harmonic_mean": PAPER,
        "paper_is": "the paper's Table 2, in its own setting: only for reference",
        "missing": [] if imagenet is not None else ["imagenet: --imagenet_dir was not given"],
    }
    return AnalysisRecord(
        "Support images",
        f"Accuracies on test images when new head columns are fitted on {count} support images of each kind; thin bars are 95 "
        "% intervals over classes. Every choice, also the calibration, was made again on the folds for each kind."
        + ("" if finished.folds else " There were too few seen classes for folds, so the first value of each grid was used.")
        + absent,
        command,
        _COLUMNS,
        tuple(rows),
        None,
        details,
    )


def draw_support_images(record: AnalysisRecord, path: Path) -> None:
    """Draw a group of bars a kind of support."""
    figure = new_figure(7.5, 4.6)
    axes = figure.subplots()
    places, width = np.arange(len(record.rows)), 0.2
    for number, (name, (label, colour)) in enumerate(_MEASURES.items()):
        values, offset = record.column(name), (number - 1.5) * width
        error = None
        if name in ("acc_seen", "acc_unseen"):
            edges = values - record.column(f"{name}_low"), record.column(f"{name}_high") - values
            error = 100 * np.nan_to_num(np.stack(edges))
        style = {"color": colour, "label": label, "capsize": 3, "error_kw": {"elinewidth": 1, "ecolor": "0.25"}}
        axes.bar(places + offset, 100 * np.nan_to_num(values), width, yerr=error, **style)
        # Below the axis: an interval can be as long as its bar, and go anywhere from 0 to 100.
        below = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "top", "fontsize": 8, "color": "0.15"}
        for place, value in zip(places + offset, values, strict=True):
            axes.text(place, -0.015, "n/a" if np.isnan(value) else f"{100 * value:.1f}", **below)
    axes.set_xticks(places, [row[0] for row in record.rows])
    axes.tick_params(axis="x", length=0, pad=16)
    axes.set_xlabel("what new head columns are fitted on")
    percent_axis(axes, "accuracy on test images, %")
    axes.set_title("Support images", fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    save(figure, path)
