"""Two processes, kill -9 and a full disk: nothing looks finished that is not, and the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.files import read_json
from niwt_tf.runs.run import RunDirectory

# A stage in a process of its own: it writes `size` bytes, says so, and waits for a line before it ends.
STAGE = """
import resource, signal, sys
from niwt_tf.config.settings import Settings
from niwt_tf.jobs.app import run_job, run_from_flags

def main():
    with run_from_flags() as run:
        stage = run.stage("train", settings_used=["seed"])
        if stage.up_to_date:
            return
        checkpoint = stage.work / "checkpoint"
        print("resumed" if checkpoint.exists() else "begun", flush=True)
        checkpoint.write_text("epoch 1")
        with stage.writing() as folder:
            (folder / "a.bin").write_bytes(bytes({half}))
            print("half", flush=True)
            if {wait}: sys.stdin.readline()
            if {limit}:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
            (folder / "b.bin").write_bytes(bytes(100_000))

sys.exit(run_job("train", main=main))
"""


def _start(run_dir: Path, wait: bool = False, limit: int = 0) -> subprocess.Popen[str]:
    code = STAGE.format(half=1000, wait=wait, limit=limit)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, f"--run_dir={run_dir}"], text=True, **pipes)


def _until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for received in process.stdout:
        if received.strip() == line:
            return
    raise AssertionError(process.stderr.read() if process.stderr else "")


def _finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate("\n", timeout=300)
    return process.returncode, out, err


def test_two_runs_in_one_folder(tmp_path):
    first = _start(tmp_path, wait=True)
    _until(first, "half")
    with (
        pytest.raises(InputError, match=f"--run_dir .* must not be in use.*process {first.pid} "),
        RunDirectory(tmp_path).locked(Settings()),
    ):
        pass
    status, _, err = _finish(_start(tmp_path))
    assert status == 2
    assert err.count("\n") == 1
    assert str(first.pid) in err
    assert _finish(first)[0] == 0
    with RunDirectory(tmp_path).locked(Settings()) as run:
        assert run.stage("train", settings_used=["seed"]).up_to_date


def test_a_killed_stage_goes_on_in_the_next_run(tmp_path):
    process = _start(tmp_path, wait=True)
    _until(process, "half")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "train").exists()
    assert list(tmp_path.glob(".tmp-*"))
    status, out, _ = _finish(_start(tmp_path))
    assert (status, out.split()) == (0, ["resumed", "half"])
    assert sorted(os.listdir(tmp_path)) == [".lock", "config.json", "train"]
    assert sorted(read_json(tmp_path / "train" / "manifest.json")["files"]) == ["a.bin", "b.bin"]


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(tmp_path):
    status, _, err = _finish(_start(tmp_path, limit=50_000))
    assert status == 2
    assert err.startswith("niwt train: Cannot write")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not (tmp_path / "train").exists()
    assert not list(tmp_path.glob(".tmp-*"))
    status, out, err = _finish(_start(tmp_path))
    assert (status, out.split()) == (0, ["resumed", "half"]), err


def test_an_interrupt_is_status_130(tmp_path):
    process = _start(tmp_path, wait=True)
    _until(process, "half")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (tmp_path / "train").exists()
    assert not list(tmp_path.glob(".tmp-*"))
