"""One version of a model, loaded and warmed up, that answers requests by name of signature."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import error_codes_pb2, saved_model_pb2

from niwt_tf.serving.bundle.bundle import Bundle, is_bundle
from niwt_tf.serving.bundle.warmup import read_warmup
from niwt_tf.serving.client.transport import RequestError
from niwt_tf.serving.predict import Servable, opened

DEFAULT_SIGNATURE = "serving_default"
# What the Session of Python says before what the graph said.
_PREFIX = "Graph execution error:\n\n"


@dataclass
class LoadedVersion:
    """One version that is loaded, with the SignatureDef of each signature."""

    number: int
    definitions: Mapping[str, Any]
    servable: Servable
    closing: ExitStack = field(repr=False)
    users: int = 0
    is_retired: bool = False

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature by name; "" is the default signature.

        Raises:
            RequestError: no such signature, other inputs than it takes, or it cannot be computed on them.
        """
        definition = self.definition(signature)
        missing, extra = definition.inputs.keys() - inputs.keys(), inputs.keys() - definition.inputs.keys()
        if missing or extra:
            said = f"Sent extra: {{{','.join(sorted(extra))}}}. Missing but required: {{{','.join(sorted(missing))}}}."
            raise RequestError("INVALID_ARGUMENT", f"Inputs do not match the signature. {said}")
        for name, value in inputs.items():
            expected = tf.as_dtype(definition.inputs[name].dtype)
            if tf.as_dtype(value.dtype) != expected:
                raise RequestError("INVALID_ARGUMENT", f"{name} must be {expected.name}. Received: {value.dtype}.")
        try:
            return self.servable.run(signature or DEFAULT_SIGNATURE, inputs)
        except tf.errors.OpError as error:
            raise RequestError(error_codes_pb2.Code.Name(error.error_code), error.message.removeprefix(_PREFIX)) from None
        except (ValueError, TypeError) as error:  # a shape that the graph does not take
            raise RequestError("INVALID_ARGUMENT", str(error)) from None

    def definition(self, signature: str) -> Any:
        """Return the SignatureDef of a signature; "" is the default.

        Raises:
            RequestError: there is none.
        """
        name = signature or DEFAULT_SIGNATURE
        if name not in self.definitions:
            raise RequestError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        return self.definitions[name]


def load_version(number: int, folder: Path) -> LoadedVersion:
    """Load a SavedModel and replay its warm-up records; a bundle is compared with its fingerprints first.

    Raises:
        InputError: a bundle is not as it was written.
        Exception: it is no SavedModel, it cannot be loaded, or a record of it cannot be answered.
    """
    if is_bundle(folder):
        Bundle.open(folder)
    definitions = _definitions(folder)
    with ExitStack() as stack:
        servable = stack.enter_context(opened(folder))
        version = LoadedVersion(number, definitions, servable, ExitStack())
        for signature, inputs in read_warmup(folder):
            version.run(signature, inputs)
        version.closing = stack.pop_all()
    return version


def _definitions(folder: Path) -> dict[str, Any]:
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = next(graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags)
    # What has no name of a method is what the loader itself runs.
    return {name: copy.deepcopy(definition) for name, definition in graph.signature_def.items() if definition.method_name}
