"""What a client asks: one request at a time, whichever way it travels."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np


@dataclass(frozen=True)
class Outputs:
    """What one request was answered: arrays by name, strings as objects of bytes, and by which version, if that is said."""

    tensors: Mapping[str, np.ndarray]
    version: int | None


class Transport(Protocol):
    """A way to a model."""

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Outputs:
        """Send one request to a signature, with strings as arrays of bytes, and return its answer, which may take `seconds`.

        Raises:
            RequestError: it was not answered.
        """

    def close(self) -> None:
        """Give back connections and memory."""


# What a server of TensorFlow models says over HTTP for each code; the first of several codes is meant by a status.
_STATUS = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404, "ABORTED": 409, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "INTERNAL": 500,
    "DATA_LOSS": 500, "UNKNOWN": 500, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
# What proxies say.
_OTHER_CODES = {408: "DEADLINE_EXCEEDED", 413: "RESOURCE_EXHAUSTED", 502: "UNAVAILABLE"}


class RequestError(RuntimeError):
    """A request failed, with the name of a gRPC status, for instance "UNAVAILABLE", and what the server said as detail.

    It can be repeated where the same request may well be answered a little later.
    """

    def __init__(self, code: str, detail: str, can_be_repeated: bool = False) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.can_be_repeated = can_be_repeated


def http_status(code: str) -> int:
    """Return the HTTP status of a gRPC code; 500 for one that is not known."""
    return _STATUS.get(code, 500)


def grpc_code(status: int) -> str:
    """Return the gRPC code of an HTTP status that is an error; "UNKNOWN" for one that has none."""
    codes = (code for code, number in _STATUS.items() if number == status)
    return _OTHER_CODES.get(status) or next(codes, "UNKNOWN")


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Retrying:
    """How often and how long a request is tried.

    The timeout is in seconds, for a request with all its repetitions, `retries` at most, and the waits between them. The first
    wait is at most so many seconds; each later one may be twice as long, up to the longest.
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
