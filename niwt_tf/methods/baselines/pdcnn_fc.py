"""PDCNN with a fully connected layer alone: a text in, a column of the head out. See `pdcnn`.

Dimensions: D features, S seen classes, U new classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.methods.baselines.pdcnn import STEPS, Trained, trained
from niwt_tf.methods.baselines.pooled_text import TextCandidate, TextHead, TextMethod, TextReader
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.task import Task
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class PDCNNGenerator(TextHead):
    """Writes columns of texts.

    Attributes:
        trained: what writes them.
    """

    trained: Trained

    @property
    def text_reader(self) -> TextReader:
        """What makes vectors of texts."""
        return self.trained.reader

    @property
    def seen_texts(self) -> np.ndarray:
        """The seen classes' vectors, [S, E]."""
        return self.trained.seen

    def head_of(self, texts: np.ndarray) -> Columns:
        """Return columns [D, C] and biases [C] of vectors [C, E]."""
        return self.trained.standard.head(self.trained.writer.head(texts))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        return self.trained.arrays()


class PDCNN(TextMethod):
    """Its candidates share one training: their steps are stops of it."""

    name = "pdcnn_fc"
    steps = STEPS

    def fit(self, task: Task, candidate: TextCandidate) -> PDCNNGenerator:
        """Return the writer after the candidate's steps."""
        return PDCNNGenerator(trained(task, candidate.pooling, candidate.steps, conv=False))

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> PDCNNGenerator:
        """Return the generator whose `arrays` are given."""
        del network
        return PDCNNGenerator(Trained.from_arrays(settings, arrays))

    def how(self, candidate: TextCandidate) -> str:
        """Return how a class's parameters are made."""
        return f"written from its text, {candidate.pooling}-pooled, by PDCNN"


METHOD = PDCNN()
