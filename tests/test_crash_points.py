"""At every change of the file system that a command makes: killed there, what is left is whole, and the command ends well.

`pytest tests/test_crash_points.py -s -m "slow or not slow"` prints how many points there are.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from niwt_tf import files
from niwt_tf.cli import main
from niwt_tf.config.settings import Settings
from niwt_tf.experiments.sweeps import trials
from niwt_tf.files import read_json, remove_abandoned, replacing_directory, write_json
from niwt_tf.jobs import sweep
from niwt_tf.runs.integrity import check_run
from niwt_tf.runs.run import CONFIG, RunDirectory
from niwt_tf.serving.bundle.bundle import Bundle
from niwt_tf.serving.bundle.cards import Card
from niwt_tf.serving.bundle.versions import new_version, versions
from niwt_tf.serving.classes import rewrite
from tests.crash_points import HOWS, stopped
from tests.shared import further

FAKE_TRIAL = Path(__file__).parent / "jobs" / "fake_trial.py"
VARYING = {"trial", "seconds"}  # columns of where the data lie, and of how fast the machine is


class _Run:
    """Three stages, each made of the one before; the last publishes its figures and scores test images."""

    def begin(self, root: Path) -> None:
        self.act(root, seed=1)

    def act(self, root: Path, seed: int = 2) -> None:
        with RunDirectory(root / "run").locked(Settings(seed=seed), overwrite=True) as run:
            run.use_data("d")
            for name, inputs, publishes in (("train", [], []), ("map", ["train"], []), ("evaluate", ["map"], ["metrics.json"])):
                stage = run.stage(name, ["seed"], inputs, publishes=publishes)
                if not stage.up_to_date:
                    (stage.work / "checkpoint").write_text("half")
                    with stage.writing() as folder:
                        np.savez(folder / "arrays.npz", a=np.full(3, seed))
                        if publishes:
                            mark = run.scored_test_images("evaluate", {"seed": seed})
                            write_json(folder / "metrics.json", {"h": seed, "optimistic": len(mark["optimistic"])})

    def check(self, root: Path) -> None:
        """Nothing that is there is damaged: a stage is whole or not there."""
        parts = {part.name: part for part in check_run(root / "run")}
        assert not [part for part in parts.values() if part.status == "damaged"], parts
        assert RunDirectory(root / "run").reading().settings.seed in (1, 2)

    def end(self, root: Path) -> object:
        kept = {name: read_json(root / "run" / name / "manifest.json")["identity"] for name in ("train", "map", "evaluate")}
        return kept, read_json(root / "run" / "metrics.json"), read_json(root / "run" / CONFIG)["settings"]


class _Save:
    """A folder that replaces one of the same name."""

    def begin(self, root: Path) -> None:
        self.act(root, "old")

    def act(self, root: Path, text: str = "new") -> None:
        with replacing_directory(root / "model") as folder:
            (folder / "a").write_text(text)
            write_json(folder / "b.json", text)

    def check(self, root: Path) -> None:
        files.recover(root / "model")  # as reading does
        text = (root / "model" / "a").read_text()
        assert text in ("old", "new") and read_json(root / "model" / "b.json") == text

    def end(self, root: Path) -> object:
        return sorted(os.listdir(root)), (root / "model" / "a").read_text()


class _Export:
    """A version beside another."""

    def begin(self, root: Path) -> None:
        self.act(root)

    def act(self, root: Path) -> None:
        with new_version(root / "exports" / "toy") as version:
            (version.work / "variables").mkdir()
            (version.work / "variables" / "data").write_text("data")
            (version.work / "saved_model.pb").write_text("graph")

    def check(self, root: Path) -> None:
        for path in versions(root / "exports" / "toy").values():
            assert (path / "variables" / "data").read_text() == "data" and (path / "saved_model.pb").read_text() == "graph"

    def end(self, root: Path) -> object:
        folder = root / "exports" / "toy"
        found = versions(folder)
        return len(found) in (2, 3), sorted(os.listdir(folder)) == sorted(path.name for path in found.values())


def _copy_of_variables(source: Path, work: Path) -> None:
    shutil.copytree(source / "variables", work / "variables")


class _AddClass:
    """The version after a bundle's."""

    def begin(self, root: Path) -> None:
        folder = root / "toy" / "1"
        for name in ("variables", "assets.extra"):
            (folder / name).mkdir(parents=True)
        (folder / "saved_model.pb").write_text("graph")
        (folder / "variables" / "data").write_text("data")
        rewrite.write_cards(folder, [Card("owl")])
        rewrite.write_metadata(folder, {"format": 2, "labels": ["owl"], "seen": [], "unseen": ["owl"]})

    def act(self, root: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rewrite, "_write_variables", lambda bundle, work, _: _copy_of_variables(bundle.folder, work))
            rewrite.next_version(Bundle.open(root / "toy" / "1"), variables={}, cards=[Card("owl"), Card("wren")])

    def check(self, root: Path) -> None:
        for path in versions(root / "toy").values():
            assert Bundle.open(path).labels in (("owl",), ("owl", "wren"))

    def end(self, root: Path) -> object:
        found = versions(root / "toy")
        return len(found) in (2, 3), sorted(os.listdir(root / "toy")) == sorted(path.name for path in found.values())


class _SaveInSteps(_Save):
    """The same where the system cannot exchange two names."""

    def act(self, root: Path, text: str = "new") -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "_exchanged", lambda *_: False)
            super().act(root, text)


class _Sweep:
    """A sweep of two trials that take no time, the better of which is evaluated."""

    def begin(self, root: Path) -> None:
        (root / "data").mkdir()
        (root / "data" / "version").write_text("1")

    def act(self, root: Path) -> None:
        folders = [f"--sweep_dir={root / 'sweep'}", f"--data_dir={root / 'data'}"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trials, "trial_program", lambda: [sys.executable, str(FAKE_TRIAL)])
            patch.setenv("PYTHONPATH", str(FAKE_TRIAL.parents[2]))
            patch.setattr(sweep, "write_tensorboard", lambda folder, rows: None)
            status = main(["sweep", *folders, "--noprogress", "--parallel=1", "--split=ps", "--grid=patience=1,2"])
        if status:
            raise OSError(status, "The job could not end.")

    def check(self, root: Path) -> None:
        for path in (root / "sweep").rglob("*.json"):
            if not any(part.startswith(".") for part in path.relative_to(root).parts):
                read_json(path)

    def end(self, root: Path) -> object:
        rows = list(csv.DictReader((root / "sweep" / "results.csv").read_text(encoding="utf-8").splitlines()))
        return [{name: cell for name, cell in row.items() if name not in VARYING} for row in rows]


COMMANDS = {
    "run": _Run, "save": _Save, "save in two steps": _SaveInSteps, "export": _Export, "add_class": _AddClass, "sweep": _Sweep
}  # fmt: skip
# A sweep takes seconds a point: all of its points are tried where NIWT_TESTS_EXPLORE is set, else one in twenty-four.
STRIDES = {"sweep": 1 if os.environ.get("NIWT_TESTS_EXPLORE") else 24}
KILLED = [pytest.param(name, "kill", marks=pytest.mark.slow) for name in COMMANDS if name not in ("save", "sweep")]
OTHERWISE = further(("sweep", "kill"), *((name, how) for name in COMMANDS for how in HOWS if how != "kill"))


@pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc/self/fd").exists(), reason="needs fork and /proc")
@pytest.mark.parametrize(("name", "how"), [("save", "kill"), *KILLED, *OTHERWISE])
def test_nothing_is_lost_at_any_point(tmp_path, name, how):
    command = COMMANDS[name]()
    (tmp_path / "undisturbed").mkdir()
    command.begin(tmp_path / "undisturbed")
    shutil.copytree(tmp_path / "undisturbed", tmp_path / "begun", symlinks=True)
    command.act(tmp_path / "undisturbed")
    expected, stop, points = command.end(tmp_path / "undisturbed"), 0, 0
    while True:
        stop, points = stop + STRIDES.get(name, 1), points + 1
        root = Path(shutil.copytree(tmp_path / "begun", tmp_path / "root", symlinks=True))
        there = stopped(lambda root=root: command.act(root), root, stop, how)
        command.check(root)
        command.act(root)
        command.check(root)
        assert command.end(root) == expected, f"point {stop}, {how}"
        remove_abandoned(root)
        assert not [str(path) for path in root.rglob("*") if path.name.startswith((".tmp", ".work"))], f"point {stop}, {how}"
        shutil.rmtree(root)
        if not there:
            break
    assert stop > 10
    print(json.dumps({"command": name, "stopped by": how, "points": points - 1, "lost": 0}))
