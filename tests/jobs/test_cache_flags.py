"""--cache_dir and --cache_gb change where things are kept and never what comes out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def run_copy(finished_run, tmp_path) -> Path:
    """Return a copy of the finished run's folder without its importance and its cache."""
    ignored = shutil.ignore_patterns("importance", ".cache")
    return Path(shutil.copytree(finished_run.path, tmp_path / "run", ignore=ignored))


def _same(one: Path, other: Path) -> None:
    for file in one.glob("*.npz"):
        with np.load(file, allow_pickle=False) as first, np.load(other / file.name, allow_pickle=False) as second:
            for name in first.files:
                if first[name].dtype.kind == "U":
                    np.testing.assert_array_equal(first[name], second[name])
                else:
                    np.testing.assert_allclose(first[name], second[name], rtol=1e-3, atol=1e-4, err_msg=f"{file.name} {name}")


@pytest.mark.slow
def test_without_a_cache(niwt, finished_run, run_copy):
    job = niwt("importance", f"--run_dir={run_copy}", "--cache_gb=0", "--noprogress")
    assert job.status == 0, job.err
    assert not (run_copy / ".cache").exists()
    _same(finished_run.path / "importance", run_copy / "importance")


@pytest.mark.slow
def test_a_cache_elsewhere_that_is_too_small(niwt, finished_run, run_copy, tmp_path):
    flags = [f"--run_dir={run_copy}", f"--cache_dir={tmp_path / 'cache'}", "--cache_gb=0.0002", "--noprogress"]
    job = niwt("importance", *flags)
    assert job.status == 0, job.err
    assert not (run_copy / ".cache").exists()
    assert job.err.count("--cache_gb=0.0002 is full: the maps of") == 1
    assert sum(file.stat().st_size for file in (tmp_path / "cache").glob("*/rows.bin")) <= 200_000
    _same(finished_run.path / "importance", run_copy / "importance")


def test_the_kind_of_rows_is_a_flag_of_the_run(niwt, finished_run, run_copy):
    job = niwt("importance", f"--run_dir={run_copy}", "--cache_dtype=float16", "--noprogress")
    assert job.status == 2
    assert "--cache_dtype was float32, now float16. Give --overwrite" in job.err
