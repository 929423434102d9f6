"""PDCNN with a fully connected layer and filters over the conv map ("fc+conv"), which scores images and makes no network.

The filters lie beside the layers that make the features, so that no head of the network holds them. See `pdcnn`.

Dimensions: M images, D features, S seen classes, U new classes, C = S + U, N channels of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions, Images
from niwt_tf.methods.base import Generator
from niwt_tf.methods.baselines.pdcnn import STEPS, Trained, trained, windows_of
from niwt_tf.methods.baselines.pooled_text import TextCandidate, TextMethod
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.parameters import Parameters
from niwt_tf.methods.task import Task
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class ConvParameters(Parameters):
    """A head for the features, and one for the windows of the conv map.

    Attributes:
        features: columns float32 [D, C] and biases [C].
        windows: columns float32 [9 N, C] and biases [C].
        figures: none.
    """

    features: Columns
    windows: Columns
    figures: Mapping[str, float] = field(default_factory=dict)

    def scores(self, task: Task, images: Images) -> np.ndarray:
        """Return float32 [M, C]: the fully connected layer's scores and the filters' mean responses."""
        (columns, biases), (filters, shifts) = self.features, self.windows
        return task.features(images) @ columns + biases + windows_of(task, images) @ filters + shifts

    def apply(self, network: Network) -> Network:
        """Refuse: the network has no place for filters of classes."""
        raise TypeError("PDCNN's filters are outside the network: it scores images and is not a network itself.")


@dataclass(frozen=True)
class PDCNNConvGenerator(Generator):
    """Writes columns and filters of texts.

    Attributes:
        trained: what writes them.
    """

    trained: Trained

    reads_texts: ClassVar[bool] = True

    def generate(self, classes: Descriptions) -> ConvParameters:
        """Return what scores seen classes and new ones."""
        return self._parameters(np.concatenate([self.trained.seen, self.trained.reader(classes)]))

    def _parameters(self, texts: np.ndarray) -> ConvParameters:
        made, windows = self.trained, self.trained.windows
        assert windows is not None, "it was trained with filters"
        filters = np.pad(made.writer.filters(texts), ((0, 0), (0, 1)))  # without a bias
        return ConvParameters(made.standard.head(made.writer.head(texts)), windows.head(filters))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        return self.trained.arrays()


class PDCNNConv(TextMethod):
    """Its candidates share one training: their steps are stops of it."""

    name = "pdcnn_conv"
    steps = STEPS

    def fit(self, task: Task, candidate: TextCandidate) -> PDCNNConvGenerator:
        """Return the writer after the candidate's steps."""
        return PDCNNConvGenerator(trained(task, candidate.pooling, candidate.steps, conv=True))

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> PDCNNConvGenerator:
        """Return the generator whose `arrays` are given."""
        del network
        return PDCNNConvGenerator(Trained.from_arrays(settings, arrays))


METHOD = PDCNNConv()
