"""What a run writes of its class probabilities, and the name that an abstaining export needs for itself."""

from __future__ import annotations

import os
import shutil

import pytest

from niwt_tf.files import read_json
from niwt_tf.jobs import export
from niwt_tf.jobs.table import JOBS
from niwt_tf.protocol.probabilities import load_probabilities
from tests.shared import further


def test_temperature_and_threshold_of_the_validation_classes_are_written(finished_run):
    path = finished_run.path
    probabilities = load_probabilities(path / "transfer" / "probabilities.json")
    assert probabilities.temperature > 0
    assert 0 <= probabilities.abstain_below < 1
    figures = probabilities.figures
    assert figures["validation_folds"] == 2
    assert all(0 <= figures[f"validation_{name}"] <= 1 for name in ("ece", "ece_uncalibrated", "abstain_auroc"))
    metrics = read_json(path / "metrics.json")
    assert 0 <= metrics["ece"] <= 1
    assert metrics["ece"] != metrics["ece_uncalibrated"]


def test_only_what_exports_may_abstain():
    taking = {name for name, job in JOBS.items() if "abstain" in {option.name for option in job.options}}
    assert taking == {"run", "deploy", "export"}


@pytest.mark.parametrize(("job", "abstain"), [("run", True), ("export", False), *further(("run", False), ("export", True))])
def test_the_flag_reaches_the_export(niwt, finished_run, tmp_path, monkeypatch, job, abstain):
    path = shutil.copytree(finished_run.path, tmp_path / "run")
    asked = []
    monkeypatch.setattr(export, "stage", lambda *_, abstain: asked.append(abstain))
    given = [f"--run_dir={path}", f"--export_dir={finished_run.exports}", "--noprogress", *(["--abstain"] if abstain else [])]
    ended = niwt(job, *given)
    assert (ended.status, asked) == (0, [abstain]), ended.err


def test_a_class_called_unknown_is_refused_before_anything_is_trained(niwt, own_copy, tmp_path):
    (own_copy / "images" / "dog").rename(own_copy / "images" / "Unknown")
    table = own_copy / "classes.csv"
    table.write_text(table.read_text().replace("dog,", "Unknown,"))
    folders = f"--data_dir={own_copy}", f"--run_dir={tmp_path}/run"
    job = niwt("run", "--dataset=folder", *folders, "--input_size=32", "--noprogress", "--abstain")
    assert (job.status, job.err.count("\n")) == (2, 1), job.err
    assert "--abstain must not be given with a class of the name 'unknown'" in job.err
    assert "Received: 'Unknown'" in job.err
    assert sorted(os.listdir(tmp_path)) == ["data"]
