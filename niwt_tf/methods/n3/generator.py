"""A trained meta-model with all that it needs to write networks: descriptions of K classes in, the parameters of a network out.

Dimensions: K classes, S seen classes, D features, E numbers of a token, d width of the meta-model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from niwt_tf.config.settings import Settings
from niwt_tf.data.schema import Descriptions
from niwt_tf.errors import InputError
from niwt_tf.methods.base import Generator
from niwt_tf.methods.n3.adapted import weights_of
from niwt_tf.methods.n3.meta_model import MetaModel
from niwt_tf.methods.n3.options import N3Options
from niwt_tf.methods.n3.prior import LinearPrior
from niwt_tf.methods.parameters import NetworkParameters
from niwt_tf.methods.standard import Standard
from niwt_tf.methods.token_table import TokenTable, table_again
from niwt_tf.models.network import Network


@dataclass(frozen=True)
class N3Generator(Generator):
    """The meta-model as it was trained on S seen classes.

    Attributes:
        settings: that it was trained with.
        network: the base.
        model: the meta-model.
        standard: of the base's features.
        prior: of the head, or None.
        seen: names of the seen classes, which a network of seen and new classes is written from too.
        seen_embedded: float32 [S, d], what the meta-model's first part makes of their texts.
        seen_pooled: float32 [S, E], the mean of their tokens.
        encoder_identity: of the encoder whose tokens it was trained on.
        known: tokens that need not be read again: classes of these names have these texts. None for none.
    """

    settings: Settings
    network: Network
    model: MetaModel
    standard: Standard
    prior: LinearPrior | None
    seen: tuple[str, ...]
    seen_embedded: np.ndarray
    seen_pooled: np.ndarray
    encoder_identity: str
    known: TokenTable | None = None

    # Every class has a part in every column: whoever adds one writes all anew.
    independent: ClassVar[bool] = False
    reads_texts: ClassVar[bool] = True

    def generate(self, classes: Descriptions) -> NetworkParameters:
        """Return the parameters of a network of the seen classes and new ones."""
        embedded, pooled = self._read(classes)
        every = np.concatenate([self.seen_embedded, embedded]), np.concatenate([self.seen_pooled, pooled])
        return self._written(classes.names, *every, len(self.seen))

    def synthesize(self, classes: Descriptions) -> NetworkParameters:
        """Return the parameters of a network of K classes alone, none of which was seen.

        Raises:
            InputError: there is no class.
        """
        if not len(classes):
            raise InputError("A network must have at least one class. Received: none.")
        return self._written(classes.names, *self._read(classes), 0)

    def table(self, classes: Descriptions) -> TokenTable:
        """Return the classes' tokens, by the encoder of the training.

        Raises:
            InputError: a class has no text, or the encoder is another one than then.
        """
        if self.known is not None and set(classes.names) <= set(self.known.names):
            return self.known.take([self.known.names.index(name) for name in classes.names])
        return table_again(self.settings, classes, self.encoder_identity, "the meta-model")

    def written(self, embedded: Any, pooled: Any) -> tuple[Any, list[Any]]:
        """Return the head [K, D + 1] for standardised features and the adaptations, of c [K, d] and mean tokens [K, E].

        All are tensors, so that gradients go through them.
        """
        # An ordered form has places for so many classes: a network of more is written a group at a time.
        count = int(embedded.shape[0])
        size = count if self.model.form == "equivariant" else self.model.way
        groups = [self.model.encode(embedded[at : at + size]) for at in range(0, count, size)]
        columns = tf.concat([self.model.head_of(*group) for group in groups], axis=0)
        adaptations = [tf.reduce_mean(tf.stack(each), axis=0) for each in zip(
            *(self.model.adaptations(hidden) for hidden, _ in groups), strict=True
        )]
        if self.prior is not None:
            columns = columns + tf.exp(self.model.prior) * self.prior.head(pooled)
        return columns, adaptations

    def _read(self, classes: Descriptions) -> tuple[np.ndarray, np.ndarray]:
        if not len(classes):
            return self.seen_embedded[:0], self.seen_pooled[:0]
        table = self.table(classes)
        return embedded_of(self.model, table), table.pooled

    def _written(
        self, names: tuple[str, ...], embedded: np.ndarray, pooled: np.ndarray, num_seen: int
    ) -> NetworkParameters:
        columns, adaptations = self.written(tf.constant(embedded), tf.constant(pooled, tf.float32))
        adapt = N3Options.of(self.settings).n3_adapt
        adapted = weights_of(self.network, self.model.targets, adaptations, self.model.gamma, adapt)
        weights = {path: np.asarray(value) for path, value in adapted.items()}
        return NetworkParameters(names, weights, *self.standard.head(np.asarray(columns)), num_seen, self._norms(weights))

    def _norms(self, weights: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return how far the adapted weights are from the base's, in units of these."""
        if not weights:
            return {}
        base = {each.path: each.numpy() for each in self.network.model.weights}
        moved = sum(float(np.square(value - base[path]).sum()) for path, value in weights.items())
        whole = sum(float(np.square(base[path]).sum()) for path in weights)
        return {"adaptation": float(np.sqrt(moved / max(whole, 1e-30)))}

    @property
    def provenance(self) -> dict[str, str]:
        """The encoder's and the meta-model's digests."""
        digest = hashlib.sha256()
        # All that the numbers of a network depend on: the meta-model, the scale of features, the prior, and the base.
        arrays = {**self.arrays(), **{f"network/{each.path}": each.numpy() for each in self.network.model.weights}}
        for name in sorted(arrays):
            digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
        return {"encoder": self.encoder_identity, "meta_model": digest.hexdigest()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name."""
        weights = {f"meta_{place}": np.asarray(each) for place, each in enumerate(self.model.weights)}
        # The network beside these may have other weights: those that were adapted are kept as they were.
        base = {each.path: each.numpy() for each in self.network.model.weights}
        kept = {f"base/{target.path}": base[target.path] for target in self.model.targets}
        return {
            **weights,
            **kept,
            "mean": self.standard.mean,
            "deviation": self.standard.deviation,
            "seen_names": np.array(self.seen),
            "seen_embedded": self.seen_embedded,
            "seen_pooled": self.seen_pooled,
            "encoder": np.array(self.encoder_identity),
            "scales": np.array([target.scale for target in self.model.targets]),
            **({} if self.prior is None else self.prior.arrays()),
        }


def embedded_of(model: MetaModel, table: TokenTable) -> np.ndarray:
    """Return c float32 [K, d] of the table's classes: the mean over a class's variants."""
    rows = []
    for c, count in enumerate(table.counts):
        values, valid = tf.constant(table.values[c, :count], tf.float32), tf.constant(table.valid[c, :count])
        rows.append(np.asarray(model.embedded(values, valid)).mean(axis=0))
    return np.stack(rows)
