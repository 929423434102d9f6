"""Why one image got its class, and why not another, as one record for people and programs.

Dimensions: H x W positions of the network's map, C classes, K attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from niwt_tf import __version__
from niwt_tf.explain.counterfactual import Counterfactual, NoCounterfactual
from niwt_tf.explain.evidence_words import evidence_record
from niwt_tf.explain.words import WeightedAttribute, shortest, text_of
from niwt_tf.methods.text_evidence import TextEvidence


@dataclass(frozen=True)
class NamedClass:
    """A class of the network and its probability for the image."""

    label: str
    is_seen: bool
    probability: float


@dataclass(frozen=True)
class NeuronReason:
    """A neuron that says much for a class.

    Its number is that in the map, its name that of the attribute that it stands for, "" for none. The weight is its mean part
    in Grad-CAM before the ReLU, the activation float32 [H, W] what it answers to this image. The AUC, in [0, 1], is how well
    the neuron told held-out training images with the attribute from others. It and the activation are None where not known.
    """

    neuron: int
    name: str
    auc: float | None
    weight: float
    activation: np.ndarray | None = None


@dataclass(frozen=True)
class Contrast:
    """Why the class and not its rival.

    Words and neurons, and `heat` float32 [H, W] in [0, 1], the heat map of the difference of their logits (None where it is not
    known), are for the class against the rival, but for what speaks against. The counterfactual is the smallest change of the
    description of `changed`, the less probable of the two, with which it would win `over` the other, or why there is none; it
    is exact where that class `is_described`, made from its description alone. `best_changed` is then the most probable class of
    all.
    """

    rival: NamedClass
    speaks_for: tuple[WeightedAttribute, ...]
    speaks_against: tuple[WeightedAttribute, ...]
    neurons: tuple[NeuronReason, ...]
    heat: np.ndarray | None
    counterfactual: Counterfactual | NoCounterfactual
    changed: NamedClass
    is_described: bool
    over: NamedClass
    best_changed: str | None = None


@dataclass(frozen=True)
class ImageExplanation:
    """Why an image is, or is not, of its `own` class; `best` is the most probable one.

    Words come strongest first, and none speak against it where that is not known. `heat` float32 [H, W] in [0, 1] is Grad-CAM
    of the class's logit. There is no contrast where there is no other class. Whoever answers names no class where the highest
    probability is less than `abstain_below`; 0 answers always. The evidence is that of the classes' texts, where a method reads
    them. Cautions say which explanations of this network are no better than chance, and `followed` which attributes it follows.
    """

    own: NamedClass
    best: NamedClass
    speaks_for: tuple[WeightedAttribute, ...]
    speaks_against: tuple[WeightedAttribute, ...]
    neurons: tuple[NeuronReason, ...]
    heat: np.ndarray
    contrast: Contrast | None
    abstain_below: float = 0.0
    evidence: TextEvidence | None = None
    cautions: tuple[str, ...] = ()
    followed: str = ""

    @property
    def is_withheld(self) -> bool:
        """Whether the answer for this image is "unknown" and not the most probable class."""
        # In the graph's own precision.
        return bool(np.float32(self.best.probability) < np.float32(self.abstain_below))


ImageAnswer = Mapping[str, np.ndarray]


def words_of(row: ImageAnswer, side: str, groups: Mapping[str, str]) -> tuple[WeightedAttribute, ...]:
    """Return the words of an answer of `explain` or `explain_class` about one image, a row without the axis of the batch.

    The side is "" for what speaks for the class, or "for", "against", "opposing"; one that the answer lacks is empty.
    Attributes have groups.
    """
    start = f"{side}_" if side else ""
    names = f"{start}attributes"
    if names not in row:
        return ()
    weights = row[f"{start}weights" if side else "attribute_weights"]
    pairs = zip((text_of(name) for name in row[names]), weights, strict=True)
    return tuple(WeightedAttribute(name, groups.get(name, ""), float(weight)) for name, weight in pairs if weight != 0)


def neurons_of(row: ImageAnswer, start: str, maps: np.ndarray | None = None) -> tuple[NeuronReason, ...]:
    """Return the neurons of such a row: those of the class, or after the start "difference_" those against the rival.

    They are none where the answer lacks them; `maps` float32 [H, W, N] are the network's map of the image, if it is known.
    """
    if f"{start}neurons" not in row:
        return ()
    names, weights = row[f"{start}neuron_names"], row[f"{start}neuron_weights"]
    # Names of an earlier niwt-tf were checked on no image.
    checked = f"{start}neuron_aucs" in row
    aucs = row[f"{start}neuron_aucs"].tolist() if checked else [0.0] * len(names)
    found = []
    for number, name, weight, auc in zip(row[f"{start}neurons"], names, weights, aucs, strict=True):
        if weight <= 0:
            continue
        place = int(text_of(number).removeprefix("neuron "))
        activation = None if maps is None else maps[..., place]
        called = text_of(name) if checked else ""
        found.append(NeuronReason(place, called, auc if called else None, float(weight), activation))
    return tuple(found)


Record = dict[str, Any]


def explanation_record(explanation: ImageExplanation, image: str, model: Record) -> Record:
    """Return the explanation of an image of that name, by a model that `model` says, as values for `write_json`.

    Returns:
        image, model, niwt_tf (its version), class, best (the most probable class, and whether it is withheld because the answer
        is "unknown"), speaks_for, speaks_against, neurons, heat_map (rows of values in 0..1, over the whole image), and rival,
        which is None where there is no other class; followed, the attributes that the network follows and those that it does
        not see, and cautions, both in sentences. Where a method reads texts there is evidence too, see `evidence_record`.
    """
    contrast, evidence = explanation.contrast, explanation.evidence
    said = {} if evidence is None else {"evidence": evidence_record(evidence)}
    return {
        "image": image,
        "model": model,
        "niwt_tf": __version__,
        "class": _class(explanation.own),
        "best": {**_class(explanation.best), "withheld": explanation.is_withheld},
        **_reasons(explanation),
        "rival": None if contrast is None else _rival(contrast),
        "followed": explanation.followed,
        "cautions": list(explanation.cautions),
        **said,
    }


def _reasons(said: ImageExplanation | Contrast) -> Record:
    heat = None if said.heat is None else [[round(float(value), 4) for value in row] for row in said.heat]
    words = {"speaks_for": _words(said.speaks_for), "speaks_against": _words(said.speaks_against)}
    return {**words, "neurons": [_neuron(neuron) for neuron in said.neurons], "heat_map": heat}


def _rival(contrast: Contrast) -> Record:
    found, classes = contrast.counterfactual, {"class": contrast.changed.label, "over": contrast.over.label}
    return {**_class(contrast.rival), **_reasons(contrast), "counterfactual": classes | _changed(contrast, found)}


def _changed(contrast: Contrast, found: Counterfactual | NoCounterfactual) -> Record:
    if not isinstance(found, Counterfactual):
        return {"edits": None, "reason": found.reason}
    return {
        "best": contrast.best_changed,
        "edits": [asdict(edit) for edit in found.edits],
        "described": contrast.is_described,
        "margin_before": shortest(found.margin_before),
        "margin_after": shortest(found.margin_after),
    }


def _class(named: NamedClass) -> Record:
    return {"label": named.label, "seen": named.is_seen, "probability": shortest(named.probability)}


def _words(words: Iterable[WeightedAttribute]) -> list[Record]:
    return [{**asdict(word), "weight": shortest(word.weight)} for word in words]


def _neuron(neuron: NeuronReason) -> Record:
    auc = None if neuron.auc is None else shortest(neuron.auc)
    return {"neuron": neuron.neuron, "name": neuron.name, "auc": auc, "weight": shortest(neuron.weight)}
