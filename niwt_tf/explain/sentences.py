"""The parts of an explanation as short English sentences, for a terminal and for a picture alike."""

from __future__ import annotations

from collections.abc import Iterable

from niwt_tf.explain.counterfactual import Counterfactual, Edit
from niwt_tf.explain.image_explanation import Contrast, NeuronReason
from niwt_tf.explain.words import Word, grouped

_MOST_EDITS = 8


def listed_words(words: Iterable[Word]) -> str:
    """Return words with weights, those of one group together, or "nothing"."""
    parts = []
    for group, members in grouped(words).items():
        inside = ", ".join(f"{short_name(word)} {word.weight:+.2f}" for word in members)
        parts.append(f"{plain(group)}: {inside}" if group else inside)
    return "; ".join(parts) or "nothing"


def short_name(word: Word) -> str:
    """Return a word's attribute without its group, which is named beside it, for a person to read."""
    return _within(word.attribute) if word.group else plain(word.attribute)


def neuron_title(neuron: NeuronReason) -> str:
    """Return a neuron's number, name and the confidence in it."""
    if not neuron.name:
        return f"neuron {neuron.neuron} (no name)"
    sure = "" if neuron.confidence is None else f" ({100 * neuron.confidence:.0f} % sure)"
    return f"neuron {neuron.neuron}: {plain(neuron.name)}{sure}"


def counterfactual_sentence(contrast: Contrast, label: str) -> str:
    """Return what would have to be said of the class that loses for it to win, or why nothing would do.

    Args:
        contrast: of the two classes.
        label: what `contrast.changed` is called in the sentence.
    """
    found = contrast.counterfactual
    if not isinstance(found, Counterfactual):
        return f"What would make {label} win: {found.reason[:1].lower()}{found.reason[1:]}"
    ending = "" if contrast.is_described else " (an estimate: the class was learnt from photographs)"
    return f"{label} would win if its description had {_edited(found.edits)}{ending}."


def _edited(edits: tuple[Edit, ...]) -> str:
    swaps: dict[str, list[Edit]] = {}
    parts = []
    for edit in edits:
        if edit.group:
            swaps.setdefault(edit.group, []).append(edit)
        else:
            parts.append(f"{plain(edit.attribute)} {edit.after:.3g} instead of {edit.before:.3g}")
    for group, pair in swaps.items():
        after, before = (_within(edit.attribute) for edit in sorted(pair, key=lambda edit: edit.after == 0))
        parts.append(f"{plain(group)} {after} instead of {before}")
    more = len(parts) - _MOST_EDITS
    return ", ".join(parts[:_MOST_EDITS]) + (f" and {more} more" if more > 0 else "")


def _within(attribute: str) -> str:
    return plain(attribute.partition("::")[2] or attribute)


def plain(name: str) -> str:
    """Return a name of a data set as a person reads it: `has_crown_color::red` as `crown color: red`."""
    return " ".join(name.removeprefix("has_").replace("::", ": ").replace("_", " ").split()) or name
