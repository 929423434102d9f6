"""The few lines that a run ends with."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any


def summary_table(metrics: Mapping[str, Any], optimistic: Sequence[str] = ()) -> str:
    """Return the main results as aligned text lines: name, percent with one decimal (or n/a), what it means.

    Args:
        metrics: the contents of metrics.json: acc_seen, acc_unseen, harmonic_mean, acc_zsl, chance_zsl, ausuc as fractions,
            num_seen and num_unseen; a number that is absent, None or NaN is shown as n/a.
        optimistic: reasons why test figures may have had a part in the run's choices. Every test figure is then called so.
    """
    seen, unseen = metrics.get("num_seen"), metrics.get("num_unseen")
    of_all = f"all {seen + unseen} classes" if seen and unseen else "all classes"
    of_unseen = "only the one unseen class" if unseen == 1 else f"only the {unseen or ''} unseen classes".replace("  ", " ")
    rows = (
        ("acc_seen", "acc_seen", f"test images of seen classes, {of_all} competing"),
        ("acc_unseen", "acc_unseen", f"test images of unseen classes, {of_all} competing"),
        ("H", "harmonic_mean", "harmonic mean of the two"),
        ("ZSL", "acc_zsl", f"test images of unseen classes, {of_unseen} competing"),
        ("chance", "chance_zsl", "ZSL by guessing"),
        ("AUSUC", "ausuc", "area under seen over unseen accuracy, whatever the calibration"),
    )
    marks = ["" if key == "chance_zsl" or not optimistic else "optimistic" for _, key, _ in rows]
    width = 1 + len("optimistic") if optimistic else 0
    lines = [
        f"{name:<10} {_percent(metrics.get(key)):>7}{' ' * bool(mark)}{mark:<{max(width - bool(mark), 0)}}  {meaning}"
        for (name, key, meaning), mark in zip(rows, marks, strict=True)
    ]
    if optimistic:
        lines += textwrap.wrap(f"optimistic: {'; '.join(optimistic)}.", 100)
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{100 * value:.1f} %"
