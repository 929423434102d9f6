"""Reads the plain text files of published archives: numbered names and tables of numbers separated by blanks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.errors import InputError


def read_text(path: Path) -> str:
    """Return a file's text, read as UTF-8 with or without a byte order mark.

    Raises:
        InputError: the file is absent, cannot be read or is not UTF-8.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a device would be read for ever
            raise InputError(f"{path} must be a readable file. Received: something else.")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text. Received: another byte at {error.start}.") from None
    except FileNotFoundError:
        raise InputError(f"{path} must be a file. Received: no such file.") from None
    except OSError as error:
        raise InputError(f"{path} must be a readable file. Received: {error.strerror or error}.") from None


def existing_directory(argument: str, path: str | Path) -> Path:
    """Return `path` as a Path after checking that it is a directory.

    Raises:
        InputError: it is absent or not a directory.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise InputError(f"{argument} must be a folder. Received: {str(path)!r} ({what}).")
    return folder


def list_directory(folder: Path) -> list[Path]:
    """Return a folder's entries by name, without hidden ones.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__")))
    except OSError as error:
        raise InputError(f"{folder} must be a readable folder. Received: {error.strerror or error}.") from None


def read_numbered_names(path: Path) -> tuple[np.ndarray, list[str]]:
    """Read lines of "number name" and return the numbers (int64) and the names, in the file's order.

    Raises:
        InputError: a line has another form, a number occurs twice, or there is no line.
    """
    numbers: list[int] = []
    names: list[str] = []
    lines_of: dict[int, int] = {}
    for line, text in _lines(path):
        number, _, name = text.strip().replace("\t", " ").partition(" ")
        if not number.isascii() or not number.isdigit() or not name.strip():
            raise InputError(f"{path}, line {line} must be a number and a name. Received: {text.strip()[:80]!r}.")
        if int(number) in lines_of:
            first = lines_of[int(number)]
            raise InputError(f"{path}, line {line} must have a number of its own. Received: {number}, also on line {first}.")
        lines_of[int(number)] = line
        numbers.append(int(number))
        names.append(name.strip())
    if not names:
        raise InputError(f"{path} must list at least one name. Received: an empty file.")
    return np.array(numbers, np.int64), names


def read_names(path: Path) -> list[str]:
    """Return the lines of a file that are not blank."""
    return [text.strip() for _, text in _lines(path)]


def read_numbers(path: Path, columns: int) -> np.ndarray:
    """Read a table of finite numbers, float64 [rows, columns].

    Raises:
        InputError: a row has another number of columns, or a cell is not a finite number; the line is named.
    """
    rows = []
    for line, text in _lines(path):
        cells = text.split()
        if len(cells) != columns:
            raise InputError(f"{path}, line {line} must have {columns} numbers. Received: {len(cells)}.")
        try:
            row = np.array([float(cell) for cell in cells])
        except ValueError:
            raise InputError(f"{path}, line {line} must hold numbers only. Received: {text.strip()[:80]!r}.") from None
        if not np.isfinite(row).all():
            raise InputError(f"{path}, line {line} must hold finite numbers. Received: {text.strip()[:80]!r}.")
        rows.append(row)
    return np.array(rows).reshape(len(rows), columns)


def line_of(path: Path, row: int) -> int:
    """Return the line (from 1) that row `row` (from 0) of a table or list stands on: blank lines are no rows."""
    return _lines(path)[row][0]


def positions(path: Path, known: np.ndarray, received: np.ndarray) -> np.ndarray:
    """Return where each of `received` numbers stands in `known`.

    Raises:
        InputError: `path`, which holds `received`, names a number that is not known.
    """
    order = np.argsort(known)
    found = order[np.minimum(np.searchsorted(known, received, sorter=order), len(known) - 1)]
    wrong = np.flatnonzero(known[found] != received)
    if len(wrong):
        raise InputError(f"{path} must use only numbers that its archive lists. Received: {received[wrong[0]]:g}.")
    return found


def _lines(path: Path) -> list[tuple[int, str]]:
    return [(line, text) for line, text in enumerate(read_text(path).splitlines(), start=1) if text.strip()]
