"""NIWT's generator: from the descriptions of any classes to their head columns.

Dimensions: M images, D features, N neurons, S seen classes, U new classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.descriptions.normalise import DescriptionNormaliser
from niwt_tf.data.schema import Descriptions
from niwt_tf.methods.few_shot import FewShotPrior
from niwt_tf.methods.importance import ClassImportance
from niwt_tf.methods.niwt.files import forms_of, part_of, seen_heads_of
from niwt_tf.methods.niwt.layers import blocks_of
from niwt_tf.methods.niwt.mapping import ImportanceMap
from niwt_tf.methods.niwt.measuring import MeasuredHead
from niwt_tf.methods.niwt.niwt_formula import NiwtFormula
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.solving import NiwtCandidate, new_columns
from niwt_tf.methods.niwt.support import Support
from niwt_tf.methods.niwt.transfer import Transfer
from niwt_tf.methods.niwt.transfer_closed_form import mean_cosine
from niwt_tf.methods.operators import tail_operator
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.transfer_method import TransferGenerator
from niwt_tf.metrics.calibration import logit_statistics
from niwt_tf.models.network import Network

# The prefix of the formula's arrays: what a column formula was called when the first were saved.
_FORMULA = "column_map"
_OF_HEAD = ("columns", "biases", "head_regularization", "head_kind")


@dataclass(frozen=True)
class NiwtGenerator(TransferGenerator):
    """All that is needed to give the network another class from its description alone.

    Attributes:
        options: Stage 3's options.
        network: whose features the columns are for.
        head: that head with its importances.
        importance_map: description -> importance.
        candidate: how columns are solved for.
        support: what columns are fitted on.
        features: [M, D] of seen training images, for scale and bias.
        labels: [M].
        formula: the closed form of all this from a description to a column and bias; None where a descent was chosen, and
            before the candidate was.
        prior: updates a column once images of its class arrive; None before the candidate was chosen.
    """

    options: Settings
    network: Network
    head: MeasuredHead
    importance_map: ImportanceMap
    candidate: NiwtCandidate
    support: Support
    features: np.ndarray
    labels: np.ndarray
    formula: NiwtFormula | None = None
    prior: FewShotPrior | None = None

    def generate(self, classes: Descriptions) -> HeadParameters:
        """Return columns for new classes, by the column formula or all in one solution or descent."""
        seen = self.head.head.columns, self.head.head.biases
        if not len(classes):  # a descent has nothing to start from
            return HeadParameters((), seen, (seen[0][:, :0], seen[1][:0]))
        importances = self.importance_map.predict(classes.values)
        if self.formula is None:
            new = self.solved(importances)
            figures = {"transfer_cosine": new.mean_cosine}
            return HeadParameters(classes.names, seen, (new.columns, new.biases), figures=figures, losses=new.losses)
        columns, biases = self.formula(classes.values)
        blocks = blocks_of(self.network, NiwtOptions.of(self.options).extra_layers, self.candidate.layer_weights)
        figures = {"transfer_cosine": mean_cosine(self.support.operator, columns, importances, blocks)}
        return HeadParameters(classes.names, seen, (columns, biases), figures=figures)

    def solved(self, importances: np.ndarray) -> Transfer:
        """Solve Eq. 3 for importances [U, N], without the column formula."""
        known = self.options, self.candidate, self.network, self.head.head
        return new_columns(*known, importances, self.support, self.features, self.labels)

    def columns_for(self, importances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns and biases that solve Eq. 3, without the column formula."""
        new = self.solved(importances)
        return new.columns, new.biases

    def with_formula(self) -> NiwtGenerator:
        """Return the same with the affine form of Stages 2 and 3; a descent has none."""
        return replace(self, formula=niwt_formula_of(self))

    @property
    def few_shot(self) -> FewShotPrior | None:
        """What later photographs of a class are weighed with."""
        return self.prior

    @property
    def importances(self) -> np.ndarray:
        """What the map was fitted to, [S, N]."""
        return self.head.targets

    @property
    def figures(self) -> dict[str, float]:
        """How alike importances are within and across classes, and how well the map predicts their order."""
        importance = self.head.importance
        return {
            "rank_correlation_within": importance.rank_correlation_within,
            "rank_correlation_across": importance.rank_correlation_across,
            "map_rank_correlation": self.importance_map.rank_correlation,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name; the candidate's values and the formulas' arrays by a prefix."""
        fitted, importance, head = self.importance_map, self.head.importance, self.head.head
        found: dict[str, Any] = {
            "columns": head.columns,
            "biases": head.biases,
            "head_regularization": np.array(head.regularization),
            "head_kind": np.array(head.kind),
            "importance": importance.means,
            "targets": self.head.targets,
            "counts": importance.counts,
            "rank_correlation": np.array([importance.rank_correlation_within, importance.rank_correlation_across]),
            "sizes": np.array(self.head.sizes),
            "map_weights": fitted.weights,
            "map_bias": fitted.bias,
            "map_centre": fitted.normaliser.centre,
            "normalisation": np.array(fitted.normaliser.how),
            "map_figures": np.array([fitted.regularization, fitted.rank_correlation]),
            "operator": self.support.operator,
            "support_maps": self.support.maps,
            "features": self.features,
            "labels": self.labels,
            **forms_of([head]),
            **{f"candidate/{name}": np.array(value) for name, value in vars(self.candidate).items() if value is not None},
        }
        for prefix, part in ((_FORMULA, self.formula), ("few_shot", self.prior)):
            if part is not None:
                found |= {f"{prefix}/{name}": value for name, value in part.arrays().items()}
        return found

    @classmethod
    def from_arrays(cls, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> NiwtGenerator:
        """Return what `arrays` gave; `network` is the one that its columns were put into."""
        (head,) = seen_heads_of({**arrays, **{name: arrays[name][None] for name in _OF_HEAD}})
        within, across = (float(value) for value in arrays["rank_correlation"])
        importance = ClassImportance(arrays["importance"], arrays["counts"], within, across)
        measured = MeasuredHead(head, importance, arrays["targets"], tuple(arrays["sizes"].tolist()))
        normaliser = DescriptionNormaliser(str(arrays["normalisation"]), arrays["map_centre"])
        penalty, correlation = (float(value) for value in arrays["map_figures"])
        importance_map = ImportanceMap(arrays["map_weights"], arrays["map_bias"], normaliser, penalty, correlation)
        candidate = NiwtCandidate.from_dict(part_of(arrays, "candidate"))
        maps, exact = arrays["support_maps"], None
        if candidate.engine == "operator":
            exact = tail_operator(network.tail, maps)
        formula, few_shot = part_of(arrays, _FORMULA), part_of(arrays, "few_shot")
        return cls(
            settings, network, measured, importance_map, candidate, Support(arrays["operator"], maps, exact),
            arrays["features"], arrays["labels"], NiwtFormula.from_arrays(formula) if formula else None,
            FewShotPrior.from_arrays(few_shot) if few_shot else None
        )


def niwt_formula_of(generator: NiwtGenerator) -> NiwtFormula | None:
    """Return the affine form of Stages 2 and 3 for a generator, or None where a descent was chosen."""
    own, candidate, head = NiwtOptions.of(generator.options), generator.candidate, generator.head.head
    if candidate.engine != "closed_form":
        return None
    solution = generator.support.solution(blocks_of(generator.network, own.extra_layers, candidate.layer_weights))
    statistics = None
    if own.column_scale == "matched" and head.form is None:
        statistics = logit_statistics(generator.features, generator.labels, head.columns, head.biases)
    known = head.columns, candidate.regularization, candidate.anchor, generator.features, statistics
    return NiwtFormula.of(generator.importance_map, solution, *known, float(head.biases.mean()), form=head.form)
