"""Strict reading of `classes.csv`: one row a class, the first column its name, the others numeric attributes."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwt_tf.data.lists import read_text
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError, suggestion

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class ClassTable:
    """The rows of a class table.

    Attributes:
        class_names: C unique names in the file's order.
        knowledge: one row a class.
    """

    class_names: tuple[str, ...]
    knowledge: Knowledge


def plain_name(name: str) -> str:
    """Return a name without surrounding blanks, composed, so that a folder made on macOS equals its row in a table."""
    return unicodedata.normalize("NFC", name.strip())


def group_of(name: str) -> str:
    """Return the group of an attribute called "group::value" ("has_" left off), or "" when it has none."""
    group, found, _ = name.partition("::")
    return group.removeprefix("has_") if found else ""


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return a comma separated file's rows that are not blank, stripped, each with its line number; all as long as the first.

    Raises:
        InputError: not UTF-8, not comma separated, bad quoting, no row, or rows of different lengths (the line is named).
    """
    text = read_text(path)
    if "\0" in text:
        raise InputError(f"{path} must be a text file. Received: binary data.")
    rows: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, [plain_name(cell) for cell in cells]))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num} must be valid CSV. Received: {error}.") from None
    if not rows:
        raise InputError(f"{path} must have a header line. Received: an empty file.")
    header = rows[0][1]
    for separator, called in _SEPARATORS.items():
        if separator in header[0]:
            raise InputError(f"{path} must be comma separated. Received: {called} in its first line.")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError(f"{path}, line {line} must have {len(header)} cells like the header. Received: {len(cells)}.")
    return rows


def read_class_table(path: str | Path) -> ClassTable:
    """Read a table of classes with named numeric attributes; "group::value" column names give groups.

    Raises:
        InputError: naming the file, the line and the column of whatever is not in order.
    """
    path = Path(path).expanduser()
    rows = read_rows(path)
    columns = _checked_header(path, rows[0][1])
    lines_of: dict[str, int] = {}
    values = np.zeros((len(rows) - 1, len(columns)), np.float32)
    for row, (line, cells) in enumerate(rows[1:]):
        name = cells[0]
        if not name:
            raise InputError(f"{path}, line {line} must name its class in the first column. Received: an empty cell.")
        if name in lines_of:
            raise InputError(f"{path}, line {line} must name a new class. Received: {name!r}, also on line {lines_of[name]}.")
        lines_of[name] = line
        values[row] = [finite_number(path, line, column, cell) for column, cell in zip(columns, cells[1:], strict=True)]
    if not lines_of:
        raise InputError(f"{path} must have a row for each class. Received: a header alone.")
    groups = tuple(group_of(column) for column in columns)
    return ClassTable(tuple(lines_of), Knowledge(values, columns, groups, source=path.name))


def rows_of_classes(path: Path, table: ClassTable, class_names: Sequence[str]) -> Knowledge:
    """Return the table's knowledge with one row for each of `class_names`, in that order; further rows are left out.

    Raises:
        InputError: a class has no row; the nearest row's name is suggested.
    """
    check_has_rows(path, table.class_names, class_names)
    row_of = {name: row for row, name in enumerate(table.class_names)}
    rows = [row_of[plain_name(name)] for name in class_names]
    known = table.knowledge
    return Knowledge(known.values[rows], known.names, known.groups, source=str(path))


def check_has_rows(path: Path, row_names: Iterable[str], class_names: Iterable[str], what: str = "class") -> None:
    """Check that each of `class_names` is among `row_names` of the table at `path`.

    Raises:
        InputError: naming up to three without a row, and the row nearest to the first.
    """
    rows = list(row_names)
    absent = [name for name in class_names if plain_name(name) not in set(rows)]
    if absent:
        listed = ", ".join(repr(name) for name in absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
        near = suggestion(absent[0], rows)
        raise InputError(f"{path} must have a row for every {what}. Received: none for {listed}.{near}")


def _checked_header(path: Path, header: list[str]) -> tuple[str, ...]:
    if header[0] != "class":
        where = " (it is a later column)" if "class" in header else ""
        raise InputError(f"{path}, line 1 must call its first column 'class'{where}. Received: {header[0][:80]!r}.")
    columns = header[1:]
    if not columns:
        raise InputError(f"{path}, line 1 must name at least one attribute column after 'class'. Received: none.")
    for number, column in enumerate(columns, start=2):
        if not column:
            raise InputError(f"{path}, line 1 must name every column. Received: an empty name for column {number}.")
        if columns.index(column) != number - 2:
            raise InputError(f"{path}, line 1 must name each column once. Received: {column!r} twice.")
    return tuple(columns)


def finite_number(path: Path, line: int, column: str, cell: str) -> float:
    """Return the number in a cell.

    Raises:
        InputError: it is not a finite number, or too large for float32; file, line and column are named.
    """
    received = repr(cell[:80]) if cell else "an empty cell"
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
        raise InputError(f"{path}, line {line}, column {column!r} must be a finite number. Received: {received}.")
    return value
