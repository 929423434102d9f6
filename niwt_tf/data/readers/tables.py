"""Strict reading of `classes.csv`: one row a class, the first column its name, the others numeric attributes."""

from __future__ import annotations

import logging
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from niwt_tf.data.arrays import FAULTS, check_mat, check_size
from niwt_tf.data.class_names import check_apart, check_name, check_shown, likeness, plain_name, shown_apart
from niwt_tf.data.readers.mat73 import read_mat73
from niwt_tf.data.readers.spreadsheet import (
    column_of_numbers,
    decimal_mark,
    is_missing,
    is_workbook,
    rows_of_text,
    rows_of_workbook,
    without_blanks,
    without_unit,
)
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError, brief, first_line, folder_beside, listed, require, suggestion
from niwt_tf.files import entries_of, state_of

K = TypeVar("K", bound=Hashable)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # of Excel's "Unicode text"
_LOG = logging.getLogger("niwt_tf")
_MOST_NAMED = 3


@dataclass(frozen=True)
class ClassTable:
    """The rows of a class table: C unique names in the order of the file, and what is said of each."""

    class_names: tuple[str, ...]
    knowledge: Knowledge


def composed(text: str) -> str:
    """Return a cell or a path without surrounding blanks, in the one form (NFC) in which equal texts are equal."""
    return unicodedata.normalize("NFC", text.strip())


def group_of(name: str) -> str:
    """Return the group of an attribute called "group::value" or "group: value" ("has_" left off), or "" when it has none."""
    group, found, _ = name.partition("::" if "::" in name else ": ")
    return group.removeprefix("has_") if found else ""


def read_rows(path: Path, text: str | None = None) -> list[tuple[int, list[str]]]:
    """Return a table's rows that are not blank, stripped, each with its line number; all as long as the first.

    It is a text with commas, semicolons, tabs or bars between cells, or a workbook of Excel's. `text` is the file's, where it
    was read before: a pipe is read once.

    Raises:
        InputError: not UTF-8, bad quoting, no row, or rows of different lengths (the line is named).
    """
    if text is None and is_workbook(path):
        rows = rows_of_workbook(path)
    else:
        rows = rows_of_text(path, read_text(path) if text is None else text)
    rows = without_blanks(path, [(line, [composed(cell) for cell in cells]) for line, cells in rows])
    require(rows, f"{path} must have a header line. Received: an empty file.")
    return rows


def class_table_in(folder: Path) -> Path:
    """Return the path of a folder's class table: classes.csv, or a workbook of that name where there is none."""
    workbook = folder / "classes.xlsx"
    return workbook if workbook.is_file() and not (folder / "classes.csv").is_file() else folder / "classes.csv"


def read_class_table(path: str | Path) -> ClassTable:
    """Read a table of classes with named numeric attributes; "group::value" column names give groups.

    Raises:
        InputError: naming the file, the line and the column of whatever is not in order.
    """
    path = Path(os.path.expanduser(path))
    rows = read_rows(path)
    columns = _checked_header(f"{path}, line {rows[0][0]}", header_names(rows[0][1]))
    lines_of: NamesSoFar = {}
    for line, cells in rows[1:]:
        name = plain_name(cells[0])
        require(name, f"{path}, line {line} must name its class in the first column. Received: an empty cell.")
        check_name(name, f"{path}, line {line}: the name of a class")
        check_new(name, lines_of, path, line)
    require(lines_of, f"{path} must have a row for each class. Received: only a header.")
    cells_by_column = [
        without_unit(path, column, [(line, cells[number]) for line, cells in rows[1:]])
        for number, column in enumerate(columns, start=1)
    ]
    mark = decimal_mark(path, cells_by_column)
    values, filled = np.zeros((len(lines_of), len(columns)), np.float32), []
    for number, (column, cells_of) in enumerate(zip(columns, cells_by_column, strict=True)):
        values[:, number], missing = column_of_numbers(path, column, cells_of, mark)
        filled += [f"{column} ({missing})"] if missing else []
    blank = next((line for line, cells in rows[1:] if all(map(is_missing, cells[1:]))), None)
    if blank is not None:
        raise InputError(f"{path}, line {blank} must describe its class in some column. Received: only empty cells.")
    if filled:
        _LOG.warning("%s: empty cells get the mean of their column: %s.", path, ", ".join(filled))
    groups = tuple(group_of(column) for column in columns)
    return ClassTable(tuple(name for name, _ in lines_of.values()), Knowledge(values, columns, groups, source=path.name))


def header_names(cells: Iterable[str]) -> list[str]:
    """Return the names of a table's columns, each as one line without what nobody sees; "Class" is "class"."""
    return ["class" if likeness(cell) == "class" else plain_name(" ".join(cell.split())) for cell in cells]


# Names of earlier lines and these, by what names share that are taken for one.
NamesSoFar = dict[str, tuple[str, int]]


def check_new(name: str, lines_of: NamesSoFar, path: Path, line: int) -> None:
    """Check that a row's class is none of those of earlier lines, also by no more than case, blanks or what nobody sees.

    It is then one of these.

    Raises:
        InputError: it is; both lines are named.
    """
    other, other_line = lines_of.setdefault(likeness(name), (name, line))
    if other_line != line:
        received = f"{name!r}, also" if other == name else f"{shown_apart(name, other)}, nearly the same name,"
        raise InputError(f"{path}, line {line} must name a new class. Received: {received} on line {other_line}.")


def rows_of_classes(path: Path, table: ClassTable, class_names: Sequence[str]) -> Knowledge:
    """Return the table's knowledge with one row for each of `class_names`, in that order; further rows are left out.

    Raises:
        InputError: a class has no row; the nearest row's name is suggested.
    """
    rows = matched_rows(path, table.class_names, class_names)
    return replace(table.knowledge, values=table.knowledge.values[rows], source=str(path))


def matched_rows(path: Path, row_names: Iterable[str], class_names: Iterable[str], what: str = "class") -> list[int]:
    """Return the row of the table at `path` for each of `class_names`; names that are taken for one (see `likeness`) are one.

    Raises:
        InputError: naming up to three without a row, and the row nearest to the first.
    """
    rows, class_names = list(row_names), list(class_names)
    check_apart(class_names, f"Each {what} next to {path}")
    row_of = {likeness(name): row for row, name in enumerate(rows)}
    absent = [name for name in class_names if likeness(name) not in row_of]
    if absent:
        near = suggestion(absent[0], rows)
        raise InputError(f"{path} must have a row for every {what}. Received: none for {listed(absent)}.{near}")
    return [row_of[likeness(name)] for name in class_names]


def _checked_header(line: str, header: list[str]) -> tuple[str, ...]:
    if header[0] != "class":
        where = " (it is a later column)" if "class" in header else ""
        raise InputError(f"{line} must have 'class' as its first column{where}. Received: {header[0][:80]!r}.")
    columns = header[1:]
    require(columns, f"{line} must name at least one attribute column after 'class'. Received: none.")
    names: dict[str, str] = {"class": "class"}
    for number, column in enumerate(columns, start=2):
        require(column, f"{line} must name every column. Received: an empty name for column {number}.")
        check_shown(column, f"{line}: the name of column {number}")
        other = names.get(likeness(column))
        names.setdefault(likeness(column), column)
        if other is not None:
            received = f"{column!r} twice" if other == column else f"{shown_apart(other, column)}, nearly the same name"
            raise InputError(f"{line} must name each column once. Received: {received}.")
    return tuple(columns)


def read_text(path: Path) -> str:
    """Return a file's text, read as UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        InputError: the file is absent, cannot be read, is not UTF-8 or no text.
    """
    try:
        # A pipe of the shell's, as <(...), ends; another may never do, and a device neither.
        of_shell = path.is_fifo() and path.parts[1:2] in (("dev",), ("proc",))
        if path.exists() and not (path.is_file() or path.is_dir() or of_shell):
            raise InputError(f"{path} must be a readable file. Received: not a regular file.")
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
        require("\0" not in text, f"{path} must be a text file. Received: binary data.")
        return text
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        advice = "save it again as UTF-8" + (" (in Excel: CSV UTF-8)" if path.suffix.lower() in (".csv", ".tsv") else "")
        raise InputError(f"{path} must be UTF-8 text: {advice}. Received: another encoding on line {line}.") from None
    except FileNotFoundError:
        raise InputError(f"{path} must be a file. Received: no such file.") from None
    except OSError as error:
        raise InputError(f"{path} must be a readable file. Received: {error.strerror or error}.") from None


def existing_directory(argument: str, path: str | Path) -> Path:
    """Return `path` as a Path after checking that it is a directory.

    Raises:
        InputError: it is absent or not a directory.
    """
    folder = Path(os.path.expanduser(path))
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        meant = "" if folder.exists() else folder_beside(folder)
        raise InputError(f"{argument} must be a folder. Received: {str(path)!r} ({what}).{meant}")
    return folder


def list_directory(folder: Path) -> list[Path]:
    """Return a folder's entries by name, without hidden ones and what operating systems leave there.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        return entries_of(folder)
    except OSError as error:
        raise InputError(f"{folder} must be a readable folder. Received: {error.strerror or error}.") from None


_RAW = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2"})  # each camera's own, of the sensor


class PassedOver:
    """Files that are not taken: how many of each ending, and the first ones' names."""

    def __init__(self, folder: Path, why: str) -> None:
        self._folder, self._why = folder, why
        self._endings: Counter[str] = Counter()
        self._first: list[str] = []

    def add(self, path: Path) -> None:
        """Count a file."""
        self._endings[ending if (ending := path.suffix.lower())[1:].isalnum() else "no ending"] += 1
        if len(self._first) < _MOST_NAMED:
            self._first.append(str(path.relative_to(self._folder)))

    def say(self) -> None:
        """Name them in a warning, if there are any."""
        if self._first:
            counted = ", ".join(f"{count} with {ending}" for ending, count in self._endings.most_common(5))
            named = listed(self._first, self._endings.total())
            advice = " Save raw photographs of a camera as JPEG." if _RAW & self._endings.keys() else ""
            _LOG.warning("Skipped in %s, because these are %s: %s (%s).%s", self._folder, self._why, counted, named, advice)


def text_files(folder: Path) -> dict[str, Path]:
    """Return the files <class>.txt of a folder by the class's plain name; other files are named in a warning.

    Raises:
        InputError: the folder cannot be read.
    """
    files, others = [], PassedOver(folder, "not texts (.txt)")
    for entry in list_directory(folder):
        if entry.suffix.lower() == ".txt":
            files.append(entry)
        elif not entry.is_dir():
            others.add(entry)
    others.say()
    check_apart([entry.stem for entry in files], f"{folder}, where each file has the name of its class,")
    return {plain_name(entry.stem): entry for entry in files}


def read_numbered_names(path: Path) -> tuple[np.ndarray, list[str]]:
    """Read lines of "number name" and return the numbers (int64) and the names, in the file's order.

    Raises:
        InputError: a line has another form, a number occurs twice, or there is no line.
    """
    found = read_keyed_names(path, _whole_number, "a number", "a name")
    return np.array(list(found), np.int64), list(found.values())


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


_MOST_DIGITS = 18  # of an int64


def read_keyed_names(path: Path, key_of: Callable[[str], K | None], key: str, named: str) -> dict[K, str]:
    """Read lines of "key name" and return the names by key, in the file's order.

    Args:
        path: the file.
        key_of: returns the key that a line begins with, or None where it is none.
        key: what a key is called in messages, with its article.
        named: what a name is called in messages, with its article.

    Raises:
        InputError: a line has another form, a key occurs twice, or there is no line.
    """
    names: dict[K, str] = {}
    lines_of: dict[K, int] = {}
    for line, text in _lines(path):
        begin, _, name = text.strip().replace("\t", " ").partition(" ")
        found = key_of(begin)
        if found is None or not name.strip():
            raise InputError(f"{path}, line {line} must be {key} and {named}. Received: {text.strip()[:80]!r}.")
        if found in lines_of:
            received = f"{found}, also on line {lines_of[found]}"
            raise InputError(f"{path}, line {line} must not repeat {key}. Received: {received}.")
        lines_of[found] = line
        names[found] = name.strip()
    require(names, f"{path} must list at least one name. Received: an empty file.")
    return names


def read_names(path: Path) -> list[str]:
    """Return the lines of a file that are not blank."""
    return [text.strip() for _, text in _lines(path)]


def read_numbers(path: Path, columns: int) -> np.ndarray:
    """Read a table of finite numbers, float64 [rows, columns].

    Raises:
        InputError: a row has another number of columns, or a cell is not a finite number; the line is named.
    """
    return _read_cells(path, columns, 0)[1]


def read_keyed_numbers(path: Path, columns: int) -> tuple[list[str], np.ndarray]:
    """Read a table of a key and finite numbers; return the keys and the numbers, float64 [rows, columns - 1].

    Raises:
        InputError: a row has another number of columns, or a cell behind the key is not a finite number; the line is named.
    """
    return _read_cells(path, columns, 1)


def _read_cells(path: Path, columns: int, keys: int) -> tuple[list[str], np.ndarray]:
    """Return the first column of a table if `keys` is 1, else nothing, and the other columns as numbers."""
    first, rows = [], []
    for line, text in _lines(path):
        cells = text.split()
        if len(cells) != columns:
            rule = "a key and " * keys + f"{columns - keys} number{'s' * (columns - keys > 1)}"
            raise InputError(f"{path}, line {line} must have {rule}. Received: {len(cells)}{' cells' * keys}.")
        try:
            row = np.array([float(cell) for cell in cells[keys:]])
        except ValueError:
            raise InputError(f"{path}, line {line} must hold numbers only. Received: {text.strip()[:80]!r}.") from None
        if not np.isfinite(row).all():
            raise InputError(f"{path}, line {line} must hold finite numbers. Received: {text.strip()[:80]!r}.")
        first += cells[:keys]
        rows.append(row)
    return first, np.array(rows).reshape(len(rows), columns - keys)


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


_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER = 512  # version 7.3 writes so many bytes of text before HDF5 begins


def read_mat(path: Path, keys: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Return the variables `keys` of a MATLAB file of any version, and those of `optional` that it has.

    Raises:
        InputError: the file cannot be read, is no MATLAB file, or lacks one of `keys`.
    """
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        state_of(path)
        with open(path, "rb") as file:
            begin = file.read(_HEADER + len(_HDF5))
    except OSError as error:
        raise InputError(f"{path} must be a readable MATLAB file. Received: {error.strerror or error}.") from None
    rule = f"{path} must be a MATLAB file"
    try:
        if begin.startswith((_HDF5, b"MATLAB 7.3")) or begin[_HEADER:] == _HDF5:
            content, held = read_mat73(path, [*keys, *optional])
        else:
            listing = whosmat(path)
            held = [name for name, _, _ in listing]
            check_size(path, sum(math.prod(shape) * _WIDTHS.get(kind, 8) for _, shape, kind in listing))
            check_mat(path)
            content = loadmat(path, variable_names=[*keys, *optional])
    except InputError:
        raise
    except (OSError, *FAULTS, MatReadError) as error:
        raise InputError(f"{rule}. Received: {first_line(error).rstrip('.')}.") from None
    missing = next((key for key in keys if key not in content), None)
    if missing is not None:
        known = ", ".join(name if name.isidentifier() else brief(name) for name in held[:8])
        listed = f"{known}{' and others' if len(held) > 8 else ''}" if held else "no variable"
        raise InputError(
            f"{path} must hold {', '.join(keys)}. Received: {listed}, but no {missing}.{suggestion(missing, held)}"
        )
    return content


# Bytes of a number; a cell is a place at least.
_WIDTHS = {"single": 4, "int32": 4, "uint32": 4, "int16": 2, "uint16": 2, "int8": 1, "uint8": 1, "char": 1, "logical": 1}


def texts_of(path: Path, key: str, value: Any) -> list[str]:
    """Return a cell array of texts as a list.

    Raises:
        InputError: it is something else, or a text is empty; the row is named.
    """
    rule = f"{path}: {key} must be one column of texts."
    texts = [_text(cell) for cell in _column(value, "OU", rule)]
    if "" in texts:
        raise InputError(f"{rule} Received: none in row {texts.index('') + 1}.")
    return texts


def whole_numbers_of(path: Path, key: str, value: Any) -> np.ndarray:
    """Return a column or row of whole numbers of any type as int64.

    Raises:
        InputError: it has another shape or type, or holds other numbers.
    """
    rule = f"{path}: {key} must be one column of whole numbers."
    flat = _column(value, "iuf", rule)
    with np.errstate(invalid="ignore"):
        numbers = flat.astype(np.int64)
    wrong = np.flatnonzero(numbers != flat)
    if len(wrong):
        raise InputError(f"{rule} Received: {flat[wrong[0]]:g} in row {wrong[0] + 1}.")
    return numbers


def _text(cell: Any) -> str:
    # loadmat wraps a string in as many arrays as the cell was nested.
    while isinstance(cell, np.ndarray):
        cell = cell.ravel()[0] if cell.size else ""
    return cell.strip() if isinstance(cell, str) else ""


def _column(value: Any, kinds: str, rule: str) -> np.ndarray:
    is_array = isinstance(value, np.ndarray)
    if is_array and value.dtype.kind in kinds and max(value.shape, default=0) == value.size:
        return value.ravel()
    shown = type(value).__name__
    if is_array:
        kind = {"O": "cells", "U": "text"}.get(value.dtype.kind, value.dtype)
        shown = f"{' x '.join(map(str, value.shape))} of {kind}"
    raise InputError(f"{rule} Received: {shown}.")
