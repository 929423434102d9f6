"""What the signature `explain_class` answers: why one class and not another, whichever two are asked about.

Only core operations. Dimensions: B images, H x W positions, N neurons, C classes, K attributes.
"""

from __future__ import annotations

import tensorflow as tf

from niwt_tf.data.image_header import required
from niwt_tf.explain.explanations import Choose, Evidence, ExplainerTensors, mean_parts, strongest, strongest_neurons
from niwt_tf.explain.grad_cam import attribute_weights, grad_cam

_ATTRIBUTES = 5
_ITSELF = "rival must be another class than the one that is explained."


def named_classes(class_names: tf.Tensor, rivals: tf.Tensor, labels: tf.Tensor) -> Choose:
    """Return what chooses the classes and the rivals of these names.

    Args:
        class_names: string [B]; "" is the image's best class.
        rivals: string [B]; "" is the best of the other classes.
        labels: string [C].

    Raises:
        tf.errors.InvalidArgumentError: there is not a name for each image, no class of a name, or a rival that is the class
            itself (when the operation runs).
    """

    def choose(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(logits)[0]
        fits = tf.equal(tf.size(class_names), count) & tf.equal(tf.size(rivals), count)
        checked = required(fits, logits, lambda: tf.constant("class_name and rival must each have a name for every image."))
        own = _places("class_name", class_names, labels, checked)
        others = tf.where(tf.one_hot(own, tf.shape(logits)[1], on_value=True, off_value=False), logits.dtype.min, checked)
        rival = _places("rival", rivals, labels, others)
        same = tf.equal(own, rival) & tf.not_equal(rivals, "")
        return own, required(~tf.reduce_any(same), rival, lambda: _refusal(_ITSELF, tf.boolean_mask(rivals, same)))

    return choose


def _places(argument: str, names: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the place [B] in labels of each name, or of the best of the logits [B, C] where it is ""."""
    matches = tf.equal(names[:, None], labels[None])
    free = tf.equal(names, "")
    unknown = ~(tf.reduce_any(matches, axis=1) | free)
    places = tf.where(free, tf.argmax(logits, axis=1), tf.argmax(tf.cast(matches, tf.int32), axis=1))
    rule = f"{argument} must be the name of a class that the network knows."
    return required(~tf.reduce_any(unknown), places, lambda: _refusal(rule, tf.boolean_mask(names, unknown)))


def _refusal(rule: str, names: tf.Tensor) -> tf.Tensor:
    # Without quotes, which an assertion would escape.
    return tf.strings.join([f"{rule} Received: ", names[0], "."])


def contrasts(evidence: Evidence, explainer: ExplainerTensors) -> dict[str, tf.Tensor]:
    """Return what `explanations.answers` leaves out.

    Names with weights are in its form.

    Returns:
        opposing_attributes, opposing_weights: [B, 5], of the inverse map at the importance for the class's logit: what speaks
            against the class, whatever its rivals. Weights are negative.
        neuron_confidences: float32 [B, 3], how sure the names of its `neurons` are.
        difference_heatmap: float32 [B, H, W] in [0, 1], Grad-CAM of the class's logit minus the rival's: where the image is
            more of the class than of the rival; 0 where there is one class alone.
        difference_neurons, difference_neuron_names, difference_neuron_confidences, difference_neuron_weights: [B, 3], those
            that say most for the class against the rival.
    """
    maps, logits = evidence.maps, evidence.logits
    difference = tf.where(tf.equal(tf.shape(logits)[1], 1), 0.0, evidence.alphas - evidence.rival_alphas)
    words = attribute_weights(evidence.alphas, explainer.weights, explainer.bias)
    opposing, opposing_weights, _ = strongest(words, explainer.attribute_names, _ATTRIBUTES, sign=-1.0)
    *_, confidences = strongest_neurons(evidence.parts, explainer)
    neurons, names, weights, name_confidences = strongest_neurons(mean_parts(maps, difference), explainer)
    return {
        "opposing_attributes": opposing,
        "opposing_weights": opposing_weights,
        "neuron_confidences": confidences,
        "difference_heatmap": grad_cam(maps, difference),
        "difference_neurons": neurons,
        "difference_neuron_names": names,
        "difference_neuron_confidences": name_confidences,
        "difference_neuron_weights": weights,
    }
