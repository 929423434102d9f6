"""`niwt run` and its stages on small data, from the command line's point of view, in this process."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.files import read_json
from niwt_tf.models.network import Network
from tests.shared import further

STAGES = ("train", "importance", "map", "transfer", "evaluate", "export", "faithfulness", "report")
# What other programs read; the command line's contract.
CONTRACT = {
    "acc_seen",
    "acc_unseen",
    "harmonic_mean",
    "acc_zsl",
    "ap_zsl",
    "ausuc",
    "calibration",
    "chance_zsl",
    "num_seen",
    "num_unseen",
    "rank_correlation_within",
    "rank_correlation_across",
    "map_rank_correlation",
    "seed",
}


def _flags(run: Path, finished_run) -> list[str]:
    return [f"--run_dir={run}", f"--export_dir={finished_run.exports}", "--noprogress"]


def _identities(run: Path) -> dict[str, str]:
    return {name: read_json(run / name / "manifest.json")["identity"] for name in STAGES}


def test_every_artefact_is_there(finished_run):
    path = finished_run.path
    beside = [".cache", ".config.json", ".lock", "config.json", "metrics.json", "test_labels.json"]
    assert sorted(os.listdir(path)) == sorted([*beside, *STAGES])
    held = {stage: {file.name for file in (path / stage).iterdir()} - {"manifest.json"} for stage in STAGES}
    assert held["train"] == {"main.keras", "fold_0.keras", "fold_1.keras", "history.json", "logs"}
    assert held["map"] == {"main.npz", "fold_0.npz", "fold_1.npz"}
    assert held["importance"] == held["map"] | {"operators.npz"}
    arrays = {"columns.npz", "column_map.npz", "descriptions.npz", "explainer.npz", "few_shot.npz"}
    assert held["transfer"] == {"network.keras", "selection.json", "probabilities.json", *arrays}
    assert held["evaluate"] == {"metrics.json", "scores.npz", "per_class.csv", "confusion.png", "ausuc.png", "predictions.png"}
    assert (finished_run.exports / "1" / "saved_model.pb").is_file()
    assert [entry.name for entry in finished_run.exports.iterdir()] == ["1"]
    assert not [file for file in path.rglob("*") if file.suffix in (".pkl", ".pickle")]


def test_metrics_keep_the_contract(finished_run):
    metrics = read_json(finished_run.path / "metrics.json")
    assert metrics.keys() >= CONTRACT
    figures = metrics.keys() - {"faithfulness", "optimistic", "test_ledger"}
    assert all(isinstance(metrics[name], int | float) for name in figures)
    assert metrics["optimistic"] == []
    fractions = ("acc_seen", "acc_unseen", "harmonic_mean", "acc_zsl", "ap_zsl", "ausuc", "chance_zsl")
    assert all(0 <= metrics[name] <= 1 for name in fractions)
    assert (metrics["num_seen"], metrics["num_unseen"], metrics["seed"], metrics["chance_zsl"]) == (7, 3, 3, 1 / 3)


def test_the_results_agree_with_each_other(finished_run):
    path = finished_run.path
    metrics = read_json(path / "metrics.json")
    with open(path / "evaluate" / "per_class.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    network = Network.load(path / "transfer" / "network.keras")
    assert network.calibration == pytest.approx(metrics["calibration"])
    assert (len(network.class_names), network.num_seen) == (10, 7)
    described = read_json(finished_run.exports / "1" / "niwt.json")
    kept = metrics.keys() - {"faithfulness", "optimistic", "test_ledger"}
    assert described["metrics"] == {name: metrics[name] for name in kept}
    trials = read_json(path / "transfer" / "selection.json")
    assert trials["chosen"] == max(trials["trials"], key=lambda trial: trial["harmonic_mean"])
    columns = np.load(path / "transfer" / "columns.npz", allow_pickle=False)
    np.testing.assert_array_equal(network.columns[:, 7:], columns["columns"])


def test_it_ends_with_the_table_and_where_to_look(finished_run):
    out = finished_run.job.out
    for expected in (
        "acc_seen",
        "acc_unseen",
        "H ",
        "ZSL",
        "chance",
        str(finished_run.exports / "1"),
        "predictions.png",
        "next",
    ):
        assert expected in out
    assert "Traceback" not in finished_run.job.err


def test_it_says_which_stage_it_is_at_and_how_long_the_rest_may_take(finished_run):
    said = finished_run.job.err
    assert "stage 1 of" not in said
    later = [f"niwt run: stage {number} of {len(STAGES)}, {name}, about " in said for number, name in enumerate(STAGES, 1)]
    assert later == [False] + [True] * (len(STAGES) - 1)


def test_a_second_run_has_nothing_to_do(niwt, finished_run, run_copy):
    before = _identities(run_copy)
    job = niwt("run", *_flags(run_copy, finished_run))
    assert job.status == 0, job.err
    assert [f"{stage} is up to date." in job.err for stage in STAGES] == [True] * len(STAGES)
    assert _identities(run_copy) == before
    assert "SavedModel" in job.out and "stage 1 of" not in job.err


@pytest.mark.parametrize(
    "stage", ["evaluate", pytest.param("transfer", marks=pytest.mark.slow), *further("importance", "map")]
)
def test_each_stage_alone_gives_the_same_again(niwt, finished_run, run_copy, stage):
    flags, before = _flags(run_copy, finished_run), _identities(run_copy)
    shutil.rmtree(run_copy / stage)
    job = niwt(stage, *flags)
    assert job.status == 0, job.err
    if stage in ("importance", "map"):
        assert _identities(run_copy) == before
    for first in (finished_run.path / stage).glob("*.npz"):
        with np.load(first, allow_pickle=False) as one, np.load(run_copy / stage / first.name, allow_pickle=False) as other:
            for name in one.files:
                np.testing.assert_array_equal(one[name], other[name])
    assert niwt("evaluate", *flags).status == 0
    again, first_time = (read_json(path / "metrics.json") for path in (run_copy, finished_run.path))
    if stage == "transfer":  # explanations of another network were not measured
        assert "faithfulness" not in again
        del first_time["faithfulness"]
    assert again == first_time


def test_a_stage_that_the_method_does_not_have(niwt, finished_run, run_copy):
    job = niwt("meta", *_flags(run_copy, finished_run))
    assert job.status == 2 and not (run_copy / "meta").exists()
    rule = (
        "niwt meta: --method must be a method with the stage meta for niwt meta. Received: 'niwt', which has importance, map."
    )
    assert job.err.strip() == rule


def test_a_stage_without_its_input_says_which_to_run(niwt, finished_run, run_copy):
    shutil.rmtree(run_copy / "importance")
    job = niwt("map", *_flags(run_copy, finished_run))
    # Nothing is missing for the map itself, which is there; what it stands on is.
    assert job.status == 2
    assert f"must hold the stage importance, which is missing: run niwt run --run_dir={run_copy} first" in job.err


@pytest.mark.slow
def test_another_flag_is_named_and_overwrite_redoes_what_it_changes(niwt, finished_run, run_copy):
    flags = _flags(run_copy, finished_run)
    before = _identities(run_copy)
    job = niwt("transfer", *flags, "--transfer_steps=3", "--seed=3")
    assert (job.status, job.err.count("\n")) == (2, 1)
    assert "--transfer_steps was 20, now 3. Give --overwrite" in job.err
    assert "--seed" not in job.err
    assert _identities(run_copy) == before
    assert read_json(run_copy / "config.json")["settings"]["transfer_steps"] == 20
    job = niwt("transfer", *flags, "--transfer_steps=3", "--overwrite")
    assert job.status == 0, job.err
    assert not (run_copy / "metrics.json").exists()
    assert niwt("evaluate", *flags).status == 0
    after = _identities(run_copy)
    assert {name for name in STAGES if after[name] != before[name]} == {"transfer", "evaluate"}
    reasons = ["its test images were also scored with another --transfer_steps"]
    assert read_json(run_copy / "metrics.json")["optimistic"] == reasons
    assert read_json(run_copy / "config.json")["settings"]["transfer_steps"] == 3


@contextmanager
def _no_file_over(size: int):
    """Make the disk seem full to whoever writes a file of more bytes; Python has the signal ignored already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "stage", [pytest.param("evaluate", marks=pytest.mark.slow), *further("importance", "map", "transfer", "export")]
)
def test_a_full_disk_in_a_stage(niwt, finished_run, run_copy, tmp_path, stage):
    flags = [f"--run_dir={run_copy}", f"--export_dir={tmp_path / 'exports'}", "--noprogress"]
    shutil.rmtree(run_copy / stage)
    before = sorted(os.listdir(run_copy))
    with _no_file_over(3000):
        job = niwt(stage, *flags)
    assert job.status == 2
    expected = ("the same value for all seen classes", "--engine=auto takes")
    said = [line for line in job.err.splitlines() if not any(text in line for text in expected)]
    assert len(said) == 1, job.err
    assert said[0].startswith(f"niwt {stage}: Cannot write")
    assert "File too large" in said[0]
    assert set(os.listdir(run_copy)) <= set(before)
    assert not list((tmp_path / "exports").glob("*"))
    if stage in ("map", "evaluate"):
        assert niwt(stage, *flags).status == 0
        assert (run_copy / stage / "manifest.json").is_file()


def test_a_full_disk_in_training(niwt, own_data, tmp_path):
    flags = ["--dataset=folder", f"--data_dir={own_data}", f"--run_dir={tmp_path / 'run'}", "--noprogress", *OWN]
    with _no_file_over(3000):
        job = niwt("train", *flags)
    assert job.status == 2
    warned, uncached, said = job.err.splitlines()
    assert "cannot be written any more (File too large). The run goes on without it." in uncached
    assert "with random weights" in warned
    assert "File too large" in said
    assert not (tmp_path / "run" / "train").exists()


OWN = ["--input_size=32", "--finetune=head", "--epochs=2", "--num_folds=1", "--num_support=4", "--transfer_steps=2"]


@pytest.mark.slow
def test_a_class_that_is_only_described(niwt, own_data, tmp_path):
    """No test image can tell of it: what stands on such images is null, and the model has it all the same."""
    run = tmp_path / "run"
    data = ["--dataset=folder", f"--data_dir={own_data}", "--head_regularization=10", "--validation_classes=2"]
    flags = [f"--run_dir={run}", f"--export_dir={tmp_path / 'exports'}", "--noprogress"]
    job = niwt("run", *data, *flags, *OWN)
    assert job.status == 0, job.err
    metrics = json.loads((run / "metrics.json").read_text())
    assert {name for name, value in metrics.items() if value is None} == {
        "acc_unseen",
        "harmonic_mean",
        "harmonic_mean_uncalibrated",
        "acc_zsl", "ap_zsl",
        "ausuc",
    }
    assert (metrics["num_seen"], metrics["num_unseen"]) == (5, 1)
    assert "n/a" not in job.out and "estimate" in job.out
    assert Network.load(run / "transfer" / "network.keras").class_names[-1] == "fox"
    assert (tmp_path / "exports" / "1" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_two_seen_classes_are_too_few_to_choose_on(niwt, own_copy, tmp_path):
    """The least there can be: no fold, so the first settings are used."""
    for name in ("cat", "dog", "eel"):
        shutil.rmtree(own_copy / "images" / name)
    run = tmp_path / "run"
    flags = [f"--run_dir={run}", "--noprogress"]
    data = ["--dataset=folder", f"--data_dir={own_copy}", "--head_regularization=10,100"]
    for stage in STAGES[:5]:
        job = niwt(stage, *flags, *([*data, *OWN] if stage == "train" else []))
        assert job.status == 0, job.err
    selection = read_json(run / "transfer" / "selection.json")
    assert selection["trials"] == []
    assert read_json(run / "metrics.json")["calibration"] == 0
    job = niwt("baseline", *flags)
    assert job.status == 2
    assert "A baseline needs enough seen classes to leave some out and keep 4. Received: 2 seen classes." in job.err


_KILLED = """
import sys
from niwt_tf.training import trainer
kept = trainer.save_checkpoint
def save_and_say(*arguments):
    kept(*arguments)
    print("checkpoint", flush=True)
    sys.stdin.readline()
trainer.save_checkpoint = save_and_say
from niwt_tf.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.combination  # tests/training/test_trainer.py interrupts one
def test_a_killed_training_goes_on_to_the_same_result(niwt, finished_run, tiny_birds, tiny_flags, tmp_path):
    run = tmp_path / "run"
    flags = [f"--data_dir={tiny_birds}", f"--run_dir={run}", "--num_unseen=3", *tiny_flags]
    command = [sys.executable, "-c", _KILLED, "train", *flags]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "checkpoint\n"  # after the first of two epochs
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (run / "train").exists()
    job = niwt("train", *flags)
    assert job.status == 0, job.err
    assert not list(run.glob(".work-*"))
    history = read_json(run / "train" / "history.json")["main"]
    assert [record["epoch"] for record in history] == [1, 2]
    whole = Network.load(finished_run.path / "train" / "main.keras")
    resumed = Network.load(run / "train" / "main.keras")
    for expected, found in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("stage", further("transfer", "importance", "evaluate"))  # tests/test_crash_points.py has every point
def test_a_killed_stage_leaves_nothing_and_the_next_run_goes_on(niwt, finished_run, run_copy, stage):
    shutil.rmtree(run_copy / stage)
    code = (
        "import os, signal, sys\n"
        "from niwt_tf.runs.stage import Stage\n"
        "kept = Stage.record\n"
        "def die(*arguments, **named): os.kill(os.getpid(), signal.SIGKILL)\n"
        "Stage.record = die\n"
        "from niwt_tf.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stage, *_flags(run_copy, finished_run)], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not (run_copy / stage).exists()
    assert list(run_copy.glob(".tmp-*"))
    job = niwt("run", *_flags(run_copy, finished_run))
    assert job.status == 0, job.err
    assert not list(run_copy.glob(".tmp-*"))
    assert read_json(run_copy / "metrics.json") == read_json(finished_run.path / "metrics.json")
