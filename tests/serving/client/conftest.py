"""A toy model on a server: the loopback one and, wherever it is installed, TensorFlow Serving itself."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwt_tf.serving.client.client import Client
from niwt_tf.serving.loopback.server import loopback
from tests.serving.client.toy_model import save_toy

MODEL_SERVER = "tensorflow_model_server"
LABELS = ("red", "green", 'b"l\nue', "عنقاء 🐦")
COLOURS = np.float32([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
NUM_SEEN = 3


@dataclass(frozen=True)
class Address:
    """Where a server listens, in both protocols."""

    grpc: str
    rest: str

    def url(self, protocol: str) -> str:
        return self.grpc if protocol == "grpc" else self.rest


def png(colour: tuple[int, int, int], side: int = 5) -> bytes:
    """Return an image file of one colour."""
    return picture(np.full((side, side, 3), colour, np.uint8))


def picture(pixels: np.ndarray, kind: str = "png") -> bytes:
    """Return an image file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def expected_scores(colour: tuple[int, int, int], colours: np.ndarray = COLOURS) -> np.ndarray:
    """Return the probability of each class of the toy, computed by hand."""
    logits = -10.0 * ((np.float64(colour) / 255.0 - colours) ** 2).sum(1)
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Path:
    """Return version 1 of the toy; not to be changed."""
    return save_toy(tmp_path_factory.mktemp("toy") / "models" / "1", LABELS, COLOURS, NUM_SEEN)


@pytest.fixture(scope="session")
def second_toy(tmp_path_factory) -> Path:
    """Return another toy, of five classes of which none is the first's."""
    labels = [f"new {label}" for label in LABELS] + ["new grey"]
    return save_toy(tmp_path_factory.mktemp("second") / "2", labels, np.vstack([COLOURS, [[0.5, 0.5, 0.5]]]), NUM_SEEN)


@pytest.fixture
def models(toy, tmp_path) -> Path:
    """Return a folder of versions, with version 1 alone, to add to."""
    shutil.copytree(toy, tmp_path / "models" / "1")
    return tmp_path / "models"


@pytest.fixture
def publish() -> Callable[[Path, Path], None]:
    """Return what copies a SavedModel to a version's folder, there at once and whole."""

    def put(source: Path, target: Path) -> None:
        work = target.with_name(f".tmp-{target.name}")
        shutil.copytree(source, work)
        os.rename(work, target)

    return put


@contextmanager
def model_server(folder: Path) -> Iterator[Address]:
    """Run TensorFlow Serving."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    flags = [f"--port={ports[0]}", f"--rest_api_port={ports[1]}", "--model_name=toy", f"--model_base_path={folder}"]
    command = [MODEL_SERVER, *flags, "--file_system_poll_wait_seconds=1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://127.0.0.1:{ports[1]}/v1/models/toy")
            yield Address(f"grpc://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    end = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                if b"AVAILABLE" in answer.read():
                    return
        except OSError:
            pass
        assert time.monotonic() < end, "the server did not come up"
        time.sleep(0.1)


SERVERS = ("loopback", MODEL_SERVER)


@contextmanager
def running(kind: str, folder: Path) -> Iterator[Address]:
    """Serve a folder of versions as the model "toy", or skip the test."""
    if kind == MODEL_SERVER:
        if shutil.which(MODEL_SERVER) is None:
            pytest.skip(f"not run: no {MODEL_SERVER}")
        with model_server(folder) as address:
            yield address
        return
    with loopback(folder, "toy", poll_seconds=0.05) as server:
        yield Address(server.grpc, server.rest)


@pytest.fixture(scope="session", params=SERVERS)
def server(request, toy) -> Iterator[Address]:
    """Return where the toy is served."""
    with running(request.param, toy.parent) as address:
        yield address


@pytest.fixture(params=["grpc", "rest"])
def url(request, server) -> str:
    """Return the server's address in one protocol."""
    return server.url(request.param)


@pytest.fixture
def client(url) -> Iterator[Client]:
    """Return a client of the toy."""
    with Client(url, "toy") as made:
        yield made
