"""One change of a folder of versions at a time, whoever makes it."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOG = logging.getLogger("niwt_tf.serving")
_HELD = threading.local()


@contextmanager
def one_change(versions_folder: Path) -> Iterator[None]:
    """Wait for everybody else who changes a folder of versions, and keep them waiting during a block.

    Who reads a version to write its successor holds it from the reading on, else two that begin at once would both follow
    the same version, and one's class would be lost. A block within a block of the same thread does not wait.
    """
    descriptor = os.open(versions_folder, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        key, held = (status.st_dev, status.st_ino), _held()
        if key in held:
            yield
            return
        _lock(descriptor, versions_folder)
        held.add(key)
        try:
            yield
        finally:
            held.remove(key)
    finally:
        os.close(descriptor)


def _held() -> set[tuple[int, int]]:
    """Return the folders that this thread keeps others waiting for."""
    held: set[tuple[int, int]] = _HELD.__dict__.setdefault("folders", set())
    return held


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:  # some network file systems lock no folders
        _LOG.warning("%s cannot be locked (%s): let nobody else change it now.", folder, error.strerror)
