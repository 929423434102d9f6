"""Every choice of Stage 3, made on validation classes: seen classes that a fold's network never saw.

Nothing here can reach a test image: a `Fold` comes from `SeenData`, which holds none.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from niwt_tf.experiments.folds import Fold
from niwt_tf.experiments.heads import SeenHead
from niwt_tf.experiments.measuring import MeasuredHead
from niwt_tf.experiments.readers import evaluation_sample, statistics_sample
from niwt_tf.experiments.settings import Settings
from niwt_tf.experiments.support import Support, support_of
from niwt_tf.method.calibration import LogitStatistics, choose_calibration, logit_statistics, match_logits, seen_margin
from niwt_tf.method.evaluation import CalibrationCurve, calibration_curve
from niwt_tf.method.mapping import ImportanceMap
from niwt_tf.method.operator import mean_cosine, solve_columns
from niwt_tf.method.reader import Reader
from niwt_tf.method.transfer import TransferOptions, transfer_columns
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class Trial:
    """One candidate and what it reached on the validation classes.

    Attributes:
        head: index of the candidate head.
        head_regularization: its ridge penalty, 0 for softmax.
        regularization: Eq. 3's lambda.
        learning_rate: Adam's rate for the columns.
        calibration: best constant, in units of `seen_margin` on held-out images.
        harmonic_mean: mean over the folds, at that constant.
        acc_zsl: mean over the folds, among the validation classes alone.
        mean_cosine: how well the new columns' importances met the predicted ones, mean over the folds.
    """

    head: int
    head_regularization: float
    regularization: float
    learning_rate: float
    calibration: float
    harmonic_mean: float
    acc_zsl: float
    mean_cosine: float


@dataclass(frozen=True)
class FoldData:
    """What the trials of one fold share, computed once.

    Attributes:
        network: the fold's network.
        support: what the columns are fitted on.
        statistics_features: [M, D] of a sample of its training images, with `statistics_labels` [M].
        features: [E, D] of the fold's evaluation images, with `labels` [E].
    """

    network: Network
    support: Support
    statistics_features: np.ndarray
    statistics_labels: np.ndarray
    features: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class NewColumns:
    """Columns of new classes, ready for the head.

    Attributes:
        columns: float32 [D, U].
        biases: float32 [U].
        statistics: of the seen logits.
        mean_cosine: how well their importances meet the predicted ones.
        losses: float32 [steps] of the tape, [0] for the closed form.
    """

    columns: np.ndarray
    biases: np.ndarray
    statistics: LogitStatistics
    mean_cosine: float
    losses: np.ndarray


def transfer_options(settings: Settings, regularization: float, learning_rate: float) -> TransferOptions:
    """Return Eq. 3's options for one candidate."""
    return TransferOptions(
        regularization=regularization,
        regularizer=settings.regularizer,
        learning_rate=learning_rate,
        batch_size=settings.transfer_batch_size,
        max_steps=settings.transfer_steps,
        seed=settings.seed,
    )


def new_columns(
    settings: Settings,
    network: Network,
    head: SeenHead,
    importances: np.ndarray,
    support: Support,
    features: np.ndarray,
    labels: np.ndarray,
    options: TransferOptions,
) -> NewColumns:
    """Solve Eq. 3 for the importances [U, N] and set scale and bias on features [M, D] of seen training images."""
    if settings.engine == ("tape",):
        solved = transfer_columns(network.tail, support.maps, importances, head.columns, head.biases, options)
        columns, cosine, losses = solved.columns, solved.mean_cosine, solved.losses
    else:
        columns = solve_columns(support.operator, importances, head.columns, options.regularization)
        cosine, losses = mean_cosine(support.operator, columns, importances), np.empty(0, np.float32)
    biases = np.full(len(importances), head.biases.mean(), np.float32)
    statistics = logit_statistics(features, labels, head.columns, head.biases)
    if settings.column_scale == "matched":
        columns, biases = match_logits(columns, features, statistics)
    return NewColumns(columns, biases, statistics, cosine, losses)


def fold_data(settings: Settings, fold: Fold, network: Network, operator: np.ndarray, reader: Reader) -> FoldData:
    """Compute what the trials of a fold share; `operator` and `reader` are those of the fold's network."""
    sample, evaluated = statistics_sample(settings, fold), evaluation_sample(settings, fold)
    support = support_of(settings, reader, fold.training.images, operator)
    return FoldData(
        network, support, reader.features(sample), sample.labels, reader.features(evaluated), evaluated.labels
    )


def select(
    settings: Settings,
    folds: Sequence[Fold],
    data: Sequence[FoldData],
    measured: Mapping[str, Sequence[MeasuredHead]],
    maps: Mapping[str, Sequence[ImportanceMap]],
    *,
    progress: bool = True,
) -> tuple[Trial, list[Trial]]:
    """Return the best trial by the folds' mean harmonic mean, and all trials.

    First the head is chosen, with the middle lambda and rate; then lambda and rate for that head.

    Args:
        settings: the grids.
        folds: validation classes.
        data: one a fold.
        measured: candidate heads by learner.
        maps: their maps by learner.
        progress: show a bar.
    """
    # The closed form has no rate.
    rates = settings.transfer_learning_rate if settings.engine == ("tape",) else settings.transfer_learning_rate[:1]
    pairs = list(itertools.product(settings.transfer_lambda, rates))
    num_heads = len(measured[folds[0].name])
    middle = settings.transfer_lambda[len(settings.transfer_lambda) // 2], rates[len(rates) // 2]
    total = num_heads + len(pairs) - 1
    trials: list[Trial] = []
    with tqdm(total=total, desc="select", unit="trial", disable=not progress) as bar:

        def attempt(head: int, pair: tuple[float, float]) -> None:
            trials.append(_trial(settings, folds, data, measured, maps, head, *pair))
            bar.set_postfix(best=f"{max(t.harmonic_mean for t in trials):.3f}")
            bar.update()

        for head in range(num_heads):
            attempt(head, middle)
        best_head = _best(trials).head
        for pair in pairs:
            if pair != middle:
                attempt(best_head, pair)
    return _best(trials), trials


def _best(trials: Sequence[Trial]) -> Trial:
    return max(trials, key=lambda trial: trial.harmonic_mean)


def _trial(
    settings: Settings,
    folds: Sequence[Fold],
    data: Sequence[FoldData],
    measured: Mapping[str, Sequence[MeasuredHead]],
    maps: Mapping[str, Sequence[ImportanceMap]],
    index: int,
    regularization: float,
    learning_rate: float,
) -> Trial:
    options = transfer_options(settings, regularization, learning_rate)
    curves: list[CalibrationCurve] = []
    units, zsl, cosines = [], [], []
    for fold, shared in zip(folds, data, strict=True):
        head = measured[fold.name][index].head
        importances = maps[fold.name][index].predict(fold.validation_descriptions)
        new = new_columns(
            settings,
            shared.network,
            head,
            importances,
            shared.support,
            shared.statistics_features,
            shared.statistics_labels,
            options,
        )
        scores = np.concatenate(
            [shared.features @ head.columns + head.biases, shared.features @ new.columns + new.biases], axis=1
        )
        curve = calibration_curve(scores, shared.labels, len(head.biases))
        curves.append(curve)
        held_out = shared.labels < len(head.biases)
        units.append(seen_margin(scores[held_out, : len(head.biases)], shared.labels[held_out]))
        # Where no seen label competes, accuracy on the validation classes is the curve's last point.
        zsl.append(curve.acc_unseen[-1])
        cosines.append(new.mean_cosine)
    calibration, harmonic = choose_calibration(curves, units)
    strength = measured[folds[0].name][index].head.regularization
    return Trial(
        index, strength, regularization, learning_rate, calibration, harmonic, float(np.mean(zsl)), float(np.mean(cosines))
    )
