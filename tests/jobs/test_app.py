from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from niwt_tf.errors import InputError
from niwt_tf.jobs import app
from niwt_tf.jobs.app import run_job
from niwt_tf.jobs.table import JOBS
from tests.shared import unchanged_logging


def _run(body: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    code = f"""
import sys
from niwt_tf.errors import InputError
from niwt_tf.jobs.app import run_job
def main():
    {body}
sys.exit(run_job("train", main=main))
"""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, env=env)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise InputError('--x must be y. Received: z.')", "--x must be y. Received: z."),
        ("open('/no/such/file')", "Cannot read or write /no/such/file: No such file or directory."),
        ("raise OSError(28, 'No space left on device', '/a/b')", "Cannot write /a/b: No space left on device."),
        (
            "raise RuntimeError('HDF5\\nerror message = \\'No space left on device\\'')",
            "Cannot write: No space left on device.",
        ),
        (
            "raise RuntimeError('no lock') from OSError(5, 'Input/output error', '/a/b')",
            "Cannot read or write /a/b: Input/output error.",
        ),
    ],
)
def test_what_a_user_can_put_right_is_one_sentence(body, sentence):
    done = _run(body)
    assert done.returncode == 2
    assert done.stderr.startswith(f"niwt train: {sentence}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("body", ["raise KeyError('bug')", "raise KeyError('bug') from FileNotFoundError(2, 'No such file')"])
def test_a_bug_is_a_traceback(body):
    done = _run(body)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_success_and_flag_errors():
    assert _run("pass").returncode == 0
    wrong = _run("print('not reached')", "--sed=1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "niwt train: There is no such flag. Received: '--sed'. Did you mean '--seed'?\n"


def test_help_of_a_module():
    assert _run("print('not reached')", "--help").stdout.startswith("usage: niwt train")


@pytest.mark.slow
def test_tensorflow_is_imported_without_its_chatter():
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    # A function made in a loop, as for each fold's network, is traced each time: TensorFlow's Python half warns of that.
    body = "import tensorflow as tf; [tf.function(tf.identity)(tf.constant(1.0)) for _ in range(9)]; print(2.0)"
    done = _run(body, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.0\n", "")


def test_tensorflow_is_not_imported_before_a_job_asks_for_it():
    modules = {f"niwt_tf.jobs.{job.module or job.name}" for job in JOBS.values() if not job.tensorflow}
    code = f"import sys, niwt_tf.jobs.app, {', '.join(sorted(modules))}; sys.exit(int('tensorflow' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


def test_memory_and_open_files_that_run_out_are_said_in_a_sentence():
    said = app._file_system_sentence(MemoryError("Unable to allocate 8.00 TiB"))
    assert said == "This needs more memory than there is: Unable to allocate 8.00 TiB."
    wrapped = RuntimeError("HDF5")
    wrapped.__cause__ = OSError(24, "Too many open files", "/a/b")
    assert app._file_system_sentence(wrapped) == "Cannot read or write /a/b: Too many open files."
    assert app._file_system_sentence(KeyError("bug")) is None


def test_a_name_in_a_message_neither_breaks_its_line_nor_colours_the_screen(capsys):
    def main():
        logging.getLogger("niwt_tf").warning("%s holds nothing", "a\x1b[31m\nb")
        raise InputError("c\n\u202ed must be e.")

    with unchanged_logging():
        assert run_job("render", [], main) == 2
    assert capsys.readouterr().err.splitlines() == [
        r"niwt render: a\x1b[31m\nb holds nothing", r"niwt render: c\n\u202ed must be e.",
    ]
