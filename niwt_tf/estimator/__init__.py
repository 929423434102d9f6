"""`Niwt`, the whole of the package from Python, and what it needs to take data as they come."""

from niwt_tf.estimator.classifier import Niwt

__all__ = ["Niwt"]
