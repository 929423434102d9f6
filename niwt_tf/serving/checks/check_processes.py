"""Asking a SavedModel in processes of their own, so that whatever they do, the check goes on."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from niwt_tf.config.surroundings import cache_folder, child_environment, python_command, run_bound
from niwt_tf.files import literal_folder, replacing, write_json
from niwt_tf.serving.checks.c_api_process import LIBRARIES
from niwt_tf.serving.checks.messages import Message, append_message, read_messages

SESSION = tuple(python_command("niwt_tf.serving.checks.session_process"))
C_API = tuple(python_command("niwt_tf.serving.checks.c_api_process"))
SOURCE = Path(__file__).resolve().parent / "native" / "load_bundle.cc"
_SECONDS = 600
NO_END = f"no end after {_SECONDS} s"
_LOG = logging.getLogger("niwt_tf")


@dataclass(frozen=True)
class ProcessAnswers:
    """What a process answered, one a request in order, and one line of why it ended early, with fewer answers, or ""."""

    answers: Sequence[Message]
    error: str = ""


def ask(
    command: Sequence[str], folder: Path, requests: Sequence[Message], ports: Mapping[str, Any], plain: bool = False
) -> ProcessAnswers:
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
            return ProcessAnswers(read_messages(answers), NO_END)
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing said"]
        error = f"status {done.returncode}: {lines[-1][:300]}" if done.returncode else ""
        return ProcessAnswers(read_messages(answers), error)


def _environment() -> dict[str, str]:
    """Return the environment of a child without GPUs, whose memory this process may hold whole."""
    return {**child_environment(), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class NoCompilerError(Exception):
    """The C++ loader cannot be made here; the message says what is missing."""


def native_loader() -> Path:
    """Return the C++ program that loads a SavedModel as TensorFlow Serving does.

    It is compiled at its first use (about 20 s), once for each TensorFlow, and kept in the user's cache.

    Raises:
        NoCompilerError: there is no g++, or the installed TensorFlow comes without its headers or libraries.
        RuntimeError: it does not compile.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise NoCompilerError("no g++")
    library, headers = Path(tf.sysconfig.get_lib()), Path(tf.sysconfig.get_include())
    if not all((library / name).is_file() for name in LIBRARIES) or not (headers / "tensorflow/cc/saved_model").is_dir():
        raise NoCompilerError("this TensorFlow has no headers or libraries for C++")
    source = SOURCE.read_bytes()
    key = hashlib.sha256(source + str(library).encode()).hexdigest()[:12]
    target = cache_folder() / f"load_bundle-{tf.__version__}-{key}"
    if target.is_file():
        return target
    _LOG.info("Compiling the C++ loader, once for this TensorFlow: about 20 s.")
    with replacing(target) as temporary:
        command = [compiler, "-O0", "-w", *tf.sysconfig.get_compile_flags(), "--std=c++17", str(SOURCE), "-o", str(temporary)]
        command += [
            "-Wl,--no-as-needed",
            f"-L{library}",
            *(f"-l:{name}" for name in reversed(LIBRARIES)),
            f"-Wl,-rpath,{library}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr[-300:]]
            raise RuntimeError(f"g++ does not compile {SOURCE.name}: {errors[0]}")
    return target
