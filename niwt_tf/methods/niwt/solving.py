"""Every choice of Stage 3, made on validation classes: seen classes that a fold's network never saw.

Nothing here can reach a test image: a `Fold` comes from `SeenData`, which holds none.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Learner
from niwt_tf.data.sampling import evaluation_sample, statistics_sample
from niwt_tf.methods.niwt.layers import blocks_of
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead, refit_map
from niwt_tf.methods.niwt.seen_heads import SeenHead
from niwt_tf.methods.niwt.support import Support, support_of
from niwt_tf.methods.niwt.transfer import TransferOptions, transfer_columns
from niwt_tf.methods.niwt.transfer_by_operator import transfer_by_operator
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, mean_cosine
from niwt_tf.metrics.calibration import choose_calibration, logit_statistics, match_logits, seen_margin
from niwt_tf.metrics.gzsl import CalibrationCurve, calibration_curve
from niwt_tf.models.network import Network

_START_REGULARIZATION = 0.1


@dataclass(frozen=True)
class Choice:
    """One candidate for Stage 3.

    Attributes:
        head: index of the candidate head.
        engine: "closed_form", "operator" or "tape".
        regularization: Eq. 3's lambda.
        learning_rate: Adam's rate for the tape's columns.
        anchor: what lambda holds the columns to, "mean" or "zero".
        layer_weights: how much the importances of each layer count, that of --layer (1) first.
        map_regularization: penalty of the map in every learner; None leaves each learner's map as leaving classes out chose it.
    """

    head: int
    engine: str
    regularization: float
    learning_rate: float
    anchor: str = "mean"
    layer_weights: tuple[float, ...] = (1.0,)
    map_regularization: float | None = None


@dataclass(frozen=True)
class Trial:
    """A candidate and what it reached on the validation classes.

    Attributes:
        choice: the candidate.
        head_regularization: its head's ridge penalty, 0 for softmax.
        calibration: best constant, in units of `seen_margin` on held-out images.
        harmonic_mean: mean over the folds, at that constant.
        acc_zsl: mean over the folds, among the validation classes alone.
        mean_cosine: how well the new columns' importances met the predicted ones, mean over the folds.
        head_kind: "ridge", "lda" or "softmax".
    """

    choice: Choice
    head_regularization: float
    calibration: float
    harmonic_mean: float
    acc_zsl: float
    mean_cosine: float
    head_kind: str = "ridge"


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
class FoldScores:
    """How a candidate scores the evaluation images of a fold of F seen and V validation classes.

    Attributes:
        logits: [E, F + V] before calibration, seen classes first.
        labels: [E].
        num_seen: F.
        unit: `seen_margin` of the held-out images among them.
        mean_cosine: how well the new columns' importances met the predicted ones.
    """

    logits: np.ndarray
    labels: np.ndarray
    num_seen: int
    unit: float
    mean_cosine: float


@dataclass(frozen=True)
class NewColumns:
    """Columns of new classes, ready for the head.

    Attributes:
        columns: float32 [D, U].
        biases: float32 [U].
        mean_cosine: how well their importances meet the predicted ones.
        losses: float32 [steps] of a descent, [0] for the closed form.
    """

    columns: np.ndarray
    biases: np.ndarray
    mean_cosine: float
    losses: np.ndarray


def transfer_options(settings: Settings, choice: Choice) -> TransferOptions:
    """Return the options of a descent for one candidate."""
    return TransferOptions(
        regularization=choice.regularization,
        anchor=choice.anchor,
        regularizer=settings.regularizer,
        learning_rate=choice.learning_rate,
        batch_size=settings.transfer_batch_size,
        max_steps=settings.transfer_steps,
        seed=settings.seed,
    )


def new_columns(
    settings: Settings,
    choice: Choice,
    network: Network,
    head: SeenHead,
    importances: np.ndarray,
    support: Support,
    features: np.ndarray,
    labels: np.ndarray,
) -> NewColumns:
    """Solve Eq. 3 for the importances [U, N] and set scale and bias on features [M, D] of seen training images."""
    losses = np.empty(0, np.float32)
    if choice.engine == "closed_form":
        blocks = blocks_of(network, settings.extra_layers, choice.layer_weights)
        columns = support.solution(blocks).columns(
            importances, head.columns, choice.regularization, choice.anchor, keep_lengths=head.form is not None
        )
        cosine = mean_cosine(support.operator, columns, importances, blocks)
    else:
        options = transfer_options(settings, choice)
        if choice.engine == "tape":
            solved = transfer_columns(network.tail, support.maps, importances, head.columns, head.biases, options)
        else:
            assert support.exact is not None, "the support was made for another engine"
            # The closed form is near the minimum already: fewer steps, and a lower loss where they are few.
            start = support.solution(Blocks.single(len(support.operator))).columns(
                importances, head.columns, _START_REGULARIZATION, choice.anchor
            )
            solved = transfer_by_operator(support.exact, importances, head.columns, head.biases, options, start=start)
        columns, cosine, losses = solved.columns, solved.mean_cosine, solved.losses
        if head.form is not None:
            columns = _of_length(columns, support.operator, importances)
    if head.form is not None:
        return NewColumns(columns, head.form.biases(columns), cosine, losses)
    biases = np.full(len(importances), head.biases.mean(), np.float32)
    if settings.column_scale == "matched":
        statistics = logit_statistics(features, labels, head.columns, head.biases)
        columns, biases = match_logits(columns, features, statistics)
    return NewColumns(columns, biases, cosine, losses)


def _of_length(columns: np.ndarray, operator: np.ndarray, importances: np.ndarray) -> np.ndarray:
    """Return columns [D, U] multiplied so that J w comes nearest to the importances: a descent sees directions alone."""
    reached = operator @ columns
    squares = np.maximum((reached * reached).sum(axis=0), 1e-30)
    return (columns * ((reached * importances.T).sum(axis=0) / squares)).astype(np.float32)


def fold_data(
    settings: Settings, engines: Sequence[str], fold: Fold, network: Network, operator: np.ndarray, reader: Reader
) -> FoldData:
    """Compute what the trials of a fold share; `operator` and `reader` are those of the fold's network."""
    sample, evaluated = statistics_sample(settings, fold), evaluation_sample(settings, fold)
    support = support_of(settings, engines, reader, fold.training.images, operator)
    return FoldData(
        network, support, reader.features(sample), sample.labels, reader.features(evaluated), evaluated.labels
    )


def candidates(settings: Settings, engines: Sequence[str], num_heads: int) -> tuple[list[Choice], dict[str, list[Choice]]]:
    """Return what is tried first, one candidate a head, and what is tried then for the best head, by engine.

    The tape has a rate beside lambda and anchor.

    Args:
        settings: the grids.
        engines: which of them solve.
        num_heads: candidate heads.
    """
    lambdas, rates, anchors = settings.transfer_lambda, settings.transfer_learning_rate, settings.transfer_anchor
    middle = lambdas[len(lambdas) // 2], rates[len(rates) // 2], anchors[0]
    alone = (1.0, *(0.0 for _ in settings.extra_layers))
    further: dict[str, list[Choice]] = {}
    for engine in engines:
        # The closed form has no rate, and a descent that starts there takes its own from the start.
        tried = itertools.product(lambdas, rates if engine == "tape" else middle[1:2], anchors)
        further[engine] = [Choice(-1, engine, *each, alone) for each in tried if engine != engines[0] or each != middle]
    return [Choice(head, engines[0], *middle, alone) for head in range(num_heads)], further


def select(
    settings: Settings,
    engines: Sequence[str],
    folds: Sequence[Fold],
    data: Sequence[FoldData],
    measured: Mapping[str, Sequence[MeasuredHead]],
    maps: Mapping[str, Sequence[ImportanceMap]],
    *,
    progress: bool = True,
) -> tuple[Trial, list[Trial]]:
    """Return the best trial by the folds' mean harmonic mean, and all trials.

    First the head is chosen, with the first engine and anchor and the middle lambda and rate. Where that engine is the closed
    form, the penalty of the ridge map is chosen for the best head of each kind. Then engine, lambda, rate and anchor are chosen
    for the best of all; then the weight of each further layer in turn.

    Args:
        settings: the grids.
        engines: what may solve for columns.
        folds: validation classes.
        data: one a fold.
        measured: candidate heads by learner.
        maps: their maps by learner.
        progress: show a bar.
    """
    first, further = candidates(settings, engines, len(measured[folds[0].name]))
    layers, weights = len(settings.extra_layers), settings.extra_layer_weights
    penalties = settings.map_regularization if settings.map == "ridge" and len(settings.map_regularization) > 1 else ()
    if engines[0] != "closed_form":  # a descent for each penalty would take longer than everything else
        penalties = ()
    kinds = tuple(dict.fromkeys(each.head.kind for each in measured[folds[0].name]))
    total = len(first) + sum(len(choices) for choices in further.values()) + len(kinds) * len(penalties) + layers * len(weights)
    trials: list[Trial] = []
    with tqdm(total=total, desc="select", unit="trial", disable=not progress) as bar:

        def attempt(choice: Choice) -> None:
            trials.append(_trial(settings, folds, data, measured, maps, choice))
            bar.set_postfix(best=f"{max(t.harmonic_mean for t in trials):.3f}")
            bar.update()

        for choice in first:
            attempt(choice)
        for best in [best_trial([trial for trial in trials if trial.head_kind == kind]).choice for kind in kinds]:
            for penalty in penalties:
                attempt(replace(best, map_regularization=penalty))
        best = best_trial(trials).choice
        for choice in itertools.chain.from_iterable(further.values()):
            attempt(replace(choice, head=best.head, map_regularization=best.map_regularization))
        for layer in range(1, layers + 1):
            best = best_trial(trials).choice
            for weight in weights:
                given = (*best.layer_weights[:layer], weight, *best.layer_weights[layer + 1 :])
                attempt(replace(best, layer_weights=given))
    return best_trial(trials), trials


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial of the highest mean harmonic mean, the first of equals."""
    return max(trials, key=lambda trial: trial.harmonic_mean)


def chosen_map(
    settings: Settings,
    learner: Learner,
    measured: Mapping[str, Sequence[MeasuredHead]],
    maps: Mapping[str, Sequence[ImportanceMap]],
    choice: Choice,
) -> ImportanceMap:
    """Return the map of a learner that a choice asks for."""
    if choice.map_regularization is None:
        return maps[learner.name][choice.head]
    return refit_map(settings, learner, measured[learner.name][choice.head], choice.map_regularization)


def fold_scores(
    settings: Settings, fold: Fold, shared: FoldData, head: SeenHead, importance_map: ImportanceMap, choice: Choice
) -> FoldScores:
    """Score a fold's evaluation images with its head [D, F] and the columns that `choice` makes of its validation classes."""
    importances = importance_map.predict(fold.validation_descriptions)
    samples = shared.statistics_features, shared.statistics_labels
    new = new_columns(settings, choice, shared.network, head, importances, shared.support, *samples)
    logits = np.concatenate(
        [shared.features @ head.columns + head.biases, shared.features @ new.columns + new.biases], axis=1
    )
    num_seen = len(head.biases)
    held_out = shared.labels < num_seen
    unit = seen_margin(logits[held_out, :num_seen], shared.labels[held_out])
    return FoldScores(logits, shared.labels, num_seen, unit, new.mean_cosine)


def _trial(
    settings: Settings,
    folds: Sequence[Fold],
    data: Sequence[FoldData],
    measured: Mapping[str, Sequence[MeasuredHead]],
    maps: Mapping[str, Sequence[ImportanceMap]],
    choice: Choice,
) -> Trial:
    curves: list[CalibrationCurve] = []
    units, zsl, cosines = [], [], []
    for fold, shared in zip(folds, data, strict=True):
        seen, importance_map = measured[fold.name][choice.head].head, chosen_map(settings, fold, measured, maps, choice)
        scores = fold_scores(settings, fold, shared, seen, importance_map, choice)
        curve = calibration_curve(scores.logits, scores.labels, scores.num_seen)
        curves.append(curve)
        units.append(scores.unit)
        # Where no seen label competes, accuracy on the validation classes is the curve's last point.
        zsl.append(curve.acc_unseen[-1])
        cosines.append(scores.mean_cosine)
    calibration, harmonic = choose_calibration(curves, units)
    head = measured[folds[0].name][choice.head].head
    return Trial(
        choice, head.regularization, calibration, harmonic, float(np.mean(zsl)), float(np.mean(cosines)), head.kind
    )
