"""Is an exported SavedModel the network it was made from? Asked in a fresh process that has no Keras."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from niwt_tf.data.schema import InputForm
from niwt_tf.errors import InputError, brief
from niwt_tf.metrics.probabilities import UNKNOWN, Probabilities
from niwt_tf.models.network import Network
from niwt_tf.serving.bundle.warmup import example
from niwt_tf.serving.checks.check_processes import NO_END, SESSION, ask
from niwt_tf.serving.checks.check_requests import strings
from niwt_tf.serving.checks.graph_checks import meta_graph, signatures_of
from niwt_tf.serving.checks.messages import Message
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.predict import read_image, read_pixels

TOLERANCE = 1e-4
_DESCRIBED = 2  # classes that are given again as descriptions
_NOISE = 4  # images of it
_CLASSIFIED = {"classes": "labels", "scores": "scores"}


class VerificationError(RuntimeError):
    """A SavedModel that does not load, or does not answer as its network does."""


@dataclass(frozen=True)
class Verification:
    """How many images were compared, and the largest difference of scores over their k best classes."""

    images: int
    largest_score_difference: float


@dataclass(frozen=True)
class CheckImages:
    """Images for a verification: B absolute paths, and pixels float32 [B, S, S, 3] in 0..255, as the network takes them."""

    paths: tuple[str, ...]
    pixels: np.ndarray


def noise_images(folder: Path, size: int) -> list[Path]:
    """Write images of noise into a folder, for what has no photographs to be checked by, and return their files."""
    files = [folder / f"{index}.png" for index in range(_NOISE)]
    for index, file in enumerate(files):
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (size, size, 3), np.uint8)).save(file)
    return files


def read_check_images(paths: Sequence[str | os.PathLike[str]], form: InputForm) -> CheckImages:
    """Decode images as the network's own pipeline does.

    Raises:
        InputError: there is none, or one cannot be read or decoded; it is named.
    """
    if isinstance(paths, str | bytes | os.PathLike) or not hasattr(paths, "__iter__"):
        raise InputError(f"check_images must be a list of files. Received: {brief(paths)}.")
    paths = list(paths)
    if not paths:
        raise InputError("check_images must name at least one image. Received: none.")
    strange = [path for path in paths if not isinstance(path, str | os.PathLike)]
    if strange:
        raise InputError(f"check_images must be files. Received: {brief(strange[0])} in the list.")
    pixels = np.stack([read_pixels(Path(path), form, "check_images") for path in paths])
    return CheckImages(tuple(os.path.abspath(path) for path in paths), pixels)


def verify(folder: Path, network: Network, contents: Contents, images: CheckImages, k: int) -> Verification:
    """Compare a SavedModel with the network, and what goes with it, that it was exported from.

    Scores must agree to 1e-4, logits and features to 1e-4 of their largest magnitude, and labels wherever the network's
    logits differ by more than that. Classes that are described in a request must get the logits of the columns that the
    column formula gives them.

    Raises:
        VerificationError: it does not load in a fresh process, or answers otherwise.
    """
    known = contents.knowledge
    answer = ask_fresh_process(folder, images, further_inputs(network, contents, len(images.paths)))
    with tf.device("CPU:0"):  # where the fresh process computes, so that a GPU's rounding is not taken for an error
        features = network.tail(network.trunk(images.pixels, training=False), training=False)
        logits = np.asarray(tf.cast(network.head(features), tf.float32))
        features = np.asarray(tf.cast(features, tf.float32))
    margin = TOLERANCE * max(1.0, float(np.abs(logits).max()))
    _compare("logits", np.array(answer["logits"]["logits"]), logits, margin)
    feature_margin = TOLERANCE * max(1.0, float(np.abs(features).max()))
    _compare("features", np.array(answer["logits"]["features"]), features, feature_margin)
    difference = _check_best(answer["serving_default"], network, contents.probabilities, images, logits, k, margin)
    if answer["classify"] != {name: answer["serving_default"][of] for name, of in _CLASSIFIED.items()}:
        raise VerificationError("classify must give the same answers as serving_default. Received: other answers.")
    if contents.formula is not None and known is not None:
        columns, biases = contents.formula(known.values[-_DESCRIBED:])
        expected = np.concatenate([logits, features @ columns + biases], axis=1)
        far = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        _compare("logits of classify_with", np.array(answer["classify_with"]["logits"]), expected, far)
    if contents.explainer is not None:
        _check_explained(answer["explain"], answer["serving_default"])
        _check_asked(answer["explain_class"], network.class_names[-1], contents.probabilities.of(logits)[:, -1])
    return Verification(len(images.paths), difference)


def further_inputs(network: Network, contents: Contents, count: int) -> dict[str, np.ndarray]:
    """Return what signatures take beside images, for `count` of them: the last classes, as descriptions and by name."""
    inputs = {"class_name": strings([network.class_names[-1].encode()] * count), "rival": strings([b""] * count)}
    if contents.knowledge is None:
        return inputs
    described = np.tile(contents.knowledge.in_units[-_DESCRIBED:], (count, 1, 1)).astype(np.float32)
    return {**inputs, "descriptions": described}


def _check_asked(explained: dict[str, Any], name: str, scores: np.ndarray) -> None:
    if set(explained["label"]) != {name}:
        raise VerificationError(f"explain_class must be about the class {name!r}. Received: {explained['label'][0]!r}.")
    _compare("score of explain_class", np.array(explained["score"]), scores, TOLERANCE)
    if not np.isfinite(explained["difference_heatmap"]).all():
        raise VerificationError("explain_class must give finite numbers. Received: NaN or infinity.")


def _check_explained(explained: dict[str, Any], best: dict[str, Any]) -> None:
    rows = zip(explained["label"], explained["score"], best["labels"], best["scores"], strict=True)
    for label, score, labels, scores in rows:
        if labels[0] == UNKNOWN and abs(score - scores[0]) <= TOLERANCE:
            continue  # the best class is withheld there
        # Where two classes have one score, either may be the best.
        if label not in labels or not abs(score - scores[0]) <= TOLERANCE >= abs(score - scores[labels.index(label)]):
            raise VerificationError(f"explain must be about the best class, {labels[0]!r}. Received: {label!r} with {score}.")
    if not all(np.isfinite(explained[name]).all() for name in ("heatmap", "attribute_weights", "neuron_weights")):
        raise VerificationError("explain must give finite numbers. Received: NaN or infinity.")


def _check_best(
    best: dict[str, Any],
    network: Network,
    probabilities: Probabilities,
    images: CheckImages,
    logits: np.ndarray,
    k: int,
    margin: float,
) -> float:
    k = min(k, logits.shape[1])
    scores = np.asarray(tf.nn.softmax(logits / probabilities.temperature))
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    difference = _compare("scores", np.array(best["scores"]), np.take_along_axis(scores, order, axis=1), TOLERANCE)
    names = np.array(network.class_names)
    rows = zip(images.paths, logits, order, best["labels"], best["is_seen"], best["scores"], strict=True)
    for path, row, expected, labels, is_seen, found in rows:
        # A first label may be withheld; the others are always given.
        start = int(found[0] < probabilities.abstain_below)
        places = [network.class_names.index(label) if label in network.class_names else -1 for label in labels[start:]]
        # Two classes with one logit may come in either order.
        near = bool((np.abs(row[places] - row[expected[start:]]) <= margin).all())
        if -1 in places or len(set(places)) != k - start or not near or (start and labels[0] != UNKNOWN):
            wanted = names[expected].tolist()
            raise VerificationError(f"{path} must be labelled {wanted}, as the network labels it. Received: {labels}.")
        if is_seen[start:] != [float(place < network.num_seen) for place in places] or (start and is_seen[0]):
            raise VerificationError(
                f"{path} must be answered with classes that are known to be seen or unseen. Received: {is_seen}."
            )
    return difference


def ask_fresh_process(folder: Path, images: CheckImages, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Return what each signature of a SavedModel answers about images, in a new process that cannot import Keras.

    `arrays` are further inputs by name. Of the outputs, numbers and texts become lists.

    Raises:
        InputError: the process has no end, as on a machine that is too busy.
        VerificationError: the process fails, or an answer is an error.
    """
    files = [read_image(Path(path)) for path in images.paths]
    given = {"images": images.pixels, "image_bytes": strings(files), "inputs": strings([example(file) for file in files])}
    given |= arrays
    signatures = signatures_of(meta_graph(folder))
    asked = [Message(name, {key: given[key] for key in form.inputs}) for name, form in signatures.items()]
    said = ask(SESSION, folder, asked, {})
    wrong = next((f"{answer.signature}: {answer.error}" for answer in said.answers if answer.code), said.error)
    if wrong == NO_END:
        rule = "The check of the SavedModel must end in time; if the machine was busy, give the same command again"
        raise InputError(f"{rule}. Received: {wrong}.")
    if wrong:
        raise VerificationError(f"The SavedModel does not work without Keras ({wrong}).")
    return {each.signature: {name: _plain(name, value) for name, value in each.tensors.items()} for each in said.answers}


def _plain(name: str, value: np.ndarray) -> Any:
    if value.dtype == object and not name.endswith("_bytes"):
        return [row.decode() if isinstance(row, bytes) else [text.decode() for text in row] for row in value]
    return value.tolist()


def _compare(what: str, received: np.ndarray, expected: np.ndarray, tolerance: float) -> float:
    if received.shape != expected.shape:
        raise VerificationError(f"{what} must be {list(expected.shape)}. Received: {list(received.shape)}.")
    difference = float(np.abs(received - expected).max())
    if not difference <= tolerance:  # NaN too
        raise VerificationError(
            f"{what} must agree with the network to {tolerance:g}. Received: a difference of {difference:g}."
        )
    return difference
