"""Attributes as yes or no."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from niwt_tf.data.awa2 import read_awa2_classes
from niwt_tf.data.schema import Dataset, Knowledge

# CUB's strengths are the share of people, in percent, who saw the attribute in an image of the class.
_HALF_OF_PEOPLE = 50.0


def binary_attributes(dataset: Dataset, seen: np.ndarray) -> Knowledge:
    """Return the attributes of a data set as 0 and 1.

    - AwA2 publishes them: predicate-matrix-binary.txt.
    - CUB publishes percentages: at least 50 is 1. Rendered birds have the same form.
    - In a user's own table, more than the middle between the least and the greatest value of the seen classes is 1.

    Args:
        dataset: its knowledge being the attributes as read.
        seen: indices of the seen classes.

    Raises:
        InputError: AwA2's file is absent or not in order.
    """
    known = dataset.knowledge
    if dataset.name == "awa2":
        names, published = read_awa2_classes(dataset.root.parent, binary=True)
        row_of = {name: row for row, name in enumerate(names)}
        values = published.values[[row_of[name] for name in dataset.class_names]]
    elif dataset.name in ("cub", "birds"):
        values = known.values >= _HALF_OF_PEOPLE
    else:
        of_seen = known.values[seen].astype(np.float64)
        values = known.values > (of_seen.min(axis=0) + of_seen.max(axis=0)) / 2
    return replace(known, values=values.astype(np.float32), source="binary")
