"""The table that is printed and the JSON that is written."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.harness import Comparison, Measurement, Series

_HEAD = ("measured", "A", "B", "A / B (spread)", "to reach", "reached")


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, load, versions, threads."""
    import keras
    import tensorflow as tf

    threads = tf.config.threading
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "threads": [threads.get_inter_op_parallelism_threads(), threads.get_intra_op_parallelism_threads()],
    }


def machine_line(facts: dict[str, Any]) -> str:
    """Return the machine as one sentence."""
    threads = " and ".join(str(number) if number else "default" for number in facts["threads"])
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']:g} GB, {'/'.join(facts['devices'])}; "
        f"TensorFlow {facts['tensorflow']}, Keras {facts['keras']}, Python {facts['python']}; threads between and in "
        f"operations {threads}; load before {facts['load_before']:g}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def number(value: float) -> str:
    """Return three significant digits."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


_SCALES = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def series_text(series: Series) -> str:
    """Return "label: median unit (min..max)"; seconds below one in the unit that suits them."""
    unit, scale = series.unit, 1.0
    if unit == "s":
        unit, scale = next(((u, s) for u, s in _SCALES if series.median >= s), _SCALES[-1])
    values = [value / scale for value in series.values]
    spread = f" ({number(min(values))}..{number(max(values))})" if len(values) > 1 else ""
    return f"{series.label}: {number(series.median / scale)}{' ' + unit if unit else ''}{spread}"


def row_cells(row: Comparison) -> tuple[str, ...]:
    """Return a row's cells as text."""
    ratio = ""
    if row.ratio is not None and row.ratios is not None:
        low, high = row.ratios
        ratio = number(row.ratio) + (f" ({number(low)}..{number(high)})" if low < high else "")
    reached = {None: "", True: "yes", False: "NO"}[row.is_reached]
    second = series_text(row.second) if row.second else ""
    return row.name, series_text(row.first), second, ratio, str(row.goal) if row.goal else "", reached


def table(measurement: Measurement) -> str:
    """Return a measurement as a Markdown table with its notes."""
    cells = [_HEAD, *(row_cells(row) for row in measurement.rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    notes = [f"- {note}" for note in measurement.notes]
    return "\n".join([f"### {measurement.title}", "", lines[0], rule, *lines[1:], *([""] if notes else []), *notes])


def write_json(path: Path, facts: dict[str, Any], results: dict[str, dict[str, Any]]) -> None:
    """Write all figures; the file appears whole or not at all."""
    from niwt_tf.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"machine": facts, "measurements": results}, indent=2) + "\n", encoding="utf-8")


def as_dict(measurement: Measurement, seconds: float) -> dict[str, Any]:
    """Return a measurement as JSON has it."""
    rows = [row.as_dict() for row in measurement.rows]
    return {"title": measurement.title, "seconds": round(seconds, 1), "rows": rows, "notes": list(measurement.notes)}
