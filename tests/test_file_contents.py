"""JSON as it is written and read, seals, and fingerprints of contents."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest

from niwt_tf import files
from niwt_tf.files import digest_of, fingerprint, has_seal, is_sealed, read_json, sealed, write_json


def test_json_round_trip_takes_numpy_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": np.float32(0.5), "y": np.arange(2), "z": tmp_path})
    assert read_json(path) == {"x": 0.5, "y": [0, 1], "z": str(tmp_path)}
    with pytest.raises(ValueError):
        write_json(path, {"x": float("nan")})
    assert read_json(path)["x"] == 0.5


def test_json_is_indented_by_two_and_ends_its_last_line(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    1\n  ]\n}\n'
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        write_json(tmp_path / "a.json", {"a": object()})


def test_json_that_is_nested_too_deeply_is_no_json(tmp_path):
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["NaN", '{"a": [1, Infinity]}', "-Infinity", "1" * 5000])
def test_what_json_does_not_have_is_no_json(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError):
        read_json(tmp_path / "a.json")


def test_a_seal_tells_what_was_changed():
    made = sealed({"b": np.float32(0.5), "a": (1, 2), "seal": "an old one"})
    assert {name: value for name, value in made.items() if name != "seal"} == {"b": 0.5, "a": [1, 2]}
    assert is_sealed(made) and has_seal(made)
    assert not is_sealed({**made, "b": 0.25}) and has_seal({**made, "b": 0.25})
    assert not is_sealed({"b": 0.5}) and not has_seal({"b": 0.5})


def test_fingerprints_change_with_any_part(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    first = fingerprint({"b": 1, "a": 2}, np.zeros(2), file)
    assert first == fingerprint({"a": 2, "b": 1}, np.zeros(2), file)
    assert len({first, fingerprint({"a": 2, "b": 1}, np.zeros((1, 2)), file), fingerprint({"a": 3}, np.zeros(2), file)}) == 3
    file.write_text("2")
    assert first != fingerprint({"b": 1, "a": 2}, np.zeros(2), file)


def test_a_fingerprint_is_the_start_of_a_digest_of_all_parts_by_hand(tmp_path):
    file, array = tmp_path / "a", np.arange(6, dtype=np.int32).reshape(2, 3)
    file.write_bytes(bytes(range(256)) * 10_000)  # more than is read at once
    parts = [
        ({"b": [1], "a": "x"}, b'{"a": "x", "b": [1]}'), (file, file.read_bytes()), (array, b"(2, 3)int32" + array.tobytes()),
    ]  # fmt: skip
    for part, content in parts:
        assert fingerprint(part) == hashlib.sha256(content + b"\0").hexdigest()[:16]
    assert fingerprint(*(part for part, _ in parts)) == (
        hashlib.sha256(b"".join(content + b"\0" for _, content in parts)).hexdigest()[:16]
    )
    assert fingerprint(array.T) == fingerprint(array.T.copy()) != fingerprint(array)


def test_a_file_is_read_again_only_if_it_was_written_since(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_text("one")
    real, read = files.fingerprint, []
    monkeypatch.setattr(files, "fingerprint", lambda *parts: read.append(parts) or real(*parts))
    written = file.stat().st_ctime
    for later, count in ((1.5, 2), (2.5, 3), (3.5, 3)):
        # A clock is coarse: what was written just now is read each time.
        monkeypatch.setattr(time, "time", lambda later=later: written + later)
        for _ in range(2 if later == 1.5 else 1):
            assert digest_of(file) == real(file)
        assert len(read) == count
    file.write_text("two")
    assert digest_of(file) == real(file)
    assert len(read) == 4
