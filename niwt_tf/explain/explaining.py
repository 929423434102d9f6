"""From the answer of the graph about one image to the whole explanation, the counterfactual among it.

Dimensions: S pixels a side, C classes, D features, K attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError, suggestion
from niwt_tf.explain.contrast import contrasts, named_classes
from niwt_tf.explain.counterfactual import Counterfactual, NoCounterfactual, counterfactual
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.explanations import ExplainerTensors, answers, gather_evidence
from niwt_tf.explain.image_explanation import Contrast, ImageExplanation, NamedClass, Row, neurons_of, words_of
from niwt_tf.method.column_map import ColumnMap
from niwt_tf.method.probabilities import Probabilities
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class KnownClasses:
    """What is known of the classes beside the network.

    Attributes:
        labels: C names.
        is_seen: C times, whether the network was trained on photographs of the class.
        is_described: C times, whether its column was made from its description alone.
        descriptions: raw float32 [C, K], a row of NaN where nothing is known; None where that holds for all.
        attribute_names: K names.
        attribute_groups: K groups, "" where an attribute has none.
        column_map: from a description to a column; None where there is none.
        no_descriptions: why `descriptions` is None, in one sentence.
    """

    labels: tuple[str, ...]
    is_seen: Sequence[bool]
    is_described: Sequence[bool]
    descriptions: np.ndarray | None
    attribute_names: tuple[str, ...]
    attribute_groups: tuple[str, ...]
    column_map: ColumnMap | None
    no_descriptions: str = "The descriptions of the classes are not known."


def check_names(labels: Sequence[str], class_name: str | None, rival: str | None, arguments: tuple[str, str]) -> None:
    """Check the names of a class and its rival; None is the best one.

    Args:
        labels: C names.
        class_name: of the class.
        rival: of the other.
        arguments: what the two are called, for messages.

    Raises:
        InputError: there is no such class (the nearest is suggested), both are one, or there is no other class.
    """
    for argument, name in zip(arguments, (class_name, rival), strict=True):
        if name is not None and name not in labels:
            rule = f"{argument} must be one of the network's {len(labels)} classes."
            raise InputError(f"{rule}{suggestion(name, labels)} Received: {name!r}.")
    if rival is not None and rival == class_name:
        raise InputError(f"{arguments[1]} must be another class than {arguments[0]}. Received: {rival!r} for both.")
    if rival is not None and len(labels) == 1:
        raise InputError(f"{arguments[1]} must be left out where the network has one class alone. Received: {rival!r}.")


def check_rival(
    labels: Sequence[str], logits: np.ndarray, class_name: str | None, rival: str | None, arguments: tuple[str, str]
) -> None:
    """Check that a rival is not the best class where that is the one to be explained; arguments as of `check_names`.

    Raises:
        InputError: it is.
    """
    best = labels[int(np.argmax(logits))]
    if class_name is None and rival == best:
        rule = f"{arguments[1]} must be another class than the best one, which is explained where {arguments[0]} is left out."
        raise InputError(f"{rule} Received: {rival!r}.")


def complete(
    row: Row,
    logits: np.ndarray,
    features: np.ndarray,
    probabilities: Probabilities,
    known: KnownClasses,
    maps: np.ndarray | None = None,
) -> ImageExplanation:
    """Return the whole explanation of one image.

    Args:
        row: what `explain_class` (or `explain`) says of it, without the axis of the batch.
        logits: calibrated, [C].
        features: [D].
        probabilities: what the logits become.
        known: of the classes.
        maps: float32 [H, W, N], the network's map of the image, or None.
    """
    scores = probabilities.of(logits[None])[0]
    groups = dict(zip(known.attribute_names, known.attribute_groups, strict=True))

    def named(place: int) -> NamedClass:
        return NamedClass(known.labels[place], bool(known.is_seen[place]), float(scores[place]))

    own = known.labels.index(bytes(row["label"]).decode())
    contrast = None
    if len(known.labels) > 1:
        rival = known.labels.index(bytes(row["runner_up"]).decode())
        contrast = Contrast(
            rival=named(rival),
            speaks_for=words_of(row, "for", groups),
            speaks_against=words_of(row, "against", groups),
            neurons=neurons_of(row, "difference_", maps),
            heat=row.get("difference_heatmap"),
            counterfactual=_counterfactual(features, known, rival, float(logits[own]) - float(logits[rival])),
            is_described=bool(known.is_described[rival]),
        )
    return ImageExplanation(
        own=named(own),
        best=named(int(logits.argmax())),
        speaks_for=words_of(row, "", groups),
        speaks_against=words_of(row, "opposing", groups),
        neurons=neurons_of(row, "", maps),
        heat=np.asarray(row["heatmap"]),
        contrast=contrast,
    )


def _counterfactual(
    features: np.ndarray, known: KnownClasses, rival: int, margin: float
) -> Counterfactual | NoCounterfactual:
    if known.column_map is None:
        return NoCounterfactual("There is no column map, which only --engine=closed_form makes.")
    if known.descriptions is None:
        return NoCounterfactual(known.no_descriptions)
    has_one = np.isfinite(known.descriptions).all(axis=1)
    if not has_one[rival]:
        return NoCounterfactual("Nothing is known of the rival's description.")
    others = known.descriptions[has_one]
    names = known.attribute_names, known.attribute_groups
    return counterfactual(features, known.column_map, known.descriptions[rival], margin, others, *names)


class NetworkExplainer:
    """Explains images by a network that is held by this process.

    Args:
        network: the expanded network.
        explainer: of its neurons.
        probabilities: what its logits become.
        descriptions: raw [C, K] of its classes, or None with the reason in `no_descriptions`.
        column_map: None where there is none.
        no_descriptions: why there are no descriptions.
    """

    def __init__(
        self,
        network: Network,
        explainer: Explainer,
        probabilities: Probabilities,
        descriptions: np.ndarray | None,
        column_map: ColumnMap | None,
        no_descriptions: str = "",
    ) -> None:
        self._network, self._explainer, self._probabilities = network, explainer, probabilities
        is_seen = [c < network.num_seen for c in range(len(network.class_names))]
        names = explainer.attribute_names, explainer.attribute_groups
        is_described = [not seen for seen in is_seen]
        self.known = KnownClasses(
            network.class_names, is_seen, is_described, descriptions, *names, column_map, no_descriptions
        )

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
        network = self._network
        labels, seen = tf.constant(list(network.class_names)), tf.constant(self.known.is_seen, tf.float32)
        held: list[tf.Tensor] = []

        def tail(maps: tf.Tensor) -> tf.Tensor:
            held.append(network.tail(maps, training=False))
            return held[-1]

        def logits_of(features: tf.Tensor) -> tf.Tensor:
            return tf.cast(network.head(features), tf.float32)

        choose = named_classes(tf.constant([class_name]), tf.constant([rival]), labels)
        evidence = gather_evidence(images, lambda each: network.trunk(each, training=False), tail, logits_of, choose)
        tensors = ExplainerTensors.of(self._explainer)
        said = answers(evidence, network.input_size, labels, self._probabilities.temperature, tensors, seen)
        row = {name: value.numpy()[0] for name, value in {**said, **contrasts(evidence, tensors)}.items()}
        maps = np.asarray(tf.cast(evidence.maps, tf.float32))[0]
        return row, evidence.logits.numpy()[0], np.asarray(tf.cast(held[-1], tf.float32))[0], maps
