"""Stage 3 behind MobileNetV2's default layer: a tail without factors, whose operators are nearly all of the work.

The nested tape beside the closed form, on all maps and on fewer; and the closed form beside plain matrix products of as many
multiplications as its operators take, which is what this machine can do at best.
"""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np

from benchmarks.birds_run import BirdsRun
from benchmarks.engine_sides import Solved, by_closed_form
from benchmarks.harness import Comparison, Goal, Measurement, Series, interleaved, say
from benchmarks.tails import TailProblem, problem
from benchmarks.tape import run_tape
from niwt_tf.methods.niwt.transfer import TransferOptions

NAME, MAPS, HELD_OUT = "mobilenet_v2", 32, 16
FEWER = (8, 4)
GOAL = Goal(15, at_least=True)
REPETITIONS, SIDE = 3, 1024


def measure(birds: BirdsRun) -> Measurement:
    """Return wall times to the same or a lower validation loss, and the limit of the machine."""
    del birds
    case = problem(NAME, MAPS, HELD_OUT)
    return Measurement(
        f"Stage 3 behind {NAME}'s default layer: nested tape (A) against the closed form (B)",
        rows(case, TransferOptions(learning_rate=1e-2, anchor="mean"), FEWER),
        [
            f"{len(case.importances)} unseen classes; random weights, maps of its own trunk, importances of hidden columns and "
            "10 % noise.",
            "The tape's time is that until its best validation loss. Both sides start at the maps; a goal counts as reached "
            "only if the closed form's loss is not above the tape's.",
            "Multiplications: of one pass through the tail, for each neuron's direction and each map.",
        ],
    )


def rows(case: TailProblem, options: TransferOptions, fewer: tuple[int, ...]) -> list[Comparison]:
    """Return the lines of a tail."""
    say(f"{case.name}: closed form")
    square = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    count = max(round(multiplications(case.tail) * case.support.shape[-1] * len(case.support) / SIDE**3), 1)

    def products() -> None:
        for _ in range(count):
            square @ square

    solved: dict[int, list[Solved]] = {number: [] for number in (len(case.support), *fewer)}

    def solve(number: int) -> None:
        solved[number].append(by_closed_form(replace(case, support=case.support[:number])))

    sides = {f"{number}": lambda number=number: solve(number) for number in solved}
    seconds = interleaved({**sides, "products": products}, REPETITIONS, what="closed form")
    say(f"{case.name}: tape, to its own stopping rule")
    loss, until, step = run_tape(case, options).best(case)
    tape = Series(f"tape, step {step}", [until])
    made = []
    for number, each in solved.items():
        reached = case.loss_of_best(each[-1].columns)[1]
        title = f"wall, {number} maps; validation loss {loss:.4f} and {reached:.4f}"
        row = Comparison(title, tape, Series("closed form", seconds[f"{number}"]), GOAL)
        made.append(replace(row, reached=bool(row.is_reached and reached <= loss)))
    plain = Series(f"{count} products of {SIDE} x {SIDE}", seconds["products"])
    everything = Series("closed form", seconds[f"{len(case.support)}"])
    return [*made, Comparison("closed form beside plain products of as many multiplications", everything, plain)]


def multiplications(tail: keras.Model) -> int:
    """Return the multiplications of one pass through the convolutions and dense layers of a tail."""
    total = 0
    for layer in tail.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            total += math.prod(layer.output.shape[1:]) * math.prod(layer.kernel_size)
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            total += math.prod(layer.output.shape[1:]) * math.prod(layer.kernel.shape[:-1])
    return total
