"""The data of a finished run of a method that reads texts, and the images of its unseen classes: what its studies look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.data.load import load_dataset
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Dataset, Images, test_data
from niwt_tf.jobs.synthesize import writer_of


def data_of(run: Path, data_dir: str | None) -> Dataset:
    """Return the data set of a run, without its descriptions as numbers."""
    settings = writer_of(run).settings
    return load_dataset(
        settings.dataset, data_dir or settings.data_folder, split=settings.split, unseen=settings.unseen,
        num_unseen=settings.num_unseen, seed=settings.seed, missing_images=settings.missing_images, max_bad_images=None
    )


def unseen_images(dataset: Dataset, most: int, seed: int) -> tuple[Images, np.ndarray]:
    """Return a sample of the test images of unseen classes, labelled over these, and their rows among all test images."""
    tested = test_data(dataset)
    rows = np.flatnonzero(tested.images.labels >= tested.num_seen)
    unseen = np.arange(tested.num_seen, len(tested.images.class_names))
    sample = balanced_sample(tested.images.take(rows).of_classes(unseen), most, seed)
    place = {path: row for row, path in zip(rows, tested.images.take(rows).paths, strict=True)}
    return sample, np.array([place[path] for path in sample.paths])
