from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from niwt_tf.compute.distributed import Team
from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError, OtherFlagsError
from niwt_tf.files import read_json, write_json
from niwt_tf.runs import stage as stage_module
from niwt_tf.runs.integrity import check_run
from niwt_tf.runs.run import Run, RunDirectory
from tests.runs.two_stages import both, evaluate, train


def test_stages_are_done_once(tmp_path):
    path = tmp_path / "runs" / "x"
    assert both(path) == (True, True)
    assert both(path) == (False, False)
    assert sorted(os.listdir(path)) == [".config.json", ".lock", "config.json", "evaluate", "metrics.json", "train"]
    manifest = read_json(path / "train" / "manifest.json")
    assert manifest["shapes"] == {"w": [3]}
    assert manifest["metrics"] == {"accuracy": 0.5}
    assert manifest["seconds"] >= 0
    assert manifest["settings"] == {"backbone": "small_vgg", "seed": 0}
    config = read_json(path / "config.json")
    assert config["settings"]["seed"] == 0
    assert config["data"] == "d"
    assert set(config["versions"]) >= {"python", "tensorflow", "keras", "numpy"}


def _described(path, data) -> tuple[bool, bool]:
    """Return whether a stage of images alone, and one that reads it and the descriptions, are up to date."""
    with RunDirectory(path).locked(Settings()) as run:
        run.use_data(data, images="i")
        found = []
        for name, described, inputs in (("train", False, ()), ("map", True, ("train",))):
            stage = run.stage(name, ["seed"], inputs, described=described)
            found.append(stage.up_to_date)
            if not stage.up_to_date:
                with stage.writing() as folder:
                    (folder / "a.txt").write_text(data)
            run.folder(name)
    return tuple(found)


def test_a_stage_of_images_alone_outlives_other_descriptions(tmp_path):
    assert _described(tmp_path, "one") == (False, False)
    assert _described(tmp_path, "one") == (True, True)
    assert _described(tmp_path, "two") == (True, False)
    assert RunDirectory(tmp_path).reading().folder("train").is_dir()
    with RunDirectory(tmp_path).locked(Settings()) as run:
        run.use_data("two", images="j")
        assert run.stage("train", ["seed"], described=False).reason == "was made from other data"


def test_flags_that_are_not_given_come_from_the_run(tmp_path):
    assert both(tmp_path, Settings(seed=7), given=["seed"]) == (True, True)
    assert both(tmp_path, Settings(seed=0), given=[]) == (False, False)
    assert read_json(tmp_path / "metrics.json") == {"sum": 21}


def test_flags_that_differ_are_named(tmp_path):
    both(tmp_path)
    with pytest.raises(InputError) as error:
        both(tmp_path, Settings(seed=1, unseen=("a", "b")), given=["seed", "unseen", "layer"])
    assert "--unseen was empty, now a,b; --seed was 0, now 1. Give --overwrite" in str(error.value)
    assert "--layer" not in str(error.value)
    assert both(tmp_path) == (False, False)


def test_overwrite_redoes_what_changed_and_what_stands_on_it(tmp_path):
    both(tmp_path)
    assert both(tmp_path, Settings(knowledge="captions"), ["knowledge"], overwrite=True) == (False, True)
    assert both(tmp_path, Settings(seed=1), ["seed"], overwrite=True) == (True, True)
    assert read_json(tmp_path / "metrics.json") == {"sum": 3}
    assert read_json(tmp_path / "config.json")["settings"]["knowledge"] == "captions"
    assert both(tmp_path, Settings(seed=1), ["seed"], overwrite=True) == (False, False)


def test_other_data_redo_everything(tmp_path):
    both(tmp_path)
    assert both(tmp_path, data="other") == (True, True)


def test_a_stage_alone_refuses_inputs_that_are_absent_or_out_of_date(tmp_path):
    with (
        pytest.raises(InputError, match="needs train, which is missing: run niwt run --run_dir=.* first, which does all"),
        RunDirectory(tmp_path).locked(Settings()) as run,
    ):
        evaluate(run)
    both(tmp_path)
    with (
        pytest.raises(InputError, match="needs train, which was made with another --seed"),
        RunDirectory(tmp_path).locked(Settings(seed=1), overwrite=True) as run,
    ):
        evaluate(run)
    assert read_json(tmp_path / "config.json")["settings"]["seed"] == 0
    assert both(tmp_path) == (False, False)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_results_of_earlier_stages_are_withdrawn_when_one_is_redone(tmp_path, first, second):
    both(tmp_path, Settings(seed=first))
    with RunDirectory(tmp_path).locked(Settings(seed=second), overwrite=True) as run:
        run.use_data("d")
        assert train(run)
        assert not (tmp_path / "metrics.json").exists()
        with pytest.raises(InputError, match="evaluate, which was made from an earlier train"):
            run.folder("evaluate")
        assert evaluate(run)
    assert read_json(tmp_path / "metrics.json") == {"sum": 3 * second}


def test_a_published_file_that_was_lost_comes_back(tmp_path):
    both(tmp_path)
    (tmp_path / "metrics.json").unlink()
    assert both(tmp_path) == (False, False)
    assert read_json(tmp_path / "metrics.json") == {"sum": 0}


@pytest.mark.parametrize("damage", ["missing", "short", "flipped", "manifest", "edited", "swapped", "unsealed"])
def test_a_damaged_stage_is_done_again(tmp_path, damage):
    both(tmp_path)
    weights, manifest = tmp_path / "train" / "weights.npz", tmp_path / "train" / "manifest.json"
    if damage == "missing":
        weights.unlink()
    elif damage == "short":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "flipped":
        content = weights.read_bytes()
        weights.write_bytes(content[:-30] + bytes([content[-30] ^ 16]) + content[-29:])
    elif damage == "manifest":
        manifest.write_text("{")
    elif damage == "edited":
        manifest.write_text(manifest.read_text().replace('"accuracy": 0.5', '"accuracy": 0.9'))
    elif damage == "swapped":
        write_json(manifest, {**read_json(manifest), "digests": {"weights.npz": "0" * 16}})
    else:
        kept = read_json(manifest)
        write_json(manifest, {name: value for name, value in kept.items() if name not in ("seal", "digests")})
    assert both(tmp_path)[0]
    assert both(tmp_path) == (False, False)


@pytest.mark.parametrize("damage", ["edited", "half", "empty", "gone", "flipped"])
def test_a_run_is_not_made_again_because_its_configuration_was_changed(tmp_path, damage, caplog):
    both(tmp_path, Settings(seed=7))
    config = tmp_path / "config.json"
    text = config.read_text()
    changed = {"edited": text.replace('"seed": 7', '"seed": 8'), "half": text[: len(text) // 2], "empty": "", "flipped": "\0{"}
    if damage == "gone":
        config.unlink()
    else:
        config.write_text(changed[damage])
    assert RunDirectory(tmp_path).reading().settings.seed == 7
    assert both(tmp_path) == (False, False)
    said = "The change is ignored: --seed is still 7, not 8." if damage == "edited" else "The change is ignored."
    assert said in caplog.text and config.read_text() == text
    with pytest.raises(InputError, match="--seed was 7, now 8"):
        both(tmp_path, Settings(seed=8), ["seed"])
    assert both(tmp_path, Settings(seed=8), ["seed"], overwrite=True) == (True, True)


def test_a_configuration_whose_copy_is_lost_too_is_refused(tmp_path):
    both(tmp_path)
    config, copy = tmp_path / "config.json", tmp_path / ".config.json"
    copy.write_text("")
    assert both(tmp_path) == (False, False) and copy.read_text() == config.read_text()
    copy.write_text("")
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 1'))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    for read in (lambda: both(tmp_path), RunDirectory(tmp_path).reading):
        with pytest.raises(InputError, match="config.json must be a run's configuration: it was changed after niwt wrote it"):
            read()
    assert {path: path.read_bytes() for path in before} == before


def test_a_mistake_before_the_first_stage_leaves_nothing(tmp_path):
    path = tmp_path / "runs" / "x"
    with pytest.raises(InputError), RunDirectory(path).locked(Settings()):
        raise InputError("The data folder does not exist.")
    assert os.listdir(tmp_path) == []
    with pytest.raises(InputError), RunDirectory(path).locked(Settings()) as run:
        stage = run.stage("train", settings_used=["layer"])
        (stage.work / "checkpoint").write_text("")
        with stage.writing():
            raise InputError("There is no such layer.")
    assert os.listdir(tmp_path) == []


def test_scratch_outlives_an_interruption_but_not_a_change_or_the_end(tmp_path):
    def begin(seed: int) -> bool:
        with RunDirectory(tmp_path).locked(Settings(seed=seed), overwrite=True) as run:
            stage = run.stage("train", settings_used=["seed"])
            found = (stage.work / "checkpoint").exists()
            (stage.work / "checkpoint").write_text("")
            raise KeyboardInterrupt(found)

    found = []
    for seed in (0, 0, 1):
        with pytest.raises(KeyboardInterrupt) as interrupt:
            begin(seed)
        found.append(interrupt.value.args[0])
    assert found == [False, True, False]
    with RunDirectory(tmp_path).locked(Settings(), overwrite=True) as run:
        assert train(run)
    assert not list(tmp_path.glob(".work-*"))


def test_a_folder_that_is_not_a_runs_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with (
        pytest.raises(InputError, match=r"--run_dir must be new, empty or the folder of a run.*thesis\.tex"),
        RunDirectory(tmp_path).locked(Settings()),
    ):
        pass
    with (
        pytest.raises(InputError, match="--run_dir must be a folder"),
        RunDirectory(tmp_path / "thesis.tex").locked(Settings()),
    ):
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("name", ["niwt_tf.runs.run.FORMAT", "niwt_tf.__version__"])
def test_what_another_version_wrote_is_made_again(tmp_path, monkeypatch, name):
    with RunDirectory(tmp_path / "run").locked(Settings()) as run:
        run.use_data("data")
        with run.stage("train", []).writing() as folder:
            (folder / "file").write_text("old")
    monkeypatch.setattr(name, 99)
    with RunDirectory(tmp_path / "run").locked(Settings()) as run:
        run.use_data("data")
        assert run.stage("train", []).reason == "was written by another version of niwt-tf"
        with pytest.raises(InputError, match="was written by another version of niwt-tf: run niwt run --run_dir=.* first"):
            run.folder("train")


def _measure(run: Run, factor: int = 10) -> None:
    """Do a stage that publishes the same file as the one it reads, with more in it."""
    stage = run.stage("measure", ["seed"], ["evaluate"], {"factor": factor}, publishes=["metrics.json"])
    if not stage.up_to_date:
        with stage.writing() as folder:
            known = read_json(run.folder("evaluate") / "metrics.json")
            (folder / "metrics.json").write_text(json.dumps({**known, "more": factor * known["sum"]}))


def test_the_last_stage_that_publishes_a_file_is_the_one_that_is_seen(tmp_path):
    def steps(seed: int, *stages) -> dict[str, int]:
        with RunDirectory(tmp_path).locked(Settings(seed=seed), overwrite=True, given=["seed"]) as run:
            run.use_data("d")
            for stage in stages:
                stage(run)
        return read_json(tmp_path / "metrics.json")

    assert steps(2, train, evaluate, _measure) == {"sum": 6, "more": 60}
    assert steps(2, train, evaluate) == {"sum": 6, "more": 60}
    (tmp_path / "metrics.json").unlink()
    assert steps(2, train, evaluate) == {"sum": 6, "more": 60}
    assert steps(3, train, evaluate) == {"sum": 9}
    assert steps(3, train, evaluate, _measure) == {"sum": 9, "more": 90}


def test_a_damaged_stage_is_not_called_absent(tmp_path):
    both(tmp_path)
    (tmp_path / "train" / "weights.npz").write_text("garbage")
    with RunDirectory(tmp_path).locked(Settings(), given=[]) as run:
        run.use_data("d")
        with pytest.raises(InputError, match=r"is not complete \(its weights.npz is missing or was changed\)"):
            run.folder("train")
    (tmp_path / "train" / "manifest.json").write_text("garbage")
    with RunDirectory(tmp_path).locked(Settings(), given=[]) as run, pytest.raises(InputError, match=r"its manifest.json is"):
        run.folder("train")


def test_a_run_of_another_version_is_one_sentence(tmp_path):
    settings = {**Settings().as_dict(), "head": "niwt"}
    del settings["method"]
    (tmp_path / "config.json").write_text(json.dumps({"settings": settings}))
    with (
        pytest.raises(InputError, match=r"must be a run of this version of niwt-tf\. .* with the setting 'head'"),
        RunDirectory(tmp_path).locked(Settings()),
    ):
        pass


def test_a_stage_alone_on_changed_data_is_refused(tmp_path):
    both(tmp_path)
    before = (tmp_path / "metrics.json").read_text()
    with (
        pytest.raises(InputError, match="The stage evaluate needs train, which was made from other data"),
        RunDirectory(tmp_path).locked(Settings()) as run,
    ):
        run.use_data("other")
        evaluate(run)
    assert (tmp_path / "metrics.json").read_text() == before and both(tmp_path) == (False, False)


def test_the_configuration_of_another_run_is_not_taken_for_this_run_s(tmp_path, caplog):
    one, other = tmp_path / "one", tmp_path / "other"
    both(one, Settings(seed=7))
    both(other, Settings(seed=8))
    (one / "config.json").write_bytes((other / "config.json").read_bytes())
    assert {part.name: part.status for part in check_run(one)}["config.json"] == "damaged"
    assert RunDirectory(one).reading().settings.seed == 7
    assert both(one) == (False, False)
    assert "The change is ignored: --seed is still 7, not 8." in caplog.text
    assert {part.name: part.status for part in check_run(one)}["config.json"] == "whole"


def test_the_folder_of_another_stage_is_not_taken_for_a_stage_s(tmp_path):
    both(tmp_path)
    with RunDirectory(tmp_path).locked(Settings()) as run:
        run.use_data("d")
        with run.stage("one", ["seed"]).writing() as folder:
            (folder / "a").write_text("1")
        assert run.stage("one", ["seed"]).up_to_date
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        stage = run.stage("two", ["seed"])
        assert not stage.up_to_date and stage.reason == "is not complete (its manifest.json is missing or was changed)"


def test_scratch_that_is_a_link_is_not_emptied(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("1")
    run.mkdir()
    with RunDirectory(run).locked(Settings()) as made:
        made.use_data("d")
        (run / ".work-train").symlink_to(elsewhere)
        work = made.stage("train", ["seed"]).work
        assert not work.is_symlink() and (elsewhere / "mine").read_text() == "1"


def test_a_finished_stage_is_not_made_again_because_too_many_files_are_open(tmp_path, monkeypatch):
    both(tmp_path)

    def full(path, **_):
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr(stage_module, "read_json", full)
    with pytest.raises(OSError, match="Too many open files"):
        both(tmp_path)
    monkeypatch.undo()
    assert both(tmp_path) == (False, False)


def test_what_is_published_is_read_where_it_cannot_have_been_changed(tmp_path):
    both(tmp_path)
    (tmp_path / "metrics.json").write_text('{"sum": 99}')
    run = RunDirectory(tmp_path).reading()
    assert run.published("metrics.json", "evaluate") == tmp_path / "evaluate" / "metrics.json"
    (tmp_path / "evaluate" / "metrics.json").write_text('{"sum": 99}')
    with pytest.raises(InputError, match=r"must hold the stage evaluate, which is not complete \(its metrics\.json"):
        run.published("metrics.json", "evaluate")


def test_what_a_command_finished_before_its_mistake_keeps_its_configuration(tmp_path):
    both(tmp_path)
    with pytest.raises(InputError), RunDirectory(tmp_path).locked(Settings(seed=1), overwrite=True) as run:
        run.use_data("d")
        train(run)
        raise InputError("The data folder is gone.")
    assert read_json(tmp_path / "config.json")["settings"]["seed"] == 1
    assert not both(tmp_path, Settings(seed=1))[0]


def test_a_mistake_in_a_team_is_undone_by_its_chief_alone(tmp_path):
    class Worker(Team):
        size, index = 2, 1

        def barrier(self):
            return None

        def of_each(self, value):
            return [value, value]

        def of_chief(self, *arrays):
            return arrays

    both(tmp_path)
    config = (tmp_path / "config.json").read_bytes()
    with pytest.raises(InputError), RunDirectory(tmp_path).locked(Settings(seed=1), overwrite=True, team=Worker()) as run:
        run.use_data("d")
        assert not run.stage("train", settings_used=["seed"]).up_to_date
        (tmp_path / "config.json").write_bytes(b"of the chief")  # who writes and who undoes
        raise InputError("The data folder is gone.")
    assert (tmp_path / "config.json").read_bytes() == b"of the chief" != config


def test_what_a_killed_command_left_half_written_is_gone_once_the_run_is_opened(tmp_path):
    both(tmp_path)
    (tmp_path / ".tmp-x00000001-metrics.json").write_text("{")
    with RunDirectory(tmp_path).locked(Settings()) as run:
        assert run.data == "d"
        assert not list(tmp_path.glob(".tmp-*"))


def test_a_run_that_was_only_opened_stays_as_it_is(tmp_path):
    with RunDirectory(tmp_path / "new").locked(Settings()):
        pass
    assert not (tmp_path / "new").exists()
    both(tmp_path / "run")
    before = read_json(tmp_path / "run" / "config.json")
    with RunDirectory(tmp_path / "run").locked(Settings(seed=1), overwrite=True):
        pass
    assert read_json(tmp_path / "run" / "config.json") == before


def test_settings_that_differ_are_refused_by_default(tmp_path):
    both(tmp_path)
    with pytest.raises(InputError, match="--seed"), RunDirectory(tmp_path).locked(Settings(seed=1)):
        pass


class _Member(Team):
    """One of two threads that work on a run together."""

    size = 2

    def __init__(self, index: int, meeting: threading.Barrier, values: dict) -> None:
        self.index, self._meeting, self._values = index, meeting, values

    def barrier(self) -> None:
        self._meeting.wait(30)

    def of_each(self, value):
        self._values[self.index] = value
        self.barrier()
        found = [self._values[index] for index in range(2)]
        self.barrier()
        return found

    def of_chief(self, *arrays):
        return self.of_each(arrays)[0]


def test_of_a_team_the_chief_writes_and_the_others_see_it(tmp_path):
    meeting, values = threading.Barrier(2), {}

    def work(index):
        with RunDirectory(tmp_path / "run").locked(Settings(), team=_Member(index, meeting, values)) as run:
            run.use_data("d")
            stage = run.stage("train", settings_used=["seed"])
            before = stage.up_to_date
            with stage.writing() as folder:
                (folder / "a.txt").write_text(f"by {index}")
            return before, stage.up_to_date, stage.reason, folder.exists(), (stage.folder / "a.txt").read_text()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [(False, True, "", False, "by 0")] * 2


def test_a_stage_reads_descriptions_unless_it_says_otherwise(tmp_path):
    for data in ("one", "two"):
        with RunDirectory(tmp_path / "run").locked(Settings()) as run:
            run.use_data(data, images="i")
            stage = run.stage("map", ["seed"])
            assert not stage.up_to_date
            with stage.writing() as folder:
                (folder / "a.txt").write_text(data)


def test_flags_that_were_empty_or_lists_are_shown_as_they_are_given(tmp_path):
    both(tmp_path, Settings(unseen=("a", "b"), seed=3))
    with pytest.raises(OtherFlagsError) as error:
        both(tmp_path, Settings(), given=["unseen", "seed"])
    assert "--unseen was a,b, now empty; --seed was 3, now 0." in str(error.value)


def test_workers_that_were_started_otherwise_are_named(tmp_path):
    class Others(Team):
        size, index = 4, 0

        def of_each(self, value):
            return [value, value + 1, value, value - 1]

        def barrier(self):
            return None

    with (
        pytest.raises(InputError, match="must have the same flags .* differ from the chief's on worker 1, 3"),
        RunDirectory(tmp_path).locked(Settings(), team=Others()),
    ):
        pass
