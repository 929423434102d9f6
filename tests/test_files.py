from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from niwt_tf.files import (
    fingerprint,
    read_json,
    remove_abandoned,
    replacing,
    replacing_all,
    replacing_directory,
    write_json,
)


def _dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with replacing(target) as temporary:
        temporary.write_text("one")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "one"
    assert os.listdir(target.parent) == ["a.txt"]


def test_a_file_stays_when_its_writing_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_files_are_replaced_together(tmp_path):
    targets = tmp_path / "new" / "a.txt", tmp_path / "new" / "deep" / "b.txt"
    for text in ("one", "two"):
        with replacing_all(*targets) as temporaries:
            for temporary in temporaries:
                temporary.write_text(text)
        assert [target.read_text() for target in targets] == [text, text]
    assert sorted(os.listdir(tmp_path / "new")) == ["a.txt", "deep"] and os.listdir(tmp_path / "new" / "deep") == ["b.txt"]


@pytest.mark.parametrize("existing", [True, False])
def test_of_files_that_belong_together_none_is_replaced_when_one_cannot_be(tmp_path, monkeypatch, existing):
    targets = tmp_path / "new" / "a.txt", tmp_path / "new" / "b.txt"
    if existing:
        targets[0].parent.mkdir()
        targets[0].write_text("old")
    real = os.replace

    def replace(source, target):
        if target == targets[1]:
            raise OSError("no")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="no"), replacing_all(*targets) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
    assert os.listdir(tmp_path) == (["new"] if existing else [])
    if existing:
        assert os.listdir(tmp_path / "new") == ["a.txt"] and targets[0].read_text() == "old"


def test_a_directory_is_replaced_whole_or_stays(tmp_path):
    target = tmp_path / "d"
    for text in ("one", "two"):
        with replacing_directory(target) as temporary:
            (temporary / text).write_text(text)
        assert os.listdir(target) == [text]
    with pytest.raises(RuntimeError), replacing_directory(target) as temporary:
        raise RuntimeError
    assert os.listdir(target) == ["two"]
    assert os.listdir(tmp_path) == ["d"]


def test_temporaries_of_dead_processes_are_removed_and_those_of_living_ones_stay(tmp_path):
    dead, living = _dead_process(), os.getppid()
    for name in (f".tmp-{dead}-d", f".tmp-{dead}-old-d", f".tmp-{living}-d"):
        (tmp_path / name).mkdir()
    (tmp_path / f".tmp-{dead}-a.json").write_text("")
    (tmp_path / ".tmp-notes").write_text("not ours")
    with replacing_directory(tmp_path / "d"):
        pass
    assert not (tmp_path / f".tmp-{dead}-d").exists()
    assert (tmp_path / f".tmp-{dead}-a.json").exists()
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([f".tmp-{living}-d", ".tmp-notes", "d"])


def test_json_round_trip_takes_numpy_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": np.float32(0.5), "y": np.arange(2), "z": tmp_path})
    assert read_json(path) == {"x": 0.5, "y": [0, 1], "z": str(tmp_path)}
    with pytest.raises(ValueError):
        write_json(path, {"x": float("nan")})
    assert read_json(path)["x"] == 0.5


def test_fingerprints_change_with_any_part(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    first = fingerprint({"b": 1, "a": 2}, np.zeros(2), file)
    assert first == fingerprint({"a": 2, "b": 1}, np.zeros(2), file)
    assert len({first, fingerprint({"a": 2, "b": 1}, np.zeros((1, 2)), file), fingerprint({"a": 3}, np.zeros(2), file)}) == 3
    file.write_text("2")
    assert first != fingerprint({"b": 1, "a": 2}, np.zeros(2), file)
