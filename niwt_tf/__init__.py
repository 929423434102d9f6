"""Zero-shot image classifiers from class descriptions: Neuron Importance-aware Weight Transfer in TensorFlow.

`Niwt` and `load_dataset` are imported on first use, so that `import niwt_tf` needs no TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from niwt_tf.config.surroundings import choose_keras_backend
from niwt_tf.errors import InputError

choose_keras_backend()

if TYPE_CHECKING:
    from niwt_tf.data.load import load_dataset
    from niwt_tf.estimator.classifier import Niwt

__version__ = "0.2.0"
__all__ = ["InputError", "Niwt", "__version__", "load_dataset"]

_HOMES = {"Niwt": "niwt_tf.estimator.classifier", "load_dataset": "niwt_tf.data.load"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
