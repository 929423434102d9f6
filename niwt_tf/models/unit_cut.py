"""A network cut at a fully connected layer: its units are the neurons, as a map of one position.

`--layer` must be a convolution; the analysis of depth (NIWT Section 5.3) goes on to the fully connected layers.
"""

from __future__ import annotations

import keras

from niwt_tf.errors import InputError
from niwt_tf.models.cut import output_of
from niwt_tf.models.network import Network


class UnitNetwork(Network):
    """A `Network` whose map [B, 1, 1, N] holds the N units of a fully connected layer, as they are after their activation."""

    def _split(self, model: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
        units = output_of(model, layer)
        if len(units.shape) != 2:
            raise InputError(f"layer must be fully connected, with an output [batch, units]. Received: {layer!r}.")
        count = int(units.shape[-1])
        as_map = keras.layers.Reshape((1, 1, count), name="units_as_map")(units)
        entry = keras.Input((1, 1, count), name="units")
        flat = keras.layers.Reshape((count,), name="map_as_units")(entry)
        features = self.head_input()
        rest = keras.Model(units, features)(flat) if features is not units else flat
        return keras.Model(model.inputs[0], as_map, name="trunk"), keras.Model(entry, rest, name="tail")


def cut_at(model: keras.Model, layer: str) -> Network:
    """Return the network cut at a convolution or at a fully connected layer; weights are shared.

    Raises:
        InputError: no such layer, or one that cannot be cut at.
    """
    flat = len(output_of(model, layer).shape) == 2
    return (UnitNetwork if flat else Network)(model, layer)

