"""Correlations of classes against SciPy's pair by pair, and the picture of classes that say little."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from niwt_tf.experiments.analyses.consistency import correlation_matrix, draw_consistency
from niwt_tf.experiments.analyses.record import AnalysisRecord
from niwt_tf.methods.importance import PairwiseRankCorrelation
from niwt_tf.metrics.ranks import standardised_ranks


def test_matrix_is_the_mean_over_pairs():
    random = np.random.default_rng(0)
    vectors, labels = random.normal(size=(9, 6)), np.array([0, 0, 0, 1, 1, 3, 0, 1, 3])
    vectors[4] = 1.0  # without an order
    matrix = correlation_matrix(standardised_ranks(vectors), labels, 4)
    for one in range(4):
        for other in range(4):
            pairs = [
                spearmanr(vectors[i], vectors[j]).statistic
                for i in np.flatnonzero(labels == one)
                for j in np.flatnonzero(labels == other)
                if i != j and 4 not in (i, j)
            ]
            np.testing.assert_allclose(matrix[one, other], np.mean(pairs) if pairs else np.nan, atol=1e-12)
    whole = PairwiseRankCorrelation(4, 6)
    whole.add(vectors, labels)
    assert np.isclose(np.nanmean(np.diag(matrix)), whole.within)
    assert np.isclose(np.nanmean(matrix[~np.eye(4, dtype=bool)]), whole.across)


def test_a_class_of_one_image_is_drawn_without_a_box(tmp_path):
    from niwt_tf.experiments.analyses.consistency import _COLUMNS

    unknown = (float("nan"),) * 5
    first = "a $x$", 1, float("nan"), 0.1, *unknown, *np.linspace(-1, 1, 5)
    rows = (first, ("b", 3, 0.5, 0.1, *np.linspace(0, 1, 5), *unknown))
    details = {"class_names": ["a $x$", "b"], "matrix": [[None, 0.1], [0.1, 0.5]]}
    draw_consistency(AnalysisRecord("", "", "", _COLUMNS, rows, None, details), tmp_path / "it.png")
    assert (tmp_path / "it.png").stat().st_size > 1000
