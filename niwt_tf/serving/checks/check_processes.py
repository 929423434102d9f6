"""Asking a SavedModel in processes of their own, so that whatever they do, the check goes on."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwt_tf.config.surroundings import child_environment, python_command, run_bound
from niwt_tf.files import literal_folder, write_json
from niwt_tf.serving.checks.messages import Message, append_message, read_messages

SESSION = tuple(python_command("niwt_tf.serving.checks.session_process"))
C_API = tuple(python_command("niwt_tf.serving.checks.c_api_process"))
_SECONDS = 600


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
        exchange, saved_model = Path(name), os.path.abspath(literal_folder(folder))
        questions, answers = exchange / "requests.bin", exchange / "answers.bin"
        write_json(exchange / "request.json", {"saved_model": saved_model, "ports": dict(ports)})
        answers.touch()
        questions.touch()
        for request in requests:
            append_message(questions, request)
        arguments = [saved_model, str(questions), str(answers)] if plain else [name]
        try:
            called = [*command, *arguments]
            done = run_bound(called, env=_environment(), timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            return Said(read_messages(answers), f"no end after {_SECONDS} s")
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing said"]
        error = f"status {done.returncode}: {lines[-1][:300]}" if done.returncode else ""
        return Said(read_messages(answers), error)


def _environment() -> dict[str, str]:
    """Return the environment of a child without GPUs, whose memory this process may hold whole."""
    return {**child_environment(), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
