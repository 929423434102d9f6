"""Asking a SavedModel in processes of their own, so that whatever they do, the check goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwt_tf.files import write_json
from niwt_tf.serving.checks.messages import Message, append_message, read_messages

SESSION = (sys.executable, "-m", "niwt_tf.serving.checks.session_process")
C_API = (sys.executable, "-m", "niwt_tf.serving.checks.c_api_process")
_SECONDS = 600
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Said:
    """What a process answered, one a request in order, and one line of why it ended early, with fewer answers, or ""."""

    answers: Sequence[Message]
    error: str = ""


def ask(
    command: Sequence[str], folder: Path, requests: Sequence[Message], ports: Mapping[str, Any], plain: bool = False
) -> Said:
    """Ask a SavedModel in `folder`, whose signatures' inputs and outputs have names in the graph, `ports`.

    The command is run on a folder with request.json and requests.bin, or, if `plain`, on the SavedModel, the file of the
    requests and that of the answers.
    """
    with tempfile.TemporaryDirectory(prefix="niwt-check-") as name:
        exchange = Path(name)
        questions, answers = exchange / "requests.bin", exchange / "answers.bin"
        write_json(exchange / "request.json", {"saved_model": os.path.abspath(folder), "ports": dict(ports)})
        answers.touch()
        questions.touch()
        for request in requests:
            append_message(questions, request)
        arguments = [os.path.abspath(folder), str(questions), str(answers)] if plain else [name]
        try:
            called = [*command, *arguments]
            done = subprocess.run(called, env=_environment(), capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return Said(read_messages(answers), f"no end after {_SECONDS} s")
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing said"]
        error = f"status {done.returncode}: {lines[-1][:300]}" if done.returncode else ""
        return Said(read_messages(answers), error)


def _environment() -> dict[str, str]:
    """Return this process's environment, with this package on the path, and without GPUs, whose memory it may hold whole."""
    above = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": above, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
