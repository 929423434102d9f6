"""The processes and devices that work on one run together, and the exact sums that they exchange."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from typing import Any

import numpy as np

from niwt_tf.errors import check_choice
from niwt_tf.method.cluster import ROLL_CALL_SECONDS, Cluster, cluster_of, roll_call

STRATEGIES = ("none", "mirrored", "multiworker")
# Numbers that tell these exchanges from those of the strategy, which counts its own upwards from 1.
_GROUP = 1_000_003


class Team:
    """One process alone.

    Every member calls every method in the same order with arrays of the same shapes; all get the same answers.

    Attributes:
        index: this process, 0 for the one that writes files.
        size: number of processes.
        strategy: the `tf.distribute.Strategy` that training runs under, or None.
    """

    index = 0
    size = 1
    strategy: Any = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the results."""
        return self.index == 0

    def share(self, count: int) -> np.ndarray:
        """Return which of `count` items this process works on, ascending; the shares are disjoint and cover all."""
        return np.arange(self.index, count, self.size)

    def sum(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the sums over the processes, in each array's own type (float64 sums stay float64)."""
        return arrays

    def barrier(self) -> None:
        """Wait until every process has come here."""

    def of_chief(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the chief's arrays, whatever the others hold."""
        return arrays

    def of_each(self, value: int) -> list[int]:
        """Return every process's integer (64 bits, signed), by index."""
        return [value]


ALONE = Team()


class MirroredTeam(Team):
    """One process that trains on every GPU of its machine, or on its CPU where there is none."""

    def __init__(self, devices: list[str] | None = None) -> None:
        """Take `devices`, by default all GPUs."""
        import tensorflow as tf

        if devices is None:
            logical = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
            devices = [device.name for device in logical]
        self.strategy = tf.distribute.MirroredStrategy(devices)


class WorkerTeam(Team):
    """One of several processes, usually each on its own machine. Make it before TensorFlow has done anything else.

    Sums are ring all-reduces between the processes' CPUs in the array's own type. Each part of an array is added up once, in
    one order, and handed round, so that every process gets the same bits.
    """

    def __init__(self, cluster: Cluster, seconds: float = ROLL_CALL_SECONDS) -> None:
        """Wait for the others, at most `seconds`, then connect.

        Raises:
            InputError: some process has not come in time.
        """
        roll_call(cluster, seconds)
        import tensorflow as tf

        # TensorFlow catches SIGTERM from here on and would only make a note of it; a scheduler's stop must stop.
        own = signal.getsignal(signal.SIGTERM)
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, own or signal.SIG_DFL)
        self.index, self.size = cluster.index, cluster.size
        self._exchanges = itertools.count(1)

    def sum(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the sums over the processes, in each array's own type (float64 sums stay float64)."""
        return tuple(self._sum(np.asarray(array)) for array in arrays)

    def barrier(self) -> None:
        """Wait until every process has come here."""
        self._sum(np.ones(1, np.int64))

    def of_chief(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the chief's arrays, whatever the others hold."""
        return self.sum(*(np.asarray(array) if self.is_chief else np.zeros_like(array) for array in arrays))

    def of_each(self, value: int) -> list[int]:
        """Return every process's integer (64 bits, signed), by index."""
        slots = np.zeros(self.size, np.int64)
        slots[self.index] = value
        return [int(each) for each in self._sum(slots)]

    def _sum(self, array: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        if not array.size:
            return array
        # No time limit: the chief may be writing for minutes. A process that is gone is noticed by its missing heartbeat.
        with tf.device("CPU:0"):
            total = tf.raw_ops.CollectiveReduceV2(
                input=tf.constant(array),
                group_size=self.size,
                group_key=_GROUP,
                instance_key=next(self._exchanges),
                ordering_token=[],
                merge_op="Add",
                final_op="Id",
            )
        return np.array(total.numpy())


def team_of(strategy: str, seconds: float = ROLL_CALL_SECONDS) -> Team:
    """Return the team of a strategy: "none", "mirrored" (this machine's devices) or "multiworker" (TF_CONFIG's processes).

    Call it once a process, before TensorFlow has done anything. `seconds` is how long the others are waited for.

    Raises:
        InputError: an unknown strategy, a TF_CONFIG that is absent or wrong, or a worker that does not come.
    """
    check_choice("strategy", strategy, STRATEGIES)
    if strategy == "multiworker":
        return WorkerTeam(cluster_of(os.environ), seconds)
    return MirroredTeam() if strategy == "mirrored" else ALONE
