"""From a text to the mean of its words' vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from niwt_tf.data.descriptions.tokens import sentences, tokens
from niwt_tf.data.schema import dimension_names
from niwt_tf.data.vector_files import read_vectors
from niwt_tf.errors import InputError


@dataclass(frozen=True)
class WordVectors:
    """A text -> the mean over its sentences of the mean of their words' vectors: a `niwt_tf.data.schema.TextEncoder`.

    Sentences are averaged and not the words of all, so that a long caption does not outweigh a short one. The most common
    English words have no vector here, and words without one do not count.

    Attributes:
        vocabulary: W words, ascending.
        vectors: float32 [W, K].
    """

    vocabulary: tuple[str, ...]
    vectors: np.ndarray

    @classmethod
    def read(cls, path: Path, texts: Iterable[str], progress: bool = False) -> WordVectors:
        """Read the vectors of the words of `texts` from a file, see `read_vectors`: no more is kept, so it goes with an export.

        Nothing is fitted, so that texts of unseen classes may be among them.

        Raises:
            InputError: the file is not in order, or has none of the words.
        """
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        wanted = {word for text in texts for word in tokens(text)} - ENGLISH_STOP_WORDS
        found = read_vectors(path, wanted, progress)
        if not found:
            raise InputError(f"{path} must have vectors of words that the texts use. Received: none of {len(wanted)} words.")
        vocabulary = sorted(found)
        return cls(tuple(vocabulary), np.stack([found[word] for word in vocabulary]))

    @property
    def names(self) -> tuple[str, ...]:
        """K names."""
        return dimension_names(self.vectors.shape[1])

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [len(texts), K]; a text without a known word is 0."""
        return np.stack([self._mean(text) for text in texts]).astype(np.float32)

    def known(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text that have a vector and those that have none, each once, in order."""
        words = list(dict.fromkeys(tokens(text)))
        return [word for word in words if word in self._places], [word for word in words if word not in self._places]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, for an .npz file; `from_arrays` takes them back."""
        # One long text: in an array of words each would take the room of the longest.
        return {"vocabulary": np.frombuffer("\n".join(self.vocabulary).encode(), np.uint8), "vectors": self.vectors}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> WordVectors:
        """Return what `arrays` gave.

        Raises:
            InputError: an array is missing, or their shapes or types do not belong together.
        """
        try:
            vocabulary = arrays["vocabulary"].astype(np.uint8).tobytes().decode().split("\n")
            words = cls(tuple(vocabulary), arrays["vectors"])
            fits = words.vectors.ndim == 2 and len(words.vectors) == len(vocabulary)
            fits = fits and bool(np.isfinite(words.vectors).all())
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise InputError("words.npz must hold a vocabulary and a vector of each word. Received: others.")
        return words

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.vocabulary)}

    def _mean(self, text: str) -> np.ndarray:
        means = []
        for sentence in sentences(text):
            places = [self._places[word] for word in tokens(sentence) if word in self._places]
            if places:
                means.append(self.vectors[places].mean(axis=0, dtype=np.float64))
        return np.mean(means, axis=0) if means else np.zeros(self.vectors.shape[1])
