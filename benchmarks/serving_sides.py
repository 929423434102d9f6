"""The sides of `serving`: an exported network of random weights, the requests to it, and Keras on the same images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.one_more_class import made_formula
from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.schema import Knowledge
from niwt_tf.explain.explainer import Explainer
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import Network
from niwt_tf.serving.export.contents import Contents
from niwt_tf.serving.export.savedmodel import export_network
from niwt_tf.serving.predict import Servable

ATTRIBUTES, SEEN, UNSEEN = 312, 150, 50
BEST = 5
_FEATURE_ROWS = 512


@dataclass(frozen=True)
class Exported:
    """A network and its bundle.

    Attributes:
        network: random, with a head of `SEEN` and `UNSEEN` classes.
        folder: of the bundle's version.
        images: JPEG files.
    """

    network: Network
    folder: Path
    images: tuple[Path, ...]

    def encoded(self, count: int) -> np.ndarray:
        """Return the contents of the first `count` files, as a request has them."""
        return np.array([path.read_bytes() for path in self.images[:count]], object)

    def pixels(self, count: int) -> np.ndarray:
        """Return the same images decoded, float32 [count, S, S, 3]."""
        return decoded_files(self.images[:count], self.network.input_size)

    @property
    def weight_bytes(self) -> int:
        """What the network's weights take."""
        return sum(weight.value.numpy().nbytes for weight in self.network.model.weights)

    def bytes_in(self, part: str = ".") -> int:
        """Return what the bundle's files take, or those in one folder of it."""
        return sum(path.stat().st_size for path in (self.folder / part).rglob("*") if path.is_file())


def export(backbone: str, folder: Path, image_sides: tuple[int, int], count: int) -> Exported:
    """Export a random network with every signature.

    Args:
        backbone: a key of BACKBONES.
        folder: a new one, for images and bundle.
        image_sides: height and width of the photographs.
        count: how many there are.
    """
    names = [f"class_{c}" for c in range(SEEN + UNSEEN)]
    network = build_network(backbone, names, weights="none", dropout=0.0)
    network = network.with_head(network.columns, network.biases, names, SEEN)
    folder.mkdir()
    images = photographs(folder, image_sides, count)
    normalise(network, decoded_files(images[:4], network.input_size))
    path = export_network(network, folder / backbone, contents=contents_for(network), k=BEST, check_images=images[:4])
    return Exported(network, path, images)


def normalise(network: Network, pixels: np.ndarray) -> None:
    """Give every batch norm the statistics of these pixels: values would vanish on their way through random weights."""
    layers = [layer for layer in network.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    network.model(pixels, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def decoded_files(paths: tuple[Path, ...], size: int) -> np.ndarray:
    """Return the pixels float32 [B, S, S, 3] of image files."""
    return np.stack([decode_image(tf.constant(path.read_bytes()), size).numpy() for path in paths])


def contents_for(network: Network) -> Contents:
    """Return descriptions, a column formula and an explainer of random numbers that fit a network."""
    generator = np.random.default_rng(0)
    neurons, names = network.num_neurons, tuple(f"attribute {k}" for k in range(ATTRIBUTES))
    values = generator.uniform(0, 100, (len(network.class_names), ATTRIBUTES)).astype(np.float32)
    explainer = Explainer(
        generator.standard_normal((ATTRIBUTES, neurons), np.float32),
        generator.standard_normal(ATTRIBUTES, np.float32),
        names,
        ("",) * ATTRIBUTES,
        tuple(names[n % ATTRIBUTES] for n in range(neurons)),
        np.ones(neurons, np.float32),
        1.0,
        0.0,
    )
    formula = made_formula(neurons, network.num_features, ATTRIBUTES, network.num_seen, _FEATURE_ROWS)
    return Contents(Knowledge(values, names, ("",) * ATTRIBUTES), formula=formula, explainer=explainer)


def photographs(folder: Path, sides: tuple[int, int], count: int) -> tuple[Path, ...]:
    """Write JPEG files of smooth noise, which cost as much to decode as photographs."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = generator.uniform(0, 255, (12, 12, 3)).astype(np.float32)
        smooth = tf.image.resize(coarse, sides, method="bicubic") + generator.normal(0, 8, (*sides, 3))
        pixels = tf.cast(tf.clip_by_value(smooth, 0, 255), tf.uint8)
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(tf.io.encode_jpeg(pixels, quality=90).numpy())
    return tuple(paths)


def sides(exported: Exported, servable: Servable, batch: int) -> dict[str, Callable[[], Any]]:
    """Return what is timed at a batch size, by name."""
    model, size = exported.network.model, exported.network.input_size
    encoded, pixels = exported.encoded(batch), exported.pixels(batch)
    one = tf.TensorSpec([size, size, 3], tf.float32)
    names = np.array(exported.network.class_names)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decoded(contents: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(lambda content: decode_image(content, size), contents, fn_output_signature=one)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def traced(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores, classes = tf.math.top_k(tf.nn.softmax(model(decoded(contents), training=False)), BEST)
        return tf.gather(names, classes), scores

    def predict_files() -> tuple[np.ndarray, np.ndarray]:
        return best(model.predict_on_batch(decoded(tf.constant(encoded))), names)

    return {
        "predict_files": predict_files,
        "serving_default": lambda: servable.run("serving_default", {"image_bytes": encoded}),
        "one_function": lambda: [part.numpy() for part in traced(tf.constant(encoded))],
        "explain": lambda: servable.run("explain", {"image_bytes": encoded}),
        "predict_pixels": lambda: model.predict_on_batch(pixels),
        "logits": lambda: servable.run("logits", {"images": pixels}),
    }


def best(logits: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the names and probabilities [B, k] of the best classes of logits [B, C]."""
    order = np.argsort(-logits, axis=1)[:, :BEST]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = exponentials / exponentials.sum(axis=1, keepdims=True)
    return names[order], np.take_along_axis(scores, order, axis=1)
