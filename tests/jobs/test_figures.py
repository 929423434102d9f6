"""The flagfiles on the data that they are for. Floors leave room for other processors; studies/seeds.py has the figures."""

from __future__ import annotations

import pytest

from niwt_tf.data.birds.render import render_birds
from niwt_tf.files import read_json
from tests.shared import further

WEIGHTS = "weights/mobilenet_v2_100_224.weights.h5"


@pytest.mark.slow
@pytest.mark.combination  # minutes on both cores; the photographs below are done each time
def test_birds(niwt, repository, tmp_path):
    data = render_birds(tmp_path / "birds")
    common = [f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}", "--noprogress"]
    job = niwt("run", f"--flagfile={repository / 'flags' / 'birds.flags'}", f"--export_dir={tmp_path / 'exports'}", *common)
    assert job.status == 0, job.err
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert metrics["harmonic_mean"] >= 0.55
    assert metrics["acc_zsl"] >= 0.55
    assert metrics["rank_correlation_within"] >= 0.8
    assert metrics["rank_correlation_across"] < 0.15
    true = metrics["faithfulness"]
    assert true["energy_in_box"]["seen"]["value"] >= 0.8
    assert true["energy_in_box"]["unseen"]["value"] >= true["energy_in_box"]["seen"]["value"] - 0.06
    for side in ("seen", "unseen"):
        assert true["attribute_hit"][side]["value"] >= true["attribute_hit"][side]["chance"] + 0.2
        assert true["deletion_auc"][side]["value"] < true["deletion_auc"][side]["chance"] < true["insertion_auc"][side]["value"]
    assert true["good_names"]["all"]["value"] >= 0.6 > 0.2 >= true["good_names"]["all"]["chance"]
    assert (tmp_path / "run" / "report" / "report.html").stat().st_size < 15e6
    job = niwt("baseline", "--methods=eszsl", "--baseline_features=map", *common)
    assert job.status == 0, job.err
    eszsl = read_json(tmp_path / "run" / "baseline_eszsl" / "metrics.json")
    assert metrics["harmonic_mean"] >= eszsl["harmonic_mean"] + 0.05


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "folder", "floor"), [("animals_mobilenet_v2", "animals", 0.5), *further(("cub10_mobilenet_v2", "cub", 0.2))]
)
def test_photographs(niwt, repository, shared_data, tmp_path, name, folder, floor):
    job = niwt(
        "run",
        f"--flagfile={repository / 'flags' / name}.flags",
        f"--data_dir={shared_data / folder}",
        f"--weights={shared_data / WEIGHTS}",
        f"--run_dir={tmp_path / 'run'}",
        f"--export_dir={tmp_path / 'exports'}",
        "--head_regularization=30",
        "--transfer_lambda=0.1",
        "--num_support=32",
        "--num_folds=2",
        "--noprogress",
    )
    assert job.status == 0, job.err
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert metrics["harmonic_mean"] >= floor
    assert metrics["acc_seen"] > 1 / (metrics["num_seen"] + metrics["num_unseen"])
    assert (tmp_path / "exports" / "1" / "saved_model.pb").is_file()
