"""Warm-up records: requests that a server replays while it loads a version, so that the first caller does not wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from niwt_tf.errors import InputError
from niwt_tf.files import replacing

WARMUP = Path("assets.extra", "tf_serving_warmup_requests")
# A server refuses a version with more.
_MOST = 1000
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
    with replacing(version_folder / WARMUP) as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for signature, inputs in requests:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key in sorted(inputs):
                request.inputs[key].CopyFrom(tf.make_tensor_proto(inputs[key]))
            record = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
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
        records = [_predict_request(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    except (tf.errors.DataLossError, ValueError):
        raise InputError(f"Warm-up records must be a TFRecord of requests to predict. Received: {str(path)!r}.") from None
    return [
        (request.model_spec.signature_name, {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()})
        for request in records
    ]


def _predict_request(record: bytes) -> predict_pb2.PredictRequest:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except Exception as error:  # protobuf's DecodeError is no ValueError in every implementation of it
        raise ValueError("not a PredictionLog") from error
    if log.WhichOneof("log_type") != "predict_log":
        raise ValueError("not a PredictLog")
    return log.predict_log.request


ENCODED = "image/encoded"


def example(image_bytes: bytes) -> bytes:
    """Return a serialized tf.Example with the contents of an image file."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image_bytes]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={ENCODED: feature})).SerializeToString())
