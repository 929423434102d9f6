"""Two workers on this machine's loopback: the results of one process, and what happens when one is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from niwt_tf.files import read_json
from niwt_tf.models.network import Network
from tests.shared import further

pytestmark = pytest.mark.slow

PATIENCE = 600
EPOCHS = 8


def free_ports(count: int) -> list[int]:
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def team(repository) -> Iterator[Callable[..., list[subprocess.Popen[str]]]]:
    """Return a function that starts `niwt` with the same arguments in two workers."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> list[subprocess.Popen[str]]:
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        workers = []
        for index in range(2):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": str(repository)}
            environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
            command = [sys.executable, "-m", "niwt_tf", *map(str, arguments), "--strategy=multiworker"]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            workers.append(subprocess.Popen(command, env=environment, **pipes))
        started.extend(workers)
        return workers

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ends(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def assert_same_importances(one: Path, two: Path) -> None:
    for path in sorted((one / "importance").glob("*.npz")):
        first, second = arrays(path), arrays(two / "importance" / path.name)
        assert first.keys() == second.keys()
        for name, values in first.items():
            if not np.issubdtype(values.dtype, np.number):
                np.testing.assert_array_equal(second[name], values, err_msg=f"{path.name} {name}")
                continue
            scale = max(np.abs(values).max(), 1e-30)
            np.testing.assert_allclose(second[name] / scale, values / scale, atol=1e-6, err_msg=f"{path.name} {name}")


def assert_same_metrics(one: Path, two: Path) -> None:
    first, second = read_json(one / "metrics.json"), read_json(two / "metrics.json")
    assert first.keys() == second.keys()
    # Of maps without evidence a last bit may change what is left out.
    assert first.pop("faithfulness").keys() == second.pop("faithfulness").keys()
    for name, value in first.items():
        assert second[name] == (None if value is None else pytest.approx(value, abs=1e-6)), name


def flags_of(data: Path, folder: Path, tiny_flags: list[str]) -> list[str]:
    run, exports = f"--run_dir={folder / 'run'}", f"--export_dir={folder / 'exports'}"
    return [f"--data_dir={data}", run, exports, "--num_unseen=3", *tiny_flags, "--num_folds=1"]


def test_two_workers_give_what_one_process_gives(tiny_birds, tiny_flags, finished_run, team, niwt, tmp_path):
    workers = team("run", *flags_of(tiny_birds, tmp_path, tiny_flags))
    (status, out, err), follower = ends(workers[0]), ends(workers[1])
    assert status == 0, err
    assert "SavedModel" in out
    assert follower == (0, "", "")
    run = tmp_path / "run"
    assert not [path for path in run.iterdir() if path.name.startswith((".tmp", ".work"))]
    # Training is the same but for rounding, which two epochs of Adam magnify.
    two, one = Network.load(run / "train" / "main.keras"), Network.load(finished_run.path / "train" / "main.keras")
    for mine, theirs in zip(two.model.get_weights(), one.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)
    # From the same network on, everything is the same.
    shutil.copytree(run, tmp_path / "alone" / "run")
    for stage in ("importance", "map", "transfer", "evaluate", "export"):
        shutil.rmtree(tmp_path / "alone" / "run" / stage)
    job = niwt("run", *flags_of(tiny_birds, tmp_path / "alone", tiny_flags))
    assert job.status == 0, job.err
    assert "train is up to date" in job.err
    assert_same_importances(run, tmp_path / "alone" / "run")
    assert_same_metrics(run, tmp_path / "alone" / "run")


@pytest.mark.parametrize("victim", further(0, 1))
def test_a_killed_worker_ends_the_other_and_the_rerun_goes_on(tiny_birds, tiny_flags, team, tmp_path, victim):
    flags = [*flags_of(tiny_birds, tmp_path, tiny_flags), f"--epochs={EPOCHS}"]
    workers = team("train", *flags)
    checkpoint = tmp_path / "run" / ".work-train" / "main" / "checkpoint.npz"
    deadline = time.monotonic() + PATIENCE
    while not checkpoint.exists() and time.monotonic() < deadline:
        assert all(worker.poll() is None for worker in workers), [ends(worker) for worker in workers]
        time.sleep(0.05)
    workers[victim].send_signal(signal.SIGKILL)
    status, out, err = ends(workers[1 - victim])
    assert (status, out) == (2, "")
    assert "a worker has stopped or cannot be reached" in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if "the same value for all seen" not in line]) == 1, err
    assert not (tmp_path / "run" / "train").exists()
    done = json.loads(str(arrays(checkpoint)["state"]))["epoch"]
    again = [ends(worker) for worker in team("train", *flags)]
    assert [status for status, _, _ in again] == [0, 0], again
    history = read_json(tmp_path / "run" / "train" / "history.json")["main"]
    assert [record["epoch"] for record in history] == list(range(1, EPOCHS + 1))
    assert done >= 1

