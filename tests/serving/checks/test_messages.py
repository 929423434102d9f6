from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.serving.checks.check_requests import strings
from niwt_tf.serving.checks.messages import Message, append_message, read_messages


def _messages():
    return [
        Message("logits", {"images": np.arange(12, dtype=np.float32).reshape(2, 3, 2), "none": np.zeros((0, 4), np.float32)}),
        Message("serving_default", {"image_bytes": strings([b"", b"\x00a\x00", "é".encode()])}),
        Message("explain", code=3, error="no «image»"),
    ]


def test_messages_come_back_as_they_were_written(tmp_path):
    for message in _messages():
        append_message(tmp_path / "a", message)
    read = read_messages(tmp_path / "a")
    assert len(read) == 3
    for found, wanted in zip(read, _messages(), strict=True):
        assert (found.signature, found.code, found.error) == (wanted.signature, wanted.code, wanted.error)
        assert list(found.tensors) == list(wanted.tensors)
        for name, tensor in wanted.tensors.items():
            assert found.tensors[name].dtype == tensor.dtype and found.tensors[name].shape == tensor.shape
            assert found.tensors[name].tolist() == tensor.tolist()


def test_a_message_that_was_cut_off_is_left_out(tmp_path):
    for message in _messages():
        append_message(tmp_path / "a", message)
    content = (tmp_path / "a").read_bytes()
    for length in (len(content) - 1, len(content) - 20):
        (tmp_path / "a").write_bytes(content[:length])
        assert [message.signature for message in read_messages(tmp_path / "a")] == ["logits", "serving_default"]


def test_other_types_are_refused(tmp_path):
    with pytest.raises(TypeError, match="x is int64"):
        append_message(tmp_path / "a", Message("s", {"x": np.arange(3)}))
