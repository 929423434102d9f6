"""The REST half of the loopback server: predict, status and metadata as JSON."""

from __future__ import annotations

import json
import logging
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import model_pb2

from niwt_tf.errors import first_line
from niwt_tf.serving.client.rest_tensors import from_lists, from_rows, to_rows
from niwt_tf.serving.client.transport import RequestError, http_status
from niwt_tf.serving.loaded_version import LoadedVersion
from niwt_tf.serving.loopback.loopback_grpc import leased, status
from niwt_tf.serving.loopback.served_model import ServedModel

_LOG = logging.getLogger("niwt_tf.serving")
MOST_BYTES = 1 << 30  # of a request
_SLOWEST_SECONDS = 600.0  # that a client may say nothing
_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]{1,18})|/labels/(?P<label>[^/:]+))?(?P<verb>:predict|/metadata)?"
)


class RestServer(ThreadingHTTPServer):
    """Serves a model on 127.0.0.1, each connection in a thread of its own; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: ServedModel, port: int = 0) -> None:
        self.model = model
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write down what ended a connection, unless the client did."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            _LOG.exception("A connection ended.")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # status, headers and body in one piece
    timeout = _SLOWEST_SECONDS
    server: RestServer

    def do_GET(self) -> None:  # noqa: N802
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what it sends beside would be taken for its next request
        self._answer(b"")

    def do_POST(self) -> None:  # noqa: N802
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(411, {"error": "Content-Length must be given."})
        elif len(length) > 18 or int(length) > MOST_BYTES:
            self.close_connection = True
            self._send(413, {"error": f"The request must have at most {MOST_BYTES} bytes."})
        else:
            body = self.rfile.read(int(length))
            self.close_connection |= len(body) < int(length)  # the client has gone
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        try:
            answer = _answered(self.server.model, self.command, self.path, body)
        except RequestError as error:
            self._send(http_status(error.code), {"error": error.detail})
        except Exception as error:  # noqa: BLE001  a fault of the server's own is called one
            _LOG.exception("A request cannot be answered.")
            self._send(500, {"error": first_line(error)})
        else:
            self._send(200, answer)

    def _send(self, code: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def _answered(model: ServedModel, method: str, path: str, body: bytes) -> dict[str, Any]:
    found = _PATH.fullmatch(path)
    if not found or (found["verb"] == ":predict") != (method == "POST"):
        raise RequestError("INVALID_ARGUMENT", f"Malformed request: {method} {path}")
    spec = model_pb2.ModelSpec(name=unquote(found["name"]), version_label=unquote(found["label"] or ""))
    if found["version"]:
        spec.version.value = int(found["version"])
    if method == "GET" and not found["verb"]:
        return MessageToDict(status(model, spec), preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    with leased(model, spec) as version:
        return _metadata(spec, version) if method == "GET" else _predicted(version, body)


def _metadata(spec: Any, version: LoadedVersion) -> dict[str, Any]:
    definitions = {
        name: MessageToDict(definition, preserving_proto_field_name=True) for name, definition in version.definitions.items()
    }
    spec = {"name": spec.name, "signature_name": "", "version": str(version.number)}
    return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": definitions}}}


def _predicted(version: LoadedVersion, body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError("INVALID_ARGUMENT", f"JSON Parse error: {error}") from None
    if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
        raise RequestError("INVALID_ARGUMENT", "The request must be a JSON object with either 'instances' or 'inputs'.")
    signature = request.get("signature_name", "")
    if not isinstance(signature, str):
        raise RequestError("INVALID_ARGUMENT", "'signature_name' key must be a string value.")
    definition = version.definition(signature)
    try:
        inputs = _inputs(request, list(definition.inputs))
    except (ValueError, RecursionError) as error:
        raise RequestError("INVALID_ARGUMENT", f"JSON Value: {error}.") from None
    for name in inputs.keys() & definition.inputs.keys():
        expected = tf.as_dtype(definition.inputs[name].dtype)
        if expected.is_floating and inputs[name].dtype == np.int64:  # 255 is a number as 255.0 is
            inputs[name] = inputs[name].astype(expected.as_numpy_dtype)
    outputs = version.run(signature, inputs)
    rows = to_rows(outputs)
    single = next(iter(outputs)) if len(outputs) == 1 else None  # the name of an only output is not written
    if "instances" in request:
        return {"predictions": rows if single is None else [row[single] for row in rows]}
    columns = {name: [row[name] for row in rows] for name in outputs}
    return {"outputs": columns if single is None else columns[single]}


def _inputs(request: dict[str, Any], names: list[str]) -> dict[str, np.ndarray]:
    if "inputs" in request:
        columns = request["inputs"]
        if not isinstance(columns, dict) or (len(names) == 1 and set(columns) == {"b64"}):
            columns = {names[0]: columns} if len(names) == 1 else {}
        return {name: from_lists(value if isinstance(value, list) else [value], name) for name, value in columns.items()}
    rows = request["instances"]
    if not isinstance(rows, list) or not rows:
        raise ValueError("'instances' must be a list that is not empty")
    named = [isinstance(row, dict) and set(row) != {"b64"} for row in rows]
    if all(named):
        return from_rows(rows)
    if any(named) or len(names) != 1:
        raise ValueError("every row must be an object with the names of the inputs")
    return {names[0]: from_lists(rows, names[0])}
