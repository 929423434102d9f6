"""Random images, of which no class has two before every class has one; what the choices of Stage 3 are made on."""

from __future__ import annotations

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Partition
from niwt_tf.data.schema import Images

# Features of larger sets would not fit in memory: a sample, as even over the classes as can be, stands for them.
TRAINING_IMAGES = 50_000
STATISTICS_IMAGES = 2048
EVALUATION_IMAGES = 20_000


def training_sample(settings: Settings, partition: Partition) -> Images:
    """Return the training images that heads of a baseline's kind are fitted on: all up to a number that fits in memory."""
    return balanced_sample(partition.training.images, TRAINING_IMAGES, settings.seed)


def statistics_sample(settings: Settings, partition: Partition) -> Images:
    """Return the training images that the scale of new columns is set on."""
    return balanced_sample(partition.training.images, STATISTICS_IMAGES, settings.seed)


def evaluation_sample(settings: Settings, fold: Fold) -> Images:
    """Return the images that a fold's trials are scored on: all of them up to a number that fits in memory."""
    return balanced_sample(fold.evaluation, EVALUATION_IMAGES, settings.seed)


def held_out_sample(settings: Settings, partition: Partition) -> Images:
    """Return the held-out images that the unit of calibration is measured on: all up to a number that fits in memory."""
    return balanced_sample(partition.held_out, EVALUATION_IMAGES, settings.seed)


def balanced_sample(images: Images, count: int, seed: int) -> Images:
    """Return `count` images (or all), as evenly from the classes as their sizes allow."""
    drawn = balanced_draw(images.labels, np.arange(len(images)), count, np.random.default_rng(seed))
    return images.take(np.sort(drawn))


def balanced_draw(labels: np.ndarray, candidates: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return `count` different candidates (indices of images) at random, or all that there are.

    `labels` [M] are the classes of all images. `random` decides which image of a class is drawn, and which classes come first.

    Returns:
        int64 indices in the order of the draw: one image of each class, then another of each that has one, and so on.
    """
    shuffled = random.permutation(np.asarray(candidates, np.int64))
    by_class = np.argsort(labels[shuffled], kind="stable")
    grouped = labels[shuffled][by_class]
    turns = np.empty(len(shuffled), np.int64)
    turns[by_class] = np.arange(len(shuffled)) - np.searchsorted(grouped, grouped)
    return shuffled[np.argsort(turns, kind="stable")[:count]]
