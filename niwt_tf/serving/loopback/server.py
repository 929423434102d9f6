"""A server of one model on this machine: for tests, for benchmarks, and for trying a client.

It is not TensorFlow Serving. It speaks the same two protocols (gRPC and REST) through the official stubs, watches a folder
of versions in the same way and computes with the same Session, but in Python: it is slower, it does not batch requests
together, it listens on 127.0.0.1 alone, and it knows neither encryption nor a limit of memory. Do not put it on a network.

`python -m niwt_tf.serving.loopback FOLDER NAME` serves until it is interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from niwt_tf.serving.loopback.loopback_grpc import ModelService, PredictionService
from niwt_tf.serving.loopback.loopback_rest import MOST_BYTES, RestServer
from niwt_tf.serving.loopback.served_model import ServedModel

_THREADS = 16
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 5.0
# A port that another server listens on is refused, not shared.
_OPTIONS = (("grpc.max_receive_message_length", MOST_BYTES), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))
_LOG = logging.getLogger("niwt_tf.serving")


@dataclass(frozen=True)
class Loopback:
    """A running server of a model, with its addresses for a client, "grpc://127.0.0.1:PORT" and "http://127.0.0.1:PORT"."""

    grpc: str
    rest: str
    model: ServedModel


@contextmanager
def loopback(
    folder: str | os.PathLike[str],
    name: str,
    *,
    labels: Mapping[str, int] | None = None,
    grpc_port: int = 0,
    rest_port: int = 0,
    poll_seconds: float = _POLL_SECONDS,
) -> Iterator[Loopback]:
    """Serve the newest version in `folder`, and those that labels name beside it, on 127.0.0.1 until the block ends.

    The folder is looked at every `poll_seconds`, and what changed is served from then on. Port 0 takes a free one.

    Raises:
        InputError: no version can be loaded.
        OSError: a port is taken.
    """
    model = ServedModel(Path(folder), name, labels)
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(model, stop, poll_seconds), name="loopback-watch", daemon=True)
    server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="loopback-grpc"), options=_OPTIONS)
    try:
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(model), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(model), server)
        try:
            bound = server.add_insecure_port(f"127.0.0.1:{grpc_port}")
        except RuntimeError as error:
            raise OSError(f"--grpc_port must be free on 127.0.0.1. Received: {grpc_port} ({error})") from None
        with _rest_server(model, rest_port) as rest:
            server.start()
            answering = threading.Thread(target=rest.serve_forever, args=(0.05,), name="loopback-rest", daemon=True)
            answering.start()
            watcher.start()
            try:
                yield Loopback(f"grpc://127.0.0.1:{bound}", f"http://127.0.0.1:{rest.server_address[1]}", model)
            finally:
                stop.set()
                watcher.join()
                rest.shutdown()
                answering.join()
                server.stop(_GRACE_SECONDS).wait()
    finally:
        model.close()


def _rest_server(model: ServedModel, port: int) -> RestServer:
    try:
        return RestServer(model, port)
    except OSError as error:
        raise OSError(f"--rest_port must be free on 127.0.0.1. Received: {port} ({error.strerror or error})") from None


def _port(text: str) -> int:
    if re.fullmatch("[0-9]{1,5}", text) and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535. Received: {text!r}.")


def _watch(model: ServedModel, stop: threading.Event, seconds: float) -> None:
    while not stop.wait(seconds):
        try:
            model.refresh()
        except OSError as error:  # the folder changes while it is read
            _LOG.warning("%s could not be read: %s", model.folder, error)


def main(arguments: Sequence[str]) -> None:
    """Serve until interrupted; one line of JSON on stdout says where."""
    parser = argparse.ArgumentParser("python -m niwt_tf.serving.loopback", description="Serve one model on 127.0.0.1.")
    parser.add_argument("folder", help="holds the versions")
    parser.add_argument("name", help="of the model")
    parser.add_argument("--grpc_port", type=_port, default=8500)
    parser.add_argument("--rest_port", type=_port, default=8501)
    given = parser.parse_args(arguments)
    with loopback(given.folder, given.name, grpc_port=given.grpc_port, rest_port=given.rest_port) as server:
        print(json.dumps({"grpc": server.grpc, "rest": server.rest}), flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return
