"""Requests to a server over REST. Needs no TensorFlow."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import quote

import numpy as np
import urllib3

from niwt_tf.serving.client.rest_tensors import from_rows, to_rows
from niwt_tf.serving.client.transport import Outputs, RequestError, grpc_code

_FOR_NOW = (408, 429, 502, 503, 504)
_CONNECTIONS = 16
# More than any answer has: 4096 explanations of 100 kB.
_LARGEST = 2**29
_PIECE = 2**16


@contextmanager
def _cut_off(shut: Callable[[], None], seconds: float) -> Iterator[None]:
    """Run a block, and end what it waits for on a socket after some seconds.

    A socket's own timeout is of each read, so a server that sends a byte now and then could hold a request for ever.
    """

    def late() -> None:
        with suppress(OSError, ValueError, RuntimeError):  # it has ended meanwhile
            shut()

    timer = threading.Timer(max(seconds, 0), late)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _with_headers_in_time(pool: type[urllib3.HTTPConnectionPool]) -> type[urllib3.HTTPConnectionPool]:
    base: Any = pool.ConnectionCls

    class Connection(base):
        def getresponse(self) -> urllib3.HTTPResponse:
            assert self.timeout is not None, "every request is given a time"
            shut = partial(socket.socket.shutdown, self.sock, socket.SHUT_RDWR)  # of TLS too, without its farewell
            with _cut_off(shut, self.timeout):
                return super().getresponse()

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


_POOLS = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}


class RestTransport:
    """Connections to a model at "http://host:port", or https, kept open between requests; safe to use from several threads.

    The version is a number, a label, or None for the newest.
    """

    def __init__(self, url: str, name: str, version: int | str | None) -> None:
        if isinstance(version, str):
            part = f"/labels/{quote(version, '')}"
        else:
            part = "" if version is None else f"/versions/{version}"
        self._url = f"{url}/v1/models/{quote(name, '')}{part}:predict"
        self._connections = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False)
        self._connections.pool_classes_by_scheme = {name: _with_headers_in_time(each) for name, each in _POOLS.items()}

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Outputs:
        """See `Transport.call`."""
        body = json.dumps({"signature_name": signature, "instances": to_rows(inputs, as_bytes=True)}).encode()
        end = time.monotonic() + seconds
        try:
            status, content = self._exchanged(body, end)
        except (urllib3.exceptions.HTTPError, ValueError) as error:  # TLS that is cut off is a ValueError
            # A refused connection is one of urllib3's timeouts too.
            refused = isinstance(error, urllib3.exceptions.NewConnectionError)
            late = isinstance(error, urllib3.exceptions.TimeoutError) or time.monotonic() >= end
            code = "DEADLINE_EXCEEDED" if late and not refused else "UNAVAILABLE"
            raise RequestError(code, str(error), True) from None
        if time.monotonic() >= end:  # what was cut off may look like a whole answer
            raise RequestError("DEADLINE_EXCEEDED", f"The answer was not whole after {seconds:g} s.", True)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if status != 200:
            said = answer.get("error") if isinstance(answer, dict) else None
            text = said if isinstance(said, str) else f"HTTP status {status}"
            raise RequestError(grpc_code(status), text, status in _FOR_NOW)
        try:
            return Outputs(from_rows(answer["predictions"]), None)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise RequestError("INTERNAL", f"The answer does not come from a model server: {error!r}") from None

    def _exchanged(self, body: bytes, end: float) -> tuple[int, bytes]:
        """Return the status and the content that a request is answered.

        Raises:
            urllib3.exceptions.HTTPError: it is not answered, or not before `time.monotonic` is `end`.
            RequestError: the content is too large.
        """
        headers, timeout = {"Content-Type": "application/json"}, urllib3.Timeout(total=max(end - time.monotonic(), 1e-3))
        response = self._connections.request(
            "POST", self._url, body=body, headers=headers, timeout=timeout, preload_content=False
        )
        content = bytearray()
        try:
            with _cut_off(response.shutdown, end - time.monotonic()):
                while piece := response.read(_PIECE):
                    content += piece
                    if len(content) > _LARGEST:
                        raise RequestError("RESOURCE_EXHAUSTED", f"The answer is larger than {_LARGEST} bytes.")
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return response.status, bytes(content)

    def close(self) -> None:
        """Close the connections."""
        self._connections.clear()
