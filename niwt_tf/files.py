"""Files that appear whole or not at all, and fingerprints of what went into them."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np


def _sibling(path: Path, role: str = "") -> Path:
    # The suffix stays: keras.saving and numpy decide the format by it. The leading dot hides it from readers of the folder.
    return path.with_name(f".tmp-{os.getpid()}-{role}{path.name}")


def cache_folder() -> Path:
    """Return the folder of the user's cache that is this package's; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "niwt-tf")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary sibling to write; it becomes `path` when the block ends well and vanishes when it does not."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(target)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_all(*paths: str | os.PathLike[str]) -> Iterator[tuple[Path, ...]]:
    """Yield a temporary sibling for each path; they become `paths` together when the block ends well.

    If the block or the last step fails, every path is as it was, and folders that were made for them are gone.
    """
    targets = tuple(Path(path) for path in paths)
    missing = {folder for target in targets for folder in target.parents if not folder.exists()}
    temporaries, olds = tuple(map(_sibling, targets)), {}
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        yield temporaries
        for temporary in temporaries:
            _sync(temporary)
        try:
            for target, temporary in zip(targets, temporaries, strict=True):
                olds[target] = _kept(target)
                os.replace(temporary, target)
        except BaseException:
            for target, old in olds.items():
                if old is None:
                    target.unlink(missing_ok=True)
                else:
                    os.replace(old, target)
            raise
        for folder in {target.parent for target in targets}:
            _sync(folder)
    except BaseException:
        _remove(temporaries)
        for folder in sorted(missing, key=lambda folder: -len(folder.parts)):
            with suppress(OSError):
                folder.rmdir()
        raise
    finally:
        _remove([*temporaries, *(_sibling(target, "old-") for target in targets)])


def _kept(target: Path) -> Path | None:
    """Return a copy of a file beside it, or None where there is none."""
    if not target.exists():
        return None
    return Path(shutil.copy2(target, _sibling(target, "old-")))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new temporary sibling directory that takes the place of `path` when the block ends well.

    A directory at `path` is first moved aside whole, so that a process killed half-way never leaves a part of it there.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent, target.name)
    temporary, old = _sibling(target), _sibling(target, "old-")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            os.replace(target, old)
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def remove_abandoned(folder: str | os.PathLike[str], name: str = "") -> None:
    """Remove the temporary siblings in `folder` whose process is no longer alive, all or those of one target `name`."""
    for path in Path(folder).glob(f".tmp-*-{glob.escape(name)}" if name else ".tmp-*-*"):
        process = path.name.split("-")[1]
        if not process.isdecimal() or _alive(int(process)):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sync_tree(folder: str | os.PathLike[str]) -> None:
    """Wait until every file and directory under `folder` is on the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _alive(process: int) -> bool:
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as strict, indented JSON (no NaN), atomically.

    Raises:
        ValueError: a float in `value` is not finite.
    """
    text = json.dumps(value, indent=2, allow_nan=False, default=_plain)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that change when any part does.

    A `Path` stands for the contents of that file, an array for its shape, type and values, everything else for its JSON.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with open(part, "rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    digest.update(block)
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.shape}{part.dtype}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=_plain).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON.")


def finite(value: float | int | None) -> float | int | None:
    """Return the value, or None in place of NaN and infinity, which JSON does not have."""
    return None if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
