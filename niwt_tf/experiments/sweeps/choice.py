"""Which configuration of a sweep is best, by validation classes alone.

An `Outcome` has no place for a figure of test images, so nothing here can choose by one. Configurations are compared within one
problem: where two repetitions part the classes differently, the validation classes of one are test classes of the other, so a
choice for one that heeded the other would be made on its test data.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.grid import SweepTrial

Values = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        trial: the trial.
        problem: fingerprint of its data set, split and descriptions; None when it did not finish.
        harmonic_mean: that of its validation classes; None when it did not finish or has too few classes for folds.
    """

    trial: SweepTrial
    problem: str | None
    harmonic_mean: float | None


@dataclass(frozen=True)
class Configuration:
    """A method and how it did over its repetitions.

    Attributes:
        values: its values of the grid's flags.
        outcomes: of its trials, in the grid's order.
    """

    values: Values
    outcomes: tuple[Outcome, ...]

    @property
    def finished(self) -> int:
        """How many of its trials finished."""
        return sum(outcome.problem is not None for outcome in self.outcomes)

    @property
    def scores(self) -> list[float]:
        """The validation harmonic means that there are."""
        return [outcome.harmonic_mean for outcome in self.outcomes if outcome.harmonic_mean is not None]

    @property
    def mean(self) -> float | None:
        """Mean of `scores`; None when a repetition has none, so that what failed on a hard one does not look better."""
        return statistics.fmean(self.scores) if len(self.scores) == len(self.outcomes) else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation of `scores` over the repetitions; None for fewer than two."""
        return statistics.stdev(self.scores) if self.mean is not None and len(self.scores) > 1 else None


@dataclass(frozen=True)
class ChosenConfiguration:
    """The configuration that one problem's validation classes speak for.

    Attributes:
        problem: fingerprint of the data.
        configuration: the best one, with its outcomes on this problem alone.
    """

    problem: str
    configuration: Configuration


def configurations(outcomes: Sequence[Outcome]) -> list[Configuration]:
    """Return the outcomes by configuration, in the grid's order."""
    grouped: dict[Values, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.trial.configuration, []).append(outcome)
    return [Configuration(values, tuple(group)) for values, group in grouped.items()]


def ranked(found: Sequence[Configuration]) -> list[Configuration]:
    """Return configurations by falling mean; equal ones in the grid's order, those without a mean last."""
    return sorted(found, key=lambda each: (each.mean is None, -(each.mean or 0.0)))


def choose_configurations(outcomes: Sequence[Outcome]) -> list[ChosenConfiguration]:
    """Return the best configuration of each problem: the first of the highest mean over the problem's repetitions.

    A configuration that did not finish all repetitions of a problem is not chosen for it. Without a validation figure there
    is nothing to choose by: a problem then has a choice only if the grid has a single configuration.

    Raises:
        InputError: one repetition was tried on two data sets.
    """
    problems: dict[Values, str] = {}
    for outcome in outcomes:
        repetition = outcome.trial.repetition
        if outcome.problem is not None and problems.setdefault(repetition, outcome.problem) != outcome.problem:
            raise InputError(
                "The data of a sweep must not change while it runs. Received: trials of one problem with other data; "
                "run the same command again."
            )
    choices = []
    for problem in dict.fromkeys(problems.values()):
        repetitions = {repetition for repetition, other in problems.items() if other == problem}
        found = configurations([outcome for outcome in outcomes if outcome.trial.repetition in repetitions])
        finished = [each for each in found if each.finished == len(each.outcomes)]
        scored = [each for each in ranked(finished) if each.mean is not None]
        if scored:
            choices.append(ChosenConfiguration(problem, scored[0]))
        elif len(found) == 1 and finished:
            choices.append(ChosenConfiguration(problem, finished[0]))
    return choices
