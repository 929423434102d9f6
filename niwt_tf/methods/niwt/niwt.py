"""Stage 3 for the classes that are really unseen, with what the validation classes chose."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Learner
from niwt_tf.data.sampling import held_out_sample, statistics_sample
from niwt_tf.methods.niwt.column_map import ColumnMap
from niwt_tf.methods.niwt.engines import engines_of
from niwt_tf.methods.niwt.few_shot import FewShotPrior
from niwt_tf.methods.niwt.few_shot_choice import few_shot_prior
from niwt_tf.methods.niwt.layers import blocks_of
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.seen_heads import SeenHead
from niwt_tf.methods.niwt.solving import (
    Choice,
    FoldData,
    FoldScores,
    NewColumns,
    Trial,
    best_trial,
    chosen_map,
    fold_data,
    fold_scores,
    new_columns,
    select,
)
from niwt_tf.methods.niwt.support import Support, support_of
from niwt_tf.methods.niwt.transfer_closed_form import mean_cosine
from niwt_tf.metrics.calibration import logit_statistics, seen_margin
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.network import Network
from niwt_tf.protocol.probabilities import choose_probabilities, held_out_probabilities

_LOG = logging.getLogger("niwt_tf")


@dataclass(frozen=True)
class Transferer:
    """All that is needed to give the network another class from its description alone.

    Attributes:
        settings: Stage 3's options.
        network: the seen network with the chosen head.
        head: that head with its importances.
        importance_map: description -> importance.
        trial: what the validation classes chose.
        support: what columns are fitted on.
        features: [M, D] of seen training images, for scale and bias.
        labels: [M].
        calibration: what is taken off the seen logits: the trial's constant times the main network's `seen_margin`.
        column_map: the closed form of all this from a description to a column and bias; None where a descent was chosen.
        probabilities: what makes probabilities of the calibrated logits, and when to abstain.
        few_shot: updates a column once images of its class arrive.
    """

    settings: Settings
    network: Network
    head: MeasuredHead
    importance_map: ImportanceMap
    trial: Trial
    support: Support
    features: np.ndarray
    labels: np.ndarray
    calibration: float
    column_map: ColumnMap | None
    probabilities: Probabilities
    few_shot: FewShotPrior

    def columns(self, descriptions: np.ndarray) -> NewColumns:
        """Return columns for classes with raw descriptions [U, K], by the column map or all in one descent."""
        importances = self.importance_map.predict(descriptions)
        if self.column_map is None:
            choice, head = self.trial.choice, self.head.head
            return new_columns(
                self.settings, choice, self.network, head, importances, self.support, self.features, self.labels
            )
        columns, biases = self.column_map(descriptions)
        blocks = blocks_of(self.network, self.settings.extra_layers, self.trial.choice.layer_weights)
        cosine = mean_cosine(self.support.operator, columns, importances, blocks)
        return NewColumns(columns, biases, cosine, np.empty(0, np.float32))

    def expand(self, names: Sequence[str], descriptions: np.ndarray) -> tuple[Network, NewColumns]:
        """Return the network with the new classes and its calibration set, and the new columns."""
        new = self.columns(descriptions)
        expanded = self.network.expand(new.columns, new.biases, names)
        expanded.calibration = self.calibration
        return expanded, new


def choose(
    settings: Settings,
    learners: Sequence[Learner],
    networks: Mapping[str, Network],
    measured: Mapping[str, Sequence[MeasuredHead]],
    maps: Mapping[str, Sequence[ImportanceMap]],
    operators: Mapping[str, np.ndarray],
    readers: Mapping[str, Reader],
) -> tuple[Transferer, list[Trial]]:
    """Make every choice on the folds and return the transferer of the main network, with all trials.

    Args:
        settings: grids and options.
        learners: main first, then folds.
        networks: by learner.
        measured: candidate heads by learner.
        maps: by learner, one for each head.
        operators: by learner.
        readers: by learner; they give the features and show the bars.
    """
    main, folds = learners[0], [learner for learner in learners if isinstance(learner, Fold)]
    progress, team = readers["main"].execution.progress, readers["main"].execution.team
    data: list[FoldData] = []
    engines = engines_of(settings, networks["main"].tail, len(folds[0].validation) if folds else 1, len(folds), team)
    scored: list[FoldScores] = []
    if folds:
        data = [
            fold_data(settings, engines, fold, networks[fold.name], operators[fold.name], readers[fold.name])
            for fold in folds
        ]
        trial, trials = select(settings, engines, folds, data, measured, maps, progress=progress)
        # Machines may round differently; which exchanges follow depends on the engine, so the chief's holds for all.
        (agreed,) = team.of_chief(np.array([engines.index(trial.choice.engine)]))
        trial = best_trial([each for each in trials if each.choice.engine == engines[int(agreed[0])]])
        for fold, shared in zip(folds, data, strict=True):
            head = measured[fold.name][trial.choice.head].head
            fold_map = chosen_map(settings, fold, measured, maps, trial.choice)
            scored.append(fold_scores(settings, fold, shared, head, fold_map, trial.choice))
    else:
        _LOG.warning("Too few seen classes or images to hold any out: the first settings are used and no calibration.")
        alone = (1.0, *(0.0 for _ in settings.extra_layers))
        firsts = settings.transfer_lambda[0], settings.transfer_learning_rate[0], settings.transfer_anchor[0]
        choice = Choice(0, engines[0], *firsts, alone)
        unknown = float("nan")
        first = measured["main"][0].head
        trial, trials = Trial(choice, first.regularization, 0.0, unknown, unknown, unknown, first.kind), []
    sample, held_out = statistics_sample(settings, main), held_out_sample(settings, main)
    index = trial.choice.head
    chosen, importance_map = measured["main"][index], chosen_map(settings, main, measured, maps, trial.choice)
    network = networks["main"]
    headed = network.with_head(chosen.head.columns, chosen.head.biases, network.class_names, network.num_seen)
    features_of = readers["main"].features
    support = support_of(settings, (trial.choice.engine,), readers["main"], main.training.images, operators["main"])
    logits = features_of(held_out) @ chosen.head.columns + chosen.head.biases
    unit = seen_margin(logits, held_out.labels)
    calibration = trial.calibration * unit
    if scored:
        probabilities = choose_probabilities(scored, trial.calibration, unit)
    else:
        probabilities = held_out_probabilities(logits, held_out.labels)
    features = np.array(features_of(sample))  # a copy: what the reader gives may be a part of the cache's file
    column_map = column_map_of(settings, trial.choice, network, chosen.head, importance_map, support, features, sample.labels)
    few_shot = few_shot_prior(settings, trial, folds, data, measured, maps, features, sample.labels, unit)
    made = calibration, column_map, probabilities, few_shot
    transferer = Transferer(settings, headed, chosen, importance_map, trial, support, features, sample.labels, *made)
    return transferer, trials


def column_map_of(
    settings: Settings,
    choice: Choice,
    network: Network,
    head: SeenHead,
    importance_map: ImportanceMap,
    support: Support,
    features: np.ndarray,
    labels: np.ndarray,
) -> ColumnMap | None:
    """Return the affine form of Stages 2 and 3 for a choice, or None where a descent was chosen."""
    if choice.engine != "closed_form":
        return None
    solution = support.solution(blocks_of(network, settings.extra_layers, choice.layer_weights))
    statistics = None
    if settings.column_scale == "matched" and head.form is None:
        statistics = logit_statistics(features, labels, head.columns, head.biases)
    raw_bias = float(head.biases.mean())
    strength, anchor = choice.regularization, choice.anchor
    known = head.columns, strength, anchor, features, statistics, raw_bias
    return ColumnMap.of(importance_map, solution, *known, form=head.form)
