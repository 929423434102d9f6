"""What a bundle computes: variables and signatures that knows its classes only as values of variables.

Everything of a class lies in variables of open shape, so that a new version with other classes has the same graph.

Dimensions: B images, S x S pixels, C classes, D features, N neurons, K description entries, M described classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.data.images.decode import decode_image
from niwt_tf.explain import explanations
from niwt_tf.explain.explanations import Evidence, ExplainerTensors
from niwt_tf.explain.heat import Heat, Steps
from niwt_tf.methods.formula import ColumnFormula, finite
from niwt_tf.metrics.probabilities import UNKNOWN
from niwt_tf.models.network import Network
from niwt_tf.serving.bundle.bundle import formula_variables
from niwt_tf.serving.bundle.paged_head import PAGE, paged, paged_products
from niwt_tf.serving.bundle.warmup import ENCODED
from niwt_tf.serving.export.contents import Contents

# An image near the limit of pixels takes some hundred megabytes while it is decoded: ten at once, the default, take gigabytes.
_DECODED_AT_ONCE = 2


class ServedNetwork(tf.train.Checkpoint):  # tf.Module keeps the name `variables` to itself
    """The network with its classes as data. Save it with `signatures`; `hub.load` gives it back as a feature extractor."""

    def __init__(self, network: Network, contents: Contents, k: int) -> None:
        """Take the weights and values over; k is the number of labels an answer, where there are so many classes."""
        super().__init__()
        names, seen = network.class_names, np.arange(len(network.class_names)) < network.num_seen
        pages, slots = paged(network.columns)
        self._network, self._contents, self._k = network, contents, k
        heat = Heat() if contents.explainer is None else contents.explainer.heat
        # Functions of their own, so that the file holds the network's graph once and not once a signature.
        # A model has no Python control flow, and AutoGraph would write files of its own.
        self._steps = Steps.of(network, heat, partial(tf.function, autograph=False))
        self.columns = _open(pages, [None, network.num_features, PAGE])
        self.slots = _open(slots, [None])
        self.biases = _open(network.biases.astype(np.float32), [None])
        self.labels = _open(np.array([name.encode() for name in names], object), [None])
        self.seen = _open(seen.astype(np.float32), [None])
        self.calibration = tf.Variable(network.calibration, trainable=False, dtype=tf.float32)
        self.temperature = tf.Variable(contents.probabilities.temperature, trainable=False, dtype=tf.float32)
        self.abstain_below = tf.Variable(contents.probabilities.abstain_below, trainable=False, dtype=tf.float32)
        if contents.formula is not None:
            for name, value in formula_variables(contents.formula).items():
                setattr(self, name, tf.Variable(value, trainable=False))
        if contents.explainer is not None:
            self._explainer = tensors = ExplainerTensors.of(contents.explainer, partial(tf.Variable, trainable=False))
            for name, tensor in tensors._asdict().items():
                setattr(self, f"inverse_{name}" if name in ("weights", "bias") else name, tensor)
        # The head's own weights are not used: its columns lie in pages.
        of_head = {id(weight) for weight in network.head.weights}
        weights = [weight for weight in network.model.weights if id(weight) not in of_head]
        self.variables = [weight.value for weight in weights]
        self.trainable_variables = [weight.value for weight in weights if weight.trainable]
        self.regularization_losses: list[Any] = []

    @tf.function(autograph=False)
    def __call__(self, images: tf.Tensor, training: bool = False, return_endpoints: bool = False) -> Any:
        """Return features [B, D] of images [B, S, S, 3], RGB in 0..1, as reusable modules of TensorFlow Hub do.

        The network answers as in inference whatever `training` is, which the convention asks for. With `return_endpoints` it
        gives {"default": features, <layer>: map [B, H, W, N]}.
        """
        del training
        conv_map = self._conv_map(images * 255.0)
        features = self._features_of(conv_map)
        return {"default": features, self._network.layer: tf.cast(conv_map, tf.float32)} if return_endpoints else features

    def signatures(self) -> dict[str, Any]:
        """Return the concrete functions by signature name."""
        network, known = self._network, self._contents.knowledge
        image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")
        pixels = tf.TensorSpec([None, network.input_size, network.input_size, 3], tf.float32, name="images")
        made: dict[str, tuple[Callable[..., Any], list[tf.TensorSpec]]] = {
            "serving_default": (self._serving_default, [image_bytes]),
            "logits": (self._logits, [pixels]),
            "classify": (self._classify, [tf.TensorSpec([None], tf.string, name="inputs")]),
        }
        if self._contents.formula is not None and known is not None:
            described = tf.TensorSpec([None, None, len(known.names)], tf.float32, name="descriptions")
            made["classify_with"] = (self._classify_with, [image_bytes, described])
        if self._contents.explainer is not None:
            made["explain"] = (self._explain, [image_bytes])
            names = [tf.TensorSpec([None], tf.string, name=name) for name in ("class_name", "rival")]
            made["explain_class"] = (self._explain_class, [image_bytes, *names])
        return {name: tf.function(call, autograph=False).get_concrete_function(*specs) for name, (call, specs) in made.items()}

    def _serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._best(self._logits_of(self._features(self._decoded(image_bytes))))

    def _logits(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        # Only Python's interface compares a request with the shape of a signature.
        size = self._network.input_size
        images = tf.ensure_shape(images, [None, size, size, 3])
        features = self._features(tf.debugging.assert_all_finite(images, "images must be finite numbers."))
        return {"logits": self._logits_of(features), "features": features}

    def _classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        examples = tf.io.parse_example(inputs, {ENCODED: tf.io.FixedLenFeature([], tf.string)})
        best = self._serving_default(examples[ENCODED])
        return {"classes": best["labels"], "scores": best["scores"]}

    def _classify_with(self, image_bytes: tf.Tensor, descriptions: tf.Tensor) -> dict[str, tf.Tensor]:
        features, formula = self._features(self._decoded(image_bytes)), self._contents.formula
        assert formula is not None, "the signature is made only with a formula"
        known = self._contents.knowledge
        if known is not None and known.scale is not None:  # requests are in the units of the table
            descriptions = (descriptions - known.scale.low.astype("float32")) / known.scale.span.astype("float32")
        described = described_logits(features, descriptions, vars(self), formula)
        logits = tf.concat([self._logits_of(features), described], axis=1)
        labels = tf.tile(self.labels[None], [tf.shape(features)[0], 1])
        return {"labels": labels, "scores": self._scores(logits), "logits": logits}

    def _explain(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        # About the best class, whether or not it is sure enough for `serving_default` to name it.
        return self._explained(image_bytes, explanations.best_two)[0]

    def _explain_class(self, image_bytes: tf.Tensor, class_name: tf.Tensor, rival: tf.Tensor) -> dict[str, tf.Tensor]:
        answered, evidence = self._explained(image_bytes, explanations.named_classes(class_name, rival, self.labels))
        return {**answered, **explanations.contrasts(evidence, self._explainer)}

    def _explained(self, image_bytes: tf.Tensor, choose: explanations.Choose) -> tuple[dict[str, tf.Tensor], Evidence]:
        images = self._decoded(image_bytes)
        steps = self._steps._replace(calls=(*self._steps.calls[:-1], self._float32_features))
        evidence = explanations.gather_evidence(images, steps, self._logits_of, choose)
        known = self.labels, self.temperature, self._explainer, self.seen
        return explanations.answers(evidence, self._network.input_size, *known), evidence

    def _decoded(self, image_bytes: tf.Tensor) -> tf.Tensor:
        form = self._network.input_form
        decode, one = partial(decode_image, form=form), tf.TensorSpec([form.size, form.size, 3], tf.float32)
        return tf.map_fn(decode, image_bytes, parallel_iterations=_DECODED_AT_ONCE, fn_output_signature=one)

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        return self._features_of(self._conv_map(images))

    def _conv_map(self, images: tf.Tensor) -> tf.Tensor:
        return self._steps.trunk(images)

    def _features_of(self, conv_map: tf.Tensor) -> tf.Tensor:
        # JSON has no bfloat16, so a network of mixed precision answers in float32 too.
        return tf.cast(self._steps.tail(conv_map), tf.float32)

    def _float32_features(self, conv_map: tf.Tensor) -> tf.Tensor:
        return tf.cast(self._steps.calls[-1](conv_map), tf.float32)

    def _logits_of(self, features: tf.Tensor) -> tf.Tensor:
        return paged_products(features, self.columns, self.slots) + (self.biases - self.calibration * self.seen)

    def _scores(self, logits: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(logits / self.temperature)

    def _best(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        # By logit: scores near 1 and 0 round to ties.
        _, classes = tf.math.top_k(logits, tf.minimum(self._k, tf.shape(logits)[1]))
        scores = tf.gather(self._scores(logits), classes, batch_dims=1)
        labels, seen = tf.gather(self.labels, classes), tf.gather(self.seen, classes)
        unsure = scores[:, :1] < self.abstain_below
        labels = tf.concat([tf.where(unsure, UNKNOWN, labels[:, :1]), labels[:, 1:]], axis=1)
        seen = tf.concat([tf.where(unsure, 0.0, seen[:, :1]), seen[:, 1:]], axis=1)
        return {"labels": labels, "scores": scores, "is_seen": seen}


def _open(value: np.ndarray, shape: list[int | None]) -> tf.Variable:
    """Return a variable whose next value may have other sizes where `shape` has none."""
    return tf.Variable(value, trainable=False, shape=shape)


def described_logits(
    features: tf.Tensor, descriptions: tf.Tensor, variables: Mapping[str, tf.Variable], formula: ColumnFormula
) -> tf.Tensor:
    """Return logits [B, M] of images with features [B, D] for classes with raw descriptions [B, M, K], all float32.

    Descriptions are in the units of the knowledge; the variables are the formula's, by name.

    Raises:
        tf.errors.InvalidArgumentError: a description has another length than K, is not finite, or is too large for the logits
            of float32 (when the operation runs).
    """
    # Only Python's interface compares a request with the shape of a signature, and a single number would be broadcast.
    descriptions = tf.ensure_shape(descriptions, [None, None, formula.num_entries])
    descriptions = tf.debugging.assert_all_finite(descriptions, "descriptions must be finite numbers.")
    return finite(formula.logits(features, descriptions, variables))
