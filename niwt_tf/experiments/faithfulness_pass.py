"""One pass over the test images in which each is explained once, and what can be measured of that.

Dimensions: M test images, B images of a batch, S x S pixels, H x W positions, N neurons, C classes, K attributes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.experiments.faithfulness_names import PartEnergy
from niwt_tf.experiments.faithfulness_truth import ImageTruth
from niwt_tf.explain.activating import Activating, TopActivating
from niwt_tf.explain.class_maps import explained_twice
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness import area_share, attribute_hit, energy_in_box, map_correlation, pointing_game
from niwt_tf.explain.grad_cam import upsampled
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
    network: Network, explainer: Explainer, truth: ImageTruth, predictions: np.ndarray, execution: Execution, seed: int
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
    explain = explained_twice(network, jit=execution.jit)
    batches = Reader(network, execution).map_batches(truth.images, keep=False)
    shown, done = execution.progress, 0
    with tqdm(total=count, desc="explaining images", unit="image", delay=5, leave=False, disable=not shown) as bar:
        for batch in batches:
            rows = np.arange(done, done + len(batch))
            chosen = (tf.constant(each[rows], tf.int64) for each in (predictions, others))
            heat, alphas, other_heat, _ = explain(tf.constant(batch), *chosen)
            pixels = upsampled(heat, size).numpy()
            heat, alphas, other_heat = (each.numpy() for each in (heat, alphas, other_heat))
            maps = np.asarray(batch)
            pooled[rows] = maps.max(axis=(1, 2))
            box = truth.boxes_of(rows, size)
            parts.add(maps, rows, box)
            activating.add(maps, done)
            logit[rows] = map_correlation(heat, other_heat)
            present = truth.present[rows]
            hit[rows], base[rows] = attribute_hit(explainer.attribute_weights(alphas), present, truth.frequent)
            if truth.boxes is not None:
                energy[rows], pointing[rows] = energy_in_box(pixels, box), pointing_game(pixels, box)
                box_share[rows] = area_share(box)
            done += len(rows)
            bar.update(len(rows))
    every = np.arange(count)
    values = {"random_logit_correlation": ImageValues(every, logit), "attribute_hit": ImageValues(every, hit, base)}
    if truth.boxes is not None:
        values["energy_in_box"] = ImageValues(every, energy, box_share)
        values["pointing_game"] = ImageValues(every, pointing, box_share)
    shows = np.flatnonzero(np.isfinite(parts.energy))
    values["part_localisation"] = ImageValues(shows, parts.energy[shows], parts.chance[shows])
    return ExplainedImages(values, pooled, parts, activating.result())
