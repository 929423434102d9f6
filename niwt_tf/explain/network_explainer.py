"""Explaining an image by a network that is held by this process.

Dimensions: S pixels a side, H x W positions, N neurons, C classes, D features, K attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError, brief, suggestion
from niwt_tf.explain.counterfactual import Counterfactual, NoCounterfactual, counterfactual
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.explanations import ExplainerTensors, answers, contrasts, gather_evidence, named_classes
from niwt_tf.explain.heat import Steps
from niwt_tf.explain.record import Contrast, ImageAnswer, ImageExplanation, NamedClass, neurons_of, words_of
from niwt_tf.explain.sentences import followed_sentence
from niwt_tf.methods.formula import ColumnFormula
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.network import Network


class NetworkExplainer:
    """Explains images by an expanded network that is held by this process.

    Descriptions are raw [C, K]; the formula makes columns of them, None where that takes the network itself.
    """

    def __init__(
        self,
        network: Network,
        explainer: Explainer,
        probabilities: Probabilities,
        descriptions: np.ndarray,
        formula: ColumnFormula | None,
    ) -> None:
        self._network, self._explainer = network, explainer
        self._probabilities = replace(probabilities, abstain_below=0.0)  # a network, unlike a bundle, always names a class
        is_seen = [c < network.num_seen for c in range(len(network.class_names))]
        names = explainer.attribute_names, explainer.attribute_groups
        is_described = [not seen for seen in is_seen]
        self.known = KnownClasses(network.class_names, is_seen, is_described, descriptions, *names, formula)

    @property
    def network(self) -> Network:
        """The network that explains."""
        return self._network

    @property
    def input_form(self) -> InputForm:
        """How the network takes an image."""
        return self._network.input_form

    def __call__(
        self,
        pixels: np.ndarray,
        class_name: str | None = None,
        rival: str | None = None,
        arguments: tuple[str, str] = ("class_name", "rival"),
    ) -> ImageExplanation:
        """Explain one image, float32 [S, S, 3], RGB in 0..255.

        The class is by default the best one, its rival the best of the others; messages call the two what `arguments` says.

        Raises:
            InputError: see `check_names`; or the rival is the best class, which is the one that is explained.
        """
        check_names(self.known.labels, class_name, rival, arguments)
        images = tf.constant(np.asarray(pixels, np.float32)[None])
        if rival is not None and class_name is None:
            logits = self._network.model(images, training=False).numpy()[0]
            check_rival(self.known.labels, logits, class_name, rival, arguments)
        row, logits, features, maps = self._answer(images, class_name or "", rival or "")
        made = complete(row, logits, features, self._probabilities, self.known, maps)
        return replace(made, cautions=self._explainer.cautions)

    def _answer(
        self, images: tf.Tensor, class_name: str, rival: str
    ) -> tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
        """Return what `explain_class` says of one image, and its logits [C], features [D] and map [H, W, N]."""
        network = self._network
        labels, seen = tf.constant(list(network.class_names)), tf.constant(self.known.is_seen, tf.float32)
        evidence = gather_evidence(
            images,
            Steps.of(network, self._explainer.heat),
            network.head,
            named_classes(tf.constant([class_name]), tf.constant([rival]), labels),
        )
        tensors = ExplainerTensors.of(self._explainer)
        said = answers(evidence, network.input_size, labels, self._probabilities.temperature, tensors, seen)
        row = {name: value.numpy()[0] for name, value in {**said, **contrasts(evidence, tensors)}.items()}
        features = network.tail(evidence.maps, training=False)
        maps, features = (np.asarray(tf.cast(each, tf.float32))[0] for each in (evidence.maps, features))
        return row, evidence.logits.numpy()[0], features, maps


@dataclass(frozen=True)
class KnownClasses:
    """What is known of the C classes beside the network.

    A described class's column was made from its description alone. Descriptions are raw float32 [C, K], a row of NaN where
    nothing is known; attributes without a group have "". The formula is None where a column takes the network itself.
    """

    labels: tuple[str, ...]
    is_seen: Sequence[bool]
    is_described: Sequence[bool]
    descriptions: np.ndarray
    attribute_names: tuple[str, ...]
    attribute_groups: tuple[str, ...]
    formula: ColumnFormula | None


def check_names(labels: Sequence[str], class_name: str | None, rival: str | None, arguments: tuple[str, str]) -> None:
    """Check the names of a class and its rival; None is the best one, and messages call the two what `arguments` says.

    Raises:
        InputError: a name is no text, there is no such class (the nearest is suggested), both are one, or there is no other.
    """
    for argument, name in zip(arguments, (class_name, rival), strict=True):
        if name is not None and not isinstance(name, str):
            raise InputError(f"{argument} must be the name of a class, or None. Received: {brief(name)}.")
        if name is not None and name not in labels:
            rule = f"{argument} must be one of the network's {len(labels)} classes."
            raise InputError(f"{rule}{suggestion(name, labels)} Received: {brief(name)}.")
    if rival is not None and rival == class_name:
        raise InputError(f"{arguments[1]} must not be the same class as {arguments[0]}. Received: {rival!r} for both.")
    if rival is not None and len(labels) == 1:
        raise InputError(f"{arguments[1]} must be left out if the network has only one class. Received: {rival!r}.")


def check_rival(
    labels: Sequence[str], logits: np.ndarray, class_name: str | None, rival: str | None, arguments: tuple[str, str]
) -> None:
    """Check that a rival is not the best class where that is the one to be explained; arguments as of `check_names`.

    Raises:
        InputError: it is.
    """
    best = labels[int(np.argmax(logits))]
    if class_name is None and rival == best:
        rule = f"{arguments[1]} must not be the best class, which is explained if {arguments[0]} is left out."
        raise InputError(f"{rule} Received: {rival!r}.")


def complete(
    row: ImageAnswer,
    logits: np.ndarray,
    features: np.ndarray,
    probabilities: Probabilities,
    known: KnownClasses,
    maps: np.ndarray | None = None,
) -> ImageExplanation:
    """Return the whole explanation of one image.

    The row is what `explain_class` (or `explain`) says of it, without the axis of the batch; logits are calibrated, [C],
    features [D] and maps, where they are known, float32 [H, W, N].
    """
    scores = probabilities.of(logits[None])[0]
    groups = dict(zip(known.attribute_names, known.attribute_groups, strict=True))

    def named(place: int) -> NamedClass:
        return NamedClass(known.labels[place], bool(known.is_seen[place]), float(scores[place]))

    own = known.labels.index(bytes(row["label"]).decode())
    contrast = None
    if len(known.labels) > 1:
        rival = known.labels.index(bytes(row["runner_up"]).decode())
        margin = float(logits[own]) - float(logits[rival])
        loser, winner = (rival, own) if margin >= 0 else (own, rival)
        found = _counterfactual(features, known, loser, abs(margin))
        changed_logits = np.array(logits, np.float64)
        if isinstance(found, Counterfactual):
            changed_logits[loser] += found.margin_before - found.margin_after
        contrast = Contrast(
            rival=named(rival),
            speaks_for=words_of(row, "for", groups),
            speaks_against=words_of(row, "against", groups),
            neurons=neurons_of(row, "difference_", maps),
            heat=row.get("difference_heatmap"),
            counterfactual=found,
            changed=named(loser),
            is_described=bool(known.is_described[loser]),
            over=named(winner),
            best_changed=known.labels[int(changed_logits.argmax())] if isinstance(found, Counterfactual) else None,
        )
    return ImageExplanation(
        own=named(own),
        best=named(int(logits.argmax())),
        speaks_for=words_of(row, "", groups),
        speaks_against=words_of(row, "opposing", groups),
        neurons=neurons_of(row, "", maps),
        heat=np.asarray(row["heatmap"]),
        contrast=contrast,
        abstain_below=probabilities.abstain_below,
        followed="" if known.formula is None else followed_sentence(known.formula.followed, known.attribute_names),
    )


def _counterfactual(features: np.ndarray, known: KnownClasses, loser: int, margin: float) -> Counterfactual | NoCounterfactual:
    if known.formula is None:
        reason = "Head columns of this network can only be made by running the network"
        return NoCounterfactual(f"{reason} (--engine=tape or operator, or a method that makes whole heads or networks).")
    has_one = np.isfinite(known.descriptions).all(axis=1)
    if not has_one[loser]:
        return NoCounterfactual("Its description is not known.")
    others = known.descriptions[has_one]
    names = known.attribute_names, known.attribute_groups
    return counterfactual(features, known.formula, known.descriptions[loser], margin, others, *names)
