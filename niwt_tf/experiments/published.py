"""Figures that papers report, to be shown below a leaderboard: another protocol, so never ranked or paired."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from niwt_tf.errors import InputError

COLUMNS = ("method", "H", "seen", "unseen", "source", "protocol")
_NUMBERS = {"H": "harmonic_mean", "seen": "acc_seen", "unseen": "acc_unseen"}


@dataclass(frozen=True)
class Published:
    """A row of another's table.

    Attributes:
        method: its name there.
        figures: fractions by the names of metrics.json; None where the source has none.
        source: where it is published.
        protocol: what was done otherwise, in a few words.
    """

    method: str
    figures: dict[str, float | None]
    source: str
    protocol: str


def read_published(path: str | Path) -> tuple[Published, ...]:
    """Read a CSV with the columns method, H, seen, unseen (fractions; empty where there is none), source and protocol.

    Raises:
        InputError: naming the file, the line and what is wrong with it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = f"{str(path)!r} ({error.strerror})"
        raise InputError(f"--published must name a file that can be read. Received: {reason}.") from None
    except UnicodeDecodeError:
        raise InputError(f"--published must be a CSV in UTF-8. Received: {str(path)!r}.") from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if sorted(reader.fieldnames or ()) != sorted(COLUMNS):
            received = ",".join(reader.fieldnames or ())
            raise InputError(f"{path} must have the columns {','.join(COLUMNS)}. Received: {received!r}.")
        return tuple(_published(f"{path}, line {reader.line_num}", line) for line in reader)
    except csv.Error as error:
        raise InputError(f"{path} must be a CSV. Received: {error} in line {reader.line_num}.") from None


def _published(where: str, line: dict[str | None, str | None]) -> Published:
    texts = {name: (line.get(name) or "").strip() for name in COLUMNS}
    if None in line:
        raise InputError(f"{where}, must have {len(COLUMNS)} cells. Received: {len(COLUMNS) + len(line[None] or ())}.")
    missing = [name for name in ("method", "source") if not texts[name]]
    if missing:
        raise InputError(f"{where}, must name its {missing[0]}. Received: an empty cell.")
    figures = {name: _fraction(where, column, texts[column]) for column, name in _NUMBERS.items()}
    return Published(texts["method"], figures, texts["source"], texts["protocol"])


def _fraction(where: str, column: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(f"{where}, {column}, must be a fraction from 0 to 1, not percent. Received: {text!r}.")
    return value
