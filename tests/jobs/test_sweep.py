"""`niwt sweep` with trials that take no time; one test at the end does real ones."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.experiments.sweeps import trials as sweep_trials
from niwt_tf.files import read_json
from tests.shared import further

FAKE = Path(__file__).with_name("fake_trial.py")
GRID = "patience=1,3,2;seed=0,1"


@pytest.fixture
def sweep(niwt, tmp_path, monkeypatch):
    """Return a function that does a sweep of fake trials in tmp_path/sweep."""
    monkeypatch.setattr(sweep_trials, "trial_program", lambda: [sys.executable, str(FAKE)])
    monkeypatch.setenv("PYTHONPATH", str(FAKE.parents[2]))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "version").write_text("1")

    def call(*flags: str, grid: str = GRID):
        common = [f"--sweep_dir={tmp_path / 'sweep'}", f"--data_dir={tmp_path / 'data'}", "--noprogress", "--parallel=2"]
        return niwt("sweep", *common, *([f"--grid={grid}"] if grid else []), *flags)

    return call


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("trials/*/*/manifest.json")}


@pytest.mark.slow
def test_the_choice_is_by_validation_classes_and_it_alone_sees_test_images(sweep, tmp_path):
    job = sweep("--split=ps")
    assert job.status == 0, job.err
    folder = tmp_path / "sweep"
    rows = _rows(folder / "results.csv")
    assert [(row["patience"], row["seed"], row["status"]) for row in rows] == [
        (patience, seed, "done") for patience in "132" for seed in "01"
    ]
    assert [row["validation_harmonic_mean"] for row in rows[:2]] == ["0.1", "0.11"]
    chosen = [row for row in rows if row["chosen"] == "yes"]
    assert [(row["patience"], row["seed"]) for row in chosen] == [("3", "0"), ("3", "1")]
    assert [float(row["test_harmonic_mean"]) for row in chosen] == [pytest.approx(0.7), pytest.approx(0.69)]
    assert all(row["test_harmonic_mean"] == "" for row in rows if row["chosen"] == "no")
    evaluated = {path.parent.name for path in folder.glob("trials/*/evaluate")}
    assert evaluated == {row["trial"] for row in chosen}
    best, second, third = _rows(folder / "configurations.csv")
    assert [best["patience"], second["patience"], third["patience"]] == ["3", "2", "1"]
    assert float(best["validation_harmonic_mean"]) == pytest.approx(0.305)
    assert float(best["validation_harmonic_mean_sd"]) == pytest.approx(0.005 * 2**0.5)
    assert float(best["test_harmonic_mean"]) == pytest.approx(0.695)
    assert "chosen for --seed=0; --seed=1: --patience=3" in job.out
    assert f"tensorboard --logdir {folder / 'tensorboard'}" in job.out


@pytest.mark.slow
def test_problems_that_differ_choose_apart(sweep):
    job = sweep()
    assert job.status == 0, job.err
    assert "each chooses on its own validation classes" in job.out


@pytest.mark.slow
def test_a_stage_that_trials_share_is_done_once(sweep, tmp_path):
    assert sweep(grid="patience=1,2,3;seen_head=ridge,softmax").status == 0
    logs = "\n".join(path.read_text() for path in (tmp_path / "sweep" / "logs").iterdir())
    done = {stage: logs.count(f"{stage} took") for stage in ("train", "importance", "map", "transfer", "evaluate")}
    assert done == {"train": 1, "importance": 2, "map": 2, "transfer": 6, "evaluate": 1}
    assert logs.count("train is reused from") == 5


@pytest.mark.slow
def test_the_same_command_goes_on_and_a_larger_grid_adds_to_it(sweep, tmp_path):
    folder = tmp_path / "sweep"
    assert sweep(grid="patience=1,2").status == 0
    results, times = (folder / "results.csv").read_text(), _times(folder)
    assert sweep(grid="patience=1,2").status == 0
    assert ((folder / "results.csv").read_text(), _times(folder)) == (results, times)
    log = next((folder / "logs").glob("patience=2-*"))  # neither new nor the one that looks at the data
    assert log.read_text().count("map is up to date") == 1  # when it had been chosen and was evaluated
    assert sweep(grid="patience=1,2,4").status == 0
    assert _times(folder).items() >= times.items()
    rows = _rows(folder / "results.csv")
    # What an earlier grid chose has been evaluated; its test figures are not told beside another choice.
    assert [row["test_acc_zsl"] != "" for row in rows] == [False, False, True]


@pytest.mark.slow
def test_other_data_are_noticed(sweep, tmp_path):
    assert sweep().status == 0
    before = _times(tmp_path / "sweep")
    (tmp_path / "data" / "version").write_text("2")
    assert sweep().status == 0
    after = _times(tmp_path / "sweep")
    assert all(after[path] > before[path] for path in before if "/evaluate/" not in path)
    data = {read_json(path)["data"] for path in (tmp_path / "sweep").glob("trials/*/config.json")}
    assert data == {"0 2", "1 2"}


@pytest.mark.slow
def test_a_trial_that_fails_does_not_stop_the_others(sweep, tmp_path):
    job = sweep(grid="patience=13,1,2")
    assert job.status == 2
    said = job.err.splitlines()[-1]
    assert said.startswith("niwt sweep: 1 of 3 trials failed, patience=13-")
    assert "with 'niwt run: Thirteen brings no luck.'; the logs are in" in said
    failed, one, two = _rows(tmp_path / "sweep" / "results.csv")
    assert (failed["status"], failed["error"], failed["seconds"]) == ("failed", "niwt run: Thirteen brings no luck.", "")
    assert (one["chosen"], two["chosen"]) == ("no", "yes")
    (tmp_path / "sweep" / "logs").rename(tmp_path / "old")
    assert sweep(grid="patience=13,1,2").status == 2
    assert [path.name[:11] for path in (tmp_path / "sweep" / "logs").iterdir()] == ["patience=13"]
    assert sweep(grid="patience=13").err.splitlines()[-1].startswith("niwt sweep: All 1 trials failed")


@pytest.mark.slow
def test_hparams_can_be_read_back(sweep, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2
    from tensorflow import make_ndarray

    assert sweep(grid="patience=1,2;transfer_lambda=0.1|1;epochs=None,2").status == 0
    found = {}
    for folder in (tmp_path / "sweep" / "tensorboard").iterdir():
        if folder.is_dir():
            events = EventAccumulator(str(folder)).Reload()
            content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
            hparams = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
            tags = [tag for tag in events.Tags()["tensors"] if "/harmonic" in tag]
            scalars = {tag: float(make_ndarray(events.Tensors(tag)[0].tensor_proto)) for tag in tags}
            assert hparams["transfer_lambda"].string_value == "0.1|1"
            found[int(hparams["patience"].number_value), hparams["epochs"].string_value] = scalars
    events = EventAccumulator(str(tmp_path / "sweep" / "tensorboard")).Reload()
    content = events.PluginTagToContent("hparams")["_hparams_/experiment"]
    infos = plugin_data_pb2.HParamsPluginData.FromString(content).experiment.hparam_infos
    domains = {info.name: list(info.domain_discrete) for info in infos}
    assert domains == {"patience": [1, 2], "transfer_lambda": ["0.1|1"], "epochs": ["2", "None"]}
    assert found[1, "None"] == {"validation/harmonic_mean": pytest.approx(0.1)}
    assert found[2, "2"] == {"validation/harmonic_mean": pytest.approx(0.2)}  # as good as the next, which is the first
    assert found[2, "None"] == {
        "validation/harmonic_mean": pytest.approx(0.2),
        "test_of_chosen_only/harmonic_mean": pytest.approx(0.8),
    }


BAD = [
    (["--grid=seen_hed=ridge"], "Did you mean 'seen_head'"),
    (["--grid=run_dir=a,b"], "--grid must consist of flags that change a result"),
    (["--grid=seed=0,1", "--seed=2"], "--seed must be given once"),
    (["--grid=seed=0,1", "--parallel=0"], "--parallel must be at least 1. Received: 0"),
    (["--grid=seed=0,1", "--grid_file=x"], "One of --grid and --grid_file must be given"),
    ([], "One of --grid and --grid_file must be given"),
    (["--grid_file=no/such"], "--grid_file must name a file that can be read"),
    (["--grid_file={here}/broken.json"], "--grid_file must be JSON"),
    (["--grid_file={here}/twice.json"], "--grid_file must name each flag once. Received: 'seed' twice"),
    (["--grid=seed=0,1", "--strategy=multiworker"], "--strategy must be none or mirrored in a sweep"),
    (["--grid=seed=0,1", "--data_dir=no/such"], "--data_dir must name a folder"),
    (["--grid=data_dir={here},{here}/../sweep_here"], "--data_dir must be given once"),
    (["--grid=seed=0,1", "--sweep_dir={here}"], "--sweep_dir must be new, empty, or the folder of a sweep"),
    (["--grid=seed=0,1", "--sweep_dir={here}/broken.json"], "--sweep_dir must be a folder"),
    (["--grid=seed=0,1", "--sweep_dir="], "--sweep_dir must be given"),
    (["--grid=seed=0,1", "--sampler=tpe"], "Received: --sampler=tpe and --num_trials=None"),
    (["--grid=seed=0,1", "--num_trials=2"], "--num_trials must be given with --sampler=tpe, and only then"),
    (["--grid=seed=0,1", "--sampler=random"], "--sampler must be one of grid, tpe"),
]


@pytest.mark.parametrize(("flags", "sentence"), BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(sweep, tmp_path, flags, sentence):
    here = tmp_path / "here"
    here.mkdir()
    (here / "broken.json").write_text("[1")
    (here / "twice.json").write_text('{"seed": [0], "seed": [1]}')
    before = sorted(tmp_path.rglob("*"))
    job = sweep(*(flag.format(here=here) for flag in flags), grid="")
    assert (job.status, job.err.count("\n"), job.out) == (2, 1, "")
    assert sentence in job.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_grid_file(sweep, tmp_path):
    (tmp_path / "grid.json").write_text(json.dumps({"transfer_lambda": [[0.1, 1], 2.0, "3,4"][::2], "jit": [False]}))
    assert sweep(f"--grid_file={tmp_path / 'grid.json'}", grid="").status == 0
    rows = _rows(tmp_path / "sweep" / "results.csv")
    assert [(row["transfer_lambda"], row["jit"]) for row in rows] == [("0.1|1", "false"), ("3|4", "false")]


_SWEEP = """
import sys
from niwt_tf.experiments.sweeps import trials
trials.trial_program = lambda: [sys.executable, {fake!r}]
if not {events}:
    from niwt_tf.jobs import sweep
    sweep.write_tensorboard = lambda folder, rows: None
from niwt_tf.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _start(tmp_path: Path, *flags: str, grid: str = GRID, events: bool = False) -> subprocess.Popen[str]:
    """Start the sweep that the fixture does in this process in one of its own; for event files it imports TensorFlow."""
    given = [f"--sweep_dir={tmp_path / 'sweep'}", f"--data_dir={tmp_path / 'data'}", "--noprogress", f"--grid={grid}", *flags]
    command = [sys.executable, "-c", _SWEEP.format(fake=str(FAKE), events=events), "sweep", *given]
    quiet = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=quiet)


def _await(true):
    limit = time.monotonic() + 300
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.05)


def _dead(process: int) -> bool:
    """Return whether a process has ended; one that nobody has waited for has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


@pytest.fixture
def waiting(sweep, tmp_path):
    """Return a folder in which each fake trial leaves a file named for its process; while it is there they wait."""
    folder = tmp_path / "data" / "wait"
    folder.mkdir()
    return folder


def _logs(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "sweep" / "logs").glob("*"))


def _go_on(waiting: Path) -> None:
    waiting.rename(waiting.with_name("waited"))


@pytest.mark.parametrize("number", [signal.SIGINT, *further(signal.SIGTERM)])
@pytest.mark.slow
def test_an_interrupt_ends_the_trials_and_the_same_command_goes_on(sweep, waiting, tmp_path, number):
    process = _start(tmp_path, "--parallel=2")
    _await(lambda: len(list(waiting.iterdir())) == 2)
    second = sweep(grid="patience=1,2")
    assert (second.status, second.err.count("\n"), f"process {process.pid} of" in second.err) == (2, 1, True)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert all(_dead(int(child.name)) for child in waiting.iterdir())
    assert [row["status"] for row in _rows(tmp_path / "sweep" / "results.csv")] == ["pending"] * 6
    _go_on(waiting)
    assert sweep().status == 0
    assert {row["status"] for row in _rows(tmp_path / "sweep" / "results.csv")} == {"done"}


@pytest.mark.slow
def test_two_processes_part_the_trials_between_them(sweep, waiting, tmp_path):
    processes = [_start(tmp_path, "--split=ps", events=True) for _ in range(2)]
    _await(lambda: len(_logs(tmp_path)) == 2)
    _go_on(waiting)
    assert [(process.communicate(timeout=300)[1], process.returncode) for process in processes] == [("", 0)] * 2
    rows = _rows(tmp_path / "sweep" / "results.csv")
    assert [row["status"] for row in rows] == ["done"] * 6
    assert [row["patience"] for row in rows if row["test_acc_zsl"]] == ["3", "3"]
    logs = "".join(path.read_text() for path in _logs(tmp_path))
    assert [logs.count(f"{stage} took") for stage in ("transfer", "evaluate")] == [6, 2]


@pytest.mark.slow
def test_a_killed_sweep_takes_its_trials_along_and_another_process_does_them(sweep, waiting, tmp_path):
    first = _start(tmp_path)
    _await(lambda: len(list(waiting.iterdir())) == 1)
    (child,) = waiting.iterdir()
    second = _start(tmp_path)
    _await(lambda: len(_logs(tmp_path)) == 2)
    first.kill()
    first.communicate()
    _await(lambda: _dead(int(child.name)))
    _go_on(waiting)
    assert (second.communicate(timeout=300)[1], second.returncode) == ("", 0)
    assert [row["status"] for row in _rows(tmp_path / "sweep" / "results.csv")] == ["done"] * 6


@pytest.mark.slow
def test_a_failed_trial_is_not_tried_by_every_process(sweep, waiting, tmp_path):
    processes = [_start(tmp_path, grid="patience=13,1;map=ridge,cosine") for _ in range(2)]
    _await(lambda: len(_logs(tmp_path)) == 2)
    _go_on(waiting)
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [line.startswith("niwt sweep: 2 of 4 trials failed, patience=13_map=ridge-") for line in said] == [True, True]
    logs = "".join(path.read_text() for path in _logs(tmp_path))
    assert logs.count("Thirteen") == 2


@pytest.mark.slow
def test_tpe_tries_some_of_the_grid_and_the_same_command_nothing_more(sweep, tmp_path):
    flags, grid = ["--sampler=tpe", "--num_trials=4", "--split=ps"], "patience=1,2,3,4,5,6;map=ridge,cosine;seed=0,1"
    assert sweep(*flags, grid=grid).status == 0
    rows, times = _rows(tmp_path / "sweep" / "results.csv"), _times(tmp_path / "sweep")
    assert len(rows) == 8
    best = max(float(row["validation_harmonic_mean"]) for row in rows)
    assert max(float(row["validation_harmonic_mean"]) for row in rows if row["chosen"] == "yes") == best
    assert sweep(*flags, grid=grid).status == 0
    assert (_rows(tmp_path / "sweep" / "results.csv"), _times(tmp_path / "sweep")) == (rows, times)
    assert sweep("--sampler=tpe", "--num_trials=6", "--split=ps", grid=grid).status == 0
    more = _rows(tmp_path / "sweep" / "results.csv")
    assert len(more) == 12 and {row["trial"] for row in more} > {row["trial"] for row in rows}


@pytest.mark.slow
def test_a_damaged_journal_is_one_sentence_and_no_trial_is_lost_with_it(sweep, tmp_path):
    journal = tmp_path / "sweep" / "journal.log"
    assert sweep(grid="patience=1,2").status == 0
    times = _times(tmp_path / "sweep")
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_co')  # as a full disk leaves it
    assert sweep(grid="patience=1,2").status == 0
    journal.write_bytes(b"[]\n" + whole)
    job = sweep(grid="patience=1,2")
    assert (job.status, job.err.count("\n"), "must be Optuna's journal of the sweep" in job.err) == (2, 1, True)
    journal.unlink()
    assert sweep(grid="patience=1,2").status == 0
    assert _times(tmp_path / "sweep") == times


@pytest.mark.slow
@pytest.mark.combination
def test_real_trials_train_once_and_are_what_separate_runs_are(niwt, tiny_birds, tiny_flags, tmp_path):
    flags = [flag for flag in tiny_flags if not flag.startswith("--transfer_lambda")]
    common = [f"--data_dir={tiny_birds}", "--num_unseen=3", *flags]
    folder = tmp_path / "sweep"
    job = niwt("sweep", f"--sweep_dir={folder}", "--grid=transfer_lambda=0.01,0.1|1", *common)
    assert job.status == 0, job.err
    logs = "\n".join(path.read_text() for path in (folder / "logs").iterdir())
    assert [logs.count(f"{stage} took") for stage in ("train", "importance", "map", "transfer")] == [1, 1, 1, 2]
    for row, value in zip(_rows(folder / "results.csv"), ("0.01", "0.1,1"), strict=True):
        alone = tmp_path / value
        job = niwt("run", f"--run_dir={alone}", f"--transfer_lambda={value}", "--until=evaluate", *common)
        assert job.status == 0, job.err
        expected = np.load(alone / "transfer" / "columns.npz", allow_pickle=False)
        found = np.load(folder / "trials" / row["trial"] / "transfer" / "columns.npz", allow_pickle=False)
        np.testing.assert_allclose(found["columns"], expected["columns"], rtol=1e-4, atol=1e-5)
        if row["chosen"] == "yes":
            assert read_json(folder / "trials" / row["trial"] / "metrics.json") == read_json(alone / "metrics.json")
