"""Boxes and parts of images as masks over a network's squashed input and over the positions of its map.

Dimensions: B images, S x S pixels, H x W positions, P parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niwt_tf.explain.grad_cam import upsampled


def box_masks(boxes: np.ndarray, sides: np.ndarray, size: int) -> np.ndarray:
    """Return how much of each pixel is inside of the image's box, float64 [B, S, S] with S = `size`.

    Boxes are [B, 4] as x, y, width, height and sides [B, 2] as width, height, both in pixels of the file.
    """
    columns, rows = (_covered(boxes[:, axis], boxes[:, axis + 2], sides[:, axis], size) for axis in (0, 1))
    return rows[:, :, None] * columns[:, None, :]


def _covered(starts: np.ndarray, lengths: np.ndarray, sides: np.ndarray, size: int) -> np.ndarray:
    """Return how much of each of `size` pixels an interval covers, [B, size]."""
    scale = size / np.asarray(sides, np.float64)
    low, high = (starts * scale)[:, None], ((starts + lengths) * scale)[:, None]
    pixels = np.arange(size)
    return np.clip(np.minimum(pixels + 1, high) - np.maximum(pixels, low), 0.0, 1.0)


def disc_masks(points: np.ndarray, radii: np.ndarray, sides: np.ndarray, size: int) -> np.ndarray:
    """Return the pixels whose centres are near one of the image's visible parts, bool [B, S, S] with S = `size`.

    Points are [B, P, 3] as x, y and visibility 0 or 1, radii [B] and sides [B, 2] as width, height, all in pixels of the file.
    """
    centres = (np.arange(size) + 0.5) / size
    x, y = (centres * np.asarray(sides, np.float64)[:, axis, None] for axis in (0, 1))
    result = np.zeros((len(points), size, size), bool)
    for part in range(points.shape[1]):
        across, down = x - points[:, part, 0, None], y - points[:, part, 1, None]
        reach = np.where(points[:, part, 2] > 0, np.asarray(radii, np.float64) ** 2, -1.0)
        # One comparison a pixel: that is what a batch of large images takes its time for.
        result |= (down**2)[:, :, None] <= (reach[:, None] - across**2)[:, None, :]
    return result


def over_positions(masks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return masks [.., S, S] over the H x W positions of a map, float64 [.., H, W].

    The sum over pixels of an upsampled map times the mask is the sum over positions of the map times this, so that the maps of
    hundreds of neurons need not be upsampled.
    """
    size = masks.shape[-1]
    rows = upsampled(np.eye(shape[0], dtype=np.float32)[:, :, None], size).numpy()[:, :, 0]
    columns = upsampled(np.eye(shape[1], dtype=np.float32)[:, None, :], size).numpy()[:, 0, :]
    return np.asarray(rows @ np.asarray(masks, np.float64) @ columns.T)


# By the first word of a group. Groups about the whole bird, or more than one part of it, have none.
_PARTS: dict[str, tuple[str, ...]] = {"bill": ("beak",)}
_ONCE = ("back", "beak", "belly", "breast", "crown", "forehead", "nape", "tail", "throat")
_PARTS.update({part: (part,) for part in _ONCE})
_PARTS.update({part: (f"left {part}", f"right {part}") for part in ("eye", "leg", "wing")})


def parts_of_group(group: str, part_names: Sequence[str]) -> tuple[int, ...]:
    """Return which of the parts a group of attributes, as "crown_color", is about; () where it names none."""
    words = group.removeprefix("has_").split("_")
    wanted = _PARTS.get(words[0], ())
    return tuple(place for place, name in enumerate(part_names) if name in wanted)
