"""PDCNN with a fully connected layer alone: a text in, a column of the head out. See `pdcnn`.

Dimensions: D features, S seen classes, U new classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.base import Generator, Method
from niwt_tf.methods.baselines.pdcnn import STEPS, Trained, trained
from niwt_tf.methods.baselines.pooled_text import TEXT_SETTINGS, TextCandidate, read_texts
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.task import Task
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class PDCNNGenerator(Generator):
    """Writes columns of texts.

    Attributes:
        trained: what writes them.
    """

    trained: Trained

    reads_texts: ClassVar[bool] = True

    def generate(self, classes: Descriptions) -> HeadParameters:
        """Return columns and biases of new classes beside those of the seen ones, which are written as well."""
        return HeadParameters(classes.names, self._head(self.trained.seen), self._head(self.trained.reader(classes)))

    def synthesize(self, classes: Descriptions) -> HeadParameters:
        """Return columns and biases of K classes alone.

        Raises:
            InputError: there is no class, or one has no text.
        """
        if not len(classes):
            raise InputError("A network must have at least one class. Received: none.")
        return HeadParameters(classes.names, self._head(self.trained.seen[:0]), self._head(self.trained.reader(classes)))

    def _head(self, texts: np.ndarray) -> Columns:
        return self.trained.standard.head(self.trained.writer.head(texts))

    @property
    def provenance(self) -> dict[str, str]:
        """The encoder's digest."""
        return {"encoder": self.trained.reader.identity}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        return self.trained.arrays()


class PDCNN(Method):
    """Candidates are ways of pooling and numbers of steps."""

    name = "pdcnn_fc"
    settings = TEXT_SETTINGS
    reads_texts = True

    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> list[TextCandidate]:
        """Return every pooling with every number of steps; the texts of all tasks are read at once."""
        read_texts(settings, tasks)
        return [TextCandidate(pooling, steps) for pooling in settings.text_pooling for steps in STEPS]

    def fit(self, task: Task, candidate: TextCandidate) -> PDCNNGenerator:
        """Return the writer after the candidate's steps."""
        return PDCNNGenerator(trained(task, candidate.pooling, candidate.steps, conv=False))

    def generator_of(self, settings: Settings, network: Network, arrays: Mapping[str, np.ndarray]) -> PDCNNGenerator:
        """Return the generator whose `arrays` are given."""
        del network
        return PDCNNGenerator(Trained.from_arrays(settings, arrays))

    def candidate_of(self, values: Mapping[str, Any]) -> TextCandidate:
        """Return the candidate whose `as_dict` is given."""
        return TextCandidate.of(values)

    def how(self, candidate: TextCandidate) -> str:
        """Return how a class's parameters are made."""
        return f"written from its text, {candidate.pooling}-pooled, by PDCNN"


METHOD = PDCNN()
