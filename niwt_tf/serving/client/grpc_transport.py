"""Requests to a server over gRPC. The official stubs import TensorFlow, for the messages of its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from niwt_tf.config.surroundings import is_loopback
from niwt_tf.serving.client.transport import Outputs, RequestError

# Images are larger than gRPC's own limit of 4 MB.
MESSAGES = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_OPTIONS = (
    *MESSAGES,
    # A server that comes back is found at the next repetition, not after gRPC's minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Repeating is the client's own business.
    ("grpc.enable_retries", 0),
)
_FOR_NOW = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


_MOST_NUMBERS = 2**27  # more than any answer has


def _arrays(outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return what tensors hold; one number alone may stand for as many as a shape declares, which are then not made.

    Raises:
        RequestError: it is no tensor, or too large.
    """
    found = {}
    for name, proto in outputs.items():
        declared = math.prod(dimension.size for dimension in proto.tensor_shape.dim)
        if abs(declared) > _MOST_NUMBERS:
            raise RequestError("RESOURCE_EXHAUSTED", f"The answer has {declared} numbers in {name}, more than {_MOST_NUMBERS}.")
        try:
            found[name] = tf.make_ndarray(proto)
        except (KeyError, TypeError, ValueError) as error:
            raise RequestError("INTERNAL", f"The answer does not come from a model server: {error!r}") from None
    return found


class GrpcTransport:
    """A channel to a model on a server at "host:port"; safe to use from several threads.

    The version is a number, a label, or None for the newest.
    """

    def __init__(self, address: str, name: str, version: int | str | None) -> None:
        self._name = name
        self._version = version
        # A proxy of the environment knows nothing of a server on this machine.
        direct = (("grpc.enable_http_proxy", 0),) if is_loopback(address.rpartition(":")[0]) else ()
        self._channel = grpc.insecure_channel(address, options=(*_OPTIONS, *direct))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def call(self, signature: str, inputs: Mapping[str, np.ndarray], seconds: float) -> Outputs:
        """See `Transport.call`."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._name
        request.model_spec.signature_name = signature
        if isinstance(self._version, str):
            request.model_spec.version_label = self._version
        elif self._version is not None:
            request.model_spec.version.value = self._version
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=seconds)
        except grpc.RpcError as error:
            raise RequestError(error.code().name, error.details() or "", error.code() in _FOR_NOW) from None
        return Outputs(_arrays(response.outputs), response.model_spec.version.value)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()
