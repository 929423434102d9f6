"""Stages 1 and 2 for every learner and every candidate head: importances, and the maps that predict them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.data.schema import Images
from niwt_tf.experiments.folds import Fold, Learner
from niwt_tf.experiments.heads import SeenHead, candidate_heads
from niwt_tf.experiments.settings import Settings
from niwt_tf.experiments.support import balanced_sample
from niwt_tf.method.features import FeatureBank
from niwt_tf.method.importance import ClassImportance, shared_importance
from niwt_tf.method.mapping import ImportanceMap, fit_cosine_map, fit_ridge_map
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class MeasuredHead:
    """A candidate head and the importance of each neuron for its classes.

    Attributes:
        head: columns and biases.
        importance: Stage 1's result for it.
    """

    head: SeenHead
    importance: ClassImportance


def measure_importance(
    settings: Settings, learners: Sequence[Learner], networks: Mapping[str, Network], *, progress: bool = True
) -> dict[str, list[MeasuredHead]]:
    """Return, for each learner's name, its candidate heads with their importances (Eq. 1).

    Each image is asked about its own class. Where the learners share one frozen trunk it is run once for all of them.

    Args:
        settings: the candidate heads, and how many images a class are enough in a fold.
        learners: main and folds.
        networks: by the learners' names.
        progress: show bars.
    """
    shared = settings.finetune == "head"
    banks = {name: FeatureBank(network, progress=progress) for name, network in networks.items()}
    heads: dict[str, list[SeenHead]] = {}
    for learner in learners:
        network, bank = networks[learner.name], banks["main" if shared else learner.name]
        images, held_out = learner.training.images, learner.held_out
        trained = SeenHead(0.0, network.columns, network.biases)
        held_out_features = bank(held_out) if len(held_out) else np.empty((0, network.num_features), np.float32)
        heads[learner.name] = candidate_heads(
            settings, trained, bank(images), images.labels, held_out_features, held_out.labels
        )
    groups = [list(learners)] if shared else [[learner] for learner in learners]
    measured: dict[str, list[MeasuredHead]] = {}
    for group in groups:
        readers = [(learner, head) for learner in group for head in heads[learner.name]]
        streamed = _union([_measured_images(settings, learner) for learner in group])
        results = shared_importance(
            [_headed(networks[learner.name], head) for learner, head in readers],
            streamed,
            [_labels_of(streamed, _measured_images(settings, learner)) for learner, _ in readers],
            progress=progress,
        )
        for (learner, head), importance in zip(readers, results, strict=True):
            measured.setdefault(learner.name, []).append(MeasuredHead(head, importance))
    return measured


def fit_map(settings: Settings, descriptions: np.ndarray, importance: np.ndarray) -> ImportanceMap:
    """Fit Eq. 2 as the settings say; descriptions raw [S, K], importance [S, N]."""
    if settings.map == "ridge":
        return fit_ridge_map(
            descriptions, importance, regularizations=settings.map_regularization, normalisation=settings.normalisation
        )
    return fit_cosine_map(descriptions, importance, normalisation=settings.normalisation, seed=settings.seed)


def fit_maps(
    settings: Settings, learners: Sequence[Learner], measured: Mapping[str, Sequence[MeasuredHead]]
) -> dict[str, list[ImportanceMap]]:
    """Return, for each learner's name, one map for each of its candidate heads."""
    return {
        learner.name: [
            fit_map(settings, learner.training.descriptions, head.importance.means) for head in measured[learner.name]
        ]
        for learner in learners
    }


def _headed(network: Network, head: SeenHead) -> Network:
    return network.with_head(head.columns, head.biases, network.class_names, network.num_seen)


def _measured_images(settings: Settings, learner: Learner) -> Images:
    images = learner.training.images
    if not isinstance(learner, Fold):
        return images
    return balanced_sample(images, settings.fold_importance_images * len(learner.classes), settings.seed)


def _union(parts: Sequence[Images]) -> Images:
    paths = tuple(dict.fromkeys(path for part in parts for path in part.paths))
    return Images(parts[0].root, paths, np.zeros(len(paths), np.int32), ("any",))


def _labels_of(streamed: Images, wanted: Images) -> np.ndarray:
    labels = dict(zip(wanted.paths, wanted.labels.tolist(), strict=True))
    return np.array([labels.get(path, -1) for path in streamed.paths], np.int32)
