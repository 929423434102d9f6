"""Two processes, kill -9 and a full disk: nothing looks finished that is not, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
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

# `niwt run` in a process of its own that says so and waits for a line before it draws the episode of a step, `halt`.
EPISODES = """
import sys
from niwt_tf.cli import main
from niwt_tf.methods.n3 import meta_training

draw = meta_training.episode

def episode(recipe, step, *others):
    if step == {halt}:
        print("halted", flush=True)
        sys.stdin.readline()
    return draw(recipe, step, *others)

meta_training.episode = episode
sys.exit(main(["run", *sys.argv[1:]]))
"""
PATIENCE = 300


def _start(run_dir: Path, wait: bool = False, limit: int = 0) -> subprocess.Popen[str]:
    return _process(STAGE.format(half=1000, wait=wait, limit=limit), f"--run_dir={run_dir}")


def _process(code: str, *flags: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, *flags], text=True, **pipes)


def _until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    patience = threading.Timer(PATIENCE, process.kill)
    patience.start()
    try:
        for received in process.stdout:
            if received.strip() == line:
                return
    finally:
        patience.cancel()
    raise AssertionError(process.stderr.read() if process.stderr else "")


def _finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate("\n", timeout=PATIENCE)
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
    assert sorted(os.listdir(tmp_path)) == [".config.json", ".lock", "config.json", "train"]
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
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not (tmp_path / "train").exists()
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.slow
def test_killed_episodes_go_on_to_the_same_meta_models(niwt, tiny_birds, tiny_bert, tmp_path):
    """Once in the training of the fold's meta-model and once in that of the main one, 30 steps after the last checkpoint."""
    trained, halt, kept = tmp_path / "trained", 80, 50
    data = ["--dataset=birds", f"--data_dir={tiny_birds}", "--num_unseen=3", "--input_size=32", "--epochs=1", "--num_folds=1"]
    texts = ["--knowledge=captions", f"--text_features=encoder_words:{tiny_bert}"]
    small = ["--method=n3", "--n3_width=8", "--n3_blocks=1", "--n3_way=3", "--n3_steps=200"]
    job = niwt("run", f"--run_dir={trained}", *data, *texts, *small, "--until=train", "--noprogress")
    assert job.status == 0, job.err
    whole, killed = (Path(shutil.copytree(trained, tmp_path / name)) for name in ("whole", "killed"))
    status, _, err = _finish(_episodes(whole))
    assert status == 0 and "continues after step" not in err, err

    for halts, checkpoints in ((1, {"fold_0": kept}), (2, {"fold_0": 200, "main": kept})):
        process = _episodes(killed, halt)
        for past in range(halts):
            if past:
                process.stdin.write("\n")
                process.stdin.flush()
            _until(process, "halted")
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
        assert not (killed / "meta").exists()
        files = (killed / ".work-meta").glob("**/meta.npz")
        assert {file.parent.name: int(_arrays(file)["step"]) for file in files} == checkpoints

    status, _, err = _finish(_episodes(killed))
    assert status == 0, err
    assert [line.split()[-1] for line in err.splitlines() if "continues after step" in line] == ["200.", f"{kept}."]
    for name in ("main.npz", "fold_0.npz"):
        one, other = _arrays(whole / "meta" / name), _arrays(killed / "meta" / name)
        assert one.keys() == other.keys() and {"meta_0", "steps"} <= one.keys()
        assert [key for key in one if one[key].tobytes() != other[key].tobytes()] == []


def _episodes(run_dir: Path, halt: int = -1) -> subprocess.Popen[str]:
    return _process(EPISODES.format(halt=halt), f"--run_dir={run_dir}", "--until=meta", "--noprogress")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
