"""Seen columns recovered from their own importances, exact or noisy (NIWT Fig. 3a, Eq. 4).

The noise is added to the importance of each class: alpha + epsilon * mean|alpha| * n, with n standard normal for every neuron
and the mean over the neurons. So epsilon is a factor: at 1 the noise is as large as the importance, at 10 ten times larger.
Three ways to recover a column w_c are compared:

- from the importances of every image, each with noise of its own: least squares over all images;
- from the same, the noise of a class being the same on every image;
- from the class's mean importance alone, as `niwt transfer` does for a new class.

The true biases are kept in the first two, since importance says nothing of a bias; the third sets scale and bias as
`niwt transfer` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.data.sampling import balanced_sample
from niwt_tf.experiments.analyses.record import AnalysisRecord, TableColumn, spread
from niwt_tf.experiments.analyses.rerun import FinishedTransfer, TestFeatures
from niwt_tf.methods.importance import importance_of_maps
from niwt_tf.methods.operators import factor_tail, jacobian_of
from niwt_tf.metrics.gzsl import class_normalised_accuracy
from niwt_tf.plots.style import BLUE, GREY, ORANGE, PURPLE, curve, new_figure, save

# 0 is the pseudo-inverse; what held-out images of seen classes do best with is taken, for each epsilon.
PENALTIES = (0.0, *(10.0**power for power in range(-6, 4)))
KINDS = {
    "own": "every image, each with its own noise",
    "shared": "every image, one noise for each class",
    "mean": "mean importance, as niwt transfer",
}
_COLOURS = {"own": BLUE, "shared": PURPLE, "mean": ORANGE}
_SHOWN = (0.0, 1.0, 5.0, 10.0, 100.0)  # epsilons of the short table
_COLUMNS = (
    *(TableColumn("recovered_from", "Recovered from", "text"), TableColumn("epsilon", "ε", "number")),
    *(TableColumn("accuracy", "Accuracy"), TableColumn("accuracy_low"), TableColumn("accuracy_high")),
    TableColumn("relative_accuracy", "Of the original"),
    *(TableColumn("relative_low", "from"), TableColumn("relative_high", "to")),
    *(TableColumn("same_answers", "Same answers"), TableColumn("penalty", "", "number")),
)


@dataclass(frozen=True)
class SeenImages:
    """Images of seen classes that columns are scored on: features [M, D], labels [M] and what they are."""

    features: np.ndarray
    labels: np.ndarray
    what: str

    def answers(self, columns: np.ndarray, biases: np.ndarray) -> np.ndarray:
        """Return the winning class [M]."""
        return np.asarray((self.features @ columns + biases).argmax(axis=1))

    def accuracy(self, answers: np.ndarray, num_classes: int) -> float:
        """Return the mean over classes of their accuracies."""
        return class_normalised_accuracy(self.labels, answers, num_classes)


def weight_recovery(
    finished: FinishedTransfer, test: TestFeatures, epsilons: Sequence[float], draws: int, num_images: int, command: str,
) -> AnalysisRecord:
    """Return accuracies on test images of seen classes, which alone compete, over epsilon; means and intervals over draws.

    Args:
        finished: the run's transfer.
        test: where images of seen classes are absent, held-out training images stand in for them.
        epsilons: sizes of the noise.
        draws: of the noise.
        num_images: most training images that importances are taken of.
        command: what makes this again.
    """
    head, reader = finished.head, finished.main.reader
    held_out = finished.main.held_out
    choosing = SeenImages(np.asarray(reader.features(held_out)), held_out.labels, "held-out training images")
    seen = test.labels < test.num_seen
    measured = choosing
    if seen.any():
        measured = SeenImages(test.features[seen], test.labels[seen], "test images")
    system = _system(finished, num_images, draws)
    solver, biases, count = system.solver(), head.biases, len(head.biases)
    original = measured.answers(head.columns, biases)
    reference = measured.accuracy(original, count)

    def row(kind: str, epsilon: float, answers: Sequence[np.ndarray], penalty: float) -> tuple[object, ...]:
        accuracies = np.array([measured.accuracy(each, count) for each in answers])
        same = float(np.mean([(each == original).mean() for each in answers]))
        relative = spread(accuracies / reference, (0.0, 1 / reference)) if reference else (float("nan"),) * 3
        return (KINDS[kind], epsilon, *spread(accuracies), *relative, same, penalty)

    rows = []
    sides = {"own": system.noise, "shared": system.shared_noise}
    steps = [(kind, float(epsilon)) for kind in sides for epsilon in epsilons]
    hidden = not reader.execution.progress
    for kind, epsilon in tqdm(steps, desc="recover", unit="epsilon", delay=5, leave=False, disable=hidden):
        rights = system.right + epsilon * (sides[kind] if epsilon else sides[kind][:1])
        scores = []
        for penalty in PENALTIES:
            tried = [choosing.answers(columns, biases) for columns in solver.columns(rights, penalty)]
            scores.append(np.mean([choosing.accuracy(answers, count) for answers in tried]))
        best = PENALTIES[int(np.argmax(scores))] if epsilon else 0.0
        answers = [measured.answers(columns, biases) for columns in solver.columns(rights, best)]
        rows.append(row(kind, epsilon, answers, best))
    for epsilon in epsilons:
        made = _from_means(finished, float(epsilon), draws if epsilon else 1)
        answers = [measured.answers(*each) for each in made]
        rows.append(row("mean", float(epsilon), answers, finished.candidate.regularization))
    details = {
        "original_accuracy": reference,
        "measured_on": measured.what,
        "noise": "epsilon * mean over neurons of |importance| * standard normal; epsilon is a factor, not a percentage",
        "draws": draws,
        "images": system.num_images,
        "rank": solver.rank,
        "features": len(system.gram),
        "mean_operator_rank": int(np.linalg.matrix_rank(system.mean)),
        "difference_from_gradient": system.disagreement,
        "biases": "the original ones, except for the mean importance, where they are matched as niwt transfer does",
        "penalty_chosen_on": "held-out training images of seen classes",
    }
    shown = tuple(index for index, row in enumerate(rows) if row[1] in _SHOWN) or None
    title = "Seen columns from noisy importances"
    return AnalysisRecord(title, _caption(details), command, _COLUMNS, tuple(rows), shown, details)


def _system(finished: FinishedTransfer, num_images: int, draws: int) -> ImportanceSystem:
    reader, settings = finished.main.reader, finished.settings
    images = balanced_sample(finished.main.partition.training.images, num_images, settings.seed)
    maps = reader.map_batches(images, keep=False)
    batches, hidden = -(-len(images) // reader.execution.batch_size), not reader.execution.progress
    shown = tqdm(maps, desc="operators", unit="batch", total=batches, delay=5, leave=False, disable=hidden)
    tail, columns = reader.network.tail, finished.head.columns
    return importance_system(tail, shown, columns, draws=draws, seed=settings.seed, jit=reader.execution.jit)


def _from_means(finished: FinishedTransfer, epsilon: float, draws: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return columns and biases by Stage 3's closed form from the mean importances of seen classes, with noise of each draw."""
    generator = finished.method.fit(finished.main, replace(finished.candidate, engine="closed_form"))
    operator, head = finished.method.operator_of(finished.main), finished.head
    importances = (operator @ head.columns).T.astype(np.float64)
    magnitude = np.abs(importances).mean(axis=1, keepdims=True)
    found = []
    for draw in range(draws):
        noise = np.random.default_rng([finished.settings.seed, 23, draw]).standard_normal(importances.shape)
        found.append(generator.columns_for(importances + epsilon * magnitude * noise))
    return found


def _caption(details: dict[str, object]) -> str:
    return (
        f"Accuracy of recovered head columns on {details['measured_on']} of the seen classes, as a share of the accuracy of "
        "the original head. Only seen classes compete. The noise is ε times the mean magnitude of the importance (a factor, "
        f"not a percentage). Bands are 95 % intervals over {details['draws']} draws. Least squares on the importances of each "
        f"of {details['images']:,} training images determine {details['rank']} of {details['features']} directions of a "
        "column; no image says anything about the others. Noise that each image has on its own averages out. Noise that all "
        f"images of a class share does not. The mean importance of a class determines {details['mean_operator_rank']} "
        "directions. Biases are the original ones, because importance says nothing about them. For the mean importance, scale "
        "and bias are set as for a new class."
    )


def draw_weight_recovery(record: AnalysisRecord, path: Path) -> None:
    """Draw the accuracy relative to the original head's over epsilon, one curve a way of recovering."""
    figure = new_figure(7.5, 5.4)
    axes = figure.subplots()
    epsilons = list(dict.fromkeys(row[1] for row in record.rows))
    names = np.array([row[0] for row in record.rows])
    places = np.array([epsilons.index(row[1]) for row in record.rows])
    relative, low, high = (record.column(name) for name in ("relative_accuracy", "relative_low", "relative_high"))
    low, high = np.where(np.isnan(low), relative, low), np.where(np.isnan(high), relative, high)
    for kind, label in KINDS.items():
        rows = np.flatnonzero(names == label)
        curve(axes, places[rows], relative[rows], _COLOURS[kind], label, low[rows], high[rows])
    axes.axhline(100, color=GREY, linestyle="--", linewidth=1, label="the original head")
    axes.set_xticks(range(len(epsilons)), [f"{epsilon:g}" for epsilon in epsilons])
    axes.set_xlabel("noise ε, in units of the mean magnitude of the importance")
    axes.set_ylabel("accuracy on seen classes, % of the original head's")
    axes.set_ylim(0, max(105.0, 102 * float(np.nanmax(high, initial=1.0))))
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title("Seen columns recovered from noisy importances", fontsize=11)
    title = "recovered from the importance of"
    figure.legend(title=title, loc="outside lower center", ncols=2, frameon=False, fontsize=9, title_fontsize=9)
    save(figure, path)


# Eigenvalues below this share of the largest are rounding error of float32 masks and kernels summed in float64.
_SINGULAR = 1e-12
_LARGEST = 2**27  # bytes of the matrices [B, N, D] that are made together


# Columns back from importances alone: Eq. 3 over every image by least squares, exact where the importances are.
#
# alpha_c(x) = M(x) w_c for every image x, so that w_c = argmin sum_x ||M(x) w - alpha_c(x)||^2. The mean over images, J w_c,
# has only N equations for D unknowns; all images together have as many as their operators tell apart. Noise of size epsilon on
# alpha_c(x) changes the right side by epsilon times one fixed sum, so that one pass over the images serves every epsilon.
#
# Dimensions: B images at a time, N neurons, D features, C classes, R draws of noise.


@dataclass(frozen=True)
class ImportanceSystem:
    """The normal equations of least squares, summed over images in float64.

    Attributes:
        gram: sum of M(x)' M(x), [D, D].
        right: sum of M(x)' alpha_c(x), [D, C].
        noise: what standard normal noise for each image, times the mean magnitude of the importance, adds, [R, D, C].
        shared_noise: the same where a class's noise is the same for every image, [R, D, C].
        mean: J [N, D], the mean of M(x).
        num_images: summed over.
        disagreement: largest difference of M(x) w from Eq. 1's gradient in float32, as a share of the largest importance.
    """

    gram: np.ndarray
    right: np.ndarray
    noise: np.ndarray
    shared_noise: np.ndarray
    mean: np.ndarray
    num_images: int
    disagreement: float

    def solver(self) -> ColumnSolver:
        """Return what solves for columns; decomposed once."""
        return ColumnSolver(self.gram)


class ColumnSolver:
    """Solutions of (G + lambda t I) w = r, with t the mean eigenvalue of G [D, D]; lambda 0 is the pseudo-inverse.

    Attributes:
        rank: of G; D where importances determine a column.
    """

    def __init__(self, gram: np.ndarray) -> None:
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        self._determined = self._values > _SINGULAR * max(float(self._values.max(initial=0.0)), 1e-300)
        self.rank = int(self._determined.sum())

    def columns(self, right: np.ndarray, regularization: float = 0.0) -> np.ndarray:
        """Return columns [.., D, C] for right sides [.., D, C]."""
        penalised = self._values + regularization * float(self._values.mean())
        inverse = np.divide(1.0, penalised, out=np.zeros_like(penalised), where=self._determined)
        return np.asarray(self._vectors @ (inverse[:, None] * (self._vectors.T @ right)))


def importance_system(
    tail: Any, maps: Iterable[tf.Tensor], columns: np.ndarray, *, draws: int, seed: int, jit: bool = False
) -> ImportanceSystem:
    """Sum the normal equations over images, in memory that does not grow with their number.

    Args:
        tail: Keras model, conv map [B, H, W, N] -> features [B, D].
        maps: batches of conv maps [B, H, W, N], one at least.
        columns: [D, C], whose importances are taken.
        draws: R, of the noise.
        seed: of the noise.
        jit: compile with XLA.
    """
    matrices_of = tail_matrices(tail, jit=jit)
    wanted = tf.constant(columns, tf.float64)
    features, classes = columns.shape
    neurons = int(tail.input_shape[-1])
    gram, right = np.zeros((features, features)), np.zeros((features, classes))
    noise, shared = np.zeros((draws, features, classes)), np.zeros((draws, features, classes))
    mean = np.zeros((neurons, features))
    common = [tf.random.stateless_normal([neurons, classes], [seed, -1 - draw], dtype=tf.float64) for draw in range(draws)]

    @tf.function(reduce_retracing=True)
    def sums(matrices: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Sum over matrices [B, N, D] of the images from `first` on."""
        stacked = tf.reshape(matrices, [-1, features])
        importances = tf.reshape(tf.matmul(stacked, wanted), [-1, neurons, classes])
        magnitude = tf.reduce_mean(tf.abs(importances), axis=1, keepdims=True)

        def added(noise: tf.Tensor) -> tf.Tensor:
            scaled = tf.reshape(tf.broadcast_to(magnitude * noise, tf.shape(importances)), [-1, classes])
            return tf.matmul(stacked, scaled, transpose_a=True)

        shape = tf.shape(importances)
        own = [tf.random.stateless_normal(shape, [seed + draw, first], dtype=tf.float64) for draw in range(draws)]
        return (
            tf.matmul(stacked, stacked, transpose_a=True),
            tf.matmul(stacked, tf.reshape(importances, [-1, classes]), transpose_a=True),
            tf.stack([added(each) for each in own]), tf.stack([added(each) for each in common]),
            tf.reduce_sum(matrices, axis=0),
        )

    together = max(1, _LARGEST // (8 * neurons * features))
    count, disagreement = 0, float("nan")
    for batch in maps:
        for start in range(0, len(batch), together):
            some = batch[start : start + together]
            matrices = matrices_of(some)
            if count == 0:
                disagreement = _disagreement(tail, some, columns, matrices)
            found = [part.numpy() for part in sums(matrices, tf.constant(count, tf.int32))]
            for total, part in zip((gram, right, noise, shared, mean), found, strict=True):
                total += part
            count += len(some)
    assert count, "importances of at least one image are needed"
    return ImportanceSystem(gram, right, noise, shared, mean / count, count, disagreement)


def tail_matrices(tail: Any, *, jit: bool = False) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function from conv maps [B, H, W, N] to M(x) in float64, [B, N, D].

    From the factors where the tail has them, which keeps them exact in float64; else the Jacobian in the tail's own precision.
    """
    factors = factor_tail(tail)
    if factors is None:
        jacobian = jacobian_of(tail, jit=jit)
        return lambda maps: tf.constant(np.stack([jacobian(conv_map) for conv_map in maps]), tf.float64)
    first, kernels = tf.cast(factors.first, tf.float64), [tf.cast(kernel, tf.float64) for kernel in factors.kernels]

    def matrices_of(maps: tf.Tensor) -> tf.Tensor:
        masks = [tf.cast(mask, tf.float64)[:, None, :] for mask in factors.masks(maps)]
        product = first[None] * masks[0]
        for kernel, mask in zip(kernels, masks[1:], strict=True):
            product = tf.matmul(product, kernel) * mask
        return product

    return matrices_of


def _disagreement(tail: Any, maps: tf.Tensor, columns: np.ndarray, matrices: tf.Tensor) -> float:
    asked = tf.convert_to_tensor(np.repeat(columns[:, :1].T, len(maps), axis=0), maps.dtype)
    gradient = np.asarray(importance_of_maps(tail, tf.convert_to_tensor(maps), asked), np.float64)
    product = np.asarray(matrices) @ columns[:, 0].astype(np.float64)
    return float(np.abs(product - gradient).max() / max(np.abs(gradient).max(), 1e-300))
