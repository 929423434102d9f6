"""Stage 3 by several layers and engines, on a finished run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from niwt_tf.files import read_json

pytestmark = pytest.mark.slow


def _flags(run: Path, finished_run) -> list[str]:
    return [f"--run_dir={run}", f"--export_dir={finished_run.exports}", "--noprogress"]


def test_further_layers_are_stacked_and_weighted(run_copy, finished_run, niwt):
    flags = [*_flags(run_copy, finished_run), "--overwrite", "--until=transfer"]
    job = niwt("run", *flags, "--extra_layers=features,block3_relu")
    assert job.status == 0, job.err
    trials = read_json(run_copy / "transfer" / "selection.json")["trials"]
    weights = [trial["layer_weights"] for trial in trials[-4:]]
    assert [each[1:] for each in weights[:2]] == [[0.3, 0.0], [1.0, 0.0]]
    assert [each[2] for each in weights[2:]] == [0.3, 1.0]
    with np.load(run_copy / "importance" / "operators.npz") as file:
        assert file["main"].shape == (128 + 256 + 64, 256)
        np.testing.assert_array_equal(file["main"][128:384], np.eye(256))  # of a feature, the importance is the column's entry
    with np.load(run_copy / "transfer" / "column_map.npz") as file:
        assert file["basis"].shape == (256, 128 + 256 + 64 + 1)
    with np.load(run_copy / "transfer" / "explainer.npz") as file:
        assert file["inverse_weights"].shape[1] == len(file["neuron_names"]) == 128  # explanations are of the own layer
    job = niwt("run", *flags, "--extra_layers=features,block3_relu", "--support=noise")
    assert job.status == 0, job.err
    assert niwt("run", *flags, "--extra_layers=block9_relu").status == 2


@pytest.mark.combination
def test_several_engines_are_chosen_between(run_copy, finished_run, niwt):
    job = niwt("transfer", *_flags(run_copy, finished_run), "--overwrite", "--engine=closed_form,operator,tape")
    assert job.status == 0, job.err
    trials = read_json(run_copy / "transfer" / "selection.json")["trials"]
    engines = [trial["engine"] for trial in trials]
    assert engines == ["closed_form"] * (len(trials) - 2) + ["operator", "tape"]
    assert (run_copy / "transfer" / "column_map.npz").exists() == (
        max(trials, key=lambda trial: trial["harmonic_mean"])["engine"] == "closed_form"
    )
