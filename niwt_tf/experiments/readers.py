"""One reader for each network that is read through, and the images whose features the choices of Stage 3 need."""

from __future__ import annotations

from collections.abc import Mapping

from niwt_tf.data.schema import Images
from niwt_tf.experiments.folds import Fold, Learner
from niwt_tf.experiments.settings import Settings
from niwt_tf.experiments.support import balanced_sample
from niwt_tf.method.execution import Execution
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network

# Features of larger sets would not fit in memory: a sample, as even over the classes as can be, stands for them.
STATISTICS_IMAGES = 2048
EVALUATION_IMAGES = 20_000


def readers_of(settings: Settings, networks: Mapping[str, Network], execution: Execution) -> dict[str, Reader]:
    """Return a reader by learner; with `finetune="head"` all share main's, for they differ in their heads alone."""
    if settings.finetune == "head":
        return dict.fromkeys(networks, Reader(networks["main"], execution))
    return {name: Reader(network, execution) for name, network in networks.items()}


def statistics_sample(settings: Settings, learner: Learner) -> Images:
    """Return the training images that the scale of new columns is set on."""
    return balanced_sample(learner.training.images, STATISTICS_IMAGES, settings.seed)


def evaluation_sample(settings: Settings, fold: Fold) -> Images:
    """Return the images that a fold's trials are scored on: all of them up to a number that fits in memory."""
    return balanced_sample(fold.evaluation, EVALUATION_IMAGES, settings.seed)


def held_out_sample(settings: Settings, learner: Learner) -> Images:
    """Return the held-out images that the unit of calibration is measured on: all up to a number that fits in memory."""
    return balanced_sample(learner.held_out, EVALUATION_IMAGES, settings.seed)


def prepare_choices(settings: Settings, learner: Learner, reader: Reader) -> None:
    """Put the features that Stage 3 will ask for in the reader's cache, so that it runs no network; without one do nothing."""
    if reader.cache is None:
        return
    compared = evaluation_sample(settings, learner) if isinstance(learner, Fold) else held_out_sample(settings, learner)
    for images in (statistics_sample(settings, learner), compared):
        reader.features(images)
