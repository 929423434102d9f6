"""What the evaluation found, class by class: accuracies, confusions and how well probabilities fit.

Dimensions: M test images, C classes, seen ones first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwt_tf.experiments.class_names import readable_names
from niwt_tf.experiments.scoring import Scored
from niwt_tf.method.evaluation import class_weights
from niwt_tf.method.probabilities import ECE_BINS, Probabilities
from niwt_tf.report.contents import ClassRow, ConfusedPair, Confusion, ReliabilityBin, Results

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
