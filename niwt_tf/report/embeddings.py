"""Points for TensorBoard's projector: test images by their features, and classes by their columns of the head.

Dimensions: M points, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from niwt_tf.data.schema import TestData
from niwt_tf.experiments.scoring import Scored
from niwt_tf.method.execution import Execution
from niwt_tf.method.reader import Reader
from niwt_tf.models.network import Network
from niwt_tf.report.balanced_draw import balanced_draw


@dataclass(frozen=True)
class Embedding:
    """Points with what is known of each.

    Attributes:
        name: of the set of points; also of its files.
        vectors: [M, D].
        metadata: columns of M texts by name.
        pictures: M image files to show in place of the points; empty for none.
    """

    name: str
    vectors: np.ndarray
    metadata: Mapping[str, Sequence[str]]
    pictures: tuple[Path, ...] = ()


def image_embedding(
    network: Network, test: TestData, scored: Scored, execution: Execution, *, most: int = 2000, seed: int = 0
) -> Embedding:
    """Return test images by their features, at most `most`, of each class as many if it has them, drawn at random with `seed`.

    Args:
        network: whose features.
        test: the test images.
        scored: the network's answers on them, in their order.
        execution: how the network is run.
        most: of images.
        seed: of the draw.
    """
    every = np.arange(len(test.images))
    chosen = np.sort(balanced_draw(scored.labels, every, most, np.random.default_rng(seed)))
    images, labels = test.images.take(chosen), scored.labels[chosen]
    predicted, names = scored.evaluation.predictions[chosen], network.class_names
    metadata = {
        "class": [names[label] for label in labels],
        "role": [_role(label, network.num_seen) for label in labels],
        "predicted": [names[label] for label in predicted],
        "right": ["right" if same else "wrong" for same in labels == predicted],
    }
    pictures = tuple(images.root / path for path in images.paths)
    return Embedding("test_images", np.asarray(Reader(network, execution).features(images)), metadata, pictures)


def class_embedding(network: Network) -> Embedding:
    """Return the classes by their columns of the head [C, D]."""
    roles = [_role(number, network.num_seen) for number in range(len(network.class_names))]
    return Embedding("classes", network.columns.T, {"class": network.class_names, "role": roles})


def _role(label: int, num_seen: int) -> str:
    return "seen" if label < num_seen else "unseen"
