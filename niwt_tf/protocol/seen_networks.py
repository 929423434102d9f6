"""Stage 0 for every partition: the network of all seen classes, and one for each fold of validation classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.features import Reader
from niwt_tf.config.backbones import brings_weights
from niwt_tf.config.names import FEATURES
from niwt_tf.config.settings import Settings
from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.feature_rows import feature_rows, holds_features
from niwt_tf.data.folds import Partition, class_folds, main_partition
from niwt_tf.data.hub_location import is_hub
from niwt_tf.data.schema import Images, SeenData
from niwt_tf.errors import InputError
from niwt_tf.methods.registry import method_of
from niwt_tf.metrics.gzsl import class_normalised_accuracy
from niwt_tf.models.backbones import build_network
from niwt_tf.models.hub import settle
from niwt_tf.models.network import Network, in_precision
from niwt_tf.training.attribute_loss import AttributeLoss
from niwt_tf.training.trainer import train_seen

_LOG = logging.getLogger("niwt_tf")
_EPOCHS = {"scratch": 24, "head": 60, "finetune": 20}


@dataclass(frozen=True)
class TrainedNetwork:
    """A partition's network.

    Attributes:
        network: its head holds the partition's classes, all of them seen.
        history: one record an epoch.
        validation_accuracy: class-normalised, on the partition's held-out images.
    """

    network: Network
    history: list[dict[str, Any]]
    validation_accuracy: float


def partitions_of(settings: Settings, seen: SeenData, num_unseen: int) -> list[Partition]:
    """Return the partition that has all seen classes and one a fold; the same settings and data give the same."""
    folds = class_folds(
        seen, num_folds=settings.num_folds, num_validation=settings.validation_classes, num_unseen=num_unseen,
        seed=settings.seed
    )
    return [main_partition(seen, settings.seed), *folds]


def train_partitions(
    settings: Settings, partitions: Sequence[Partition], execution: Execution, *, work_dir: Path | None = None,
    callbacks: Sequence[Any] = ()
) -> dict[str, TrainedNetwork]:
    """Train one network a partition, by its name.

    With `finetune="head"` the partitions share one frozen trunk and tail, whose features are computed once. Otherwise a fold's
    network never sees an image of the fold's validation classes: what is chosen on those then holds for really unseen ones.
    In a mixed precision a twin is trained, and its weights, which are float32, end up in the network.

    Args:
        settings: backbone, weights and Stage 0.
        partitions: the main one first.
        execution: how; its cache keeps the features of networks whose heads are trained.
        work_dir: where checkpoints and TensorBoard logs go; an interrupted training goes on from there.
        callbacks: Keras callbacks, told of the training of the main partition.
    """
    if settings.finetune == "head":
        if settings.weights == "none" and not brings_weights(settings.backbone):
            _LOG.warning("--finetune=head with --weights=none trains a head on a backbone with random weights: give --weights.")
        shared = _new_network(settings, partitions[0].training.images)
        _settle(settings, shared, partitions[0], execution)
        reader = Reader(shared, execution)
        networks = [shared, *(_with_new_head(shared, partition, settings.seed) for partition in partitions[1:])]
        trained = [
            _train(settings, network, partition, work_dir, reader, callbacks)
            for network, partition in zip(networks, partitions, strict=True)
        ]
    else:
        made = (_new_network(settings, partition.training.images) for partition in partitions)
        trained = [
            _train(settings, network, partition, work_dir, Reader(network, execution), callbacks)
            for network, partition in zip(made, partitions, strict=True)
        ]
    return {partition.name: result for partition, result in zip(partitions, trained, strict=True)}


def save_networks(folder: Path, settings: Settings, networks: Mapping[str, Network]) -> None:
    """Write main.keras and the folds' networks: whole ones, or where they share main's trunk and tail their heads alone."""
    main = networks["main"]
    main.save(folder / "main.keras")
    folds = {name: network for name, network in networks.items() if name != "main"}
    if settings.finetune == "head":
        heads = {f"{name}_{part}": getattr(network, part) for name, network in folds.items() for part in ("columns", "biases")}
        np.savez(folder / "folds.npz", **heads)
    else:
        for name, network in folds.items():
            network.save(folder / f"{name}.keras")


def load_networks(folder: Path, settings: Settings, partitions: Sequence[Partition]) -> dict[str, Network]:
    """Read what `save_networks` wrote for the partitions."""
    if settings.finetune != "head":
        return {partition.name: Network.load(folder / f"{partition.name}.keras") for partition in partitions}
    networks = {"main": Network.load(folder / "main.keras")}
    arrays = read_arrays(folder / "folds.npz")
    for partition in partitions[1:]:
        names = partition.training.images.class_names
        head = arrays[f"{partition.name}_columns"], arrays[f"{partition.name}_biases"]
        networks[partition.name] = networks["main"].with_head(*head, names, len(names))
    return networks


def _train(
    settings: Settings, network: Network, partition: Partition, work_dir: Path | None, reader: Reader, callbacks: Sequence[Any]
) -> TrainedNetwork:
    from_scratch = settings.finetune == "all" and settings.weights == "none" and not brings_weights(settings.backbone)
    if settings.finetune == "all":
        _settle(settings, network, partition, reader.execution)
    kind = "scratch" if from_scratch else "head" if settings.finetune == "head" else "finetune"
    epochs = settings.epochs or _EPOCHS[kind]
    mixed = settings.finetune == "all" and settings.precision != "float32"
    trained = in_precision(network, settings.precision) if mixed else network
    _, history = train_seen(
        trained,
        partition.training.images,
        partition.held_out,
        finetune=settings.finetune,
        from_scratch=from_scratch,
        epochs=epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        finetune_learning_rate=settings.finetune_learning_rate,
        weight_decay=settings.weight_decay,
        # A cosine that is cut short ends at a high rate, so from scratch every epoch is run.
        patience=epochs if from_scratch else settings.patience,
        seed=settings.seed,
        work_dir=work_dir / partition.name if work_dir else None,
        features_of=reader.features,
        attribute_loss=_attribute_loss(settings, partition),
        execution=reader.execution,
        callbacks=callbacks if partition.name == "main" else (),
    )
    if mixed:
        network.model.set_weights(trained.model.get_weights())
    held_out = partition.held_out
    if not len(held_out):
        return TrainedNetwork(network, history, float("nan"))
    # Where more than the head was trained, what the reader has computed holds no longer.
    final = reader if settings.finetune == "head" else Reader(network, reader.execution)
    logits = final.features(held_out) @ network.columns + network.biases
    accuracy = class_normalised_accuracy(held_out.labels, logits.argmax(axis=1), len(network.class_names))
    return TrainedNetwork(network, history, accuracy)


def has_attribute_loss(settings: Settings) -> bool:
    """Return whether networks are trained on descriptions too; a head alone cannot change what features tell."""
    return settings.attribute_loss > 0 and settings.finetune != "head"


def _attribute_loss(settings: Settings, partition: Partition) -> AttributeLoss | None:
    if not has_attribute_loss(settings):
        return None
    return AttributeLoss.of(partition.training.descriptions.values, settings.attribute_loss)


def _new_network(settings: Settings, images: Images) -> Network:
    network = build_network(
        settings.backbone, images.class_names, layer=settings.layer, weights=settings.weights, input_size=settings.input_size,
        dropout=settings.dropout, seed=settings.seed, resize=settings.resize, preprocessing=settings.preprocessing,
        width=_width_of(settings, images)
    )
    method_of(settings.method).check_network(settings, network)
    return network


def _width_of(settings: Settings, images: Images) -> int | None:
    """Return the number of published features, or None of images.

    Raises:
        InputError: the backbone does not go with them.
    """
    is_of_features = holds_features(images.root)
    if is_of_features != (settings.backbone == FEATURES):
        rule = f"--backbone must be {FEATURES} for a data set of features, and only for such a data set"
        raise InputError(f"{rule}. Received: {settings.backbone!r} with {images.root}.")
    return feature_rows(images.root).shape[1] if is_of_features else None


def _settle(settings: Settings, network: Network, partition: Partition, execution: Execution) -> None:
    """Tell the new tail of a hub module what values to expect; a saved network's has been told."""
    if is_hub(settings.backbone) and settings.weights == "none":
        settle(network.tail, Reader(network, execution).pooled_maps(partition.training.images))


def _with_new_head(shared: Network, partition: Partition, seed: int) -> Network:
    names = partition.training.images.class_names
    spread = 1.0 / np.sqrt(shared.num_features)
    columns = np.random.default_rng(seed).normal(0, spread, (shared.num_features, len(names))).astype(np.float32)
    return shared.with_head(columns, np.zeros(len(names), np.float32), names, len(names))
