"""A sheet of test images with what was predicted for them, drawn at random so that it flatters nobody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niwt_tf.data.images.files import thumbnail
from niwt_tf.data.schema import Images
from niwt_tf.files import replacing
from niwt_tf.plots.style import figure_font, readable_names

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

_COLUMNS = 6
_SIDE, _FRAME, _GAP, _CAPTION, _MARGIN = 192, 6, 16, 62, 20  # pixels; 192 is three times the side of a rendered bird
_CELL_WIDTH = _SIDE + 2 * _FRAME + _GAP
_CELL_HEIGHT = _SIDE + 2 * _FRAME + _CAPTION + 10
_SIGNS = {True: "\N{HEAVY CHECK MARK}", False: "\N{HEAVY BALLOT X}"}
RIGHT, WRONG, TAG = "#00795A", "#B03A80", "#A84700"  # as on the report's page, by day
_INK, _FAINT = "#111111", "#555555"


def prediction_sheet(
    path: str | Path,
    images: Images,
    predictions: np.ndarray,
    scores: np.ndarray,
    num_seen: int,
    *,
    count: int = 24,
    seed: int = 0,
) -> None:
    """Write a PNG with `count` test images, half of unseen and half of seen classes, each with its true and predicted class.

    A frame and a sign tell right from wrong. The images are drawn uniformly at random; when one half has too few, the other
    half fills up. Photographs keep their shape; an image that cannot be opened gets an empty frame that says so.

    Predicted classes are [M], seen ones first. Of the scores [M, C], probabilities (shown in percent) or logits, the predicted
    class's is shown.
    """
    from PIL import Image, ImageDraw

    unseen, seen = _draw(images.labels, num_seen, count, seed)
    titles = "Unseen classes: no image of them was trained on", "Seen classes: other images of them were trained on"
    sections = [(text, chosen) for text, chosen in zip(titles, (unseen, seen), strict=True) if len(chosen)]
    rows = sum(-(-len(chosen) // _COLUMNS) for _, chosen in sections)
    width = 2 * _MARGIN + _COLUMNS * _CELL_WIDTH - _GAP
    sheet = Image.new("RGB", (width, 96 + 44 * len(sections) + rows * _CELL_HEIGHT), "white")
    canvas = ImageDraw.Draw(sheet)

    shown = len(unseen) + len(seen)
    heading = f"Predictions for {shown} of {len(images):,} test images, drawn at random (seed {seed})"
    canvas.text((_MARGIN, 16), heading, _INK, figure_font(24, bold=True))
    are_probabilities = bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1.0, atol=1e-3))
    number = "probability" if are_probabilities else "score"
    legend = f"Bold: true class. Below it: the predicted class out of all {len(images.class_names)}, its {number}, and whether "
    canvas.text((_MARGIN, 54), legend + "it is a seen or an unseen class.", _FAINT, figure_font(15))

    names = readable_names(images.class_names)
    top = 92
    for text, chosen in sections:
        right = int((predictions[chosen] == images.labels[chosen]).sum())
        canvas.text((_MARGIN, top + 6), f"{text} \N{EN DASH} {right} of {len(chosen)} right", TAG, figure_font(19, bold=True))
        top += 44
        for position, index in enumerate(chosen):
            corner = (_MARGIN + position % _COLUMNS * _CELL_WIDTH, top + position // _COLUMNS * _CELL_HEIGHT)
            true, predicted = int(images.labels[index]), int(predictions[index])
            picture = thumbnail(images.root / images.paths[index], _SIDE)
            _picture(sheet, corner, picture, true == predicted, true >= num_seen)
            value = float(scores[index, predicted])
            amount = f"{100 * value:.0f} %" if are_probabilities else f"score {value:.2f}"
            role = "seen" if predicted < num_seen else "unseen"
            _caption(canvas, corner, names[true], names[predicted], f"{amount}, {role} class", true == predicted)
        top += -(-len(chosen) // _COLUMNS) * _CELL_HEIGHT
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw(labels: np.ndarray, num_seen: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random image indices of unseen and of seen classes, `count` together or all that there are."""
    random = np.random.default_rng(seed)
    unseen = random.permutation(np.flatnonzero(labels >= num_seen))
    seen = random.permutation(np.flatnonzero(labels < num_seen))
    of_unseen = min(len(unseen), max(count - count // 2, count - len(seen)))
    return unseen[:of_unseen], seen[: count - of_unseen]


def _picture(sheet: Image.Image, corner: tuple[int, int], picture: Image.Image | None, right: bool, unseen: bool) -> None:
    """Draw the frame, the image in its middle, the sign of right or wrong and the tag of an unseen class."""
    from PIL import ImageDraw

    canvas = ImageDraw.Draw(sheet)
    left, top = corner
    colour = RIGHT if right else WRONG
    outer = _SIDE + 2 * _FRAME - 1
    canvas.rectangle((left, top, left + outer, top + outer), fill="#EEEEEE", outline=colour, width=_FRAME)
    middle = (left + _FRAME + _SIDE // 2, top + _FRAME + _SIDE // 2)
    if picture is None:
        canvas.text(middle, "cannot be opened", _FAINT, figure_font(14), anchor="mm")
    else:
        sheet.paste(picture, (middle[0] - picture.width // 2, middle[1] - picture.height // 2))
    badge = left + outer - 28
    canvas.rectangle((badge, top, left + outer, top + 28), fill=colour)
    canvas.text((badge + 14, top + 14), _SIGNS[right], "white", figure_font(20), anchor="mm")
    if unseen:
        canvas.rectangle((left, top, left + 62, top + 22), fill=TAG)
        canvas.text((left + 31, top + 11), "unseen", "white", figure_font(13, bold=True), anchor="mm")


def _caption(canvas: ImageDraw.ImageDraw, corner: tuple[int, int], true: str, predicted: str, detail: str, right: bool) -> None:
    left, top = corner[0], corner[1] + _SIDE + 2 * _FRAME + 5
    lines = ((true, _INK, True), (f"{_SIGNS[right]} {predicted}", RIGHT if right else WRONG, False), (detail, _FAINT, False))
    for number, (text, colour, bold) in enumerate(lines):
        text, font = _fitted(text, bold)
        canvas.text((left, top + 19 * number), text, colour, font)


def _fitted(text: str, bold: bool) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return the text, in a smaller font or cut where it would be wider than its cell, and the font."""
    for size in (14, 13, 12):
        font = figure_font(size, bold)
        if font.getlength(text) <= _CELL_WIDTH - _GAP:
            return text, font
    while len(text) > 1 and font.getlength(text + "\N{HORIZONTAL ELLIPSIS}") > _CELL_WIDTH - _GAP:
        text = text[:-1].rstrip()
    return text + "\N{HORIZONTAL ELLIPSIS}", font
