"""Explaining an image by a network that is held by this process.

Dimensions: S pixels a side, H x W positions, N neurons, C classes, D features, K attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import tensorflow as tf

from niwt_tf.explain.contrast import contrasts, named_classes
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.explaining import KnownClasses, check_names, check_rival, complete
from niwt_tf.explain.explanations import ExplainerTensors, answers, gather_evidence
from niwt_tf.explain.image_explanation import ImageExplanation
from niwt_tf.method.column_map import ColumnMap
from niwt_tf.method.probabilities import Probabilities
from niwt_tf.models.network import Network


class NetworkExplainer:
    """Explains images by a network that is held by this process.

    Args:
        network: the expanded network.
        explainer: of its neurons.
        probabilities: what its logits become.
        descriptions: raw [C, K] of its classes.
        column_map: None where there is none.
    """

    def __init__(
        self,
        network: Network,
        explainer: Explainer,
        probabilities: Probabilities,
        descriptions: np.ndarray,
        column_map: ColumnMap | None,
    ) -> None:
        self._network, self._explainer = network, explainer
        self._probabilities = replace(probabilities, abstain_below=0.0)  # a network, unlike a bundle, always names a class
        is_seen = [c < network.num_seen for c in range(len(network.class_names))]
        names = explainer.attribute_names, explainer.attribute_groups
        is_described = [not seen for seen in is_seen]
        self.known = KnownClasses(network.class_names, is_seen, is_described, descriptions, *names, column_map)

    @property
    def input_size(self) -> int:
        """S, the height and width of an image in pixels."""
        return self._network.input_size

    def __call__(
        self,
        pixels: np.ndarray,
        class_name: str | None = None,
        rival: str | None = None,
        arguments: tuple[str, str] = ("class_name", "rival"),
    ) -> ImageExplanation:
        """Explain one image.

        Args:
            pixels: float32 [S, S, 3], RGB in 0..255.
            class_name: of the class; None is the best one.
            rival: of the class it is compared with; None is the best of the others.
            arguments: what the two are called, for messages.

        Raises:
            InputError: see `check_names`; or the rival is the best class, which is the one that is explained.
        """
        check_names(self.known.labels, class_name, rival, arguments)
        images = tf.constant(np.asarray(pixels, np.float32)[None])
        if rival is not None and class_name is None:
            logits = self._network.model(images, training=False).numpy()[0]
            check_rival(self.known.labels, logits, class_name, rival, arguments)
        row, logits, features, maps = self._answer(images, class_name or "", rival or "")
        return complete(row, logits, features, self._probabilities, self.known, maps)

    def _answer(
        self, images: tf.Tensor, class_name: str, rival: str
    ) -> tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
        """Return what `explain_class` says of one image, and its logits [C], features [D] and map [H, W, N]."""
        network = self._network
        labels, seen = tf.constant(list(network.class_names)), tf.constant(self.known.is_seen, tf.float32)
        evidence = gather_evidence(
            images,
            lambda each: network.trunk(each, training=False),
            lambda maps: network.tail(maps, training=False),
            network.head,
            named_classes(tf.constant([class_name]), tf.constant([rival]), labels),
        )
        tensors = ExplainerTensors.of(self._explainer)
        said = answers(evidence, network.input_size, labels, self._probabilities.temperature, tensors, seen)
        row = {name: value.numpy()[0] for name, value in {**said, **contrasts(evidence, tensors)}.items()}
        features = network.tail(evidence.maps, training=False)
        maps, features = (np.asarray(tf.cast(each, tf.float32))[0] for each in (evidence.maps, features))
        return row, evidence.logits.numpy()[0], features, maps
