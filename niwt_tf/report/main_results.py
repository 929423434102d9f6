"""The headline table and the sentence above it."""

from __future__ import annotations

from collections.abc import Mapping

from niwt_tf.report.contents import Estimate, HeadlineRow
from niwt_tf.report.subject import count

_MEANINGS = (
    ("acc_seen", "Seen accuracy", "Test images of seen classes that got their name, all {all} competing; mean over classes."),
    ("acc_unseen", "Unseen accuracy", "The same for unseen classes, none of whose images the network was trained on."),
    ("harmonic_mean", "H", "Harmonic mean of the two: high only when both are."),
    ("acc_zsl", "ZSL", "Unseen accuracy when unseen classes alone compete: {unseen}."),
    ("ausuc", "AUSUC", "Area under seen over unseen accuracy, whatever the calibration constant."),
    ("ece", "ECE", "By how much the highest probability is off the share of right answers, on average."),
)


def headline_of(estimates: Mapping[str, Estimate], num_seen: int, num_unseen: int) -> tuple[HeadlineRow, ...]:
    """Return the rows of the main results; chance is that of guessing evenly among the classes that compete.

    Args:
        estimates: by the names of metrics.json.
        num_seen: S.
        num_unseen: U.
    """
    classes = num_seen + num_unseen
    chance = {name: 1 / classes for name in ("acc_seen", "acc_unseen", "harmonic_mean")} | {"acc_zsl": 1 / num_unseen}
    words = {"all": count(classes, "class"), "unseen": count(num_unseen, "unseen class")}
    return tuple(
        HeadlineRow(title, meaning.format(**words), estimates[name], chance.get(name), "lower" if name == "ece" else "higher")
        for name, title, meaning in _MEANINGS
    )


def summary_of(estimates: Mapping[str, Estimate], num_seen: int, num_unseen: int) -> str:
    """Return the main result in words."""
    seen, unseen, zsl = (estimates[name].value for name in ("acc_seen", "acc_unseen", "acc_zsl"))
    all_classes = count(num_seen + num_unseen, "class")
    if seen is None and unseen is None:
        return "There is no test image, so nothing could be measured."
    if unseen is None or zsl is None:
        return (
            f"The network names {100 * (seen or 0):.1f} % of the test images of seen classes right, {all_classes} competing. "
            "There is no test image of an unseen class, so what it makes of those is not measured."
        )
    first = (
        f"The network names {100 * unseen:.1f} % of the test images of {count(num_unseen, 'class')} it was only told about, "
        f"with {all_classes} competing"
    )
    if num_unseen > 1:
        first += f", and {100 * zsl:.1f} % when only those {num_unseen:,} compete (guessing: {100 / num_unseen:.1f} %)"
    first += "."
    return first if seen is None else f"{first} Of images of the classes it was trained on it names {100 * seen:.1f} %."
