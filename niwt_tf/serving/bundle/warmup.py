"""Warm-up records: requests that a server replays while it loads a version, so that the first caller does not wait.

They are messages of TensorFlow Serving's. As much of these as records need is declared here, so that an export does without its
Python package.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import resource_handle_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

from niwt_tf.errors import InputError
from niwt_tf.files import replacing

WARMUP = Path("assets.extra", "tf_serving_warmup_requests")
# A server refuses a version with more.
_MOST = 1000
_MOST_NUMBERS = 2**27
Request = tuple[str, Mapping[str, np.ndarray]]


def write_warmup(version_folder: Path, requests: Sequence[Request], name: str) -> None:
    """Write the requests that a server replays when it loads this version; a request that fails makes the load fail.

    There are at most 1000, each the name of a signature and its inputs by name. Bytes must be in arrays of objects: numpy's own
    strings drop zeros at the end. `name` is what the server calls the model.

    Raises:
        InputError: there are more than 1000 requests.
        OSError: the folder cannot be written.
    """
    if len(requests) > _MOST:
        raise InputError(f"requests must be at most {_MOST}, because a server replays no more. Received: {len(requests)}.")
    with replacing(version_folder / WARMUP) as temporary, tf.io.TFRecordWriter(os.fsencode(temporary)) as writer:
        for signature, inputs in requests:
            record = _prediction_log()()
            request = record.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key in sorted(inputs):
                # A tensor of TensorFlow's is of another class than those of the records, and of the same form.
                request.inputs[key].ParseFromString(tf.make_tensor_proto(inputs[key]).SerializeToString())
            writer.write(record.SerializeToString(deterministic=True))


def read_warmup(version_folder: Path) -> list[Request]:
    """Return the requests that `write_warmup` wrote; none where there is no such file.

    Raises:
        InputError: the file is damaged or holds records other than requests to predict.
    """
    path = version_folder / WARMUP
    if not path.is_file():
        return []
    try:
        records = [_predict_request(record) for record in tf.data.TFRecordDataset(os.fsencode(path)).as_numpy_iterator()]
    except (tf.errors.DataLossError, ValueError):
        raise InputError(f"Warm-up records must be a TFRecord of requests to predict. Received: {str(path)!r}.") from None
    for request in records:
        for name, proto in request.inputs.items():
            declared = math.prod(dimension.size for dimension in proto.tensor_shape.dim)
            if abs(declared) > _MOST_NUMBERS:  # one number alone may stand for all of them
                rule = f"Warm-up records must have at most {_MOST_NUMBERS} numbers in a tensor"
                raise InputError(f"{rule}. Received: {declared} in {name} of {str(path)!r}.")
    return [
        (request.model_spec.signature_name, {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()})
        for request in records
    ]


def _predict_request(record: bytes) -> Any:
    try:
        log = _prediction_log().FromString(record)
    except Exception as error:  # protobuf's DecodeError is no ValueError in every implementation of it
        raise ValueError("not a PredictionLog") from error
    if log.WhichOneof("log_type") != "predict_log":
        raise ValueError("not a PredictLog")
    return log.predict_log.request


@cache
def _prediction_log() -> Any:
    """Return the class of PredictionLog, with the fields that the record of a request to predict has.

    They are declared in a pool of their own: that of the process may have all of TensorFlow Serving's messages.
    """
    file = descriptor_pb2.FileDescriptorProto(name="warmup.proto", package="tensorflow.serving", syntax="proto3")
    file.dependency.append(tensor_pb2.DESCRIPTOR.name)
    spec, request, log, record = (
        file.message_type.add(name=name) for name in ("ModelSpec", "PredictRequest", "PredictLog", "PredictionLog")
    )
    string, message = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    one, many = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    own = ".tensorflow.serving"
    spec.field.add(name="name", number=1, type=string, label=one)
    spec.field.add(name="signature_name", number=3, type=string, label=one)
    request.field.add(name="model_spec", number=1, type=message, label=one, type_name=f"{own}.ModelSpec")
    inputs = request.nested_type.add(name="InputsEntry")
    inputs.options.map_entry = True
    inputs.field.add(name="key", number=1, type=string, label=one)
    inputs.field.add(name="value", number=2, type=message, label=one, type_name=".tensorflow.TensorProto")
    request.field.add(name="inputs", number=2, type=message, label=many, type_name=f"{own}.PredictRequest.InputsEntry")
    log.field.add(name="request", number=1, type=message, label=one, type_name=f"{own}.PredictRequest")
    record.oneof_decl.add(name="log_type")
    record.field.add(name="predict_log", number=6, type=message, label=one, type_name=f"{own}.PredictLog", oneof_index=0)
    pool = descriptor_pool.DescriptorPool()
    for known in (types_pb2, tensor_shape_pb2, resource_handle_pb2, tensor_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.serving.PredictionLog"))


ENCODED = "image/encoded"


def example(image_bytes: bytes) -> bytes:
    """Return a serialized tf.Example with the contents of an image file."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image_bytes]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={ENCODED: feature})).SerializeToString())
