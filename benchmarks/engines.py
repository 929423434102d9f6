"""Stage 3 by nested tape against the exact engines: seconds a pair, wall time to the same validation loss, peak memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

from benchmarks.birds_run import BirdsRun
from benchmarks.engine_memory import memory_rows
from benchmarks.engine_sides import Solved, by_closed_form, by_operator, operator_pair, tape_pair
from benchmarks.harness import Comparison, Goal, Measurement, Series, say
from benchmarks.tails import NUM_UNSEEN, TailProblem, agreement, problem
from benchmarks.tape import run_tape
from niwt_tf.methods.niwt.transfer import TransferOptions
from niwt_tf.methods.operators import tail_operator

BATCHES = (8, 16, 32, 64)
# The tape's rates and anchors: the defaults, and others where a run takes less than two minutes.
RATES = {
    "small_vgg": ((1e-2, "mean"), (3e-3, "zero")),
    "vgg16": ((1e-2, "mean"), (3e-3, "zero")),
}
# Support and held-out maps: fewer where a validation loss takes long, the same for both sides.
MAPS = {"small_vgg": (96, 32), "vgg16": (96, 16)}
REPETITIONS = 3
# A descent on operators starts at the closed form, so a few steps do.
DESCENT, FEW_STEPS = TransferOptions(anchor="zero"), 5
PAIR_GOAL, WALL_GOAL = Goal(200, at_least=True), Goal(30, at_least=True)


def measure(birds: BirdsRun) -> Measurement:
    """Return the rows of the two tails and the memory of the largest."""
    del birds
    rows: list[Comparison] = []
    alike: dict[str, float] = {}
    for name in RATES:
        say(f"{name}: maps, hidden columns and their importances")
        case = problem(name, *MAPS[name])
        alike[name] = agreement(case)
        goals = (PAIR_GOAL, WALL_GOAL) if name == "vgg16" else (None, None)
        tape, operator = pair_seconds(case)
        engines: dict[str, list[Solved]] = {"operator": [], "operator, few steps": [], "closed form": []}
        wall = wall_rows(case, RATES[name], goals[1], engines)
        rows += [*pair_rows(case, tape, operator, engines["closed form"], goals[0]), *wall]
        del case
        gc.collect()
    rows += memory_rows()
    alikeness = ", ".join(f"{name} {cosine:.2f}" for name, cosine in alike.items())
    notes = [
        f"Mean cosine of the importances of one column on two images: {alikeness}. Low: a mean over images says little.",
        f"{NUM_UNSEEN} unseen classes; importances are those of hidden columns (their mean over support maps) and 10 % noise.",
        "A pair: one support image, one class. Tape: a step by its batch. Operator: a step of 8 images, each with every class.",
        "Closed form, all: from the maps to three lambdas and two anchors. Solution: one decomposition and one solution of a",
        "mean operator that is at hand, as every further head, lambda or class has it. Both by all pairs of maps and classes.",
        "Wall time starts at the support maps and includes operators, tracing and compilation; evaluating is not in it.",
        "The tape stops by its own rule. Its best validation loss along the way counts, and the time until then, which only",
        "who looks at held-out maps would know; the rows `to its stop` have its whole time.",
        f"Operator: from the closed form (zero anchor), to its own stopping rule or {FEW_STEPS} steps.",
        "Validation loss: mean of 1 - cos (Eq. 3) over held-out maps and classes, by plain differentiation for every side.",
        "Half of those maps choose (the tape's step, the closed form's lambda and anchor), the other half give the loss.",
        "Tape: rate and anchor. The package's default anchor is the mean alone; --transfer_anchor=mean,zero tries both.",
        "Wall time is reached where the engine's validation loss is not above the tape's as well.",
    ]
    return Measurement("Stage 3: nested tape (A) against the exact engines (B)", rows, notes)


def pair_seconds(
    case: TailProblem, repetitions: int = REPETITIONS, steps: int = 4
) -> tuple[dict[int, list[float]], list[float]]:
    """Return the tape's seconds a pair at each batch, and those of a descent on operators, taken in turns."""
    say(f"{case.name}: seconds a pair")
    operator = tail_operator(case.tail, case.support)
    tape: dict[int, list[float]] = {size: [] for size in BATCHES}
    exact: list[float] = []
    for _ in range(repetitions):
        for size in BATCHES:
            tape[size].append(tape_pair(case, size, steps))
        exact.append(operator_pair(case, operator, 4 * steps))
    return tape, exact


def pair_rows(
    case: TailProblem, tape: dict[int, list[float]], operator: list[float], closed: list[Solved], goal: Goal | None
) -> list[Comparison]:
    """Return the tape's seconds a pair at each batch beside each engine's."""
    pairs = len(case.support) * len(case.importances)
    engines = [
        Series("operator", operator),
        Series("closed form, all", [each.seconds / pairs for each in closed]),
        Series("closed form, solution", [each.solving / pairs for each in closed]),
    ]
    return [
        Comparison(f"{case.name}: a pair, batch {size}", Series("tape", seconds), engine, goal)
        for engine in engines
        for size, seconds in tape.items()
    ]


def wall_rows(
    case: TailProblem,
    rates: tuple[tuple[float, str], ...],
    goal: Goal | None,
    engines: dict[str, list[Solved]],
    repetitions: int = REPETITIONS,
) -> list[Comparison]:
    """Return the tape's time to its best validation loss beside each engine's whole time and loss; fills `engines`."""
    solvers: dict[str, Callable[[], Solved]] = {
        "operator": lambda: by_operator(case, DESCENT),
        "operator, few steps": lambda: by_operator(case, replace(DESCENT, max_steps=FEW_STEPS)),
        "closed form": lambda: by_closed_form(case),
    }

    def solve_all() -> None:
        for name, solve in solvers.items():
            if len(engines[name]) < repetitions:
                say(f"{case.name}: {name}")
                engines[name].append(solve())

    tapes: list[tuple[str, float, float, float, int]] = []
    for rate, anchor in rates:
        say(f"{case.name}: tape, rate {rate:g}, anchor {anchor}, to its own stopping rule")
        run = run_tape(case, TransferOptions(learning_rate=rate, anchor=anchor))
        loss, until, step = run.best(case)
        tapes.append((f"tape, {rate:g}, {anchor}", loss, until, float(run.seconds[-1]), step))
        solve_all()
    while any(len(solved) < repetitions for solved in engines.values()) and _quick(engines):
        solve_all()
    losses = {name: case.loss_of_best(solved[-1].columns)[1] for name, solved in engines.items()}
    rows = []
    for tape, tape_loss, seconds, whole, step in tapes:
        for name, solved in engines.items():
            title = f"{case.name}: wall; validation loss {tape_loss:.4f} and {losses[name]:.4f}"
            equal, second = losses[name] <= tape_loss, Series(solved[-1].what, [each.seconds for each in solved])
            for what, time in ((f"step {step}", seconds), ("to its stop", whole)):
                first = Series(f"{tape}, {what}", [time])
                row = Comparison(title, first, second, goal)
                rows.append(Comparison(title, first, second, goal, None if goal is None else bool(row.is_reached and equal)))
    return rows


def _quick(engines: dict[str, list[Solved]]) -> bool:
    """Whether further repetitions cost little."""
    return sum(solved[-1].seconds for solved in engines.values()) < 20
