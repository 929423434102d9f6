from __future__ import annotations

import shutil

import numpy as np

from niwt_tf.data.schema import Dataset, Knowledge, Split
from niwt_tf.jobs.data_fingerprint import data_fingerprint


def _dataset(root) -> Dataset:
    knowledge = Knowledge(np.eye(3), ("p", "q", "r"), ("", "", ""))
    split = Split("s", seen=[0, 1], unseen=[2], train=[0, 1], test_seen=[], test_unseen=[2])
    return Dataset("folder", root, ("a.png", "b.png", "c.png"), np.arange(3), ("x", "y", "z"), knowledge, split)


def test_it_follows_the_content_and_not_the_place(tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    for name in "abc":
        (first / f"{name}.png").write_bytes(b"12")
    shutil.copytree(first, tmp_path / "second")
    fingerprint = data_fingerprint(_dataset(first))
    assert data_fingerprint(_dataset(tmp_path / "second")) == fingerprint
    assert data_fingerprint(_dataset(first).replace(labels=[0, 0, 2])) != fingerprint
    assert data_fingerprint(_dataset(first).replace(split=None)) != fingerprint
    (first / "b.png").write_bytes(b"123")
    assert data_fingerprint(_dataset(first)) != fingerprint
