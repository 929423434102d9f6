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
    from niwt_tf.explain.faithfulness.table import Figure


MOST_PAIRS = 30


def results_of(scored: Scored, class_names: Sequence[str], num_seen: int, temperature: float) -> Results:
    """Return what the page shows of an evaluation.

    Args:
        scored: the evaluation on the test images.
        class_names: C names as the data set spells them.
        num_seen: S.
        temperature: of the probabilities.
    """
    names = readable_names(class_names)
    confusion = _confusion(scored, len(names))
    pairs = _pairs(confusion, names, num_seen)
    measurable = bool((scored.labels < num_seen).any() and (scored.labels >= num_seen).any())
    return Results(
        names,
        tuple(class_names),
        num_seen,
        _class_rows(scored, confusion, names, num_seen),
        confusion,
        pairs[:MOST_PAIRS],
        len(pairs),
        scored.curve if measurable else None,
        scored.evaluation.calibration,
        _reliability(scored, num_seen, temperature),
    )


def _confusion(scored: Scored, classes: int) -> Confusion:
    cells = scored.labels.astype(np.int64) * classes + scored.evaluation.predictions
    places, counts = np.unique(cells, return_counts=True)
    return Confusion(places // classes, places % classes, counts, np.bincount(scored.labels, minlength=classes))


def _wrong(confusion: Confusion) -> list[tuple[int, int, int, float]]:
    """Return true class, predicted class, count and share of every confusion, the most frequent first."""
    cells = zip(confusion.true.tolist(), confusion.predicted.tolist(), confusion.counts.tolist(), strict=True)
    found = [(t, p, count, count / int(confusion.totals[t])) for t, p, count in cells if t != p]
    return sorted(found, key=lambda cell: (-cell[3], -cell[2], cell[0], cell[1]))


def _pairs(confusion: Confusion, names: Sequence[str], num_seen: int) -> tuple[ConfusedPair, ...]:
    return tuple(
        ConfusedPair(names[t], t < num_seen, names[p], p < num_seen, count, share) for t, p, count, share in _wrong(confusion)
    )


def _class_rows(scored: Scored, confusion: Confusion, names: Sequence[str], num_seen: int) -> tuple[ClassRow, ...]:
    mistaken: dict[int, tuple[int, float]] = {}
    for t, p, _, share in _wrong(confusion):
        mistaken.setdefault(t, (p, share))
    rows = []
    for c, name in enumerate(names):
        other, share = mistaken.get(c, (-1, 0.0))
        accuracy = float(scored.evaluation.per_class[c])
        known = None if np.isnan(accuracy) else accuracy
        rows.append(ClassRow(name, c < num_seen, int(confusion.totals[c]), known, names[other] if other >= 0 else "", share))
    return tuple(rows)


def _reliability(scored: Scored, num_seen: int, temperature: float) -> tuple[ReliabilityBin, ...]:
    if not len(scored.labels):
        return ()
    logits = scored.logits.copy()
    logits[:, :num_seen] -= scored.evaluation.calibration
    probabilities = Probabilities(temperature).of(logits)
    highest, weights = probabilities.max(axis=1), class_weights(scored.labels)
    right = probabilities.argmax(axis=1) == scored.labels
    place = np.clip(np.ceil(highest * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    share, of_probability, of_right = (
        np.bincount(place, weights=weights * values, minlength=ECE_BINS) for values in (1.0, highest, right)
    )
    return tuple(
        ReliabilityBin(b / ECE_BINS, (b + 1) / ECE_BINS, share[b], of_probability[b] / share[b], of_right[b] / share[b])
        for b in np.flatnonzero(share).tolist()
    )


_NEEDS = {"energy_in_box": "boxes", "pointing_game": "boxes", "part_localisation": "parts"}


def faithfulness_rows(
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]], figures: Sequence[Figure]
) -> tuple[FaithfulnessRow, ...]:
    """Return a row for each figure that was measured.

    Args:
        measured: metrics.json's "faithfulness".
        figures: what each metric is called and means.
    """
    return tuple(
        FaithfulnessRow(
            figure.title,
            figure.meaning,
            figure.better,
            figure.chance_is,
            {side: _shown(found) for side, found in measured[figure.name].items() if side in SIDES},
        )
        for figure in figures
        if measured.get(figure.name)
    )


def _shown(found: Mapping[str, Any]) -> tuple[Estimate, float | None, int | None, int]:
    estimate = Estimate(found.get("value"), found.get("low"), found.get("high"))
    return estimate, found.get("chance"), found.get("count"), found.get("left_out", 0)


def unmeasured_sentences(measured: Mapping[str, Any], figures: Sequence[Figure], missing: Sequence[str]) -> tuple[str, ...]:
    """Return why each other figure is absent.

    Args:
        measured: metrics.json's "faithfulness".
        figures: all there are.
        missing: what the data set does not have, "boxes" or "parts".
    """
    sentences = []
    for figure in figures:
        if not measured.get(figure.name):
            needed = _NEEDS.get(figure.name, "")
            reason = f"the data set has no {needed} of its images" if needed in missing else "there is nothing to measure it on"
            sentences.append(f"{figure.title[:1].upper()}{figure.title[1:]}: not measured, {reason}.")
    return tuple(sentences)


def missing_annotations(dataset: Dataset) -> tuple[str, ...]:
    """Return what a data set does not know of its images, of "boxes" and "parts"."""
    known = {"boxes": dataset.boxes, "parts": dataset.parts}
    return tuple(name for name, values in known.items() if values is None)


def absent_side_sentences(
    measured: Mapping[str, Mapping[str, Any]], figures: Sequence[Figure], images: Mapping[str, int]
) -> tuple[str, ...]:
    """Return a sentence for each kind of classes that a measured figure is not known of.

    Args:
        measured: metrics.json's "faithfulness".
        figures: all there are.
        images: number of test images of "seen" and of "unseen" classes.
    """
    found = [(figure.title, measured[figure.name]) for figure in figures if measured.get(figure.name)]
    sentences = []
    for side, number in images.items():
        titles = ", ".join(title for title, by_side in found if side not in by_side)
        if titles:
            reason = "none of their images could be measured" if number else "there is no test image of theirs"
            sentences.append(f"Not measured of {side} classes: {titles}; {reason}.")
    if any("all" not in by_side for _, by_side in found):
        sentences.append("All: figures of images are given for seen and unseen classes apart, never for both together.")
    return tuple(sentences)
