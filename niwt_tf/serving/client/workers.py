"""Several processes of this machine that answer one question about many images, in the order of the images."""

from __future__ import annotations

import dataclasses
import itertools
import json
import queue
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from niwt_tf.config.surroundings import divided_environment, python_command, start_bound
from niwt_tf.errors import InputError
from niwt_tf.serving.client.question import Answering, Question
from niwt_tf.serving.client.records import Record
from niwt_tf.serving.client.transport import RequestError

AHEAD = 2  # lists of images that wait for each worker, so that none is idle while answers are written


def answered(
    question: Question, lists: Iterable[list[str]], workers: int = 1, progress: Callable[[int], None] = lambda count: None
) -> Iterator[list[Record]]:
    """Yield the records of each list of images, in their order; no more than a few lists are in memory at a time.

    One worker is this process; more are processes of their own, which share the processors and end with this one.

    Args:
        question: what is asked about each image.
        lists: lists of at least one name of a file.
        workers: how many.
        progress: called with the number of images that were answered since.

    Raises:
        InputError: see `Answering`; or a worker was ended by something else.
        RequestError: a batch was not answered.
    """
    if workers == 1:
        with closing(Answering(question)) as answering:
            for names in lists:
                yield answering.records(names, progress)
        return
    waiting: deque[Future[list[Record]]] = deque()
    # The processes end first, and then no thread waits for an answer any more.
    with ThreadPoolExecutor(workers) as threads, closing(_Processes(question, workers)) as processes:
        try:
            remaining = iter(lists)
            while True:
                room = workers * AHEAD - len(waiting)
                waiting.extend(threads.submit(processes.records, names) for names in itertools.islice(remaining, room))
                if not waiting:
                    return
                found = waiting.popleft().result()
                progress(len(found))
                yield found
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def records_of(answer: dict[str, Any]) -> list[Record]:
    """Return the records of a worker's answer.

    Raises:
        InputError, RequestError: it says so.
    """
    if "refused" in answer:
        raise RequestError(*answer["refused"])
    if "wrong_input" in answer:
        raise InputError(answer["wrong_input"])
    found: list[Record] = answer["records"]
    return found


class _Processes:
    """Processes that are started here and now, each asked by one thread at a time."""

    def __init__(self, question: Question, count: int) -> None:
        command, environment = python_command("niwt_tf.serving.client.worker_process"), divided_environment(count)
        self._all: list[subprocess.Popen[bytes]] = []
        self._idle: queue.Queue[subprocess.Popen[bytes]] = queue.Queue()
        for _ in range(count):
            process = start_bound(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._all.append(process)
            self._idle.put(process)
        self._question = json.dumps(dataclasses.asdict(question))
        self._told: set[int] = set()

    def records(self, names: list[str]) -> list[Record]:
        """Return the records of images, of whichever process is idle."""
        process = self._idle.get()
        try:
            answer = json.loads(self._exchanged(process, names))
        finally:
            self._idle.put(process)
        return records_of(answer)

    def _exchanged(self, process: subprocess.Popen[bytes], names: list[str]) -> bytes:
        assert process.stdin is not None and process.stdout is not None
        lines = [] if process.pid in self._told else [self._question]
        self._told.add(process.pid)
        try:
            process.stdin.write("".join(f"{line}\n" for line in [*lines, json.dumps(names)]).encode("ascii"))
            process.stdin.flush()
            answer = process.stdout.readline()
        except (BrokenPipeError, ValueError):
            answer = b""
        if not answer.endswith(b"\n"):
            status = process.wait()
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            rule = "--workers must not be more processes than fit into the memory"
            raise InputError(f"{rule}. Received: one of them ended ({how}).")
        return answer

    def close(self) -> None:
        """End the processes."""
        for process in self._all:
            process.kill()
            process.wait()
