"""Stages 1 and 2 for every partition and every candidate head: the heads, their importances, and the maps that predict them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from niwt_tf.compute.features import Reader, prepare_choices
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Partition
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Images
from niwt_tf.methods.importance import ClassImportance, shared_importance
from niwt_tf.methods.niwt.layers import blocks_of, with_features
from niwt_tf.methods.niwt.mapping import ImportanceMap, fit_cosine_map, fit_ridge_map
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.transfer_closed_form import Blocks
from niwt_tf.methods.operators import mean_operators
from niwt_tf.methods.relevance import RelevanceMap, fit_relevance_map
from niwt_tf.methods.seen_heads import DiscriminantPath, RidgeHeadPath, RidgeMoments, SeenHead, temperature_scale
from niwt_tf.models.network import Network, recut

_SCALE_IMAGES = 2048


@dataclass(frozen=True)
class MeasuredHead:
    """A candidate head and the importance of each neuron for its classes.

    Attributes:
        head: columns and biases.
        importance: of images asked about their own class (Eq. 1); not measured (NaN) where it is not needed.
        targets: float32 [S, N], what the map is fitted to: the means of `importance`, or importances over shared images of all
            layers, one after the other; of length 1 in each layer but for a discriminant, whose lengths count.
        sizes: neurons of each layer, summing to the targets' N.
    """

    head: SeenHead
    importance: ClassImportance
    targets: np.ndarray
    sizes: tuple[int, ...]


def kinds_of(settings: Settings) -> tuple[str, ...]:
    """Return the kinds of heads to choose from; importances of different images have no lengths that a discriminant needs."""
    own = NiwtOptions.of(settings)
    if own.map_kind == "relevance":  # the mean is taken of discriminants alone
        return ("lda",)
    return tuple(kind for kind in own.seen_head if kind != "lda" or own.importance_over == "shared")


def num_heads(settings: Settings) -> int:
    """Return how many candidate heads there are."""
    own = NiwtOptions.of(settings)
    sizes = {"ridge": len(own.head_regularization), "lda": len(own.lda_shrinkage), "softmax": 1}
    return sum(sizes[kind] for kind in kinds_of(settings))


def candidate_heads(
    settings: Settings, trained: SeenHead, moments: RidgeMoments | None, held_out_features: np.ndarray,
    held_out_labels: np.ndarray
) -> list[SeenHead]:
    """Return the heads that `settings` asks to choose from.

    Args:
        settings: the kinds and their strengths.
        trained: the head that Stage 0 left.
        moments: of the training images; None for a softmax head alone, which needs none.
        held_out_features: [V, D] of held-out images of the same classes, for the scale of a ridge head's logits.
        held_out_labels: [V].
    """
    own, heads = NiwtOptions.of(settings), list[SeenHead]()
    for kind in kinds_of(settings):
        if kind == "softmax" or moments is None:
            heads.append(trained)
        elif kind == "ridge":
            path = RidgeHeadPath(moments)
            heads += [SeenHead(float(each), *path.solve(each)) for each in own.head_regularization]
        else:
            discriminant = DiscriminantPath(moments)
            for each in own.lda_shrinkage:
                columns, biases, form = discriminant.solve(each)
                heads.append(SeenHead(float(each), columns, biases, "lda", form))
    return [_scaled(head, held_out_features, held_out_labels) for head in heads]


def _scaled(head: SeenHead, features: np.ndarray, labels: np.ndarray) -> SeenHead:
    """Return a refitted head with logits of the scale that probabilities need."""
    if head.kind == "softmax" or not len(labels):
        return head
    scale = temperature_scale(features @ head.columns + head.biases, labels)
    form = None if head.form is None else replace(head.form, scale=scale)
    columns, biases = (scale * head.columns).astype(np.float32), (scale * head.biases).astype(np.float32)
    return replace(head, columns=columns, biases=biases, form=form)


def seen_operators(settings: Settings, partitions: Sequence[Partition], readers: Mapping[str, Reader]) -> dict[str, np.ndarray]:
    """Return, for each partition's name, the mean operator [N, D] over a sample of its training images.

    The rows of `extra_layers` follow those of the network's own layer.

    Partitions that share one frozen trunk and tail share the sample too, each with the images that it may see.
    """
    operators, layers = dict[str, np.ndarray](), NiwtOptions.of(settings).extra_layers
    for group in _groups(settings, partitions):
        reader = readers[group[0].name]
        drawn = [
            balanced_sample(partition.training.images, max(settings.num_support, len(partition.classes)), settings.seed)
            for partition in group
        ]
        # A fold may see none of a small sample of the main partition's images; then it adds its own.
        blind = [not np.isin(drawn[0].paths, partition.training.images.paths).any() for partition in group]
        sample = _union([drawn[0], *(own for own, needed in zip(drawn, blind, strict=True) if needed)])
        members = np.stack([np.isin(sample.paths, partition.training.images.paths) for partition in group])
        members[0] &= np.isin(sample.paths, drawn[0].paths)
        cuts = [reader, *(Reader(cut, reader.execution) for cut in recut(reader.network, layers))]
        stacked = [
            mean_operators(
                cut.network.tail, cut.maps(sample), members, jit=reader.execution.jit, progress=reader.execution.progress,
                team=reader.execution.team
            )
            for cut in cuts
        ]
        stacked = with_features(layers, stacked)
        operators.update(zip((partition.name for partition in group), np.concatenate(stacked, axis=1), strict=True))
    return operators


def measure_importance(
    settings: Settings, partitions: Sequence[Partition], networks: Mapping[str, Network], operators: Mapping[str, np.ndarray],
    readers: Mapping[str, Reader]
) -> dict[str, list[MeasuredHead]]:
    """Return, for each partition's name, its candidate heads with their importances (Eq. 1).

    With `importance_over="own"` each image is asked about its own class. With "shared" every class is asked about the same
    images, as new columns will be in Stage 3; the consistency figures are then still those of images asked about their own
    class, of the main partition alone. Where the partitions share one frozen trunk it is run once for all of them. With a cache
    no image is decoded twice, and the features that Stage 3 will ask for are left in it.

    Args:
        settings: the candidate heads, and how many images a class are enough in a fold.
        partitions: main and folds.
        networks: by the partitions' names.
        operators: mean operators by the partitions' names.
        readers: by the partitions' names.
    """
    options = NiwtOptions.of(settings)
    over_own, layers = options.importance_over == "own", options.extra_layers
    asked = [partition for partition in partitions if over_own or not isinstance(partition, Fold)]
    heads = _heads_of(settings, partitions, networks, readers, asked)
    groups = _groups(settings, asked)
    measured: dict[str, list[MeasuredHead]] = {}
    for group in groups:
        headed = [(partition, head) for partition in group for head in heads[partition.name]]
        streamed = _union([_measured_images(settings, partition) for partition in group])
        results = shared_importance(
            [_headed(networks[partition.name], head) for partition, head in headed],
            streamed,
            [_labels_of(streamed, _measured_images(settings, partition)) for partition, _ in headed],
            reader=readers[group[0].name],
        )
        for (partition, head), importance in zip(headed, results, strict=True):
            means = importance.means
            measured.setdefault(partition.name, []).append(_handed_on(MeasuredHead(head, importance, means, (means.shape[1],))))
    for partition in partitions:
        prepare_choices(settings, partition, readers[partition.name])
    if over_own:
        return measured
    for partition in partitions:
        operator, num_classes, network = operators[partition.name], len(partition.classes), networks[partition.name]
        blocks = blocks_of(network, layers, (1.0, *(1.0 for _ in layers)))
        nowhere = np.full((num_classes, network.num_neurons), np.nan, np.float32)
        unmeasured = ClassImportance(nowhere, np.zeros(num_classes, np.int64), float("nan"), float("nan"))
        own = [each.importance for each in measured.get(partition.name, ())] or [unmeasured] * len(heads[partition.name])
        measured[partition.name] = [
            _handed_on(MeasuredHead(head, importance, _targets(operator, head, blocks), blocks.sizes))
            for head, importance in zip(heads[partition.name], own, strict=True)
        ]
    return measured


def _handed_on(measured: MeasuredHead) -> MeasuredHead:
    """Return the same with its arrays in C order, in which a stage's file gives them back.

    A product of transposed arrays may take another kernel of the linear algebra library, which rounds differently: `Niwt.fit`,
    which keeps them in memory, would differ from the jobs in the last digits.
    """
    head = replace(measured.head, columns=np.ascontiguousarray(measured.head.columns))
    return replace(measured, head=head, targets=np.ascontiguousarray(measured.targets))


def _targets(operator: np.ndarray, head: SeenHead, blocks: Blocks) -> np.ndarray:
    reached = (operator @ head.columns).T
    return reached if head.form is not None else blocks.unit(reached)


def _heads_of(
    settings: Settings, partitions: Sequence[Partition], networks: Mapping[str, Network], readers: Mapping[str, Reader],
    asked: Sequence[Partition]
) -> dict[str, list[SeenHead]]:
    """Return the heads to choose from; the maps of partitions that are `asked` about importance are kept for that."""
    heads: dict[str, list[SeenHead]] = {}
    for group in _groups(settings, partitions):
        reader = readers[group[0].name]
        moments: list[RidgeMoments | None] = [None] * len(group)
        if kinds_of(settings) != ("softmax",):
            moments = list(_moments(reader, group, keep_maps=any(partition in asked for partition in group)))
        for partition, gathered in zip(group, moments, strict=True):
            headed = networks[partition.name]
            trained = SeenHead(0.0, headed.columns, headed.biases, "softmax")
            held_out = balanced_sample(partition.held_out, _SCALE_IMAGES, settings.seed)
            heads[partition.name] = candidate_heads(settings, trained, gathered, reader.features(held_out), held_out.labels)
    return heads


def _groups(settings: Settings, partitions: Sequence[Partition]) -> list[list[Partition]]:
    """Return the partitions that share a trunk and a tail together."""
    return [list(partitions)] if settings.finetune == "head" else [[partition] for partition in partitions]


def _moments(reader: Reader, group: Sequence[Partition], keep_maps: bool) -> list[RidgeMoments]:
    streamed = _union([partition.training.images for partition in group])
    labels = [_labels_of(streamed, partition.training.images) for partition in group]
    moments = [
        RidgeMoments(reader.network.num_features, np.bincount(owners[owners >= 0], minlength=len(partition.classes)))
        for partition, owners in zip(group, labels, strict=True)
    ]
    team, done = reader.execution.team, 0
    mine = team.share(len(streamed))
    for features in reader.feature_batches(streamed.take(mine), keep_maps=keep_maps):
        batch = mine[done : done + len(features)]
        for each, owners in zip(moments, labels, strict=True):
            taken = owners[batch] >= 0
            each.add(features[taken], owners[batch][taken])
        done += len(features)
    for each in moments:
        each.reduce(team)
    return moments


def fit_map(settings: Settings, descriptions: np.ndarray, importance: np.ndarray) -> ImportanceMap:
    """Fit Eq. 2 as the settings say; descriptions raw [S, K], importance [S, N]."""
    own = NiwtOptions.of(settings)
    if own.map_kind == "ridge":
        penalties = own.map_regularization
        return fit_ridge_map(descriptions, importance, regularizations=penalties, normalisation=own.normalisation)
    return fit_cosine_map(descriptions, importance, normalisation=own.normalisation, seed=settings.seed)


def _fit_layers(settings: Settings, descriptions: np.ndarray, head: MeasuredHead) -> ImportanceMap:
    """Fit one map a layer, each with its own penalty, and stack them; the figures are those of the network's own layer."""
    ends = np.cumsum(head.sizes)[:-1]
    parts = [fit_map(settings, descriptions, targets) for targets in np.split(head.targets, ends, axis=1)]
    weights, bias = np.concatenate([part.weights for part in parts]), np.concatenate([part.bias for part in parts])
    return replace(parts[0], weights=weights, bias=bias)


def fit_maps(
    settings: Settings, partitions: Sequence[Partition], measured: Mapping[str, Sequence[MeasuredHead]]
) -> dict[str, list[ImportanceMap] | RelevanceMap]:
    """Return, for each partition's name, one map for each of its candidate heads, in C order like what Stage 1 hands on.

    The relevance map is one for all heads, fitted to the importances of the most shrunk one.
    """
    own = NiwtOptions.of(settings)
    if own.map_kind == "relevance":
        return {
            each.name: fit_relevance_map(
                each.training.descriptions.values, measured[each.name][-1].targets, measured[each.name][-1].sizes,
                normalisation=own.normalisation
            )
            for each in partitions
        }
    fitted = {
        each.name: [_fit_layers(settings, each.training.descriptions.values, head) for head in measured[each.name]]
        for each in partitions
    }
    return {
        name: [replace(each, weights=np.ascontiguousarray(each.weights)) for each in maps] for name, maps in fitted.items()
    }


def refit_map(settings: Settings, partition: Partition, head: MeasuredHead, regularization: float) -> ImportanceMap:
    """Fit a partition's ridge map for one head again, with one penalty for all its layers."""
    return _fit_layers(settings.replace(map_regularization=(regularization,)), partition.training.descriptions.values, head)


def _headed(network: Network, head: SeenHead) -> Network:
    return network.with_head(head.columns, head.biases, network.class_names, network.num_seen)


def _measured_images(settings: Settings, partition: Partition) -> Images:
    images = partition.training.images
    if not isinstance(partition, Fold):
        return images
    return balanced_sample(images, NiwtOptions.of(settings).fold_importance_images * len(partition.classes), settings.seed)


def _union(parts: Sequence[Images]) -> Images:
    paths = tuple(dict.fromkeys(path for part in parts for path in part.paths))
    return Images(parts[0].root, paths, np.zeros(len(paths), np.int32), ("any",))


def _labels_of(streamed: Images, wanted: Images) -> np.ndarray:
    labels = dict(zip(wanted.paths, wanted.labels.tolist(), strict=True))
    return np.array([labels.get(path, -1) for path in streamed.paths], np.int32)
