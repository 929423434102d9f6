"""From a text to the topics of the seen classes' texts: TF-IDF and a truncated SVD, applied without scikit-learn.

What was fitted is a vocabulary of W words, their inverse document frequencies and K topics. It is three arrays, so that it can
go with an exported network, and the sums are taken in scikit-learn's order, so that a text gives the same bits as it did there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from niwt_tf.data.descriptions.tokens import Vocabulary, tokens
from niwt_tf.errors import InputError, require


@dataclass(frozen=True)
class Words(Vocabulary):
    """A text -> K topic weights: latent semantic analysis, a `niwt_tf.data.schema.TextEncoder`."""

    vocabulary: tuple[str, ...]  # W, ascending
    frequencies: np.ndarray  # float64 [W], the inverse document frequency of each
    topics: np.ndarray  # float64 [K, W], the directions of the SVD

    @classmethod
    def fit(cls, documents: Sequence[str], most_topics: int) -> Words:
        """Fit on S documents: at most `most_topics`, S and W topics.

        Raises:
            InputError: the documents hold no word but the most common English ones.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            tokenizer=tokens, token_pattern=None, lowercase=False, stop_words="english", sublinear_tf=True
        )
        try:
            fitted = vectorizer.fit_transform(documents)
        except ValueError as error:
            raise InputError(f"knowledge of texts needs words in the seen classes' texts. Received: {error}.") from None
        vocabulary = vectorizer.get_feature_names_out()
        count = min(most_topics, len(documents), len(vocabulary))
        # Texts that are all the same have no variance, whose share scikit-learn would warn about; nothing here reads it.
        with np.errstate(divide="ignore", invalid="ignore"):
            topics = TruncatedSVD(count, n_iter=10, random_state=0).fit(fitted).components_
        return cls(tuple(vocabulary.tolist()), vectorizer.idf_, topics)

    @property
    def names(self) -> tuple[str, ...]:
        """K names, each with the three words that weigh most."""
        strongest = np.argsort(-np.abs(self.topics), axis=1, kind="stable")[:, :3]
        return tuple(
            f"topic {number}: " + ", ".join(self.vocabulary[word] for word in words)
            for number, words in enumerate(strongest, start=1)
        )

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return topic weights float32 [len(texts), K]; a text without a known word is 0."""
        return np.stack([self._weights(text) for text in texts]).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, for an .npz file; `from_arrays` takes them back."""
        # One long text: in an array of words each would take the room of the longest.
        letters = np.frombuffer("\n".join(self.vocabulary).encode(), np.uint8)
        return {"vocabulary": letters, "frequencies": self.frequencies, "topics": self.topics}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Words:
        """Return what `arrays` gave.

        Raises:
            InputError: an array is missing, or their shapes or types do not belong together.
        """
        try:
            vocabulary = arrays["vocabulary"].astype(np.uint8).tobytes().decode().split("\n")
            words = cls(tuple(vocabulary), arrays["frequencies"], arrays["topics"])
            size = len(words.vocabulary)
            fits = words.frequencies.shape == (size,) and words.topics.ndim == 2 and words.topics.shape[1] == size
            fits = fits and bool(np.isfinite(words.frequencies).all() and np.isfinite(words.topics).all())
        except (KeyError, TypeError, ValueError):
            fits = False
        require(fits, "words.npz must hold a vocabulary, a frequency of each word and topics of them. Received: other arrays.")
        return words

    def _weights(self, text: str) -> np.ndarray:
        counted = Counter(place for word in tokens(text) if (place := self._places.get(word)) is not None)
        result = np.zeros(len(self.topics))
        if not counted:
            return result
        places = np.array(sorted(counted))
        weights = (np.log(np.array([float(counted[place]) for place in places])) + 1.0) * self.frequencies[places]
        # Running sums: one after the other, as scikit-learn adds, not in numpy's pairs.
        weights /= np.sqrt(np.cumsum(weights * weights)[-1])
        return np.cumsum(weights[:, None] * self.topics[:, places].T, axis=0)[-1]
