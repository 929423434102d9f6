"""A leaderboard as text for a terminal, as Markdown and as rows for CSV files."""

from __future__ import annotations

import csv
import io
import itertools
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwt_tf.errors import InputError
from niwt_tf.experiments.comparison.leaderboard import BOUND, FIGURES, PAIRED, LeaderboardRow, Table
from niwt_tf.metrics.intervals import Mean

_TITLES = {
    "acc_seen": "seen",
    "acc_unseen": "unseen",
    "harmonic_mean": "H",
    "acc_zsl": "ZSL",
    "ausuc": "AUSUC",
    BOUND: "H, calibrated on test images",
}
_MARK = "optimistic"
_ELSEWHERE = "published, other protocol"
_LEGEND = (
    "Accuracies in percent: mean ± 95 % interval (Student's t) over problems, each a split and a seed. "
    "Differences are relative to {reference}, problem by problem. * means that the interval excludes 0. "
    "p: paired t test of H, adjusted by Holm's method. The rank is by H; 1 is best."
)
_BOUND_LEGEND = "H with a calibration chosen on the test images is an upper bound. It is not a result of the method."


def markdown(tables: Sequence[Table], published: Sequence[PublishedResult] = ()) -> str:
    """Return every table with its notes; each test figure of an optimistic row is called so in its own cell."""
    texts = []
    for table in tables:
        grid = [[text.replace("|", "\\|") for text in line] for line in cells(table, published)]
        header, *lines = (f"| {' | '.join(line)} |" for line in grid)
        said = [f"- {note}" for note in notes(table)]
        texts.append("\n".join([f"### {table.dataset}", "", header, "|---" * len(grid[0]) + "|", *lines, "", *said]))
    return "\n\n".join(texts) + "\n"


def terminal(tables: Sequence[Table], published: Sequence[PublishedResult] = ()) -> str:
    """Return every table in aligned columns, with its notes."""
    texts = []
    for table in tables:
        grid = cells(table, published)
        widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
        aligned = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]
        ours = len(table.rows) + 1
        rule = ["-" * max(map(len, aligned))] if published else []
        wrapped = (textwrap.wrap(note, 120, break_long_words=False, break_on_hyphens=False) for note in notes(table))
        lines = itertools.chain([table.dataset], aligned[:ours], rule, aligned[ours:], *wrapped)
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def cells(table: Table, published: Sequence[PublishedResult] = ()) -> list[list[str]]:
    """Return header and rows of a table as texts of equal number."""
    shown = list(table.rows[0].figures)
    header = ["method", *(_TITLES[name] for name in shown), "H - ref.", "AUSUC - ref.", "p (Holm)", "rank", "problems"]
    lines = [header, *(_cells_of(row, table, shown) for row in table.rows)]
    for other in published:
        known = [other.figures.get(name) for name in shown]
        figures = ["" if value is None else f"{100 * value:.1f}" for value in known]
        lines.append([f"{other.method} ({_ELSEWHERE}: {_described(other)})", *figures, *[""] * 5])
    return lines


def notes(table: Table) -> list[str]:
    """Return what a reader of the table must know, a sentence each."""
    found = [_LEGEND.format(reference=table.reference)]
    if BOUND in table.rows[0].figures:
        found.append(_BOUND_LEGEND)
    found += [f"{note[0].upper()}{note[1:]}." for note in table.notes]
    found += [f"{row.label} is {_MARK}: {'; '.join(row.optimistic)}." for row in table.rows if row.optimistic]
    return found


def _cells_of(row: LeaderboardRow, table: Table, shown: Sequence[str]) -> list[str]:
    marked = bool(row.optimistic)
    figures = [_shown(row.figures[name], marked or name == BOUND) or "n/a" for name in shown]
    differences = [_shown(row.differences.get(name), marked or table.optimistic_reference, "+") for name in PAIRED]
    p = "" if row.p is None else f"{row.p:.3f}" if row.p >= 0.001 else "< 0.001"
    return [row.label, *figures, *differences, p, _shown(row.rank, factor=1), str(row.problems)]


def _shown(mean: Mean | None, optimistic: bool = False, sign: str = "", factor: float = 100) -> str:
    """Return a mean with its interval and marks, "" for none; with a sign it is a difference, which may exclude 0."""
    if mean is None:
        return ""
    half = "" if mean.half is None else f" ± {factor * mean.half:.1f}"
    return f"{factor * mean.value:{sign}.1f}{half}{' *' * bool(sign and mean.excludes_zero)}{f' {_MARK}' * optimistic}"


def _described(other: PublishedResult) -> str:
    return f"{other.source}, {other.protocol}" if other.protocol else other.source


def comparison_rows(tables: Sequence[Table], published: Sequence[PublishedResult] = ()) -> Iterator[list[Any]]:
    """Yield the header and a row a method, all raw fractions; None, an empty cell, for what is not known."""
    shown = list(tables[0].rows[0].figures)
    ends = ("mean", "low", "high")
    header = ["dataset", "method", "kind", "problems", "shared_problems", "optimistic"]
    header += [f"{name}_{end}" for name in shown for end in ends] + ["reference"]
    header += [f"{name}_difference_{part}" for name in PAIRED for part in (*ends, "excludes_0")]
    header += ["harmonic_mean_p_holm", *(f"rank_{end}" for end in ends)]
    yield header
    for table in tables:
        for row in table.rows:
            line: list[Any] = [table.dataset, row.label, "run", row.problems, table.shared, "; ".join(row.optimistic)]
            line += [end for name in shown for end in _ends(row.figures[name])]
            line.append(table.reference)
            for mean in map(row.differences.get, PAIRED):
                line += [*_ends(mean), None if mean is None or mean.half is None else int(mean.excludes_zero)]
            yield [*line, row.p, *_ends(row.rank)]
    for other in published:
        line = [None, other.method, f"{_ELSEWHERE}: {_described(other)}", None, None, None]
        line += [end for name in shown for end in (other.figures.get(name), None, None)]
        yield [*line, *[None] * (len(header) - len(line))]


def problem_rows(tables: Sequence[Table]) -> Iterator[list[Any]]:
    """Yield the header and a row for each method and problem, fractions as they were read."""
    shown = [name for name in (*FIGURES, BOUND) if name in tables[0].rows[0].figures]
    yield ["dataset", "problem", "seed", "method", *shown, "optimistic", "folder"]
    for table in tables:
        for row in table.rows:
            for (problem, seed), result in sorted(row.results.items()):
                figures = map(result.figures.get, shown)
                yield [table.dataset, problem, seed, row.label, *figures, "; ".join(result.optimistic), result.where]


def _ends(mean: Mean | None) -> list[Any]:
    return [None] * 3 if mean is None else [mean.value, mean.low, mean.high]


COLUMNS = ("method", "H", "seen", "unseen", "source", "protocol")
_NUMBERS = {"H": "harmonic_mean", "seen": "acc_seen", "unseen": "acc_unseen"}


@dataclass(frozen=True)
class PublishedResult:
    """A row of another's table: fractions by the names of metrics.json (None where the source has none), and its protocol."""

    method: str
    figures: dict[str, float | None]
    source: str
    protocol: str


def read_published(path: str | Path) -> tuple[PublishedResult, ...]:
    """Read a CSV with the columns method, H, seen, unseen (fractions; empty where there is none), source and protocol.

    Raises:
        InputError: naming the file, the line and what is wrong with it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = f"{str(path)!r} ({error.strerror})"
        raise InputError(f"--published must name a file that can be read. Received: {reason}.") from None
    except UnicodeDecodeError:
        raise InputError(f"--published must be a CSV in UTF-8. Received: {str(path)!r}.") from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if sorted(reader.fieldnames or ()) != sorted(COLUMNS):
            received = ",".join(reader.fieldnames or ())
            raise InputError(f"{path} must have the columns {','.join(COLUMNS)}. Received: {received!r}.")
        return tuple(_published(f"{path}, line {reader.line_num}", line) for line in reader)
    except csv.Error as error:
        raise InputError(f"{path} must be a CSV. Received: {error} in line {reader.line_num}.") from None


def _published(where: str, line: dict[str | None, str | None]) -> PublishedResult:
    texts = {name: (line.get(name) or "").strip() for name in COLUMNS}
    if None in line:
        raise InputError(f"{where}, must have {len(COLUMNS)} cells. Received: {len(COLUMNS) + len(line[None] or ())}.")
    missing = [name for name in ("method", "source") if not texts[name]]
    if missing:
        raise InputError(f"{where}, must name its {missing[0]}. Received: an empty cell.")
    figures = {name: _fraction(where, column, texts[column]) for column, name in _NUMBERS.items()}
    return PublishedResult(texts["method"], figures, texts["source"], texts["protocol"])


def _fraction(where: str, column: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(f"{where}, {column}, must be a fraction from 0 to 1, not percent. Received: {text!r}.")
    return value
