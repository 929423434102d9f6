"""One reader for each network that is read through, and the images whose features the choices of Stage 3 need."""

from __future__ import annotations

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Learner
from niwt_tf.data.schema import Images

# Features of larger sets would not fit in memory: a sample, as even over the classes as can be, stands for them.
STATISTICS_IMAGES = 2048
EVALUATION_IMAGES = 20_000


def statistics_sample(settings: Settings, learner: Learner) -> Images:
    """Return the training images that the scale of new columns is set on."""
    return balanced_sample(learner.training.images, STATISTICS_IMAGES, settings.seed)


def evaluation_sample(settings: Settings, fold: Fold) -> Images:
    """Return the images that a fold's trials are scored on: all of them up to a number that fits in memory."""
    return balanced_sample(fold.evaluation, EVALUATION_IMAGES, settings.seed)


def held_out_sample(settings: Settings, learner: Learner) -> Images:
    """Return the held-out images that the unit of calibration is measured on: all up to a number that fits in memory."""
    return balanced_sample(learner.held_out, EVALUATION_IMAGES, settings.seed)


def balanced_sample(images: Images, count: int, seed: int) -> Images:
    """Return `count` images (or all), as evenly from the classes as their sizes allow."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(images))
    rank_in_class = np.empty(len(images), np.int64)
    for label in range(len(images.class_names)):
        members = order[images.labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
    chosen = order[np.argsort(rank_in_class[order], kind="stable")][:count]
    return images.take(np.sort(chosen))
