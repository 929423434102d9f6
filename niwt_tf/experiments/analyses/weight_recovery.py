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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from niwt_tf.experiments.analyses.drawing import BLUE, GREY, ORANGE, PURPLE, curve, new_figure, save
from niwt_tf.experiments.analyses.finished_transfer import FinishedTransfer, TestFeatures
from niwt_tf.experiments.analyses.record import AnalysisRecord, Column, spread
from niwt_tf.experiments.readers import held_out_sample, statistics_sample
from niwt_tf.experiments.selection import new_columns
from niwt_tf.experiments.support import balanced_sample, support_of
from niwt_tf.method.evaluation import class_normalised_accuracy
from niwt_tf.method.recovery import ImportanceSystem, importance_system

# 0 is the pseudo-inverse; what held-out images of seen classes do best with is taken, for each epsilon.
PENALTIES = (0.0, *(10.0**power for power in range(-6, 4)))
KINDS = {
    "own": "every image, noise of its own",
    "shared": "every image, one noise a class",
    "mean": "mean importance, as niwt transfer",
}
_COLOURS = {"own": BLUE, "shared": PURPLE, "mean": ORANGE}
_SHOWN = (0.0, 1.0, 5.0, 10.0, 100.0)  # epsilons of the short table
_COLUMNS = (
    *(Column("recovered_from", "Recovered from", "text"), Column("epsilon", "ε", "number")),
    *(Column("accuracy", "Accuracy"), Column("accuracy_low"), Column("accuracy_high")),
    *(Column("relative_accuracy", "Of the original"), Column("relative_low", "from"), Column("relative_high", "to")),
    *(Column("same_answers", "Same answers"), Column("penalty", "", "number")),
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
    finished: FinishedTransfer,
    test: TestFeatures,
    epsilons: Sequence[float],
    draws: int,
    num_images: int,
    command: str,
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
    head, reader, settings = finished.head.head, finished.readers["main"], finished.settings
    held_out = held_out_sample(settings, finished.main)
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
        rows.append(row("mean", float(epsilon), answers, finished.choice.regularization))
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
    reader, settings = finished.readers["main"], finished.settings
    images = balanced_sample(finished.main.training.images, num_images, settings.seed)
    maps = reader.map_batches(images, keep=False)
    batches, hidden = -(-len(images) // reader.execution.batch_size), not reader.execution.progress
    shown = tqdm(maps, desc="operators", unit="batch", total=batches, delay=5, leave=False, disable=hidden)
    tail, columns = reader.network.tail, finished.head.head.columns
    return importance_system(tail, shown, columns, draws=draws, seed=settings.seed, jit=reader.execution.jit)


def _from_means(finished: FinishedTransfer, epsilon: float, draws: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return columns and biases that Stage 3's closed form makes of each noisy draw of the classes' mean importances."""
    settings, head, reader = finished.settings, finished.head.head, finished.readers["main"]
    choice = replace(finished.choice, engine="closed_form")
    operator = finished.operators["main"]
    support = support_of(settings, ("closed_form",), reader, finished.main.training.images, operator)
    sample = statistics_sample(settings, finished.main)
    known = support, np.asarray(reader.features(sample)), sample.labels
    importances = (operator @ head.columns).T.astype(np.float64)
    magnitude = np.abs(importances).mean(axis=1, keepdims=True)
    found = []
    for draw in range(draws):
        noise = np.random.default_rng([settings.seed, 23, draw]).standard_normal(importances.shape)
        noisy = importances + epsilon * magnitude * noise
        new = new_columns(settings, choice, finished.networks["main"], head, noisy, *known)
        found.append((new.columns, new.biases))
    return found


def _caption(details: dict[str, object]) -> str:
    return (
        f"Accuracy of recovered columns on {details['measured_on']} of the seen classes, which alone compete, as a share of "
        "the original head's. The noise is ε times the mean magnitude of the importance (a factor, not a percentage); bands "
        f"are 95 % intervals over {details['draws']} draws. From the importances of each of {details['images']:,} training "
        f"images least squares determine {details['rank']} of {details['features']} directions of a column (no image tells of "
        f"the others), and noise of each image's own averages out; noise that all images of a class share does not. A class's "
        f"mean importance determines {details['mean_operator_rank']}. Biases are the original ones, of which importance says "
        "nothing; for the mean importance, scale and bias are set as for a new class."
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
