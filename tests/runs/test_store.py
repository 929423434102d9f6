from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.runs import store as stage_store
from niwt_tf.runs.run import RunDirectory
from niwt_tf.runs.store import StageStore, link_files


def _train(path, store, text="made", settings=None, name="train"):
    """Do a stage that writes `text`, and return what its folder holds in the end."""
    with RunDirectory(path).locked(settings or Settings()) as run, closing(StageStore(store)) as run.store:
        run.use_data("data")
        stage = run.stage(name, ["seed"])
        if not stage.up_to_date:
            with stage.writing() as folder:
                (folder / "deep").mkdir()
                (folder / "deep" / "a.txt").write_text(text)
        return (stage.folder / "deep" / "a.txt").read_text()


def test_the_second_run_links_what_the_first_has_made(tmp_path):
    first, second, store = tmp_path / "first", tmp_path / "second", tmp_path / "store"
    assert _train(first, store, "one") == "one"
    assert _train(second, store, "two") == "one"
    assert os.path.samefile(first / "train" / "deep" / "a.txt", second / "train" / "deep" / "a.txt")
    assert read_json(first / "train" / "manifest.json") == read_json(second / "train" / "manifest.json")
    assert read_json(second / "config.json")["data"] == "data"
    with RunDirectory(second).locked(Settings()) as run:
        assert run.stage("train", ["seed"]).up_to_date


def test_a_mistake_after_a_stage_was_linked_leaves_it_and_its_configuration(tmp_path):
    first, second, store = tmp_path / "first", tmp_path / "second", tmp_path / "store"
    _train(first, store)
    with pytest.raises(InputError), RunDirectory(second).locked(Settings()) as run, closing(StageStore(store)) as run.store:
        run.use_data("data")
        assert run.stage("train", ["seed"]).up_to_date
        raise InputError("The data folder is gone.")
    assert read_json(second / "config.json")["settings"] == read_json(first / "config.json")["settings"]


def test_who_waits_for_another_run_says_so(tmp_path, caplog):
    parts, found, deadline = {"inputs": {}, "seed": 1}, threading.Event(), time.monotonic() + 60
    caplog.set_level("INFO", logger="niwt_tf")
    with closing(StageStore(tmp_path)) as one, closing(StageStore(tmp_path)) as other:
        assert one.find("train", parts) is None
        thread = threading.Thread(target=lambda: (other.find("train", parts), found.set()))
        thread.start()
        while "waiting" not in caplog.text and not found.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
        too_early = found.is_set()
        one.release("train", parts)
        thread.join()
    assert "train: waiting for another run that is making the same stage." in caplog.text and not too_early


def test_other_settings_or_stages_are_not_mixed_up(tmp_path):
    store = tmp_path / "store"
    assert _train(tmp_path / "first", store, "one") == "one"
    assert _train(tmp_path / "second", store, "two", Settings(seed=1)) == "two"
    assert _train(tmp_path / "third", store, "three", name="map") == "three"


def test_test_figures_are_not_shared(tmp_path):
    assert _train(tmp_path / "first", tmp_path / "store", "one", name="evaluate") == "one"
    assert _train(tmp_path / "second", tmp_path / "store", "two", name="evaluate") == "two"
    assert not (tmp_path / "store").exists()


def test_what_was_tampered_with_is_made_again(tmp_path):
    store = tmp_path / "store"
    assert _train(tmp_path / "first", store, "one") == "one"
    (kept,) = (path for path in store.iterdir() if path.is_dir())
    (kept / "deep" / "a.txt").unlink()
    assert _train(tmp_path / "second", store, "two") == "two"
    assert _train(tmp_path / "third", store, "three") == "two"


def test_a_failure_gives_the_stage_up(tmp_path):
    store = tmp_path / "store"
    with (
        pytest.raises(RuntimeError),
        RunDirectory(tmp_path / "first").locked(Settings()) as run,
        closing(StageStore(store)) as run.store,
    ):
        run.use_data("data")
        with run.stage("train", ["seed"]).writing():
            raise RuntimeError
    assert _train(tmp_path / "second", store, "two") == "two"


def test_without_links_files_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(stage_store.errno.EXDEV, "other disk")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text("a")
    (tmp_path / "to").mkdir()
    link_files(tmp_path / "from", tmp_path / "to")
    assert (tmp_path / "to" / "a").read_text() == "a"


_SLOW = """
import sys, time
from contextlib import closing
from pathlib import Path
from niwt_tf.config.settings import Settings
from niwt_tf.runs.run import RunDirectory
from niwt_tf.runs.store import StageStore
with RunDirectory(sys.argv[1]).locked(Settings()) as run, closing(StageStore(sys.argv[2])) as run.store:
    run.use_data("data")
    stage = run.stage("train", ["seed"])
    if not stage.up_to_date:
        with stage.writing() as folder:
            time.sleep(0.5)
            (folder / "a.txt").write_text(sys.argv[1])
            print("made")
"""


def test_of_several_processes_one_computes(tmp_path):
    runs = [tmp_path / name for name in ("a", "b", "c")]
    commands = [[sys.executable, "-c", _SLOW, str(run), str(tmp_path / "store")] for run in runs]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(said) == ["", "", "made\n"]
    assert len({(run / "train" / "a.txt").read_text() for run in runs}) == 1


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_lock_that_leads_elsewhere_is_refused_and_nothing_is_emptied(tmp_path, kind):
    mine, run = tmp_path / "mine.txt", tmp_path / "run"
    mine.write_text("mine")
    _train(run, tmp_path / "store")
    (run / ".lock").unlink()
    if kind == "link":
        (run / ".lock").symlink_to(mine)
    else:
        os.mkfifo(run / ".lock")
    with pytest.raises(InputError, match=r"\.lock must be a file of its own\. Received: a (link to '.*mine\.txt'|pipe)"):
        _train(run, tmp_path / "store")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "inputs", "shared"),
    [
        ("train", (), True), ("transfer", ("train",), True), ("map", ("importance",), True), ("evaluate", (), False),
        ("export", (), False), ("report", (), False), ("baseline_ale", ("train",), False), ("anything", ("transfer",), False),
    ],
)  # fmt: skip
def test_what_is_shared(name, inputs, shared):
    assert stage_store._is_shared(name, {"inputs": dict.fromkeys(inputs)}) == shared


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_a_file_that_cannot_be_linked_is_copied_and_another_fault_is_one(tmp_path, monkeypatch, code):
    source, target = tmp_path / "from", tmp_path / "to"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a").write_text("a")
    (target / "deep").mkdir(parents=True)
    faults = [code, errno.ENOSPC]
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(faults[0], "no")))
    link_files(source, target)
    assert (target / "deep" / "a").read_text() == "a"
    faults.pop(0)
    with pytest.raises(OSError, match="no") as raised:
        link_files(source, target)
    assert raised.value.errno == errno.ENOSPC


def test_a_folder_in_use_names_the_process(tmp_path):
    with stage_store.held(tmp_path / ".lock") as lock:
        lock.write("4711")
        lock.flush()
        with pytest.raises(InputError, match=r"must not be in use\. Received: a folder that process 4711 is working in"):
            stage_store.held(tmp_path / ".lock")
        lock.truncate(0)
        with pytest.raises(InputError, match="process unknown is working in"):
            stage_store.held(tmp_path / ".lock")
    stage_store.held(tmp_path / ".lock").close()


def test_a_lock_whose_file_was_replaced_is_taken_again(tmp_path, monkeypatch):
    """As when the process before removes its lock in the moment between opening and locking."""
    lock, real, opened = tmp_path / ".lock", stage_store.lock_file, []

    def racing(path):
        file = real(path)
        opened.append(file)
        if len(opened) == 1:
            path.unlink()
        return file

    monkeypatch.setattr(stage_store, "lock_file", racing)
    with stage_store.held(lock) as held:
        assert len(opened) == 2 and held is opened[1] and opened[0].closed
        assert os.path.samestat(os.fstat(held.fileno()), lock.stat())


def test_what_was_taken_on_is_given_up_when_the_store_is_closed(tmp_path):
    parts = {"inputs": {}, "seed": 1}
    with closing(StageStore(tmp_path / "deep" / "store")) as store:
        assert store.find("train", parts) is None and store.find("train", parts) is None
        assert len(store._held) == 1
        store.release("map", parts)
        assert len(store._held) == 1
    assert store._held == {}


@pytest.mark.parametrize(("mask", "mode"), [(0o027, 0o640), (0o020, 0o646)])
def test_a_lock_may_be_read_and_written_by_all_whom_the_mask_allows(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        stage_store.lock_file(tmp_path / ".lock").close()
    finally:
        os.umask(before)
    assert (tmp_path / ".lock").stat().st_mode & 0o777 == mode


def test_the_lock_of_a_run_says_which_process_works_there_and_nothing_else(tmp_path):
    _train(tmp_path / "run", tmp_path / "store")
    lock = tmp_path / "run" / ".lock"
    lock.write_text("9" * 30)
    with RunDirectory(tmp_path / "run").locked(Settings()):
        assert lock.read_text() == str(os.getpid())
