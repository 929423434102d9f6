"""Coloured squares and what is said of them: what the baselines that read texts are tested on."""

from __future__ import annotations

from functools import cache

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds, main_partition
from niwt_tf.data.schema import Descriptions, SeenData
from niwt_tf.methods.task import Task, tasks_of
from niwt_tf.models.backbones import build_network

TEXTS = {
    "red": "a red bird.\n\nthe bird is red and long.", "green": "a green bird.", "blue": "this bird is blue.",
    "grey": "a bird of black and white.", "dark": "a black bird.",
}
NEW = Descriptions(
    ("teal", "rust"), np.zeros((2, 3), np.float32), ("a blue and green bird.", "a red and brown bird.\n\na red wing.")
)


def text_tasks(seen: SeenData, encoder: object, **options: object) -> list[Task]:
    """Return the main task and that of a fold with two validation classes, described by `TEXTS`."""
    names = seen.descriptions.names
    described = SeenData(seen.images, Descriptions(names, seen.descriptions.values, tuple(TEXTS[name] for name in names)))
    settings = Settings(text_features=f"encoder_words:{encoder}", knowledge="texts", num_folds=1, **options)
    partitions = [main_partition(described, 0), *class_folds(described, num_folds=1, num_validation=2, num_unseen=2, seed=0)]
    readers = {each.name: _reader(each.training.images.class_names) for each in partitions}
    return tasks_of(settings, partitions, {name: reader.network for name, reader in readers.items()}, readers)


@cache
def _reader(classes: tuple[str, ...]) -> Reader:
    return Reader(build_network("small_vgg", classes, input_size=16, seed=1))


def accuracy(task: Task, scores: np.ndarray) -> float:
    """Return the share of a task's training images whose class has the largest of scores [M, C]."""
    return float((scores[:, : task.num_seen].argmax(axis=1) == task.partition.training.images.labels).mean())
