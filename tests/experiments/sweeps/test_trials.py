from __future__ import annotations

import os
import sys

import pytest
from niwt_tf.jobs.sweep_processes import Command, divided_environment, run_commands


def _command(tmp_path, name, code):
    return Command(name, (sys.executable, "-S", "-c", code), tmp_path / "logs" / f"{name}.log")


def test_each_ends_with_its_last_line_and_has_its_log(tmp_path):
    codes = {
        "well": "print('fine')",
        "ill": "import sys; print('begun'); sys.exit('the reason\\n\\n')",
        "mute": "import os; os._exit(3)",
        "killed": "import os; os.kill(os.getpid(), 9)",
    }
    errors = {}
    for _ in range(2):
        run_commands(
            [_command(tmp_path, name, code) for name, code in codes.items()],
            3,
            lambda ended: errors.update({ended.command.name: ended.error}),
        )
    assert errors == {"well": "", "ill": "the reason", "mute": "exit status 3", "killed": "killed by SIGKILL"}
    assert (tmp_path / "logs" / "well.log").read_text() == "fine\nfine\n"


def test_no_more_than_parallel_at_a_time(tmp_path):
    code = f"""
import os, time
mine = {str(tmp_path)!r} + "/" + str(os.getpid()) + ".run"
open(mine, "w").close()
time.sleep(0.2)
print(len([name for name in os.listdir({str(tmp_path)!r}) if name.endswith(".run")]))
os.unlink(mine)
"""
    commands = [_command(tmp_path, str(number), code) for number in range(5)]
    run_commands(commands, 2, lambda ended: None)
    assert max(int(command.log.read_text()) for command in commands) <= 2


def test_whatever_ends_it_ends_the_processes(tmp_path):
    def fail(ended):
        raise RuntimeError

    commands = [
        _command(tmp_path, "quick", "pass"),
        _command(tmp_path, "slow", "import os, time; print(os.getpid(), flush=True); time.sleep(120); print('whole')"),
    ]
    with pytest.raises(RuntimeError):
        run_commands(commands, 2, fail)
    said = commands[1].log.read_text().split()
    assert "whole" not in said
    if said and said[0].isdecimal():  # else it was ended before it could say anything
        with pytest.raises(ProcessLookupError):
            os.kill(int(said[0]), 0)


def test_processors_are_parted(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert "TF_NUM_INTRAOP_THREADS" not in divided_environment(1)
    parted = divided_environment(3)
    assert (parted["TF_NUM_INTRAOP_THREADS"], parted["OMP_NUM_THREADS"]) == ("2", "7")
    assert divided_environment(20)["TF_NUM_INTRAOP_THREADS"] == "1"
