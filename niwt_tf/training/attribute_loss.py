"""An auxiliary loss that makes features tell attributes apart: the head is widened for the time of the training.

Columns of unseen classes are made of what the features say of attributes, but a network that is trained to tell classes apart
keeps only what seen classes need. So it is also trained to predict each image's class attributes, by one more output for each.
The further outputs are thrown away afterwards.

Dimensions: B images of a batch, C classes, K attributes, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from niwt_tf.errors import InputError
from niwt_tf.models.network import Network

# Class names may not hold a line feed, so no class is called like this.
_OUTPUT = "attribute\n{}"


@dataclass(frozen=True)
class AttributeLoss:
    """weight * mean over attributes of the binary cross-entropy of further logits with the class's attributes.

    Attributes:
        targets: float32 [C, K] in [0, 1].
        weight: of the loss, beside the classes' cross-entropy of weight 1.
    """

    targets: np.ndarray
    weight: float

    @classmethod
    def of(cls, descriptions: np.ndarray, weight: float) -> AttributeLoss:
        """Return the loss for raw descriptions [C, K]: each entry from its lowest value among the classes to its highest.

        Entries that all classes share say nothing and are left out.

        Raises:
            InputError: all classes share every entry.
        """
        values = np.asarray(descriptions, np.float64)
        low, span = values.min(axis=0), np.ptp(values, axis=0)
        varied = span > 0
        if not varied.any():
            raise InputError("attribute_loss needs descriptions that differ between classes. Received: the same for all.")
        return cls(((values - low)[:, varied] / span[varied]).astype(np.float32), float(weight))

    def widened(self, network: Network, seed: int) -> Network:
        """Return the network (the same trunk and tail) with a logit for each attribute after those of the C classes."""
        columns, count = network.columns, self.targets.shape[1]
        spread = np.sqrt(2.0 / (len(columns) + columns.shape[1] + count))
        drawn = np.random.default_rng([seed, 11]).normal(0, spread, (len(columns), count)).astype(np.float32)
        names = (*network.class_names, *(_OUTPUT.format(index) for index in range(count)))
        biases = np.concatenate([network.biases, np.zeros(count, np.float32)])
        return network.with_head(np.concatenate([columns, drawn], axis=1), biases, names, network.num_seen)

    def give_back(self, widened: Network, network: Network) -> None:
        """Put the classes' columns and biases of the widened network into the network's own head."""
        classes = len(network.class_names)
        network.head.kernel.assign(widened.columns[:, :classes])
        network.head.bias.assign(widened.biases[:classes])

    def __call__(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the loss [B] of the attributes' logits [B, K] of images of classes [B]."""
        wanted = tf.gather(tf.constant(self.targets), labels)
        return self.weight * tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits), axis=1)
