"""Commands in parallel processes: each with its log, its share of the processors, and a clean end when interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 20.0
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Command:
    """A command and the file that what it writes is added to."""

    name: str
    arguments: tuple[str, ...]
    log: Path


@dataclass(frozen=True)
class Ended:
    """How a command ended: "" as `error` is well; otherwise its last line."""

    command: Command
    error: str


@dataclass
class _Running:
    command: Command
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    begin: int


def run_commands(commands: Sequence[Command], parallel: int, ended: Callable[[Ended], None]) -> None:
    """Run commands, at most `parallel` at a time, and call `ended` after each.

    A command that fails does not stop the others. Whatever ends this early, an interrupt above all, first interrupts the
    commands that are running and waits for them; those that do not end within 20 seconds are killed.

    Raises:
        OSError: a log cannot be written or a process cannot be started.
    """
    environment = divided_environment(parallel)
    waiting, running = list(reversed(commands)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(_start(waiting.pop(), environment))
            for each in [each for each in running if each.process.poll() is not None]:
                running.remove(each)
                each.log.close()
                ended(Ended(each.command, _error(each)))
            time.sleep(_POLL_SECONDS)
    finally:
        _stop(running)


def divided_environment(parallel: int) -> dict[str, str]:
    """Return this process's environment with threads so divided that `parallel` processes do not fight for processors.

    What the user has set stays.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, processors // parallel))
    chosen = dict.fromkeys(_THREADS, threads) if parallel > 1 else {}
    # Otherwise the first process takes a card's whole memory.
    return {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **chosen, **os.environ}


def _start(command: Command, environment: dict[str, str]) -> _Running:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    log = open(command.log, "ab")  # noqa: SIM115
    # A session of its own: the terminal's Ctrl-C reaches this process alone, which then ends its children in order.
    process = subprocess.Popen(
        command.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    return _Running(command, process, log, log.tell())


def _stop(running: Sequence[_Running]) -> None:
    # In the background of a script interrupts are ignored, and processes inherit that.
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    for each in running:
        _signal(each, signal.SIGTERM if deaf else signal.SIGINT)
    limit = time.monotonic() + _PATIENCE_SECONDS
    for each in running:
        try:
            each.process.wait(max(0.0, limit - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            limit = 0.0
            _signal(each, signal.SIGKILL)
            each.process.wait()
        each.log.close()


def _signal(each: _Running, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(each.process.pid, number)


def _error(ended: _Running) -> str:
    status = ended.process.returncode
    if status == 0:
        return ""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    with open(ended.command.log, "rb") as file:
        file.seek(ended.begin)
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {status}"
