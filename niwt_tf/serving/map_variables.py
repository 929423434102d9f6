"""Which root variables of a bundle hold its column map."""

from __future__ import annotations

import numpy as np

from niwt_tf.method.column_map import ColumnMap

# The names are those of `ColumnMap.arrays`.
MAP_VARIABLES = ("map_weights", "map_bias", "centre", "basis", "means", "covariance", "statistics")
_FIXED = ("normalisation", "block_sizes", "block_weights", "is_discriminant")


def map_variables(column_map: ColumnMap) -> dict[str, np.ndarray]:
    """Return the arrays of a column map that become variables, float32."""
    arrays = column_map.arrays()
    return {name: np.asarray(arrays[name], np.float32) for name in MAP_VARIABLES}


def fixed_entries(column_map: ColumnMap) -> dict[str, object]:
    """Return what of a column map the graph has built in, as values for niwt.json."""
    arrays = column_map.arrays()
    return {name: arrays[name].tolist() for name in _FIXED}
