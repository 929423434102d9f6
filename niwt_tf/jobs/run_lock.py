"""The lock of a run directory: one process at a time, and the others are told which."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from niwt_tf.errors import InputError


def held(lock: Path) -> IO[str]:
    """Return the lock file of a run directory, open and locked by this process; closing it gives it up.

    Raises:
        InputError: another process holds it.
    """
    while True:
        file = open(lock, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise InputError(
                f"--run_dir {lock.parent} must not be in use. Received: a folder that process {holder} is working in."
            ) from None
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == lock.stat().st_ino:
                return file
        file.close()
