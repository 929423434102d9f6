"""Spearman rank correlation of importance vectors, for two vectors, and over all pairs of a stream without keeping them."""

from __future__ import annotations

import numpy as np


def standardised_ranks(vectors: np.ndarray) -> np.ndarray:
    """Return rank vectors [M, N] of mean 0 and norm 1, so that a dot product of two is their Spearman correlation.

    Ties share their average rank; a constant vector, which has no order, becomes 0.
    """
    from scipy.stats import rankdata

    ranks = rankdata(vectors, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.divide(ranks, norms, out=np.zeros_like(ranks), where=norms > 0)


def mean_rank_correlation(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Return the mean over rows of Spearman's correlation between `predicted` and `observed`, both [M, N]."""
    return float((standardised_ranks(predicted) * standardised_ranks(observed)).sum(axis=1).mean())


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors [M, N] divided by their L2 norms; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


def map_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation [B] over the positions of two maps [B, H, W]; NaN where one is the same everywhere.

    For a network whose weights were randomised, or another class, it must be far from 1 (Adebayo et al., "Sanity Checks for
    Saliency Maps", 2018).
    """
    ranks = [standardised_ranks(each.reshape(len(each), -1)) for each in (first, second)]
    ordered = np.logical_and(*(np.abs(each).max(axis=1) > 0 for each in ranks))
    return np.where(ordered, (ranks[0] * ranks[1]).sum(axis=1), np.nan)
