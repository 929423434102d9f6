"""`niwt reproduce --table=published`: our methods on the field's features, beside what was published on the same features.

figures.csv has the published figures, in percent and class-normalised, all on res101.mat and the Proposed Split.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from niwt_tf.config.names import DEFAULT_METHOD, OF_FEATURES, title_of
from niwt_tf.config.settings import Settings
from niwt_tf.data.csv_text import csv_text
from niwt_tf.data.load import load_dataset
from niwt_tf.data.readers.xlsa17_features import (
    NAME,
    PUBLISHED,
    SPLITS,
    Counts,
    counted,
    missing_files,
    split_version,
)
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.grid import differing_flags
from niwt_tf.files import read_json
from niwt_tf.runs.run import RunDirectory

TABLE, TITLE = "published", "published figures of other methods on the features of xlsa17 (CUB, AWA1, AWA2, SUN, aPY, FLO)"
ARCHIVE = "xlsa17.zip: https://datasets.d2.mpi-inf.mpg.de/xian/xlsa17.zip"
SOURCES = {
    "Xian et al. 2018": "Zero-Shot Learning: A Comprehensive Evaluation of the Good, the Bad and the Ugly, TPAMI, "
    "arXiv 1707.00600",
    "Zhang et al. 2017": "Learning a Deep Embedding Model for Zero-Shot Learning, CVPR, arXiv 1611.05088",
    "Skorokhodov and Elhoseiny 2021": "Class Normalization for (Continual)? Generalized Zero-Shot Learning, ICLR, "
    "arXiv 2006.11328",
}
OTHERS = ("all",)  # what niwt baseline scores beside each row's own method
_FIGURES = {"unseen": "acc_unseen", "seen": "acc_seen", "H": "harmonic_mean"}


@dataclass(frozen=True)
class Published:
    """A published line: the title of the method, our name of it where we have it, figures in percent, and its source."""

    title: str
    method: str
    figures: Mapping[str, float]
    source: str


@dataclass(frozen=True, eq=False)
class PublishedRow:
    """A data set of the table.

    Attributes:
        name: that of its folder, also of the run.
        counts: what the published data set has.
        published: what was published of it.
        others: what `niwt baseline` scores in its run.
    """

    name: str
    counts: Counts
    published: tuple[Published, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Finished:
    """What a row came to: metrics.json by method, empty where it is not finished, its changed flags and remarks."""

    row: PublishedRow
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    optimistic: tuple[str, ...] = ()

    def figure(self, method: str, name: str) -> float | None:
        """Return a figure of ours in percent."""
        value = self.metrics.get(method, {}).get(_FIGURES[name])
        return None if value is None else 100 * float(value)


class PublishedTable:
    """The table of all data sets whose folders are there.

    Attributes:
        name: of its files.
        rows: a row a data set.

    Raises:
        InputError: another --dataset.
    """

    def __init__(self, dataset: str | None, data_dir: str | None) -> None:
        if dataset != NAME:
            received = "none" if dataset is None else repr(dataset)
            raise InputError(f"--dataset must be {NAME} for --table={TABLE}. Received: {received}.")
        self.name = TABLE
        figures = _read_figures()
        self.rows = [PublishedRow(name, counts, figures.get(name, ()), OTHERS) for name, counts in PUBLISHED.items()]
        self._base = Path(os.path.expanduser(data_dir or f"data/{NAME}"))
        self._folders = {row: self._folder(row) for row in self.rows}

    def _folder(self, row: PublishedRow) -> Path | None:
        """Return the folder of a row, or None where it is not there."""
        places = [self._base] if self._base.name.upper() == row.name else []
        places += [self._base / inner / name for inner in ("", "data") for name in (row.name, row.counts.title)]
        return next((place for place in places if place.is_dir()), None)

    def chosen(self, given: Mapping[str, Any]) -> list[PublishedRow]:
        """Return the rows whose folders are there; all of them where none is."""
        del given
        return [row for row in self.rows if self._folders[row]] or self.rows

    def left_out(self, given: Mapping[str, Any]) -> list[str]:
        """Return a sentence for each data set that is not there."""
        del given
        absent = [row for row in self.rows if self._folders[row] is None]
        return [f"{row.counts.title} is left out: there is no {self._base / 'data' / row.name}." for row in absent]

    def settings_of(self, row: PublishedRow, data_dir: str, changes: Mapping[str, Any], folder: Path) -> Settings:
        """Return the settings that run a row, with changes in the place of its own.

        Raises:
            InputError: settings that do not go together.
        """
        del folder
        others = {name: value for name, value in changes.items() if name not in ("dataset", "data_dir")}
        where = self._folders[row] or Path(data_dir) / "data" / row.name
        return Settings.from_dict({"dataset": NAME, **OF_FEATURES[NAME], **others, "data_dir": str(where.absolute())})

    def needs(self, wanted: Mapping[PublishedRow, Settings], folder: Path) -> tuple[str, list[str]]:
        """Return what is said before any work, and what of it is missing."""
        lines, missing = [f"{TITLE[0].upper()}{TITLE[1:]}: {len(wanted)} of {len(self.rows)}. {ARCHIVE}."], []
        for row, settings in wanted.items():
            absent = missing_files(settings.data_folder)
            missing += absent
            splits = Path(settings.data_folder, SPLITS)
            known = [f"MISSING   {', '.join(Path(path).name for path in absent)}" if absent else "found"]
            known += [f"version {split_version(splits)} of the Proposed Split"] if splits.is_file() else []
            known.append(f"{row.counts.images:,} images, {row.counts.classes} classes as published")
            lines.append(f"  {row.counts.title:<6}{'; '.join(known)}")
        return "\n".join([*lines, f"Written to {folder}."]), missing

    def check(self, wanted: Mapping[PublishedRow, Settings]) -> None:
        """Read each data set once before the first row.

        Raises:
            InputError: a file is not in order.
        """
        for row, settings in wanted.items():
            asked = settings.split, settings.unseen, settings.num_unseen, settings.knowledge, settings.seed
            found = counted(load_dataset(NAME, settings.data_folder, *asked))
            if settings.split == "ps" and settings.knowledge == "attributes" and _numbers(found) != _numbers(row.counts):
                print(f"{row.counts.title} is not the published data set: {_numbers(found)} and not {_numbers(row.counts)}.")

    def prepare(self, wanted: Mapping[PublishedRow, Settings], folder: Path) -> None:
        """Do nothing: rows read the user's files alone."""

    def changed_flags(self, row: PublishedRow, settings: Settings) -> tuple[str, ...]:
        """Return the flags in which a run's settings differ from the row's."""
        del row
        return differing_flags(Settings.from_dict({"dataset": NAME, **OF_FEATURES[NAME]}), settings, but=("data_dir",))

    def finished(self, folder: Path, row: PublishedRow) -> Finished:
        """Return what the run of a row in `folder` came to, whatever its settings."""
        try:
            run = RunDirectory(folder / row.name).reading()
            metrics = {run.settings.method: read_json(run.published("metrics.json", "evaluate"))}
            optimistic = list(run.optimistic(metrics=metrics[run.settings.method]))
        except (InputError, OSError, ValueError):
            return Finished(row)
        for entry in sorted(run.path.glob("baseline_*")):
            try:
                found = read_json(run.folder(entry.name) / "metrics.json")
            except (InputError, OSError, ValueError):  # a method that had nothing to read, or is out of date
                continue
            metrics[entry.name.removeprefix("baseline_")] = found
            if found.get("competes", True):
                optimistic += run.optimistic(entry.name, found)
        return Finished(row, metrics, self.changed_flags(row, run.settings), tuple(dict.fromkeys(optimistic)))

    def comparison(self, done: Finished) -> str:
        """Return a row's part of the table for people, a line a method."""
        lines = [f"{done.row.counts.title:<16}{'unseen':>8}{'seen':>8}{'H':>8}{'published: unseen':>20}{'seen':>8}{'H':>8}"]
        for title, ours, theirs in _lines(done):
            cells = [*(f"{_shown(ours[name]):>8}" for name in _FIGURES)]
            cells += [f"{_shown(theirs[name]):>{20 if name == 'unseen' else 8}}" for name in _FIGURES]
            lines.append(f"{title:<16}{''.join(cells)}".rstrip())
        return "\n".join(lines)

    def files(self, every: Sequence[Finished]) -> dict[str, str]:
        """Return the table by the ending of its files."""
        return {"csv": self._csv(every), "md": self._markdown(every)}

    def draw(self, every: Sequence[Finished], path: Path) -> None:
        """Draw nothing: three figures of a method beside three others are read in the table."""

    def _csv(self, every: Sequence[Finished]) -> str:
        header = ["dataset", "method", *_FIGURES, *(f"published_{name}" for name in _FIGURES), "source", "changed_flags"]
        rows: list[list[Any]] = [header]
        for done in every:
            source = {each.title: each.source for each in done.row.published}
            for title, ours, theirs in _lines(done):
                numbers = [_shown(found[name]) for found in (ours, theirs) for name in _FIGURES]
                rows.append([done.row.counts.title, title, *numbers, source.get(title, ""), " ".join(done.changed)])
        return csv_text(rows)

    def _markdown(self, every: Sequence[Finished]) -> str:
        lines = ["| data | method | unseen | seen | H | published: unseen | seen | H | source |", f"|{'---|' * 9}"]
        for done in every:
            source = {each.title: each.source for each in done.row.published}
            for title, ours, theirs in _lines(done):
                numbers = [_shown(found[name]) for found in (ours, theirs) for name in _FIGURES]
                lines.append("| " + " | ".join([done.row.counts.title, title, *numbers, source.get(title, "")]) + " |")
        notes = [f"- {name}: {title}" for name, title in SOURCES.items()]
        for done in every:
            if done.changed:
                notes.append(
                    f"- {done.row.counts.title} was run with flags that differ from those of the row: "
                    f"`{' '.join(done.changed)}`"
                )
            if done.optimistic:
                notes.append(f"- {done.row.counts.title} is optimistic: {'; '.join(done.optimistic)}")
        said = (
            "Accuracy in percent, per class and then averaged; all classes compete. Our runs choose every number, also the "
            "calibration, on validation classes, which are some of the seen ones. The published figures of Xian et al. 2018 "
            "and Zhang et al. 2017 have no calibration, which lowers their unseen accuracy and their H."
        )
        return "\n".join([*lines, "", said, "", *notes]) + "\n"


def _numbers(counts: Counts) -> tuple[int, ...]:
    each = counts.images, counts.classes, counts.entries, counts.trainval, counts.test_seen, counts.test_unseen
    return tuple(each)


def _read_figures() -> dict[str, tuple[Published, ...]]:
    found: dict[str, list[Published]] = {}
    with open(Path(__file__).with_name("figures.csv"), encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            figures = {name: float(line[name]) for name in _FIGURES}
            found.setdefault(line["dataset"], []).append(Published(line["title"], line["method"], figures, line["source"]))
    return {name: tuple(lines) for name, lines in found.items()}


Line = tuple[str, Mapping[str, float | None], Mapping[str, float | None]]


def _lines(done: Finished) -> list[Line]:
    """Return the title of each method, our figures and the published ones: ours first, then those that we do not have."""
    nothing: dict[str, float | None] = dict.fromkeys(_FIGURES)
    published = {each.method: each for each in done.row.published if each.method}
    if not done.metrics:
        return []
    ours = sorted(done.metrics, key=lambda method: (method != DEFAULT_METHOD, -(done.figure(method, "H") or 0.0)))
    lines: list[Line] = []
    for method in ours:
        theirs = published[method].figures if method in published else nothing
        title = published[method].title if method in published else title_of(method)
        lines.append((title, {name: done.figure(method, name) for name in _FIGURES}, theirs))
    absent = [each for each in done.row.published if each.method not in done.metrics]
    return lines + [(each.title, nothing, each.figures) for each in absent]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
