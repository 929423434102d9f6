"""The oracle is a ceiling, and yet no image is scored by a head that saw it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from niwt_tf.config.settings import Settings
from niwt_tf.data.folds import class_folds, main_partition
from niwt_tf.data.schema import TestData
from niwt_tf.experiments.comparison.oracle import ORACLE, STRENGTHS, cross_fitted_scores, parts_of, score_oracle
from niwt_tf.methods.task import Task
from niwt_tf.protocol.selection import select


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(0, 3))
def test_no_image_is_fitted_on_by_the_head_that_scores_it(drawn, seed):
    labels = np.array(drawn, np.int64)
    scored = []
    for fitted, left_out in parts_of(labels, 3, seed):
        assert not np.isin(fitted, left_out).any()
        assert (labels[fitted] >= 3).all()
        scored += left_out.tolist()
    assert sorted(scored) == list(range(len(labels)))


def test_labels_of_noise_cannot_be_guessed():
    """With more features than images a head that had seen an image would be right about it every time."""
    generator = np.random.default_rng(0)
    features, asked = generator.normal(size=(20, 200)), generator.normal(size=(60, 200))
    asked_labels = 2 + generator.integers(0, 2, 60)
    (scores,) = cross_fitted_scores(features, np.arange(20) % 2, asked, asked_labels, 2, 4, [1e-4], 0)
    right = (scores[:, 2:].argmax(axis=1) + 2 == asked_labels).mean()
    assert 0.25 < right < 0.75


def test_it_does_well_where_features_tell_the_classes_apart(coloured_seen):
    classes = np.eye(5, 12) * 3
    generator = np.random.default_rng(0)
    known = {
        path: classes[label] + 0.1 * generator.normal(size=12)
        for path, label in zip(coloured_seen.images.paths, coloured_seen.images.labels, strict=True)
    }

    def features_of(images):
        return np.stack([known[path] for path in images.paths]).astype(np.float32)

    settings = Settings()
    folds = class_folds(coloured_seen, num_folds=2, num_validation=2, num_unseen=2, seed=0)

    def task(partition):
        return Task(settings, partition, None, None, lambda _, images: features_of(images))

    chosen, trials = select(settings, ORACLE, [task(fold) for fold in folds])
    assert len(trials) == 2 * len(STRENGTHS)
    assert chosen.harmonic_mean > 0.999
    three = main_partition(coloured_seen.of_classes(np.arange(3)), 0)
    scored = score_oracle(task(three), chosen, 2, TestData(coloured_seen.images, 3))
    assert scored.evaluation.harmonic_mean > 0.999
    assert scored.logits.shape == (25, 5)
