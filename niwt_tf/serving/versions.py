"""The layout that TensorFlow Serving watches: one folder a model, in it one folder a version, named by an integer."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from niwt_tf.errors import InputError
from niwt_tf.files import remove_abandoned, sync_tree
from niwt_tf.serving.one_change import one_change

_LARGEST = 2**63 - 1


def versions(folder: str | os.PathLike[str]) -> dict[int, Path]:
    """Return what lies in `folder` under a version number, ascending; `007` is version 7 and `7.tmp` is none."""
    folder = Path(folder)
    if not folder.is_dir():
        return {}
    named = ((int(path.name), path) for path in sorted(folder.iterdir()) if re.fullmatch("[0-9]{1,19}", path.name))
    return dict(sorted((number, path) for number, path in named if number <= _LARGEST))


def saved_model_folder(folder: str | os.PathLike[str], argument: str = "folder") -> Path:
    """Return `folder` if it is a SavedModel, else the newest version in it.

    Args:
        folder: a version, or the folder of the versions.
        argument: what named it, for messages.

    Raises:
        InputError: it is neither.
    """
    folder = Path(folder)
    found = [path for path in (folder, *reversed(versions(folder).values())) if (path / "saved_model.pb").is_file()]
    if not found:
        raise InputError(f"{argument} must be an exported SavedModel or hold versions of one. Received: {str(folder)!r}.")
    return found[0]


class NewVersion:
    """A version that is being written.

    Attributes:
        work: a hidden folder to write into.
        path: where `work` went; set when the block of `new_version` has ended well.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.path = work


@contextmanager
def new_version(folder: str | os.PathLike[str]) -> Iterator[NewVersion]:
    """Yield a hidden folder to write; it becomes the next free version when the block ends well and vanishes if not.

    Earlier versions are never touched. A parent that was made for it vanishes with it. It appears between two changes that
    others make under `one_change`, never within one.

    Raises:
        InputError: `folder` is a file.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    blocking = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
    if blocking is not None:
        raise InputError(f"The folder of an export must not be or lie in a file. Received: {str(blocking)!r}.")
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    version = NewVersion(folder / f".tmp-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        version.work.mkdir()
        yield version
        sync_tree(version.work)
        with one_change(folder):
            version.path = _moved(version.work, folder)
    except BaseException:
        shutil.rmtree(version.work, ignore_errors=True)
        with suppress(OSError):  # another process put something there meanwhile
            for parent in made:
                parent.rmdir()
        raise


def _moved(work: Path, folder: Path) -> Path:
    while True:
        target = folder / str(max(versions(folder), default=0) + 1)
        try:
            os.rename(work, target)  # a non-empty folder of that name, made meanwhile, is not replaced
        except OSError:
            if not target.exists():
                raise
        else:
            return target
