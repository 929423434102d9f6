"""What the evaluation found, class by class: accuracies, confusions and how well probabilities fit.

Dimensions: M test images, C classes, seen ones first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from niwt_tf.explain.faithfulness.table import SIDES
from niwt_tf.metrics.gzsl import class_weights
from niwt_tf.metrics.probabilities import ECE_BINS, Probabilities
from niwt_tf.plots.style import readable_names
from niwt_tf.protocol.scoring import Scored
from niwt_tf.report.contents import ClassRow, ConfusedPair, Confusion, Estimate, FaithfulnessRow, ReliabilityBin, Results

if TYPE_CHECKING:
    from niwt_tf.data.schema import Dataset
    from niwt_tf.explain.faithfulness.table import MeasureTitle


MOST_PAIRS = 30


def results_of(scored: Scored, class_names: Sequence[str], num_seen: int, temperature: float) -> Results:
    """Return what the page shows of an evaluation on the test images; class names as the data set spells them."""
    names, evaluation = readable_names(class_names), scored.evaluation
    classes, totals = len(names), np.bincount(scored.labels, minlength=len(names))
    places, counts = np.unique(scored.labels.astype(np.int64) * classes + evaluation.predictions, return_counts=True)
    confusion = Confusion(places // classes, places % classes, counts, totals)
    # True class, predicted class, count and share of every confusion, the most frequent first.
    cells = zip(confusion.true.tolist(), confusion.predicted.tolist(), counts.tolist(), strict=True)
    wrong = [(t, p, count, count / int(totals[t])) for t, p, count in cells if t != p]
    wrong.sort(key=lambda cell: (-cell[3], -cell[2], cell[0], cell[1]))
    mistaken: dict[int, tuple[str, float]] = {}
    for t, p, _, share in wrong:
        mistaken.setdefault(t, (names[p], share))
    known = [None if np.isnan(accuracy) else float(accuracy) for accuracy in evaluation.per_class]
    measurable = bool((scored.labels < num_seen).any() and (scored.labels >= num_seen).any())
    return Results(
        class_names=names,
        exact_names=tuple(class_names),
        num_seen=num_seen,
        classes=tuple(
            ClassRow(name, c < num_seen, int(totals[c]), known[c], *mistaken.get(c, ())) for c, name in enumerate(names)
        ),
        confusion=confusion,
        pairs=tuple(
            ConfusedPair(names[t], t < num_seen, names[p], p < num_seen, count, share)
            for t, p, count, share in wrong[:MOST_PAIRS]
        ),
        num_pairs=len(wrong),
        curve=scored.curve if measurable else None,
        calibration=evaluation.calibration,
        reliability=_reliability(scored, num_seen, temperature),
    )


def sureness_of(scored: Scored, num_seen: int, temperature: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each image the highest probability, whether it is the true class's, and its bin of `ECE_BINS`, [M] each."""
    logits = scored.logits.copy()
    logits[:, :num_seen] -= scored.evaluation.calibration
    probabilities = Probabilities(temperature).of(logits)
    highest, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == scored.labels
    return highest, right, np.clip(np.ceil(highest * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)


def _reliability(scored: Scored, num_seen: int, temperature: float) -> tuple[ReliabilityBin, ...]:
    if not len(scored.labels):
        return ()
    highest, right, place = sureness_of(scored, num_seen, temperature)
    weights = class_weights(scored.labels)
    share, of_probability, of_right = (
        np.bincount(place, weights=weights * values, minlength=ECE_BINS) for values in (1.0, highest, right)
    )
    return tuple(
        ReliabilityBin(b / ECE_BINS, (b + 1) / ECE_BINS, share[b], of_probability[b] / share[b], of_right[b] / share[b])
        for b in np.flatnonzero(share).tolist()
    )


_NEEDS = {"energy_in_box": "boxes", "pointing_game": "boxes", "part_localisation": "parts"}


def faithfulness_rows(
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]], figures: Sequence[MeasureTitle]
) -> tuple[FaithfulnessRow, ...]:
    """Return a row for each of the figures that was measured, given metrics.json's "faithfulness"."""
    rows = []
    for figure in figures:
        shown = {}
        for side, found in (measured.get(figure.name) or {}).items():
            if side in SIDES:
                estimate = Estimate(*map(found.get, ("value", "low", "high")))
                shown[side] = estimate, found.get("chance"), found.get("count"), found.get("left_out", 0)
        if measured.get(figure.name):
            rows.append(FaithfulnessRow(figure.title, figure.meaning, figure.better, figure.chance_is, shown))
    return tuple(rows)


def unmeasured_sentences(
    measured: Mapping[str, Any], figures: Sequence[MeasureTitle], missing: Sequence[str]
) -> tuple[str, ...]:
    """Return why each other figure is absent; missing is what the data set does not have, of "boxes" and "parts"."""
    sentences = []
    for figure in figures:
        if not measured.get(figure.name):
            needed = _NEEDS.get(figure.name, "")
            absent = needed in missing
            reason = f"the data set has no {needed} for its images" if absent else "there is nothing to measure it on"
            sentences.append(f"{figure.title[:1].upper()}{figure.title[1:]}: not measured, {reason}.")
    return tuple(sentences)


def missing_annotations(dataset: Dataset) -> tuple[str, ...]:
    """Return what a data set does not know of its images, of "boxes" and "parts"."""
    return tuple(name for name in ("boxes", "parts") if getattr(dataset, name) is None)


def absent_side_sentences(
    measured: Mapping[str, Mapping[str, Any]], figures: Sequence[MeasureTitle], images: Mapping[str, int]
) -> tuple[str, ...]:
    """Return a sentence for each kind of classes that a measured figure is not known of, given their numbers of test images."""
    found = [(figure.title, measured[figure.name]) for figure in figures if measured.get(figure.name)]
    sentences = []
    for side, number in images.items():
        titles = ", ".join(title for title, by_side in found if side not in by_side)
        if titles:
            reason = "none of their images could be measured" if number else "they have no test images"
            sentences.append(f"Not measured for {side} classes: {titles}; {reason}.")
    if any("all" not in by_side for _, by_side in found):
        sentences.append("All: figures for images are given separately for seen and unseen classes, not for both together.")
    return tuple(sentences)
