"""A table of "Language to Network", our figures beside the paper's: the rows asked for, what they need and what they gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from niwt_tf.config.extras import is_left_out
from niwt_tf.config.names import title_of
from niwt_tf.config.settings import Settings
from niwt_tf.data.csv_text import csv_text
from niwt_tf.data.descriptions.bert import write_random_encoder
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.grid import differing_flags
from niwt_tf.experiments.text_tables.needs import check_data, needs_of
from niwt_tf.experiments.text_tables.paper import NOT_TO_BE_HAD, OWN, SOURCE, STANDS_FOR, TABLES, TextRow, rows_of
from niwt_tf.files import read_json
from niwt_tf.plots.style import BLUE, GREY, new_figure, save
from niwt_tf.runs.run import RunDirectory

# These say which rows, and where their data are.
CHOOSING = ("dataset", "split", "data_dir")
_VECTORS, RANDOM = "vectors:", "random_vectors"


@dataclass(frozen=True)
class Finished:
    """What a row came to: metrics.json by method, empty where it is not finished, its flags and why it is optimistic."""

    row: TextRow
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    optimistic: tuple[str, ...] = ()

    def accuracy(self, method: str) -> float | None:
        """Return the accuracy of a network for the classes of test alone, in percent."""
        found = self.metrics.get(method, {})
        value = found.get("acc_alone", found.get("acc_zsl"))
        return None if value is None else 100 * float(value)

    def precision(self, method: str) -> float | None:
        """Return the mean average precision of the same network, in percent."""
        found = self.metrics.get(method, {})
        value = found.get("ap_alone", found.get("ap_zsl"))
        return None if value is None else 100 * float(value)

    @property
    def other_classes(self) -> str:
        """Return how many classes there were where the paper's data set has another number; "" otherwise."""
        counted = self.metrics.get(OWN, {})
        found = int(counted.get("num_seen", 0)) + int(counted.get("num_unseen", 0))
        if not found or self.row.classes in (None, found):
            return ""
        return f"{found} classes, the paper's data set has {self.row.classes}"

    def difference(self, method: str) -> float | None:
        """Return how far that is above the paper's figure, where this is of the same classes."""
        ours, paper = self.accuracy(method), self.row.paper.get(method)
        comparable = self.row.comparable and not self.other_classes
        return ours - paper if comparable and ours is not None and paper is not None else None

    def harmonic_mean(self, method: str) -> float | None:
        """Return H where seen classes compete as well, in percent: the paper has no such figure."""
        value = self.metrics.get(method, {}).get("harmonic_mean")
        return None if value is None else 100 * float(value)


class TextTable:
    """One table of a data set.

    Attributes:
        name: of its files.
        rows: all of them, in the paper's order.
    """

    def __init__(self, table: str, dataset: str | None) -> None:
        self.title, datasets = TABLES[table]
        if dataset not in datasets:
            received = "none" if dataset is None else repr(dataset)
            raise InputError(f"--dataset must be {_either(datasets)} for --table={table}. Received: {received}.")
        self.table, self.dataset = table, dataset
        self.name, self.rows = f"{table}_{dataset}", rows_of(table, dataset)

    def chosen(self, given: Mapping[str, Any]) -> list[TextRow]:
        """Return the rows that the given flags leave.

        Raises:
            InputError: --split has no row, or a flag is given that the rows have of their own.
        """
        if "method" in given:
            rule = f"--method must be left out for --table={self.table}, which sets it for each row"
            raise InputError(f"{rule}. Received: {given['method']!r}.")
        features = str(given.get("text_features", _VECTORS))
        if self.table == "n3_4" and not features.startswith(_VECTORS):
            raise InputError(f"--text_features must be vectors:FILE for --table={self.table}. Received: {features!r}.")
        rows = [row for row in self.rows if self._can_run(row, given)]
        split = given.get("split")
        if split is not None:
            rows = [row for row in rows if row.split == split]
            if not rows:
                splits = tuple(dict.fromkeys(row.split for row in self.rows))
                raise InputError(f"--split must be {_either(splits)} in this table. Received: {split!r}.")
        return rows

    def left_out(self, given: Mapping[str, Any]) -> list[str]:
        """Return a sentence for each row that cannot be run as things are."""
        return [
            f"{row.name} is left out: it needs --text_features=vectors:FILE."
            for row in self.rows if not self._can_run(row, given)
        ]

    def settings_of(self, row: TextRow, data_dir: str, changes: Mapping[str, Any], folder: Path) -> Settings:
        """Return the settings that run a row, with changes in the place of its own.

        Raises:
            InputError: settings that do not go together.
        """
        others = {name: value for name, value in changes.items() if name not in CHOOSING}
        settings = dict(row.settings)
        if self.table == "n3_4":
            vectors = others.pop("text_features", "")
            if settings["text_features"] == _VECTORS:
                settings["text_features"] = vectors
            elif settings["text_features"] == "random":
                settings["text_features"] = f"encoder_words:{folder / RANDOM}"
        return Settings.from_dict({**settings, **others, "data_dir": data_dir})

    def check(self, wanted: Mapping[TextRow, Settings]) -> None:
        """Read the data once before the first row; see `check_data`."""
        check_data(list(wanted.values()))

    def prepare(self, wanted: Mapping[TextRow, Settings], folder: Path) -> None:
        """Write what rows read that is not the user's."""
        if any(settings.text_features == f"encoder_words:{folder / RANDOM}" for settings in wanted.values()):
            write_random_encoder(folder / RANDOM)

    def needs(self, wanted: Mapping[TextRow, Settings], folder: Path) -> tuple[str, list[str]]:
        """Return what is said before any work, and what of it is missing."""
        intro = f"{self.title[0].upper()}{self.title[1:]}: {len(wanted)} row{'s' * (len(wanted) > 1)}. Paper: {SOURCE}."
        notes = [f"  {row.name}: {row.note}." for row in wanted if row.note]
        text, missing = needs_of(list(wanted.values()), folder)
        return "\n".join([intro, *notes, text, f"Written to {folder}."]), missing

    def changed_flags(self, row: TextRow, settings: Settings) -> tuple[str, ...]:
        """Return the flags in which a run's settings differ from the row's."""
        placed = {"text_features"} if row.settings["text_features"] in (_VECTORS, "random") else set()
        base = Settings.from_dict({name: value for name, value in row.settings.items() if name not in placed})
        return differing_flags(base, settings, but=("data_dir", *placed))

    def finished(self, folder: Path, row: TextRow) -> Finished:
        """Return what the run of a row in `folder` came to, whatever its settings."""
        try:
            run = RunDirectory(folder / row.name).reading()
            metrics = {OWN: read_json(run.published("metrics.json", "evaluate"))}
            optimistic = list(run.optimistic(metrics=metrics[OWN]))
            for method in row.others:
                if not run.outdated(f"baseline_{method}"):
                    metrics[method] = read_json(run.path / f"baseline_{method}" / "metrics.json")
                    optimistic += run.optimistic(f"baseline_{method}", metrics[method])
            return Finished(row, metrics, self.changed_flags(row, run.settings), tuple(dict.fromkeys(optimistic)))
        except (InputError, OSError, ValueError):
            return Finished(row)

    def comparison(self, done: Finished) -> str:
        """Return our figures of a row beside the paper's, a line a method."""
        titles = ["ours", "paper", "H", *(("A.P.", "paper") if done.row.paper_precision else ())]
        lines = [f"{done.row.name:<28}" + "".join(f"{title:>8}" for title in titles)]
        for method in (OWN, *done.row.others):
            cells = [done.accuracy(method), done.row.paper.get(method), done.harmonic_mean(method)]
            if done.row.paper_precision:
                cells += [done.precision(method), done.row.paper_precision.get(method)]
            lines.append(f"  {title_of(method):<26}" + "".join(f"{_shown(cell, 'n/a'):>8}" for cell in cells))
        lines += [f"  {done.other_classes}"] * bool(done.other_classes)
        lines += [f"  differs from the paper's row: {' '.join(done.changed)}"] * bool(done.changed)
        lines += [f"  optimistic: {'; '.join(done.optimistic)}"] * bool(done.optimistic)
        return "\n".join(lines)

    def files(self, every: Sequence[Finished]) -> dict[str, str]:
        """Return the table by the ending of its files."""
        return {"csv": self._csv(every), "md": self._markdown(every)}

    def _csv(self, every: Sequence[Finished]) -> str:
        """Return the table as CSV, a line a row and method, in percent."""
        of_precision = ("average_precision", "paper_average_precision")
        columns = ("accuracy", "paper", "difference", "harmonic_mean", *of_precision, "note", "changed_flags", "optimistic")
        lines: list[list[Any]] = [["row", "method", *columns]]
        for done, method in _lines(every):
            ours, paper = done.accuracy(method), done.row.paper.get(method)
            precision = done.precision(method), done.row.paper_precision.get(method)
            numbers = [_shown(each) for each in (ours, paper, done.difference(method), done.harmonic_mean(method), *precision)]
            lines.append(
                [
                    *(done.row.name, method, *numbers, _joined(done.row.note, done.other_classes)),
                    *(" ".join(done.changed), "; ".join(done.optimistic)),
                ]
            )
        return csv_text(lines)

    def _markdown(self, every: Sequence[Finished]) -> str:
        """Return the table as Markdown."""
        has_precision = any(done.row.paper_precision for done in every)
        titles = ["row", "method", "ours", "paper", "difference", "H (ours)"] + ["A.P. (ours)", "A.P. (paper)"] * has_precision
        lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
        for done, method in _lines(every):
            ours, paper = done.accuracy(method), done.row.paper.get(method)
            mark = " (optimistic)" if done.optimistic and ours is not None else ""
            difference = _shown(done.difference(method), sign="+")
            cells = [_shown(ours) + mark, _shown(paper), difference, _shown(done.harmonic_mean(method))]
            if has_precision:
                cells += [_shown(done.precision(method)), _shown(done.row.paper_precision.get(method))]
            lines.append("| " + " | ".join([done.row.title, title_of(method), *cells]) + " |")
        for title, figure in NOT_TO_BE_HAD.get(self.table, {}).items():
            lines.append(f"| {title} | {title_of(OWN)} | not available | {figure} |" + " |" * (len(titles) - 4))
        notes = [f"{done.row.title}: {done.row.note}." for done in every if done.row.note]
        for done in every:
            notes += [f"{done.row.title}: {done.other_classes}."] * bool(done.other_classes)
            notes += [f"{done.row.title} differs from the paper's row: `{' '.join(done.changed)}`."] * bool(done.changed)
            notes += [f"{done.row.title} is optimistic: {'; '.join(done.optimistic)}."] * bool(done.optimistic)
        said = (
            "Class-normalised accuracy in percent of a network for the test classes only. H is that of a network for seen and "
            f"unseen classes. Paper: {SOURCE}. {STANDS_FOR}"
        )
        if has_precision:
            said += " A.P. is the mean over the test classes of the average precision, images ranked by a class's probability."
        return "\n".join([*lines, "", said, *dict.fromkeys(notes)]) + "\n"

    def draw(self, every: Sequence[Finished], path: Path) -> None:
        """Draw our figures and the paper's as bars, where Matplotlib is there."""
        if is_left_out(path.name, "matplotlib"):
            return
        listed = list(_lines(every))
        figure = new_figure(8, 1.2 + 0.42 * len(listed))
        axes = figure.subplots()
        at = range(len(listed))
        ours = [done.accuracy(method) or 0.0 for done, method in listed]
        paper = [done.row.paper.get(method, 0.0) for done, method in listed]
        theirs = "paper" if all(done.row.comparable for done in every) else "paper, on photographs of CUB"
        for values, shift, colour, label in ((ours, -0.18, BLUE, "ours"), (paper, 0.18, GREY, theirs)):
            axes.barh([place + shift for place in at], values, 0.36, color=colour, label=label)
        several = any(done.row.others for done in every)
        names = [f"{done.row.title}, {title_of(method)}" if several else done.row.title for done, method in listed]
        axes.set_yticks(list(at), names, fontsize=8.5, parse_math=False)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("accuracy among the classes of test, %")
        axes.legend(frameon=False)
        save(figure, path)

    def _can_run(self, row: TextRow, given: Mapping[str, Any]) -> bool:
        return row.settings["text_features"] != _VECTORS or str(given.get("text_features", "")).startswith(_VECTORS)


def _lines(every: Sequence[Finished]) -> list[tuple[Finished, str]]:
    return [(done, method) for done in every for method in (OWN, *done.row.others)]


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _shown(value: float | None, empty: str = "", sign: str = "") -> str:
    return empty if value is None else f"{value:{sign}.1f}"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
