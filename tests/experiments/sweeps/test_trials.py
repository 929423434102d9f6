from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from niwt_tf.config.settings import Settings
from niwt_tf.errors import InputError
from niwt_tf.experiments.sweeps.folder import SweepFolder
from niwt_tf.experiments.sweeps.grid import trials_of
from niwt_tf.experiments.sweeps.trials import SweepTrialProcess, divided_environment, end_processes

TRIALS = trials_of({"patience": (1, 2, 3)}, Settings())


@pytest.fixture
def start(tmp_path):
    """Return a function that starts Python with some code as the process of a trial."""
    folder = SweepFolder(tmp_path)
    folder.locks.mkdir()

    def call(code: str, trial=TRIALS[0]) -> SweepTrialProcess:
        claim = folder.claim(trial)
        assert claim is not None
        return SweepTrialProcess(trial, [sys.executable, "-S", "-c", code], folder.log(trial), claim)

    call.folder = folder
    return call


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('fine')", ""),
        ("import sys; print('begun'); sys.exit('the reason\\n\\n')", "the reason"),
        ("import os; os._exit(3)", "exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_each_ends_with_its_last_line_and_has_its_log(start, code, error):
    start.folder.log(TRIALS[0]).parent.mkdir()
    start.folder.log(TRIALS[0]).write_text("before\n")
    process = start(code)
    process.popen.wait()
    assert process.error() == error
    process.close()
    assert start.folder.log(TRIALS[0]).read_text().startswith("before\n")


def test_a_trial_is_claimed_while_its_process_lives(start):
    process = start("import time; time.sleep(600)")
    process.close()
    assert start.folder.claim(TRIALS[0]) is None
    assert start.folder.claim(TRIALS[1]) is not None
    process.popen.kill()
    process.popen.wait()
    assert start.folder.claim(TRIALS[0]) is not None


def test_they_are_interrupted_and_waited_for(start):
    code = "import time\ntry:\n  print('begun', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n  print('ended')"
    processes = [start(code, trial) for trial in TRIALS]
    begun = time.monotonic()
    while not all("begun" in start.folder.log(trial).read_text() for trial in TRIALS):
        assert time.monotonic() < begun + 600
        time.sleep(0.05)
    end_processes(processes)
    assert [start.folder.log(trial).read_text() for trial in TRIALS] == ["begun\nended\n"] * 3
    assert all(start.folder.claim(trial) is not None for trial in TRIALS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills the children of a killed process")
def test_a_process_dies_with_the_one_that_started_it(start):
    code = f"""
import os, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from niwt_tf.experiments.sweeps.trials import SweepTrialProcess
claim = open({str(start.folder.path / "claim")!r}, "w")
command = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
child = SweepTrialProcess(None, command, pathlib.Path(claim.name + ".log"), claim)
print(child.popen.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", code]
    process = SweepTrialProcess(TRIALS[0], command, start.folder.log(TRIALS[0]), start.folder.claim(TRIALS[0]))
    process.popen.wait()
    child = int(start.folder.log(TRIALS[0]).read_text())
    limit = time.monotonic() + 600
    while Path(f"/proc/{child}/stat").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] not in "ZX":
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_processors_are_parted(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert "TF_NUM_INTRAOP_THREADS" not in divided_environment(1)
    parted = divided_environment(3)
    assert (parted["TF_NUM_INTRAOP_THREADS"], parted["OMP_NUM_THREADS"]) == ("2", "7")
    assert divided_environment(20)["TF_NUM_INTRAOP_THREADS"] == "1"


@pytest.mark.parametrize("name", [".locks/sweep", "journal.log"])
def test_a_link_in_a_sweep_s_folder_is_refused_before_what_it_leads_to_is_cut(tmp_path, name):
    mine, folder = tmp_path / "mine.txt", SweepFolder(tmp_path / "sweep")
    mine.write_text("mine, without an end of the line")
    folder.locks.mkdir(parents=True)
    (folder.path / "sweep.json").write_text("{}")
    (folder.path / name).symlink_to(mine)
    with pytest.raises(InputError, match="must be a file of its own. Received: a link to '.*mine.txt'"), folder.joined({}):
        pass
    assert mine.read_text() == "mine, without an end of the line"
