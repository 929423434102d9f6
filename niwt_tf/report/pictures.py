"""Small pictures of test images, with what a network saw in them drawn over the photograph, for a page that is one file.

A network takes an image as a square; here what it sees of an image keeps its own shape, and maps are stretched over it.
Dimensions: H x W positions of a map.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.data.images.files import framed, opened, resized, thumbnail

if TYPE_CHECKING:
    from PIL import Image

_MOST_OPAQUE = 0.8  # of the heat where it is highest, so that the photograph is seen through it everywhere
_DIMMED = 0.6  # what is left of the brightness where a neuron does not answer
_LINE, _LINE_EDGE = (255, 255, 255), (0, 0, 0)  # a light line with a dark edge is seen on anything and by everyone
_EMPTY, _CROSS = (225, 225, 225), (150, 150, 150)
_CONTEXT = 3.0  # how much longer than a region the part of the image is that is shown
_LEAST_SHOWN = 0.5  # of the longer side of the image


def picture_of(path: Path, side: int = 192, resize: str = "squash") -> Image.Image:
    """Return the image, as `framed` shows it, made from a longer side of `side` pixels.

    If it cannot be opened, it is a grey square with a cross.
    """
    small = thumbnail(path, side)
    return _grey_square(side) if small is None else framed(small, resize)


def data_uri(image: Image.Image, lossless: bool = False) -> str:
    """Return an RGB image as a `data:` address of a WebP file, for the `src` of an HTML image.

    A photograph of 192 pixels takes some 5 kB, unless it is to be lossless.
    """
    file = io.BytesIO()
    image.save(file, format="WEBP", quality=80, lossless=lossless, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def heat_overlay(photograph: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return an RGB photograph in grey with a heat map [H, W] in [0, 1] over it: the hotter, the lighter and more opaque.

    In grey, so that every colour is the heat's. The colours are those of the served heat maps: perceptually uniform, and
    readable without telling red from green.
    """
    from PIL import Image

    from niwt_tf.explain.explanations import colour_table

    heat = stretched(heat, photograph.size).clip(0.0, 1.0)
    colours = colour_table()[np.rint(255 * heat).astype(np.int64)]
    opacity = _MOST_OPAQUE * heat[:, :, None]
    mixed = (1.0 - opacity) * _grey(photograph) + opacity * colours
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def activation_picture(photograph: Image.Image, activations: np.ndarray) -> Image.Image:
    """Return an RGB photograph in colour where a neuron answers and in dark grey elsewhere.

    A line goes around what is above half of the highest of the activations [H, W], so that nobody needs the colours; a hole in
    that has no line of its own, which would read as another region. What is below 0 counts as 0; a neuron that answers nowhere
    leaves the photograph grey and without a line.
    """
    from PIL import Image
    from scipy.ndimage import binary_dilation, binary_erosion, binary_fill_holes

    highest = max(float(activations.max()), 0.0)
    share = activations.clip(0.0) / highest if highest > 0 else np.zeros_like(activations)
    share = stretched(share, photograph.size)
    answers = share[:, :, None].clip(0.0, 1.0)
    lit = answers * np.asarray(photograph, np.float32) + (1.0 - answers) * _DIMMED * _grey(photograph)
    pixels = np.rint(lit).astype(np.uint8)
    inside = binary_fill_holes(share >= 0.5)
    # Pixels that touch what is not of the region; the border of the image is no outline.
    line = inside & ~binary_erosion(inside, border_value=1)
    pixels[binary_dilation(line)] = _LINE_EDGE
    pixels[line] = _LINE
    return Image.fromarray(pixels)


def region_picture(path: Path, region: np.ndarray, side: int = 88, resize: str = "squash") -> Image.Image:
    """Return a square around a region, with a box around the region itself; what cannot be opened gives a grey square.

    The region is x0, y0, x1, y1 as fractions of the width and height of the image as `framed` shows it. The square ends where
    that does; its longer side is of `side` pixels.
    """
    from PIL import ImageDraw

    whole = opened(path, round(side / _LEAST_SHOWN))
    if whole is None:
        return _grey_square(side)
    whole = framed(whole, resize)
    size = np.array(whole.size)
    low, high = region[:2] * size, region[2:] * size
    shown = np.minimum(max(_CONTEXT * (high - low).max(), _LEAST_SHOWN * size.max(), 1.0), size)
    start = np.clip((low + high) / 2 - shown / 2, 0, size - shown)
    first, last = np.floor(start).astype(int), np.minimum(np.ceil(start + shown).astype(int), size)
    part = whole.crop((*first.tolist(), *last.tolist()))
    picture = resized(part, side)
    scale = np.array(picture.size) / part.size
    corners = [np.clip((corner - first) * scale, 0, np.array(picture.size) - 1).round() for corner in (low, high)]
    (left, top), (right, bottom) = (corner.astype(int).tolist() for corner in corners)
    canvas = ImageDraw.Draw(picture)
    canvas.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_LINE_EDGE, width=3)
    canvas.rectangle((left, top, right, bottom), outline=_LINE)
    return picture


def stretched(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a map [H, W] as float32 [height, width], bilinear between the centres of positions and constant beyond them.

    The size is width and height, as Pillow counts them.
    """
    from PIL import Image

    return np.asarray(Image.fromarray(np.asarray(values, np.float32)).resize(size, Image.Resampling.BILINEAR))


def _grey_square(side: int) -> Image.Image:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (side, side), _EMPTY)
    canvas = ImageDraw.Draw(image)
    third, far = side // 3, side - side // 3
    for line in ((third, third, far, far), (third, far, far, third)):
        canvas.line(line, fill=_CROSS, width=max(1, side // 48))
    return image


def _grey(photograph: Image.Image) -> np.ndarray:
    """Return the brightness of the pixels, float32 [height, width, 1] in 0..255."""
    return np.asarray(photograph.convert("L"), np.float32)[:, :, None]
