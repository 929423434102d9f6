"""Packages that only an extra of this one brings: imported where they are used, or one sentence says how to have them."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import Any

from niwt_tf.errors import InputError, first_line

_LOG = logging.getLogger("niwt_tf")
# By module: how its makers write the package, and the extra that brings it.
PACKAGES = {
    "ai_edge_litert": ("ai-edge-litert", "litert"),
    "gensim": ("gensim", "text"),
    "grpc": ("gRPC", "serve"),
    "keras_hub": ("KerasHub", "hub"),
    "matplotlib": ("Matplotlib", "plots"),
    "onnx": ("onnx", "onnx"),
    "onnxruntime": ("ONNX Runtime", "onnx"),
    "openpyxl": ("openpyxl", "excel"),
    "optuna": ("Optuna", "sweep"),
    "pillow_heif": ("pillow-heif", "heic"),
    "pyarrow": ("pyarrow", "parquet"),
    "ray": ("Ray", "ray"),
    "safetensors": ("safetensors", "text"),
    "streamlit": ("Streamlit", "studio"),
    "tensorboard": ("TensorBoard", "plots"),
    "tensorflow_hub": ("TensorFlow Hub", "hub"),
    "tensorflow_serving": ("tensorflow-serving-api", "serve"),
    "tf2onnx": ("tf2onnx", "onnx"),
    "tokenizers": ("tokenizers", "text"),
}


def imported(module: str, what: str, otherwise: str = "") -> Any:
    """Return a module, for instance "gensim.models", of a package that may not be installed.

    Args:
        module: of one of `PACKAGES`.
        what: what needs it, as the sentence begins: an argument, or a file.
        otherwise: how to do without, for instance "or save it as CSV".

    Raises:
        InputError: the package is not installed, or it cannot be imported.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        is_absent = isinstance(error, ModuleNotFoundError) and error.name in (module, package)
        received = f"no {package}" if is_absent else first_line(error).rstrip(".")
        raise InputError(_sentence(module, what, otherwise, received)) from None


def check_installed(module: str, what: str, otherwise: str = "") -> None:
    """Refuse to begin where a package is not installed, without importing it; the arguments are those of `imported`.

    Raises:
        InputError: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise InputError(_sentence(module, what, otherwise, f"no {module}"))


def to_install(module: str) -> str:
    """Return the name of a module's package, and how to install it: "Ray: pip install 'niwt-tf[ray]'"."""
    name, extra = PACKAGES[module.partition(".")[0]]
    return f"{name}: pip install 'niwt-tf[{extra}]'"


def _sentence(module: str, what: str, otherwise: str, received: str) -> str:
    return f"{what} needs {to_install(module)}{f', {otherwise}' if otherwise else ''}. Received: {received}."


def is_left_out(what: str, module: str) -> bool:
    """Return whether files are left out as a package is not installed; a line of the log then says it."""
    if importlib.util.find_spec(module) is not None:
        return False
    _LOG.info("Left out: %s, for want of %s.", what, to_install(module))
    return True
