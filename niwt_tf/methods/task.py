"""What a method is fitted on: one partition, its network, and whatever the candidates of a method share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from niwt_tf.compute.features import Reader
from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import Fold, Partition
from niwt_tf.data.sampling import evaluation_sample, held_out_sample
from niwt_tf.data.schema import Descriptions, Images
from niwt_tf.models.network import Network

T = TypeVar("T")


@dataclass
class Task:
    """One partition and all that a method may learn from it.

    Attributes:
        settings: the run's options.
        partition: its classes, training images and descriptions; a `Fold` has validation classes beside them.
        network: trained on those classes.
        reader: reads images through the network.
        source: what a method that is fitted on features reads of an image: by default what the head is applied to.
    """

    settings: Settings
    partition: Partition
    network: Network
    reader: Reader
    source: Callable[[Reader, Images], np.ndarray] = Reader.features
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def descriptions(self) -> Descriptions:
        """Of the partition's S classes."""
        return self.partition.training.descriptions

    @property
    def num_seen(self) -> int:
        """S."""
        return len(self.partition.classes)

    def features(self, images: Images) -> np.ndarray:
        """Return features [M, D] of images; those that every candidate is scored on are read once."""
        for key in ("held out", "evaluated"):
            if self._made.get(key) is images:
                return self.cached(("features", key), lambda: self.source(self.reader, images))
        return self.source(self.reader, images)

    def cached(self, key: Any, make: Callable[[], T]) -> T:
        """Return what was kept for a key, else what `make` gives, made once: what the candidates of a task share."""
        if key in self._kept:
            return self._kept[key]
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def keep(self, key: Any, value: Any) -> None:
        """Put in what `cached` will give for a key: what a preparation, or a stage of a run, has found for the task."""
        self._kept[key] = value

    def with_settings(self, settings: Settings) -> Task:
        """Return the task with other options, and with nothing but what was kept: those must not change that."""
        other = Task(settings, self.partition, self.network, self.reader, self.source)
        other._kept.update(self._kept)
        return other

    @property
    def held_out(self) -> Images:
        """Images of the partition's classes that its network was not trained on, a sample where they are many."""
        return self.cached("held out", lambda: held_out_sample(self.settings, self.partition))

    @property
    def evaluated(self) -> Images:
        """Images of a fold that candidates are scored on: held-out ones and those of its validation classes."""
        assert isinstance(self.partition, Fold), "only a fold has validation classes"
        fold = self.partition
        return self.cached("evaluated", lambda: evaluation_sample(self.settings, fold))


def folds_of(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks whose partitions have validation classes."""
    return [task for task in tasks if isinstance(task.partition, Fold)]


def tasks_of(
    settings: Settings, partitions: Sequence[Partition], networks: Mapping[str, Network], readers: Mapping[str, Reader],
    source: Callable[[Reader, Images], np.ndarray] = Reader.features
) -> list[Task]:
    """Return a task for each partition, in their order; networks and readers are by the partitions' names."""
    return [Task(settings, each, networks[each.name], readers[each.name], source) for each in partitions]
