"""Descriptions of classes that nobody photographed: a folder of <class>.txt, or a CSV with the columns class and text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from niwt_tf.data.class_names import check_apart, check_name, plain_name
from niwt_tf.data.readers.tables import NamesSoFar, check_new, header_names, read_rows, read_text, text_files
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError, brief, listed, require

MOST_WORDS = 2000


def read_class_texts(path: str | Path) -> Descriptions:
    """Return the texts of K classes by name, in the order of the file, of a folder in that of the names; values are [K, 0].

    Raises:
        InputError: naming the file or line and what is not in order; see `check_class_texts` too.
    """
    place = Path(os.path.expanduser(path))
    if place.is_dir():
        files = text_files(place)
        if not files:
            rule = "--descriptions must be a folder with a file <class>.txt for each class"
            raise InputError(f"{rule}. Received: {str(path)!r}, which has none.")
        return check_class_texts({name: read_text(files[name]).strip() for name in sorted(files)}, str(place))
    if not place.exists():
        rule = "--descriptions must be a folder of <class>.txt or a CSV file"
        raise InputError(f"{rule}. Received: {str(path)!r}, which does not exist.")
    return check_class_texts(class_texts_of(place), str(place))


def class_texts_of(place: Path) -> dict[str, str]:
    """Return the text of each class of a CSV with the columns class and text.

    Raises:
        InputError: naming the line that is not in order.
    """
    rows = read_rows(place)
    header = [name.lower() for name in header_names(rows[0][1])]
    if header != ["class", "text"]:
        raise InputError(f"{place}, line {rows[0][0]} must be the header class,text. Received: {','.join(rows[0][1])[:80]!r}.")
    texts: dict[str, str] = {}
    lines_of: NamesSoFar = {}
    for line, (cell, text) in rows[1:]:
        name = plain_name(cell)
        require(name, f"{place}, line {line} must name a class. Received: an empty cell.")
        check_name(name, f"{place}, line {line}: the name of a class")
        check_new(name, lines_of, place, line)
        texts[name] = text
    return texts


def check_class_texts(texts: dict[str, str], where: str) -> Descriptions:
    """Return texts by class name as descriptions.

    Raises:
        InputError: there are fewer than 2 classes, two have one name, a name or text is empty or no text at all, or a text is
            longer than `MOST_WORDS` or that of another class.
    """
    strange = [each for pair in texts.items() for each in pair if not isinstance(each, str)]
    if strange:
        raise InputError(f"{where} must give a text by the name of each class. Received: {brief(strange[0])}.")
    names = tuple(plain_name(name) for name in texts)
    require(all(names), f"{where} must give each class its own name. Received: ''.")
    check_apart(names, where)
    if len(texts) < 2:
        alone = f"only one class, {next(iter(texts))!r}" if texts else "no class"
        raise InputError(f"{where} must describe at least 2 classes. Received: {alone}.")
    empty = [name for name, text in texts.items() if not text.strip()]
    if empty:
        raise InputError(f"{where} must have a text for each class. Received: none for {listed(empty)}.")
    first: dict[str, str] = {}
    for name, text in texts.items():
        words = len(text.split())
        if words > MOST_WORDS:
            raise InputError(f"{where} must describe a class in at most {MOST_WORDS} words. Received: {words} for {name!r}.")
        same = first.setdefault(" ".join(text.lower().split()), name)
        if same != name:
            raise InputError(
                f"{where} must have a different text for each class. Received: the same text for {same!r} and {name!r}."
            )
    return Descriptions(names, np.zeros((len(names), 0), np.float32), tuple(texts.values()))
