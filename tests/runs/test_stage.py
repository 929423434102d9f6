"""Why a stage is made again, what its manifest holds, and a worker that does not see it."""

from __future__ import annotations

import numpy as np
import pytest

from niwt_tf.compute.distributed import Team
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import fingerprint, sealed, write_json
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
    assert reason(["weights", "backbone"]) == "was made with another --layer"  # the first of three
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


@pytest.mark.parametrize("other", ["two", "another"])
def test_results_of_a_stage_that_stands_on_no_other_stay_while_another_is_made_again(tmp_path, other):
    def make(seed, *names):
        with RunDirectory(tmp_path).locked(Settings(seed=seed), overwrite=True) as run:
            run.use_data("d")
            for name, inputs in (("one", ()), (other, ()), ("three", ("one",))):
                stage = run.stage(name, ["seed"] if name != other else [], inputs, publishes=[f"{name}.json"])
                if not stage.up_to_date and name in names:
                    with stage.writing() as folder:
                        found.append(sorted(path.name for path in tmp_path.glob("[!.]*.json") if path.name != "config.json"))
                        (folder / f"{name}.json").write_text(str(seed))

    found = []
    make(0, "one", other, "three")
    assert found == [[], ["one.json"], sorted(["one.json", f"{other}.json"])]
    found.clear()
    make(1, "one", "three")
    assert found == [[f"{other}.json"], sorted(["one.json", f"{other}.json"])]
    assert [(tmp_path / f"{name}.json").read_text() for name in ("one", other, "three")] == ["1", "0", "1"]


@pytest.mark.parametrize("text", ["{", '"another"', None])
def test_scratch_that_does_not_say_whose_it_is_is_emptied(tmp_path, text):
    with RunDirectory(tmp_path).locked(Settings()) as run:
        run.use_data("d")
        stage = run.stage("train", ["seed"])
        (stage.work / "checkpoint").touch()
        assert (stage.work / "checkpoint").exists()
        stamp = stage.work / "identity.json"
        stamp.unlink() if text is None else stamp.write_text(text)
        assert not (stage.work / "checkpoint").exists() and stamp.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a", 5, None])
def test_a_manifest_names_only_what_lies_in_its_own_run(tmp_path, name):
    with RunDirectory(tmp_path).locked(Settings()) as run, run.stage("train", ["seed"]).writing() as folder:
        (folder / "a").write_text("1")
    manifest = stage_module.stated_manifest(tmp_path / "train")
    assert manifest["publishes"] == [] and stage_module.stated_manifest(tmp_path / "train", "map") is None
    for changed in ({"publishes": ["a", name]}, {"inputs": {"first": "x", str(name): "y"}}):
        write_json(tmp_path / "train" / "manifest.json", sealed({**manifest, **changed}))
        found = stage_module.stated_manifest(tmp_path / "train")
        assert (found is None) == ("publishes" in changed or name not in (5, None))


def test_a_file_of_a_name_that_cannot_be_or_of_another_size_is_broken(tmp_path):
    (tmp_path / "a").write_text("12")
    digest = fingerprint(tmp_path / "a")
    whole, longer, shorter = ({"a": size} for size in (2, 3, 1))
    no_name, absent = {"a\0b": 2}, {"b": 2, "a": 2}
    for files, broken in ((whole, []), (longer, ["a"]), (shorter, ["a"]), (no_name, ["a\0b"]), (absent, ["b"])):
        assert stage_module.broken_files(tmp_path, {"files": files}) == broken
        assert stage_module.broken_files(tmp_path, {"files": files, "digests": {"a": digest}}) == broken
    assert stage_module.broken_files(tmp_path, {"files": {"a": 2}, "digests": {"a": "0" * 16}}) == ["a"]
