"""One command whose output goes where this process's goes, and which ends in order when this process is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

_PATIENCE_SECONDS = 20.0


def run_attached(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status (negative: the signal that killed it).

    Whatever ends this early, an interrupt above all, first interrupts the command and waits for it; if it does not end
    within 20 seconds it is killed.

    Raises:
        OSError: the command cannot be started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # A session of its own: the terminal's Ctrl-C reaches this process alone, which hands it on once.
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # In the background of a script interrupts are ignored, and processes inherit that.
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    _signal(process, signal.SIGTERM if deaf else signal.SIGINT)
    try:
        process.wait(_PATIENCE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
