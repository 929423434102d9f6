"""The classifier of another method than NIWT as a network: chosen and fitted as `niwt baseline` does it, seen classes too.

Nothing here can reach a test image.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.baselines.interface import LinearScorer
from niwt_tf.baselines.methods import BY_NAME
from niwt_tf.experiments.baseline import BaselineTrial, Classifier, choose_baseline, fit_baseline
from niwt_tf.experiments.folds import Fold, Learner
from niwt_tf.experiments.probabilities import choose_probabilities, held_out_probabilities
from niwt_tf.experiments.readers import evaluation_sample, held_out_sample
from niwt_tf.experiments.selection import FoldScores
from niwt_tf.experiments.settings import Settings
from niwt_tf.experiments.support import balanced_sample
from niwt_tf.method.calibration import seen_margin
from niwt_tf.method.importance import unit
from niwt_tf.method.operator import mean_operators
from niwt_tf.method.probabilities import Probabilities
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network

_LOG = logging.getLogger("niwt_tf")


@dataclass(frozen=True)
class MethodHead:
    """A network with the head of another method.

    Attributes:
        network: with columns of that method for seen and unseen classes, and its calibration.
        trial: what the validation classes chose.
        trials: all candidates; none without validation classes.
        probabilities: what makes probabilities of its calibrated logits, and when to abstain.
        targets: float32 [S, N], importances of its seen columns over a sample of training images, of length 1.
    """

    network: Network
    trial: BaselineTrial
    trials: list[BaselineTrial]
    probabilities: Probabilities
    targets: np.ndarray


def make_head(
    settings: Settings,
    learners: Sequence[Learner],
    networks: Mapping[str, Network],
    readers: Mapping[str, Reader],
    names: Sequence[str],
    descriptions: np.ndarray,
) -> MethodHead:
    """Choose on the folds, fit on all seen classes, and return the network.

    Args:
        settings: `head`, and the options of importance.
        learners: main first, then folds.
        networks: by learner.
        readers: by learner; they give the features.
        names: U names of unseen classes.
        descriptions: raw [U, K], theirs.
    """
    main, folds = learners[0], [learner for learner in learners if isinstance(learner, Fold)]
    method, reader = BY_NAME[settings.head], readers["main"]
    banks = {name: each.features for name, each in readers.items()}
    if folds:
        trial, trials = choose_baseline(settings, method, folds, banks, progress=reader.execution.progress)
    else:
        _LOG.warning("Too few seen classes or images to hold any out: the first settings are used and no calibration.")
        first = {name: values[0] for name, values in method.grid.items()}
        trial = BaselineTrial(method.features[0], method.descriptions[0], first, 0.0, float("nan"), float("nan"))
        trials = []
    classifier = fit_baseline(settings, method, trial, main, banks["main"], descriptions)
    fitted = classifier.fitted
    if not isinstance(fitted, LinearScorer):
        raise TypeError(f"A head is linear in the features, and {settings.head} is not.")
    columns, biases = fitted.head(classifier.seen, classifier.new)
    network, num_seen = networks["main"], len(main.classes)
    if classifier.features == "unit":
        network = network.with_unit_features()
    network = network.with_head(columns, biases, (*network.class_names, *names), num_seen)
    network.calibration = classifier.calibration
    scored = [_fold_scores(settings, trial, fold, readers[fold.name]) for fold in folds]
    held_out = held_out_sample(settings, main)
    logits = classifier.scores(banks["main"](held_out))[:, :num_seen]
    if scored:
        probabilities = choose_probabilities(scored, trial.calibration, seen_margin(logits, held_out.labels))
    else:
        probabilities = held_out_probabilities(logits, held_out.labels)
    return MethodHead(network, trial, trials, probabilities, _importances(settings, main, network, reader))


def _fold_scores(settings: Settings, trial: BaselineTrial, fold: Fold, reader: Reader) -> FoldScores:
    classifier: Classifier = fit_baseline(
        settings, BY_NAME[settings.head], trial, fold, reader.features, fold.validation_descriptions
    )
    evaluated, num_seen = evaluation_sample(settings, fold), len(fold.classes)
    logits = classifier.scores(reader.features(evaluated))
    held_out = evaluated.labels < num_seen
    margin = seen_margin(logits[held_out, :num_seen], evaluated.labels[held_out])
    return FoldScores(logits, evaluated.labels, num_seen, margin, float("nan"))


def _importances(settings: Settings, main: Learner, network: Network, reader: Reader) -> np.ndarray:
    """Return the importances of the seen columns over the images that shared importance averages over."""
    images = main.training.images
    sample = balanced_sample(images, max(settings.num_support, len(main.classes)), settings.seed)
    execution, everything = reader.execution, np.ones((1, len(sample)), bool)
    maps = reader.maps(sample)
    (operator,) = mean_operators(
        network.tail, maps, everything, jit=execution.jit, progress=execution.progress, team=execution.team
    )
    return unit((operator @ network.columns[:, : network.num_seen]).T)
