"""Why a stage is made again, what its manifest holds, and a worker that does not see it."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.compute.distributed import Team
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import fingerprint
from niwt_tf.runs import stage as stage_module
from niwt_tf.runs.run import RunDirectory


def test_a_worker_that_does_not_see_the_chiefs_stage_says_so(tmp_path, monkeypatch):
    """The chief's stage has another identity than the one that lies here, however long one looks."""
    with RunDirectory(tmp_path).locked(Settings()) as run, run.stage("train", ["seed"]).writing() as folder:
        (folder / "a").write_text("the chief's")

    class Worker(Team):
        size, index = 2, 1

        def of_each(self, value):
            return [value, value]

        def of_chief(self, *arrays):
            return tuple(np.zeros_like(each) for each in arrays)

        def barrier(self):
            return None

    monkeypatch.setattr(stage_module, "_SEEN_WITHIN", 0.3)
    with (
        pytest.raises(InputError, match="file system that all workers share. Received: .* worker 1 does not see .* train"),
        RunDirectory(tmp_path).locked(Settings(), team=Worker()) as run,run.stage("train", ["seed"]).writing()
    ):
        pass


def test_why_a_stage_is_made_again(tmp_path):
    def reason(settings, inputs=("first",), extra=None, publishes=(), data="d", seed=0):
        with RunDirectory(tmp_path).locked(Settings(seed=seed), overwrite=True) as run:
            run.use_data(data)
            first = run.stage("first", ["seed"])
            if not first.up_to_date:
                with first.writing() as folder:
                    (folder / "a").write_text(str(seed))
            stage = run.stage("second", settings, inputs, extra, publishes)
            why = stage.reason
            if not stage.up_to_date:
                with stage.writing() as folder:
                    (folder / "b").write_text("1")
            assert (stage.up_to_date, stage.reason) == (True, "")
            return why

    assert reason(["layer"]) == "is missing"
    assert reason(["layer"]) == ""
    assert reason(["layer", "weights"]) == "was made with another --weights"
    assert reason(["layer"]) == "was made with another --weights"
    assert reason(["layer"], seed=1) == "was made from another first"
    assert reason(["layer"], extra={"rate": 1}, seed=1) == "was made with another rate"
    assert reason(["layer"], extra={"rate": 2}, seed=1) == "was made with another rate"
    assert reason(["layer"], extra={"rate": 2}, publishes=["b"], seed=1) == "publishes other files"
    assert (tmp_path / "b").read_text() == "1"
    assert reason(["layer"], inputs=(), extra={"rate": 2}, publishes=["b"], seed=1) == "was made from another first"


def test_what_a_stage_records_is_plain(tmp_path):
    with RunDirectory(tmp_path).locked(Settings()) as run:
        run.use_data("d")
        stage = run.stage("train", ["seed"])
        with stage.writing() as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "a").write_text("12345")
            stage.record(shapes={"w": np.zeros((2, 3)).shape}, metrics={"accuracy": np.float32(0.5)})
            stage.record(metrics={"loss": 1})
        manifest = stage.manifest
    assert (manifest["shapes"], manifest["metrics"]) == ({"w": [2, 3]}, {"accuracy": 0.5, "loss": 1.0})
    assert manifest["files"] == {"deep/a": 5}
    assert manifest["digests"] == {"deep/a": fingerprint(tmp_path / "train" / "deep" / "a")}
    assert manifest["seconds"] == round(manifest["seconds"], 3) < 60
    assert run.finished
