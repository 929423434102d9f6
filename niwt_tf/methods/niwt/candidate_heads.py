"""The seen heads that importance is measured on: which kinds and strengths there are to choose from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.methods.niwt.options import NiwtOptions
from niwt_tf.methods.seen_heads import DiscriminantPath, RidgeHeadPath, RidgeMoments, SeenHead, temperature_scale


def kinds_of(settings: Settings) -> tuple[str, ...]:
    """Return the kinds of heads to choose from; importances of different images have no lengths that a discriminant needs."""
    own = NiwtOptions.of(settings)
    if own.map_kind == "relevance":  # the mean is taken of discriminants alone
        return ("lda",)
    return tuple(kind for kind in own.seen_head if kind != "lda" or own.importance_over == "shared")


def num_heads(settings: Settings) -> int:
    """Return how many candidate heads there are."""
    own = NiwtOptions.of(settings)
    sizes = {"ridge": len(own.head_regularization), "lda": len(own.lda_shrinkage), "softmax": 1}
    return sum(sizes[kind] for kind in kinds_of(settings))


def candidate_heads(
    settings: Settings, trained: SeenHead, moments: RidgeMoments | None, held_out_features: np.ndarray,
    held_out_labels: np.ndarray
) -> list[SeenHead]:
    """Return the heads that `settings` asks to choose from.

    Args:
        settings: the kinds and their strengths.
        trained: the head that Stage 0 left.
        moments: of the training images; None for a softmax head alone, which needs none.
        held_out_features: [V, D] of held-out images of the same classes, for the scale of a ridge head's logits.
        held_out_labels: [V].
    """
    own, heads = NiwtOptions.of(settings), list[SeenHead]()
    for kind in kinds_of(settings):
        if kind == "softmax" or moments is None:
            heads.append(trained)
        elif kind == "ridge":
            path = RidgeHeadPath(moments)
            heads += [SeenHead(float(each), *path.solve(each)) for each in own.head_regularization]
        else:
            discriminant = DiscriminantPath(moments)
            for each in own.lda_shrinkage:
                columns, biases, form = discriminant.solve(each)
                heads.append(SeenHead(float(each), columns, biases, "lda", form))
    return [_scaled(head, held_out_features, held_out_labels) for head in heads]


def _scaled(head: SeenHead, features: np.ndarray, labels: np.ndarray) -> SeenHead:
    """Return a refitted head with logits of the scale that probabilities need."""
    if head.kind == "softmax" or not len(labels):
        return head
    scale = temperature_scale(features @ head.columns + head.biases, labels)
    form = None if head.form is None else replace(head.form, scale=scale)
    columns, biases = (scale * head.columns).astype(np.float32), (scale * head.biases).astype(np.float32)
    return replace(head, columns=columns, biases=biases, form=form)
