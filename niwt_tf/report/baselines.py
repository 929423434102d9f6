"""The baselines of a run beside NIWT: one row a method, and which of them were helped by test labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEASURES = (("acc_seen", "Seen"), ("acc_unseen", "Unseen"), ("harmonic_mean", "H"), ("acc_zsl", "ZSL"), ("ausuc", "AUSUC"))
_NAMES = {
    "eszsl": "ESZSL",
    "ale": "ALE",
    "dem": "DEM",
    "sync": "SynC",
    "cnzsl": "CNZSL",
    "class_mean": "Nearest class mean",
    "random": "Random",
    "oracle": "Supervised oracle",
}
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


def baseline_rows(own: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> tuple[BaselineRow, ...]:
    """Return the run's own row and those of the baselines, or nothing where there is no baseline.

    Args:
        own: the run's metrics.json.
        others: the baselines' metrics.json, by method.
    """
    if not others:
        return ()
    first = BaselineRow(_NAMES.get(str(own.get("method")), "NIWT"), _FEATURES["head"], _values(own), _remark(own), own=True)
    known = list(_NAMES)
    ordered = sorted(others, key=lambda name: (known.index(name) if name in known else len(known), name))
    return (first, *(_row(name, others[name]) for name in ordered))


def _row(name: str, metrics: Mapping[str, Any]) -> BaselineRow:
    features = str(metrics.get("features", ""))
    return BaselineRow(_NAMES.get(name, name), _FEATURES.get(features, features), _values(metrics), _remark(metrics))


def _values(metrics: Mapping[str, Any]) -> tuple[float | None, ...]:
    return tuple(metrics.get(name) for name, _ in MEASURES)


def _remark(metrics: Mapping[str, Any]) -> str:
    uses = [str(use) for use in metrics.get("uses_test_labels") or ()]
    known = {f"it uses test labels: {use}" for use in uses}
    reasons = [*uses, *(str(reason) for reason in metrics.get("optimistic") or () if reason not in known)]
    return f"optimistic: {'; '.join(reasons)}" if reasons else ""
