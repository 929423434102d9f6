"""Whether explanations are true: each measure one function of arrays, beside what it would be by chance.

A measure of images gives one value an image, NaN for an image that it cannot be measured on; `mean_over_classes` makes a figure
of them. The boxes and discs that maps are compared with are in `masks`.
Dimensions: B or M images, S x S pixels, H x W positions, N neurons, K attributes, T steps.
"""

from __future__ import annotations

import numpy as np

TOP_ATTRIBUTES = 5


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


def energy_in_parts(maps: np.ndarray, masks: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return the share of each neuron's positive activation that lies in each part, float64 [B, N, G]; NaN for a map of 0.

    Maps are [B, H, W, N]. One unit at a position puts so much energy into each part, masks [B, G, H, W], and into the image,
    frame [H, W], once the map is upsampled.
    """
    positive = np.maximum(maps, 0.0).reshape(len(maps), -1, maps.shape[-1]).transpose(0, 2, 1).astype(np.float64)
    inside = positive @ masks.reshape(*masks.shape[:2], -1).transpose(0, 2, 1)
    total = positive @ frame.reshape(-1, 1)
    return np.divide(inside, total, out=np.full(inside.shape, np.nan), where=total > 0)
