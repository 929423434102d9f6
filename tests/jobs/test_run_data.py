"""What a run's data are to its stages: a method that reads texts has other data where a text has changed."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.jobs import run_data
from niwt_tf.runs.run import RunDirectory


@pytest.fixture
def identity(tiny_birds, tmp_path, monkeypatch):
    """Return a function that gives the identity of birds of the same attributes, by a method."""
    monkeypatch.setattr(run_data, "show_progress", lambda: False)
    monkeypatch.setattr(run_data, "execution_of", lambda run: None)
    data = tmp_path / "birds"
    shutil.copytree(tiny_birds, data)

    def of(method: str) -> str:
        settings = Settings(data_dir=str(data), num_unseen=3, knowledge="attributes", method=method)
        told: list[str] = []
        run = SimpleNamespace(settings=settings, folder=None, use_data=lambda identity, *_, **__: told.append(identity))
        run_data.load_run_data(run)
        return told[0]

    of.captions = sorted((data / "text_c10").rglob("*.txt"))
    return of


def test_a_changed_text_is_other_data_for_what_reads_it(identity):
    before = {method: identity(method) for method in ("niwt", "n3", "pdcnn_fc")}
    for file in identity.captions:
        file.write_text(" ".join(reversed(file.read_text().split())) + "\n")
    after = {method: identity(method) for method in before}
    assert after["niwt"] == before["niwt"]
    assert after["n3"] != before["n3"] and after["pdcnn_fc"] != before["pdcnn_fc"]


def test_a_file_that_was_put_into_a_finished_stage_is_not_read(tmp_path):
    with RunDirectory(tmp_path).locked(Settings()) as run:
        run.use_data("d")
        with run.stage("transfer", ["seed"]).writing() as folder:
            np.savez(folder / "descriptions.npz", values=np.ones((2, 3)))
    np.savez(tmp_path / "transfer" / "few_shot.npz", strange=np.ones(3))
    (tmp_path / "transfer" / "unseen.keras").write_bytes(b"strange")
    files = run_data.TransferFiles(tmp_path / "transfer")
    assert files.descriptions.shape == (2, 3)
    assert files.few_shot is None and files.unseen_network is None and files.generator_arrays == {}
