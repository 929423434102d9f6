"""What an analysis leaves: a table as CSV and JSON beside its picture, read again by the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.data.csv_text import csv_text
from niwt_tf.files import replacing, write_json
from niwt_tf.metrics.intervals import or_none, plain_mean

# How a column is shown: a fraction as percent, a number with three digits, one between -1 and 1, a whole number, or words.
KINDS = ("percent", "number", "correlation", "count", "text")
_DIGITS = 8


@dataclass(frozen=True)
class TableColumn:
    """One column of an analysis's table.

    Attributes:
        name: in the files.
        title: for people; "" leaves the column out of the report.
        kind: one of `KINDS`.
    """

    name: str
    title: str = ""
    kind: str = "percent"


@dataclass(frozen=True)
class AnalysisRecord:
    """The outcome of one analysis.

    Attributes:
        title: short.
        caption: what the picture shows and how it was made, in a few sentences.
        command: what makes it again.
        columns: of the table.
        rows: one value a column: text, numbers or None for what is unknown.
        shown: indices of the rows that the report shows; None shows all.
        details: whatever else belongs to the outcome, as JSON, under names of its own.
    """

    title: str
    caption: str
    command: str
    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[Any, ...], ...]
    shown: tuple[int, ...] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), "a row must have a value for each column"
        assert all(column.kind in KINDS for column in self.columns)

    def column(self, name: str) -> np.ndarray:
        """Return a numeric column, float64 [rows]; NaN where a value is unknown."""
        index = [column.name for column in self.columns].index(name)
        return np.array([np.nan if row[index] is None else row[index] for row in self.rows], np.float64)


def write_record(folder: Path, name: str, record: AnalysisRecord) -> None:
    """Write `<name>.csv` and `<name>.json`; numbers are rounded to eight digits, unknown ones are empty and null."""
    rows = [[_plain(value) for value in row] for row in record.rows]
    names = [column.name for column in record.columns]
    with replacing(folder / f"{name}.csv") as temporary:
        known = [["" if value is None else value for value in row] for row in rows]
        temporary.write_text(csv_text([names, *known]), encoding="utf-8")
    table = {
        "title": record.title,
        "caption": record.caption,
        "command": record.command,
        "columns": names,
        "titles": [column.title for column in record.columns],
        "kinds": [column.kind for column in record.columns],
        "rows": rows,
        "shown": list(range(len(rows)) if record.shown is None else record.shown),
    }
    assert not table.keys() & record.details.keys(), "a detail must not take the place of the table"
    write_json(folder / f"{name}.json", {**table, **record.details})


def marked_caption(caption: str, optimistic: Sequence[str]) -> str:
    """Return a caption that says why the figures are optimistic, as far as it does not yet; without reasons the same."""
    untold = [reason for reason in optimistic if f"{reason};" not in caption and f"{reason}." not in caption]
    if not untold:
        return caption
    return f"{caption} Optimistic: test images may have helped to make the run's choices, because {'; '.join(untold)}."


def table_text(record: Mapping[str, Any]) -> str:
    """Return the shown rows and columns of a written record (its JSON) as aligned lines."""
    kept = [index for index, title in enumerate(record["titles"]) if title]
    lines = [[record["titles"][index] for index in kept]]
    lines += [[shown_value(record["rows"][row][index], record["kinds"][index]) for index in kept] for row in record["shown"]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(kept))]
    left = [record["kinds"][index] == "text" for index in kept]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if first else cell.rjust(width) for cell, width, first in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )


def shown_value(value: Any, kind: str) -> str:
    """Return a value of a table for people."""
    if value is None:
        return "n/a"
    if kind == "percent":
        return f"{100 * value:.1f} %"
    if kind == "correlation":
        return f"{value:.3f}"
    return f"{value:.4g}" if kind == "number" else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        known = or_none(value)
        return known if known is None else float(f"{known:.{_DIGITS}g}")
    return value


def spread(values: Sequence[float] | np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)) -> tuple[float, float, float]:
    """Return the mean of values and its 95 % interval (Student's t), NaN for what cannot be told; NaN values are left out.

    Args:
        values: any number of them.
        bounds: an interval does not go beyond.
    """
    unknown = float("nan")
    found = plain_mean(np.asarray(values, np.float64), bounds)
    return (unknown,) * 3 if found is None else (found["value"], found.get("low", unknown), found.get("high", unknown))
