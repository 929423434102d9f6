"""The measures that run the whole network many times, and so are taken on a sample of the test images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from niwt_tf.data.pipeline import image_batches
from niwt_tf.data.schema import Images
from niwt_tf.experiments.faithfulness_pass import ImageValues
from niwt_tf.experiments.support import balanced_sample
from niwt_tf.explain.class_maps import GradCam
from niwt_tf.explain.faithfulness import curve_area, map_correlation
from niwt_tf.explain.grad_cam import upsampled
from niwt_tf.explain.perturbation import STEPS, deletion_curve, heat_order, insertion_curve
from niwt_tf.explain.randomised import with_shuffled_weights
from niwt_tf.method.cost import flops_of
from niwt_tf.method.execution import Execution
from niwt_tf.models.network import Network

# Insertion, deletion and a random order.
_CURVES = 3
# About ten seconds of two cores. A network that could not even do the fewest images in it takes longer.
_FLOPS = 1e12
_FEWEST, _MOST = 16, 128
_FEWEST_OF_A_SIDE = 8


def sample_size(network: Network) -> int:
    """Return how many images there is time for, by the operations of one pass."""
    one_pass = flops_of(network.trunk) + flops_of(network.tail)
    affordable = _FLOPS / max(_CURVES * (STEPS + 1) * one_pass, 1.0)
    return int(np.clip(affordable, _FEWEST, _MOST))


def sample_rows(images: Images, num_seen: int, count: int, seed: int) -> np.ndarray:
    """Return which images to measure: as even over the classes as can be, and at least 8 of seen and of unseen classes each.

    Args:
        images: M test images, labelled over seen then unseen classes.
        num_seen: S; labels below it are seen classes.
        count: how many, at least 16. All are taken if there are no more.
        seed: of the draw.

    Returns:
        int64 rows, ascending.
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
    network: Network, images: Images, predictions: np.ndarray, temperature: float, execution: Execution, seed: int
) -> dict[str, ImageValues]:
    """Measure explanations of the predicted classes on `sample_rows`.

    Insertion and deletion stand beside the same for a random order of the pixels, and the map beside that of the same class
    once tail and head, or all of the network, have random weights.

    Args:
        network: what is explained.
        images: M test images, at least one.
        predictions: int [M].
        temperature: probabilities are softmax(logits / temperature).
        execution: whether to compile, the batch size, and whether to show a bar.
        seed: of the sample, the random orders and the random weights.
    """
    rows = sample_rows(images, network.num_seen, sample_size(network), seed)
    chosen = images.take(rows)
    generator = np.random.default_rng(seed)
    shuffled = with_shuffled_weights(network, seed)
    pairs = (network, network), (network, shuffled), (shuffled, shuffled)
    explain = [GradCam(seeing, judging, jit=execution.jit) for seeing, judging in pairs]
    probability = _probability(network, temperature, execution.jit)
    parts: list[tuple[np.ndarray, ...]] = []
    shown = execution.progress
    with tqdm(total=len(rows), desc="perturbing images", unit="image", delay=5, leave=False, disable=not shown) as bar:
        done = 0
        for pixels, _ in image_batches(chosen, network.input_size, execution.batch_size):
            predicted = predictions[rows[done : done + len(pixels)]]
            classes = tf.constant(predicted, tf.int64)
            heat, tail_heat, network_heat = (each(pixels, predicted, upsample=False) for each in explain)
            order = heat_order(upsampled(heat, network.input_size).numpy(), generator)
            anyhow = heat_order(np.zeros_like(order), generator)
            parts.append(
                (
                    curve_area(insertion_curve(probability, pixels, order, classes)),
                    curve_area(deletion_curve(probability, pixels, order, classes)),
                    curve_area(insertion_curve(probability, pixels, anyhow, classes)),
                    map_correlation(heat, tail_heat),
                    map_correlation(heat, network_heat),
                )
            )
            done += len(pixels)
            bar.update(len(pixels))
    insertion, deletion, by_chance, tail, whole = (np.concatenate(each) for each in zip(*parts, strict=True))
    return {
        "insertion_auc": ImageValues(rows, insertion, by_chance),
        "deletion_auc": ImageValues(rows, deletion, by_chance),
        "random_tail_correlation": ImageValues(rows, tail),
        "random_network_correlation": ImageValues(rows, whole),
    }


def _probability(network: Network, temperature: float, jit: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    def probability(pixels: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(network.model(pixels, training=False), tf.float32)
        return tf.gather(tf.nn.softmax(logits / temperature), classes, batch_dims=1)

    size = network.input_size
    signature = [tf.TensorSpec([None, size, size, 3], tf.float32), tf.TensorSpec([None], tf.int64)]
    # TensorFlow warns of retracing by the line of code that a function is from; a partial is a function of its own.
    return tf.function(partial(probability), input_signature=signature, jit_compile=jit)
