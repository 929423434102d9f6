"""The table of what was measured of the explanations, and sentences for what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from niwt_tf.experiments.faithfulness_table import SIDES
from niwt_tf.report.contents import Estimate, FaithfulnessRow

if TYPE_CHECKING:
    from niwt_tf.data.schema import Dataset
    from niwt_tf.experiments.faithfulness_table import Figure

_NEEDS = {
    "energy_in_box": "boxes",
    "pointing_game": "boxes",
    "part_localisation": "parts",
}


def faithfulness_rows(
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]], figures: Sequence[Figure]
) -> tuple[FaithfulnessRow, ...]:
    """Return a row for each figure that was measured.

    Args:
        measured: metrics.json's "faithfulness".
        figures: what each metric is called and means.
    """
    return tuple(
        FaithfulnessRow(
            figure.title,
            figure.meaning,
            figure.better,
            figure.chance_is,
            {side: _shown(found) for side, found in measured[figure.name].items() if side in SIDES},
        )
        for figure in figures
        if measured.get(figure.name)
    )


def _shown(found: Mapping[str, Any]) -> tuple[Estimate, float | None, int | None, int]:
    estimate = Estimate(found.get("value"), found.get("low"), found.get("high"))
    return estimate, found.get("chance"), found.get("count"), found.get("left_out", 0)


def unmeasured_sentences(measured: Mapping[str, Any], figures: Sequence[Figure], missing: Sequence[str]) -> tuple[str, ...]:
    """Return why each other figure is absent.

    Args:
        measured: metrics.json's "faithfulness".
        figures: all there are.
        missing: what the data set does not have, "boxes" or "parts".
    """
    sentences = []
    for figure in figures:
        if not measured.get(figure.name):
            needed = _NEEDS.get(figure.name, "")
            reason = f"the data set has no {needed} of its images" if needed in missing else "there is nothing to measure it on"
            sentences.append(f"{figure.title[:1].upper()}{figure.title[1:]}: not measured, {reason}.")
    return tuple(sentences)


def missing_annotations(dataset: Dataset) -> tuple[str, ...]:
    """Return what a data set does not know of its images, of "boxes" and "parts"."""
    known = {"boxes": dataset.boxes, "parts": dataset.parts}
    return tuple(name for name, values in known.items() if values is None)
