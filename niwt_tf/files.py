"""Files that appear whole or not at all, and fingerprints of what went into them."""

from __future__ import annotations

import atexit
import ctypes
import errno
import fcntl
import functools
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.errors import full_disk_at


def _sibling(path: Path, token: str, role: str = "") -> Path:
    # The suffix stays: keras.saving and numpy decide the format by it. The leading dot hides it from readers of the folder.
    return path.with_name(f".tmp-{token}-{role}{short_name(path)}")


def short_name(path: Path) -> str:
    """Return a file's name, or, where it leaves no room for more of one in a file system, another of its own."""
    if len(os.fsencode(path.name)) <= _MOST_BYTES:
        return path.name
    suffix = path.suffix if len(os.fsencode(path.suffix)) < 32 else ""
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16] + suffix


# What operating systems, file servers and office programs leave in folders, in small letters.
_LITTER = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "#recycle", "$recycle.bin", "system volume information")
    + ("lost+found",)
)


def is_litter(name: str) -> bool:
    """Return whether a file or folder of that name is none of the user's: hidden (`._a.jpg`, `.nfs1`), `__MACOSX`, `a~`."""
    return name.startswith((".", "__", "~$")) or name.endswith("~") or name.lower() in _LITTER


def entries_of(folder: str | os.PathLike[str]) -> list[Path]:
    """Return what lies in a folder but litter, sorted.

    Raises:
        OSError: it cannot be read.
    """
    return sorted(entry for entry in Path(folder).iterdir() if not is_litter(entry.name))


def files_below(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the files in a folder and in the folders in it, sorted, without litter.

    Symbolic links are followed, but not back into a folder that they lie in. A link to nothing is a file.

    Raises:
        OSError: a folder cannot be read.
    """
    yield from _files_below(Path(folder), tuple(map(str, Path(os.path.realpath(folder)).parents)))


def _files_below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    here = (*above, os.path.realpath(folder))
    for name in sorted(os.listdir(folder)):  # not as paths: there may be a million
        entry = folder / name
        if is_litter(name):
            continue
        if not entry.is_dir():
            yield entry
        elif os.path.realpath(entry) not in here:
            yield from _files_below(entry, here)


_MOST_BYTES = 200  # of a name that a temporary one is made of; file systems take 255
_OF_PATTERNS = frozenset("*?[\\")


def literal_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a path of a folder that TensorFlow reads: itself, or a link to it that lasts as long as this process.

    Its readers of checkpoints, and so those of SavedModels, take `[ ] * ?` in a path for a pattern, and none takes a path that
    is not UTF-8.
    """
    path = os.path.abspath(folder)
    return Path(_linked(path) if _OF_PATTERNS & set(path) or not _is_utf8(path) else folder)


def _is_utf8(path: str) -> bool:
    try:
        return os.fsencode(path) == path.encode()
    except UnicodeEncodeError:
        return False


@functools.cache
def _linked(folder: str) -> str:
    link = os.path.join(_folder_of_links(), secrets.token_hex(8))
    os.symlink(folder, link)
    return link


@functools.cache
def _folder_of_links() -> str:
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]
    places = [place for place in places if not _OF_PATTERNS & set(place) and _is_utf8(place)]
    made = tempfile.mkdtemp(prefix="niwt-links-", dir=next((place for place in places if os.access(place, os.W_OK)), None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary sibling to write; it becomes `path` when the block ends well and vanishes when it does not.

    Into a pipe or a device, such as /dev/stdout or the shell's >(...), the content is written instead.
    """
    target = Path(path)
    stream = _stream(target)
    if stream is not None:
        with full_disk_at(target), tempfile.TemporaryDirectory(prefix="niwt-") as scratch:
            content = Path(scratch) / "content"
            yield content
            sys.stdout.flush()  # what was printed before comes first
            with open(stream, "wb") as file:
                file.write(content.read_bytes())
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with full_disk_at(target), _claimed(target) as temporary:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)


def _stream(target: Path) -> int | Path | None:
    """Return what is written to in the place of a file: a copy of a descriptor of this process, a pipe or a device."""
    named = {"/dev/stdout": "1", "/dev/stderr": "2"}.get(os.path.abspath(target))
    descriptor = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", os.path.abspath(target))
    if number := named or (descriptor and descriptor[1]):
        return os.dup(int(number))
    return target if target.exists() and not target.is_file() and not target.is_dir() else None


@contextmanager
def replacing_all(*paths: str | os.PathLike[str]) -> Iterator[tuple[Path, ...]]:
    """Yield a temporary sibling for each path; they become `paths` together when the block ends well.

    If the block or the last step fails, every path is as it was, and folders that were made for them are gone.
    """
    targets = tuple(Path(path) for path in paths)
    missing = {folder for target in targets for folder in target.parents if not folder.exists()}
    olds: dict[Path, Path | None] = {}
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as claims:
            temporaries = tuple(claims.enter_context(_claimed(target)) for target in targets)
            asides = [claims.enter_context(_claimed(target, "old-")) for target in targets]
            yield temporaries
            for temporary in temporaries:
                _sync(temporary)
            try:
                for target, temporary, aside in zip(targets, temporaries, asides, strict=True):
                    olds[target] = Path(shutil.copy2(target, aside)) if target.exists() else None
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
        for folder in sorted(missing, key=lambda folder: -len(folder.parts)):
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def replacing_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new temporary sibling directory that takes the place of `path` when the block ends well.

    The two change places in one step, so that a process killed at any moment leaves the old one or the new one there, whole.
    Where the file system cannot do that, the old one is moved aside first, and `recover` brings it back.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(target)
    remove_abandoned(target.parent, target.name)
    with full_disk_at(target), claimed_directory(target) as temporary:
        yield temporary
        sync_tree(temporary)
        if not os.path.lexists(target):
            os.replace(temporary, target)
        elif not _exchanged(temporary, target):
            with _moved_aside(target):
                os.replace(temporary, target)
        _sync(target.parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; return whether the system can."""
    try:
        libc = ctypes.CDLL(None)
        if sys.platform == "darwin":
            status = libc.renamex_np(os.fsencode(one), os.fsencode(other), _RENAME_SWAP)
        else:
            status = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    except (AttributeError, OSError):  # an older C library
        return False
    return bool(status == 0)


_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2


@contextmanager
def _moved_aside(target: Path) -> Iterator[None]:
    """Move a folder aside for a block; it comes back if that fails, and vanishes if it does not."""
    old = _sibling(target, _token(), "old-")
    held = _taken(target)  # so that nobody takes it for abandoned and brings it back too early
    try:
        os.replace(target, old)
        try:
            yield
        except BaseException:
            os.replace(old, target)
            raise
        _discard(old)
    finally:
        _let_go(held)


def recover(path: str | os.PathLike[str]) -> None:
    """Bring back a folder that a process, killed in `replacing_directory`, had moved aside and not yet replaced."""
    target = Path(path)
    if os.path.lexists(target) or not target.parent.is_dir():
        return
    for aside in sorted(target.parent.glob(f".tmp-*-old-{glob.escape(short_name(target))}")):
        with _abandoned(aside) as is_abandoned, suppress(OSError):  # another process was first
            if is_abandoned:
                os.replace(aside, target)
                return


# Whoever writes something temporary holds a lock on it. The system gives it up when the process ends, however it ends, and
# knows of it in every container on the machine, where numbers of processes mean different processes.
_TEMPORARY = re.compile(r"\.tmp-(?:x[0-9a-f]{8}|[0-9]+)-(?P<moved>old-)?(?P<target>.+)")
_LOCKED = re.compile(r"\.tmp-x")  # those of earlier versions are not
_UNLOCKED_SECONDS = 24 * 3600.0


def _token() -> str:
    return f"x{secrets.token_hex(4)}"


@contextmanager
def _claimed(target: Path, role: str = "") -> Iterator[Path]:
    """Yield a new, empty temporary file beside a target, held; it vanishes at the end unless it was moved away."""
    temporary = _sibling(target, _token(), role)
    with open(temporary, "xb"):
        pass
    held = _taken(temporary)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        _let_go(held)


@contextmanager
def claimed_directory(target: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside a target, held; what lies there under its name at the end vanishes.

    `remove_abandoned` leaves it alone while this process lives, in whichever container on this machine either runs. Where
    folders cannot be locked (NFS), it does so until nothing in the folder was changed for a day.
    """
    held = None
    while held is None:  # until no other process takes it for abandoned before it is held
        temporary = _sibling(target, _token())
        temporary.mkdir()
        held = _taken(temporary)
    try:
        yield temporary
    finally:
        _discard(temporary)
        _let_go(held)


def _taken(path: Path) -> int | None:
    """Return an open descriptor that holds a file or folder, as far as its file system can; None if another process does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        return descriptor
    os.close(descriptor)
    return None


def _let_go(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_abandoned(folder: str | os.PathLike[str], name: str = "") -> None:
    """Remove the temporary siblings in `folder` that nobody holds any more, all or those of one target `name`.

    A folder that was moved aside and never replaced comes back instead.
    """
    for path in Path(folder).glob(f".tmp-*-{glob.escape(short_name(Path(name)))}" if name else ".tmp-*-*"):
        if (found := _TEMPORARY.fullmatch(path.name)) is None:
            continue
        if found["moved"] and path.is_dir():
            recover(path.with_name(name or found["target"]))
        with _abandoned(path) as is_abandoned:
            if is_abandoned:
                _discard(path)


@contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Yield whether nobody else holds what is temporary, which is then held; where nobody can, whether it is a day old."""
    if path.is_symlink() or not path.exists():
        yield path.is_symlink()  # what once stood for the folder
        return
    descriptor = None
    with suppress(OSError):  # it has just been moved or removed, or is another user's
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield descriptor is not None and _is_left(path, descriptor)
    finally:
        _let_go(descriptor)


def _is_left(path: Path, descriptor: int) -> bool:
    if _LOCKED.match(path.name):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:  # the file system cannot
            pass
    inside = [path, *path.rglob("*")] if path.is_dir() else [path]
    changed = [each.lstat().st_mtime for each in inside if os.path.lexists(each)]
    return bool(changed) and time.time() - max(changed) > _UNLOCKED_SECONDS


def sync_tree(folder: str | os.PathLike[str]) -> None:
    """Wait until every file and directory under `folder` is on the disk."""
    for parent, _, names in os.walk(folder):
        for name in (*names, ""):  # the folder itself at last
            _sync(Path(parent, name))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as strict, indented JSON (no NaN), atomically.

    Raises:
        ValueError: a float in `value` is not finite.
    """
    text = json.dumps(value, indent=2, allow_nan=False, default=_plain)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read what `write_json` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON (NaN is none), or is nested too deeply.
    """
    state_of(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=int)  # which NaN is not
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def state_of(path: str | os.PathLike[str]) -> os.stat_result:
    """Return the state of a file that can be read to its end: a pipe may never end, and a device may not either.

    Raises:
        OSError: it is not there, or is no such file.
    """
    state = os.stat(path)
    if stat.S_IFMT(state.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):  # to read a folder fails by itself
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))
    return state


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


def digest_of(path: str | os.PathLike[str]) -> str:
    """Return 16 hex digits that change with the contents of a file, which is read again only when it was written since.

    Raises:
        OSError: it cannot be read.
    """
    state = state_of(path)
    stamp = (os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    # The clock of a file system is coarse: a file may change twice between two of its ticks.
    settled = time.time() - state.st_ctime > _SETTLED_SECONDS
    return _digest_once(*stamp) if settled else fingerprint(Path(path))


_SETTLED_SECONDS = 2.0


@functools.lru_cache(maxsize=1 << 16)
def _digest_once(path: str, *_: int) -> str:
    return fingerprint(Path(path))


_SEAL = "seal"


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with an entry that tells whether it is read as it was written."""
    plain = json.loads(json.dumps({name: each for name, each in value.items() if name != _SEAL}, default=_plain))
    return {**plain, _SEAL: fingerprint(plain)}


def is_sealed(value: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is as `sealed` gave it."""
    return value.get(_SEAL) == fingerprint({name: each for name, each in value.items() if name != _SEAL})


def has_seal(value: Mapping[str, Any]) -> bool:
    """Return whether a JSON object says that it was sealed, rightly or not."""
    return _SEAL in value


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON.")
