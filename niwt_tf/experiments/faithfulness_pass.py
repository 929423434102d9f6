"""One pass over the test images in which each is explained once, and what can be measured of that.

Dimensions: M test images, B images of a batch, S x S pixels, H x W positions, N neurons, C classes, K attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.experiments.faithfulness_names import PartEnergy
from niwt_tf.experiments.faithfulness_truth import TestTruth
from niwt_tf.explain.activating import Activating, TopActivating
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness import area_share, attribute_hit, energy_in_box, map_correlation, pointing_game
from niwt_tf.explain.grad_cam import grad_cam, importance, logits_with_gradients, upsampled
from niwt_tf.method.execution import Execution
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network


class ImageValues(NamedTuple):
    """A measure of images.

    Attributes:
        rows: int [R], the test images that it was tried on.
        values: float64 [R], NaN where it could not be measured.
        chance: float64 [R], or None.
    """

    rows: np.ndarray
    values: np.ndarray
    chance: np.ndarray | None = None


class ExplainedImages(NamedTuple):
    """What came of the pass.

    Attributes:
        values: by measure.
        pooled: float32 [M, N], each neuron's largest activation.
        parts: where neurons that are named after a part respond.
        activating: the images that activate each neuron most.
    """

    values: dict[str, ImageValues]
    pooled: np.ndarray
    parts: PartEnergy
    activating: Activating


def explain_test_images(
    network: Network, explainer: Explainer, truth: TestTruth, predictions: np.ndarray, execution: Execution, seed: int
) -> ExplainedImages:
    """Explain the predicted class, and another that is drawn, of every test image.

    Args:
        network: what is explained.
        explainer: its inverse map and the names of its neurons.
        truth: the test images and what is known of them.
        predictions: int [M].
        execution: how the network is run.
        seed: of the other classes.
    """
    count, size, classes = len(truth.images), network.input_size, len(network.class_names)
    others = (predictions + np.random.default_rng(seed).integers(1, classes, count)) % classes
    pooled = np.zeros((count, network.num_neurons), np.float32)
    parts = PartEnergy(explainer, truth, network.tail.input_shape[1:3], size)
    activating = TopActivating(network.num_neurons)
    energy, pointing, box_share, hit, base, logit = (np.full(count, np.nan) for _ in range(6))
    explain = _explained(network, execution.jit)
    batches = Reader(network, execution).map_batches(truth.images, keep=False)
    shown, done = execution.progress, 0
    with tqdm(total=count, desc="explaining images", unit="image", delay=5, leave=False, disable=not shown) as bar:
        for batch in batches:
            rows = np.arange(done, done + len(batch))
            chosen = (tf.constant(each[rows], tf.int64) for each in (predictions, others))
            heat, other_heat, pixels, alphas, largest = (each.numpy() for each in explain(tf.constant(batch), *chosen))
            maps = np.asarray(batch)
            pooled[rows] = largest
            parts.add(maps, rows)
            activating.add(maps, done)
            logit[rows] = map_correlation(heat, other_heat)
            present = truth.present[rows]
            hit[rows] = attribute_hit(explainer.attribute_weights(alphas), present, len(truth.frequent))
            base[rows] = present[:, truth.frequent].mean(axis=1)
            if truth.boxes is not None:
                box = truth.boxes_of(rows, size)
                energy[rows], pointing[rows] = energy_in_box(pixels, box), pointing_game(pixels, box)
                box_share[rows] = area_share(box)
            done += len(rows)
            bar.update(len(rows))
    every = np.arange(count)
    values = {"random_logit_correlation": ImageValues(every, logit)}
    if truth.boxes is not None:
        values["energy_in_box"] = ImageValues(every, energy, box_share)
        values["pointing_game"] = ImageValues(every, pointing, box_share)
    if explainer.weights.any():
        values["attribute_hit"] = ImageValues(every, hit, base)
    shows = np.flatnonzero(np.isfinite(parts.energy))
    values["part_localisation"] = ImageValues(shows, parts.energy[shows], parts.chance[shows])
    return ExplainedImages(values, pooled, parts, activating.result())


def _explained(network: Network, jit: bool) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Return maps, classes, others -> two maps [B, H, W], the first over pixels, its importance, and largest activations."""

    def explained(maps: tf.Tensor, classes: tf.Tensor, others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        def logits_of(each: tf.Tensor) -> tf.Tensor:
            return network.head(network.tail(each, training=False))

        _, _, gradients = logits_with_gradients(maps, logits_of, lambda _: (classes, others))
        alphas, other_alphas = (importance(each) for each in gradients)
        heat = grad_cam(maps, alphas)
        over_pixels = upsampled(heat, network.input_size)
        return heat, grad_cam(maps, other_alphas), over_pixels, alphas, tf.reduce_max(maps, axis=[1, 2])

    classes = tf.TensorSpec([None], tf.int64)
    signature = [tf.TensorSpec([None, *network.tail.input_shape[1:]], tf.float32), classes, classes]
    # TensorFlow warns of retracing by the line of code that a function is from; a partial is a function of its own.
    return tf.function(partial(explained), input_signature=signature, jit_compile=jit)
