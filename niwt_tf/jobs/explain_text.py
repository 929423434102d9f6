"""An explanation as lines for a terminal, without a character that a terminal would obey."""

from __future__ import annotations

from niwt_tf.explain.record import Contrast, ImageExplanation, NamedClass
from niwt_tf.explain.sentences import (
    counterfactual_sentence,
    empty_map_sentence,
    listed_words,
    neuron_title,
    withheld_sentence,
)
from niwt_tf.jobs.terminal_text import shown


def explanation_text(explanation: ImageExplanation, image: str) -> str:
    """Return what is said of an image, some lines."""
    own, best, contrast = explanation.own, explanation.best, explanation.contrast
    lines = [f"{image}: {_named(own)}"]
    if best.label != own.label:
        lines.append(f"  the most probable class is {_named(best)}")
    if explanation.is_withheld:
        lines.append(f"  {withheld_sentence(explanation, best.label)}")
    lines += _where(empty_map_sentence(explanation.heat))
    lines.append(f"  for it speaks      {listed_words(explanation.speaks_for)}")
    if explanation.speaks_against:  # which not every bundle says
        lines.append(f"  against it speaks  {listed_words(explanation.speaks_against)}")
    neurons = ", ".join(neuron_title(neuron) for neuron in explanation.neurons)
    lines.append(f"  by                 {neurons or 'no neuron'}")
    return "\n".join(shown(line) for line in [*lines, *([] if contrast is None else _why_not(contrast, own))]) + "\n"


def _where(sentence: str) -> list[str]:
    return [f"  where              {sentence}"] if sentence else []


def _why_not(contrast: Contrast, own: NamedClass) -> list[str]:
    return [
        f"Why not {_named(contrast.rival)}",
        *_where(empty_map_sentence(contrast.heat, (own.label, contrast.rival.label))),
        f"  against it speaks  {listed_words(contrast.speaks_for, sign='')}",
        f"  for it speaks      {listed_words(contrast.speaks_against, sign='')}",
        f"  {counterfactual_sentence(contrast)}",
    ]


def _named(named: NamedClass) -> str:
    return f"{named.label} ({100 * named.probability:.1f} %, {'seen' if named.is_seen else 'unseen'})"
