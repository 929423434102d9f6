"""The metadata file of a bundle: what a program or a person who has only the bundle must know."""

from __future__ import annotations

import platform
from typing import Any

import keras
import tensorflow as tf

from niwt_tf import __version__
from niwt_tf.explain.explainer import Explainer
from niwt_tf.metrics.intervals import or_none
from niwt_tf.models.network import Network
from niwt_tf.protocol.saved_model import SavedModel
from niwt_tf.serving.bundle.bundle import COLUMN_FORMULA, EXPLANATIONS, FORMAT, TURNS, formula_entry
from niwt_tf.serving.export.contents import Contents

_PREPROCESSING = (
    "Inside the model: an image file is decoded to RGB in 0..255, turned as its EXIF data say, and resized to "
    "input_size x input_size: squashed whole, cropped to its middle or padded with black, as `resize` says; "
    "the signature `logits` takes such pixels."
)
_IMAGE_BYTES = {"image_bytes": "string [B], contents of image files"}
_NAMES = {
    "class_name": "string [B], the class to explain; empty for the best",
    "rival": "string [B], the class to compare it with; empty for the best of the others",
}
_ASKED = {
    "label": "string [B], the class that was asked for",
    "runner_up": "string [B], the rival",
    "for_attributes": "as of explain, for the class against the rival",
    "against_attributes": "as of explain, for the rival",
}


def describe(network: Network, contents: Contents, k: int) -> dict[str, Any]:
    """Return the entries of niwt.json that follow from what is exported."""
    names, num_seen, known = network.class_names, network.num_seen, contents.knowledge
    probabilities = contents.probabilities
    knowledge: dict[str, Any] | None
    knowledge = None if known is None else {"source": known.source, "names": list(known.names), "groups": list(known.groups)}
    if knowledge is not None and known is not None and known.scale is not None:
        knowledge["scale"] = known.scale.as_lists()
    return {
        "format": FORMAT,
        "labels": list(names),
        "seen": list(names[:num_seen]),
        "unseen": list(names[num_seen:]),
        "k": k,
        "input_size": network.input_size,
        "num_features": network.num_features,
        "layer": network.layer,
        "calibration": network.calibration,
        "knowledge": knowledge,
        COLUMN_FORMULA: None if contents.formula is None else formula_entry(contents.formula, contents.method),
        EXPLANATIONS: None if contents.explainer is None else _explanations(contents.explainer),
        "probabilities": {
            "temperature": probabilities.temperature,
            "abstain_below": probabilities.abstain_below,
            "figures": dict(probabilities.figures),
        },
        "writer": _writer(contents.writer),
        "validation": dict(contents.validation),
        "preprocessing": _PREPROCESSING,
        TURNS: True,
        "resize": network.input_form.resize,
        "signatures": signature_forms(network, contents, k),
        "licence": "The code is Apache-2.0. Weights and descriptions have the terms of the data that they were learnt from.",
        "versions": {"python": platform.python_version(), "niwt-tf": __version__}
        | {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def _explanations(explainer: Explainer) -> dict[str, Any]:
    """Return how images are explained, and which explanations are no better than chance."""
    heat = explainer.heat
    figures = {"insertion_minus_deletion": heat.gain, "of_the_middle": heat.centre, "lead_low": heat.lead_low}
    return {
        "heat": {"kind": heat.kind, "layer": heat.layer or None, **{name: or_none(value) for name, value in figures.items()}},
        "named_neurons": int(explainer.named.sum()),
        "cautions": list(explainer.cautions),
    }


def _writer(writer: SavedModel | None) -> dict[str, Any] | None:
    """Return what says which fitted method wrote a network from texts, or None."""
    if writer is None:
        return None
    named = {"method": writer.chosen.method, "text_features": writer.settings.text_features}
    generator = writer.chosen.generator
    return {**named, "independent": generator.independent, **generator.provenance}


def signature_forms(network: Network, contents: Contents, k: int) -> dict[str, Any]:
    """Return the inputs and outputs of each signature in words; C grows and shrinks with the classes."""
    size, known = network.input_size, contents.knowledge
    best = f"k = min({k}, C)"
    forms: dict[str, Any] = {
        "serving_default": {
            "inputs": _IMAGE_BYTES,
            "outputs": {
                "labels": f"string [B, k], best first, {best}",
                "scores": "float32 [B, k], probabilities",
                "is_seen": "float32 [B, k], 1 for classes trained on photographs, else 0",
            },
        },
        "logits": {
            "inputs": {"images": f"float32 [B, {size}, {size}, 3], RGB in 0..255"},
            "outputs": {"logits": "float32 [B, C], calibrated", "features": f"float32 [B, {network.num_features}]"},
        },
        "classify": {
            "inputs": {"inputs": "string [B], tf.Example with the bytes feature image/encoded"},
            "outputs": {"classes": f"string [B, k], best first, {best}", "scores": "float32 [B, k]"},
        },
    }
    if contents.formula is not None and known is not None:
        forms["classify_with"] = {
            "inputs": {
                **_IMAGE_BYTES,
                "descriptions": f"float32 [B, M, {len(known.names)}], classes that the model does not have",
            },
            "outputs": {
                "labels": "string [B, C], the known classes",
                "scores": "float32 [B, C + M], of the known classes, then of those described",
                "logits": "float32 [B, C + M]",
            },
        }
    if contents.explainer is not None:
        explained = _explained(contents.explainer, size)
        forms["explain"] = {"inputs": _IMAGE_BYTES, "outputs": explained}
        forms["explain_class"] = {
            "inputs": {**_IMAGE_BYTES, **_NAMES},
            "outputs": {**explained, **_ASKED, **_contrasted(contents.explainer)},
        }
    return forms


def _explained(explainer: Explainer, size: int) -> dict[str, str]:
    attributes, neurons = len(explainer.attribute_names), len(explainer.neuron_names)
    top, few, best = min(attributes, 5), min(attributes, 3), min(neurons, 3)
    return {
        "label": "string [B], the best class", "score": "float32 [B], its probability", "is_seen": "float32 [B]",
        "heatmap": "float32 [B, H, W] in 0..1, the heat map that 'explanations' names",
        "heatmap_png_bytes": f"string [B], the same as PNG of {size} x {size}",
        "attributes": f"string [B, {top}], the evidence for it", "attribute_weights": f"float32 [B, {top}]",
        "neurons": f"string [B, {best}]", "neuron_names": f"string [B, {best}]", "neuron_weights": f"float32 [B, {best}]",
        "runner_up": "string [B], the second best class", "runner_up_score": "float32 [B]",
        "for_attributes": f"string [B, {few}], the evidence for the best class against the second",
        "for_weights": f"float32 [B, {few}]",
        "against_attributes": f"string [B, {few}], the evidence for the second",
        "against_weights": f"float32 [B, {few}], negative",
    }  # fmt: skip


def _contrasted(explainer: Explainer) -> dict[str, str]:
    top, best = min(len(explainer.attribute_names), 5), min(len(explainer.neuron_names), 3)
    return {
        "opposing_attributes": f"string [B, {top}], the evidence against the class, independent of the rival",
        "opposing_weights": f"float32 [B, {top}], negative",
        "neuron_aucs": f"float32 [B, {best}], the AUC of those names on held-out training images, 0 without one",
        "difference_heatmap": "float32 [B, H, W] in 0..1, that of the class's logit minus the rival's",
        "difference_neurons": f"string [B, {best}], the evidence for the class against the rival",
        "difference_neuron_names": f"string [B, {best}]", "difference_neuron_aucs": f"float32 [B, {best}]",
        "difference_neuron_weights": f"float32 [B, {best}]",
    }  # fmt: skip
