"""What a formula's graph makes of descriptions whose numbers are finite and too large all the same: an error, and no answer."""

from __future__ import annotations

from typing import Any

TOO_LARGE = "descriptions must not be so large that their lengths or logits overflow."


def finite(values: Any) -> Any:
    """Return a tensor as it is.

    Raises:
        tf.errors.InvalidArgumentError: a value is not finite (when the operation runs).
    """
    import tensorflow as tf

    return tf.debugging.assert_all_finite(values, TOO_LARGE)


def length(values: Any) -> Any:
    """Return the L2 norms [..., 1] of vectors [..., N]; a norm that is not finite is an error, as in `finite`."""
    import tensorflow as tf

    # What is divided by infinity is 0, as if nothing had been described.
    return finite(tf.norm(values, axis=-1, keepdims=True))
