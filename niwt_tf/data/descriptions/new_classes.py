"""The description of one new class: from a file of attribute values or from a text, in the units of the known classes.

Dimensions: K description entries, S seen classes.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from niwt_tf.data.class_names import check_name, plain_name
from niwt_tf.data.descriptions.attribute_parser import Synonyms, read_attributes
from niwt_tf.data.descriptions.join import JOINT
from niwt_tf.data.descriptions.sentences import EMPTY
from niwt_tf.data.readers.spreadsheet import (
    decimal_mark,
    finite_number,
    is_missing,
    is_workbook,
    numbers_of,
    without_ticks,
    without_unit,
)
from niwt_tf.data.readers.tables import NamesSoFar, check_new, composed, header_names, read_rows, read_text
from niwt_tf.data.schema import Knowledge, TextEncoder
from niwt_tf.errors import InputError, check_choice, listed, require, suggestion

MISSING = ("error", "mean")
LEAST_UNDERSTOOD = 0.5  # of what a text says, or it is not taken without a word
_LARGEST = float(np.finfo(np.float32).max)
# Seen values reach 100 and new ones 1, or the other way round: surely other units.
_OTHER_UNITS = 10.0


@dataclass(frozen=True)
class Description:
    """What is known of one class."""

    values: np.ndarray  # float32 [K], finite
    text: str = ""  # the words it was made from, or ""
    notes: tuple[str, ...] = ()  # sentences that say what was filled in, understood or is doubtful
    coverage: float = 1.0  # understood words of a text, of those that say something


@dataclass(frozen=True)
class Entry:
    """One attribute's value and where it was found, for instance "owl.json, line 3"."""

    name: str
    value: float
    where: str


def read_description(path: str | Path, seen: Knowledge, missing: str = "error") -> Description:
    """Read a file with the attributes of one class: a JSON object {"attribute": number} or a CSV headed attribute,value.

    `seen` and `missing` are those of `described`.

    Raises:
        InputError: naming the file and line of whatever is not in order.
    """
    path = Path(os.path.expanduser(path))
    text = None if is_workbook(path) else read_text(path)
    is_json = path.suffix.lower() == ".json" or (path.suffix.lower() != ".csv" and (text or "").lstrip()[:1] in ("{", "["))
    entries = list(_json_entries(path, text or "") if is_json else _csv_entries(path, text, missing))
    return described(entries, seen, str(path), missing)


def described(entries: Iterable[Entry], seen: Knowledge, where: str, missing: str = "error") -> Description:
    """Return the description that attributes' values make, in any order; `where` is what holds them, for messages.

    `seen` has the names and groups of the attributes, and the seen classes' values [S, K]. `missing` "error" wants every
    attribute named; "mean" gives others the seen classes' mean.

    Raises:
        InputError: an attribute is unknown, named twice or not at all, or `missing` has nothing to take a mean of.
    """
    check_choice("missing", missing, MISSING)
    given: dict[str, Entry] = {}
    unknown = []
    known = set(seen.names)
    for entry in entries:
        require(entry.name not in given, f"{entry.where} must name each attribute once. Received: {entry.name[:80]!r} again.")
        if entry.name not in known:
            unknown.append(entry)
        given[entry.name] = entry
    absent = [name for name in seen.names if name not in given]
    if unknown:
        near = suggestion(unknown[0].name[:80], absent or seen.names)
        without = f", and none for {listed(absent)}" if absent else ""
        raise InputError(
            f"{unknown[0].where} must name one of the bundle's {len(seen.names)} attributes. "
            f"Received: {listed([entry.name for entry in unknown])}, unknown{without}.{near}"
        )
    if absent and (missing == "error" or len(absent) == len(seen.names)):
        advice = "; with missing=mean they get the mean of the seen classes" if len(absent) < len(seen.names) else ""
        raise InputError(
            f"{where} must name every one of the bundle's {len(seen.names)} attributes. "
            f"Received: none for {listed(absent)}{advice}."
        )
    require(not absent or len(seen.values), "missing=mean needs seen classes with descriptions in the bundle. Received: none.")
    mean = seen.values.mean(axis=0, dtype=np.float64) if absent else np.zeros(len(seen.names))
    values = np.array([given[name].value if name in given else 0.0 for name in seen.names], np.float64)
    values = np.where([name in given for name in seen.names], values if seen.scale is None else seen.scale(values), mean)
    values = values.astype(np.float32)
    notes = [f"{len(absent)} attributes get the mean of the seen classes: {', '.join(absent)}."] if absent else []
    told = np.array([name in given for name in seen.names])
    return Description(values, notes=(*notes, *_units(values[told], seen.values[:, told], where)))


def described_in_words(
    text: str, seen: Knowledge, words: TextEncoder | None = None, synonyms: Synonyms | None = None
) -> Description:
    """Return the description that a text makes.

    `seen` is what the classes' descriptions are made of, and the seen classes' values [S, K]; `words`, for knowledge of
    captions or texts, what its numbers are made of. Without these attributes are looked for by their names, and by words that
    `synonyms` says to stand for one of them.

    Raises:
        InputError: nothing in the text is understood, or words alone cannot make such a description.
    """
    text = text.strip()
    if words is None:
        _check_has_names(seen)
        reading = read_attributes(text, seen, synonyms)
        notes = (f"Of the text, {reading.sentence()}", *reading.word_by_word())
        return Description(reading.values, text, notes, reading.coverage)
    if len(words.names) != len(seen.names):
        raise InputError(f"words.npz must give {len(seen.names)} numbers, as the bundle has. Received: {len(words.names)}.")
    known, others = words.known(text)
    unknown = [word for word in others if word not in EMPTY]
    require(known, "text must use words of the texts that the bundle was made with. Received: none of them.")
    rest = f"; not known, {', '.join(map(repr, unknown))}" if unknown else ""
    coverage = len(known) / (len(known) + len(unknown))
    return Description(words([text])[0], text, (f"Of the text, {len(known)} different words are known{rest}.",), coverage)


def _check_has_names(seen: Knowledge) -> None:
    """Check that a description is made of attributes, which a text can name."""
    advice, source = f"give attributes, with a number for each of {len(seen.names)} entries", seen.source
    if JOINT in source:
        raise InputError(f"text alone cannot describe a class if the knowledge is {source}: {advice}. Received: text.")
    require(source != "sentences", f"text cannot be turned into the published sentences' embeddings: {advice}. Received: text.")
    if source in ("captions", "texts"):
        rule = f"text needs a bundle that knows the words of its {source}, which a bundle with a hub module does not"
        raise InputError(f"{rule}; otherwise {advice}. Received: a bundle without words.npz.")


def _csv_entries(path: Path, text: str | None, missing: str) -> Iterator[Entry]:
    rows = read_rows(path, text)
    header = rows[0][1]
    if [cell.lower() for cell in header] != ["attribute", "value"]:
        near = "; give a table with a row for each class as cards" if header[0] == "class" else ""
        received = ",".join(header)[:80]
        raise InputError(f"{path}, line 1 must be attribute,value. Received: {received!r}{near}.")
    mark = decimal_mark(path, [[(line, cell)] for line, (_, cell) in rows[1:]])
    for line, (name, cell) in rows[1:]:
        if missing == "error" or not is_missing(cell):
            yield Entry(name, finite_number(path, line, "value", cell, mark), f"{path}, line {line}")


def _json_entries(path: Path, text: str) -> Iterator[Entry]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno} must be JSON. Received: {error.msg}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} must be a JSON object of numbers. Received: {str(error)[:80]}.") from None
    if not isinstance(whole, dict):
        raise InputError(f"{path} must be a JSON object of attributes' values. Received: {_kind(whole)}.")
    for line, name, value in _lines_of_members(text):
        where = f"{path}, line {line}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
            raise InputError(f"{where}, {name[:80]!r} must be a finite number. Received: {_kind(value)}.")
        yield Entry(composed(name), float(value), where)


def _lines_of_members(text: str) -> Iterator[tuple[int, str, Any]]:
    """Yield the line, name and value of each member of a JSON object, also of names that occur twice."""
    decoder, between = json.JSONDecoder(), re.compile(r"[^\s,:]")
    at, line, counted = text.index("{") + 1, 1, 0
    while text[at := between.search(text, at).start()] != "}":  # type: ignore[union-attr]  # a whole object ends with it
        line, counted = line + text.count("\n", counted, at), at
        name, at = decoder.raw_decode(text, at)
        value, at = decoder.raw_decode(text, between.search(text, at).start())  # type: ignore[union-attr]
        yield line, name, value


def _units(values: np.ndarray, seen: np.ndarray, where: str) -> list[str]:
    new, old = (float(np.abs(numbers).max(initial=0)) for numbers in (values, seen))
    if not seen.size or not values.size or old / _OTHER_UNITS <= new <= _OTHER_UNITS * old:
        return []
    return [f"{where} may use another unit: its values reach {new:g}, those of the seen classes reach {old:g}."]


def _kind(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 80 else shown[:77] + "..."


# Several new classes in one CSV: the column `class`, what describes each, and optionally `source`.
#
# A class is described by the columns of attributes, as in classes.csv, by the column `text`, or by the column `attributes`,
# which names a file in or below the folder of the CSV.


@dataclass(frozen=True)
class DescribedClass:
    """A class by its name, as it was written, and its description, in the units of the known classes."""

    name: str
    description: Description
    source: str = ""  # where the description comes from, or ""


class Doubt(NamedTuple):
    """Of which text least was understood: the share of it, in words, of how many other texts too little was, and the note."""

    share: str
    others: str
    note: str


def doubt_of(classes: Sequence[DescribedClass], least: float = LEAST_UNDERSTOOD) -> Doubt | None:
    """Return the doubt whether classes are what their texts say, or None where at least that share of each was understood."""
    doubtful = [each for each in classes if each.description.coverage < least]
    if not doubtful:
        return None
    worst = min(doubtful, key=lambda each: each.description.coverage)
    share = f"{worst.description.coverage:.0%} of what the text of {worst.name!r} says"
    others = f", and less than {'half' if least == 0.5 else f'{least:.0%}'} of {len(doubtful) - 1} more" if doubtful[1:] else ""
    return Doubt(share, others, worst.description.notes[0].rstrip("."))


def read_described_classes(
    path: str | Path,
    seen: Knowledge,
    words: TextEncoder | None = None,
    missing: str = "error",
    synonyms: Synonyms | None = None,
) -> list[DescribedClass]:
    """Read every class of a CSV, or none. For the other arguments see `described` and `described_in_words`.

    Raises:
        InputError: naming the file and line of whatever is not in order; a file leaves the CSV's folder.
    """
    path = Path(os.path.expanduser(path))
    (first, cells_of_header), *rows = read_rows(path)
    header = [_as_known(column, seen) for column in header_names(cells_of_header)]
    _check_header(path, first, header, seen)
    require(rows, f"{path} must have a row for each new class. Received: only a header.")
    lines_of: NamesSoFar = {}
    classes = []
    told = [k for k, column in enumerate(header) if column in seen.names and column != "class"]
    columns = [[cell for _, cell in without_unit(path, header[k], [(line, cells[k]) for line, cells in rows])] for k in told]
    columns = without_ticks(columns)
    lines = [line for line, _ in rows]
    mark = decimal_mark(path, [list(zip(lines, column, strict=True)) for column in columns])
    for k, column in zip(told, columns, strict=True):
        given = [(line, cell) for line, cell in zip(lines, column, strict=True) if not is_missing(cell)]
        numbers_of(path, header[k], given, mark)
    for number, (line, cells) in enumerate(rows):
        row = dict(zip(header, cells, strict=True))
        row |= {header[k]: column[number] for k, column in zip(told, columns, strict=True)}
        name = plain_name(row.pop("class"))
        require(name, f"{path}, line {line} must name its class. Received: an empty cell.")
        check_name(name, f"{path}, line {line}: the name of a class")
        check_new(name, lines_of, path, line)
        source = "" if "source" in seen.names else row.pop("source", "")
        classes.append(DescribedClass(name, _description(path, line, row, seen, words, missing, synonyms, mark), source))
    return classes


def _check_header(path: Path, line: int, header: list[str], seen: Knowledge) -> None:
    where = f"{path}, line {line}"
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise InputError(f"{where} must name each column once. Received: {twice[:80]!r} twice.")
    require("class" in header, f"{where} must have a column 'class'. Received: {','.join(header)[:80]!r}.")
    columns = [column for column in header if column != "class" and (column != "source" or column in seen.names)]
    ways = _ways(columns, seen)
    if not columns or (ways and len(columns) > 1):
        received = ", ".join(repr(column[:80]) for column in columns[:3]) or "no column"
        raise InputError(
            f"{where} must have a column 'text', a column 'attributes' or columns of attributes. Received: {received}."
        )


def _as_known(column: str, seen: Knowledge) -> str:
    """Return a column's name in small letters where that is not an attribute's but another of those that cards may have."""
    return column.lower() if column not in seen.names and column.lower() in ("text", "attributes", "source") else column


def _ways(columns: Iterable[str], seen: Knowledge) -> list[str]:
    """Return which columns are not an attribute's but another way to describe."""
    return [column for column in columns if column in ("text", "attributes") and column not in seen.names]


def _description(
    path: Path,
    line: int,
    row: Mapping[str, str],
    seen: Knowledge,
    words: TextEncoder | None,
    missing: str,
    synonyms: Synonyms | None,
    mark: str,
) -> Description:
    where = f"{path}, line {line}"
    ways = _ways(row, seen)
    if ways == ["attributes"]:
        return read_description(file_below(path.parent, row["attributes"], where), seen, missing)
    if ways == ["text"]:
        try:
            return described_in_words(row["text"], seen, words, synonyms)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    given = {name: cell for name, cell in row.items() if missing == "error" or not is_missing(cell)}
    entries = [Entry(name, finite_number(path, line, name, cell, mark), where) for name, cell in given.items()]
    return described(entries, seen, where, missing)


def file_below(folder: Path, name: str, where: str) -> Path:
    """Return the file `name` in or below `folder`.

    Raises:
        InputError: the name is absolute or, also through a symbolic link, leads out of the folder, or there is no file.
    """
    inside = bool(name) and "\0" not in name and not Path(name).is_absolute() and ".." not in Path(name).parts
    try:
        if inside:
            real = (folder / name).resolve()
            inside = real.is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop of links
        inside = False
    require(inside, f"{where} must name a file in the folder of the CSV. Received: {name[:200]!r}.")
    if not (folder / name).is_file():
        near = suggestion(name, [entry.name for entry in (folder / name).parent.glob("*") if entry.is_file()][:1000])
        raise InputError(f"{where} must name a file that exists. Received: {name[:200]!r}.{near}")
    return real
