"""Passes over images by the package against `keras.Model.predict`: the same network, the same batches.

What a call costs once (tracing, compilation) and what a further image costs are told apart by timing one batch and all of them:
the package traces its functions in every call, as a job makes one, while `predict` keeps its own for the model's life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import tensorflow as tf

from benchmarks.birds_run import BirdsRun
from benchmarks.harness import Comparison, Goal, Series, interleaved
from niwt_tf.compute import features as reader
from niwt_tf.data.images.decode import decode_image
from niwt_tf.data.images.pipeline import image_batches
from niwt_tf.data.schema import Images, TestData, test_data
from niwt_tf.models.backbones import build_network
from niwt_tf.models.network import Network

BATCH = 32


@dataclass(frozen=True)
class ForwardCase:
    """A network and the test images that it is timed on.

    Attributes:
        name: of the network.
        network: the run's own or a random one with the same classes.
        test: labels index the network's classes, seen ones first.
        repetitions: of each side.
    """

    name: str
    network: Network
    test: TestData
    repetitions: int

    @property
    def one_batch(self) -> TestData:
        """The first batch alone."""
        return TestData(self.test.images.take(np.arange(min(BATCH, len(self.test.images)))), self.test.num_seen)


def cases(birds: BirdsRun) -> list[ForwardCase]:
    """Return the run's expanded small_vgg and a random MobileNetV2."""
    small = birds.network()
    big = build_network("mobilenet_v2", small.class_names, weights="none", dropout=0.0)
    big = big.with_head(big.columns, big.biases, small.class_names, small.num_seen)
    return [
        ForwardCase("small_vgg, 64 px", small, _tests(birds, small, 32 * BATCH), 7),
        ForwardCase("mobilenet_v2, 224 px", big, _tests(birds, big, 6 * BATCH), 3),
    ]


def _tests(birds: BirdsRun, network: Network, count: int) -> TestData:
    test = test_data(birds.dataset)
    number = min(count, len(test.images)) // BATCH * BATCH or len(test.images)
    taken = test.images.take(np.linspace(0, len(test.images) - 1, number).round().astype(np.int64))
    index = np.array([network.class_names.index(name) for name in taken.class_names])
    labels = index[taken.labels].astype(np.int32)
    return TestData(Images(taken.root, taken.paths, labels, network.class_names), network.num_seen)


def predict(network: Network, batches: tf.data.Dataset) -> Callable[[], Any]:
    """Return plain `keras.Model.predict` over batches of (pixels, labels)."""
    pixels = batches.map(lambda batch, labels: batch)
    return lambda: network.model.predict(pixels, verbose=0)


def from_files(images: Images, size: int) -> tf.data.Dataset:
    """Return the same batches by tf.data, which reads and decodes files as they are taken."""
    paths, labels = [str(images.root / path) for path in images.paths], np.asarray(images.labels, np.int32)
    rows = tf.data.Dataset.from_tensor_slices((paths, labels))
    pixels = rows.map(lambda path, label: (decode_image(tf.io.read_file(path), size), label), tf.data.AUTOTUNE)
    return pixels.batch(BATCH).prefetch(2)


def from_memory(images: Images, size: int) -> tf.data.Dataset:
    """Return the same batches, decoded beforehand."""
    batches = list(image_batches(images, size, BATCH))
    pixels, labels = (np.concatenate([np.asarray(batch[part]) for batch in batches]) for part in (0, 1))
    return tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(BATCH).prefetch(2)


def against_predict(case: ForwardCase, label: str, call: Callable[[TestData], Any], limit: Goal) -> list[Comparison]:
    """Return the rows of one case: `call` against `predict`, reading files and with decoded images.

    Args:
        case: network and images.
        label: what `call` does.
        call: what the package does with test images.
        limit: of the ratio for a further image.
    """
    size = case.network.input_size
    sides: dict[str, Callable[[], Any]] = {}
    for extent, test in (("all", case.test), ("one", case.one_batch)):
        memory = from_memory(test.images, size)
        sides[f"files, ours, {extent}"] = lambda test=test: call(test)
        sides[f"files, predict, {extent}"] = predict(case.network, from_files(test.images, size))
        sides[f"memory, ours, {extent}"] = lambda test=test, memory=memory: _decoded(memory, call, test)
        sides[f"memory, predict, {extent}"] = predict(case.network, memory)
    seconds = interleaved(sides, case.repetitions, what=f"{label}, {case.name}")
    count, one = len(case.test.images), len(case.one_batch.images)
    rows = []
    for source in ("files", "memory"):
        further = []
        for side in ("ours", "predict"):
            both = zip(seconds[f"{source}, {side}, all"], seconds[f"{source}, {side}, one"], strict=True)
            further.append([(every - first) / (count - one) for every, first in both])
        name = f"{case.name}, {source}"
        rows.append(Comparison(f"{name}: a further image", Series(label, further[0]), Series("predict", further[1]), limit))
        whole = Series(label, seconds[f"{source}, ours, all"]), Series("predict", seconds[f"{source}, predict, all"])
        rows.append(Comparison(f"{name}: {count} images, tracing included", *whole))
    return rows


def _decoded(batches: tf.data.Dataset, call: Callable[[TestData], Any], test: TestData) -> Any:
    with decoded(batches):
        return call(test)


@contextmanager
def decoded(batches: tf.data.Dataset) -> Iterator[None]:
    """Let the package's reader of image files take these batches in their place."""
    with patch.object(reader, "image_batches", lambda *_, **__: batches):
        yield
