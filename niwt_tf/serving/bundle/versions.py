"""The layout that TensorFlow Serving watches: one folder a model, in it one folder a version, named by an integer."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from niwt_tf.errors import InputError, brief, folder_beside
from niwt_tf.files import claimed_directory, remove_abandoned, sync_tree

_LARGEST = 2**63 - 1


def versions(folder: str | os.PathLike[str]) -> dict[int, Path]:
    """Return what lies in `folder` under a version number, ascending; `007` is version 7 and `7.tmp` is none."""
    folder = Path(folder)
    if not folder.is_dir():
        return {}
    named = ((int(path.name), path) for path in sorted(folder.iterdir()) if re.fullmatch("[0-9]{1,19}", path.name))
    return dict(sorted((number, path) for number, path in named if number <= _LARGEST))


def saved_model_folder(folder: str | os.PathLike[str], argument: str = "folder") -> Path:
    """Return `folder` if it is a SavedModel, else the newest version in it; messages call it what `argument` says.

    A link of another name than a number (`current -> 3`) gives the version that it leads to.

    Raises:
        InputError: it is neither.
    """
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise InputError(f"{argument} must be the path of an exported SavedModel. Received: {brief(folder)}.")
    given, folder = os.fspath(folder), Path(folder)
    found = [path for path in (folder, *reversed(versions(folder).values())) if _is_saved_model(path)]
    if not found:
        rule = f"{argument} must be an exported SavedModel or hold versions of one"
        raise InputError(f"{rule}. Received: {given!r}.{_meant(folder)}")
    linked = found[0].is_symlink() and not re.fullmatch("[0-9]{1,19}", found[0].name)
    return found[0].resolve() if linked else found[0]


def _meant(folder: Path) -> str:
    """Name the folder of versions that may be meant: the only one in `folder`, or one named like a `folder` that is missing."""
    if not folder.is_dir():
        return folder_beside(folder, _holds_versions)
    with suppress(OSError):
        inside = [path for path in folder.iterdir() if _holds_versions(path)]
        return f" Did you mean {str(inside[0])!r}?" if len(inside) == 1 else ""
    return ""


def _holds_versions(folder: Path) -> bool:
    return any(map(_is_saved_model, versions(folder).values()))


def _is_saved_model(folder: Path) -> bool:
    return (folder / "saved_model.pb").is_file()


def check_place(folder: Path) -> Path:
    """Check that a folder may hold the versions of an export, and return it, or the nearest folder above that exists.

    Raises:
        InputError: a file is in the way, or a version, in which another would lie unseen.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"The folder of an export must not be a file or be inside a file. Received: {str(nearest)!r}.")
    if _is_saved_model(nearest):
        rule = "The folder of an export must hold versions, not be one or be inside one"
        raise InputError(f"{rule}. Received: {str(folder)!r} ({str(nearest)!r} is a version).")
    return nearest


class NewVersion:
    """A version that is written into the hidden folder `work`; it lies in `path` when the block has ended well."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.path = work


@contextmanager
def new_version(folder: str | os.PathLike[str]) -> Iterator[NewVersion]:
    """Yield a hidden folder to write; it becomes the next free version when the block ends well and vanishes if not.

    Earlier versions are never touched. A parent that was made for it vanishes with it. It appears between two changes that
    others make under `one_change`, never within one.

    Raises:
        InputError: see `check_place`, or `folder` has no number left.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    check_place(folder)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    try:
        with claimed_directory(folder / "version") as work:
            version = NewVersion(work)
            yield version
            sync_tree(work)
            with one_change(folder):
                version.path = _moved(work, folder)
    except BaseException:
        with suppress(OSError):  # another process put something there meanwhile
            for parent in made:
                parent.rmdir()
        raise


def _moved(work: Path, folder: Path) -> Path:
    while True:
        number = max(versions(folder), default=0) + 1
        if number > _LARGEST:  # no server would find it, and the next one would be looked for for ever
            rule = f"{folder} must have a version number left, at most {_LARGEST}"
            raise InputError(f"{rule}. Received: a version of the largest number.")
        target = folder / str(number)
        try:
            os.rename(work, target)  # a non-empty folder of that name, made meanwhile, is not replaced
        except OSError:
            if not target.exists():
                raise
        else:
            return target


_LOG = logging.getLogger("niwt_tf.serving")
_HELD = threading.local()  # `folders` that this thread keeps others waiting for


@contextmanager
def one_change(versions_folder: Path) -> Iterator[None]:
    """Wait for everybody else who changes a folder of versions, and keep them waiting during a block.

    Who reads a version to write its successor holds it from the reading on, else two that begin at once would both follow
    the same version, and one's class would be lost. A block within a block of the same thread does not wait.
    """
    descriptor = os.open(versions_folder, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        key, held = (status.st_dev, status.st_ino), _HELD.__dict__.setdefault("folders", set())
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


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:  # some network file systems lock no folders
        _LOG.warning("%s cannot be locked (%s): make sure that nobody else changes it now.", folder, error.strerror)
