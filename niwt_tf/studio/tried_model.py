"""A bundle's graph loaded once, asked by its signatures, also with classes that no file holds yet.

Dimensions: B images, S x S pixels, C classes, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

import numpy as np
import tensorflow as tf

from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.images.files import upright_file
from niwt_tf.data.schema import InputForm
from niwt_tf.files import literal_folder

_BATCH = 32

Weighted = tuple[str, float]


@dataclass(frozen=True)
class Answer:
    """What is said of one image.

    Attributes:
        best: (class, probability, whether it was trained on photographs), best first.
        label: the best class, or "unknown", with its probability `score`.
        heat_png: where the network looks, PNG; empty for a bundle without explanations, and so is all that follows.
        attributes: that speak for the class, with weights; `neurons` are (number, name, weight).
        runner_up: the second class and its probability.
        reasons: attributes that speak for the best class against the second; `objections` for the second, with weights below 0.
    """

    best: tuple[tuple[str, float, bool], ...]
    label: str
    score: float
    heat_png: bytes = b""
    attributes: tuple[Weighted, ...] = ()
    neurons: tuple[tuple[str, str, float], ...] = ()
    runner_up: Weighted = ("", 0.0)
    reasons: tuple[Weighted, ...] = ()
    objections: tuple[Weighted, ...] = ()


class TriedModel:
    """A loaded bundle. Its answers may be asked for from several threads."""

    def __init__(self, folder: Path, form: InputForm, turns_photographs: bool = True) -> None:
        """Load the version in `folder`, which takes images in a form and turns them as their EXIF data say, if it does."""
        self._turns = turns_photographs
        self._loaded = tf.saved_model.load(str(literal_folder(folder)))
        self._form = form
        self._lock = RLock()

    @property
    def explains(self) -> bool:
        """Whether the bundle has explanations."""
        return "explain" in self._loaded.signatures

    def features(self, images: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Return features [B, D] and calibrated logits [B, C], float32, of image files.

        Raises:
            tf.errors.InvalidArgumentError: one cannot be decoded.
        """
        pixels = [decode_image(tf.constant(image), self._form) for image in images]
        with self._lock:
            call = self._loaded.signatures["logits"]
            parts = [call(images=tf.stack(pixels[at : at + _BATCH])) for at in range(0, len(pixels), _BATCH)]
        features, logits = (np.concatenate([part[name].numpy() for part in parts]) for name in ("features", "logits"))
        return features, logits

    def answer(self, image: bytes) -> Answer:
        """Return what the bundle says of one image file.

        Raises:
            tf.errors.InvalidArgumentError: it cannot be decoded.
        """
        encoded = tf.constant([image if self._turns else upright_file(image)])
        with self._lock:
            names = "serving_default", *(["explain"] if self.explains else [])
            best, *explained = [self._loaded.signatures[name](image_bytes=encoded) for name in names]
        labels, scores, seen = (best[name].numpy()[0] for name in ("labels", "scores", "is_seen"))
        ranked = tuple((label.decode(), float(p), bool(s)) for label, p, s in zip(labels, scores, seen, strict=True))
        if not explained:
            return Answer(ranked, *ranked[0][:2])
        said = {name: value.numpy()[0] for name, value in explained[0].items()}
        neurons = zip(said["neurons"], said["neuron_names"], said["neuron_weights"], strict=True)
        return Answer(
            ranked,
            said["label"].decode(),
            float(said["score"]),
            said["heatmap_png_bytes"],
            _weighted(said["attributes"], said["attribute_weights"]),
            tuple((number.decode(), name.decode(), float(weight)) for number, name, weight in neurons if weight > 0),
            (said["runner_up"].decode(), float(said["runner_up_score"])),
            _weighted(said["for_attributes"], said["for_weights"]),
            _weighted(said["against_attributes"], said["against_weights"]),
        )

    @contextmanager
    def trying(self, variables: Mapping[str, np.ndarray]) -> Iterator[None]:
        """Give root variables other values for the length of a block; other threads wait for its end.

        They are as `classes.Change` has them, so that answers are those of a version that nobody has written.
        """
        with self._lock:
            kept = {name: getattr(self._loaded, name).read_value() for name in variables}
            try:
                for name, value in variables.items():
                    getattr(self._loaded, name).assign(value)
                yield
            finally:
                for name, old in kept.items():
                    getattr(self._loaded, name).assign(old)


def _weighted(names: np.ndarray, weights: np.ndarray) -> tuple[Weighted, ...]:
    return tuple((name.decode(), float(weight)) for name, weight in zip(names, weights, strict=True) if name)
