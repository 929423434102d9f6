"""Eq. 3 by nested tape as `transfer_columns` does it, step by step, with the columns of every few steps kept and timed.

`transfer_columns` returns its last columns alone. To be fair to the tape, its best validation loss along the way counts, and
the time until then; so its loop is repeated here over the library's own `transfer_loss`, and a test holds both to the same
columns.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from benchmarks.tails import TailProblem, validation_loss
from niwt_tf.methods.niwt.transfer import TransferOptions, _pairs, initial_columns, transfer_loss
from niwt_tf.methods.niwt.transfer_closed_form import anchor_column


@dataclass(frozen=True)
class TapeRun:
    """A run of the tape to its own stopping rule.

    Attributes:
        options: with which it ran.
        columns: [K, D, U] kept along the way, the last ones among them.
        seconds: [K] from the start until each of them, tracing included; nothing is evaluated meanwhile.
        steps: [K].
        losses: [steps], Eq. 3 on each batch.
    """

    options: TransferOptions
    columns: np.ndarray
    seconds: np.ndarray
    steps: np.ndarray
    losses: np.ndarray

    def best(self, problem: TailProblem, candidates: int = 6) -> tuple[float, float, int]:
        """Return the lowest validation loss along the way, the seconds until it was reached, and the step.

        A search that halves: the loss falls and then, if at all, rises, so a few of the kept columns are looked at, then
        those beside the best of them.
        """
        found: dict[int, float] = {}
        choosing = problem.held_out[: len(problem.held_out) // 2]

        def look(indices: np.ndarray) -> None:
            for index in sorted(set(map(int, indices)) - found.keys()):
                found[index] = validation_loss(problem.tail, choosing, self.columns[index], problem.importances)

        last = len(self.steps) - 1
        look(np.linspace(0, last, candidates).round())
        reach = -(-last // (candidates - 1))
        while reach > 1:
            reach = (reach + 1) // 2
            best = min(found, key=found.__getitem__)
            look(np.clip([best - reach, best + reach], 0, last))
        best = min(found, key=found.__getitem__)
        return problem.loss_of_best([self.columns[best]])[1], float(self.seconds[best]), int(self.steps[best])


def run_tape(problem: TailProblem, options: TransferOptions, keep_every: int = 5) -> TapeRun:
    """Minimise Eq. 3 until its loss has not improved by 1 % for `patience` steps."""
    begun = time.perf_counter()
    step, variable = tape_step(problem, options)
    pairs = _pairs(len(problem.support), len(problem.importances), options)
    kept: list[np.ndarray] = []
    seconds: list[float] = []
    steps: list[int] = []
    losses: list[float] = []
    best, best_step = np.inf, 0
    what = f"{problem.name}: tape, rate {options.learning_rate:g}"
    for number in tqdm(range(options.max_steps), what, delay=5, leave=False, disable=None):
        images, classes = next(pairs)
        loss, _ = step(tf.constant(images), tf.constant(classes))
        losses.append(float(loss))
        if losses[-1] < 0.99 * best:
            best, best_step = losses[-1], number
        stops = number - best_step >= options.patience or number + 1 == options.max_steps
        if stops or (number + 1) % keep_every == 0:
            seconds.append(time.perf_counter() - begun)
            kept.append(variable.numpy().T)
            steps.append(number + 1)
        if stops:
            break
    return TapeRun(options, np.stack(kept), np.array(seconds), np.array(steps), np.array(losses, np.float32))


def tape_step(problem: TailProblem, options: TransferOptions) -> tuple[tf.types.experimental.PolymorphicFunction, tf.Variable]:
    """Return the compiled step of `transfer_columns` on (image indices, class indices) and the columns [U, D] it moves."""
    targets = tf.math.l2_normalize(tf.constant(problem.importances, tf.float32), axis=1)
    anchor = tf.constant(anchor_column(problem.seen_columns, options.anchor), tf.float32)
    maps = tf.constant(problem.support)
    columns = tf.Variable(initial_columns(problem.seen_columns, len(problem.importances), options.seed).T)
    optimiser = keras.optimizers.Adam(options.learning_rate)
    optimiser.build([columns])

    @tf.function
    def step(images: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(columns)
            loss, cosine = transfer_loss(
                problem.tail, tf.convert_to_tensor(columns), tf.gather(maps, images), classes, targets, anchor, options
            )
        optimiser.apply([tape.gradient(loss, columns)], [columns])
        return loss, cosine

    return step, columns
