"""Our figures beside the paper's: which rows are asked for, how a row was changed, and the table of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwt_tf.config.names import TEXTS, check_text_features
from niwt_tf.config.settings import Settings
from niwt_tf.data.csv_text import csv_text
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.grid import differing_flags
from niwt_tf.experiments.table1.needs import needs_text, parts_needed
from niwt_tf.experiments.table1.paper import SOURCE, TABLE_1, Figures, PaperRow
from niwt_tf.files import read_json
from niwt_tf.runs.run import RunDirectory

# These say which row, and where its data are: giving them changes nothing of what the row is.
CHOOSING = ("dataset", "backbone", "finetune", "knowledge", "data_dir")
_MEASURES = ("acc_unseen", "acc_seen", "harmonic_mean")
_ALLOWED = {"backbone": ("vgg16", "resnet101"), "finetune": ("head", "all"), "knowledge": ("attributes", "captions")}


@dataclass(frozen=True)
class Reproduced:
    """What a row's run came to: its metrics.json, or None where it is not finished, and the flags that are not the row's.

    It is optimistic where its test figures may have had a part in its choices; empty for a clean run.
    """

    row: PaperRow
    metrics: Mapping[str, Any] | None = None
    changed: tuple[str, ...] = ()
    optimistic: tuple[str, ...] = ()

    @property
    def figures(self) -> list[float | None]:
        """Unseen and seen accuracy and their harmonic mean in percent; None where there is none."""
        found = [None if self.metrics is None else self.metrics.get(name) for name in _MEASURES]
        return [None if value is None else 100 * value for value in found]


class Table1:
    """Table 1 as `niwt reproduce` runs it; `name` is that of its files."""

    name = "table1"
    rows = TABLE_1

    def __init__(self, cache_gb: float = 4.0, tflops: float = 5.0) -> None:
        self._cache_gb, self._tflops = cache_gb, tflops

    def chosen(self, given: Mapping[str, Any]) -> list[PaperRow]:
        """Return the rows that the given flags leave; see `chosen_rows`."""
        rows = chosen_rows({name: value for name, value in given.items() if name in CHOOSING})
        features = given.get("text_features", Settings().text_features)
        check_text_features("+".join(sorted({row.settings["knowledge"] for row in rows})), features)
        return rows

    def left_out(self, given: Mapping[str, Any]) -> list[str]:
        """Return nothing: every row can be run."""
        del given
        return []

    def settings_of(self, row: PaperRow, data_dir: str, changes: Mapping[str, Any], folder: Path) -> Settings:
        """See `settings_of`."""
        del folder
        return settings_of(row, data_dir, changes)

    def needs(self, wanted: Mapping[PaperRow, Settings], folder: Path) -> tuple[str, list[str]]:
        """Return what is said before any work, and what of it is missing."""
        parts = parts_needed(wanted)
        missing = [name for part in parts for name in part.missing]
        return needs_text(wanted, parts, folder, self._cache_gb, self._tflops), missing

    def check(self, wanted: Mapping[PaperRow, Settings]) -> None:
        """Do nothing more: `needs` has read the lists of images."""

    def prepare(self, wanted: Mapping[PaperRow, Settings], folder: Path) -> None:
        """Do nothing: rows read what is the user's alone."""

    def changed_flags(self, row: PaperRow, settings: Settings) -> tuple[str, ...]:
        """See `changed_flags`."""
        return changed_flags(row, settings)

    def finished(self, folder: Path, row: PaperRow) -> Reproduced:
        """Return what the run of a row in `folder` came to, whatever its settings; without metrics if it is not finished."""
        try:
            run = RunDirectory(folder / row.name).reading()
            metrics = read_json(run.published("metrics.json", "evaluate"))
            return Reproduced(row, metrics, changed_flags(row, run.settings), run.optimistic(metrics=metrics))
        except (InputError, OSError, ValueError):
            return Reproduced(row)

    def comparison(self, done: Reproduced) -> str:
        """See `comparison`."""
        return comparison(done)

    def files(self, every: Sequence[Reproduced]) -> dict[str, str]:
        """Return the table by the ending of its files."""
        return {"csv": table_csv(every), "md": table_markdown(every)}

    def draw(self, every: Sequence[Reproduced], path: Path) -> None:
        """Draw nothing: four figures of the paper are no picture."""


def chosen_rows(asked: Mapping[str, str]) -> list[PaperRow]:
    """Return the rows of Table 1 that the given values of dataset, backbone, finetune and knowledge leave.

    Raises:
        InputError: no dataset is given, or a value has no row in the table.
    """
    if asked.get("dataset") not in ("cub", "awa2"):
        received = repr(asked["dataset"]) if "dataset" in asked else "none"
        raise InputError(f"--dataset must be cub or awa2, the data sets of Table 1. Received: {received}.")
    rows = [row for row in TABLE_1 if row.dataset == asked["dataset"]]
    for name, allowed in _ALLOWED.items():
        wanted = asked.get(name)
        if wanted is None:
            continue
        rows = [row for row in rows if wanted in (getattr(row, name), row.settings[name])]
        if not rows:
            raise InputError(f"--{name} must be {' or '.join(allowed)} in Table 1. Received: {wanted!r}.")
    return rows


def settings_of(row: PaperRow, data_dir: str, changes: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings that run a row with the archive's folder, and with changes in the place of the row's settings.

    Changes of `CHOOSING` are passed over, and text_features where the row's classes are not described by texts.

    Raises:
        InputError: settings that do not go together.
    """
    others = {name: value for name, value in (changes or {}).items() if name not in CHOOSING}
    if row.settings["knowledge"] not in TEXTS:
        others.pop("text_features", None)
    return Settings.from_dict({**row.settings, **others, "data_dir": data_dir})


def changed_flags(row: PaperRow, settings: Settings) -> tuple[str, ...]:
    """Return the flags in which a run's settings differ from the row's, as "--name=value"."""
    return differing_flags(Settings.from_dict(row.settings), settings, but=("data_dir",))


def comparison(done: Reproduced) -> str:
    """Return our figures of one row beside the paper's and the difference, as aligned lines."""
    lines = [f"{done.row.name:<32}{'U':>8}{'S':>8}{'H':>8}", _line("ours", [_shown(value) for value in done.figures])]
    paper = done.row.paper
    lines.append(_line("paper", [_shown(value) for value in _listed(paper)], "" if paper else f"  {_no_paper(done.row)}"))
    if paper:
        lines.append(_line("difference", [_shown(value, "+") for value in _differences(done)]))
    if done.changed:
        lines.append(f"  differs from the paper's row: {' '.join(done.changed)}")
    if done.optimistic:
        lines.append(f"  optimistic: {'; '.join(done.optimistic)}")
    return "\n".join(lines)


def table_csv(rows: Sequence[Reproduced]) -> str:
    """Return the table as CSV, accuracies in percent; cells of rows that are not finished, or have no figure, are empty."""
    keys = ["dataset", "backbone", "finetune", "knowledge"]
    measures = [f"{kind}{name}" for kind in ("", "paper_", "difference_") for name in _MEASURES]
    lines: list[list[Any]] = [["row", *keys, *measures, "paper_row", "changed_flags", "optimistic"]]
    for done in rows:
        row = done.row
        numbers = [_shown(value, empty="") for value in (*done.figures, *_listed(row.paper), *_differences(done))]
        state = "published" if row.paper else _no_paper(row)
        names = [row.name, *(getattr(row, key) for key in keys)]
        lines.append([*names, *numbers, state, " ".join(done.changed), "; ".join(done.optimistic)])
    return csv_text(lines)


def table_markdown(rows: Sequence[Reproduced]) -> str:
    """Return the table as Markdown, with the paper's figures as published."""
    lines = ["| row | U | S | H | paper U | paper S | paper H | difference of H |", "|---|---|---|---|---|---|---|---|"]
    for done in rows:
        mark = " (optimistic)" if done.optimistic else ""
        numbers = [_shown(value, empty="") + (mark if value is not None else "") for value in done.figures]
        paper = [_shown(value) for value in _listed(done.row.paper)] if done.row.paper else [_no_paper(done.row), "", ""]
        difference = _shown(_differences(done)[2], "+", empty="")
        lines.append("| " + " | ".join([done.row.name, *numbers, *paper, difference]) + " |")
    notes = [f"{done.row.name} differs from the paper's row: `{' '.join(done.changed)}`." for done in rows if done.changed]
    notes += [f"{done.row.name} is optimistic: {'; '.join(done.optimistic)}." for done in rows if done.optimistic]
    source = (
        "Accuracies in percent: U of unseen classes and S of seen classes, when all classes compete; H is their harmonic "
        f"mean. Paper: {SOURCE}."
    )
    return "\n".join([*lines, "", source, *notes]) + "\n"


def _listed(paper: Figures | None) -> list[float | None]:
    return [getattr(paper, name) if paper else None for name in _MEASURES]


def _differences(done: Reproduced) -> list[float | None]:
    pairs = zip(done.figures, _listed(done.row.paper), strict=True)
    return [None if ours is None or paper is None else ours - paper for ours, paper in pairs]


def _no_paper(row: PaperRow) -> str:
    return "not available" if row.in_paper else "no such row"


def _line(name: str, cells: Sequence[str], more: str = "") -> str:
    return more and f"  {name:<30}{more}" or f"  {name:<30}" + "".join(f"{cell:>8}" for cell in cells)


def _shown(value: float | None, sign: str = "", empty: str = "n/a") -> str:
    return empty if value is None else f"{value:{sign}.1f}"
