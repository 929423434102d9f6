"""The engines of Stage 3 as they are called here: the nested tape, descent on exact operators, the closed form."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.tails import TailProblem
from niwt_tf.methods.niwt.transfer import TransferOptions, transfer_columns
from niwt_tf.methods.niwt.transfer_by_operator import IMAGES_A_STEP, transfer_by_operator
from niwt_tf.methods.niwt.transfer_closed_form import ClosedForm
from niwt_tf.methods.operators import mean_operators, tail_operator

# Of the closed form: the default grids of --transfer_lambda and --transfer_anchor.
LAMBDAS, ANCHORS = (1e-2, 1e-1, 1.0), ("mean", "zero")


@dataclass(frozen=True)
class Solved:
    """An engine's whole work on a problem.

    Attributes:
        seconds: from the maps to the columns; construction, tracing and compilation included.
        solving: the part after construction; of the closed form its decomposition and one solution.
        columns: [D, U] candidates: one, or one a lambda and anchor.
        what: in words.
    """

    seconds: float
    solving: float
    columns: list[np.ndarray]
    what: str


def by_operator(problem: TailProblem, options: TransferOptions) -> Solved:
    """Build the operators, solve the closed form and descend from there to the stopping rule, or to the most steps."""
    begun = time.perf_counter()
    operator = tail_operator(problem.tail, problem.support)
    solution = ClosedForm(operator.mean())
    built = time.perf_counter()
    given = problem.importances, problem.seen_columns
    start = solution.columns(*given, LAMBDAS[1], options.anchor)
    transfer = transfer_by_operator(operator, *given, problem.seen_biases, options, start=start)
    ended = time.perf_counter()
    what = f"operator, {len(transfer.losses)} steps"
    return Solved(ended - begun, ended - built, [transfer.columns], what)


def by_closed_form(problem: TailProblem) -> Solved:
    """Build the mean operator, decompose it once and solve for every lambda of the grid and both anchors."""
    begun = time.perf_counter()
    everyone = np.ones((1, len(problem.support)), bool)
    operator = mean_operators(problem.tail, problem.support, everyone)[0]
    built = time.perf_counter()
    solution = ClosedForm(operator)
    decomposed = time.perf_counter()
    grid = list(itertools.product(LAMBDAS, ANCHORS))
    columns = [solution.columns(problem.importances, problem.seen_columns, *each) for each in grid]
    ended = time.perf_counter()
    one = decomposed - built + (ended - decomposed) / len(grid)
    return Solved(ended - begun, one, columns, f"closed form, {len(LAMBDAS)} lambdas, {len(ANCHORS)} anchors")


def tape_pair(problem: TailProblem, batch_size: int, steps: int) -> float:
    """Return the tape's seconds a (support image, class) pair: the median step, without the first, which traces."""
    options = TransferOptions(batch_size=batch_size, max_steps=steps + 1, patience=steps + 1)
    arguments = problem.support, problem.importances, problem.seen_columns, problem.seen_biases
    return _step(lambda on_step: transfer_columns(problem.tail, *arguments, options, on_step)) / batch_size


def operator_pair(problem: TailProblem, operator: Any, steps: int) -> float:
    """Return the operator engine's seconds a pair; a step takes some images, each with every class."""
    options = TransferOptions(max_steps=steps + 1, patience=steps + 1)
    arguments = problem.importances, problem.seen_columns, problem.seen_biases
    pairs = min(IMAGES_A_STEP, len(problem.support)) * len(problem.importances)
    return _step(lambda on_step: transfer_by_operator(operator, *arguments, options, on_step)) / pairs


def _step(run: Callable[[Callable[[int, float], None]], Any]) -> float:
    times: list[float] = []
    run(lambda step, loss: times.append(time.perf_counter()))
    return float(np.median(np.diff(times)))


