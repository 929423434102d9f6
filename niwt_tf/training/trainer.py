"""Stage 0: train a network on the seen classes (paper section 4.1), the head alone or all layers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import summary_pb2
from tqdm import tqdm

from niwt_tf.compute.distributed import Team
from niwt_tf.compute.execution import Execution
from niwt_tf.data.schema import Images
from niwt_tf.errors import InputError, check_choice
from niwt_tf.files import fingerprint
from niwt_tf.metrics.gzsl import class_normalised_accuracy
from niwt_tf.models.network import Network
from niwt_tf.training.attribute_loss import AttributeLoss
from niwt_tf.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from niwt_tf.training.phases import FeaturePhase, ImagePhase, Phase

FINETUNE = ("all", "head")
_SHOWN = ("loss", "validation_accuracy")
# What callbacks of Keras know figures by.
_IN_KERAS = {"loss": "loss", "train_accuracy": "accuracy", "validation_accuracy": "val_accuracy"}


@dataclass(frozen=True)
class _Plan:
    epochs: int
    batch_size: int
    learning_rate: float
    finetune_learning_rate: float
    weight_decay: float
    patience: int
    seed: int


def train_seen(
    network: Network,
    images: Images,
    validation: Images | None,
    *,
    finetune: str = "all",
    from_scratch: bool = False,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    finetune_learning_rate: float = 1e-5,
    weight_decay: float = 5e-4,
    patience: int = 5,
    seed: int = 0,
    work_dir: Path | None = None,
    features_of: Callable[[Images], np.ndarray] | None = None,
    attribute_loss: AttributeLoss | None = None,
    execution: Execution | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[Network, list[dict[str, Any]]]:
    """Train the network's weights in place and return it with one record an epoch.

    "head": the frozen network's features are computed once and the head is trained on them. "all": after that, every layer is
    trained on augmented images, with batch norm in inference mode (its statistics, scale and offset stay). "all" with
    `from_scratch`: one phase of every layer, batch norm trained, learning rate falling to 0 along a cosine. Adam minimises the
    cross-entropy plus weight_decay/2 * ||kernels||^2 (not biases, not batch norm). The weights of the epoch with the highest
    class-normalised validation accuracy are kept, the later of equals.

    Args:
        network: any network whose classes are those of the labels; a head that was expanded is trained on from where it is.
        images: training images; labels index the network's classes.
        validation: images for early stopping; None or none keeps the last epoch.
        finetune: "all" or "head".
        from_scratch: the weights below the head are random.
        epochs: the most epochs of each phase.
        batch_size: images a step.
        learning_rate: of the head, and of everything from scratch.
        finetune_learning_rate: of all layers when they were trained before.
        weight_decay: see above.
        patience: stop a phase after so many epochs without a higher accuracy.
        seed: of order, augmentation and dropout.
        work_dir: where the checkpoint of each epoch and `logs` for TensorBoard go; a checkpoint of the same run is resumed.
        features_of: gives the frozen network's features [M, D] of images, if they are known already.
        attribute_loss: added to the loss while all layers are trained, over outputs that are thrown away in the end; None for
            the classes' cross-entropy alone.
        execution: how; its team shares each batch of images, and every process ends with the same weights; a head alone is
            trained by each. The chief alone writes `work_dir`, from which a rerun with another team goes on too.
        callbacks: told of the begin and end of training and of each epoch, counted through all phases, with loss, accuracy and
            val_accuracy as logs. A phase ends where one sets `model.stop_training`.

    Returns:
        The same network, and records with phase, epoch, loss, train_accuracy, validation_accuracy, learning_rate and seconds.

    Raises:
        InputError: no training image, labels beyond the network's classes, a number out of range, or a loss that diverges.
    """
    check_choice("finetune", finetune, FINETUNE)
    plan = _Plan(epochs, batch_size, learning_rate, finetune_learning_rate, weight_decay, patience, seed)
    _check(network, images, plan)
    _seed_dropout(network.model, seed)
    execution = execution or Execution()
    team = execution.team
    classifier = network
    if attribute_loss is not None:
        network = attribute_loss.widened(network, seed)
    phases = _phases(network, images, validation, plan, finetune, from_scratch, features_of, attribute_loss, execution)
    key = ""
    if work_dir is not None:
        if team.is_chief:
            work_dir.mkdir(parents=True, exist_ok=True)
        parts = [images.paths, images.labels.tolist(), network.class_names, plan.__dict__, finetune, from_scratch]
        if attribute_loss is not None:
            parts += [attribute_loss.weight, attribute_loss.targets]
        key = fingerprint(*parts, validation.paths if validation else (), *network.model.get_weights())
    resumed = load_checkpoint(work_dir, key) if work_dir is not None else None
    state = resumed[0] if resumed else Progress()
    _check_same_start(team, state, key)
    keeper = work_dir if team.is_chief else None
    writer = tf.summary.create_file_writer(str(keeper / "logs")) if keeper is not None else None
    told = keras.callbacks.CallbackList(list(callbacks), model=network.model) if callbacks else None
    if told is not None:
        told.on_train_begin()
    for index, phase in enumerate(phases):
        if index < state.phase:
            continue
        if index > state.phase:
            state = Progress(phase=index, history=state.history)
        best = _values(network)
        with phase.prepared():
            if told is not None:
                network.model.optimizer = phase.optimizer  # TensorBoard's callback looks for its rate
            if resumed and index == resumed[0].phase:
                best = resumed[3]
                _assign(network.model.variables, resumed[1])
                _assign(phase.optimizer.variables, resumed[2])
            best = _run(phase, state, best, plan, keeper, key, writer, execution.progress, told)
        # Machines may round differently where each has trained the head by itself.
        _assign(network.model.variables, list(team.of_chief(*best)))
    if told is not None:
        told.on_train_end()
        del network.model.optimizer
    if writer is not None:
        writer.close()
    if attribute_loss is not None:
        attribute_loss.give_back(network, classifier)
    return classifier, state.history


def _run(
    phase: Phase, state: Progress, best: list[np.ndarray], plan: _Plan, work_dir: Path | None, key: str, writer: Any,
    progress: bool, told: Any = None
) -> list[np.ndarray]:
    """Go on with the phase from `state` to its end and return the weights to keep."""
    network = phase.network
    count = len(phase.images)
    total, done = plan.epochs * count, state.epoch * count
    network.model.stop_training = False
    with tqdm(total=total, initial=done, desc=f"train {phase.name}", unit="image", disable=not progress) as bar:
        while not state.finished and state.epoch < plan.epochs:
            started = time.perf_counter()
            rate = phase.present_rate()
            if told is not None:
                told.on_epoch_begin(len(state.history))
            loss, accuracy, score = _agreed(phase, *phase.train_epoch(state.epoch, bar.update))
            if not np.isfinite(loss):
                advice = "learning_rate must be low enough for the loss to stay finite"
                raise InputError(f"{advice}. Received: {rate:g}, with loss {loss} in epoch {state.epoch + 1}.")
            state.epoch += 1
            record: dict[str, Any] = {"phase": phase.name, "epoch": state.epoch, "loss": loss, "train_accuracy": accuracy}
            if score is not None:
                record["validation_accuracy"] = score
                state.stale = 0 if score > state.best else state.stale + 1
            if score is None or score >= state.best:
                state.best, state.best_epoch = (-1.0 if score is None else score), state.epoch
                best = _values(network)
            record.update(learning_rate=rate, seconds=time.perf_counter() - started)
            state.history.append(record)
            if told is not None:
                logs = {known: record[name] for name, known in _IN_KERAS.items() if name in record}
                told.on_epoch_end(len(state.history) - 1, logs)
            state.finished = state.epoch == plan.epochs or state.stale >= plan.patience or network.model.stop_training
            if work_dir is not None:
                optimizer = [np.array(variable.numpy()) for variable in phase.optimizer.variables]
                save_checkpoint(work_dir, key, state, _values(network), optimizer, best)
                _log(writer, record, len(state.history))
            bar.set_postfix(epoch=state.epoch, **{name: f"{record[name]:.3f}" for name in _SHOWN if name in record})
    return best


def _agreed(phase: Phase, loss: float, accuracy: float) -> tuple[float, float, float | None]:
    """Return loss, accuracy and validation accuracy as the chief has them: every process then stops at the same epoch."""
    predicted = phase.predict_validation()
    score = 0.0
    if predicted is not None:
        score = class_normalised_accuracy(*predicted, phase.num_classes)
    (figures,) = phase.execution.team.of_chief(np.array([loss, accuracy, score]))
    return float(figures[0]), float(figures[1]), float(figures[2]) if predicted is not None else None


def _check_same_start(team: Team, state: Progress, key: str) -> None:
    """Raise an InputError unless every process starts from the same weights, images and epoch."""
    begun = fingerprint(key, state.phase, state.epoch)
    if len(set(team.of_each(int(begun[:15], 16)))) > 1:
        raise InputError(
            "Every worker must see the same --run_dir, images and weights. "
            f"Received: worker {team.index} starts from a different epoch or different data."
        )


def _phases(
    network: Network, images: Images, validation: Images | None, plan: _Plan, finetune: str, from_scratch: bool,
    features_of: Callable[[Images], np.ndarray] | None, attribute_loss: AttributeLoss | None, execution: Execution
) -> list[Phase]:
    options: dict[str, Any] = {
        "attribute_loss": attribute_loss, "batch_size": plan.batch_size, "weight_decay": plan.weight_decay, "seed": plan.seed,
        "execution": execution
    }
    if finetune == "all" and from_scratch:
        rate, cosine = plan.learning_rate, plan.epochs
        return [ImagePhase(network, images, validation, rate, cosine, train_batch_norm=True, **options)]
    head = FeaturePhase(network, images, validation, plan.learning_rate, features_of=features_of, **options)
    if finetune == "head":
        return [head]
    rate = plan.finetune_learning_rate
    return [head, ImagePhase(network, images, validation, rate, None, train_batch_norm=False, **options)]


def _check(network: Network, images: Images, plan: _Plan) -> None:
    classes = len(network.class_names)
    if not len(images):
        raise InputError("images must hold at least one training image. Received: none.")
    if images.labels.min() < 0 or images.labels.max() >= classes:
        raise InputError(f"labels must be in 0..{classes - 1}, the network's classes. Received: {int(images.labels.max())}.")
    for name in ("epochs", "batch_size", "patience"):
        if getattr(plan, name) < 1:
            raise InputError(f"{name} must be at least 1. Received: {getattr(plan, name)}.")
    for name in ("learning_rate", "finetune_learning_rate"):
        if not 0 < getattr(plan, name) < float("inf"):
            raise InputError(f"{name} must be greater than 0. Received: {getattr(plan, name)}.")
    if not 0 <= plan.weight_decay < float("inf"):
        raise InputError(f"weight_decay must be at least 0. Received: {plan.weight_decay}.")


def _seed_dropout(model: keras.Model, seed: int) -> None:
    for index, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([seed, index], np.int64))


def _values(network: Network) -> list[np.ndarray]:
    return [np.array(variable.numpy()) for variable in network.model.variables]


def _assign(variables: Any, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


# What tf.summary.scalar writes beside a number. That function needs TensorBoard, which need not be installed.
_SCALAR = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"))


def _log(writer: Any, record: dict[str, Any], step: int) -> None:
    with writer.as_default(step=step):
        for name, value in record.items():
            if isinstance(value, float):
                tf.summary.write(name, tf.constant(value, tf.float32), metadata=_SCALAR)
    writer.flush()
