"""Choosing the heat map of a network on held-out training images of seen classes; no test image is looked at.

A heat map is true where the class's probability rises fast as the hottest pixels come in first (insertion) and falls fast as
they are taken away first (deletion): their difference is 0 on average for any random order (Petsiuk et al. 2018). The bar to
take is not a random order but a bump in the middle of the image, where photographers put what they photograph.

Dimensions: B images, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.data.feature_rows import holds_features
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.explain.grad_cam import upsampled
from niwt_tf.explain.heat import FUSED, GRAD_CAM, LAYER_CAM, Heat, HeatMaps
from niwt_tf.explain.perturbing import Probability, curve_area, heat_order, probability_curve, probability_of
from niwt_tf.methods.task import Task
from niwt_tf.metrics.intervals import Figure, mean_over_classes
from niwt_tf.metrics.ranks import map_correlation
from niwt_tf.models.cut import map_layers, output_of
from niwt_tf.models.flops import flops_of
from niwt_tf.models.network import Network

STEPS = 8
_FLOPS = 1e12  # about ten seconds of two cores
_FEWEST, _MOST = 16, 64
_MOST_ALIKE = 0.5  # rank correlation of the heat of two classes of an image
_SIZES = 2  # of the smallest maps with more than one position
_BUMP = 0.25  # the standard deviation of the bump in the middle, in sides of the image


def choose_heat(task: Task, network: Network, temperature: float) -> Heat:
    """Return the heat map with the largest insertion minus deletion for the network's answers to held-out training images.

    Candidates are Grad-CAM at the network's own layer, the first of equals, and at the last rectified layer of each of the two
    smallest maps; at the larger of these LayerCAM, and LayerCAM times Grad-CAM at the last map. A map that is much the same for
    another class shows where something is, not why it is of this class (Adebayo et al. 2018): such candidates are taken only
    where none of the others is better than the middle of the image. Without held-out images or pixels, or with `heat`
    "grad_cam", it is Grad-CAM at the own layer, not measured.
    """
    reader = task.reader
    images = balanced_sample(task.held_out, _MOST, task.settings.seed)
    if task.settings.heat == GRAD_CAM or not len(images) or holds_features(images.root):
        return Heat()
    few = next(iter(image_batches(images.take(np.arange(min(4, len(images)))), network.input_form, 4)))[0]
    candidates = heat_candidates(network, few.numpy())
    one_pass = flops_of(network.trunk) + flops_of(network.tail)
    passes = 2 * (STEPS + 1) * (len(candidates) + 1)
    count = int(np.clip(_FLOPS / max(passes * one_pass, 1.0), _FEWEST, _MOST))
    images = balanced_sample(task.held_out, count, task.settings.seed)
    execution = reader.execution
    num_classes = len(network.class_names)
    probability = probability_of(network, temperature, execution.jit)
    makers: list[Callable[..., np.ndarray]] = [HeatMaps(network, each, jit=execution.jit) for each in candidates]
    gains: list[list[np.ndarray]] = [[] for _ in (*candidates, "centre")]
    alike: list[list[np.ndarray]] = [[] for _ in candidates]
    generator, shown = np.random.default_rng(task.settings.seed), execution.progress
    with tqdm(total=len(images), desc="choosing heat maps", unit="image", delay=5, leave=False, disable=not shown) as bar:
        for pixels, _ in image_batches(images, network.input_form, execution.batch_size):
            classes = tf.argmax(network.model(pixels, training=False), axis=1)
            heats = [make(pixels, classes.numpy(), upsample=False) for make in makers]
            others = (classes.numpy() + generator.integers(1, max(num_classes, 2), len(pixels))) % num_classes
            for found, heat, make in zip(alike, heats, makers, strict=True):
                found.append(map_correlation(heat, make(pixels, others, upsample=False)))
            heats.append(bump(len(pixels), network.input_size))
            for found, heat in zip(gains, heats, strict=True):
                order = heat_order(upsampled(tf.constant(heat), network.input_size).numpy(), generator)
                found.append(gain_of(probability, pixels, order, classes))
            bar.update(len(pixels))
    *of_candidates, centre = (np.concatenate(each) for each in gains)
    correlations = np.stack([np.concatenate(each) for each in alike])
    return best_heat(candidates, np.stack(of_candidates), centre, correlations, images.labels)


def best_heat(
    candidates: Sequence[Heat], gains: np.ndarray, centre: np.ndarray, alike: np.ndarray, labels: np.ndarray
) -> Heat:
    """Return the candidate that `choose_heat` says, with its figures.

    Gains are [H, M], that of the middle `centre` is [M], rank correlations with the heat of another class are [H, M], NaN where
    there is none, and the images' classes are [M].
    """
    means = np.array([_mean(each, labels)["value"] for each in gains])
    leads = np.array([_mean(each - centre, labels).get("low", float("nan")) for each in gains])
    tells = np.array([_tells_classes(each) for each in alike]) & (leads > 0)
    best = int(np.argmax(np.where(tells | ~tells.any(), means, -np.inf)))
    by_centre = _mean(centre, labels)["value"]
    return replace(candidates[best], gain=float(means[best]), centre=by_centre, lead_low=float(leads[best]))


def _tells_classes(correlations: np.ndarray) -> bool:
    known = correlations[np.isfinite(correlations)]
    return bool(len(known)) and float(known.mean()) <= _MOST_ALIKE


def _mean(values: np.ndarray, labels: np.ndarray) -> Figure:
    found = mean_over_classes(values, labels, None, (-2.0, 2.0))
    assert found is not None, "every image has a curve"
    return found


def gain_of(probability: Probability, pixels: tf.Tensor, order: np.ndarray, classes: tf.Tensor) -> np.ndarray:
    """Return insertion minus deletion, float64 [B], of classes [B] by places in an order, [B, S, S] in [0, 1)."""
    curves = (probability_curve(probability, pixels, order, classes, STEPS, put_back=each) for each in (True, False))
    insertion, deletion = map(curve_area, curves)
    return np.asarray(insertion - deletion)


def bump(count: int, size: int) -> np.ndarray:
    """Return the same heat for all images, float32 [B, S, S]: a Gaussian in the middle."""
    places = (np.arange(size) + 0.5) / size - 0.5
    squares = np.square(places)[:, None] + np.square(places)[None]
    return np.tile(np.exp(-squares / (2 * _BUMP**2)).astype(np.float32), (count, 1, 1))


def heat_candidates(network: Network, pixels: np.ndarray) -> list[Heat]:
    """Return what is tried, Grad-CAM at the network's own layer first; some images [B, S, S, 3] show what is rectified."""
    model = network.model
    names = map_layers(model)
    sizes = {name: int(output_of(model, name).shape[1]) for name in names}
    smallest = sorted({size for size in sizes.values() if size > 1})[:_SIZES]
    names = [name for name in names if sizes[name] in smallest]
    candidates = [Heat()]
    for size in smallest:
        layer = _last_rectified(model, [name for name in names if sizes[name] == size], pixels)
        if layer is None:
            continue
        kinds: Sequence[str] = (GRAD_CAM, LAYER_CAM, FUSED) if size == smallest[-1] else (GRAD_CAM,)
        candidates += [Heat(kind, layer) for kind in kinds if (kind, layer) != (GRAD_CAM, network.layer)]
    return candidates


def _last_rectified(model: keras.Model, names: Sequence[str], pixels: np.ndarray) -> str | None:
    if not names:
        return None
    maps = keras.Model(model.inputs[0], [output_of(model, name) for name in names])(pixels, training=False)
    by_name = dict(zip(names, maps if isinstance(maps, list | tuple) else [maps], strict=True))
    return next((name for name in reversed(names) if float(tf.reduce_min(by_name[name])) >= 0.0), None)
