"""One change of a bundle's versions at a time, whoever makes it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_change(versions_folder: Path) -> Iterator[None]:
    """Wait for every other process that changes a bundle in a folder of versions, and keep them waiting during a block."""
    descriptor = os.open(versions_folder, os.O_RDONLY)
    try:
        # Else two that begin at once would both follow the same version, and one's class would be lost.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
