"""Whether explanations are true: each measure one function of arrays, beside what it would be by chance.

A measure of images gives one value an image, NaN for an image that it cannot be measured on; `class_mean` makes a figure of
them. The boxes and discs that maps are compared with are in `masks`.
Dimensions: B or M images, S x S pixels, H x W positions, N neurons, K attributes, T steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from niwt_tf.metrics.ranks import standardised_ranks
from niwt_tf.models.network import Network

TOP_ATTRIBUTES = 5
GOOD_AUC = 0.75
_COLUMNS_AT_A_TIME = 512


def energy_in_box(heat: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the share [B] of the positive energy of heat [B, S, S] that is inside of mask [B, S, S]; NaN for a map of 0.

    The energy-based pointing game of Wang et al., "Score-CAM" (2020).
    """
    positive = np.maximum(heat, 0.0)
    total = positive.sum(axis=(1, 2), dtype=np.float64)
    inside = (positive * mask).sum(axis=(1, 2), dtype=np.float64)
    return np.divide(inside, total, out=np.full(len(total), np.nan), where=total > 0)


def pointing_game(heat: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return whether the maximum of heat [B, S, S] is inside of mask [B, S, S], as [B]; NaN for a map of 0.

    Of several equal maxima it is the share that is inside. Zhang et al., "Top-down Neural Attention by Excitation Backprop"
    (2018).
    """
    largest = heat.max(axis=(1, 2), keepdims=True)
    at = heat == largest
    share = (at * mask).sum(axis=(1, 2)) / at.sum(axis=(1, 2))
    return np.where(largest[:, 0, 0] > 0, share, np.nan).astype(np.float64)


def area_share(mask: np.ndarray, frame: np.ndarray | None = None) -> np.ndarray:
    """Return the share [B] of the frame's area that a mask [B, S, S] in [0, 1] covers: that a blind map would reach.

    The frame has the same shape, and NaN is returned where it is empty; None is the whole image.
    """
    if frame is None:
        return mask.mean(axis=(1, 2), dtype=np.float64)
    whole = frame.sum(axis=(1, 2), dtype=np.float64)
    return np.divide((mask * frame).sum(axis=(1, 2)), whole, out=np.full(len(whole), np.nan), where=whole > 0)


def curve_area(curve: np.ndarray) -> np.ndarray:
    """Return the area [B] under curves [B, T + 1] over equal steps from 0 to 1, by trapezoids."""
    return (curve[:, 1:] + curve[:, :-1]).mean(axis=1, dtype=np.float64) / 2


def attribute_hit(weights: np.ndarray, present: np.ndarray, frequent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which share of the words said of an image are true of it, and of as many frequent attributes: both float64 [B].

    The words are those of `textual_explanation`: the largest of weights [B, K], as far as they are above 0. NaN for an image of
    which none is said. What is true of it is `present`, bool [B, K]. As many words as `frequent` attributes, int [T], count at
    most.
    """
    most = len(frequent)
    said = np.minimum((weights > 0).sum(axis=1), most)
    top = np.argsort(-weights, axis=1, kind="stable")[:, :most]
    counted = np.arange(top.shape[1]) < said[:, None]

    def share(attributes: np.ndarray) -> np.ndarray:
        hits = (np.take_along_axis(present, attributes, axis=1) & counted).sum(axis=1)
        return np.divide(hits, said, out=np.full(len(said), np.nan), where=said > 0)

    return share(top), share(np.broadcast_to(frequent, top.shape))


def frequent_attributes(present: np.ndarray, count: int = TOP_ATTRIBUTES) -> np.ndarray:
    """Return the `count` attributes that most rows of `present`, bool [M, K], have: the same answer for whatever image."""
    return np.argsort(-present.sum(axis=0), kind="stable")[:count]


def separation_auc(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return how well scores [M, N] tell images with an attribute, bool [M, K], from those without, float64 [N, K].

    It is the area under the ROC curve: the share of pairs of an image with and one without in which the former scores higher,
    ties counting half (Mann and Whitney 1947). NaN where every image has the attribute or none.
    """
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    result = np.empty((scores.shape[1], present.shape[1]))
    for start in range(0, present.shape[1], _COLUMNS_AT_A_TIME):
        columns = present[:, start : start + _COLUMNS_AT_A_TIME].astype(np.float64)
        result[:, start : start + _COLUMNS_AT_A_TIME] = _auc(ranks.T @ columns, columns.sum(axis=0), len(present))
    return result


def paired_auc(scores: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the diagonal [N] of `separation_auc`: each column of scores [M, N] for the one column of present, bool [M, N]."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    return _auc((ranks * present).sum(axis=0), present.sum(axis=0, dtype=np.float64), len(present))


def _auc(rank_sums: np.ndarray, positive: np.ndarray, count: int) -> np.ndarray:
    """Return the AUC from the sums of the ranks, from 1, of `positive` of `count` scores; NaN for none or all of them."""
    pairs = np.broadcast_to(positive * (count - positive), rank_sums.shape)
    return np.divide(rank_sums - positive * (positive + 1) / 2, pairs, out=np.full(rank_sums.shape, np.nan), where=pairs > 0)


def energy_in_parts(maps: np.ndarray, masks: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return the share of each neuron's positive activation that lies in each part, float64 [B, N, G]; NaN for a map of 0.

    Maps are [B, H, W, N]. One unit at a position puts so much energy into each part, masks [B, G, H, W], and into the image,
    frame [H, W], once the map is upsampled.
    """
    positive = np.maximum(maps, 0.0).reshape(len(maps), -1, maps.shape[-1]).transpose(0, 2, 1).astype(np.float64)
    inside = positive @ masks.reshape(*masks.shape[:2], -1).transpose(0, 2, 1)
    total = positive @ frame.reshape(-1, 1)
    return np.divide(inside, total, out=np.full(inside.shape, np.nan), where=total > 0)


def map_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation [B] over the positions of two maps [B, H, W]; NaN where one is the same everywhere.

    For a network whose weights were randomised, or another class, it must be far from 1 (Adebayo et al., "Sanity Checks for
    Saliency Maps", 2018).
    """
    ranks = [standardised_ranks(each.reshape(len(each), -1)) for each in (first, second)]
    ordered = np.logical_and(*(np.abs(each).max(axis=1) > 0 for each in ranks))
    return np.where(ordered, (ranks[0] * ranks[1]).sum(axis=1), np.nan)


STEPS = 16
Probability = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def heat_order(heat: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return each pixel's place in the order of falling heat [B, S, S], as float32 [B, S, S] in [0, 1).

    Pixels of equal heat, as where a map is 0, come in random order; so do all of them for the same heat everywhere.
    """
    flat = heat.reshape(len(heat), -1)
    order = np.lexsort((generator.random(flat.shape), -flat), axis=1)
    places = np.empty(order.shape, np.float32)
    np.put_along_axis(places, order, np.arange(order.shape[1], dtype=np.float32) / order.shape[1], axis=1)
    return places.reshape(heat.shape)


def probability_curve(
    probability: Probability, pixels: tf.Tensor, order: np.ndarray, classes: tf.Tensor, steps: int = STEPS, *, put_back: bool
) -> np.ndarray:
    """Return the probability of classes [B] while pixels are put back, or taken away, first places first, float [B, T + 1].

    Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models" (2018). A pixel that is away has the
    image's mean colour. With the places of a random order deletion is the insertion of the reverse order read backwards: their
    areas have the same mean. Pixels are float32 [B, S, S, 3], places are [B, S, S] in [0, 1).
    """
    away = tf.reduce_mean(pixels, axis=[1, 2], keepdims=True)
    places = tf.constant(order)[..., None]
    first, last = (pixels, away) if put_back else (away, pixels)
    shown = (tf.where(places < step / steps, first, last) for step in range(steps + 1))
    return np.stack([np.asarray(probability(each, classes)) for each in shown], axis=1)


def with_shuffled_weights(network: Network, seed: int) -> Network:
    """Return a network whose weights are this one's, each array in a random order of its entries.

    Shuffling keeps every layer's mean and spread, which drawing anew need not, so that activations neither vanish nor explode.
    """
    generator = np.random.default_rng(seed)
    shuffled = network.copy()
    for variable in shuffled.model.weights:
        values = variable.numpy()
        variable.assign(generator.permutation(values.ravel()).reshape(values.shape))
    return shuffled
