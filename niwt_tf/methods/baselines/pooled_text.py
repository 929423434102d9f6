"""A class's text as one vector, pooled over its tokens: what the baselines read that know texts (N3, section 4.3).

Dimensions: C classes, S seen classes, R parts of texts, E numbers of a token.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import require
from niwt_tf.methods.base import Generator, Method
from niwt_tf.methods.formula import Columns
from niwt_tf.methods.parameters import HeadParameters
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.task import Task
from niwt_tf.methods.text_options import TextOptions
from niwt_tf.methods.token_table import TokenTable, encoder_of, table_again, table_of

# Of `Settings`: what changes a vector. How tokens are cut is said once for all methods that read them.
TEXT_SETTINGS = ("text_features", "text_pooling", "n3_tokens", "n3_variants", "seed")
POOLINGS = ("max", "mean")
_KEPT = "pooled texts"


@dataclass(frozen=True)
class TextCandidate:
    """What is chosen on validation classes.

    Attributes:
        pooling: "max", as the paper, or "mean".
        steps: of the training.
    """

    pooling: str
    steps: int

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, flat."""
        return {"pooling": self.pooling, "steps": self.steps}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TextCandidate:
        """Return the candidate whose `as_dict` is given."""
        return cls(str(values["pooling"]), int(values["steps"]))


@dataclass(frozen=True)
class PooledTexts:
    """The texts of C classes, each of one part or several, pooled in every way.

    Attributes:
        names: C.
        parts: by pooling, a vector for each part, [R, E]; those of a class stand together.
        classes: int [R], which class a part is of.
        identity: of the encoder.
    """

    names: tuple[str, ...]
    parts: Mapping[str, np.ndarray]
    classes: np.ndarray
    identity: str

    @classmethod
    def of(cls, table: TokenTable, identity: str) -> PooledTexts:
        """Return the texts of a token table."""
        parts = {how: table.parts_pooled(how) for how in POOLINGS}
        classes = np.repeat(np.arange(len(table)), table.counts)
        stacked = {how: np.concatenate(rows) if rows else np.zeros((0, 0), np.float32) for how, rows in parts.items()}
        return cls(table.names, stacked, classes, identity)

    def of_classes(self, how: str) -> np.ndarray:
        """Return a vector for each class, float32 [C, E]: the mean over its parts."""
        return np.stack([self.parts[how][self.classes == c].mean(axis=0) for c in range(len(self.names))])

    def take(self, names: Sequence[str]) -> PooledTexts:
        """Return some of the classes, by their names, in that order."""
        rows = [np.flatnonzero(self.classes == self.names.index(name)) for name in names]
        every = np.concatenate(rows)
        classes = np.repeat(np.arange(len(names)), [len(each) for each in rows])
        return PooledTexts(tuple(names), {how: each[every] for how, each in self.parts.items()}, classes, self.identity)


def read_texts(settings: Settings, tasks: Sequence[Task]) -> None:
    """Read the texts of all tasks at once, main first: the folds' classes are among its own.

    Raises:
        InputError: a class has no text, or what `text_features` names has no tokens.
    """
    main = tasks[0]
    texts = _texts_of(settings, main)
    for task in tasks[1:]:
        task.keep(_KEPT, texts.take(task.descriptions.names))


def texts_of(task: Task) -> PooledTexts:
    """Return the pooled texts of a task's S classes."""
    return _texts_of(task.settings, task)


def _texts_of(settings: Settings, task: Task) -> PooledTexts:
    def make() -> PooledTexts:
        encoder = encoder_of(settings, task.descriptions)
        table = table_of(settings, task.descriptions, encoder, task.reader.execution.progress)
        return PooledTexts.of(table, encoder.identity)

    return task.cached(_KEPT, make)


@dataclass(frozen=True)
class TextReader:
    """What makes standardised vectors of the texts of any classes, as those of the training were made.

    Attributes:
        settings: that it was trained with.
        pooling: how tokens were pooled.
        standard: of the seen classes' vectors.
        identity: of the encoder.
    """

    settings: Settings
    pooling: str
    standard: Standard
    identity: str

    @classmethod
    def of(cls, task: Task, pooling: str) -> TextReader:
        """Return the reader of a task."""
        texts = texts_of(task)
        return cls(task.settings, pooling, Standard.of(texts.of_classes(pooling)), texts.identity)

    def __call__(self, classes: Descriptions) -> np.ndarray:
        """Return vectors [C, E] of classes; none takes no encoder.

        Raises:
            InputError: a class has no text, or the encoder is another one than in the training.
        """
        if not len(classes):
            return np.zeros((0, len(self.standard.mean)), np.float32)
        read = _read(self.settings, classes.names, classes.texts, self.identity)
        return np.asarray(self.standard(read.of_classes(self.pooling)), np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything but the settings as arrays by name."""
        standard = {"text_mean": self.standard.mean, "text_deviation": self.standard.deviation}
        return {**standard, "pooling": np.array(self.pooling), "encoder": np.array(self.identity)}

    @classmethod
    def from_arrays(cls, settings: Settings, arrays: Mapping[str, np.ndarray]) -> TextReader:
        """Return what `arrays` gave."""
        standard = Standard(arrays["text_mean"], arrays["text_deviation"])
        return cls(settings, str(arrays["pooling"]), standard, str(arrays["encoder"]))


@lru_cache(maxsize=16)  # every candidate of a fold asks for the same validation classes
def _read(settings: Settings, names: tuple[str, ...], texts: tuple[str, ...] | None, identity: str) -> PooledTexts:
    classes = Descriptions(names, np.zeros((len(names), 0), np.float32), texts)
    return PooledTexts.of(table_again(settings, classes, identity, "the method"), identity)


class TextHead(Generator):
    """What writes a column of the head of a class's own text."""

    reads_texts: ClassVar[bool] = True

    @property
    @abstractmethod
    def text_reader(self) -> TextReader:
        """What makes vectors of texts."""

    @property
    @abstractmethod
    def seen_texts(self) -> np.ndarray:
        """The seen classes' vectors, [S, E]."""

    @abstractmethod
    def head_of(self, texts: np.ndarray) -> Columns:
        """Return columns [D, C] and biases [C] of vectors [C, E]."""

    def generate(self, classes: Descriptions) -> HeadParameters:
        """Return columns and biases of new classes beside those of the seen ones, which are written as well."""
        return HeadParameters(classes.names, self.head_of(self.seen_texts), self.head_of(self.text_reader(classes)))

    def synthesize(self, classes: Descriptions) -> HeadParameters:
        """Return columns and biases of K classes alone.

        Raises:
            InputError: there is no class, or one has no text.
        """
        require(len(classes), "A network must have at least one class. Received: none.")
        return HeadParameters(classes.names, self.head_of(self.seen_texts[:0]), self.head_of(self.text_reader(classes)))

    @property
    def provenance(self) -> dict[str, str]:
        """The encoder's digest."""
        return {"encoder": self.text_reader.identity}


class TextMethod(Method):
    """A method whose candidates are ways of pooling a text and numbers of steps.

    Attributes:
        steps: the numbers to choose from.
    """

    settings = TEXT_SETTINGS
    options = (TextOptions,)
    reads_texts = True
    steps: ClassVar[tuple[int, ...]]

    @property
    def built_in(self) -> list[int]:
        """The numbers of steps."""
        return list(self.steps)

    def candidates(self, settings: Settings, tasks: Sequence[Task]) -> list[TextCandidate]:
        """Return every pooling with every number of steps; the texts of all tasks are read at once."""
        read_texts(settings, tasks)
        return [TextCandidate(pooling, steps) for pooling in TextOptions.of(settings).text_pooling for steps in self.steps]

    def candidate_of(self, values: Mapping[str, Any]) -> TextCandidate:
        """Return the candidate whose `as_dict` is given."""
        return TextCandidate.of(values)
