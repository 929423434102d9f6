"""`niwt compare`: methods side by side over the seeds and splits of finished runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from niwt_tf.config.extras import is_left_out
from niwt_tf.data.csv_text import csv_text
from niwt_tf.errors import InputError
from niwt_tf.experiments.comparison.leaderboard import BOUND, FIGURES, Table, tables_of
from niwt_tf.experiments.comparison.plot import plot_leaderboard
from niwt_tf.experiments.comparison.runs import results_in
from niwt_tf.experiments.comparison.text import (
    PublishedResult,
    comparison_rows,
    markdown,
    problem_rows,
    read_published,
    terminal,
)
from niwt_tf.files import replacing_all
from niwt_tf.jobs.context import show_progress

FILES = ("comparison.csv", "per_problem.csv", "comparison.md", "comparison.png")


def compare(
    runs: Sequence[str], out: Path, reference: str | None = None, bound: bool = False, published: str | None = None
) -> tuple[list[Table], tuple[PublishedResult, ...]]:
    """Read runs, write the files into `out`, together or not at all, and return the tables with what others published.

    Raises:
        InputError: whatever is wrong with the runs or the flags, in one sentence.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out must be a folder. Received: {str(out)!r}.")
    others = () if published is None else read_published(os.path.expanduser(published))
    results = results_in(runs, bound, show_progress())
    tables = tables_of(results, reference, (*FIGURES, BOUND) if bound else FIGURES)
    names = FILES[:-1] if is_left_out(FILES[-1], "matplotlib") else FILES
    with replacing_all(*(out / name for name in names)) as (comparison, per_problem, text, *pictures):
        _write_csv(comparison, comparison_rows(tables, others))
        _write_csv(per_problem, problem_rows(tables))
        text.write_text(markdown(tables, others), encoding="utf-8")
        for picture in pictures:
            plot_leaderboard(picture, tables)
    return tables, others


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    path.write_text(csv_text(rows), encoding="utf-8")


def main() -> None:
    """Compare the runs that --runs names and print the tables."""
    values = flags.FLAGS
    if not values.runs:
        raise InputError("--runs must be given: run directories, or folders that hold some. Received: nothing.")
    out = Path(os.path.expanduser(values.out))
    print(terminal(*compare(values.runs, out, values.reference, values.bound, values.published)))
    print(f"\n{os.linesep.join(str(out / name) for name in FILES if (out / name).exists())}")
