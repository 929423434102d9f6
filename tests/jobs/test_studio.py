"""`niwt studio` up to the moment at which the server takes its place."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from niwt_tf.jobs import studio


@pytest.fixture
def started(monkeypatch) -> list[tuple[list[str], dict[str, str]]]:
    """Return what would have been executed, once it would have been."""
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda path, arguments, environment: calls.append((arguments, environment)))
    return calls


@pytest.fixture
def bundle(monkeypatch, tmp_path) -> Path:
    """Return a folder that passes for a bundle's."""
    folder = tmp_path / "exports" / "3"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    (tmp_path / "one.png").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(studio.Bundle, "open", lambda path: None)
    return folder


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_the_server_is_for_this_machine_alone_and_tells_nobody(niwt, started, bundle, tmp_path):
    port = _free_port()
    job = niwt("studio", f"--bundle={bundle.parent}", f"--images={tmp_path}", f"--port={port}", "--most_images=7")
    assert (job.status, job.err) == (0, "")
    ((arguments, environment),) = started
    assert arguments[:5] == [sys.executable, "-P", "-m", "streamlit", "run"] and Path(arguments[5]).is_file()
    assert arguments[-4:] == ["--", str(bundle), str(tmp_path), "7"]
    for wanted in ("server.address=127.0.0.1", f"server.port={port}", "browser.gatherUsageStats=false", "server.headless=true"):
        assert f"--{wanted}" in arguments
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(Path(studio.__file__).parents[2])


def test_a_port_that_is_taken_is_named(niwt, started, bundle, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        job = niwt("studio", f"--bundle={bundle}", f"--images={tmp_path}", f"--port={port}")
    assert job.status == 2 and started == []
    assert f"--host and --port must be a free address. Received: 127.0.0.1:{port}" in job.err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--images=."], "--bundle must be given"),
        (["--bundle=BUNDLE"], "--images must be given"),
        (["--bundle=BUNDLE", "--images=EMPTY"], "images must be a folder that holds image files. Received: "),
        (["--bundle=BUNDLE", "--images=nowhere"], "--images must be a folder of test images. Received: "),
        (["--bundle=nowhere", "--images=."], "--bundle must be an exported SavedModel"),
        (["--bundle=BUNDLE", "--images=.", "--port=70000"], "--port must be"),
    ],
)
def test_what_is_missing_is_one_sentence(niwt, started, bundle, flags, sentence):
    empty = str(bundle.parents[1] / "empty")
    job = niwt("studio", *(flag.replace("BUNDLE", str(bundle)).replace("EMPTY", empty) for flag in flags))
    assert job.status == 2 and started == []
    assert sentence in job.err and job.err.count("\n") == 1
