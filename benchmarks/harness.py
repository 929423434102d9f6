"""Interleaved repetitions of several sides, and the figures made of them: medians, spreads, ratios."""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm


def say(text: str) -> None:
    """Write a line of progress to stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def interleaved(
    sides: Mapping[str, Callable[[], Any]], repetitions: int, *, calls: int = 1, warm_ups: int = 1, what: str = "repetitions"
) -> dict[str, list[float]]:
    """Return the seconds a call of each side takes, in the order A, B, A, B, ...: a slower minute hits all sides alike.

    Args:
        sides: what to call, by name.
        repetitions: how often each is measured.
        calls: how often in one measurement, for what is short.
        warm_ups: rounds that are not counted (tracing, compilation, first touch of memory).
        what: shown beside the bar.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    rounds = tqdm(range(warm_ups + repetitions), what, unit="round", delay=5, leave=False, disable=None)
    for number in rounds:
        for name, call in sides.items():
            begun = time.perf_counter()
            for _ in range(calls):
                call()
            if number >= warm_ups:
                seconds[name].append((time.perf_counter() - begun) / calls)
    return seconds


@dataclass(frozen=True)
class Goal:
    """A figure to reach.

    Attributes:
        value: the limit.
        at_least: whether the figure must not be below it, instead of not above.
    """

    value: float
    at_least: bool = False

    def reached(self, figure: float) -> bool:
        """Return whether a figure keeps to the limit."""
        return figure >= self.value if self.at_least else figure <= self.value

    def __str__(self) -> str:
        """Return it as the table shows it."""
        return f"{'>=' if self.at_least else '<='} {self.value:g}"


@dataclass(frozen=True)
class Series:
    """Repeated values of one side.

    Attributes:
        label: what it is.
        values: one a repetition.
        unit: of a value.
    """

    label: str
    values: Sequence[float]
    unit: str = "s"

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)


@dataclass(frozen=True)
class Comparison:
    """A line of the table: one side with its limit, or two sides and their ratio.

    Attributes:
        name: what is measured.
        first: side A.
        second: side B, or None.
        goal: of the ratio of medians A / B, or of the median of A where there is no B.
        reached: instead of the goal's own judgement, where more than the figure counts.
    """

    name: str
    first: Series
    second: Series | None = None
    goal: Goal | None = None
    reached: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Median of A over median of B."""
        return self.first.median / self.second.median if self.second else None

    @property
    def ratios(self) -> tuple[float, float] | None:
        """Lowest and highest ratio of one repetition; of every pair where one side was repeated more often."""
        if self.second is None:
            return None
        a, b = self.first.values, self.second.values
        pairs = zip(a, b, strict=True) if len(a) == len(b) else itertools.product(a, b)
        each = [x / y if y else float("inf") for x, y in pairs]
        return min(each), max(each)

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.reached is not None or self.goal is None:
            return self.reached
        figure = self.first.median if self.ratio is None else self.ratio
        return self.goal.reached(figure)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        sides = [side for side in (self.first, self.second) if side is not None]
        return {
            "name": self.name,
            "sides": [
                {"label": side.label, "unit": side.unit, "median": side.median, "values": [float(v) for v in side.values]}
                for side in sides
            ],
            "ratio": self.ratio,
            "ratios": list(self.ratios) if self.ratios else None,
            "goal": str(self.goal) if self.goal else None,
            "reached": self.is_reached,
        }


@dataclass(frozen=True)
class Measurement:
    """What a module of this folder returns.

    Attributes:
        title: headline of its table.
        rows: its lines.
        notes: sentences on what was compared.
    """

    title: str
    rows: Sequence[Comparison]
    notes: Sequence[str] = ()
