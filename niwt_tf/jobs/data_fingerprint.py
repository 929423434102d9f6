"""What tells one data set from another, without reading every image."""

from __future__ import annotations

import os

from niwt_tf.data.schema import Dataset
from niwt_tf.files import fingerprint


def data_fingerprint(dataset: Dataset) -> str:
    """Return 16 hex digits that change with the images (names and sizes in bytes), labels, classes, knowledge or split.

    Where the folder lies and when its files were written make no difference.

    Raises:
        OSError: an image is not there.
    """
    sizes = [os.stat(dataset.root / path).st_size for path in dataset.paths]
    split = dataset.split
    roles = [] if split is None else [split.seen, split.unseen, split.train, split.test_seen, split.test_unseen]
    names = [dataset.name, dataset.class_names, dataset.paths, dataset.knowledge.names]
    return fingerprint(names, sizes, dataset.labels, dataset.knowledge.values, *roles)
