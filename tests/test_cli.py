from __future__ import annotations

import os
import subprocess
import sys

import pytest

from niwt_tf import __version__
from niwt_tf.cli import main
from niwt_tf.jobs.table import JOBS

HEAVY = ("tensorflow", "keras", "numpy", "scipy", "sklearn", "matplotlib", "absl", "PIL", "grpc", "jinja2", "tensorboard")


def test_help_lists_every_job(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {job}  " in shown for job in JOBS)


@pytest.mark.parametrize("job", JOBS)
def test_help_of_a_job_lists_its_flags(job, capsys):
    assert main([job, "--help"]) == 0
    shown = capsys.readouterr().out
    for declared in JOBS[job].options:
        assert f"  --{declared.name}" in shown or f"  --[no]{declared.name}" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_version_and_mistakes(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"niwt {__version__}\n"
    assert main(["trian"]) == 2
    assert capsys.readouterr().err.endswith("Received: 'trian'. Did you mean 'train'?\n")
    for looked_for, told in (("serve", "python -m niwt_tf.serving.loopback"), ("predict", "Did you mean 'classify'?")):
        assert main([looked_for]) == 2
        assert told in capsys.readouterr().err
    assert main([]) == 2
    assert "usage: niwt JOB" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_answers_at_once(arguments):
    """What takes time is importing; how much of it depends on the machine, what is imported does not."""
    command = [sys.executable, "-X", "importtime", "-m", "niwt_tf", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {columns[-1].strip().partition(".")[0] for columns in lines}
    assert "niwt_tf" in imported
    assert not imported & set(HEAVY)


@pytest.mark.parametrize(
    "code", ["import niwt_tf", f"from niwt_tf.cli import main; [main([job, '--help']) for job in {list(JOBS)}]"]
)
def test_nothing_heavy_is_imported_early(code):
    check = (
        f"import sys; {code}; found = [name for name in {HEAVY} if name in sys.modules]; sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["niwt_tf.errors", "niwt_tf.files", "niwt_tf.data.schema", "niwt_tf.config.settings"])
def test_light_modules_import_no_tensorflow(module):
    check = f"import sys, {module}; sys.exit(int('tensorflow' in sys.modules or 'keras' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_a_reader_that_has_seen_enough_is_no_error():
    program = [sys.executable, "-m", "niwt_tf", "run", "--help"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.parametrize("arguments", [["--help"], ["list_classes", "--bundle=/nowhere"]])
def test_a_closed_output_is_no_error(arguments):
    done = subprocess.run(["/bin/sh", "-c", f"exec {sys.executable} -m niwt_tf {' '.join(arguments)} >&-"], capture_output=True)
    assert b"Traceback" not in done.stderr and done.returncode == (0 if arguments == ["--help"] else 2)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_an_output_that_is_full_is_one_sentence():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "niwt_tf", "--help"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr == b"niwt: Cannot write: No space left on device.\n"
