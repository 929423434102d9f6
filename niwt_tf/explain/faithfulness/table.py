"""What each measure of faithfulness says, and all of them as a table of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SIDES = ("seen", "unseen", "all")


@dataclass(frozen=True)
class MeasureTitle:
    """How a measure is shown; its name is its key in metrics.json, and "" stands for no chance level."""

    name: str
    title: str
    meaning: str
    better: Literal["higher", "lower"]
    chance_is: str = ""


FIGURES = (
    MeasureTitle(
        "energy_in_box", "energy in the box", "Share of the heat map that lies on the object.", "higher",
        "the box's share of the image",
    ),
    MeasureTitle(
        "pointing_game", "hottest point in the box", "How often the hottest point of the heat map lies on the object.",
        "higher", "the box's share of the image",
    ),
    MeasureTitle(
        "insertion_auc", "insertion",
        "Mean probability of the class while the pixels are put back into an image of its mean colour, the hottest first.",
        "higher", "pixels in random order",
    ),
    MeasureTitle(
        "deletion_auc", "deletion", "Mean probability of the class while the pixels are removed, the hottest first.", "lower",
        "pixels in random order",
    ),
    MeasureTitle(
        "insertion_minus_deletion", "insertion minus deletion",
        "Insertion minus deletion, as one figure. An order that does not depend on the image has 0 on average.", "higher",
        "a heat map with one spot in the middle of every image",
    ),
    MeasureTitle(
        "attribute_hit", "true words",
        "Share of the attributes named for a prediction (at most five) that are true of the image. For unseen classes the "
        "words partly repeat what the network was told, namely their descriptions.",
        "higher", "as many of the most frequent attributes of the training images",
    ),
    MeasureTitle(
        "good_names", "good neuron names",
        "Share of the named neurons that separate images with the named attribute from others (AUC above 0.75).",
        "higher", "the same neurons with the other names",
    ),
    MeasureTitle(
        "neuron_name_auc", "AUC of neuron names",
        "How well the named neurons separate images with the named attribute from others.", "higher",
        "the same neurons with the other names",
    ),
    MeasureTitle(
        "part_localisation", "activation at the part",
        "Share of the activation of named neurons that lies near the part in their name.", "higher",
        "the share of the object's box that is equally near",
    ),
    MeasureTitle(
        "random_logit_correlation", "same map, other class",
        "Rank correlation between the heat maps of the predicted class and of another, random class.", "lower",
    ),
    MeasureTitle(
        "random_tail_correlation", "same map, random tail",
        "Rank correlation of the heat map with that of a network whose layers after the map have random weights.", "lower",
    ),
    MeasureTitle(
        "random_network_correlation", "same map, random network",
        "Rank correlation of the heat map with that of a network with random weights.", "lower",
    ),
)  # fmt: skip


def as_text(faithfulness: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return metrics.json's entry of that name as aligned lines; measures that are absent are left out.

    A line has value, 95 % interval, chance, what is better, and how many images or neurons were measured and left out.
    """
    rows = [("measure", "classes", "value", "95 %", "chance", "better", "count", "left out")]
    for figure in FIGURES:
        found = faithfulness.get(figure.name, {})
        title = figure.title
        for side in SIDES:
            if side in found:
                counts = str(found[side]["count"]), str(found[side].get("left_out", ""))
                rows.append((title, side, *_cells(found[side]), figure.better, *counts))
                title = ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = (True, True, False, False, False, True, False, False)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width) for cell, width, is_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    )


def _cells(figure: Mapping[str, Any]) -> tuple[str, str, str]:
    interval = f"{figure['low']:.3f} to {figure['high']:.3f}" if "low" in figure else ""
    return f"{figure['value']:.3f}", interval, f"{figure['chance']:.3f}" if "chance" in figure else ""
