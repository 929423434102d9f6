"""What spreadsheets leave in tables: their separators, empty rows and columns, Excel's own files, and how they write numbers.

A number is taken as it was surely meant, or refused: "0,3" is 0.3, "1,200.5" is 1200.5, "80%" is 0.8 and "yes" is 1, but
"1,200" in a file that has no other number to tell by is refused.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import re
from collections.abc import Iterable, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np

from niwt_tf.config.extras import imported
from niwt_tf.data.arrays import check_archive
from niwt_tf.errors import InputError, listed, require

_LOG = logging.getLogger("niwt_tf")
Rows = list[tuple[int, list[str]]]
_SEPARATORS = ",;\t|"
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_MISSING = frozenset({"", "na", "n/a", "n.a.", "?", "nan", "null", "none", "unknown", "-", "–", "—"})
_YES_NO = {
    **dict.fromkeys(("yes", "y", "true", "ja", "oui", "sí", "si", "sì", "sim", "present"), 1.0),
    **dict.fromkeys(("no", "n", "false", "nein", "nee", "non", "não", "absent"), 0.0),
    # As Excel writes them in other languages.
    **dict.fromkeys(("wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda"), 1.0),
    **dict.fromkeys(("falsch", "faux", "falso", "onwaar", "fałsz"), 0.0),
}
_CHECKS = frozenset({"✓", "✔", "☑", "✅", "+"})
_CROSSES = frozenset({"x", "✗", "✘", "✕", "✖", "☒", "❌"})  # a yes, as on a ballot, but a no beside a check
_OPEN_BOX = frozenset({"☐", "□"})
_MOST_CELLS = 10_000_000
_LIKE_A_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?")
_WITH_UNIT = re.compile(r"[-+]?[\d.,\s]*\d\s*(?P<unit>[^\W\d_]{1,12}(?:[²³]|/[^\W\d_]{1,6})?|°[CF]?)")
_GROUPED = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'’](?=\d{3}(?:\D|$))")


def is_workbook(path: Path) -> bool:
    """Return whether a file is one of Excel's, by its first bytes."""
    try:
        return path.is_file() and _begin(path) in (_ZIP, _OLD_EXCEL)  # a pipe would be waited for
    except OSError:
        return False


def _begin(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4)


def rows_of_text(path: Path, text: str) -> Rows:
    """Return the rows of a table as text, each with its line; what parts cells is what parts the first two of the header.

    Raises:
        InputError: bad quoting; the line is named.
    """
    lines = text.splitlines(keepends=True)
    named = re.match(r"sep=(.)\s*$", lines[0]) if lines else None  # what Excel is told by
    skipped = 1 if named else 0
    header = next((line for line in lines[skipped:] if line.strip()), "")
    unquoted = re.sub(r'"[^"]*"', "", header)
    separator = named[1] if named else next((character for character in unquoted if character in _SEPARATORS), ",")
    reader = csv.reader(io.StringIO("".join(lines[skipped:]), newline=""), strict=True, delimiter=separator)
    try:
        return [(reader.line_num + skipped, cells) for cells in reader]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num + skipped} must be valid CSV. Received: {error}.") from None


def rows_of_workbook(path: Path) -> Rows:
    """Return the rows of the first sheet of an Excel file that is not hidden and not empty. That others have cells is said.

    Raises:
        InputError: an old or another kind of file, openpyxl is not installed, too many cells, a date, or a formula that was
            never computed.
    """
    openpyxl = imported("openpyxl", f"{path}, a workbook,", "or save it as CSV")
    rule = f"{path} must be a workbook that Excel can read (.xlsx), or CSV"
    try:
        if _begin(path) == _ZIP:
            check_archive(path, rule.removeprefix(f"{path} must "))
        content = path.read_bytes()  # and not the path: of whose ending it would judge
        books = [openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=data) for data in (True, False)]
        sheets = [book.worksheets for book in books]
        for sheet in (each for of_book in sheets for each in of_book):
            sheet.reset_dimensions()  # some programs write too few, and it may claim a million rows of 16,384 cells
        visible = [place for place, sheet in enumerate(sheets[0]) if sheet.sheet_state == "visible"]
        shown = next((place for place in visible if _has_cells(sheets[1][place])), (visible or [0])[0])
        rows, cells_read = [], 0
        both = zip(*(of_book[shown].iter_rows() for of_book in sheets), strict=True)
        for line, (computed, written) in enumerate(both, start=1):
            cells_read += len(computed)
            if cells_read > _MOST_CELLS:
                raise InputError(f"{path} must have at most {_MOST_CELLS} cells. Received: more, on line {line}.")
            rows += [(line, computed, written)] if computed else []
        others = [sheet.title for place, sheet in enumerate(sheets[0]) if place != shown and _has_cells(sheet)]
    except InputError:
        raise
    except Exception as error:  # whatever its readers of zip and XML meet
        raise InputError(f"{rule}. Received: {type(error).__name__}.") from None
    if others:
        _LOG.warning("%s: only the sheet %r is read, not %s.", path, sheets[0][shown].title, listed(others))
    found: Rows = []
    width = max((len(computed) for _, computed, _ in rows), default=0)
    for line, computed, written in rows:
        cells: list[str] = []
        for column, (cell, source) in enumerate(zip(computed, written, strict=True), start=1):
            where = f"{path}, line {line}, column {column}"
            require(
                cell.value is not None or source.data_type != "f",
                f"{where} must have a value. Received: a formula that was never computed; open and save the file.",
            )
            cells.append(_written(cell.value, where))
        found.append((line, cells + [""] * (width - len(cells))))
    return found


def _has_cells(sheet: Any) -> bool:
    return any(value is not None for row in sheet.iter_rows(values_only=True) for value in row)


def without_blanks(path: Path, rows: Rows) -> Rows:
    """Return rows without those that are blank, all as long as the first, without columns that have neither name nor cell.

    Raises:
        InputError: a row of another length, or a column with cells and no name; the line is named.
    """
    rows = [(line, cells) for line, cells in rows if any(cells)]
    if not rows:
        return rows
    first, header = rows[0]
    named = max(number for number, cell in enumerate(header, start=1) if cell)
    most = max(sum(map(bool, cells)) for _, cells in rows)
    if named == 1 and most > 1:  # a title, a comment
        received = f"{header[0][:80]!r} alone, above {most} cells"
        raise InputError(f"{path}, line {first} must be the header, with a name for each column. Received: {received}.")
    trimmed: Rows = []
    for line, cells in rows:
        kept = list(cells)
        while len(kept) > named and not kept[-1]:
            kept.pop()
        trimmed.append((line, kept))
    with_cells = {number for _, cells in trimmed[1:] for number, cell in enumerate(cells[:named]) if cell}
    used = [number for number in range(named) if header[number] or number in with_cells]
    nameless = next((number for number in used if not header[number]), None)
    if nameless is not None:
        raise InputError(f"{path}, line {first} must name every column. Received: an empty name for column {nameless + 1}.")
    for line, cells in trimmed[1:]:
        if len(cells) > named and len(header) > named:
            received = f"an empty name for column {named + 1}, with {cells[-1][:80]!r} on line {line}"
            raise InputError(f"{path}, line {first} must name every column. Received: {received}.")
        if len(cells) != named:
            raise InputError(f"{path}, line {line} must have {named} cells like the header. Received: {len(cells)}.")
    return [(line, [cells[number] for number in used]) for line, cells in trimmed]


def is_missing(cell: str) -> bool:
    """Return whether a cell says that nothing is known."""
    return cell.lower() in _MISSING


def without_unit(path: Path, name: str, cells: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return a column's cells without the unit that stands behind each of its numbers, as in "80 kg".

    Raises:
        InputError: the cells have different units, or some have none; the line is named.
    """
    found = [(line, cell, _WITH_UNIT.fullmatch(cell)) for line, cell in cells if not is_missing(cell)]
    units = {match["unit"]: line for line, _, match in reversed(found) if match}
    if not units:
        return list(cells)
    first = next(match["unit"] for _, _, match in found if match)
    for line, cell, match in found:
        if match is None or match["unit"] != first:
            rule = f"{path}, line {line}, column {name!r} must be a number in {first}, as on line {units[first]}"
            raise InputError(f"{rule}. Received: {cell[:80]!r}.")
    return [(line, cell if is_missing(cell) else cell.removesuffix(first).rstrip()) for line, cell in cells]


def decimal_mark(path: Path, columns: Iterable[Sequence[tuple[int, str]]]) -> str:
    """Return what parts whole numbers from fractions in a table's columns of cells, each with its line: "." or ",".

    Raises:
        InputError: cells contradict each other, or a comma may be either, or a point between hundreds; the line is named.
    """
    proof: dict[str, tuple[int, str]] = {}
    doubtful: tuple[int, str] | None = None
    told = ((column, _of_hundreds(column)) for column in columns)
    for line, cell, among_hundreds in ((*cell, among) for column, among in told for cell in column):
        text = _plain(cell)
        if not _LIKE_A_NUMBER.fullmatch(text) or not {",", "."} & {*text}:
            continue
        text = text.removesuffix("%")
        last = max(text.rfind(","), text.rfind("."))
        mark, other = text[last], {",": ".", ".": ","}[text[last]]
        if text.count(mark) > 1:
            proof.setdefault(other, (line, cell))
        elif other in text or len(text) - last != 4 or not re.fullmatch(r"[-+]?[1-9]\d{0,2}", text[:last]):
            proof.setdefault(mark, (line, cell))
        elif mark == "," or among_hundreds:
            doubtful = doubtful or (line, cell)
    if len(proof) == 2:
        (line, cell), (other_line, other_cell) = proof.values()
        rule = f"{path}, line {other_line} must write fractions as line {line} does, {cell!r}"
        raise InputError(f"{rule}. Received: {other_cell!r}.")
    if doubtful is not None and not proof:
        advice = "comma out, or write a point" if "," in doubtful[1] else "point out, or write another digit"
        rule = f"{path}, line {doubtful[0]} must show whether it means 1.2 or 1200: leave the {advice}"
        raise InputError(f"{rule}. Received: {doubtful[1]!r}.")
    return next(iter(proof), ".")


def _of_hundreds(column: Sequence[tuple[int, str]]) -> bool:
    """Return whether a column has whole numbers from 100 on, and none that is smaller: of "900" and "1.200" both are whole."""
    texts = [_plain(cell) for _, cell in column if not is_missing(cell)]
    others = [text for text in texts if not re.fullmatch(r"[1-9]\d{2,}", text)]
    return len(others) < len(texts) and all(re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", text) for text in others)


def column_of_numbers(path: Path, name: str, cells: Sequence[tuple[int, str]], mark: str = ".") -> tuple[np.ndarray, int]:
    """Return a column's numbers, float64, with the mean in the place of those that are missing, and how many are.

    Raises:
        InputError: a cell is no number, or written in another way than the others; all are missing.
    """
    missing = [is_missing(cell) for _, cell in cells]
    require(not all(missing), f"{path}, column {name!r} must be a finite number in some row. Received: an empty cell in each.")
    ticked = _ticked(cells)
    if ticked is not None:
        return ticked, 0
    given = [(line, cell) for (line, cell), absent in zip(cells, missing, strict=True) if not absent]
    numbers = numbers_of(path, name, given, mark)
    filled = np.full(len(cells), np.mean(numbers))
    filled[~np.array(missing)] = numbers
    return filled, sum(missing)


def numbers_of(path: Path, name: str, given: Sequence[tuple[int, str]], mark: str) -> list[float]:
    """Return the numbers of those of a column's cells that have one.

    Raises:
        InputError: a cell is no number, or written in another way than the others.
    """
    numbers = [finite_number(path, line, name, cell, mark) for line, cell in given]
    words = [cell.lower() in _YES_NO for _, cell in given]
    shares = [cell.endswith("%") for _, cell in given]
    for (line, cell), number, word, share in zip(given, numbers, words, shares, strict=True):
        if any(words) and not word and number not in (0.0, 1.0):
            rule = "must be yes or no, as on other lines, or all numbers: 1 for yes, 0 for no"
            raise InputError(f"{path}, line {line}, column {name!r} {rule}. Received: {cell!r}.")
        if any(shares) and not share and number != 0.0:
            raise InputError(f"{path}, line {line}, column {name!r} must have a %, as on other lines. Received: {cell!r}.")
    return numbers


def _ticked(cells: Sequence[tuple[int, str]]) -> np.ndarray | None:
    """Return 1 where a column of ticks has one and 0 elsewhere, also where a cell is empty or "-"; None of another column."""
    marks = [cell.lower().removesuffix("\ufe0f") for _, cell in cells]  # an emoji's ending
    used = {mark for mark in marks if not is_missing(mark)}
    if not used <= _CHECKS | _CROSSES | _OPEN_BOX:
        return None
    said = used & _CHECKS or used & _CROSSES
    return np.array([mark in said for mark in marks], np.float64)


def without_ticks(columns: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return columns of a table with "1" and "0" in the place of ticks; a cross is a no where the table has checks too."""
    marks = [{cell.lower().removesuffix("\ufe0f") for cell in cells if not is_missing(cell)} for cells in columns]
    ticked = [bool(used) and used <= _CHECKS | _CROSSES | _OPEN_BOX for used in marks]
    every = {mark for used, are in zip(marks, ticked, strict=True) if are for mark in used}
    said = every & _CHECKS or every & _CROSSES
    return [
        [str(int(cell.lower().removesuffix("\ufe0f") in said)) for cell in cells] if are else list(cells)
        for cells, are in zip(columns, ticked, strict=True)
    ]


def finite_number(path: Path, line: int, column: str, cell: str, mark: str = ".") -> float:
    """Return the number in a cell: also of "yes", "80%" and "1 200"; `mark` parts it from its fraction.

    Raises:
        InputError: it is not a finite number, or too large for float32; file, line and column are named.
    """
    text = _plain(cell)
    plain = text.removesuffix("%")
    between = "." if mark == "," else ","  # the thousands
    if between in plain and not re.fullmatch(rf"[-+]?\d{{1,3}}(\{between}\d{{3}})+(\{mark}\d*)?", plain):
        plain = ""
    plain = plain.replace(between, "").replace(mark, ".")
    try:
        value = _YES_NO.get(text.lower()) if text.lower() in _YES_NO else float(plain) if "_" not in plain else math.nan
    except ValueError:
        value = math.nan
    if value is None or not math.isfinite(value) or abs(value) > float(np.finfo(np.float32).max):
        received = repr(cell[:80]) if cell else "an empty cell"
        received += ", an error of the spreadsheet" if cell.startswith("#") else ""
        raise InputError(f"{path}, line {line}, column {column!r} must be a finite number. Received: {received}.")
    return value / 100 if text.endswith("%") else value


def _plain(cell: str) -> str:
    return re.sub(r"\s+%$", "%", _GROUPED.sub("", cell.replace("\u2212", "-").strip()))


def _written(value: Any, where: str) -> str:
    """Return a workbook's cell as it would be written in a CSV file."""
    if isinstance(value, date | time):
        raise InputError(f"{where} must be a text or a number. Received: a date; Excel turns what looks like a date into one.")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = str(int(value)) if value.is_integer() else repr(value)
        # With three digits behind the point it might be taken for thousands.
        return f"{text}0" if re.fullmatch(r"-?\d+\.\d{3}", text) else text
    return "" if value is None else str(value)
