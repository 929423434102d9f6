"""Stage 3 for one candidate: which engine solves for the columns of new classes, and what scale and bias they get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.methods.niwt.layers import blocks_of
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.niwt.support import Support
from niwt_tf.methods.niwt.transfer import Transfer, TransferOptions, transfer_columns
from niwt_tf.methods.niwt.transfer_by_operator import transfer_by_operator
from niwt_tf.methods.niwt.transfer_closed_form import Blocks, mean_cosine
from niwt_tf.methods.seen_heads import SeenHead
from niwt_tf.metrics.calibration import logit_statistics, match_logits
from niwt_tf.models.network import Network

_START_REGULARIZATION = 0.1


@dataclass(frozen=True)
class NiwtCandidate:
    """One candidate for Stage 3.

    Attributes:
        head: index of the candidate head.
        engine: "closed_form", "operator" or "tape".
        regularization: Eq. 3's lambda.
        learning_rate: Adam's rate for the tape's columns.
        anchor: what lambda holds the columns to, "mean" or "zero".
        layer_weights: how much the importances of each layer count, that of --layer (1) first.
        map_regularization: penalty of the map in every partition; None leaves each map as leaving classes out chose it.
        head_kind: "ridge", "lda" or "softmax".
        head_regularization: the head's ridge penalty or shrinkage, 0 for softmax.
    """

    head: int
    engine: str
    regularization: float
    learning_rate: float
    anchor: str = "mean"
    layer_weights: tuple[float, ...] = (1.0,)
    map_regularization: float | None = None
    head_kind: str = "ridge"
    head_regularization: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NiwtCandidate:
        """Return what `as_dict` gave, or arrays of the same names; other names are passed over."""
        known = {each.name: np.asarray(values[each.name]).tolist() for each in fields(cls) if values.get(each.name) is not None}
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        return cls(**plain)


def new_columns(
    settings: Settings, choice: NiwtCandidate, network: Network, head: SeenHead, importances: np.ndarray, support: Support,
    features: np.ndarray, labels: np.ndarray
) -> Transfer:
    """Solve Eq. 3 for the importances [U, N] and set scale and bias on features [M, D] of seen training images."""
    own, losses = NiwtOptions.of(settings), np.empty(0, np.float32)
    if choice.engine == "closed_form":
        blocks = blocks_of(network, own.extra_layers, choice.layer_weights)
        columns = support.solution(blocks).columns(
            importances, head.columns, choice.regularization, choice.anchor, keep_lengths=head.form is not None
        )
        cosine = mean_cosine(support.operator, columns, importances, blocks)
    else:
        options = TransferOptions(
            choice.regularization, choice.anchor, own.regularizer, choice.learning_rate, own.transfer_batch_size,
            own.transfer_steps, seed=settings.seed
        )
        if choice.engine == "tape":
            solved = transfer_columns(network.tail, support.maps, importances, head.columns, head.biases, options)
        else:
            assert support.exact is not None, "the support was made for another engine"
            # The closed form is near the minimum already: fewer steps, and a lower loss where they are few.
            start = support.solution(Blocks.single(len(support.operator))).columns(
                importances, head.columns, _START_REGULARIZATION, choice.anchor
            )
            solved = transfer_by_operator(support.exact, importances, head.columns, head.biases, options, start=start)
        columns, cosine, losses = solved.columns, solved.mean_cosine, solved.losses
        if head.form is not None:
            columns = _of_length(columns, support.operator, importances)
    if head.form is not None:
        return Transfer(columns, head.form.biases(columns), losses, cosine)
    biases = np.full(len(importances), head.biases.mean(), np.float32)
    if own.column_scale == "matched":
        statistics = logit_statistics(features, labels, head.columns, head.biases)
        columns, biases = match_logits(columns, features, statistics)
    return Transfer(columns, biases, losses, cosine)


def _of_length(columns: np.ndarray, operator: np.ndarray, importances: np.ndarray) -> np.ndarray:
    """Return columns [D, U] multiplied so that J w comes nearest to the importances: a descent sees directions alone."""
    reached = operator @ columns
    squares = np.maximum((reached * reached).sum(axis=0), 1e-30)
    return (columns * ((reached * importances.T).sum(axis=0) / squares)).astype(np.float32)
