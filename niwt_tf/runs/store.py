"""Finished stages shared between runs: what one run has computed, another with the same settings, inputs and data links."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from niwt_tf.errors import InputError
from niwt_tf.files import fingerprint, replacing_directory

_LOG = logging.getLogger("niwt_tf.jobs")
# Stages up to this one are made of training images alone; what stands on it are test figures and exports, each run's own.
_LAST = "transfer"


class StageStore:
    """The folder that --stage_store names: `<stage>-<fingerprint>/` for each stage, and a lock beside it.

    Whoever looks for a stage that is not there holds its lock until it has kept the stage, given up or died, so that of
    several processes one computes and the others wait. A process works on one stage at a time, so none waits in a circle.

    Args:
        path: the folder; it is made when the first stage is looked for.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._held: dict[str, IO[str]] = {}

    def find(self, name: str, parts: Mapping[str, Any]) -> Path | None:
        """Return where the stage made of `parts` would be, when it was kept; None after taking on to compute it.

        The folder's manifest is not looked at: what is there may have been tampered with.
        """
        if not _is_shared(name, parts):
            return None
        key = _key(name, parts)
        if key not in self._held:
            self._held[key] = self._lock(name, key)
        return self.path / key if (self.path / key).is_dir() else None

    def keep(self, name: str, parts: Mapping[str, Any], folder: Path) -> None:
        """Keep the finished stage in `folder` (links of its files) and let the others have it.

        Raises:
            OSError: the store cannot be written.
        """
        if not _is_shared(name, parts):
            return
        key = _key(name, parts)
        try:
            with replacing_directory(self.path / key) as temporary:
                link_files(folder, temporary)
        finally:
            self.release(name, parts)

    def release(self, name: str, parts: Mapping[str, Any]) -> None:
        """Let others look for the stage."""
        held = self._held.pop(_key(name, parts), None)
        if held is not None:
            held.close()

    def close(self) -> None:
        """Give up whatever was taken on."""
        while self._held:
            self._held.popitem()[1].close()

    def _lock(self, name: str, key: str) -> IO[str]:
        self.path.mkdir(parents=True, exist_ok=True)
        file = lock_file(self.path / f".lock-{key}")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info("%s: waiting for another run that is making the same stage.", name)
            fcntl.flock(file, fcntl.LOCK_EX)
        return file


def link_files(source: Path, target: Path) -> None:
    """Make the files under `source` appear under the existing folder `target`: as hard links, or copies on another disk.

    A link is safe because no file of a finished stage is ever written again, only replaced.

    Raises:
        OSError: a file cannot be written.
    """
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
            continue
        try:
            os.link(path, copy)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                raise
            shutil.copy2(path, copy)


def _key(name: str, parts: Mapping[str, Any]) -> str:
    return f"{name}-{fingerprint(name, dict(parts))}"


def lock_file(path: Path) -> IO[str]:
    """Return a file that is locked and written to, open; it is made if need be.

    Raises:
        InputError: it is a link, whose file would be emptied, or a pipe or device.
    """
    rule = f"{path} must be a file of its own"
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if not path.is_symlink():
            raise
        raise InputError(f"{rule}. Received: a link to {os.readlink(path)!r}; remove it.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{rule}. Received: a pipe or a device; remove it.")
    return open(descriptor, "a+", encoding="utf-8")


def held(lock: Path) -> IO[str]:
    """Return the lock file of a run directory, open and locked by this process; closing it gives it up.

    Raises:
        InputError: another process holds it.
    """
    while True:
        file = lock_file(lock)
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


def _is_shared(name: str, parts: Mapping[str, Any]) -> bool:
    above = parts["inputs"]
    return name == _LAST or not (name.startswith("baseline_") or _LAST in above or name in ("evaluate", "export", "report"))
