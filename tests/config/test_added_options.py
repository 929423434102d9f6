"""An installed package adds options by an entry point of the group niwt_tf.options."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MODULE = '''
from dataclasses import dataclass
from niwt_tf.config.options import MethodOptions, option

@dataclass(frozen=True)
class Options(MethodOptions):
    nearest_sharpness: float = option(10.0, "How alike is alike.", above=0)

NONE = 3
'''


@pytest.fixture
def run(repository, tmp_path):
    """Run Python where a package is installed whose entry point names a part of MODULE."""

    def call(named: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "nearest_options.py").write_text(MODULE)
        about = tmp_path / "nearest-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nearest\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[niwt_tf.options]\nnearest = nearest_options:{named}\n")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(repository)])}
        return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)

    return call


def test_they_are_flags_and_settings_and_no_parameter_of_the_estimator(run):
    code = """
from niwt_tf.config.settings import Settings
from niwt_tf.estimator import Niwt
from niwt_tf.jobs.table import JOBS, job_help
assert Settings.from_dict({"nearest_sharpness": 3}).as_dict()["nearest_sharpness"] == 3.0
assert "--nearest_sharpness=X" in job_help(JOBS["run"])
assert "nearest_sharpness" not in Niwt().get_params()
assert Niwt()._settings().nearest_sharpness == 10.0
"""
    found = run("Options", "-c", code)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("NONE", "nearest_options:NONE must be a subclass of MethodOptions. Received: 3."),
        ("absent", "must be importable from nearest_options:absent. Received: "),
    ],
)
def test_what_is_not_in_order_is_one_sentence(run, named, sentence):
    found = run(named, "-m", "niwt_tf", "run")
    assert found.returncode == 2
    assert sentence in found.stderr and "Traceback" not in found.stderr and found.stderr.count("\n") == 1
