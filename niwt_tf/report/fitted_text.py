"""Text cut or broken to the room there is for it in a figure, by the widths of its letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from niwt_tf.experiments.class_names import shorten
from niwt_tf.experiments.saved_figure import figure_font

DPI = 100  # of the figures: letters are as wide as whole pixels make them
_POINTS = 72  # an inch
_MOST = 120  # characters of a name, however narrow they are


def inches(text: str, size: float) -> float:
    """Return how wide a line is in letters of `size` points."""
    return float(figure_font(size * DPI / _POINTS).getlength(text)) / DPI


def cut(text: str, size: float, room: float) -> str:
    """Return a line cut to `room` inches, with an ellipsis where something is left out."""
    (text,) = cut_together([text], lambda names: inches(names[0], size) <= room, 4 * _MOST)
    return text


def cut_start(text: str, size: float, room: float) -> str:
    """Return the end of a line where the whole does not fit into `room` inches, after an ellipsis."""
    if inches(text, size) <= room:
        return text
    text = text[-_MOST:]
    while text and inches(f"\N{HORIZONTAL ELLIPSIS}{text}", size) > room:
        text = text[1:].lstrip()
    return "\N{HORIZONTAL ELLIPSIS}" + text


def broken(text: str, size: float, room: float) -> list[str]:
    """Return a text as lines of at most `room` inches, broken between words; a word that is too wide is cut."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and inches(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(cut(word, size, room))
    return lines


def broken_within(text: str, size: float, room: float, most: int) -> str:
    """Return a text of at most `most` lines; what does not fit is left out of the last one."""
    lines = broken(text, size, room)
    if len(lines) > most:
        lines[most - 1 :] = [cut(f"{' '.join(lines[most - 1 :])}\N{HORIZONTAL ELLIPSIS}", size, room)]
    return "\n".join(lines)


def cut_together(names: Sequence[str], fits: Callable[[Sequence[str]], bool], most: int = _MOST) -> tuple[str, ...]:
    """Return names of which the longest are cut, as little as is needed for all of them to fit.

    Args:
        names: to be shown together.
        fits: says whether names have room; the shorter they are, the sooner they do.
        most: characters of a name.
    """
    lengths = [min(len(name), most) for name in names]
    while True:
        short = tuple(shorten(name, length) for name, length in zip(names, lengths, strict=True))
        if max(lengths) <= 1 or fits(short):
            return short
        lengths[lengths.index(max(lengths))] -= 1
