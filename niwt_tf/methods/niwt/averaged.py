"""NIWT with nothing chosen: the mean of several heads and kernels, which is one linear head (`--map=relevance`).

A few classes held out rank candidates badly, so all are kept: each seen head (a discriminant of its own shrinkage) with each
kernel of the relevance map gives columns and biases, which are divided by the margin that its head reaches on held-out images
of the seen classes, and their mean is taken. Stage 3 is linear in importances: the mean column is that of the mean importance.

In closed form the column of a class is C h, with h its weights over the seen classes and C the columns that Stage 3 gives the
seen importances: no solve is left for a later class.

Dimensions: M images, D features, N neurons, S seen classes, U new classes, K description entries, E kernels, T heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.methods.few_shot import FewShotPrior
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt.files import forms_of, part_of, seen_heads_of
from niwt_tf.methods.niwt.layers import blocks_of
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.solving import NiwtCandidate, new_columns
from niwt_tf.methods.niwt.support import Support
from niwt_tf.methods.niwt.transfer_closed_form import mean_cosine
from niwt_tf.methods.operators import tail_operator
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.relevance import RelevanceMap
from niwt_tf.methods.relevance_formula import RelevanceFormula
from niwt_tf.methods.seen_heads import BiasForm, SeenHead
from niwt_tf.methods.transfer_method import TransferGenerator
from niwt_tf.models.network import Network

_PRIOR = "few_shot"


@dataclass(frozen=True)
class AveragedGenerator(TransferGenerator):
    """All that is needed to give the network another class from its description alone.

    Attributes:
        options: Stage 3's options.
        network: whose features the columns are for.
        heads: T discriminants with their importances.
        margins: [T], what the logits of each are divided by, in proportion to its `seen_margin` on held-out images.
        relevance: description -> weights over the seen classes.
        candidate: how columns are solved for.
        support: what columns are fitted on.
        features: [M, D] of seen training images, for what refines a column by photographs.
        labels: [M].
        prior: updates a column once images of its class arrive; None before.
    """

    options: Settings
    network: Network
    heads: Sequence[MeasuredHead]
    margins: np.ndarray
    relevance: RelevanceMap
    candidate: NiwtCandidate
    support: Support
    features: np.ndarray
    labels: np.ndarray
    prior: FewShotPrior | None = None

    @cached_property
    def head(self) -> MeasuredHead:
        """The mean of the heads, with its importances; it has no form of its own."""
        columns = self._mean([each.head.columns for each in self.heads])
        mean = SeenHead(0.0, columns, self._mean([each.head.biases for each in self.heads]), "lda")
        return replace(self.heads[0], head=mean, targets=self._mean([each.targets for each in self.heads]))

    def _mean(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the mean over the heads of what each has, float32, in units of its margin."""
        return np.tensordot(1.0 / (len(self.heads) * self.margins), np.stack(parts), axes=1).astype(np.float32)

    @cached_property
    def formula(self) -> RelevanceFormula | None:
        """From a description to a column and bias; None where a descent solves."""
        if self.candidate.engine != "closed_form":
            return None
        columns = [
            self._solution.columns(each.targets, each.head.columns, *self._held, keep_lengths=True) for each in self.heads
        ]
        means = [form.centre @ each for form, each in zip(self._forms, columns, strict=True)]
        squares = [form.quadratic(each) for form, each in zip(self._forms, columns, strict=True)]
        return RelevanceFormula(self.relevance, self._mean(columns), self._mean(means), self._mean(squares))

    @property
    def _forms(self) -> list[BiasForm]:
        return [each.head.form for each in self.heads if each.head.form is not None]

    @property
    def _solution(self) -> Any:
        layers = NiwtOptions.of(self.options).extra_layers
        return self.support.solution(blocks_of(self.network, layers, self.candidate.layer_weights))

    @property
    def _held(self) -> tuple[float, str]:
        return self.candidate.regularization, self.candidate.anchor

    def generate(self, classes: Descriptions) -> HeadParameters:
        """Return columns for new classes, by the column formula, or by a descent for all heads and kernels."""
        seen = self.head.head.columns, self.head.head.biases
        if not len(classes):
            return HeadParameters((), seen, (seen[0][:, :0], seen[1][:0]))
        if self.formula is None:
            return self._descended(classes, seen)
        weights = self.relevance.weights(classes.values).mean(axis=0)
        columns, biases = self.formula(classes.values)
        layers = NiwtOptions.of(self.options).extra_layers
        blocks = blocks_of(self.network, layers, self.candidate.layer_weights)
        cosine = mean_cosine(self.support.operator, columns, (weights @ self.head.targets).astype(np.float32), blocks)
        return HeadParameters(classes.names, seen, (columns, biases), figures={"transfer_cosine": cosine})

    def _descended(self, classes: Descriptions, seen: Columns) -> HeadParameters:
        weights = self.relevance.weights(classes.values)
        kernels, count, _ = weights.shape
        solved = []
        for each in self.heads:
            asked = (weights @ each.targets).reshape(kernels * count, -1).astype(np.float32)
            known = self.options, self.candidate, self.network, each.head
            solved.append(new_columns(*known, asked, self.support, self.features, self.labels))
        columns = self._mean([new.columns.reshape(-1, kernels, count).mean(axis=1) for new in solved])
        biases = self._mean([new.biases.reshape(kernels, count).mean(axis=0) for new in solved])
        figures = {"transfer_cosine": float(np.mean([new.mean_cosine for new in solved]))}
        losses = np.concatenate([new.losses for new in solved])
        return HeadParameters(classes.names, seen, (columns, biases), figures=figures, losses=losses)

    def columns_for(self, importances: np.ndarray) -> Columns:
        """Return the columns of the mean head whose importances are those given, and the biases that go with them."""
        columns = self._solution.columns(importances, self.head.head.columns, *self._held, keep_lengths=True)
        return columns, self.biases_of(columns)

    def biases_of(self, columns: np.ndarray) -> np.ndarray:
        """Return the biases [U] of columns [D, U] of the mean head.

        A mean column w is R m, m the class's mean in deviations and R = mean of s (C + t I)^-1 over the heads, so that m and
        with it each head's own column and bias follow from w.
        """
        forms = self._forms
        values, vectors = np.linalg.eigh(forms[0].within.astype(np.float64))
        inverses = [form.scale / (np.maximum(values, 0.0) + form.shrinkage) for form in forms]
        moved = vectors.T @ columns.astype(np.float64)
        mean = moved / self._mean(inverses)[:, None]
        return self._mean(
            [form.biases(vectors @ (each[:, None] * mean)) for form, each in zip(forms, inverses, strict=True)]
        )

    def with_formula(self) -> AveragedGenerator:
        """Return the same: it has its formula already."""
        return self

    @property
    def few_shot(self) -> FewShotPrior | None:
        """What later photographs of a class are weighed with."""
        return self.prior

    @property
    def importances(self) -> np.ndarray:
        """Those of the mean head, [S, N]."""
        return self.head.targets

    @property
    def figures(self) -> dict[str, float]:
        """How alike importances are within and across classes, how well the map predicts their order, and its warrant."""
        importance = self.heads[0].importance
        return {
            "rank_correlation_within": importance.rank_correlation_within,
            "rank_correlation_across": importance.rank_correlation_across,
            "map_rank_correlation": self.relevance.rank_correlation,
            "relevance_warrant": self.relevance.warrant,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name; the candidate's values and the prior's arrays by a prefix."""
        importance = self.heads[0].importance
        found: dict[str, Any] = {
            "columns": np.stack([each.head.columns for each in self.heads]),
            "biases": np.stack([each.head.biases for each in self.heads]),
            "head_regularization": np.array([each.head.regularization for each in self.heads]),
            "head_kind": np.array([each.head.kind for each in self.heads]),
            "targets": np.stack([each.targets for each in self.heads]),
            "margins": self.margins,
            "importance": importance.means,
            "counts": importance.counts,
            "rank_correlation": np.array([importance.rank_correlation_within, importance.rank_correlation_across]),
            "sizes": np.array(self.heads[0].sizes),
            "operator": self.support.operator,
            "support_maps": self.support.maps,
            "features": self.features,
            "labels": self.labels,
            **self.relevance.arrays(),
            "map_rank_correlation": np.array(self.relevance.rank_correlation),
            **forms_of([each.head for each in self.heads]),
            **{f"candidate/{name}": np.array(value) for name, value in vars(self.candidate).items() if value is not None},
        }
        if self.prior is not None:
            found |= {f"{_PRIOR}/{name}": value for name, value in self.prior.arrays().items()}
        return found

    @classmethod
    def from_arrays(cls, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> AveragedGenerator:
        """Return what `arrays` gave; `network` is the one that its columns were put into."""
        within, across = (float(value) for value in arrays["rank_correlation"])
        importance = ClassImportance(arrays["importance"], arrays["counts"], within, across)
        sizes = tuple(arrays["sizes"].tolist())
        heads = [
            MeasuredHead(head, importance, targets, sizes)
            for head, targets in zip(seen_heads_of(arrays), arrays["targets"], strict=True)
        ]
        candidate = NiwtCandidate.from_dict(part_of(arrays, "candidate"))
        maps = arrays["support_maps"]
        exact = tail_operator(network.tail, maps) if candidate.engine == "operator" else None
        prior = part_of(arrays, _PRIOR)
        return cls(
            settings, network, heads, arrays["margins"], RelevanceMap.from_arrays(arrays), candidate,
            Support(arrays["operator"], maps, exact), arrays["features"], arrays["labels"],
            FewShotPrior.from_arrays(prior) if prior else None
        )
