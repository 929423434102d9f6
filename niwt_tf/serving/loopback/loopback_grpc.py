"""The gRPC half of the loopback server: PredictionService and ModelService over a served model."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from niwt_tf.errors import first_line
from niwt_tf.serving.client.transport import RequestError
from niwt_tf.serving.loaded_version import DEFAULT_SIGNATURE, LoadedVersion
from niwt_tf.serving.loopback.served_model import ServedModel

_LOG = logging.getLogger("niwt_tf.serving")
CLASSIFY_METHOD = "tensorflow/serving/classify"
_SIGNATURES = "signature_def"
_MOST_BYTES = 1 << 28  # of the tensors of a request


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify and GetModelMetadata; every answer says which version it came from."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, D102
        return _answer(context, lambda: self._predict(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, D102
        return _answer(context, lambda: self._classify(request))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, D102
        return _answer(context, lambda: self._metadata(request))

    def _predict(self, request: Any) -> Any:
        room, inputs = _MOST_BYTES, {}
        for name, proto in request.inputs.items():
            inputs[name] = _array(name, proto, room)
            room -= inputs[name].size * inputs[name].itemsize
        with leased(self._model, request.model_spec) as version:
            outputs = version.run(request.model_spec.signature_name, inputs)
            response = predict_pb2.PredictResponse()
            _fill(response.model_spec, request.model_spec, version)
        for name in request.output_filter or outputs:
            if name not in outputs:
                raise RequestError("INVALID_ARGUMENT", f"output tensor alias not found in signature: {name}")
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response

    def _classify(self, request: Any) -> Any:
        examples = [example.SerializeToString() for example in request.input.example_list.examples]
        if not examples:
            raise RequestError("INVALID_ARGUMENT", "Input is empty.")
        with leased(self._model, request.model_spec) as version:
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            method = version.definition(name).method_name
            if method != CLASSIFY_METHOD:
                rule = f"Expected classification signature method_name to be {CLASSIFY_METHOD}. Was: {method}"
                raise RequestError("INVALID_ARGUMENT", rule)
            outputs = version.run(name, {"inputs": np.array(examples, object)})
            response = classification_pb2.ClassificationResponse()
            _fill(response.model_spec, request.model_spec, version)
        for classes, scores in zip(outputs["classes"], outputs["scores"], strict=True):
            row = response.result.classifications.add()
            for label, score in zip(classes, scores, strict=True):
                row.classes.add(label=label.decode("utf-8", "replace"), score=score)
        return response

    def _metadata(self, request: Any) -> Any:
        if list(request.metadata_field) != [_SIGNATURES]:
            raise RequestError("INVALID_ARGUMENT", f"GetModelMetadataRequest must specify metadata_field {_SIGNATURES}.")
        with leased(self._model, request.model_spec) as version:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            _fill(response.model_spec, request.model_spec, version)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, definition in version.definitions.items():
                signatures.signature_def[name].CopyFrom(definition)
        response.metadata[_SIGNATURES].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, D102
        return _answer(context, lambda: status(self._model, request.model_spec))


def status(model: ServedModel, spec: Any) -> Any:
    """Return the GetModelStatusResponse that a ModelSpec asks for.

    Raises:
        RequestError: no such model or version.
    """
    wanted = None
    if spec.HasField("version") or spec.version_label:
        with leased(model, spec) as version:
            wanted = version.number
    elif spec.name != model.name:
        raise RequestError("NOT_FOUND", f"Could not find any versions of model {spec.name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    states = get_model_status_pb2.ModelVersionStatus
    for number, wrong in reversed(model.states().items()):
        if wanted in (None, number):
            one = response.model_version_status.add(version=number, state=states.END if wrong else states.AVAILABLE)
            one.status.error_message = wrong or ""
            one.status.error_code = tf.errors.UNKNOWN if wrong else 0
    return response


@contextmanager
def leased(model: ServedModel, spec: Any) -> Iterator[LoadedVersion]:
    """Yield the version that a ModelSpec asks for, see `ServedModel.lease`."""
    number = spec.version.value if spec.HasField("version") else None
    with model.lease(spec.name, number, spec.version_label) as version:
        yield version


def _array(name: str, proto: Any, room: int) -> np.ndarray:
    """Return what a TensorProto holds, once its shape is known to be that of its contents.

    Raises:
        RequestError: it is no tensor, or declares more numbers than it holds, which one value alone may be repeated for.
    """
    try:
        sizes = [dimension.size for dimension in proto.tensor_shape.dim]
        kind = tf.as_dtype(proto.dtype)
        if proto.tensor_shape.unknown_rank or min(sizes, default=0) < 0:
            raise ValueError(f"its shape {sizes} is not known")
        declared, width = math.prod(sizes), 8 if kind == tf.string else kind.size
        if declared * width > room:
            left = "" if room == _MOST_BYTES else f" in a request, of which {_MOST_BYTES - room} are taken"
            raise ValueError(f"its shape {sizes} is that of {declared * width} bytes, more than {_MOST_BYTES}{left}")
        if proto.tensor_content and kind != tf.string and len(proto.tensor_content) != declared * width:
            raise ValueError(f"its shape {sizes} is not that of {len(proto.tensor_content)} bytes")
        return np.asarray(tf.make_ndarray(proto))
    except Exception as error:  # noqa: BLE001  whatever TensorFlow and NumPy make of what is none
        said = str(error).strip() or type(error).__name__
        raise RequestError("INVALID_ARGUMENT", f"{name} is not a tensor: {first_line(said)}") from None


def _fill(answered: Any, asked: Any, version: LoadedVersion) -> None:
    answered.name = asked.name
    answered.version.value = version.number
    answered.signature_name = asked.signature_name or DEFAULT_SIGNATURE


def _answer(context: grpc.ServicerContext, compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except RequestError as error:
        return context.abort(grpc.StatusCode[error.code], error.detail)
    except Exception as error:  # noqa: BLE001  a fault of the server's own is called one
        _LOG.exception("A request cannot be answered.")
        return context.abort(grpc.StatusCode.INTERNAL, first_line(error))
