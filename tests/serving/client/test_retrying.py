from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from niwt_tf.serving.client import rest_transport
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.transport import RequestError, Retrying, grpc_code, http_status

ANSWER = {"labels": [["hen"]], "scores": [[1.0]], "is_seen": [[1.0]]}


class Flaky(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers a request after as many failures as it is told, and not before it is let go."""

    def __init__(self, failures: int, code: str) -> None:
        self.failures, self.code, self.calls = failures, code, 0
        self.let_go = threading.Event()
        self.let_go.set()

    def Predict(self, request, context):  # noqa: N802
        self.calls += 1
        self.let_go.wait(60)
        if self.calls <= self.failures:
            context.abort(grpc.StatusCode[self.code], "not now")
        response = predict_pb2.PredictResponse()
        for name, value in ANSWER.items():
            kind = object if name == "labels" else np.float32
            response.outputs[name].CopyFrom(tf.make_tensor_proto(np.array(value, kind)))
        return response


@contextmanager
def flaky_grpc(flaky, port=0):
    server = grpc.server(ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(flaky, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def flaky_rest(flaky):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            self.rfile.read(int(self.headers["Content-Length"]))
            flaky.calls += 1
            flaky.let_go.wait(60)
            failed = flaky.calls <= flaky.failures
            rows = [{name: value[0] for name, value in ANSWER.items()}]
            body = json.dumps({"error": "not now"} if failed else {"predictions": rows}).encode()
            self.send_response(http_status(flaky.code) if failed else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


PROTOCOLS = {"grpc": flaky_grpc, "rest": flaky_rest}


@pytest.fixture(params=sorted(PROTOCOLS))
def serve(request):
    return PROTOCOLS[request.param]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_what_fails_for_now_is_asked_again(serve, code):
    flaky = Flaky(2, code)
    with serve(flaky) as url, Client(url, "toy", retries=2) as client:
        assert client.classify([b"image"]).labels == (("hen",),)
    assert flaky.calls == 3


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL", "PERMISSION_DENIED"])
def test_what_would_fail_again_is_not(serve, code):
    flaky = Flaky(1, code)
    with serve(flaky) as url, Client(url, "toy") as client, pytest.raises(RequestError, match="not now") as raised:
        client.call("serving_default", {"image_bytes": np.array([b"image"], object)})
    assert flaky.calls == 1 and raised.value.code == code


def test_too_many_requests_are_asked_again_over_rest_alone():
    """A proxy says 429 of a moment; gRPC says the same code of a message that is too large for ever."""
    with flaky_rest(Flaky(1, "RESOURCE_EXHAUSTED")) as url, Client(url, "toy") as client:
        assert client.classify([b"image"]).labels == (("hen",),)
    with flaky_grpc(Flaky(1, "RESOURCE_EXHAUSTED")) as url, Client(url, "toy") as client, pytest.raises(RequestError):
        client.classify([b"image"])


def test_repetitions_end(serve):
    flaky = Flaky(99, "UNAVAILABLE")
    with serve(flaky) as url, Client(url, "toy", retries=2) as client, pytest.raises(RequestError, match="^UNAVAILABLE: not"):
        client.classify([b"image"])
    assert flaky.calls == 3


def test_a_slow_server_is_left_in_time(serve):
    flaky = Flaky(0, "OK")
    flaky.let_go.clear()  # who waits for longer gets an answer in the end
    with serve(flaky) as url, Client(url, "toy", timeout=0.3) as client:
        begun = time.monotonic()
        with pytest.raises(RequestError) as raised:
            client.classify([b"image"])
        assert time.monotonic() - begun > 0.2
        flaky.let_go.set()
    # On a busy machine the time may be over before the server has begun.
    assert raised.value.code == "DEADLINE_EXCEEDED" and flaky.calls <= 1


@contextmanager
def _dripping(content: bytes, at_once: int, connections=None, whole=()):
    """Answer every request with some bytes at once and then one each 0.1 s; `whole` takes what was sent to its end so."""
    stop = threading.Event()

    def answer(connection):
        with connection, suppress(OSError):
            while not stop.is_set() and connection.recv(2**16):
                connection.sendall(content[:at_once])
                for place in range(at_once, len(content)):
                    if stop.wait(0.1):
                        return
                    connection.sendall(content[place : place + 1])
                if at_once < len(content):
                    whole.append(content)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                if connections is not None:
                    connections.append(connection.getpeername())
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stop.set()
            listening.shutdown(socket.SHUT_RDWR)


# With so many blanks behind it that a minute passes until all has dripped: enough for the busiest client to leave before.
_BODY = json.dumps({"predictions": [{name: value[0] for name, value in ANSWER.items()}]}).encode() + b" " * 600
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)


SELDOM = (pytest.mark.slow, pytest.mark.combination)


@pytest.mark.parametrize(
    ("content", "at_once"),
    [
        pytest.param(_HEAD + _BODY, len(_HEAD), id="content of a length"),
        pytest.param(_HEAD + _BODY, 5, id="headers", marks=SELDOM),
        pytest.param(_CHUNKED, 60, id="chunks"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + _BODY, 25, id="content up to the end of the connection", marks=SELDOM),
    ],
)
def test_a_server_that_drips_is_left_in_time(content, at_once):
    whole = []
    with _dripping(content, at_once, whole=whole) as url, Client(url, "toy", timeout=0.7, retries=2) as client:
        begun = time.monotonic()
        with pytest.raises(RequestError) as raised:
            client.classify([b"image"])
        assert time.monotonic() - begun > 0.6 and not whole
    assert raised.value.code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("content", [_HEAD + _BODY, _CHUNKED], ids=["length", "chunked"])
def test_a_connection_is_kept_for_the_next_request(content):
    connections = []
    with _dripping(content, len(content), connections) as url, Client(url, "toy") as client:
        for _ in range(3):
            assert client.classify([b"image"]).labels == (("hen",),)
    assert len(connections) == 1


def test_an_answer_without_end_is_not_taken(monkeypatch):
    monkeypatch.setattr(rest_transport, "_LARGEST", 100)
    content = _HEAD.replace(b"%d" % len(_BODY), b"200000") + b" " * 200000
    with _dripping(content, len(content)) as url, Client(url, "toy") as client, pytest.raises(RequestError) as raised:
        client.classify([b"image"])
    assert raised.value.code == "RESOURCE_EXHAUSTED" and "larger than 100 bytes" in raised.value.detail


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_server_that_is_not_there_is_unavailable(scheme):
    with Client(f"{scheme}://127.0.0.1:{_free_port()}", "toy", retries=1) as client, pytest.raises(RequestError) as raised:
        client.classify([b"image"])
    assert raised.value.code == "UNAVAILABLE"


def test_a_server_that_comes_up_is_found():
    port, found = _free_port(), []
    with Client(f"grpc://127.0.0.1:{port}", "toy", retries=20) as client:
        asking = threading.Thread(target=lambda: found.append(client.classify([b"image"])))
        asking.start()
        time.sleep(0.5)
        with flaky_grpc(Flaky(0, "OK"), port):
            asking.join(120)
    assert found and found[0].labels == (("hen",),)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"{}"]
    + [b'{"predictions": %s}' % each for each in (b"3", b'{"0": {}}', b'["a"]', b"[[]]", b"null", b'[{"labels": null}]')],
)
def test_an_answer_of_something_else_is_named(body):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *args):  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with Client(url, "toy") as client, pytest.raises(RequestError, match="does not come from a model server"):
            client.classify([b"image"])


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now, self.waits = 100.0, []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


def _attempts(retrying, takes=0.0):
    clock, given = Clock(), []

    def attempt(seconds):
        given.append(seconds)
        clock.now += takes
        raise RequestError("UNAVAILABLE", "", True)

    with pytest.raises(RequestError):
        retrying.call(attempt, clock.sleep, lambda: clock.now)
    return clock, given


def test_waits_grow_and_are_not_all_alike():
    clock, _ = _attempts(Retrying(1e6, 9, first_wait=1, longest_wait=20))
    longest = [1, 2, 4, 8, 16, 20, 20, 20, 20]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(clock.waits, longest, strict=True))
    assert len({wait / limit for wait, limit in zip(clock.waits, longest, strict=True)}) > 5


def test_all_attempts_and_waits_keep_to_the_time_together():
    clock, given = _attempts(Retrying(10, 1000, first_wait=1, longest_wait=2), takes=0.5)
    assert given[0] == 10 and given == sorted(given, reverse=True) and given[-1] > 0
    assert clock.now - 100 <= 10.5
    assert 4 <= len(given) < 20


def test_codes_and_statuses_agree():
    for code in ("INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"):
        assert grpc_code(http_status(code)) == code
    assert (http_status("INVALID_ARGUMENT"), http_status("NOT_FOUND"), http_status("odd")) == (400, 404, 500)
    assert (grpc_code(502), grpc_code(418)) == ("UNAVAILABLE", "UNKNOWN")


class Refusing(Flaky):
    """Refuses what has bytes that begin with "bad"; `said` is of which request, counted from 0."""

    def __init__(self, said):
        super().__init__(0, "OK")
        self.said = said

    def Predict(self, request, context):  # noqa: N802
        content = tf.make_ndarray(request.inputs["image_bytes"])
        if any(one.startswith(b"bad") for one in content):
            self.calls += 1
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.said(self.calls - 1))
        return super().Predict(request, context)


_ASSERTED = "assertion failed: [The image is a bird.] [3]\n\t [[{{node x}}]]"


@pytest.mark.parametrize(
    ("said", "images", "errors"),
    [
        pytest.param(lambda call: _ASSERTED, [b"bad"] * 2, dict.fromkeys((0, 1), "The image is a bird"), id="image"),
        pytest.param(lambda call: "Invalid PNG data, size 3", [b"bad"], {0: "Invalid PNG data, size 3"}, id="format"),
        pytest.param(lambda call: f"row {call}", [b"bad", b"bad"], {0: "row 1", 1: "row 2"}, id="one each"),
        pytest.param(lambda call: "odd", [b"bad", b"good"], {0: "odd"}, id="not all"),
    ],
)
def test_what_is_of_an_image_is_said_of_it(said, images, errors):
    with flaky_grpc(Refusing(said)) as url, Client(url, "toy") as client:
        assert client.classify(images).errors == errors


@pytest.mark.parametrize("images", [[b"bad"], [b"bad", b"bad", b"bad"]])
def test_what_is_of_the_request_is_no_fault_of_its_images(images):
    text = "assertion failed: [descriptions must be finite numbers.] [3]\n\t [[{{node image/decode_png}}]]"
    with flaky_grpc(Refusing(lambda call: text)) as url, Client(url, "toy") as client:
        with pytest.raises(RequestError) as raised:
            client.classify(images)
        assert str(raised.value) == "INVALID_ARGUMENT: descriptions must be finite numbers"
        client._batch_size = 1
        found = client.classify([b"good", *images])  # an image that was answered shows that the request is right
        assert set(found.errors) == set(range(1, 1 + len(images)))
