"""A package of thirty lines adds a method: it is installed beside niwt-tf and run as the others are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def environment(repository, tmp_path_factory) -> dict[str, str]:
    """Return the environment of a process that has the package installed."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "added_method"
    source.mkdir()
    for file in (repository / "examples" / "added_method").iterdir():  # what pip builds beside it stays out of the repository
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", folder, source]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    path = os.pathsep.join([str(folder), str(repository)])
    return {**os.environ, "PYTHONPATH": path}


def _niwt(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "niwt_tf", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_it_is_found_by_name(environment):
    code = "from niwt_tf.methods.registry import method_of; print(method_of('nearest_seen').name)"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert found.stdout == "nearest_seen\n", found.stderr


def test_help_names_it(environment):
    assert "nearest_seen" in _niwt(environment, "train", "--help").stdout
    assert "nearest_seen" in _niwt(environment, "baseline", "--help").stdout


def test_without_the_package_there_is_no_such_method(repository):
    given = _niwt({**os.environ, "PYTHONPATH": str(repository)}, "train", "--run_dir=runs/x", "--method=nearest_seen")
    assert given.returncode == 2
    assert "--method must be" in given.stderr
    assert "nearest_seen" in given.stderr


@pytest.mark.slow
@pytest.mark.combination
def test_it_runs_exports_and_takes_a_class(environment, tiny_birds, tiny_flags, tmp_path):
    run, exports = tmp_path / "run", tmp_path / "exports"
    flags = [f"--data_dir={tiny_birds}", f"--run_dir={run}", f"--export_dir={exports}", "--num_unseen=3", *tiny_flags]
    done = _niwt(environment, "run", "--method=nearest_seen", "--until=export", *flags)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text())["settings"]["method"] == "nearest_seen"
    assert not (run / "importance").exists()  # NIWT's stages are its own
    described = tmp_path / "described.json"
    described.write_text(json.dumps(_values_of_first(exports)))
    added = _niwt(environment, "add_class", f"--bundle={exports}", "--name=new", f"--attributes={described}")
    assert added.returncode == 0, added.stderr
    assert (exports / "2").is_dir()


def _values_of_first(exports: Path) -> dict[str, float]:
    names = json.loads((exports / "1" / "niwt.json").read_text())["knowledge"]["names"]
    cards = json.loads((exports / "1" / "assets.extra" / "cards.json").read_text())
    card = (cards["cards"] if isinstance(cards, dict) else cards)[0]
    return dict(zip(names, card["description"], strict=True))
