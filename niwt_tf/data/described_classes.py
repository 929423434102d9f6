"""Several new classes in one CSV: the column `class`, what describes each, and optionally `source`.

A class is described by the columns of attributes, as in classes.csv, by the column `text`, or by the column `attributes`, which
names a file in or below the folder of the CSV.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from niwt_tf.data.description import Description, described, described_in_words, read_description, row_entries
from niwt_tf.data.schema import Knowledge
from niwt_tf.data.table import read_rows
from niwt_tf.data.text_encoder import TextEncoder
from niwt_tf.errors import InputError, suggestion


@dataclass(frozen=True)
class DescribedClass:
    """A class by its name and description.

    Attributes:
        name: as it was written.
        description: in the units of the known classes.
        source: where the description comes from, or "".
    """

    name: str
    description: Description
    source: str = ""


def read_described_classes(
    path: str | Path, seen: Knowledge, words: TextEncoder | None = None, missing: str = "error"
) -> list[DescribedClass]:
    """Read every class of a CSV, or none.

    Args:
        path: the CSV.
        seen: names and groups of the attributes, and the seen classes' values [S, K].
        words: for knowledge of captions or texts, see `described_in_words`.
        missing: for attributes that are not named, see `described`.

    Raises:
        InputError: naming the file and line of whatever is not in order; a file leaves the CSV's folder.
    """
    path = Path(path).expanduser()
    (first, header), *rows = read_rows(path)
    _check_header(path, first, header, seen)
    if not rows:
        raise InputError(f"{path} must have a row for each new class. Received: a header alone.")
    lines_of: dict[str, int] = {}
    classes = []
    for line, cells in rows:
        row = dict(zip(header, cells, strict=True))
        name = row.pop("class")
        if not name:
            raise InputError(f"{path}, line {line} must name its class. Received: an empty cell.")
        if name in lines_of:
            raise InputError(f"{path}, line {line} must name a new class. Received: {name!r}, also on line {lines_of[name]}.")
        lines_of[name] = line
        source = "" if "source" in seen.names else row.pop("source", "")
        classes.append(DescribedClass(name, _description(path, line, row, seen, words, missing), source))
    return classes


def _check_header(path: Path, line: int, header: list[str], seen: Knowledge) -> None:
    where = f"{path}, line {line}"
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise InputError(f"{where} must name each column once. Received: {twice[:80]!r} twice.")
    if "class" not in header:
        raise InputError(f"{where} must have a column 'class'. Received: {','.join(header)[:80]!r}.")
    columns = [column for column in header if column != "class" and (column != "source" or column in seen.names)]
    ways = _ways(columns, seen)
    if not columns or (ways and len(columns) > 1):
        received = ", ".join(repr(column[:80]) for column in columns[:3]) or "no column"
        raise InputError(
            f"{where} must describe classes by a column 'text', by one 'attributes' or by attributes. Received: {received}."
        )


def _ways(columns: Iterable[str], seen: Knowledge) -> list[str]:
    """Return which columns are not an attribute's but another way to describe."""
    return [column for column in columns if column in ("text", "attributes") and column not in seen.names]


def _description(
    path: Path, line: int, row: Mapping[str, str], seen: Knowledge, words: TextEncoder | None, missing: str
) -> Description:
    where = f"{path}, line {line}"
    ways = _ways(row, seen)
    if ways == ["attributes"]:
        return read_description(file_below(path.parent, row["attributes"], where), seen, missing)
    if ways == ["text"]:
        try:
            return described_in_words(row["text"], seen, words)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return described(row_entries(tuple(row), tuple(row.values()), path, line), seen, where, missing)


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
    if not inside:
        raise InputError(f"{where} must name a file in the folder of the CSV. Received: {name[:200]!r}.")
    if not (folder / name).is_file():
        near = suggestion(name, [entry.name for entry in (folder / name).parent.glob("*") if entry.is_file()][:1000])
        raise InputError(f"{where} must name a file that is there. Received: {name[:200]!r}.{near}")
    return real
