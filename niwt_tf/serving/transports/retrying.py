"""Repeating a request that a server was too busy to answer, with ever longer waits, until its time is over."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from niwt_tf.serving.transports.request_error import RequestError

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Retrying:
    """How often and how long a request is tried.

    Attributes:
        timeout: seconds for a request with all its repetitions and the waits between them.
        retries: repetitions at most.
        first_wait: seconds at most before the first repetition; each later wait may be twice as long.
        longest_wait: seconds at most before any.
    """

    timeout: float
    retries: int
    first_wait: float = 0.1
    longest_wait: float = 5.0

    def call(
        self,
        attempt: Callable[[float], Answer],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Answer:
        """Return what `attempt` returns; it is given the seconds that are left and may take them all.

        Raises:
            RequestError: repeating would not help, or `retries` repetitions of it failed, or the time was over.
        """
        end = clock() + self.timeout
        for repetition in range(self.retries + 1):
            try:
                return attempt(max(end - clock(), 1e-3))
            except RequestError as error:
                # A random part of the wait keeps many clients of one server from coming back all at once.
                wait = random.uniform(0.5, 1) * min(self.longest_wait, self.first_wait * 2**repetition)
                if not error.can_be_repeated or repetition == self.retries or clock() + wait >= end:
                    raise
            sleep(wait)
        raise AssertionError("The last repetition returns or raises.")
