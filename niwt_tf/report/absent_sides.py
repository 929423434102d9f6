"""Why the table of faithfulness has no figure for seen or for unseen classes, or for both together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from niwt_tf.experiments.faithfulness_table import Figure


def absent_side_sentences(
    measured: Mapping[str, Mapping[str, Any]], figures: Sequence[Figure], images: Mapping[str, int]
) -> tuple[str, ...]:
    """Return a sentence for each kind of classes that a measured figure is not known of.

    Args:
        measured: metrics.json's "faithfulness".
        figures: all there are.
        images: number of test images of "seen" and of "unseen" classes.
    """
    found = [(figure.title, measured[figure.name]) for figure in figures if measured.get(figure.name)]
    sentences = []
    for side, number in images.items():
        titles = ", ".join(title for title, by_side in found if side not in by_side)
        if titles:
            reason = "none of their images could be measured" if number else "there is no test image of theirs"
            sentences.append(f"Not measured of {side} classes: {titles}; {reason}.")
    if any("all" not in by_side for _, by_side in found):
        sentences.append("All: figures of images are given for seen and unseen classes apart, never for both together.")
    return tuple(sentences)
