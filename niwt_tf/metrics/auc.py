"""The area under the ROC curve, of many scores at once.

Dimensions: M images, N neurons, K attributes.
"""

from __future__ import annotations

import numpy as np

_COLUMNS_AT_A_TIME = 512
_LOWER = 1.2816  # of a normal distribution, one-sided 90 %


def separation_auc(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return how well scores [M, N] tell images with an attribute, bool [M, K], from those without, float64 [N, K].

    It is the area under the ROC curve: the share of pairs of an image with and one without in which the former scores higher,
    ties counting half (Mann and Whitney 1947). NaN where every image has the attribute or none.
    """
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    result = np.empty((scores.shape[1], present.shape[1]))
    for start in range(0, present.shape[1], _COLUMNS_AT_A_TIME):
        columns = present[:, start : start + _COLUMNS_AT_A_TIME].astype(np.float64)
        result[:, start : start + _COLUMNS_AT_A_TIME] = _auc(ranks.T @ columns, columns.sum(axis=0), len(present))
    return result


def paired_auc(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the diagonal [N] of `separation_auc`: each column of scores [M, N] for the one column of present, bool [M, N]."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    return _auc((ranks * present).sum(axis=0), present.sum(axis=0, dtype=np.float64), len(present))


def _auc(rank_sums: np.ndarray, positive: np.ndarray, count: int) -> np.ndarray:
    """Return the AUC from the sums of the ranks, from 1, of `positive` of `count` scores; NaN for none or all of them."""
    pairs = np.broadcast_to(positive * (count - positive), rank_sums.shape)
    return np.divide(rank_sums - positive * (positive + 1) / 2, pairs, out=np.full(rank_sums.shape, np.nan), where=pairs > 0)


def auc_lower_bound(aucs: np.ndarray, positive: np.ndarray, count: int) -> np.ndarray:
    """Return the lower 90 % bound [N] of AUCs of `positive` [N] of `count` images, by Hanley and McNeil's error (1982).

    NaN, and so below any limit, where there are no images of either kind.
    """
    negative = count - positive
    first, second = aucs / (2 - aucs), 2 * aucs**2 / (1 + aucs)
    spread = aucs * (1 - aucs) + (positive - 1) * (first - aucs**2) + (negative - 1) * (second - aucs**2)
    pairs = positive * negative
    variance = np.divide(spread, pairs, out=np.full(len(aucs), np.nan), where=pairs > 0)
    return np.asarray(aucs - _LOWER * np.sqrt(np.maximum(variance, 0.0)))
