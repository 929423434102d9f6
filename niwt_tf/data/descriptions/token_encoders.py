"""What makes tokens of a text, by `text_features`: a sentence encoder, only its word table, or a file of word vectors."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from niwt_tf.config.surroundings import cache_folder
from niwt_tf.data.arrays import read_arrays
from niwt_tf.data.descriptions.bert import Tokens, bert
from niwt_tf.data.descriptions.tokens import tokens
from niwt_tf.data.descriptions.word_vectors import WordVectors
from niwt_tf.errors import InputError
from niwt_tf.files import replacing

ENCODER, WORDS, VECTORS = "encoder", "encoder_words", "vectors:"
# Features that are made of whole texts have no tokens: a method that reads words then reads them by the encoder.
_WHOLE = ("lsa",)
_AT_ONCE = 256  # texts


class TokenEncoder(Protocol):
    """A text -> its tokens."""

    @property
    def size(self) -> int:
        """E, the numbers of a token."""

    @property
    def identity(self) -> str:
        """A digest that says whether two encoders are the same."""

    @property
    def slow(self) -> bool:
        """Whether it takes longer to make tokens than to read them from a file."""

    def count(self, text: str) -> int:
        """Return how many tokens a text has."""

    def tokens(self, texts: Sequence[str], most: int | None = None, bar: Any = None) -> list[Tokens]:
        """Return the tokens of each text, at most `most`; `bar` is updated by the number of texts."""


def token_encoder(text_features: str, texts: Iterable[str]) -> TokenEncoder:
    """Return what `text_features` names: "encoder", "encoder:FOLDER", "encoder_words[:FOLDER]" or "vectors:FILE".

    Of word vectors, those of the words of `texts` are read.

    Raises:
        InputError: these are no features that have tokens, or what they name is not in order.
    """
    kind, _, place = (ENCODER if text_features in _WHOLE else text_features).partition(":")
    if kind in (ENCODER, WORDS):
        return bert(place, kind == WORDS)
    if kind + ":" == VECTORS and place:
        return VectorTokens(WordVectors.read(Path(os.path.expanduser(place)), texts))
    raise InputError(
        "--text_features must be encoder, encoder_words or vectors:PATH for a method that reads words. "
        f"Received: {text_features!r}."
    )


def kept(kind: str, made_of: Sequence[str], make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return what `make` gives, which is kept in the user's cache folder by the texts that it is made of."""
    path = cache_folder() / kind / f"{hashlib.sha256(chr(0).join(made_of).encode()).hexdigest()}.npz"
    with suppress(OSError, InputError):
        return read_arrays(path)
    made = dict(make())
    with suppress(OSError):  # a home that cannot be written costs time alone
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **made)  # type: ignore[arg-type]
    return made


def tokens_by(encoder: TokenEncoder, texts: Sequence[str], most: int, bar: Any = None) -> list[Tokens]:
    """Return the tokens of each text, at most `most`, with values of float16; those of a slow encoder are kept."""

    def make() -> dict[str, np.ndarray]:
        values, pieces = [np.zeros((0, encoder.size), np.float16)], []
        for start in range(0, len(texts), _AT_ONCE):  # of all of them float32 would take twice as much
            found = encoder.tokens(texts[start : start + _AT_ONCE], most, bar)
            values += [each.values.astype(np.float16) for each in found]
            pieces += [[each.words, each.spans] for each in found]
        return {"values": np.concatenate(values), "pieces": np.frombuffer(json.dumps(pieces).encode(), np.uint8)}

    arrays = kept("tokens", [encoder.identity, str(most), *texts], make) if encoder.slow else make()
    pieces = json.loads(arrays["pieces"].tobytes())
    ends = np.cumsum([len(words) for words, _ in pieces])
    return [
        Tokens(tuple(words), tuple((begin, end) for begin, end in spans), values)
        for (words, spans), values in zip(pieces, np.split(arrays["values"], ends[:-1]), strict=True)
    ] if pieces else []


class VectorTokens:
    """Word vectors as tokens: a word has the same vector wherever it stands, and words without one are passed over."""

    slow = False

    def __init__(self, vectors: WordVectors) -> None:
        self._vectors = vectors
        self._rows = {word: row for row, word in enumerate(vectors.vocabulary)}
        self.size = vectors.vectors.shape[1]
        digest = hashlib.sha256("\n".join(vectors.vocabulary).encode())
        digest.update(np.ascontiguousarray(vectors.vectors).tobytes())
        self.identity = digest.hexdigest()

    def count(self, text: str) -> int:
        """Return how many words of a text have a vector."""
        return sum(word in self._rows for word in tokens(text))

    def tokens(self, texts: Sequence[str], most: int | None = None, bar: Any = None) -> list[Tokens]:
        """Return the known words of each text, at most `most`."""
        made = []
        for text in texts:
            known = [word for word in tokens(text) if word in self._rows][:most]
            values = self._vectors.vectors[[self._rows[word] for word in known]]
            made.append(Tokens(tuple(known), _spans(text, known), values))
        if bar is not None:
            bar.update(len(texts))
        return made


def _spans(text: str, words: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return where words stand in a text, one after the other."""
    found, start = [], 0
    for word in words:
        match = re.compile(re.escape(word), re.IGNORECASE).search(text, start)
        begin, start = match.span() if match else (start, start)
        found.append((begin, start))
    return tuple(found)
