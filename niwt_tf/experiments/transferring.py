"""Stage 3 for the classes that are really unseen, with what the validation classes chose."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.experiments.folds import Fold, Learner
from niwt_tf.experiments.measuring import MeasuredHead
from niwt_tf.experiments.readers import held_out_sample, statistics_sample
from niwt_tf.experiments.selection import NewColumns, Trial, fold_data, new_columns, select, transfer_options
from niwt_tf.experiments.settings import Settings
from niwt_tf.experiments.support import Support, support_of
from niwt_tf.method.calibration import seen_margin
from niwt_tf.method.mapping import ImportanceMap
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network

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

    def columns(self, descriptions: np.ndarray) -> NewColumns:
        """Return columns for classes with raw descriptions [U, K], all in one optimisation."""
        options = transfer_options(self.settings, self.trial.regularization, self.trial.learning_rate)
        importances = self.importance_map.predict(descriptions)
        return new_columns(
            self.settings, self.network, self.head.head, importances, self.support, self.features, self.labels, options
        )

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
    progress = readers["main"].execution.progress
    if folds:
        data = [
            fold_data(settings, fold, networks[fold.name], operators[fold.name], readers[fold.name]) for fold in folds
        ]
        trial, trials = select(settings, folds, data, measured, maps, progress=progress)
    else:
        _LOG.warning("Too few seen classes or images to hold any out: the first settings are used and no calibration.")
        first = settings.transfer_lambda[0], settings.transfer_learning_rate[0]
        trial = Trial(0, measured["main"][0].head.regularization, *first, 0.0, float("nan"), float("nan"), float("nan"))
        trials = []
    sample, held_out = statistics_sample(settings, main), held_out_sample(settings, main)
    chosen = measured["main"][trial.head]
    network = networks["main"]
    headed = network.with_head(chosen.head.columns, chosen.head.biases, network.class_names, network.num_seen)
    features_of = readers["main"].features
    support = support_of(settings, readers["main"], main.training.images, operators["main"])
    logits = features_of(held_out) @ chosen.head.columns + chosen.head.biases
    calibration = trial.calibration * seen_margin(logits, held_out.labels)
    features = np.array(features_of(sample))  # a copy: what the reader gives may be a part of the cache's file
    transferer = Transferer(
        settings, headed, chosen, maps["main"][trial.head], trial, support, features, sample.labels, calibration
    )
    return transferer, trials
