"""How true a network's explanations are on its test images, for seen and unseen classes apart.

What is explained is the predicted class, right or wrong: what a user is shown. Figures of images are means over their true
classes. Dimensions: M test images, N neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.features import Reader
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Dataset, Images
from niwt_tf.explain import perturbing
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness import measures
from niwt_tf.explain.faithfulness.activating import Activating, TopActivating
from niwt_tf.explain.faithfulness.neuron_names import NameQuality, PartEnergy, name_quality, named_attributes
from niwt_tf.explain.faithfulness.truth import ImageTruth, truth_of_test_images
from niwt_tf.explain.grad_cam import upsampled
from niwt_tf.explain.heat import Heat, HeatMaps, explained_twice, first_cut
from niwt_tf.explain.heat_choice import bump
from niwt_tf.metrics.intervals import Figure, mean_over_classes
from niwt_tf.metrics.ranks import map_correlation
from niwt_tf.models.flops import flops_of
from niwt_tf.models.network import Network

Figures = dict[str, dict[str, Figure]]
_SIGNED = ("insertion_minus_deletion", "random_logit_correlation", "random_tail_correlation", "random_network_correlation")


@dataclass(frozen=True)
class Faithfulness:
    """What was measured.

    Figures are by measure and "seen", "unseen" or "all"; one that cannot be measured is absent. Names are how well the neurons'
    names fit, by the same sides. By neuron, `parts` are the names of the parts that its name is about and `part_energy` the
    mean share of its activation that is near them, and chance. Activating images are places in the test images.
    """

    figures: Figures
    names: Mapping[str, NameQuality]
    parts: Mapping[int, tuple[str, ...]]
    part_energy: Mapping[int, tuple[float, float]]
    activating: Activating


def measure_faithfulness(
    network: Network,
    explainer: Explainer,
    dataset: Dataset,
    predictions: np.ndarray,
    temperature: float,
    execution: Execution,
    seed: int,
) -> Faithfulness:
    """Measure in one pass over the test images and, for what runs the network many times, on a sample of them.

    The data set has a split; boxes, parts and attributes of images are used where there are any. Predictions, int [M], are the
    predicted classes of the images of `test_data`, with probabilities softmax(logits / temperature). The seed is of everything
    that is drawn.
    """
    truth = truth_of_test_images(dataset, network.input_form)
    labels = truth.images.labels
    explained = explain_test_images(network, explainer, truth, predictions, execution, seed)
    values = dict(explained.values)
    if len(labels):
        values |= measure_sample(network, explainer.heat, truth.images, predictions, temperature, execution, seed)
    sides = {"seen": labels < truth.num_seen, "unseen": labels >= truth.num_seen}
    figures = {name: _by_side(name, each, labels, sides) for name, each in values.items()}
    attributes = named_attributes(explainer)
    names = {
        side: name_quality(explained.pooled[rows], truth.present[rows], attributes, progress=execution.progress)
        for side, rows in {"all": np.ones(len(labels), bool), **sides}.items()
    }
    figures["good_names"] = {side: each.good for side, each in names.items() if each.good is not None}
    figures["neuron_name_auc"] = {side: each.mean_auc for side, each in names.items() if each.mean_auc is not None}
    return Faithfulness(
        {name: by_side for name, by_side in figures.items() if by_side},
        names,
        {n: tuple(truth.part_names[p] for p in places) for n, places in explained.parts.parts.items()},
        explained.parts.of_neurons(),
        explained.activating,
    )


def _by_side(name: str, measure: ImageValues, labels: np.ndarray, sides: Mapping[str, np.ndarray]) -> dict[str, Figure]:
    bounds = (-1.0, 1.0) if name in _SIGNED else (0.0, 1.0)
    found = {}
    for side, belongs in sides.items():
        of_side = belongs[measure.rows]
        chance = None if measure.chance is None else measure.chance[of_side]
        figure = mean_over_classes(measure.values[of_side], labels[measure.rows[of_side]], chance, bounds)
        if figure is not None:
            found[side] = figure
    return found


class ImageValues(NamedTuple):
    """A measure, float64 [R], of the test images `rows`; NaN where it could not be measured. Chance is [R] or None."""

    rows: np.ndarray
    values: np.ndarray
    chance: np.ndarray | None = None


class ExplainedImages(NamedTuple):
    """What came of the pass; `pooled` float32 [M, N] is each neuron's largest activation."""

    values: dict[str, ImageValues]
    pooled: np.ndarray
    parts: PartEnergy
    activating: Activating


def explain_test_images(
    network: Network, explainer: Explainer, truth: ImageTruth, predictions: np.ndarray, execution: Execution, seed: int
) -> ExplainedImages:
    """Explain the predicted class, int [M], and another that the seed draws, of every test image."""
    count, size, classes = len(truth.images), network.input_size, len(network.class_names)
    others = (predictions + np.random.default_rng(seed).integers(1, classes, count)) % classes
    pooled = np.zeros((count, network.num_neurons), np.float32)
    parts = PartEnergy(explainer, truth, network.tail.input_shape[1:3], size)
    activating = TopActivating(network.num_neurons)
    energy, pointing, box_share, hit, base, logit = (np.full(count, np.nan) for _ in range(6))
    explain = explained_twice(network, explainer.heat, jit=execution.jit)
    batches = Reader(first_cut(network, explainer.heat), execution).map_batches(truth.images, keep=False)
    shown, done = execution.progress, 0
    with tqdm(total=count, desc="explaining images", unit="image", delay=5, leave=False, disable=not shown) as bar:
        for batch in batches:
            rows = np.arange(done, done + len(batch))
            chosen = (tf.constant(each[rows], tf.int64) for each in (predictions, others))
            maps, heat, alphas, other_heat, _ = explain(tf.constant(batch), *chosen)
            pixels = upsampled(heat, size).numpy()
            maps, heat, alphas, other_heat = (each.numpy() for each in (maps, heat, alphas, other_heat))
            pooled[rows] = maps.max(axis=(1, 2))
            box = truth.boxes_of(rows, size)
            parts.add(maps, rows, box)
            activating.add(maps, done)
            logit[rows] = map_correlation(heat, other_heat)
            present = truth.present[rows]
            hit[rows], base[rows] = measures.attribute_hit(explainer.attribute_weights(alphas), present, truth.frequent)
            if truth.boxes is not None:
                energy[rows], pointing[rows] = measures.energy_in_box(pixels, box), measures.pointing_game(pixels, box)
                box_share[rows] = measures.area_share(box)
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


_CURVES = 5  # insertion and deletion, a random order, and both for the middle of the image
_FLOPS = 1e12  # about ten seconds of two cores; a network that could not even do the fewest images in it takes longer
_FEWEST, _MOST = 16, 128
_FEWEST_OF_A_SIDE = 8


def sample_size(network: Network) -> int:
    """Return how many images there is time for, by the operations of one pass."""
    one_pass = flops_of(network.trunk) + flops_of(network.tail)
    affordable = _FLOPS / max(_CURVES * (perturbing.STEPS + 1) * one_pass, 1.0)
    return int(np.clip(affordable, _FEWEST, _MOST))


def sample_rows(images: Images, num_seen: int, count: int, seed: int) -> np.ndarray:
    """Return which images to measure: as even over the classes as can be, and at least 8 of seen and of unseen classes each.

    Labels below `num_seen` are seen classes. The rows, int64 and ascending, are `count`, at least 16, or all if there are no
    more.
    """
    sides = [np.flatnonzero((images.labels < num_seen) == seen) for seen in (True, False)]
    seen, unseen = (len(np.unique(images.labels[side])) for side in sides)
    wanted = int(np.clip(round(count * seen / max(seen + unseen, 1)), _FEWEST_OF_A_SIDE, count - _FEWEST_OF_A_SIDE))
    # What one side lacks is the other's.
    wanted = min(max(wanted, count - len(sides[1])), len(sides[0]))
    places = {path: row for row, path in enumerate(images.paths)}
    drawn = (balanced_sample(images.take(side), n, seed) for side, n in zip(sides, (wanted, count - wanted), strict=True))
    return np.sort(np.array([places[path] for each in drawn for path in each.paths], np.int64))


def measure_sample(
    network: Network, heat_kind: Heat, images: Images, predictions: np.ndarray, temperature: float, execution: Execution,
    seed: int,
) -> dict[str, ImageValues]:
    """Measure explanations of the predicted classes, int [M], on `sample_rows`.

    Probabilities are softmax(logits / temperature). Insertion and deletion stand beside the same for a random order of the
    pixels, and the map beside that of the same class once tail and head, or all of the network, have random weights. The seed
    is of the sample, the orders and the weights.
    """
    rows = sample_rows(images, network.num_seen, sample_size(network), seed)
    chosen = images.take(rows)
    generator = np.random.default_rng(seed)
    shuffled = perturbing.with_shuffled_weights(network, seed)
    pairs = (network, network), (network, shuffled), (shuffled, shuffled)
    explain = [HeatMaps(seeing, heat_kind, judging, jit=execution.jit) for seeing, judging in pairs]
    probability = perturbing.probability_of(network, temperature, execution.jit)
    parts: list[tuple[np.ndarray, ...]] = []
    shown = execution.progress
    with tqdm(total=len(rows), desc="perturbing images", unit="image", delay=5, leave=False, disable=not shown) as bar:
        done = 0
        for pixels, _ in image_batches(chosen, network.input_form, execution.batch_size):
            predicted = predictions[rows[done : done + len(pixels)]]
            classes = tf.constant(predicted, tf.int64)
            heat, tail_heat, network_heat = (each(pixels, predicted, upsample=False) for each in explain)
            order = perturbing.heat_order(upsampled(heat, network.input_size).numpy(), generator)
            anyhow = perturbing.heat_order(np.zeros_like(order), generator)
            middle = perturbing.heat_order(bump(len(pixels), network.input_size), generator)
            areas = [
                perturbing.curve_area(perturbing.probability_curve(probability, pixels, places, classes, put_back=put_back))
                for places, put_back in ((order, True), (order, False), (anyhow, True), (middle, True), (middle, False))
            ]
            parts.append((*areas, *(map_correlation(heat, other) for other in (tail_heat, network_heat))))
            done += len(pixels)
            bar.update(len(pixels))
    joined = (np.concatenate(each) for each in zip(*parts, strict=True))
    insertion, deletion, by_chance, middle_in, middle_out, tail, whole = joined
    return {
        "insertion_auc": ImageValues(rows, insertion, by_chance),
        "deletion_auc": ImageValues(rows, deletion, by_chance),
        "insertion_minus_deletion": ImageValues(rows, insertion - deletion, middle_in - middle_out),
        "random_tail_correlation": ImageValues(rows, tail),
        "random_network_correlation": ImageValues(rows, whole),
    }
