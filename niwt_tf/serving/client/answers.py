"""What a client answers about images: one entry an image, the ones that failed named with what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.explain.words import text_of

ImageAnswer = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Predictions:
    """The best classes of B images, best first. An image without an answer has no classes and is in `errors`, by its place.

    Rows may differ in length: the server may learn a class between two batches. Scores are B float32 arrays, probabilities;
    `is_seen` are B bool arrays, whether the network was trained on images of the class, empty where the signature does not say.
    Versions are of the model that answered each image, None where the server does not say (REST).
    """

    labels: tuple[tuple[str, ...], ...]
    scores: tuple[np.ndarray, ...]
    is_seen: tuple[np.ndarray, ...]
    versions: tuple[int | None, ...]
    errors: Mapping[int, str]


@dataclass(frozen=True)
class Explanation:
    """Why an image got its best class, `label`, rather than the second best, the runner-up; scores are probabilities.

    `heatmap` float32 [H, W] in 0..1 is where the evidence is, `heatmap_png` the same at the network's input size, a PNG file.
    Attributes, and neurons with names, that say most for the class have weights, as have the attributes that speak for it
    against the runner-up, and against it. A class that `is_seen` is one that the network was trained on.
    """

    label: str
    score: float
    is_seen: bool
    heatmap: np.ndarray
    heatmap_png: bytes
    attributes: tuple[tuple[str, float], ...]
    neurons: tuple[tuple[str, str, float], ...]
    runner_up: str
    runner_up_score: float
    speaks_for: tuple[tuple[str, float], ...]
    speaks_against: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Explanations:
    """Explanations of B images; None for one that could not be answered and is in `errors`, by its place.

    Versions are of the model that answered each, None where the server does not say (REST).
    """

    rows: tuple[Explanation | None, ...]
    versions: tuple[int | None, ...]
    errors: Mapping[int, str]


def texts(values: np.ndarray) -> tuple[str, ...]:
    """Return an array of bytes [N] as text; bytes that are not UTF-8 are replaced."""
    return tuple(value.decode("utf-8", "replace") for value in values)


def explanation(row: ImageAnswer) -> Explanation:
    """Return the answer of the signature `explain` about one image."""
    return Explanation(
        label=text_of(row["label"]),
        score=float(row["score"]),
        is_seen=bool(row["is_seen"]),
        heatmap=row["heatmap"],
        heatmap_png=bytes(row["heatmap_png_bytes"]),
        attributes=_weighted(row, "attributes", "attribute_weights"),
        neurons=tuple(zip(texts(row["neurons"]), texts(row["neuron_names"]), row["neuron_weights"].tolist(), strict=True)),
        runner_up=text_of(row["runner_up"]),
        runner_up_score=float(row["runner_up_score"]),
        speaks_for=_weighted(row, "for_attributes", "for_weights"),
        speaks_against=_weighted(row, "against_attributes", "against_weights"),
    )


def ranked(row: ImageAnswer, described: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the labels and scores of `classify_with` about one image, best first.

    The row has `labels` [C] of the known classes, `scores` and `logits` [C + M] with those of M described ones.
    """
    names = (*texts(row["labels"]), *described)
    order = np.argsort(-row["logits"], kind="stable")  # scores near 0 and 1 round to ties
    return tuple(names[place] for place in order), row["scores"][order]


def _weighted(row: ImageAnswer, names: str, weights: str) -> tuple[tuple[str, float], ...]:
    # Where there are fewer words than places, the rest is empty.
    return tuple((name, weight) for name, weight in zip(texts(row[names]), map(float, row[weights]), strict=True) if name)
