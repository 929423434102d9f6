"""Stage 3 by several layers and engines, on a finished run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwt_tf.files import read_json


def _flags(run: Path, finished_run) -> list[str]:
    return [f"--run_dir={run}", f"--export_dir={finished_run.exports}", "--noprogress"]


def test_further_layers_are_stacked_and_weighted(run_copy, finished_run, niwt):
    flags = [*_flags(run_copy, finished_run), "--overwrite", "--until=transfer"]
    job = niwt("run", *flags, "--extra_layers=block3_relu")
    assert job.status == 0, job.err
    trials = read_json(run_copy / "transfer" / "selection.json")["trials"]
    assert [trial["layer_weights"] for trial in trials[-2:]] == [[1.0, 0.3], [1.0, 1.0]]
    with np.load(run_copy / "importance" / "operators.npz") as file:
        assert file["main"].shape == (128 + 64, 256)
    with np.load(run_copy / "transfer" / "column_map.npz") as file:
        assert file["basis"].shape == (256, 128 + 64 + 1)
    with np.load(run_copy / "transfer" / "explainer.npz") as file:
        assert file["inverse_weights"].shape[1] == len(file["neuron_names"]) == 128  # explanations are of the own layer
    assert niwt("run", *flags, "--extra_layers=block9_relu").status == 2


def test_several_engines_are_chosen_between(run_copy, finished_run, niwt):
    job = niwt("transfer", *_flags(run_copy, finished_run), "--overwrite", "--engine=closed_form,operator,tape")
    assert job.status == 0, job.err
    trials = read_json(run_copy / "transfer" / "selection.json")["trials"]
    assert [trial["engine"] for trial in trials] == ["closed_form", "closed_form", "operator", "tape"]
    assert (run_copy / "transfer" / "column_map.npz").exists() == (
        max(trials, key=lambda trial: trial["harmonic_mean"])["engine"] == "closed_form"
    )
