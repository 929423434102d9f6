"""The meta-model of N3 ("Language to Network", ACL 2020): tokens of K descriptions in, parameters of a K-way network out.

- Tokens2Label (Eq. 2): a transformer over the tokens of one description, and attention that pools them: c_k.
- Labels2Adaptation (Eq. 3): a transformer over the classes: h_1..K.
- Decoders (Eq. 4): the head's columns, and for each adapted layer the columns of its kernel.

The default form is equivariant: no positions stand on the classes, and column k is decoded from its own h_k, so that another
order of the classes gives the same columns in that order. The paper's form is ordered: classes have positions, and a column is
decoded by a query that is learned for its place. As printed it does not leave chance here, for nothing ties place k to class k;
by default the positions of encoder and decoder are therefore the same ones, and the first layer of the head's decoder starts as
the query's (`n3_form=ordered`; `printed` has neither).

Dimensions: K classes, L tokens, E numbers of a token, d width, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_HEADS, _DROPOUT = 4, 0.1
_POSITION_SPREAD = 2.0
_LOGITS = 3.0  # spread of the logits at first


@dataclass(frozen=True)
class Target:
    """A weight that is adapted, as columns.

    Attributes:
        path: of the weight in the Keras model.
        columns: M, output channels.
        size: numbers of a column.
        scale: root mean square of the base's weight, the unit of its adaptation.
    """

    path: str
    columns: int
    size: int
    scale: float


class Block(keras.layers.Layer):
    """A pre-normalised transformer block over the middle axis of [B, L, d]."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.attention = _attention(width, seed)
        self.first, self.second = keras.layers.LayerNormalization(), keras.layers.LayerNormalization()
        self.inner, self.outer = _dense(2 * width, seed + 1, "gelu"), _dense(width, seed + 2)
        self.dropout = keras.layers.Dropout(_DROPOUT, seed=seed)

    def call(self, values: Any, valid: Any = None, training: bool = False) -> Any:
        """Return [B, L, d]; `valid` [B, L] says which are there. Keras takes an argument called mask for its own."""
        normal = self.first(values)
        allowed = None if valid is None else valid[:, None, :]
        values = values + self.dropout(self.attention(normal, normal, attention_mask=allowed), training=training)
        return values + self.dropout(self.outer(self.inner(self.second(values))), training=training)


class Tokens2Label(keras.layers.Layer):
    """Tokens of a description to one embedding of its class (Eq. 2)."""

    def __init__(self, width: int, blocks: int, seed: int) -> None:
        super().__init__()
        self.project, self.dropout = _dense(width, seed), keras.layers.Dropout(_DROPOUT, seed=seed)
        self.blocks = [Block(width, seed + 10 * (number + 1)) for number in range(blocks)]
        self.weigh, self.normalise = _dense(1, seed + 1), keras.layers.LayerNormalization()
        self.last = keras.layers.LayerNormalization()

    def call(self, tokens: Any, valid: Any, training: bool = False) -> Any:
        """Return c [K, d] of tokens [K, L, E] that are `valid` [K, L]."""
        hidden = self.dropout(self.project(tokens), training=training)
        for block in self.blocks:
            hidden = block(hidden, valid=valid, training=training)
        hidden = self.normalise(hidden)
        weights = tf.nn.softmax(tf.where(valid, self.weigh(hidden)[..., 0], -1e9), axis=1)
        return self.last(tf.einsum("kl,kld->kd", weights, hidden))


class HeadDecoder(keras.layers.Layer):
    """Columns and biases of the head, for standardised features (Eq. 4 of the last layer)."""

    def __init__(self, width: int, num_features: int, seed: int, zero: bool) -> None:
        super().__init__()
        self.attention, self.normalise = _attention(width, seed), keras.layers.LayerNormalization()
        self.column = keras.layers.Dense(
            num_features + 1, kernel_initializer="zeros" if zero else keras.initializers.GlorotUniform(seed=seed)
        )
        self.scale = _LOGITS / float(np.sqrt(num_features))

    def call(self, queries: Any, memory: Any) -> Any:
        """Return [K, D + 1] of queries [K, d] and memory [K, d]."""
        seen = self.attention(queries[None], memory[None])[0]
        return self.scale * self.column(self.normalise(queries + seen))


class LayerDecoder(keras.layers.Layer):
    """Columns of one adapted weight, by a learned query for each (Eq. 4)."""

    def __init__(self, width: int, target: Target, seed: int) -> None:
        super().__init__()
        self.target = target
        self.attention, self.normalise = _attention(width, seed), keras.layers.LayerNormalization()
        self.column = _dense(target.size, seed + 1)
        self.queries = self.add_weight(
            name="queries", shape=(target.columns, width), initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        )

    def call(self, memory: Any) -> Any:
        """Return [M, size] of memory [K, d]."""
        queries = tf.convert_to_tensor(self.queries)
        return self.column(self.normalise(queries + self.attention(queries[None], memory[None])[0]))


class MetaModel(keras.Model):
    """Descriptions to parameters.

    Args:
        num_features: D.
        targets: weights that are adapted beside the head.
        width: d.
        blocks: of Tokens2Label.
        form: "equivariant", "ordered" or "printed".
        way: K of the ordered forms, which have a position for each class.
        mu: what the adaptation is multiplied by at first (Eq. 6).
        gamma: what the base is multiplied by at first.
        zero: whether the head's decoder starts at zero: what it gives is then added to a prior.
        seed: of all weights.
    """

    def __init__(
        self, num_features: int, targets: Sequence[Target] = (), *, width: int = 128, blocks: int = 2,
        form: str = "equivariant", way: int = 25, mu: float = 0.01, gamma: float = 1.0, zero: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        self.form, self.way, self.targets, self._seed = form, way, tuple(targets), seed
        self.labels = Tokens2Label(width, blocks, seed)
        self.classes = Block(width, seed + 1000)
        self.normalise = keras.layers.LayerNormalization()
        self.head = HeadDecoder(width, num_features, seed + 2000, zero)
        self.decoders = [LayerDecoder(width, target, seed + 3000 + 10 * place) for place, target in enumerate(self.targets)]
        self.mu = self.add_weight(name="mu", shape=(), initializer=keras.initializers.Constant(mu))
        self.gamma = self.add_weight(name="gamma", shape=(), initializer=keras.initializers.Constant(gamma), trainable=False)
        self.prior = self.add_weight(name="prior", shape=(), initializer=keras.initializers.Constant(np.log(10 / num_features)))
        if form != "equivariant":
            spread = keras.initializers.RandomNormal(stddev=_POSITION_SPREAD if form == "ordered" else 0.02, seed=seed + 4000)
            self.places = self.add_weight(name="places", shape=(way, width), initializer=spread)
            if form == "printed":
                other = keras.initializers.RandomNormal(stddev=0.02, seed=seed + 4001)
                self.queries = self.add_weight(name="queries", shape=(way, width), initializer=other)

    def embed(self, tokens: Any, valid: Any, training: bool = False) -> Any:
        """Return c [K, d] of tokens [K, L, E]."""
        return self.labels(tokens, valid=valid, training=training)

    @cached_property
    def embedded(self) -> Any:
        """The graph of `embed` for any number of texts, traced once a model."""
        return tf.function(lambda tokens, valid: self.embed(tokens, valid), reduce_retracing=True, autograph=False)

    def encode(self, embedded: Any, training: bool = False) -> tuple[Any, Any]:
        """Return h [K, d] (Eq. 3), and what the head's columns are decoded by, of c [K, d]."""
        count = tf.shape(embedded)[0]
        values = embedded if self.form == "equivariant" else embedded + self.places[:count]
        hidden = self.normalise(self.classes(values[None], training=training)[0])
        if self.form == "equivariant":
            return hidden, hidden
        return hidden, (self.places if self.form == "ordered" else self.queries)[:count]

    def head_of(self, hidden: Any, queries: Any) -> Any:
        """Return [K, D + 1]: the columns and biases, for standardised features."""
        return self.head(queries, memory=hidden)

    def adaptations(self, hidden: Any) -> list[Any]:
        """Return mu rms(Theta) dTheta of each target, as columns [M, size]."""
        return [self.mu * decoder.target.scale * decoder(hidden) for decoder in self.decoders]

    def weights_without_decoders(self) -> list[np.ndarray]:
        """Return the weights, in their order, of this model without targets."""
        others = {id(weight) for decoder in self.decoders for weight in decoder.weights}
        return [np.asarray(weight) for weight in self.weights if id(weight) not in others]

    def call(self, tokens: Any, valid: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """Return the head [K, D + 1] and the adaptations of K descriptions, tokens [K, L, E] that are `valid` [K, L]."""
        hidden, queries = self.encode(self.embed(tokens, valid, training), training)
        return self.head_of(hidden, queries), self.adaptations(hidden)

    def ready(self, size: int) -> MetaModel:
        """Make all weights, for tokens of `size` numbers, and return the model."""
        count = min(2, self.way)
        self(tf.zeros([count, 1, size]), valid=tf.ones([count, 1], tf.bool))
        attentions = [layer for layer in self._flatten_layers() if isinstance(layer, keras.layers.MultiHeadAttention)]
        for number, layer in enumerate(attentions):
            # Keras copies one initializer with its seed: query, key and value would start as the same matrix.
            for place, dense in enumerate((layer.key_dense, layer.value_dense, layer.output_dense)):
                drawn = keras.initializers.GlorotUniform(seed=self._seed + 100_000 + 10 * number + place)
                dense.kernel.assign(drawn(dense.kernel.shape))
        if self.form == "ordered":
            # Query and key start alike, so that place k looks at class k first.
            self.head.attention.key_dense.kernel.assign(self.head.attention.query_dense.kernel)
        return self


def _attention(width: int, seed: int) -> keras.layers.MultiHeadAttention:
    return keras.layers.MultiHeadAttention(
        _HEADS, width // _HEADS, seed=seed, kernel_initializer=keras.initializers.GlorotUniform(seed=seed)
    )


def _dense(units: int, seed: int, activation: str | None = None) -> keras.layers.Dense:
    return keras.layers.Dense(units, activation=activation, kernel_initializer=keras.initializers.GlorotUniform(seed=seed))
