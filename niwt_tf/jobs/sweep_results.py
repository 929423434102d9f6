"""A sweep's tables: results.csv, configurations.csv and what is printed."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from niwt_tf.experiments.sweep_choice import Choice, Outcome, Values, configurations, ranked
from niwt_tf.experiments.sweep_grid import Trial, shown_value
from niwt_tf.files import read_json, replacing
from niwt_tf.jobs.sweep_folder import SweepFolder

TESTED = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ausuc")
_PRINTED = 20


@dataclass(frozen=True)
class Row:
    """What is known of one trial.

    Attributes:
        outcome: by validation classes.
        error: why it failed, or "".
        seconds: of its stages; None when it did not finish.
        validation: figures of training images.
        test: figures of test images, for a trial of a chosen configuration alone; otherwise empty.
    """

    outcome: Outcome
    error: str
    seconds: float | None
    validation: Mapping[str, float | None]
    test: Mapping[str, float | None]

    @property
    def trial(self) -> Trial:
        """The trial."""
        return self.outcome.trial

    @property
    def status(self) -> str:
        """One of done, failed and pending."""
        return "failed" if self.error else "done" if self.outcome.problem is not None else "pending"


def rows_of(
    folder: SweepFolder, outcomes: Sequence[Outcome], errors: Mapping[str, str], choices: Sequence[Choice]
) -> list[Row]:
    """Return a row for each trial. Test figures are read for the trials of `choices` alone.

    Args:
        folder: the sweep's.
        outcomes: of all trials.
        errors: by name, of trials that failed.
        choices: made of the outcomes.
    """
    chosen = _chosen(choices)
    rows = []
    for outcome in outcomes:
        trial = outcome.trial
        tested: dict[str, Any] = {}
        if trial.name in chosen and folder.evaluated(trial):
            metrics = read_json(folder.run(trial) / "metrics.json")
            tested = {name: metrics[name] for name in TESTED}
        rows.append(Row(outcome, errors.get(trial.name, ""), folder.seconds(trial), folder.validation(trial), tested))
    return rows


def write_results(folder: SweepFolder, rows: Sequence[Row], choices: Sequence[Choice]) -> None:
    """Write results.csv and configurations.csv."""
    chosen = _chosen(choices)
    figures = list(dict.fromkeys(name for row in rows for name in row.validation))
    flags = list(rows[0].trial.values)
    header = ["trial", *flags, "status", "seconds", *figures, "chosen", *(f"test_{name}" for name in TESTED), "error"]
    lines = [
        [
            row.trial.name,
            *(shown_value(value) for value in row.trial.values.values()),
            row.status,
            row.seconds,
            *(row.validation.get(name) for name in figures),
            "yes" if row.trial.name in chosen else "no",
            *(row.test.get(name) for name in TESTED),
            row.error,
        ]
        for row in rows
    ]
    _write(folder.results, header, lines)
    by_name = {row.trial.name: row for row in rows}
    outcomes = [row.outcome for row in rows]
    found = ranked(configurations(outcomes))
    header = [*(name for name, _ in found[0].values), "repetitions", "finished", "validation_harmonic_mean"]
    header += ["validation_harmonic_mean_sd", "chosen_trials", *(f"test_{name}" for name in TESTED)]
    lines = []
    for each in found:
        picked = [by_name[outcome.trial.name] for outcome in each.outcomes if outcome.trial.name in chosen]
        finished = sum(outcome.problem is not None for outcome in each.outcomes)
        values = [shown_value(value) for _, value in each.values]
        means = [_mean([row.test.get(name) for row in picked]) for name in TESTED]
        lines.append([*values, len(each.outcomes), finished, each.mean, each.deviation, len(picked), *means])
    _write(folder.configurations, header, lines)


def table(rows: Sequence[Row], choices: Sequence[Choice]) -> str:
    """Return the lines that a sweep ends with: configurations by validation classes, the chosen and what they reached."""
    found = ranked(configurations([row.outcome for row in rows]))
    lines = ["validation H   repetitions  configuration"]
    for each in found[:_PRINTED]:
        score = "n/a" if each.mean is None else f"{each.mean:.3f}"
        spread = "" if each.deviation is None else f" ± {each.deviation:.3f}"
        finished = sum(outcome.problem is not None for outcome in each.outcomes)
        lines.append(f"{score + spread:<13}  {f'{finished} of {len(each.outcomes)}':<11}  {_named(each.values)}")
    if len(found) > _PRINTED:
        lines.append(f"and {len(found) - _PRINTED} more, in configurations.csv")
    lines.append("H is the harmonic mean of accuracies; ± is the standard deviation over the repetitions.")
    lines += ["", *_chosen_lines(choices)]
    if len(choices) > 1:
        lines.append("The repetitions have other classes or test images, so each chooses on its own validation classes.")
    tested = [row for row in rows if row.test]
    if tested:
        lines.append(f"\non test images, {len(tested)} {'run' if len(tested) == 1 else 'runs'} of what was chosen")
        for name in TESTED:
            values = [row.test[name] for row in tested]
            lines.append(f"  {name:<14}{_spread([value for value in values if value is not None])}")
    return "\n".join(lines)


def _chosen_lines(choices: Sequence[Choice]) -> list[str]:
    if not choices:
        return ["nothing is chosen: no configuration has finished with validation figures"]
    problems: dict[Values, list[str]] = {}
    for choice in choices:
        named = [_named(outcome.trial.repetition, "") for outcome in choice.configuration.outcomes]
        problems.setdefault(choice.configuration.values, []).extend(filter(None, named))
    return [f"chosen{' for ' * bool(each)}{'; '.join(each)}: {_named(values)}" for values, each in problems.items()]


def _chosen(choices: Sequence[Choice]) -> set[str]:
    return {outcome.trial.name for choice in choices for outcome in choice.configuration.outcomes}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "n/a"
    mean = f"{statistics.fmean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def _named(values: Sequence[tuple[str, Any]], nothing: str = "the flags given") -> str:
    return " ".join(f"--{name}={shown_value(value).replace('|', ',')}" for name, value in values) or nothing


def _write(path: Any, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if _absent(cell) else cell for cell in line] for line in lines])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _absent(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))
