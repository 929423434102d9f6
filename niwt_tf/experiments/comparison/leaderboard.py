"""The leaderboard: methods compared problem by problem, one table a data set.

A problem is a data set, a split and a seed. Each method's means are over its own problems; differences to the reference and
ranks are over the problems that every method of the table has, so that nobody is helped by an easy one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.names import DEFAULT_METHOD
from niwt_tf.data.arrays import read_arrays
from niwt_tf.errors import InputError, suggestion
from niwt_tf.metrics.calibration import harmonic_means
from niwt_tf.metrics.gzsl import calibration_curve
from niwt_tf.metrics.intervals import Mean, holm, mean_of, paired_p, ranks

# By their names in metrics.json; `bound` is not there.
FIGURES = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc")
BOUND = "bound"
PAIRED = ("harmonic_mean", "ausuc")
Problem = tuple[str, int]


@dataclass(frozen=True)
class Result:
    """What a method reached on one problem, read from a folder.

    Attributes:
        dataset: title of the table that it belongs to: data set, kind of split, numbers of classes.
        method: the method's name without its flags.
        problem: fingerprint of test images and split, and the seed.
        figures: fractions by the names of `FIGURES`, and of `BOUND` if asked for; None for what could not be measured.
        choices: settings that the figures depend on, without those that make the problem.
        optimistic: why test figures may have had a part in it; empty for a clean one.
        competes: whether it is ranked; what is trained on test labels is not.
    """

    dataset: str
    method: str
    problem: Problem
    where: str
    figures: Mapping[str, float | None]
    choices: Mapping[str, Any] = field(default_factory=dict)
    optimistic: tuple[str, ...] = ()
    competes: bool = True


@dataclass(frozen=True)
class LeaderboardRow:
    """One method of a table, with its results problem by problem.

    Attributes:
        label: the method, with the flags by which it differs from others of its name.
        figures: means over its own problems; None where nothing was measured.
        differences: to the reference on the shared problems, by the names of `PAIRED`; empty for the reference itself.
        p: of the paired t test of H, adjusted by Holm's method for the number of methods; None where there is no test.
        rank: mean rank by H on the shared problems, 1 is best; None for what does not compete.
        optimistic: why its figures are; empty for a clean row.
    """

    label: str
    figures: Mapping[str, Mean | None]
    differences: Mapping[str, Mean | None]
    p: float | None
    rank: Mean | None
    problems: int
    optimistic: tuple[str, ...]
    results: Mapping[Problem, Result]


@dataclass(frozen=True)
class Table:
    """The methods on one data set, best rank first.

    Differences are to the row whose label is the reference. `shared` is the number of problems that all have; notes say what
    was left out and why.
    """

    dataset: str
    reference: str
    rows: tuple[LeaderboardRow, ...]
    shared: int
    notes: tuple[str, ...]

    @property
    def optimistic_reference(self) -> bool:
        """Whether the reference, and with it every difference, is optimistic."""
        return any(row.optimistic for row in self.rows if row.label == self.reference)


def tables_of(results: Sequence[Result], reference: str | None = None, figures: Sequence[str] = FIGURES) -> list[Table]:
    """Return a table for each data set, which shows the figures.

    The reference is a label, or a method's name that one label has; by default niwt, or what there is.

    Raises:
        InputError: one method has two results for a problem, or no row of any table is the reference.
    """
    labelled = {dataset: _by_label(group) for dataset, group in _grouped(results, "dataset").items()}
    names = list(dict.fromkeys(label for group in labelled.values() for label in group))
    known = (*names, *dict.fromkeys(result.method for result in results))
    if reference is not None and reference not in known:
        rule = f"--reference must be one of {', '.join(names)}."
        raise InputError(f"{rule} Received: {reference!r}.{suggestion(reference, known)}")
    return [_table(dataset, group, reference, figures) for dataset, group in sorted(labelled.items())]


def _grouped(results: Sequence[Result], name: str) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(getattr(result, name), []).append(result)
    return groups


def _by_label(results: Sequence[Result]) -> dict[str, dict[Problem, Result]]:
    """Return the results by label and problem."""
    found: dict[str, dict[Problem, Result]] = {}
    for method, group in _grouped(results, "method").items():
        every = dict.fromkeys(name for result in group for name in result.choices)
        differing = [name for name in every if len({shown(result.choices.get(name)) for result in group}) > 1]
        for result in group:
            flags = [f"--{name}={shown(result.choices.get(name))}" for name in differing]
            kept = found.setdefault(" ".join([method, *flags]), {})
            other = kept.setdefault(result.problem, result)
            if dict(other.figures) != dict(result.figures):
                raise InputError(
                    f"--runs must hold only one result of a method for each problem. Received: two of {method} with the same "
                    f"data, split, seed {result.problem[1]} and flags, in {other.where} and {result.where}."
                )
            if result.optimistic and not other.optimistic:
                kept[result.problem] = result
    return found


def shown(value: Any) -> str:
    """Return a flag's value as the command line has it."""
    if isinstance(value, list | tuple):
        return ",".join(map(shown, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _table(dataset: str, labelled: Mapping[str, Mapping[Problem, Result]], asked: str | None, figures: Sequence[str]) -> Table:
    reference, notes = _reference(labelled, asked)
    problems = set.intersection(*(set(results) for results in labelled.values()))
    usable = sorted(p for p in problems if all(group[p].figures["harmonic_mean"] is not None for group in labelled.values()))
    competing = [label for label, group in labelled.items() if all(result.competes for result in group.values())]
    scores = np.array([[labelled[label][p].figures["harmonic_mean"] for label in competing] for p in usable], np.float64)
    placed = ranks(scores) if scores.size else np.empty((0, len(competing)))
    differences = {label: _differences(group, labelled[reference], usable) for label, group in labelled.items()}
    tests = {label: paired_p(differences[label]["harmonic_mean"]) for label in competing if label != reference}
    adjusted = holm({label: p for label, p in tests.items() if p is not None})
    rows = [
        LeaderboardRow(
            label,
            {name: mean_of([found for r in group.values() if (found := r.figures.get(name)) is not None]) for name in figures},
            {name: mean_of(differences[label][name]) for name in PAIRED} if label != reference else {}, adjusted.get(label),
            mean_of(list(placed[:, competing.index(label)])) if label in competing else None, len(group), _reasons(group),
            group,
        )
        for label, group in labelled.items()
    ]
    rows.sort(key=_order)
    return Table(dataset, reference, tuple(rows), len(usable), (*notes, *_left_out(labelled, problems, usable)))


def _reference(labelled: Mapping[str, Mapping[Problem, Result]], asked: str | None) -> tuple[str, list[str]]:
    """Return the label that differences are to, and what to say of it."""
    wanted = DEFAULT_METHOD if asked is None else asked
    if wanted in labelled:
        return wanted, []
    named = [label for label, group in labelled.items() if next(iter(group.values())).method == wanted]
    if len(named) > 1 and asked is not None:
        raise InputError(f"--reference must name one row: {' or '.join(map(repr, named))}. Received: {asked!r}.")
    found = next(iter(named or labelled))
    return found, [f"differences are relative to {found!r}; --reference can name another method"] if named != [found] else []


def _differences(
    group: Mapping[Problem, Result], reference: Mapping[Problem, Result], problems: Iterable[Problem]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in PAIRED}
    for problem in problems:
        for name in PAIRED:
            one, other = group[problem].figures[name], reference[problem].figures[name]
            if one is not None and other is not None:
                found[name].append(one - other)
    return found


def _reasons(group: Mapping[Problem, Result]) -> tuple[str, ...]:
    marked = [result for result in group.values() if result.optimistic]
    reasons = dict.fromkeys(reason for result in marked for reason in result.optimistic)
    some = f" ({len(marked)} of {len(group)} problems)" if len(marked) < len(group) else ""
    return tuple(f"{reason}{some}" for reason in reasons)


def _left_out(
    labelled: Mapping[str, Mapping[Problem, Result]], shared: set[Problem], usable: Sequence[Problem]
) -> Iterable[str]:
    every = {problem for group in labelled.values() for problem in group}
    if every - shared:
        lacking = [label for label, group in labelled.items() if every - set(group)]
        listed = "; ".join(f"{label} does not have {len(every - set(labelled[label]))}" for label in lacking)
        yield f"{len(every - shared)} of {len(every)} problems are left out of differences and ranks: {listed}"
    if len(usable) < len(shared):
        yield f"{len(shared) - len(usable)} problems are left out, because H could not be measured"
    if len(usable) == 1:
        yield "there is only one problem, so there is no interval"
    if not usable:
        yield "no problem is shared by all methods, so there are no differences and ranks"


def _order(row: LeaderboardRow) -> tuple[float, float, str]:
    rank, h = row.rank, row.figures["harmonic_mean"]
    return rank.value if rank else np.inf, -h.value if h else 0.0, row.label


def best_harmonic_mean(path: Path, num_seen: int) -> float | None:
    """Return the highest H of any calibration by a stage's scores.npz; None without test images of both kinds.

    Only the figure is returned, not the calibration, which nothing may use.

    Raises:
        InputError: the file is not there or is none of a stage.
    """
    try:
        arrays = read_arrays(path)
        logits, labels = arrays["logits"], arrays["labels"]
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"{path} must hold the scores of the test images, for --bound. Received: a file without scores."
        ) from None
    if not (labels < num_seen).any() or not (labels >= num_seen).any():
        return None
    curve = calibration_curve(logits, labels, num_seen)
    return float(harmonic_means(curve, np.append(curve.calibrations[1:], np.inf)).max())
