"""Arrays and archives in files that others may have written: what they declare is judged before anything is unpacked."""

from __future__ import annotations

import errno
import functools
import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from niwt_tf.errors import InputError, first_line

# What a file may unpack to: zeros shrink to a thousandth, weights and tables hardly at all.
_MOST_TIMES = 100
_MOST_BESIDE = 1 << 26
# Whatever the readers of zip, deflate and NumPy's format meet in damaged bytes.
FAULTS = (
    ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, struct.error, IndexError, OverflowError, SyntaxError,
    TypeError, MemoryError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def check_archive(path: str | os.PathLike[str], rule: str = "be a complete zip archive") -> None:
    """Check that a zip file, whatever is kept in it, unpacks to no more than 64 MiB and a hundred times its own size.

    `rule` is what it must be, for messages.

    Raises:
        InputError: it does not, or it is no zip file.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
    except (OSError, *FAULTS) as error:
        raise _told(path, rule, error) from None
    check_size(path, declared)


def check_size(path: str | os.PathLike[str], declared: int) -> None:
    """Check what a file declares that it unpacks to, in bytes.

    Raises:
        InputError: it is more than 64 MiB and a hundred times its own size.
    """
    real = os.stat(path).st_size
    if declared > _MOST_BESIDE + _MOST_TIMES * real:
        rule = f"must not unpack to more than {_MOST_TIMES} times its size"
        raise InputError(f"{path} {rule}. Received: {_bytes(real)} that declare {_bytes(declared)}.")


def check_hdf5(path: str | os.PathLike[str], file: IO[bytes] | None = None) -> None:
    """Check that an HDF5 file, or one that is kept in `path`, declares no more than `check_size` allows and links to no other.

    Raises:
        InputError: it does, or it cannot be read.
    """
    import h5py

    declared = 0
    try:
        with h5py.File(path if file is None else file, "r") as content:
            for name, each in _entries(content):
                is_data = isinstance(each, h5py.Dataset)
                if isinstance(each, h5py.ExternalLink) or (is_data and (each.external or each.is_virtual)):
                    raise InputError(f"{path} must contain its own weights. Received: {name!r}, which is in another file.")
                declared += each.nbytes if is_data else 0
    except InputError:
        raise
    except (OSError, *FAULTS) as error:
        raise InputError(f"{path} must be a complete HDF5 file. Received: {first_line(error)}.") from None
    check_size(path, declared)


def check_keras(path: str | os.PathLike[str], rule: str = "be a .keras file") -> None:
    """Check a `.keras` file as `check_archive` does, and the weights in it as `check_hdf5` does.

    Raises:
        InputError: it is none, declares more than it holds, or its weights lie in another file.
        OSError: it cannot be read.
    """
    check_archive(path, rule)
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [entry for entry in archive.infolist() if entry.filename.endswith((".h5", ".hdf5"))]
            weights = [io.BytesIO(archive.read(entry)) for entry in inside]
    except (OSError, *FAULTS) as error:
        raise _told(path, rule, error) from None
    for each in weights:
        check_hdf5(path, each)


_COMPRESSED = 15  # the kind of such an element
_PIECE = 1 << 20


def check_mat(path: str | os.PathLike[str]) -> None:
    """Check that a MATLAB file of version 5 unpacks to no more than `check_size` allows, whatever it declares.

    Raises:
        InputError: it does.
        ValueError, zlib.error, struct.error: it is damaged.
        OSError: it cannot be read.
    """
    state = os.stat(path)
    check_size(path, _unpacked(os.fspath(path), state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns))


@functools.lru_cache(maxsize=64)  # a reader may ask for one variable after the other
def _unpacked(path: str, size: int, *_: int) -> int:
    """Return the bytes that the packed parts of a file unpack to, counted up to what `check_size` allows."""
    most, total = _MOST_BESIDE + _MOST_TIMES * size, 0
    with open(path, "rb") as file:
        begin = file.read(128)
        order = {b"IM": "<", b"MI": ">"}.get(begin[126:])
        while order and len(tag := file.read(8)) == 8 and total <= most:
            kind, length = struct.unpack(f"{order}2I", tag)
            if kind != _COMPRESSED:
                file.seek(length, os.SEEK_CUR)
                continue
            inflating, end = zlib.decompressobj(), file.tell() + length
            while total <= most and (piece := inflating.unconsumed_tail or file.read(min(_PIECE, max(end - file.tell(), 0)))):
                total += len(inflating.decompress(piece, _PIECE))
            file.seek(end)
    return total


def _entries(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the links out of the file, and the data sets, of a group and the groups in it."""
    import h5py

    waiting, seen = [group], set[bytes]()
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield f"{group.name}/{name}", link
                continue
            found = group.get(name)
            if isinstance(found, h5py.Group) and (key := bytes(h5py.h5o.get_info(found.id).addr.to_bytes(8))) not in seen:
                seen.add(key)  # groups may hold each other
                waiting.append(found)
            elif isinstance(found, h5py.Dataset):
                yield found.name, found


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read an `.npz` file of numbers and texts, never a pickle.

    Raises:
        InputError: it declares more than it holds, is damaged, or holds something else.
        OSError: it cannot be read.
    """
    check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found: dict[str, np.ndarray] = {}
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if name in found:  # the last would be taken, and another reader may take the first
                    raise ValueError(f"{name!r} twice")
                found[name] = _array(archive, entry)
            return found
    except (OSError, *FAULTS) as error:
        raise _told(path, "hold complete arrays", error) from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        shape, _, kind = _HEADERS[version](file)
        if kind.hasobject:
            raise ValueError(f"{entry.filename}, a pickle, which could run code")
        if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * kind.itemsize != entry.file_size:
            raise ValueError(f"{entry.filename}, whose shape {list(shape)} is not that of its {entry.file_size} bytes")
    with archive.open(entry) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _told(path: str | os.PathLike[str], rule: str, error: BaseException) -> BaseException:
    """Return the sentence for damaged contents; other errors, of the disk for instance, as they are."""
    if isinstance(error, InputError) or (isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)):
        return error
    with open(path, "rb") as file:
        begin = file.read(2)
    is_pickle = begin[:1] == b"\x80" and begin[1:] <= b"\x05"
    said = "a pickle, which could run code" if is_pickle else first_line(error).rstrip(".")
    return InputError(f"{path} must {rule}. Received: {said}.")


def _bytes(number: int) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024  # type: ignore[assignment]
    return f"{number:.0f} TiB"


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, or none where there is no such file.

    Raises:
        InputError: see `read_arrays`.
    """
    return read_arrays(path) if path.is_file() else {}
