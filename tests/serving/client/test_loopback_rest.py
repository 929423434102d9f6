"""Requests and answers that are none: what the loopback server and a client make of them, without a network."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import contextmanager

import pytest
from tensorflow.core.framework import tensor_pb2

from niwt_tf.serving.client import grpc_transport
from niwt_tf.serving.client.rest_tensors import from_rows
from niwt_tf.serving.client.transport import RequestError
from niwt_tf.serving.loopback import loopback_grpc
from niwt_tf.serving.loopback.loopback_rest import RestServer

POST = b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: a\r\n"


class _Model:
    name = "toy"

    def states(self):
        return {1: None}

    @contextmanager
    def lease(self, name, version, label):
        raise RuntimeError("a fault of the server's\nand more")
        yield


@pytest.mark.parametrize("rows", [9, None, "text", {"0": {}}, ["a"], [[]], [{"x": 1}, 2]])
def test_what_are_no_rows_is_a_value_error(rows):
    with pytest.raises(ValueError, match="rows must be a list of objects"):
        from_rows(rows)


@pytest.fixture
def port():
    with RestServer(_Model()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def _answers(port, content: bytes) -> list[bytes]:
    """Return the status lines of all that is answered until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return [line for line in received.replace(b"}HTTP", b"}\r\nHTTP").split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 99999999999999999999\r\n", 413),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", 413),
        (b"Content-Length: 1073741825\r\n", 413),
        (b"Content-Length: -5\r\n", 411),
        (b"Content-Length: \xb2\r\n", 411),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", 411),
        (b"", 411),
    ],
)
def test_a_length_that_cannot_be_is_refused_and_the_connection_closed(port, headers, status):
    (line,) = _answers(port, POST + headers + b"\r\n{}" + POST)
    assert int(line.split()[1]) == status


def test_what_is_sent_beside_a_question_without_content_is_no_request(port):
    asked = b"GET /v1/models/toy HTTP/1.1\r\nHost: a\r\n"
    assert [line.split()[1] for line in _answers(port, asked + b"\r\n" + asked + b"\r\n")] == [b"200", b"200"]
    assert len(_answers(port, asked + b"Content-Length: 60\r\n\r\n" + asked + b"\r\n")) == 1


def test_a_fault_of_the_server_is_called_one(port, caplog):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(POST + b"Content-Length: 2\r\n\r\n{}")
        received = connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 500 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2]) == {"error": "a fault of the server's"}
    assert "A request cannot be answered." in caplog.text


def test_a_client_that_goes_away_leaves_no_traceback(port, capfd, caplog):
    for content in (b"\0" * 100, POST + b"Content-Length: 50\r\n\r\nab", b"GET " + b"x" * 100_000):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(content)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it is reset
    time.sleep(0.2)
    assert _answers(port, b"GET /v1/models/toy HTTP/1.1\r\nHost: a\r\n\r\n") == [b"HTTP/1.1 200 OK"]
    assert "Traceback" not in capfd.readouterr().err and "Traceback" not in caplog.text


def test_tensors_of_one_request_declare_no_more_than_one_may(monkeypatch):
    monkeypatch.setattr(loopback_grpc, "_MOST_BYTES", 1000)
    shape = {"dim": [{"size": 200}]}
    tensor = tensor_pb2.TensorProto(dtype=1, tensor_shape=shape, float_val=[0.0])
    assert loopback_grpc._array("a", tensor, 1000).shape == (200,)
    with pytest.raises(RequestError, match=r"b is not a tensor: its shape \[200\] is that of 800 bytes, more than 1000 in a"):
        loopback_grpc._array("b", tensor, 200)


def test_an_answer_that_declares_more_than_any_has_is_not_made():
    outputs = {"scores": tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2**43}]}, float_val=[0.0])}
    with pytest.raises(RequestError, match="The answer has 8796093022208 numbers in scores, more than 134217728."):
        grpc_transport._arrays(outputs)
    outputs["scores"].tensor_shape.dim[0].size = 3
    assert grpc_transport._arrays(outputs)["scores"].tolist() == [0, 0, 0]
