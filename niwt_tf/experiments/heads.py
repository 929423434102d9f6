"""The seen head that importance is measured on: the trained softmax head, or ridge heads of several strengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwt_tf.experiments.settings import Settings
from niwt_tf.method.ridge_head import RidgeHeadPath, RidgeMoments, temperature_scale


@dataclass(frozen=True)
class SeenHead:
    """Columns and biases of the seen classes.

    Attributes:
        regularization: the ridge penalty, 0 for the trained softmax head.
        columns: float32 [D, S].
        biases: float32 [S].
    """

    regularization: float
    columns: np.ndarray
    biases: np.ndarray


def candidate_heads(
    settings: Settings,
    trained: SeenHead,
    moments: RidgeMoments | None,
    held_out_features: np.ndarray,
    held_out_labels: np.ndarray,
) -> list[SeenHead]:
    """Return the heads that `settings` asks to choose from.

    Args:
        settings: `head_regularization`.
        trained: the head that Stage 0 left.
        moments: of the training images; None for a softmax head, which needs none.
        held_out_features: [V, D] of held-out images of the same classes, for the scale of a ridge head's logits.
        held_out_labels: [V].
    """
    if moments is None:
        return [trained]
    path = RidgeHeadPath(moments)
    return [_scaled(path, strength, held_out_features, held_out_labels) for strength in settings.head_regularization]


def _scaled(path: RidgeHeadPath, strength: float, features: np.ndarray, labels: np.ndarray) -> SeenHead:
    columns, biases = path.solve(strength)
    scale = temperature_scale(features @ columns + biases, labels) if len(labels) else 1.0
    return SeenHead(float(strength), (scale * columns).astype(np.float32), (scale * biases).astype(np.float32))
