"""What the signatures `explain` and `explain_class` answer: a class, where it is seen, why, and why not another class.

Only core operations, so that it can be part of a serving signature. Row i of every answer is what image i alone would get.
Dimensions: B images, S pixels a side, H x W positions, N neurons, D features, C classes, K attributes.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from niwt_tf.data.images.decode import required
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.grad_cam import attribute_weights, importance, scaled_to_one, upsampled
from niwt_tf.explain.heat import Steps, explained, heat_of

_ATTRIBUTES, _NEURONS, _REASONS = 5, 3, 3
Compute = Callable[[tf.Tensor], tf.Tensor]
Choose = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class ExplainerTensors(NamedTuple):
    """The part of an `Explainer` that a graph needs, as tensors or variables of its shapes."""

    weights: tf.Tensor
    bias: tf.Tensor
    attribute_names: tf.Tensor
    neuron_names: tf.Tensor
    neuron_aucs: tf.Tensor

    @classmethod
    def of(cls, explainer: Explainer, make: Callable[..., tf.Tensor] = tf.constant) -> ExplainerTensors:
        """Return what `make` makes of an explainer's arrays, by default constants."""
        names = list(explainer.attribute_names), list(explainer.neuron_names)
        values = explainer.weights, explainer.bias, *names, np.asarray(explainer.neuron_aucs, np.float32)
        return cls(*map(make, values))


class Evidence(NamedTuple):
    """What a class of each image and its rival are explained from.

    Maps are [B, H, W, N] and logits, calibrated, float32 [B, C]. The class that is explained, `own`, and the one it is compared
    with, the same where there is no other, are integers [B]; the importances for their logits are float32 [B, N]. Heat maps of
    the class's logit and of the difference of both are float32 [B, H', W'], at the positions of the layer of the heat.
    """

    maps: tf.Tensor
    logits: tf.Tensor
    own: tf.Tensor
    rival: tf.Tensor
    alphas: tf.Tensor
    rival_alphas: tf.Tensor
    heat: tf.Tensor
    difference_heat: tf.Tensor

    @property
    def parts(self) -> tf.Tensor:
        """Each neuron's mean part in Grad-CAM of the class before the ReLU, alpha_n * mean of a_n, [B, N]."""
        return mean_parts(self.maps, self.alphas)


def gather_evidence(images: tf.Tensor, steps: Steps, logits_of: Compute, choose: Choose) -> Evidence:
    """Return the evidence for two classes of each image; one pass forward and two back through tail and head.

    Images are float32 [B, S, S, 3], RGB in 0..255. The steps make features [B, D] of them, in inference mode; these have
    calibrated logits [B, C], of which the class and its rival are chosen, integers [B].
    """
    found = explained(steps.calls[0](images), steps, logits_of, choose)
    (own, rival), (slopes, rival_slopes) = found.classes, found.gradients
    differences = [of_own - of_rival for of_own, of_rival in zip(slopes, rival_slopes, strict=True)]
    heats = (heat_of(steps, found.maps, each) for each in (slopes, differences))
    alphas, rival_alphas = (importance(each[steps.own]) for each in (slopes, rival_slopes))
    return Evidence(found.maps[steps.own], found.logits, own, rival, alphas, rival_alphas, *heats)


def answers(
    evidence: Evidence,
    size: int,
    labels: tf.Tensor,
    temperature: tf.Tensor | float,
    explainer: ExplainerTensors,
    seen: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Explain one class of each image against another, in images of `size` = S pixels a side.

    Names with weights come in order of strength. Only what speaks for the point is named: where fewer entries do, the rest of a
    row is "" with weight 0. A table is as wide as there are attributes or neurons if they are fewer. Labels are string [C] (C
    may change after tracing), seen float32 [C], 1 for seen classes; scores are softmax(logits / temperature).

    Returns:
        label: string [B], the class.
        score: float32 [B], its probability.
        is_seen: float32 [B].
        heatmap: float32 [B, H', W'] in [0, 1], the heat map of its logit.
        heatmap_png_bytes: string [B], the same as PNG files of S x S pixels.
        attributes, attribute_weights: [B, 5], of the inverse map at the importance for its logit, in deviations from the seen
            classes' mean.
        neurons, neuron_names, neuron_weights: [B, 3], those with the largest alpha_n * mean of a_n, which is the weight: the
            neuron's mean part in Grad-CAM before the ReLU.
        runner_up, runner_up_score: [B], the rival; "" and 0 where there is one class alone.
        for_attributes, for_weights: [B, 3], the inverse map at the importance for the difference of the two logits (at unit
            length, without bias): what speaks for the class, against the rival. Weights are positive.
        against_attributes, against_weights: [B, 3], what speaks for the rival. Weights are negative.
    """
    logits, own, rival, alphas, rival_alphas, heat = evidence[1:7]
    scores = tf.nn.softmax(logits / temperature)
    words = attribute_weights(alphas, explainer.weights, explainer.bias)
    alone = tf.equal(tf.shape(logits)[1], 1)
    difference = tf.where(alone, 0.0, attribute_weights(alphas - rival_alphas, explainer.weights))
    against = strongest(difference, explainer.attribute_names, _REASONS, sign=-1.0)
    return {
        "label": tf.gather(labels, own),
        "score": tf.gather(scores, own, batch_dims=1),
        "is_seen": tf.gather(seen, own),
        "heatmap": heat,
        "heatmap_png_bytes": heat_png(scaled_to_one(upsampled(heat, size))),
        **_named(("attributes", "attribute_weights"), strongest(words, explainer.attribute_names, _ATTRIBUTES)),
        **_named(("neurons", "neuron_names", "neuron_weights"), strongest_neurons(evidence.parts, explainer)),
        "runner_up": tf.where(alone, "", tf.gather(labels, rival)),
        "runner_up_score": tf.where(alone, 0.0, tf.gather(scores, rival, batch_dims=1)),
        **_named(("for_attributes", "for_weights"), strongest(difference, explainer.attribute_names, _REASONS)),
        **_named(("against_attributes", "against_weights"), against),
    }


def _named(names: tuple[str, ...], tensors: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
    return dict(zip(names, tensors, strict=False))  # what has no name is left out


def best_two(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the best and the second class [B] of logits [B, C]; the same one twice where there is no other."""
    # By logit: scores near 1 and 0 round to ties.
    _, classes = tf.math.top_k(logits, tf.minimum(2, tf.shape(logits)[1]))
    return classes[:, 0], classes[:, -1]


def mean_parts(maps: tf.Tensor, alphas: tf.Tensor) -> tf.Tensor:
    """Return alpha_n * mean of a_n, float32 [B, N], of maps [B, H, W, N] and importances [B, N]."""
    return alphas * tf.reduce_mean(tf.cast(maps, tf.float32), axis=[1, 2])


def strongest_neurons(parts: tf.Tensor, explainer: ExplainerTensors) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return "neuron n", names, weights and AUCs [B, min(N, 3)] of the neurons with the largest of parts [B, N]."""
    numbers = tf.strings.join(["neuron ", tf.strings.as_string(tf.range(parts.shape[1]))])
    neurons, weights, places = strongest(parts, numbers, _NEURONS)
    counts = weights > 0
    names = tf.where(counts, tf.gather(explainer.neuron_names, places), "")
    return neurons, names, weights, tf.where(counts, tf.gather(explainer.neuron_aucs, places), 0.0)


def strongest(weights: tf.Tensor, names: tf.Tensor, count: int, sign: float = 1.0) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return names, weights and places [B, min(K, count)] of the largest of `sign` times weights [B, K].

    Those of another sign, or of 0, are called "" and weigh 0.
    """
    values, places = tf.math.top_k(sign * weights, min(weights.shape[1], count))
    counts = values > 0
    return tf.where(counts, tf.gather(names, places), ""), tf.where(counts, sign * values, 0.0), places


_OPPOSING = 5
_ITSELF = "rival must not be the class that is explained."


def named_classes(class_names: tf.Tensor, rivals: tf.Tensor, labels: tf.Tensor) -> Choose:
    """Return what chooses the classes and the rivals of these names, string [B], among labels, string [C].

    The name "" is the image's best class, and the best of the others.

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
    """Return what `answers` leaves out.

    Names with weights are in its form.

    Returns:
        opposing_attributes, opposing_weights: [B, 5], of the inverse map at the importance for the class's logit: what speaks
            against the class, whatever its rivals. Weights are negative.
        neuron_aucs: float32 [B, 3], how well the names of its `neurons` held on held-out training images; 0 without a name.
        difference_heatmap: float32 [B, H', W'] in [0, 1], that of the class's logit minus the rival's: where the image is
            more of the class than of the rival; 0 where there is one class alone.
        difference_neurons, difference_neuron_names, difference_neuron_aucs, difference_neuron_weights: [B, 3], those
            that say most for the class against the rival.
    """
    maps, logits = evidence.maps, evidence.logits
    difference = tf.where(tf.equal(tf.shape(logits)[1], 1), 0.0, evidence.alphas - evidence.rival_alphas)
    words = attribute_weights(evidence.alphas, explainer.weights, explainer.bias)
    opposing = strongest(words, explainer.attribute_names, _OPPOSING, sign=-1.0)
    *_, aucs = strongest_neurons(evidence.parts, explainer)
    names = tuple(f"difference_{name}" for name in ("neurons", "neuron_names", "neuron_weights", "neuron_aucs"))
    return {
        **_named(("opposing_attributes", "opposing_weights"), opposing),
        "neuron_aucs": aucs,
        "difference_heatmap": tf.where(tf.equal(tf.shape(logits)[1], 1), 0.0, evidence.difference_heat),
        **_named(names, strongest_neurons(mean_parts(maps, difference), explainer)),
    }


# Red, green and blue of Matplotlib's magma, which is perceptually uniform: black for 0, light yellow for 1.
_COLOURS = """
    AAADAAAEAAAGAQAHAQEJAQELAgINAgIPAwMRBAMTBAQVBQQXBgUZBwUbCAYdCQcfCgciCwgkDAkmDQooDgoqDwssEAwvEQwxEg0zFA01FQ44Fg46Fw88
    GA8/GhBBGxBEHBBGHhBJHxFLIBFNIhFQIxFSJRFVJhFXKBFZKhFcKxFeLRBgLxBiMBBlMhBnNBBoNQ9qNw9sOQ9uOw9vPA9xPg9yQA9zQg90Qw91RQ92
    Rw93SBB4ShB5SxB5TRF6TxF7UBJ7UhJ8UxN8VRN9VxR9WBV+WhV+WxZ+XRd+Xhd/YBh/YRh/Yxl/ZRqAZhqAaBuAaRyAaxyAbB2Abh6Bbx6BcR+Bcx+B
    dCCBdiGBdyGBeSKBeiKBfCOBfiSBfySBgSWBgiWBhCaBhSaBhyeBiSiBiiiBjCmAjSmAjyqAkSqAkiuAlCuAlSyAlyx/mS1/mi1/nC5/ni5+ny9+oS9+
    ozB+pDB9pjF9pzF9qTJ8qzN8rDN7rjR7sDR7sTV6szV6tTZ5tjZ5uDd4uTd4uzh3vTl3vjl2wDp1wjp1wzt0xTx0xjxzyD1yyj5yyz5xzT9wzkBw0EFv
    0UJu00Jt1ENt1kRs10Vr2UZq2kdp3Ehp3Ulo3kpn4Etm4Uxm4k1l5E5k5VBj5lFi51Ji6FRh6lVg61Zg7Fhf7Vlf7lte7l1d715d8GBd8WFc8mNc82Vc
    82db9Ghb9Wpb9Wxb9m5b9nBb93Fb93Nc+HVc+Hdc+Xlc+Xtd+X1d+n9e+oBe+oJf+4Rg+4Zg+4hh+4pi/Ixj/I5j/JBk/JJl/JNm/ZVn/Zdo/Zlp/Ztq
    /Z1r/Z9s/aFu/aJv/aRw/qZx/qhz/qp0/qx1/q52/q94/rF5/rN7/rV8/rd9/rl//ruA/ryC/r6D/sCF/sKG/sSI/saJ/seL/smN/suO/c2Q/c+S/dGT
    /dKV/dSX/daY/dia/dqc/dyd/d2f/d+h/eGj/OOl/OWm/Oao/Oiq/Oqs/Oyu/O6w/PCx/PGz/PO1/PW3+/e5+/m7+/q9+/y/
"""
_COMPRESSION = 3  # of 0..9: less than half the time of the default 6, for files a third larger


def colour_table() -> np.ndarray:
    """Return uint8 [256, 3], RGB for values 0..1 in equal steps."""
    return np.frombuffer(base64.b64decode(_COLOURS), np.uint8).reshape(256, 3).copy()


def heat_png(heat: tf.Tensor) -> tf.Tensor:
    """Return PNG files, string [B], of heat maps [B, S, S] with values in [0, 1]; values beyond are cut off."""
    levels = tf.cast(tf.round(tf.clip_by_value(heat, 0.0, 1.0) * 255.0), tf.int32)
    pixels = tf.gather(tf.constant(colour_table()), levels)
    # At the default level encoding takes longer than the network's pass forward at small sizes.
    encode = functools.partial(tf.io.encode_png, compression=_COMPRESSION)
    return tf.map_fn(encode, pixels, fn_output_signature=tf.TensorSpec([], tf.string))
