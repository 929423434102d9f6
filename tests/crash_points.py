"""Stops an action after each of its changes of the file system in turn: killed there, or by an error of the disk."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from niwt_tf import files

HOWS = {"kill": 0, "disk full": errno.ENOSPC, "input/output error": errno.EIO}
_CHANGES = ("replace", "rename", "fsync", "mkdir", "unlink", "rmdir", "link", "symlink", "truncate")
_KILLED, _DONE, _FAILED, _OTHER = 70, 71, 72, 73


class _Points:
    """Counts changes below a folder, and stops at one."""

    def __init__(self, root: Path, stop: int, error: int) -> None:
        self.root, self.stop, self.error, self.count, self.name = str(root), stop, error, 0, ""

    def reached(self, name: str, *paths: object) -> None:
        """Stop, before the change, if this is the point."""
        if not any(self._is_below(path) for path in paths):
            return
        self.count += 1
        if self.count == self.stop:
            self.name = name
            if not self.error:
                os._exit(_KILLED)
            raise OSError(self.error, os.strerror(self.error))

    def _is_below(self, path: object) -> bool:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.root)


@contextmanager
def _watched(points: _Points) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _CHANGES:
            patch.setattr(os, name, _before(points, name, getattr(os, name)))
        opened = builtins.open

        def opening(file, mode="r", *arguments, **options):
            if set(mode) & set("wxa+"):
                points.reached("open", file)
            return opened(file, mode, *arguments, **options)

        patch.setattr(builtins, "open", opening)
        patch.setattr(io, "open", opening)
        patch.setattr(files, "_exchanged", _before(points, "exchange", files._exchanged))
        yield


def _before(points: _Points, name: str, change: Callable) -> Callable:
    def watched(*arguments, **options):
        known = [options["dir_fd"]] if options.get("dir_fd") is not None else []
        points.reached(name, *arguments[:2], *known)
        return change(*arguments, **options)

    return watched


def stopped(action: Callable[[], object], root: Path, stop: int, how: str) -> bool:
    """Do an action in a process of its own that is stopped at a point; return whether there was such a point.

    Raises:
        AssertionError: it ended in another way.
    """
    child = os.fork()
    if not child:
        status = _OTHER
        try:
            points = _Points(root, stop, HOWS[how])
            with _watched(points):
                action()
            status = _FAILED if points.name else _DONE  # an error that was passed over is one
        except OSError:
            status = _FAILED
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (_KILLED, _DONE, _FAILED), f"point {stop}, {how}: status {status}"
    return status != _DONE
