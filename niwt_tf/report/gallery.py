"""Test images with what was predicted for them and why: as many mistakes as right answers, drawn at random.

Nothing is chosen for its looks. Within right and wrong answers of unseen and of seen classes, images are drawn uniformly at
random with a seed, at most one of a class until the classes run out.
Dimensions: M test images, B of them shown, H x W positions, N neurons, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from niwt_tf.compute.execution import Execution
from niwt_tf.compute.features import Reader
from niwt_tf.data.sampling import balanced_draw
from niwt_tf.data.schema import Dataset, test_data
from niwt_tf.explain.explainer import Explainer
from niwt_tf.explain.faithfulness.truth import present_attributes
from niwt_tf.explain.grad_cam import attribute_weights
from niwt_tf.explain.heat import explained_twice, first_cut
from niwt_tf.explain.sentences import plain
from niwt_tf.explain.words import WeightedAttribute, textual_explanation
from niwt_tf.metrics.probabilities import Probabilities
from niwt_tf.models.network import Network
from niwt_tf.plots.style import readable_names
from niwt_tf.protocol.scoring import Scored
from niwt_tf.report.pictures import activation_picture, data_uri, heat_overlay, picture_of

_NEURONS, _AGAINST_TRUE = 3, 3
_SIDE, _NEURON_SIDE = 192, 112  # pixels


@dataclass(frozen=True)
class ShownNeuron:
    """A named neuron that counts for the predicted class of an image.

    Its AUC on held-out training images is in [0, 1]. Its weight is alpha_n * mean of a_n, its mean part in Grad-CAM before the
    ReLU; greater than 0. The picture is a `data:` address of the photograph, lit where the neuron answers; `alt` says so.
    """

    neuron: int
    name: str
    auc: float
    weight: float
    picture: str
    alt: str


@dataclass(frozen=True)
class GalleryEntry:
    """A test image and its explanation. Classes are called as `readable_names` of all classes does.

    Attributes:
        image: `data:` address of the photograph.
        heat: `data:` address of the photograph with the heat map of the predicted class.
        path: of the image, as in the data set.
        predicted: the class with the highest calibrated score.
        score: its probability.
        speaks_for: attributes that speak for the predicted class, the strongest first; `speaks_against` those against it.
        rival: the runner-up.
        neurons: up to three named neurons with the largest positive parts, the largest first; those with a confident name take
            precedence, and neurons without a name are passed over.
        true_attributes: which of the attributes above are true of the image: by its own attributes where the data set has any,
            else those that its class is described with more than the seen classes on average.
        against_true: what speaks for the predicted class and against the true one; empty where the answer is right.
        heat_is_empty: whether no place of the image supports the predicted class, so that its picture is grey.
    """

    image: str
    heat: str
    path: str
    true_class: str
    true_seen: bool
    predicted: str
    predicted_seen: bool
    score: float
    right: bool
    speaks_for: tuple[WeightedAttribute, ...]
    speaks_against: tuple[WeightedAttribute, ...]
    rival: str
    neurons: tuple[ShownNeuron, ...]
    true_attributes: frozenset[str]
    against_true: tuple[WeightedAttribute, ...] = ()
    heat_is_empty: bool = False


def gallery(
    network: Network,
    explainer: Explainer,
    probabilities: Probabilities,
    dataset: Dataset,
    scored: Scored,
    execution: Execution,
    *,
    unseen_right: int = 6,
    unseen_wrong: int = 6,
    seen_right: int = 3,
    seen_wrong: int = 3,
    seed: int = 0,
) -> tuple[GalleryEntry, ...]:
    """Return right and wrong answers of unseen and then of seen classes, fewer where there are not as many.

    `scored` are the expanded network's answers on the test images of the dataset's split, in their order. Four numbers say how
    many images of each kind are drawn with the seed.
    """
    counts = (unseen_right, unseen_wrong, seen_right, seen_wrong)
    chosen = drawn_images(scored.labels, scored.evaluation.predictions, network.num_seen, counts, seed)
    if not len(chosen):
        return ()
    split = dataset.split
    assert split is not None
    images = test_data(dataset).images.take(chosen)
    labels = scored.labels[chosen]
    logits = scored.logits[chosen].astype(np.float64)
    logits[:, : network.num_seen] -= scored.evaluation.calibration
    # Rounding may order two equal logits another way; the evaluation's answer holds.
    predicted = scored.evaluation.predictions[chosen]
    rows = np.arange(len(chosen))
    others = logits.copy()
    others[rows, predicted] = -np.inf
    rivals, scores = others.argmax(axis=1), probabilities.of(logits)[rows, predicted]

    # All images in one batch: maps [B, H, W, N], heat [B, H', W'], and the importances [B, N] for both classes.
    first = Reader(first_cut(network, explainer.heat), execution).maps(images)
    classes = (tf.constant(each, tf.int64) for each in (predicted, labels))
    found = explained_twice(network, explainer.heat, jit=execution.jit)(tf.constant(first), *classes)
    maps, heat, importances, _, true_importances = (each.numpy() for each in found)
    words = explainer.attribute_weights(importances)
    against = attribute_weights(importances - true_importances, explainer.weights).numpy()
    parts = importances * maps.mean(axis=(1, 2))
    truths = present_attributes(dataset, np.concatenate([split.test_seen, split.test_unseen])[chosen])
    names, entries, form = readable_names(network.class_names), [], network.input_form
    attributes = explainer.attribute_names, explainer.attribute_groups
    for i, path in enumerate(images.paths):
        right = bool(predicted[i] == labels[i])
        text = textual_explanation(words[i], *attributes)
        reasons = () if right else textual_explanation(against[i], *attributes, _AGAINST_TRUE).speaks_for
        named = {word.attribute for word in (*text.speaks_for, *text.speaks_against, *reasons)}
        true = {name for name, holds in zip(dataset.knowledge.names, truths[i], strict=True) if holds}
        photograph, small = (picture_of(images.root / path, side, form.resize) for side in (_SIDE, _NEURON_SIDE))
        entries.append(
            GalleryEntry(
                image=data_uri(photograph),
                heat=data_uri(heat_overlay(photograph, heat[i])),
                path=path,
                true_class=names[labels[i]],
                true_seen=bool(labels[i] < network.num_seen),
                predicted=names[predicted[i]],
                predicted_seen=bool(predicted[i] < network.num_seen),
                score=float(scores[i]),
                right=right,
                speaks_for=text.speaks_for,
                speaks_against=text.speaks_against,
                rival=names[rivals[i]],
                neurons=_shown_neurons(explainer, parts[i], maps[i], small, names[labels[i]]),
                true_attributes=frozenset(named & true),
                against_true=reasons,
                heat_is_empty=not heat[i].any(),
            )
        )
    return tuple(entries)


def drawn_images(
    labels: np.ndarray, predictions: np.ndarray, num_seen: int, counts: tuple[int, int, int, int], seed: int
) -> np.ndarray:
    """Return indices of test images by labels and predictions [M]: right and wrong ones of unseen classes, then of seen ones.

    Counts say how many of each of the four; how many are drawn of one kind does not change what is drawn of another.
    """
    unseen, right = labels >= num_seen, labels == predictions
    kinds = (unseen & right, unseen & ~right, ~unseen & right, ~unseen & ~right)
    drawn = [
        balanced_draw(labels, np.flatnonzero(kind), count, np.random.default_rng([seed, number]))
        for number, (kind, count) in enumerate(zip(kinds, counts, strict=True))
    ]
    return np.concatenate(drawn)


def _shown_neurons(
    explainer: Explainer, parts: np.ndarray, maps: np.ndarray, photograph: Image.Image, true_class: str
) -> tuple[ShownNeuron, ...]:
    """Return an image's neurons by their parts [N], lit by their maps [H, W, N]."""
    candidates = np.flatnonzero(explainer.named & (parts > 0))
    best = candidates[np.argsort(-parts[candidates], kind="stable")][:_NEURONS]
    return tuple(
        ShownNeuron(
            neuron=int(neuron),
            name=explainer.neuron_names[neuron],
            auc=float(explainer.neuron_aucs[neuron]),
            weight=float(parts[neuron]),
            picture=data_uri(activation_picture(photograph, maps[:, :, neuron])),
            alt=f"Where neuron {neuron} ({plain(explainer.neuron_names[neuron])}) is active in the image of {true_class}",
        )
        for neuron in best
    )
