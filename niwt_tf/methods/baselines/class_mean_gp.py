"""The nearest class mean by the relevance map: what NIWT's Stage 2 is worth without importances.

An ablation of `--map=relevance`: the same Gaussian process with learnt relevances, the same gate and the same average over
kernels, with the means of the seen classes' features in the place of their importances, and nothing else. Each kernel predicts
a mean m_u = sum_c h_uc m_c; a class has the column 2 m_u and the bias -|m_u|^2, as in `class_mean`, and of both the mean over
the kernels is taken. There is nothing to choose.

Dimensions: M images, D features, S seen classes, K description entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.methods.baselines.linear import FittedColumns, Grid, LinearMethod, Sample, Values, nearest_mean
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.relevance import RelevanceMap, fit_relevance_map
from niwt_tf.methods.relevance_formula import RelevanceFormula


@dataclass(frozen=True)
class ClassMeanGP(FittedColumns):
    """The means of the seen classes, and the weights that a description gives them.

    Attributes:
        means: float64 [S, D].
        relevance: of normalised descriptions.
    """

    means: np.ndarray
    relevance: RelevanceMap

    def formula(self, normaliser: DescriptionNormaliser | None = None) -> RelevanceFormula:
        """Return what makes columns of descriptions: of raw ones by a normaliser, of normalised ones without."""
        relevance = self.relevance if normaliser is None else replace(self.relevance, normaliser=normaliser)
        # 2 M h for the means M, and -|M h|^2, as a quadratic form of the weights h.
        basis, squares = 2 * self.means.T, 2 * self.means @ self.means.T
        return RelevanceFormula(relevance, basis.astype(np.float32), np.zeros(len(squares)), squares)

    def seen_columns(self, descriptions: np.ndarray) -> Columns:
        """Return columns and biases of the observed means."""
        del descriptions
        return nearest_mean(self.means)


def solutions(sample: Sample, descriptions: np.ndarray, grid: Grid) -> Iterator[tuple[Values, ClassMeanGP]]:
    """Yield the one solution that there is."""
    del grid
    means = sample.class_means
    yield {}, ClassMeanGP(means, fit_relevance_map(descriptions, means, normalisation="raw"))


# Features and descriptions as NIWT's map has them by default.
METHOD = LinearMethod(
    "class_mean_gp", {}, solutions, features=("raw",), descriptions=("centred",), formulas=RelevanceFormula
)
