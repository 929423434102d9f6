"""`niwt faithfulness` on a finished run of the tiny birds."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

from niwt_tf.explain.faithfulness.table import FIGURES, as_text
from niwt_tf.files import read_json


@pytest.fixture(scope="module")
def measured(niwt, finished_run, tmp_path_factory):
    """Return a copy of the finished run with its faithfulness, and what the job said."""
    run = shutil.copytree(finished_run.path, tmp_path_factory.mktemp("measured") / "run")
    job = niwt("faithfulness", f"--run_dir={run}", "--noprogress")
    assert job.status == 0, job.err
    return run, job


def test_it_adds_to_the_metrics_and_prints_the_table(measured, finished_run):
    run, job = measured
    metrics = read_json(run / "metrics.json")
    faithfulness = metrics.pop("faithfulness")
    assert metrics == read_json(finished_run.path / "evaluate" / "metrics.json")
    assert job.out.strip() == as_text(faithfulness).strip()
    # Two epochs give no neuron a name to rely on.
    assert faithfulness.keys() >= {"energy_in_box", "pointing_game", "insertion_auc", "deletion_auc", "attribute_hit"}
    assert faithfulness.keys() <= {figure.name for figure in FIGURES}
    for name, sides in faithfulness.items():
        for figure in sides.values():
            assert figure.keys() >= {"value", "count"} and -1 <= figure["value"] <= 1, name
            assert figure.get("low", -1) <= figure["value"] <= figure.get("high", 1), name
    seen, unseen = (faithfulness["energy_in_box"][side] for side in ("seen", "unseen"))
    assert seen["count"] + unseen["count"] <= metrics["num_test_images"]
    assert 0 < seen["chance"] < 1


def test_its_files_agree(measured):
    run, _ = measured
    folder = run / "faithfulness"
    assert {file.name for file in folder.iterdir()} == {
        *("manifest.json", "metrics.json", "faithfulness.csv", "neurons.csv", "activating.npz")
    }
    faithfulness = read_json(folder / "metrics.json")["faithfulness"]
    rows = _rows(folder / "faithfulness.csv")
    assert len(rows) == sum(map(len, faithfulness.values()))
    for row in rows:
        figure = faithfulness[row["measure"]][row["classes"]]
        assert float(row["value"]) == pytest.approx(figure["value"], abs=1e-6)
        assert (row["chance"] == "") == ("chance" not in figure)
        assert (row["count"], row["left_out"]) == (str(figure["count"]), str(figure.get("left_out", "")))
    assert any(row["left_out"] for row in rows)
    neurons = _rows(folder / "neurons.csv")
    with np.load(run / "transfer" / "explainer.npz", allow_pickle=False) as file:
        assert [row["name"] for row in neurons] == file["neuron_names"].tolist()
    assert all((row["auc"] == "") or 0 <= float(row["auc"]) <= 1 for row in neurons)
    assert all(row["part_energy"] == "" for row in neurons if not row["part"])
    with np.load(folder / "activating.npz", allow_pickle=False) as file:
        assert len(file["images"]) == len(file["values"]) == len(file["regions"]) == len(neurons)


def test_it_is_done_once(niwt, measured):
    run, first = measured
    again = niwt("faithfulness", f"--run_dir={run}", "--noprogress")
    assert again.status == 0 and "faithfulness is up to date" in again.err
    assert again.out == first.out


@pytest.mark.slow
def test_corrected_boxes_are_measured_again_and_nothing_else_is_done(niwt, measured, tiny_birds, tmp_path):
    run, data = (shutil.copytree(source, tmp_path / source.name) for source in (measured[0], tiny_birds))
    boxes = data / "CUB_200_2011" / "bounding_boxes.txt"
    boxes.write_text("".join(f"{line.split()[0]} 0 0 16 16\n" for line in boxes.read_text().splitlines()))
    flags = f"--run_dir={run}", f"--data_dir={data}", "--overwrite", "--noprogress"
    report = niwt("report", *flags)
    assert report.status == 2
    assert "The stage report needs faithfulness, which was made with another annotation: run niwt run --run_dir=" in report.err
    again = niwt("faithfulness", *flags)
    assert again.status == 0 and "faithfulness is made again: it was made with another annotation." in again.err
    energy = read_json(run / "metrics.json")["faithfulness"]["energy_in_box"]
    assert energy["seen"]["chance"] == pytest.approx(0.25)


def test_it_needs_the_stages_before_it(niwt, finished_run, tmp_path):
    run = shutil.copytree(finished_run.path, tmp_path / "run")
    shutil.rmtree(run / "evaluate")
    job = niwt("faithfulness", f"--run_dir={run}", "--noprogress")
    assert job.status == 2
    assert "must hold the stage evaluate, which is missing: run niwt run --run_dir=" in job.err


def _rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
