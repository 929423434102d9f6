"""What the signature `explain` answers: a class, where it is seen, why, and why not the next best class.

Only core operations, so that it can be part of a serving signature. Row i of every answer is what image i alone would get.
Dimensions: B images, S pixels a side, H x W positions, N neurons, D features, C classes, K attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.grad_cam import attribute_weights, grad_cam, importance, logits_with_gradients, scaled_to_one, upsampled
from niwt_tf.explain.heat_png import heat_png

_ATTRIBUTES, _NEURONS, _REASONS = 5, 3, 3


class ExplainerTensors(NamedTuple):
    """The part of an `Explainer` that a graph needs, as tensors or variables of known shape.

    Attributes:
        weights: of the inverse map, float32 [K, N].
        bias: of the inverse map, float32 [K].
        attribute_names: string [K].
        neuron_names: string [N].
    """

    weights: tf.Tensor
    bias: tf.Tensor
    attribute_names: tf.Tensor
    neuron_names: tf.Tensor

    @classmethod
    def of(cls, explainer: Explainer) -> ExplainerTensors:
        """Return an explainer's arrays as constants."""
        names = list(explainer.attribute_names), list(explainer.neuron_names)
        return cls(tf.constant(explainer.weights), tf.constant(explainer.bias), *(tf.constant(each) for each in names))


def explanations(
    images: tf.Tensor,
    trunk: Callable[[tf.Tensor], tf.Tensor],
    tail: Callable[[tf.Tensor], tf.Tensor],
    logits_of: Callable[[tf.Tensor], tf.Tensor],
    labels: tf.Tensor,
    temperature: tf.Tensor | float,
    explainer: ExplainerTensors,
    seen: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Explain the best class of each image; one pass forward and two back through tail and head.

    Names with weights come in order of strength. Only what speaks for the point is named: where fewer entries do, the rest of a
    row is "" with weight 0. A table is as wide as there are attributes or neurons if they are fewer.

    Args:
        images: float32 [B, S, S, 3], RGB in 0..255, S known when this is traced.
        trunk: images -> maps [B, H, W, N], in inference mode.
        tail: maps -> features [B, D], in inference mode.
        logits_of: features -> calibrated logits [B, C].
        labels: string [C]; C may change after tracing.
        temperature: scores are softmax(logits / temperature).
        explainer: the inverse map and the names.
        seen: float32 [C], 1 for seen classes and 0 for unseen ones.

    Returns:
        label: string [B], the best class.
        score: float32 [B], its probability.
        is_seen: float32 [B].
        heatmap: float32 [B, H, W] in [0, 1], Grad-CAM of its logit.
        heatmap_png_bytes: string [B], the same as PNG files of S x S pixels.
        attributes, attribute_weights: [B, 5], of the inverse map at the importance for its logit, in deviations from the seen
            classes' mean.
        neurons, neuron_names, neuron_weights: [B, 3], those with the largest alpha_n * mean of a_n, which is the weight: the
            neuron's mean part in Grad-CAM before the ReLU.
        runner_up, runner_up_score: [B], the second class; "" and 0 where there is one class alone.
        for_attributes, for_weights: [B, 3], the inverse map at the importance for the difference of the two logits (at unit
            length, without bias): what speaks for the best class, against the runner-up. Weights are positive.
        against_attributes, against_weights: [B, 3], what speaks for the runner-up. Weights are negative.
    """
    maps = trunk(images)
    logits, (best, second), gradients = logits_with_gradients(maps, lambda each: logits_of(tail(each)), _best_two)
    alphas, rival_alphas = (importance(each) for each in gradients)
    scores = tf.nn.softmax(logits / temperature)
    heat = grad_cam(maps, alphas)
    words = attribute_weights(alphas, explainer.weights, explainer.bias)
    alone = tf.equal(tf.shape(logits)[1], 1)
    difference = tf.where(alone, 0.0, attribute_weights(alphas - rival_alphas, explainer.weights))
    parts = alphas * tf.reduce_mean(tf.cast(maps, tf.float32), axis=[1, 2])
    numbers = tf.strings.join(["neuron ", tf.strings.as_string(tf.range(parts.shape[1]))])

    attributes, strengths, _ = _strongest(words, explainer.attribute_names, _ATTRIBUTES)
    neurons, neuron_weights, places = _strongest(parts, numbers, _NEURONS)
    reasons, reason_weights, _ = _strongest(difference, explainer.attribute_names, _REASONS)
    objections, objection_weights, _ = _strongest(difference, explainer.attribute_names, _REASONS, sign=-1.0)
    neuron_names = tf.gather(explainer.neuron_names, places)
    return {
        "label": tf.gather(labels, best),
        "score": tf.gather(scores, best, batch_dims=1),
        "is_seen": tf.gather(seen, best),
        "heatmap": heat,
        "heatmap_png_bytes": heat_png(scaled_to_one(upsampled(heat, images.shape[1]))),
        "attributes": attributes,
        "attribute_weights": strengths,
        "neurons": neurons,
        "neuron_names": tf.where(neuron_weights > 0, neuron_names, ""),
        "neuron_weights": neuron_weights,
        "runner_up": tf.where(alone, "", tf.gather(labels, second)),
        "runner_up_score": tf.where(alone, 0.0, tf.gather(scores, second, batch_dims=1)),
        "for_attributes": reasons,
        "for_weights": reason_weights,
        "against_attributes": objections,
        "against_weights": objection_weights,
    }


def _best_two(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # By logit: scores near 1 and 0 round to ties.
    _, classes = tf.math.top_k(logits, tf.minimum(2, tf.shape(logits)[1]))
    return classes[:, 0], classes[:, -1]


def _strongest(weights: tf.Tensor, names: tf.Tensor, count: int, sign: float = 1.0) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return names, weights and places [B, min(K, count)] of the largest of `sign` times weights [B, K].

    Those of another sign, or of 0, are called "" and weigh 0.
    """
    values, places = tf.math.top_k(sign * weights, min(weights.shape[1], count))
    counts = values > 0
    return tf.where(counts, tf.gather(names, places), ""), tf.where(counts, sign * values, 0.0), places
