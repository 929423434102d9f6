"""Stages 1 and 2 for every learner and every candidate head: importances, and the maps that predict them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.data.schema import Images
from niwt_tf.experiments.folds import Fold, Learner
from niwt_tf.experiments.heads import SeenHead, candidate_heads
from niwt_tf.experiments.settings import Settings
from niwt_tf.experiments.support import balanced_sample, maps_of
from niwt_tf.method.features import FeatureBank
from niwt_tf.method.importance import ClassImportance, shared_importance, unit
from niwt_tf.method.mapping import ImportanceMap, fit_cosine_map, fit_ridge_map
from niwt_tf.method.operator import mean_operators
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class MeasuredHead:
    """A candidate head and the importance of each neuron for its classes.

    Attributes:
        head: columns and biases.
        importance: Stage 1's result for it; its means are what the map is fitted to.
    """

    head: SeenHead
    importance: ClassImportance


def seen_operators(
    settings: Settings, learners: Sequence[Learner], networks: Mapping[str, Network], *, progress: bool = True
) -> dict[str, np.ndarray]:
    """Return, for each learner's name, the mean operator [N, D] over a sample of its training images.

    Learners that share one frozen trunk and tail share the sample too, each with the images that it may see.
    """
    operators: dict[str, np.ndarray] = {}
    groups = [list(learners)] if settings.finetune == "head" else [[learner] for learner in learners]
    for group in groups:
        network = networks[group[0].name]
        drawn = [balanced_sample(learner.training.images, settings.num_support, settings.seed) for learner in group]
        # A fold may see none of a small sample of the main learner's images; then it adds its own.
        blind = [not np.isin(drawn[0].paths, learner.training.images.paths).any() for learner in group]
        sample = _union([drawn[0], *(own for own, needed in zip(drawn, blind, strict=True) if needed)])
        members = np.stack([np.isin(sample.paths, learner.training.images.paths) for learner in group])
        maps = maps_of(network, sample)
        for learner, operator in zip(group, mean_operators(network.tail, maps, members, progress=progress), strict=True):
            operators[learner.name] = operator
    return operators


def measure_importance(
    settings: Settings,
    learners: Sequence[Learner],
    networks: Mapping[str, Network],
    operators: Mapping[str, np.ndarray],
    *,
    progress: bool = True,
) -> dict[str, list[MeasuredHead]]:
    """Return, for each learner's name, its candidate heads with their importances (Eq. 1).

    With `importance_over="own"` each image is asked about its own class. With "shared" every class is asked about the same
    images, as new columns will be in Stage 3; the consistency figures are then still those of images asked about their own
    class, of the main learner alone. Where the learners share one frozen trunk it is run once for all of them.

    Args:
        settings: the candidate heads, and how many images a class are enough in a fold.
        learners: main and folds.
        networks: by the learners' names.
        operators: mean operators by the learners' names.
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
    over_own = settings.importance_over == "own"
    asked = [learner for learner in learners if over_own or not isinstance(learner, Fold)]
    groups = [asked] if shared else [[learner] for learner in asked]
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
    if over_own:
        return measured
    unknown = float("nan"), float("nan")
    for learner in learners:
        operator = operators[learner.name]
        consistency = [
            (each.importance.rank_correlation_within, each.importance.rank_correlation_across)
            for each in measured.get(learner.name, ())
        ] or [unknown] * len(heads[learner.name])
        counts = np.full(len(learner.classes), settings.num_support, np.int64)
        measured[learner.name] = [
            MeasuredHead(head, ClassImportance(unit((operator @ head.columns).T), counts, *figures))
            for head, figures in zip(heads[learner.name], consistency, strict=True)
        ]
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
