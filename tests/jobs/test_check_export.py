from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from niwt_tf.jobs.app import run_job
from niwt_tf.serving.checks import checking
from niwt_tf.serving.checks.checking import Check, check_export


@pytest.fixture
def outcomes(monkeypatch, tmp_path):
    """Return a list of what the checks find, and of what they were asked; there are a bundle and two images to ask of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exports/birds/1").mkdir(parents=True)
    for name in ("exports/birds/1/saved_model.pb", "a.png", "b.png"):
        (tmp_path / name).touch()
    found, asked = [], []

    def check_export(*arguments):
        asked.append(arguments)
        return iter(found)

    monkeypatch.setattr(checking, "check_export", check_export)
    return found, asked


def test_a_line_a_check(outcomes, capsys):
    found, asked = outcomes
    found += [Check("size", "ok", "1.02x the weights"), Check("model server", "not run", "no tensorflow_model_server")]
    assert run_job("check_export", ["--bundle=exports/birds", "--images=a.png,b.png"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok       size          1.02x the weights",
        "not run  model server  no tensorflow_model_server",
    ]
    (folder, images), = asked
    assert Path(folder) == Path("exports/birds/1") and [Path(image).name for image in images] == ["a.png", "b.png"]


def test_a_failure_is_status_2(outcomes, capsys):
    outcomes[0].extend([Check("size", "FAILED", "2.00x the weights"), Check("session", "ok", "")])
    assert run_job("check_export", ["--bundle=exports/birds"]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("FAILED   size") and "ok       session" in said.out
    assert said.err.endswith("must name a bundle that passes every check. Received: one that fails size.\n")


def test_a_bundle_must_be_named(capsys):
    assert run_job("check_export", []) == 2
    assert "--bundle must be given" in capsys.readouterr().err


def test_there_must_be_one(tmp_path, capsys):
    assert run_job("check_export", [f"--bundle={tmp_path}"]) == 2
    assert "exported SavedModel" in capsys.readouterr().err


def test_a_link_is_a_failed_check(niwt, finished_run, tmp_path):
    shutil.copytree(finished_run.exports / "1", tmp_path / "1")
    (tmp_path / "1" / "assets.extra" / "words").symlink_to(tmp_path)
    check = next(check_export(tmp_path / "1"))
    assert (check.name, check.status) == ("format", "FAILED") and "assets.extra/words, a link to" in check.detail


def test_a_run_is_checked_in_a_table_and_as_json(niwt, finished_run, tmp_path):
    job = niwt("check_run", f"--run_dir={finished_run.path}")
    assert job.status == 0 and "whole     transfer" in job.out, job.err
    run = shutil.copytree(finished_run.path, tmp_path / "run")
    (run / "map" / "main.npz").unlink()
    job = niwt("check_run", f"--run_dir={run}", "--format=json")
    parts = {part["name"]: part for part in json.loads(job.out)}
    seen = {"name": "map", "status": "damaged", "again": True, "detail": "missing or changed: main.npz", "size": 0}
    assert parts["map"] == seen
    assert (parts["train"]["status"], parts["transfer"]["again"]) == ("whole", None)
    assert job.status == 2 and job.err.count("\n") == 1 and "Received: one where map is damaged or missing." in job.err
