"""The processes and devices that work on one run together, and the exact sums that they exchange."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from niwt_tf.errors import InputError, check_choice

ROLL_CALL_SECONDS = 300.0
_GREETING = "niwt-tf worker"
_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
_JOBS = ("chief", "worker")


@dataclass(frozen=True)
class Cluster:
    """The processes of a run.

    Attributes:
        addresses: `host:port` of each process, the chief's first.
        index: which of them this one is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def size(self) -> int:
        """Number of processes."""
        return len(self.addresses)


def cluster_of(environment: Mapping[str, str]) -> Cluster:
    """Return the cluster that TF_CONFIG describes: {"cluster": {"worker": [addresses]}, "task": {"type", "index"}}.

    A job "chief" of one process may come before the workers.

    Raises:
        InputError: TF_CONFIG is absent, is not such JSON, or names a task that it does not list.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        _refuse("must be set", "nothing")
    try:
        config = json.loads(text)
    except ValueError:
        _refuse("must be JSON", repr(text))
    listed = config.get("cluster") if isinstance(config, dict) else None
    task = config.get("task") if isinstance(config, dict) else None
    if not isinstance(listed, dict) or not listed or not isinstance(task, dict):
        _refuse('must have a "cluster" and a "task"', repr(text))
    jobs: dict[str, list[str]] = {}
    for job, addresses in listed.items():
        if job not in _JOBS:
            _refuse('must list no other processes than "worker" and one "chief"', repr(job))
        if not isinstance(addresses, list) or not addresses or not all(_is_address(each) for each in addresses):
            _refuse(f'must list the addresses host:port of each "{job}"', repr(addresses))
        jobs[job] = addresses
    if len(jobs.get("chief", [])) > 1:
        _refuse('must list one "chief" at most', repr(jobs["chief"]))
    every = tuple(address for job in _JOBS for address in jobs.get(job, []))
    if len(set(every)) < len(every):
        _refuse("must list each address once", repr(list(every)))
    job, index = task.get("type"), task.get("index")
    if job not in jobs:
        _refuse(f'must have a task "type" that its cluster lists ({", ".join(jobs)})', repr(job))
    # Some launchers write the index as text; TensorFlow takes both.
    number = int(index) if isinstance(index, str) and index.isdecimal() else index
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(jobs[job]):
        _refuse(f'must have a task "index" in 0..{len(jobs[job]) - 1} for "{job}"', repr(index))
    return Cluster(every, number + (len(jobs.get("chief", [])) if job == "worker" else 0))


def roll_call(cluster: Cluster, seconds: float = ROLL_CALL_SECONDS) -> None:
    """Return once every process of the cluster has come to its own roll call.

    TensorFlow itself would wait for an hour and could not be interrupted. The chief listens on the port that it will serve on;
    the others report there.

    Raises:
        InputError: some have not come in time, or the chief's port is taken.
    """
    if cluster.size == 1:
        return
    deadline = time.monotonic() + seconds
    if cluster.index == 0:
        _call(cluster, deadline, seconds)
    else:
        _report(cluster, deadline, seconds)


def _call(cluster: Cluster, deadline: float, seconds: float) -> None:
    port = int(cluster.addresses[0].rpartition(":")[2])
    came: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as open_sockets:
        try:
            server = open_sockets.enter_context(socket.create_server(("", port), backlog=max(cluster.size, 16)))
        except OSError as error:
            received = f"{port} ({error.strerror or error})"
            raise InputError(f"TF_CONFIG must give the chief a free port of its machine. Received: {received}.") from None
        while len(came) < cluster.size - 1:
            try:
                server.settimeout(max(deadline - time.monotonic(), 0.001))
                connection, _ = server.accept()
            except TimeoutError:
                absent = [i for i in range(1, cluster.size) if i not in came]
                names = ", ".join(f"{i} ({cluster.addresses[i]})" for i in absent)
                raise InputError(
                    "--strategy=multiworker needs the same command running on every worker. "
                    f"Received: no answer from worker {names} within {seconds:g} s."
                ) from None
            open_sockets.enter_context(connection)
            with contextlib.suppress(OSError, ValueError):
                connection.settimeout(5)
                name, _, number = connection.recv(64).decode().rpartition(" ")
                if name == _GREETING and 0 < int(number) < cluster.size:
                    came[int(number)] = connection
        for connection in came.values():
            with contextlib.suppress(OSError):
                connection.sendall(b"go")


def _report(cluster: Cluster, deadline: float, seconds: float) -> None:
    host, _, port = cluster.addresses[0].rpartition(":")
    reason: object = "no answer"
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as connection:
                connection.sendall(f"{_GREETING} {cluster.index}".encode())
                # The chief answers when all have come; if it ends before, this is b"" and is tried again.
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                if connection.recv(2) == b"go":
                    return
                reason = "it ended"
        except OSError as error:
            reason = error.strerror or error
        time.sleep(0.2)
    raise InputError(
        "--strategy=multiworker needs the same command running on every worker. "
        f"Received: no answer from the chief {cluster.addresses[0]} within {seconds:g} s ({reason})."
    )


def _is_address(value: Any) -> bool:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _refuse(rule: str, received: str) -> NoReturn:
    raise InputError(f"TF_CONFIG {rule} for --strategy=multiworker, for instance {_EXAMPLE}. Received: {received}.")


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

    def __init__(self) -> None:
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self.strategy = tf.distribute.MirroredStrategy([device.name for device in devices])


class WorkerTeam(Team):
    """One of several processes, usually each on its own machine. Make it before TensorFlow has done anything else.

    Sums are ring all-reduces between the processes' CPUs in the array's own type. Each part of an array is added up once, in
    one order, and handed round, so that every process gets the same bits.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Wait for the others, at most `ROLL_CALL_SECONDS`, then connect.

        Raises:
            InputError: some process has not come in time.
        """
        roll_call(cluster)
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
                input=tf.constant(array), group_size=self.size, group_key=_GROUP, instance_key=next(self._exchanges),
                ordering_token=[], merge_op="Add", final_op="Id"
            )
        return np.array(total.numpy())


def team_of(strategy: str) -> Team:
    """Return the team of a strategy: "none", "mirrored" (this machine's devices) or "multiworker" (TF_CONFIG's processes).

    Call it once a process, before TensorFlow has done anything.

    Raises:
        InputError: an unknown strategy, a TF_CONFIG that is absent or wrong, or a worker that does not come.
    """
    check_choice("strategy", strategy, STRATEGIES)
    if strategy == "multiworker":
        return WorkerTeam(cluster_of(os.environ))
    return MirroredTeam() if strategy == "mirrored" else ALONE
