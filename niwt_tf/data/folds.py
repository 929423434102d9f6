"""Validation classes: seen classes that are held out as if unseen, so that every choice can be made without a test image.

Everything here starts from `SeenData`, which holds no test image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwt_tf.data.schema import Descriptions, Images, SeenData
from niwt_tf.errors import InputError

VALIDATION_FRACTION = 0.15
# What is chosen on a world of two or three classes says nothing about the real one.
_FEWEST_KEPT = 4


def hold_out_images(images: Images, fraction: float = VALIDATION_FRACTION, seed: int = 0) -> tuple[Images, Images]:
    """Part the images of each class into (kept, held out), the second at least one where a class has two."""
    generator = np.random.default_rng(seed)
    held: list[np.ndarray] = []
    for label in range(len(images.class_names)):
        members = generator.permutation(np.flatnonzero(images.labels == label))
        count = max(1, round(fraction * len(members))) if len(members) > 1 else 0
        held.append(members[:count])
    chosen = np.sort(np.concatenate(held)).astype(np.int64)
    kept = np.setdiff1d(np.arange(len(images)), chosen)
    return images.take(kept), images.take(chosen)


@dataclass(frozen=True)
class Partition:
    """A part of the seen classes, or all of them, that one network is trained on."""

    name: str  # "main", or "fold_0" and so on
    classes: np.ndarray  # indices of its classes among the S seen ones, ascending
    training: SeenData  # images and descriptions of its classes
    held_out: Images  # of the same classes, for early stopping and the scale of logits


@dataclass(frozen=True)
class Fold(Partition):
    """A partition that leaves V seen classes out, which play the unseen ones."""

    validation: np.ndarray  # indices of those classes among the seen ones, ascending
    evaluation: Images  # `held_out` and training images of the validation classes, labelled with the partition's classes first
    validation_descriptions: Descriptions


def main_partition(seen: SeenData, seed: int) -> Partition:
    """Return the partition that has all seen classes."""
    training, held_out = hold_out_images(seen.images, seed=seed)
    return Partition("main", np.arange(len(seen.descriptions)), SeenData(training, seen.descriptions), held_out)


def class_folds(seen: SeenData, *, num_folds: int, num_validation: int | None, num_unseen: int, seed: int) -> list[Fold]:
    """Draw `num_folds` disjoint groups of validation classes, one a fold.

    Fewer are made where the classes do not suffice, none where fewer than 4 would stay seen or have an image to hold out. A
    fold has `num_validation` classes; None takes the share that the `num_unseen` unseen classes have of all.

    Raises:
        InputError: fewer than 2 classes would stay seen.
    """
    num_seen = len(seen.descriptions)
    share = round(num_seen * num_unseen / (num_seen + num_unseen))
    size = num_validation if num_validation is not None else min(max(share, 2), num_seen // 2)
    if num_validation is None and num_seen - size < _FEWEST_KEPT:
        return []
    if num_seen - size < 2:
        raise InputError(f"--validation_classes must leave at least 2 of {num_seen} seen classes to train. Received: {size}.")
    order = np.random.default_rng([seed, 7]).permutation(num_seen)
    count = min(num_folds, num_seen // size)
    folds = [_fold(seen, index, np.sort(order[index * size : (index + 1) * size]), seed) for index in range(count)]
    # Without held-out images of kept classes seen accuracy cannot be weighed against unseen accuracy.
    measurable = all(len(np.unique(fold.held_out.labels)) >= _FEWEST_KEPT for fold in folds)
    return folds if measurable or num_validation is not None else []


def _fold(seen: SeenData, index: int, validation: np.ndarray, seed: int) -> Fold:
    kept = np.setdiff1d(np.arange(len(seen.descriptions)), validation)
    of_kept = seen.of_classes(kept)
    training, held_out = hold_out_images(of_kept.images, seed=seed)
    pseudo_unseen = seen.images.of_classes(validation)
    names = of_kept.images.class_names + pseudo_unseen.class_names
    labels = np.concatenate([held_out.labels, pseudo_unseen.labels + len(kept)])
    evaluation = Images(seen.images.root, held_out.paths + pseudo_unseen.paths, labels, names)
    training_data, unseen = SeenData(training, of_kept.descriptions), seen.descriptions.take(validation)
    return Fold(f"fold_{index}", kept, training_data, held_out, validation, evaluation, unseen)
