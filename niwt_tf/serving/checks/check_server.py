"""A SavedModel behind `tensorflow_model_server` itself, where that is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from niwt_tf.config.surroundings import start_bound
from niwt_tf.serving.checks.graph_checks import CheckError, first_line
from niwt_tf.serving.checks.messages import Message
from niwt_tf.serving.client.client import Client
from niwt_tf.serving.client.transport import RequestError

PROGRAM = "tensorflow_model_server"
_NAME = "checked"
_SECONDS = 120


def server_program() -> str | None:
    """Return the path of TensorFlow Serving's program, or None."""
    return shutil.which(PROGRAM)


def ask_server(folder: Path, requests: list[Message]) -> list[Message]:
    """Return a server's answers to requests.

    Raises:
        CheckError: it does not start, load the SavedModel or answer.
    """
    with _running(folder) as port, Client(f"grpc://localhost:{port}", _NAME, timeout=_SECONDS, retries=0) as client:
        try:
            return [Message(asked.signature, client.call(asked.signature, asked.tensors).tensors) for asked in requests]
        except RequestError as error:
            raise CheckError(first_line(error)) from None


@contextmanager
def _running(folder: Path) -> Iterator[int]:
    program = server_program()
    assert program is not None, "asked for only where it is"
    port, rest_port = _free_port(), _free_port()
    with tempfile.TemporaryDirectory(prefix="niwt-server-") as base, open(os.path.join(base, "log"), "w+b") as log:
        models = Path(base, _NAME)
        models.mkdir()
        (models / "1").symlink_to(os.path.abspath(folder), target_is_directory=True)
        command = [program, f"--port={port}", f"--rest_api_port={rest_port}", f"--model_name={_NAME}"]
        server = start_bound([*command, f"--model_base_path={models}"], stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(server, rest_port, Path(base, "log"))
            yield port
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(server: subprocess.Popen[bytes], rest_port: int, log: Path) -> None:
    url = f"http://localhost:{rest_port}/v1/models/{_NAME}"
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines() or ["nothing said"]
            raise CheckError(f"the server ended with status {server.returncode}: {said[-1][:300]}")
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if '"AVAILABLE"' in answer.read().decode():
                return
        time.sleep(0.2)
    raise CheckError(f"the server has not loaded it after {_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
