"""The description of one more class, as it is given in Python, as a row of the knowledge."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from niwt_tf.data.descriptions.new_classes import DescribedClass, described_in_words, doubt_of
from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError, suggestion

_LOG = logging.getLogger("niwt_tf")


def row_of_text(name: str, text: str, known: Knowledge) -> np.ndarray:
    """Return float32 [K] of a text of the class `name`, and say what was understood of it.

    `known` has the seen classes' values [S, K].

    Raises:
        InputError: less than half of the text is understood, or words alone cannot make such a description.
    """
    made = described_in_words(text, known, known.words)
    doubt = doubt_of([DescribedClass(name, made)])
    if doubt is not None:
        rule = "at least half of the text must be understood"
        raise InputError(f"{rule}. Received: {doubt.share}. {doubt.note}.")
    for note in made.notes:
        _LOG.warning("%s: %s", name, note)
    return made.values


def values_of(description: Any, knowledge: Knowledge) -> np.ndarray:
    """Return float32 [K] of K numbers or of a value by name for all K, in the units of the data set's table.

    Raises:
        InputError: a name is unknown or missing, or it is not K finite numbers.
    """
    names = knowledge.names
    if isinstance(description, Mapping):
        unknown = next((name for name in description if name not in names), None)
        if unknown is not None:
            raise InputError(f"description has an unknown entry. Received: {unknown!r}.{suggestion(unknown, names)}")
        absent = [name for name in names if name not in description]
        if absent:
            raise InputError(f"description must give all {len(names)} entries. Received: none for {absent[0]!r}.")
        description = [description[name] for name in names]
    try:
        values = np.asarray(description, np.float32)
    except (TypeError, ValueError):
        values = np.empty(0, np.float32)
    if values.shape != (len(names),) or not np.isfinite(values).all():
        raise InputError(f"description must be {len(names)} finite numbers or a value by name. Received: {description!r}.")
    return values if knowledge.scale is None else knowledge.scale(values)
