"""Machines of a Ray cluster that answer one question about many images, in the order of the images.

Ray's actors stand for the processes of `workers`: lists of names go to them, records come back, and the list of images and the
file of answers stay with the process that asks. That is why it is Ray and not Beam: a runner of Beam would write the answers
itself, in an order of its own, and could not go on in a file that an earlier job began.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from niwt_tf.config.extras import imported
from niwt_tf.errors import InputError, first_line
from niwt_tf.serving.client.question import Question
from niwt_tf.serving.client.records import Record
from niwt_tf.serving.client.worker_process import Answerer
from niwt_tf.serving.client.workers import AHEAD, records_of

_LOG = logging.getLogger("niwt_tf")


def answered_by_cluster(
    question: Question, lists: Iterable[list[str]], address: str, workers: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Iterator[list[Record]]:
    """Yield the records of each list of images, in their order; no more than a few lists are in memory at a time.

    Every machine must have this package, and see the bundle and the images under the same paths. What a machine had not
    answered when it was lost goes to another one.

    Args:
        question: what is asked about each image.
        lists: lists of at least one name of a file, absolute.
        address: "auto" for a cluster that runs on this machine or that RAY_ADDRESS names, or "host:port".
        workers: how many, each with a processor of its own; None takes as many as the cluster has processors.
        progress: called with the number of images that were answered since.

    Raises:
        InputError: Ray is not installed, there is no such cluster, see `Answering`, or no worker is left.
        RequestError: a batch was not answered.
    """
    ray = _connected(address)
    try:
        pool = _Pool(ray, question, workers or int(ray.cluster_resources().get("CPU", 1)))
        remaining = iter(lists)
        waiting: deque[_Sent] = deque()
        while True:
            room = pool.size * AHEAD - len(waiting)
            waiting.extend(pool.send(names) for names in itertools.islice(remaining, max(room, 0)))
            if not waiting:
                return
            found = records_of(pool.answer(waiting.popleft()))
            progress(len(found))
            yield found
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    ray = imported("ray", "--cluster")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        rule = "--cluster must be auto or the address of a running cluster, which ray start --head starts"
        raise InputError(f"{rule}. Received: {address!r} ({first_line(error).rstrip('.')}).") from None
    return ray


@dataclasses.dataclass
class _Sent:
    """A list of names that a worker was given, by its number, and what will be its answer."""

    names: list[str]
    worker: int
    answer: Any


class _Pool:
    """Workers of a cluster, each with the lists that it has not answered."""

    def __init__(self, ray: Any, question: Question, count: int) -> None:
        self._ray = ray
        kind = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(Answerer)
        asked = dataclasses.asdict(question)
        self._workers = {number: kind.remote(asked) for number in range(count)}
        self._loads = dict.fromkeys(self._workers, 0)

    @property
    def size(self) -> int:
        """How many workers are left."""
        return len(self._workers)

    def send(self, names: list[str]) -> _Sent:
        """Give names to the worker with the fewest lists."""
        worker = min(self._workers, key=lambda number: self._loads[number])
        self._loads[worker] += 1
        return _Sent(names, worker, self._workers[worker].answer.remote(names))

    def answer(self, sent: _Sent) -> dict[str, Any]:
        """Return an answer, of another worker where the one that was asked is lost.

        Raises:
            InputError: no worker is left, or none can be made.
        """
        errors = self._ray.exceptions
        while True:
            try:
                answer: dict[str, Any] = self._ray.get(sent.answer)
                self._loads[sent.worker] -= 1
                return answer
            except (errors.RayActorError, errors.ObjectLostError) as error:
                if self._workers.pop(sent.worker, None) is not None:
                    _LOG.warning("A worker of the cluster was lost; %d are left.", len(self._workers))
                if not self._workers:
                    rule = "--cluster must keep at least one worker; the same command goes on from here"
                    raise InputError(f"{rule}. Received: none is left ({first_line(error).rstrip('.')}).") from None
            except errors.RayTaskError as error:
                rule = "--cluster must consist of machines that have this package"
                raise InputError(f"{rule}. Received: {str(error).strip().splitlines()[-1].rstrip('.')}.") from None
            sent = self.send(sent.names)
