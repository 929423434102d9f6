"""PDCNN: "Predicting Deep Zero-Shot Convolutional Neural Networks using Textual Descriptions" (Ba et al., ICCV 2015).

A network of one hidden layer reads the text t_c of a class and writes its classifier, w_c = f(t_c). An image with
standardised features z has the score w_c . P'z + b_c for a projection P [D, P], and all of it is trained by the cross-entropy
over the classes of a minibatch. With `conv`, the text also writes a filter [3, 3, Q] for the class, which runs over Q projected
channels of the conv map; the mean of its response over all positions is added to the score.

Both projections are linear, where the paper has networks: so P w_c is a column of a head for z, and that a column for the
features as they are. The mean response, too, is linear in the map: it is the filter times the mean, over positions, of the
channels' values at each of the 9 places under it, which is all that is kept of a map. As in N3's comparison (its section 4.3)
a text is tokens of a sentence encoder, pooled, in place of TF-IDF. Of a text of several parts, training reads one at a time.

Dimensions: M images, D features, S seen classes, K classes of an episode, B its images, E numbers of a text, P and Q projected,
N channels of the map, H hidden units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.data.sampling import balanced_sample
from niwt_tf.data.schema import Images
from niwt_tf.methods.baselines.descent import Descent, uniform
from niwt_tf.methods.baselines.pooled_text import PooledTexts, TextReader, texts_of
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.task import Task

PROJECTED, CHANNELS, HIDDEN = 50, 5, 300  # P, Q and H
TAPS = 9  # places under a filter [3, 3]
STEPS = (400, 100, 200)  # of which the first is taken where nothing can be chosen
WAY, BATCH, RATE, DECAY = 25, 64, 1e-3, 1e-4
MOST_IMAGES = 20_000


@dataclass(frozen=True)
class Writer:
    """What is trained: texts in, classifiers out.

    Attributes:
        weights: P [D, P], then H's [E, H] and [H], then the classifier's [H, P + 1] and [P + 1]; with filters also the
            channels' [N, Q] and the filter's [H, 9 Q].
    """

    weights: tuple[np.ndarray, ...]

    def head(self, texts: np.ndarray) -> np.ndarray:
        """Return columns and biases [C, D + 1] for standardised features, of standardised texts [C, E]."""
        projection, _, _, last, bias = self.weights[:5]
        written = self._hidden(texts) @ last + bias
        return np.concatenate([written[:, :-1] @ projection.T, written[:, -1:]], axis=1)

    def filters(self, texts: np.ndarray) -> np.ndarray:
        """Return filters [C, 9 N] for standardised windows, of standardised texts [C, E]."""
        channels, last = self.weights[5:]
        written = (self._hidden(texts) @ last).reshape(len(texts), TAPS, channels.shape[1])
        return (written @ channels.T).reshape(len(texts), -1)

    def _hidden(self, texts: np.ndarray) -> np.ndarray:
        return np.maximum(texts @ self.weights[1] + self.weights[2], 0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by name."""
        return {f"weight_{place}": weight for place, weight in enumerate(self.weights)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Writer:
        """Return what `arrays` gave."""
        return cls(tuple(arrays[f"weight_{place}"] for place in range(7) if f"weight_{place}" in arrays))


@dataclass(frozen=True)
class Trained:
    """A writer with all that it needs.

    Attributes:
        writer: of classifiers.
        reader: of texts.
        standard: of features.
        windows: standard of the map's windows [9 N], where filters are written.
        seen: standardised texts of the seen classes, float32 [S, E].
    """

    writer: Writer
    reader: TextReader
    standard: Standard
    windows: Standard | None
    seen: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything but the reader's settings as arrays by name."""
        windows = {} if self.windows is None else {
            "windows_mean": self.windows.mean, "windows_deviation": self.windows.deviation
        }
        standard = {"mean": self.standard.mean, "deviation": self.standard.deviation, **windows}
        return {**self.writer.arrays(), **self.reader.arrays(), **standard, "seen": self.seen}

    @classmethod
    def from_arrays(cls, settings: Any, arrays: Mapping[str, np.ndarray]) -> Trained:
        """Return what `arrays` gave."""
        windows = Standard(arrays["windows_mean"], arrays["windows_deviation"]) if "windows_mean" in arrays else None
        standard = Standard(arrays["mean"], arrays["deviation"])
        reader = TextReader.from_arrays(settings, arrays)
        return cls(Writer.from_arrays(arrays), reader, standard, windows, arrays["seen"])


def trained(task: Task, pooling: str, steps: int, *, conv: bool) -> Trained:
    """Return the writer of a task after a number of steps. All of `STEPS` are stops of one training, done once for a task."""
    stops = tuple(sorted({*STEPS, steps}))
    key = ("pdcnn", pooling, conv, stops)
    return task.cached(key, lambda: dict(_train(task, pooling, stops, conv)))[steps]


def _train(task: Task, pooling: str, stops: Sequence[int], conv: bool) -> Iterator[tuple[int, Trained]]:
    seed = task.settings.seed
    images = balanced_sample(task.partition.training.images, MOST_IMAGES, seed)
    features = task.features(images)
    standard, reader, texts = Standard.of(features), TextReader.of(task, pooling), texts_of(task)
    windows = windows_of(task, images) if conv else None
    over = None if windows is None else Standard.of(windows)
    parts = np.asarray(reader.standard(texts.parts[pooling]), np.float32)
    seen = np.asarray(reader.standard(texts.of_classes(pooling)), np.float32)
    rng = np.random.default_rng([seed, 37])
    weights = initial_weights(rng, features.shape[1], parts.shape[1], None if windows is None else windows.shape[1] // TAPS)
    way = min(WAY, len(np.unique(images.labels)))
    loss = _loss(standard(features), parts, None if over is None else over(windows), way)
    descent, done = Descent(weights, loss, learning_rate=RATE, weight_decay=DECAY), 0
    for stop in stops:
        descent.run(np.stack([episode(rng, images.labels, texts, way, BATCH) for _ in range(stop - done)]))
        done = stop
        yield stop, Trained(Writer(tuple(descent.weights)), reader, standard, over, seen)


def _loss(features: np.ndarray, parts: np.ndarray, windows: np.ndarray | None, way: int) -> Any:
    """Return the cross-entropy of an episode, by the weights and its indices."""
    rows, read = tf.constant(features, tf.float32), tf.constant(parts, tf.float32)
    under = None if windows is None else tf.reshape(tf.constant(windows, tf.float32), [len(windows), TAPS, -1])

    def loss(weights: Sequence[tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
        asked, images, labels = batch[:way], batch[way : way + BATCH], batch[way + BATCH :]
        projection, first, first_bias, last, last_bias = weights[:5]
        hidden = tf.nn.relu(tf.gather(read, asked) @ first + first_bias)
        written = hidden @ last + last_bias
        logits = tf.matmul(tf.gather(rows, images) @ projection, written[:, :-1], transpose_b=True) + written[:, -1]
        if under is not None:
            channels, filters = weights[5:]
            projected = tf.tensordot(tf.gather(under, images), channels, 1)  # [B, 9, Q]
            logits += tf.matmul(tf.reshape(projected, [BATCH, -1]), hidden @ filters, transpose_b=True)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    return loss


def episode(rng: np.random.Generator, labels: np.ndarray, texts: PooledTexts, way: int, batch: int) -> np.ndarray:
    """Draw K classes that have images, a part of each one's text, and B of their images.

    Returns:
        int [K + 2 B]: rows of the parts, rows of the images, and the images' labels in 0..K-1.
    """
    classes = rng.permutation(np.unique(labels))[:way]
    parts = [rng.choice(np.flatnonzero(texts.classes == label)) for label in classes]
    drawn = rng.integers(0, len(classes), batch)
    images = [rng.choice(np.flatnonzero(labels == classes[place])) for place in drawn]
    return np.concatenate([parts, images, drawn])


def initial_weights(rng: np.random.Generator, features: int, entries: int, channels: int | None) -> list[np.ndarray]:
    """Return the weights that training starts from, at which the scores of standardised features have variance 1 or so."""
    weights = [
        uniform(rng, (features, PROJECTED), 1 / features),
        uniform(rng, (entries, HIDDEN), 2 / entries), np.zeros(HIDDEN, np.float32),
        uniform(rng, (HIDDEN, PROJECTED + 1), 1 / (HIDDEN * PROJECTED)), np.zeros(PROJECTED + 1, np.float32)
    ]
    if channels is not None:
        weights += [
            uniform(rng, (channels, CHANNELS), 1 / channels),
            uniform(rng, (HIDDEN, TAPS * CHANNELS), 1 / (HIDDEN * TAPS * CHANNELS))
        ]
    return weights


def windows_of(task: Task, images: Images) -> np.ndarray:
    """Return what a filter's mean response depends on, float32 [M, 9 N]: see `window_means`."""
    def read() -> np.ndarray:
        made = [window_means(np.asarray(maps)) for maps in task.reader.map_batches(images, keep=False)]
        return np.concatenate(made) if made else np.zeros((0, TAPS * task.network.num_neurons), np.float32)

    return task.cached(("windows", images.paths), read)


def window_means(maps: np.ndarray) -> np.ndarray:
    """Return the means, over all positions, of the values at the 9 places around them, which are 0 outside of the map.

    [M, H, W, N] -> float32 [M, 9 N], place by place from the upper left.
    """
    height, width = maps.shape[1:3]
    means = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            inside = maps[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
            means.append(inside.sum(axis=(1, 2)) / (height * width))
    return np.concatenate(means, axis=1).astype(np.float32)
