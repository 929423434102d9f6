from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from niwt_tf.errors import InputError
from niwt_tf.serving.bundle.warmup import WARMUP, read_warmup, write_warmup

IMAGE = b"\x89PNG\x00\xff\x00"


def _requests():
    return [
        ("serving_default", {"image_bytes": np.array([IMAGE], object)}),
        ("serving_default", {"image_bytes": np.array([IMAGE, b"", b"\x00"], object)}),
        ("classify_with", {"image_bytes": np.array([IMAGE], object), "descriptions": np.float32([[[0.5, -1, 2]]])}),
    ]


def test_requests_come_back_as_they_were_written(tmp_path):
    write_warmup(tmp_path, _requests(), "birds")
    read = read_warmup(tmp_path)
    assert [signature for signature, _ in read] == ["serving_default", "serving_default", "classify_with"]
    for (_, inputs), (_, expected) in zip(read, _requests(), strict=True):
        assert inputs.keys() == expected.keys()
        for name, value in expected.items():
            assert inputs[name].dtype == value.dtype and inputs[name].tolist() == value.tolist()


def test_the_file_is_what_a_server_looks_for(tmp_path):
    write_warmup(tmp_path, _requests(), "birds")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        "assets.extra/tf_serving_warmup_requests"
    ]
    (first, *_) = tf.data.TFRecordDataset(str(tmp_path / WARMUP)).as_numpy_iterator()
    request = prediction_log_pb2.PredictionLog.FromString(first).predict_log.request
    assert (request.model_spec.name, request.model_spec.signature_name) == ("birds", "serving_default")
    assert request.inputs["image_bytes"].dtype == tf.string.as_datatype_enum
    assert list(request.inputs["image_bytes"].string_val) == [IMAGE]


def test_the_same_requests_make_the_same_file(tmp_path):
    (tmp_path / "a").mkdir()
    write_warmup(tmp_path / "a", _requests(), "birds")
    write_warmup(tmp_path / "b", [(name, dict(reversed(inputs.items()))) for name, inputs in _requests()], "birds")
    assert (tmp_path / "a" / WARMUP).read_bytes() == (tmp_path / "b" / WARMUP).read_bytes()


def test_no_file_is_no_requests(tmp_path):
    assert read_warmup(tmp_path) == []


def test_more_than_a_server_replays_are_refused(tmp_path):
    with pytest.raises(InputError, match="at most 1000.*Received: 1001"):
        write_warmup(tmp_path, _requests()[:1] * 1001, "birds")
    assert not (tmp_path / WARMUP).exists()


@pytest.mark.parametrize("record", [b"\xff\xff\xff", prediction_log_pb2.PredictionLog().SerializeToString()])
def test_records_of_another_kind_are_named(tmp_path, record):
    (tmp_path / WARMUP).parent.mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / WARMUP)) as writer:
        writer.write(record)
    with pytest.raises(InputError, match="TFRecord of requests to predict"):
        read_warmup(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    write_warmup(tmp_path, _requests(), "birds")
    content = bytearray((tmp_path / WARMUP).read_bytes())
    content[20] ^= 1
    (tmp_path / WARMUP).write_bytes(content)
    with pytest.raises(InputError, match="tf_serving_warmup_requests"):
        read_warmup(tmp_path)


def test_records_are_those_of_the_official_messages(tmp_path):
    write_warmup(tmp_path, _requests(), "birds")
    records = list(tf.data.TFRecordDataset(str(tmp_path / WARMUP)).as_numpy_iterator())
    for record, (signature, inputs) in zip(records, _requests(), strict=True):
        official = prediction_log_pb2.PredictionLog()
        official.predict_log.request.model_spec.name = "birds"
        official.predict_log.request.model_spec.signature_name = signature
        for name, value in inputs.items():
            official.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        assert record == official.SerializeToString(deterministic=True)


def test_a_record_that_only_declares_its_numbers_is_refused_before_they_are_made(tmp_path):
    record = prediction_log_pb2.PredictionLog()
    tensor = record.predict_log.request.inputs["images"]
    tensor.dtype = tf.float32.as_datatype_enum
    tensor.tensor_shape.dim.add(size=2**43)
    tensor.float_val.append(0.0)
    (tmp_path / WARMUP).parent.mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / WARMUP)) as writer:
        writer.write(record.SerializeToString())
    with pytest.raises(InputError, match="at most 134217728 numbers in a tensor. Received: 8796093022208 in images"):
        read_warmup(tmp_path)
