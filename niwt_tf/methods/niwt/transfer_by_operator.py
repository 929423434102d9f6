"""Stage 3 by descent on exact operators: the loss of Eq. 3 and its gradient by matrix products, without a nested tape.

Dimensions: N neurons, D features, S seen and U unseen classes, B images a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import tensorflow as tf

from niwt_tf.methods.niwt.transfer import Transfer, TransferOptions, minimise, penalty, reshuffled
from niwt_tf.methods.niwt.transfer_closed_form import anchor_column
from niwt_tf.methods.operators import TailOperator

IMAGES_A_STEP = 8
_SHARE_A_STEP = 0.1


def operator_loss(
    operator: TailOperator, columns: tf.Tensor, images: tf.Tensor, targets: tf.Tensor, anchor: tf.Tensor,
    options: TransferOptions
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return Eq. 3 over every pair of some support images and all classes, and its mean cosine; both scalars.

    Args:
        operator: M(x) of the support images.
        columns: [U, D], one row a class.
        images: [B], indices of support images.
        targets: [U, N], predicted importances of unit length.
        anchor: [D], what lambda holds the columns to.
        options: lambda and the regulariser.
    """
    importances = operator.apply(tf.transpose(columns), images)
    mean_cosine = tf.reduce_mean(tf.reduce_sum(tf.math.l2_normalize(importances, axis=2) * targets, axis=2))
    return 1.0 - mean_cosine + penalty(columns, anchor, options), mean_cosine


def transfer_by_operator(
    operator: TailOperator, importances: np.ndarray, seen_columns: np.ndarray, seen_biases: np.ndarray,
    options: TransferOptions, on_step: Callable[[int, float], None] | None = None, start: np.ndarray | None = None
) -> Transfer:
    """Optimise the columns of all unseen classes together until their importances match (Eq. 3).

    The loss, optimiser and stopping rule are those of the nested tape. A step takes 8 images, each with every class, for an
    operator gives all classes of an image at little more than the cost of one.

    Args:
        operator: M(x) of the support images.
        importances: [U, N] predicted by the map; only their direction matters.
        seen_columns: [D, S].
        seen_biases: [S].
        options: see `TransferOptions`; `batch_size` is not used, nor is `learning_rate` where there is a start.
        on_step: called with the step and its loss.
        start: first columns [D, U], those of the closed form for instance; a step then changes an entry by a tenth of the mean
            entry's size at first. None draws them as the paper does.
    """
    if start is not None:
        options = replace(options, learning_rate=_SHARE_A_STEP * float(np.abs(start).mean()))
    targets = tf.math.l2_normalize(tf.constant(importances, tf.float32), axis=1)
    anchor = tf.constant(anchor_column(seen_columns, options.anchor), tf.float32)

    def loss_of(columns: tf.Tensor, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return operator_loss(operator, columns, images, targets, anchor, options)

    size = min(IMAGES_A_STEP, operator.num_images)
    batches = ((images,) for images in reshuffled(operator.num_images, size, np.random.default_rng(options.seed + 1)))
    return minimise(loss_of, batches, len(importances), seen_columns, seen_biases, options, on_step, start)
