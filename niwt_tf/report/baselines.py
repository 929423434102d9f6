"""The baselines of a run beside its own method: one row a method, and which of them test labels may have helped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from niwt_tf.baselines.names import METHODS, TITLES

MEASURES = (("acc_seen", "Seen"), ("acc_unseen", "Unseen"), ("harmonic_mean", "H"), ("acc_zsl", "ZSL"), ("ausuc", "AUSUC"))
_FEATURES = {"head": "what the head gets", "map": "mean of the conv map"}


@dataclass(frozen=True)
class BaselineRow:
    """One method on the test images.

    Attributes:
        name: for people.
        features: what it works on.
        values: fractions in the order of `MEASURES`; None where nothing can tell.
        remark: why it is optimistic, "" where it is not.
        own: whether it is the run's own method.
    """

    name: str
    features: str
    values: tuple[float | None, ...]
    remark: str
    own: bool = False


def baseline_rows(
    own: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]], head: str = "niwt"
) -> tuple[BaselineRow, ...]:
    """Return the run's own row and those of the baselines, or nothing where there is no baseline.

    Args:
        own: the run's metrics.json, with all that is known today under "optimistic".
        others: the baselines' metrics.json, by method, likewise.
        head: the run's own method.
    """
    if not others:
        return ()
    title = "NIWT" if head == "niwt" else f"{TITLES[head]}, the run's head"
    first = BaselineRow(title, _FEATURES["head"], _values(own), _remark(own), own=True)
    ordered = sorted(others, key=lambda name: (METHODS.index(name) if name in METHODS else len(METHODS), name))
    return (first, *(_row(name, others[name]) for name in ordered))


def _row(name: str, metrics: Mapping[str, Any]) -> BaselineRow:
    features = str(metrics.get("features", ""))
    return BaselineRow(TITLES.get(name, name), _FEATURES.get(features, features), _values(metrics), _remark(metrics))


def _values(metrics: Mapping[str, Any]) -> tuple[float | None, ...]:
    return tuple(metrics.get(name) for name, _ in MEASURES)


def _remark(metrics: Mapping[str, Any]) -> str:
    # The first say "it uses test labels" of the second.
    reasons = metrics.get("optimistic") or metrics.get("uses_test_labels") or ()
    return f"optimistic: {'; '.join(map(str, reasons))}" if reasons else ""
