"""An explanation as a record for JSON: always the same keys in the same order, and finite numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from niwt_tf import __version__
from niwt_tf.explain.counterfactual import Counterfactual
from niwt_tf.explain.image_explanation import Contrast, ImageExplanation, NamedClass, NeuronReason
from niwt_tf.explain.rounding import shortest
from niwt_tf.explain.words import Word

Record = dict[str, Any]


def explanation_record(explanation: ImageExplanation, image: str, model: Record) -> Record:
    """Return an explanation as values for `write_json`.

    Args:
        explanation: of one image.
        image: what the image is called.
        model: says which model explained it.

    Returns:
        image, model, niwt_tf (its version), class, best (the most probable class, and whether it is withheld because the answer
        is "unknown"), speaks_for, speaks_against, neurons, heat_map (rows of values in 0..1, over the whole image), and rival,
        which is None where there is no other class.
    """
    return {
        "image": image,
        "model": model,
        "niwt_tf": __version__,
        "class": _class(explanation.own),
        "best": {**_class(explanation.best), "withheld": explanation.is_withheld},
        "speaks_for": _words(explanation.speaks_for),
        "speaks_against": _words(explanation.speaks_against),
        "neurons": _neurons(explanation.neurons),
        "heat_map": _heat(explanation.heat),
        "rival": None if explanation.contrast is None else _rival(explanation.contrast),
    }


def _rival(contrast: Contrast) -> Record:
    return {
        **_class(contrast.rival),
        "speaks_for": _words(contrast.speaks_for),
        "speaks_against": _words(contrast.speaks_against),
        "neurons": _neurons(contrast.neurons),
        "heat_map": None if contrast.heat is None else _heat(contrast.heat),
        "counterfactual": _counterfactual(contrast),
    }


def _counterfactual(contrast: Contrast) -> Record:
    found = contrast.counterfactual
    classes = {"class": contrast.changed.label, "over": contrast.over.label}
    if not isinstance(found, Counterfactual):
        return {**classes, "edits": None, "reason": found.reason}
    return {
        **classes,
        "best": contrast.best_changed,
        "edits": [asdict(edit) for edit in found.edits],
        "described": contrast.is_described,
        "margin_before": shortest(found.margin_before),
        "margin_after": shortest(found.margin_after),
    }


def _class(named: NamedClass) -> Record:
    return {"label": named.label, "seen": named.is_seen, "probability": shortest(named.probability)}


def _words(words: Iterable[Word]) -> list[Record]:
    return [{"attribute": word.attribute, "group": word.group, "weight": shortest(word.weight)} for word in words]


def _neurons(neurons: Iterable[NeuronReason]) -> list[Record]:
    return [
        {
            "neuron": neuron.neuron,
            "name": neuron.name,
            "confidence": None if neuron.confidence is None else shortest(neuron.confidence),
            "weight": shortest(neuron.weight),
        }
        for neuron in neurons
    ]


def _heat(heat: np.ndarray) -> list[list[float]]:
    return [[round(float(value), 4) for value in row] for row in heat]
