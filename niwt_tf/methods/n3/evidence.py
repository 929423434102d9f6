"""Which words of the descriptions a written network's answer rests on (section 5.2 of "Language to Network", ACL 2020).

The paper shows the length of the gradient of the loss by each token's vector. The loss of an image that is recognised for sure
has next to no gradient, so here the margin is differentiated, the logit of a class minus its rival's, through the network's
features where layers are adapted, its head, the transformer over classes and that over tokens; and gradient . token tells
evidence for the class (above 0) from evidence against it. The paper's own measure is given beside it.

By the chain rule in two steps: by each class's c_k and mean token, for all K at once; then, a few texts at a time, by tokens.
So memory does not grow with the number of texts, and only the texts that matter need be read by the encoder.

Dimensions: K classes, V variants of a text, P texts at a time, L tokens, E numbers of a token, d width, D features, S pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.n3.adapted import body_of, features_of, weights_of
from niwt_tf.methods.n3.generator import N3Generator
from niwt_tf.methods.n3.options import N3Options
from niwt_tf.methods.text_evidence import ClassEvidence, TextEvidence, whole_words
from niwt_tf.methods.token_table import TokenTable

_TEXTS = 16  # at a time


@dataclass(frozen=True)
class ReadClasses:
    """What the network of K classes is written from.

    Attributes:
        embedded: float32 [K, d], c of each class.
        pooled: float32 [K, E], the mean of its tokens.
    """

    embedded: np.ndarray
    pooled: np.ndarray


@dataclass(frozen=True)
class ClassGradients:
    """Gradients of the margin of a class and its rival for one image, and of the class's cross-entropy, by each class.

    Attributes:
        margin: the logit minus the rival's, calibrated.
        probabilities: float32 [K], softmax of the calibrated logits.
        embedded: float32 [2, K, d], of the margin and of the loss by c.
        pooled: float32 [2, K, E], of both by the mean tokens; 0 without a prior.
        parts: float32 [K], to first order how much of the margin is in each class's text: |d margin / d c_k| |c_k|.
    """

    margin: float
    probabilities: np.ndarray
    embedded: np.ndarray
    pooled: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True)
class TokenGradients:
    """What `EvidenceReader.by_tokens` gives, of P texts.

    Attributes:
        weights: float32 [P, L], gradient of the margin . token.
        squares: float32 [2, P, L], squared length of the gradients of margin and loss.
    """

    weights: np.ndarray
    squares: np.ndarray


class EvidenceReader:
    """Differentiates what a generator writes by the words that it reads; traced once for a number of classes."""

    def __init__(self, generator: N3Generator) -> None:
        """Remember the generator."""
        self.generator = generator
        width, size = generator.seen_embedded.shape[1], generator.seen_pooled.shape[1]
        texts = tf.TensorSpec([None, None, size]), tf.TensorSpec([None, None], tf.bool)
        upstream = tf.TensorSpec([2, None, width]), tf.TensorSpec([2, None, size])
        self._by_classes = tf.function(self._class_gradients, autograph=False)
        self._by_tokens = tf.function(self._token_gradients, input_signature=(*texts, *upstream), autograph=False)
        self._logits_of = tf.function(self._logits, autograph=False)
        self._embed = tf.function(self._read, input_signature=texts, autograph=False)

    @cached_property
    def _body(self) -> Any:
        return body_of(self.generator.network)

    @property
    def _adapts(self) -> bool:
        return bool(self.generator.model.targets)

    def given(self, pixels: np.ndarray) -> np.ndarray:
        """Return what is given to the network that is written, of images float32 [B, S, S, 3].

        That is their features [B, D], or where layers are adapted the pixels.
        """
        if self._adapts:
            return np.asarray(pixels, np.float32)
        return np.asarray(tf.cast(self._body(tf.constant(pixels, tf.float32), training=False), tf.float32))

    def read(self, table: TokenTable, valid: np.ndarray | None = None) -> ReadClasses:
        """Return what a network of the table's classes is written from.

        Args:
            table: their texts.
            valid: bool [K, V, L] in place of the table's, with some tokens taken away; a text without any is passed over.
        """
        valid = table.valid if valid is None else valid
        places = np.argwhere(valid.any(axis=2))
        embedded, pooled = [], []
        for at in range(0, len(places), _TEXTS):
            c, v = places[at : at + _TEXTS].T
            one, other = self._embed(tf.constant(table.values[c, v], tf.float32), tf.constant(valid[c, v]))
            embedded.append(np.asarray(one))
            pooled.append(np.asarray(other))
        counts = np.bincount(places[:, 0], minlength=len(table))[:, None]
        sums = []
        for rows in (np.concatenate(embedded), np.concatenate(pooled)):
            total = np.zeros((len(table), rows.shape[1]), np.float32)
            np.add.at(total, places[:, 0], rows)
            sums.append(total / np.maximum(counts, 1))
        return ReadClasses(*sums)

    def logits(self, given: np.ndarray, classes: ReadClasses) -> np.ndarray:
        """Return the logits [B, K] of images, before calibration, by the network that is written for classes."""
        return np.asarray(self._logits_of(*self._tensors(given, classes)))

    def by_classes(
        self, given: np.ndarray, classes: ReadClasses, own: int, rival: int, shift: np.ndarray | None = None
    ) -> ClassGradients:
        """Return the gradients for one image by the classes.

        Args:
            given: [1, D] or [1, S, S, 3], see `given`.
            classes: K that the network is for.
            own: the class that is explained.
            rival: what it is compared with.
            shift: float32 [K], taken off the logits (a calibration).
        """
        taken = np.zeros(len(classes.embedded), np.float32) if shift is None else np.asarray(shift, np.float32)
        pair = tf.constant(own, tf.int32), tf.constant(rival, tf.int32)
        made = self._by_classes(*self._tensors(given, classes), *pair, tf.constant(taken))
        margin, probabilities, embedded, pooled = (np.asarray(each) for each in made)
        parts = np.linalg.norm(embedded[0], axis=1) * np.linalg.norm(classes.embedded, axis=1)
        return ClassGradients(float(margin), probabilities, embedded, pooled, parts)

    def by_tokens(self, table: TokenTable, places: Sequence[int], gradients: ClassGradients) -> list[TokenGradients]:
        """Return the gradients by the tokens of each class of a table; `places` say which of the K it is."""
        counts = table.counts
        pairs = np.array([(c, v) for c in range(len(table)) for v in range(counts[c])])
        made: list[list[np.ndarray]] = [[], []]
        for at in range(0, len(pairs), _TEXTS):
            c, v = pairs[at : at + _TEXTS].T
            of = np.asarray(places)[c]
            share = counts[c].astype(np.float32)[:, None]  # each text has this part in its class
            weights, squares = self._by_tokens(
                tf.constant(table.values[c, v], tf.float32), tf.constant(table.valid[c, v]),
                tf.constant(gradients.embedded[:, of] / share), tf.constant(gradients.pooled[:, of] / share),
            )
            made[0].append(np.asarray(weights))
            made[1].append(np.asarray(squares))
        weights, squares = np.concatenate(made[0]), np.concatenate(made[1], axis=1)
        return [TokenGradients(weights[pairs[:, 0] == c], squares[:, pairs[:, 0] == c]) for c in range(len(table))]

    def of_words(self, table: TokenTable, places: Sequence[int], gradients: ClassGradients) -> list[ClassEvidence]:
        """Return the words of each class of a table, made of its tokens, see `by_tokens`."""
        made = []
        for c, of_tokens in enumerate(self.by_tokens(table, places, gradients)):
            made.append(_in_words(table, c, of_tokens, float(gradients.probabilities[places[c]])))
        return made

    def _tensors(self, given: np.ndarray, classes: ReadClasses) -> tuple[Any, Any, Any]:
        return tuple(tf.constant(each, tf.float32) for each in (given, classes.embedded, classes.pooled))  # type: ignore[return-value]

    def _read(self, values: Any, valid: Any) -> tuple[Any, Any]:
        """Return c [P, d] and mean tokens [P, E] of texts, tokens [P, L, E] that are `valid` [P, L]."""
        there = tf.cast(valid, tf.float32)[..., None]
        pooled = tf.math.divide_no_nan(tf.reduce_sum(values * there, axis=1), tf.reduce_sum(there, axis=1))
        return self.generator.model.embed(values, valid), pooled

    def _logits(self, given: Any, embedded: Any, pooled: Any) -> Any:
        generator = self.generator
        columns, adaptations = generator.written(embedded, pooled)
        if self._adapts:
            model, adapt = generator.model, N3Options.of(generator.settings).n3_adapt
            weights = weights_of(generator.network, model.targets, adaptations, model.gamma, adapt)
            given = tf.cast(features_of(self._body, weights, given), tf.float32)
        return tf.matmul(generator.standard(given), columns[:, :-1], transpose_b=True) + columns[:, -1]

    def _class_gradients(self, given: Any, embedded: Any, pooled: Any, own: Any, rival: Any, shift: Any) -> tuple[Any, ...]:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch((embedded, pooled))
            logits = (self._logits(given, embedded, pooled) - shift)[0]
            margin = tf.gather(logits, own) - tf.gather(logits, rival)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits)
        zero = tf.UnconnectedGradients.ZERO
        of_both = [tape.gradient(each, (embedded, pooled), unconnected_gradients=zero) for each in (margin, loss)]
        return margin, tf.nn.softmax(logits), *(tf.stack(each) for each in zip(*of_both, strict=True))

    def _token_gradients(self, values: Any, valid: Any, by_embedded: Any, by_pooled: Any) -> tuple[Any, Any]:
        """Return gradient . token [P, L] of the margin, and squared lengths [2, P, L] of margin and loss."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(values)
            read = self._read(values, valid)
        by_margin, by_loss = (tape.gradient(read, values, output_gradients=(by_embedded[n], by_pooled[n])) for n in (0, 1))
        squares = tf.stack([tf.reduce_sum(tf.square(each), axis=-1) for each in (by_margin, by_loss)])
        there = tf.cast(valid, tf.float32)
        return tf.reduce_sum(by_margin * values, axis=-1) * there, squares * there


def text_evidence(
    generator: N3Generator, classes: Descriptions, pixels: np.ndarray, own: str, rival: str, *,
    num_seen: int = 0, calibration: float = 0.0, most: int | None = None
) -> TextEvidence:
    """Return what the texts of a network's K classes say of an image.

    Args:
        generator: what wrote the network.
        classes: its K classes with their texts, the seen ones first, in the generator's order.
        pixels: float32 [S, S, 3], RGB in 0..255.
        own: the class that is explained.
        rival: what it is compared with.
        num_seen: how many of the classes the meta-model was trained on: as many as it has, or 0.
        calibration: what is taken off the seen classes' logits.
        most: how many texts are read word by word; of seen classes, whose c is known, no others are read at all. None is all.

    Raises:
        InputError: a class that is to be read has no text, or the seen classes are others.
    """
    if num_seen and classes.names[:num_seen] != generator.seen:
        raise InputError("The seen classes must be those of the training, in the same order. Received: other classes.")
    reader = EvidenceReader(generator)
    new = np.arange(num_seen, len(classes))
    tables = {}
    embedded, pooled = generator.seen_embedded[:num_seen], generator.seen_pooled[:num_seen]
    if len(new):
        table = generator.table(classes.take(new))
        tables = {int(place): (table, row) for row, place in enumerate(new)}
        read = reader.read(table)
        embedded, pooled = np.concatenate([embedded, read.embedded]), np.concatenate([pooled, read.pooled])
    pair = classes.names.index(own), classes.names.index(rival)
    shift = np.where(np.arange(len(classes)) < num_seen, np.float32(calibration), np.float32(0.0))
    gradients = reader.by_classes(reader.given(pixels[None]), ReadClasses(embedded, pooled), *pair, shift)
    others = [int(place) for place in np.argsort(-gradients.parts, kind="stable") if place not in pair]
    chosen = [*pair, *others][:most]
    missing = sorted(set(chosen) - tables.keys())
    if missing:
        table = generator.table(classes.take(np.array(missing)))
        tables |= {place: (table, row) for row, place in enumerate(missing)}
    found = [reader.of_words(tables[place][0].take([tables[place][1]]), [place], gradients)[0] for place in chosen]
    return TextEvidence(own, rival, gradients.margin, tuple(found))


def _in_words(table: TokenTable, c: int, of_tokens: TokenGradients, probability: float) -> ClassEvidence:
    """Return the words of a class: a word's weight is the sum over its pieces, its size the length over all of them."""
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    columns: list[np.ndarray] = []
    start = 0
    for v in range(int(table.counts[c])):
        text, tokens, pieces = table.texts[c][v], table.words[c][v], table.spans[c][v]
        for group in whole_words(text, pieces):
            begin, end = pieces[group[0]][0], pieces[group[-1]][1]
            words.append(text[begin:end] or tokens[group[0]])
            spans.append((start + begin, start + end))
            columns.append(np.array([of_tokens.weights[v, group].sum(), *np.sqrt(of_tokens.squares[:, v, group].sum(axis=1))]))
        start += len(text) + 1
    weights, sizes, loss_sizes = np.asarray(columns, np.float32).reshape(-1, 3).T
    return ClassEvidence(
        table.names[c], "\n".join(table.texts[c]), tuple(words), tuple(spans), weights, sizes, loss_sizes, probability
    )
