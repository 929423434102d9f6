"""The parts of an explanation as short English sentences, for a terminal and for a picture alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from niwt_tf.explain.counterfactual import Counterfactual, Edit
from niwt_tf.explain.record import Contrast, ImageExplanation, NeuronReason
from niwt_tf.explain.words import WeightedAttribute, grouped, shown_weight
from niwt_tf.metrics.probabilities import UNKNOWN


def listed_words(words: Iterable[WeightedAttribute], sign: str = "+") -> str:
    """Return words with weights, those of one group together, or "nothing".

    The sign is "+" for weights with their signs, "" for their sizes alone, where what is said before the list has the sign.
    """
    parts = []
    for group, members in grouped(words).items():
        inside = ", ".join(f"{short_name(word)} {_weight(word, sign)}" for word in members)
        parts.append(f"{plain(group)}: {inside}" if group else inside)
    return "; ".join(parts) or "nothing"


def _weight(word: WeightedAttribute, sign: str) -> str:
    return shown_weight(word.weight) if sign else shown_weight(abs(word.weight)).removeprefix("+")


def short_name(word: WeightedAttribute) -> str:
    """Return a word's attribute without its group, which is named beside it, for a person to read."""
    return _within(word.attribute) if word.group else plain(word.attribute)


def neuron_title(neuron: NeuronReason) -> str:
    """Return a neuron's number, and its name with what was measured of it."""
    if not neuron.name:
        return f"neuron {neuron.neuron} (no name)"
    measured = "" if neuron.auc is None else f" (AUC {neuron.auc:.2f})"
    return f"neuron {neuron.neuron}: {plain(neuron.name)}{measured}"


_MOST_FOLLOWED = 5
_UNSEEN = 0.1  # of what each attribute would have if all counted the same


def followed_attributes(shares: np.ndarray, names: Sequence[str]) -> tuple[list[tuple[str, float]], list[str]]:
    """Return attributes that a network follows, the most first, with their shares [K], and those that it does not see.

    Not seen are those with less than a tenth of an even share.
    """
    order = np.argsort(-shares, kind="stable")
    unseen = shares < _UNSEEN / len(shares)
    followed = [(names[k], float(shares[k])) for k in order.tolist() if not unseen[k]]
    return followed, [names[k] for k in np.flatnonzero(unseen).tolist()]


def followed_sentence(shares: np.ndarray | None, names: Sequence[str]) -> str:
    """Return which attributes a network follows most and how many it does not see; "" where that was not learnt."""
    if shares is None:
        return ""
    followed, unseen = followed_attributes(shares, names)
    most = ", ".join(f"{plain(name)} ({100 * share:.0f} %)" for name, share in followed[:_MOST_FOLLOWED])
    advice = f"; {len(unseen)} of {len(names)} columns of the table cannot be seen by it" if unseen else ""
    return f"The network follows most: {most}{advice}."


def empty_map_sentence(heat: np.ndarray | None, pair: tuple[str, str] | None = None) -> str:
    """Return what is said of a heat map [H, W] that is 0 everywhere, "" of another one or where none is known.

    The pair is what the class and its rival are called, for the map of their difference; by default it is of the class alone.
    """
    if heat is None or np.any(heat):
        return ""
    return "no place of the image supports " + ("it" if pair is None else f"{pair[0]} over {pair[1]}")


def counterfactual_sentence(contrast: Contrast, called: Mapping[str, str] | None = None) -> str:
    """Return what would have to be said of the class that loses for it to win over the other, or why nothing would do.

    Classes are called what `called` says by label; by default, and where one is absent, by their labels.
    """
    called, found = called or {}, contrast.counterfactual
    changed, over = (called.get(each.label, each.label) for each in (contrast.changed, contrast.over))
    if not isinstance(found, Counterfactual):
        return f"What would let {changed} win over {over}: {found.reason[:1].lower()}{found.reason[1:]}"
    ending = "" if contrast.is_described else " (an estimate: the class was learnt from photographs)"
    best = contrast.best_changed
    if best is not None and best != contrast.changed.label:
        ending += f"; the most probable class would still be {called.get(best, best)}"
    return f"{changed} would win over {over} if its description had {_edited(found.edits)}{ending}."


def withheld_sentence(explanation: ImageExplanation, best: str) -> str:
    """Return why the answer for an image, whose most probable class is called `best` and is withheld, is "unknown"."""
    highest, threshold = (f"{100 * share:.1f} %" for share in (explanation.best.probability, explanation.abstain_below))
    return f'The answer is "{UNKNOWN}": {highest} for {best}, the most probable class, is below the threshold of {threshold}.'


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
    return ", ".join(parts)


def _within(attribute: str) -> str:
    return plain(attribute.partition("::")[2] or attribute)


def plain(name: str) -> str:
    """Return a name of a data set as a person reads it: `has_crown_color::red` as `crown color: red`."""
    return " ".join(name.removeprefix("has_").replace("::", ": ").replace("_", " ").split()) or name
