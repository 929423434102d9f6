"""Requests to a server over REST. Needs no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

import numpy as np
import urllib3

from niwt_tf.serving.transports.request_error import RequestError, grpc_code
from niwt_tf.serving.transports.rest_tensors import from_rows, to_rows
from niwt_tf.serving.transports.transport import Outputs

_FOR_NOW = (408, 429, 502, 503, 504)
_CONNECTIONS = 16


class RestTransport:
    """Connections to a model on a server, kept open between requests; safe to use from several threads.

    Args:
        url: "http://host:port", or https.
        name: of the model.
        version: a number, a label, or None for the newest.
    """

    def __init__(self, url: str, name: str, version: int | str | None) -> None:
        if isinstance(version, str):
            part = f"/labels/{quote(version, '')}"
        else:
            part = "" if version is None else f"/versions/{version}"
        self._url = f"{url}/v1/models/{quote(name, '')}{part}:predict"
        self._connections = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False)

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Outputs:
        """See `Transport.call`."""
        body = json.dumps({"signature_name": signature, "instances": to_rows(inputs, as_bytes=True)}).encode()
        headers, timeout = {"Content-Type": "application/json"}, urllib3.Timeout(total=seconds)
        try:
            response = self._connections.request("POST", self._url, body=body, headers=headers, timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            # A refused connection is one of urllib3's timeouts too.
            refused = isinstance(error, urllib3.exceptions.NewConnectionError)
            late = isinstance(error, urllib3.exceptions.TimeoutError) and not refused
            raise RequestError("DEADLINE_EXCEEDED" if late else "UNAVAILABLE", str(error), True) from None
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if response.status != 200:
            said = answer.get("error") if isinstance(answer, dict) else None
            text = said if isinstance(said, str) else f"HTTP status {response.status}"
            raise RequestError(grpc_code(response.status), text, response.status in _FOR_NOW)
        try:
            return Outputs(from_rows(answer["predictions"]), None)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError("INTERNAL", f"The answer is not that of a server of models: {error!r}") from None

    def close(self) -> None:
        """Close the connections."""
        self._connections.clear()
