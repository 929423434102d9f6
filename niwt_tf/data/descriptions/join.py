"""Several descriptions of the same classes as one.

Each part is centred on the seen classes and divided by the mean length of their centred rows. So every part has mean length 1
over the seen classes and weighs the same, however many entries it has and whatever its units are; within a part the entries
keep their proportions. Unseen classes have no say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwt_tf.data.schema import Knowledge
from niwt_tf.errors import InputError, require

# A bundle tells joined descriptions from others by it.
JOINT = " + "


def join(parts: Sequence[tuple[str, Knowledge]], seen: np.ndarray) -> Knowledge:
    """Return two or more parts, each a label and its knowledge, beside each other; `seen` are the indices of the seen classes.

    An entry is called "label: name", an attribute by its name alone.

    Raises:
        InputError: a part is the same for all seen classes, or two entries would be called the same.
    """
    values: list[np.ndarray] = []
    names: list[str] = []
    groups: list[str] = []
    for label, known in parts:
        values.append(_to_scale(label, known.values, seen))
        names += [name if label == "attributes" else f"{label}: {name}" for name in known.names]
        groups += known.groups
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    require(twice is None, f"knowledge must join sources whose entries have different names. Received: {twice!r} twice.")
    source = JOINT.join(known.source for _, known in parts)
    return Knowledge(np.concatenate(values, axis=1), tuple(names), tuple(groups), source)


def _to_scale(label: str, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    of_seen = values[seen].astype(np.float64)
    centre = of_seen.mean(axis=0)
    length = float(np.linalg.norm(of_seen - centre, axis=1).mean())
    if length == 0 or (of_seen == of_seen[0]).all():
        raise InputError(
            f"knowledge={label} must differ between seen classes to be joined with others. Received: the same row for all."
        )
    return np.asarray((values - centre) / length, np.float32)
