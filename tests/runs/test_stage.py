"""Why a stage is made again, what its manifest holds, and a worker that does not see it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from niwt_tf.compute.distributed import Team
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import fingerprint, read_json, sealed, write_json
from niwt_tf.runs import stage as stage_module
from niwt_tf.runs.run import RunDirectory
from niwt_tf.runs.stage import choices_of, read_manifest
from tests.runs.two_stages import both, train


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


@pytest.mark.parametrize("name", ["../keep.txt", "/etc/none", "..", ""])
def test_a_manifest_that_names_files_elsewhere_removes_none(tmp_path, name):
    (tmp_path / "keep.txt").write_text("mine")
    run = tmp_path / "run"
    both(run)
    manifest = run / "evaluate" / "manifest.json"
    write_json(manifest, sealed({**read_json(manifest), "publishes": [name]}))
    assert read_manifest(run / "evaluate") is None
    assert both(run, Settings(seed=3), ["seed"], overwrite=True) == (True, True)
    assert (tmp_path / "keep.txt").read_text() == "mine"


def test_a_manifest_of_an_earlier_version_has_no_seal_and_is_read_so_that_its_version_is_said(tmp_path):
    both(tmp_path)
    file = tmp_path / "train" / "manifest.json"
    manifest = {name: value for name, value in read_json(file).items() if name not in ("seal", "digests")}
    former = {**manifest, "extra": {name: value for name, value in manifest["extra"].items() if name != "version"}}
    write_json(file, former)
    assert read_manifest(tmp_path / "train") == former
    for changed in (manifest, {**former, "seal": "0" * 16}, {**former, "digests": {}}):
        write_json(file, changed)
        assert read_manifest(tmp_path / "train") is None


@pytest.mark.parametrize("text", ["[]", "7", '"settings"'])
def test_a_manifest_that_is_no_object_is_none(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(("made", "asked"), [((1, 1), (2, 2)), ((2, 2), (1, 1)), ((1, 2), (1, 3))])
def test_an_input_must_have_been_made_with_what_a_later_stage_depends_on_too(tmp_path, made, asked):
    names = "weights", "images"
    with RunDirectory(tmp_path).locked(Settings()) as run:
        with run.stage("train", ["seed"], extra=dict(zip(names, made, strict=True))).writing():
            pass
        extra = {**dict(zip(names, asked, strict=True)), "threads": 8}
        changed = names[[one != other for one, other in zip(made, asked, strict=True)].index(True)]
        with pytest.raises(InputError, match=f"needs train, which was made with another {changed}"):
            run.stage("map", [], ["train"], extra=extra)
        run.stage("map", [], ["train"], extra={"images": made[1]})


def test_why_a_stage_is_made_again_is_said_and_nothing_of_one_that_is_new(tmp_path, caplog):
    with caplog.at_level("INFO", logger="niwt_tf"):
        both(tmp_path)
        assert "made again" not in caplog.text
        both(tmp_path, Settings(seed=1), ["seed"], overwrite=True)
    assert "train is made again: it was made with another --seed." in caplog.text


def test_the_choices_of_a_stage_are_those_of_all_that_it_stands_on(tmp_path):
    both(tmp_path)
    found = choices_of(tmp_path / "evaluate")
    assert found == {"backbone": "small_vgg", "seed": 0, "knowledge": Settings().knowledge}
    assert choices_of(tmp_path / "absent") == {}


@pytest.mark.parametrize("text", ["", "~~~"])
def test_a_published_file_that_was_changed_is_as_its_stage_keeps_it_again(tmp_path, text):
    both(tmp_path)
    published = (tmp_path / "metrics.json").read_text()
    (tmp_path / "metrics.json").write_text(text)
    assert both(tmp_path) == (False, False)
    assert (tmp_path / "metrics.json").read_text() == published


@pytest.mark.parametrize(("before", "after"), [("a.json", "b.json"), ("b.json", "a.json")])
def test_a_stage_that_publishes_other_files_is_made_again(tmp_path, before, after):
    for name in (before, after):
        with RunDirectory(tmp_path).locked(Settings()) as run:
            stage = run.stage("train", ["seed"], publishes=[name])
            assert stage.reason == ("is missing" if name == before else "publishes other files")
            with stage.writing() as folder:
                (folder / name).write_text("{}")
    assert (tmp_path / after).is_file() and not (tmp_path / before).exists()


def test_the_seconds_of_a_stage_are_those_from_its_beginning(tmp_path, monkeypatch):
    times = itertools.count(1000.0, 2.5)
    monkeypatch.setattr("niwt_tf.runs.stage.time.monotonic", lambda: next(times))
    with RunDirectory(tmp_path).locked(Settings()) as run:
        assert train(run)
    assert read_json(tmp_path / "train" / "manifest.json")["seconds"] in (2.5, 5.0)


def test_scratch_of_a_stage_is_gone_when_that_is_finished(tmp_path):
    with RunDirectory(tmp_path).locked(Settings()) as run:
        stage = run.stage("train", ["seed"])
        (stage.work / "checkpoint").write_text("")
        with stage.writing() as folder:
            (folder / "a").write_text("")
        assert list(tmp_path.glob(".work-*")) == []


@pytest.mark.parametrize("name", ["settings", "inputs", "extra", "files", "publishes"])
def test_a_manifest_of_another_form_is_none(tmp_path, name):
    both(tmp_path)
    manifest = tmp_path / "train" / "manifest.json"
    whole = read_json(manifest)
    write_json(manifest, sealed({**whole, name: 5}))
    assert read_manifest(tmp_path / "train") is None
    write_json(manifest, sealed({**whole, "files": {"a\0b": 1}}))
    assert read_manifest(tmp_path / "train") is None
    assert both(tmp_path)[0]
