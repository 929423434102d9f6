"""Tables as CSV, in which no text is taken for a formula by a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

# What Excel, LibreOffice and Google's run, also in full width; a tab or an end of a line may stand before it.
_BEGINNINGS = tuple("=+-@\t\n＝＋－＠")
_QUOTE = "'"


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV; texts that a spreadsheet would run have a quotation mark before them, and numbers stay numbers."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def text_of_cell(cell: str) -> str:
    """Return the text that `csv_text` was given for a cell."""
    return cell[1:] if cell.startswith(_QUOTE) and cell[1:].startswith(_BEGINNINGS) else cell


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")  # the writer does not quote the latter
    if not value.startswith(_BEGINNINGS):
        return value
    try:
        float(value)
    except ValueError:
        return _QUOTE + value
    return value if value.isprintable() else _QUOTE + value
