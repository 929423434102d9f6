"""Why one image got its class, and why not another, as one record for people and programs.

Dimensions: H x W positions of the network's map, C classes, K attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from niwt_tf import __version__
from niwt_tf.explain.counterfactual import Counterfactual, NoCounterfactual
from niwt_tf.explain.words import Word, shortest


@dataclass(frozen=True)
class NamedClass:
    """A class of the network and its probability for the image."""

    label: str
    is_seen: bool
    probability: float


@dataclass(frozen=True)
class NeuronReason:
    """A neuron that says much for a class.

    Attributes:
        neuron: its number in the map.
        name: of the attribute that it stands for, "" for none.
        confidence: in the name, in [0, 1]; None where that is not known.
        weight: its mean part in Grad-CAM before the ReLU.
        activation: float32 [H, W], what it answers to this image; None where that is not known.
    """

    neuron: int
    name: str
    confidence: float | None
    weight: float
    activation: np.ndarray | None = None


@dataclass(frozen=True)
class Contrast:
    """Why the class and not its rival.

    Attributes:
        rival: the class it is compared with.
        speaks_for: attributes for the class against the rival.
        speaks_against: attributes for the rival against the class.
        neurons: that say most for the class against the rival.
        heat: float32 [H, W] in [0, 1], Grad-CAM of the difference of their logits; None where that is not known.
        counterfactual: the smallest change of a description with which the less probable of the two would win over the
            other, or why there is none.
        changed: the class whose description that is.
        is_described: whether that class was made from its description alone, so that the counterfactual is exact.
        over: the other of the two, which it would win over.
        best_changed: the most probable class of all with the changed description; None where there is no counterfactual.
    """

    rival: NamedClass
    speaks_for: tuple[Word, ...]
    speaks_against: tuple[Word, ...]
    neurons: tuple[NeuronReason, ...]
    heat: np.ndarray | None
    counterfactual: Counterfactual | NoCounterfactual
    changed: NamedClass
    is_described: bool
    over: NamedClass
    best_changed: str | None = None


@dataclass(frozen=True)
class ImageExplanation:
    """Why an image is, or is not, of a class.

    Attributes:
        own: the class that is explained.
        best: the most probable class.
        speaks_for: attributes for the class, strongest first.
        speaks_against: attributes against the class; empty where that is not known.
        neurons: that say most for the class.
        heat: float32 [H, W] in [0, 1], Grad-CAM of the class's logit.
        contrast: with the rival; None where there is no other class.
        abstain_below: whoever answers names no class where the highest probability is less; 0 answers always.
    """

    own: NamedClass
    best: NamedClass
    speaks_for: tuple[Word, ...]
    speaks_against: tuple[Word, ...]
    neurons: tuple[NeuronReason, ...]
    heat: np.ndarray
    contrast: Contrast | None
    abstain_below: float = 0.0

    @property
    def is_withheld(self) -> bool:
        """Whether the answer for this image is "unknown" and not the most probable class."""
        # In the graph's own precision.
        return bool(np.float32(self.best.probability) < np.float32(self.abstain_below))


Row = Mapping[str, np.ndarray]


def words_of(row: Row, side: str, groups: Mapping[str, str]) -> tuple[Word, ...]:
    """Return the words of an answer of `explain` or `explain_class` about one image.

    Args:
        row: the outputs by name, without the axis of the batch.
        side: "" for what speaks for the class, or "for", "against", "opposing"; one that the answer lacks is empty.
        groups: of the attributes.
    """
    start = f"{side}_" if side else ""
    names = f"{start}attributes"
    if names not in row:
        return ()
    weights = row[f"{start}weights" if side else "attribute_weights"]
    pairs = zip((_text(name) for name in row[names]), weights, strict=True)
    return tuple(Word(name, groups.get(name, ""), float(weight)) for name, weight in pairs if weight != 0)


def neurons_of(row: Row, start: str, maps: np.ndarray | None = None) -> tuple[NeuronReason, ...]:
    """Return the neurons of such an answer.

    Args:
        row: the outputs by name, without the axis of the batch.
        start: "" for those of the class, "difference_" for those against the rival; without them it is empty.
        maps: float32 [H, W, N], the network's map of the image, or None.
    """
    if f"{start}neurons" not in row:
        return ()
    names, weights = row[f"{start}neuron_names"], row[f"{start}neuron_weights"]
    confidences: Sequence[float | None] = [None] * len(names)
    if f"{start}neuron_confidences" in row:
        confidences = row[f"{start}neuron_confidences"].tolist()
    found = []
    for number, name, weight, confidence in zip(row[f"{start}neurons"], names, weights, confidences, strict=True):
        if weight <= 0:
            continue
        place = int(_text(number).removeprefix("neuron "))
        activation = None if maps is None else maps[..., place]
        found.append(NeuronReason(place, _text(name), confidence, float(weight), activation))
    return tuple(found)


def _text(value: bytes) -> str:
    return bytes(value).decode("utf-8", "replace")


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
