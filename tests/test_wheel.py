"""The archives that a release consists of: what is in them, and a core installation of the wheel in a fresh environment.

The environment has a link for each package that the core needs, by its metadata, and for no other: what a job imports without
saying so is missed, and nothing heavy is installed again.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow
# Folders of the repository, and where their files are in the package.
_MOVED = {"flags": "niwt_tf/jobs/flagfiles", "exports": "niwt_tf/serving/deployment"}


@dataclass(frozen=True)
class Built:
    """The archives, and the files that git knows or would add."""

    sdist: Path
    wheel: Path
    sources: frozenset[str]


@pytest.fixture(scope="module")
def built(repository, tmp_path_factory) -> Built:
    """Build the sdist, and of what it holds the wheel, as `python -m build --no-isolation` does."""
    folder = tmp_path_factory.mktemp("built")
    listed = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    told = subprocess.run(listed, cwd=repository, capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip(f"{repository} is no clone: {told.stderr.strip()}")
    sources = frozenset(name for name in told.stdout.split("\0") if name and (repository / name).is_file())
    for name in sources:
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository / name, folder / "source" / name)
    sdist = _hook("build_sdist", folder / "source", folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return Built(sdist, _hook("build_wheel", unpacked, folder), sources)


def _hook(name: str, source: Path, target: Path) -> Path:
    code = f"import setuptools.build_meta as backend, sys; print('made', backend.{name}(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(target)], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1].removeprefix("made ")


def test_the_wheel_has_the_package_and_both_folders(built):
    with zipfile.ZipFile(built.wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("niwt_tf/")}
        text = archive.read("niwt_tf/jobs/flagfiles/birds.flags")
    expected = {name for name in built.sources if name.startswith("niwt_tf/")}
    for folder, target in _MOVED.items():
        expected |= {f"{target}/{name.partition('/')[2]}" for name in built.sources if name.startswith(f"{folder}/")}
    assert names == expected
    assert text == (Path(__file__).parents[1] / "flags/birds.flags").read_bytes()


def test_the_sdist_has_what_a_wheel_is_made_of(built):
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {name for name in built.sources if name.split("/")[0] in ("niwt_tf", *_MOVED)}
    assert needed | {"pyproject.toml", "setup.py", "LICENSE", "README.md", "constraints.txt"} <= names
    assert not {name for name in names if name.startswith(("tests/", "data/", "runs/"))}


def test_a_core_installation_goes_from_nothing_to_a_served_model(built, tmp_path):
    python = _environment(tmp_path / "fresh", built.wheel)
    _run(tmp_path, python, "-m", "pip", "install", "--no-index", "--no-compile", "--quiet", str(built.wheel))
    _run(tmp_path, python, "-m", "pip", "check")
    place = _run(tmp_path, python, "-c", "import niwt_tf; print(niwt_tf.__file__)").stdout
    assert Path(place.strip()).is_relative_to(tmp_path / "fresh"), f"another niwt_tf is imported: {place}"
    for absent in ("matplotlib", "tensorboard", "tensorflow_serving", "optuna", "tensorflow_hub"):
        assert subprocess.run([python, "-c", f"import {absent}"], cwd=tmp_path, capture_output=True).returncode, absent
    niwt = str(Path(python).with_name("niwt"))
    assert "niwt:birds" in _run(tmp_path, niwt, "flags", "--list").stdout
    done = _run(tmp_path, niwt, "quickstart", "--small", "--noprogress")
    assert "Left out: confusion.png, ausuc.png, predictions.png, for want of Matplotlib" in done.stderr
    assert "Left out: tensorboard/, for want of TensorBoard" in done.stderr
    version = tmp_path / "exports/birds-small/1"
    assert (version / "saved_model.pb").is_file() and (version / "assets.extra/tf_serving_warmup_requests").is_file()
    assert (tmp_path / "runs/birds-small/report/report.html").is_file()


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must end well, in a folder that is no clone and without this process's Python path."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def _environment(folder: Path, wheel: Path) -> str:
    """Make an environment with links to pip and to what a wheel needs without extras; return its interpreter."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))).decode()
    lines = [line.removeprefix("Requires-Dist: ") for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    for name in _needed(["pip", *lines]):
        distribution = importlib.metadata.distribution(name)
        for path in distribution.files or ():
            _link(Path(str(distribution.locate_file(""))), site, path.parts)
    return str(folder / "bin/python")


def _needed(requirements: list[str]) -> set[str]:
    """Return the names of the packages that requirements name, and those that these need, and so on."""
    found: set[str] = set()
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name.lower() not in found:
            found.add(requirement.name.lower())
            needs = importlib.metadata.requires(requirement.name) or []
            waiting += [(Requirement(line), each) for line in needs for each in ("", *requirement.extras)]
    return found


def _link(source: Path, target: Path, parts: tuple[str, ...]) -> None:
    """Link a file of a package by the highest folder that is the package's alone."""
    if parts[0] in ("..", "__pycache__"):  # commands; what Python makes again
        return
    shared = len(parts) > 1 and not parts[0].endswith("-info") and not (source / parts[0] / "__init__.py").is_file()
    place = Path(*parts[: 1 + shared])  # a folder without __init__.py may be of several packages
    (target / place).parent.mkdir(parents=True, exist_ok=True)
    if not (target / place).is_symlink() and (source / place).exists():
        (target / place).symlink_to(source / place)


def test_extras_that_are_asked_for_later_are_installed(repository, tmp_path):
    (tmp_path / ".installed").touch()  # an installation of the usual ones

    def told(*arguments):
        command = ["make", "--dry-run", "install", f"VENV={tmp_path}", *arguments]
        # Without what a make around these tests was told.
        outside = {name: value for name, value in os.environ.items() if name not in ("EXTRAS", "MAKEFLAGS", "MFLAGS")}
        return subprocess.run(command, cwd=repository, env=outside, check=True, capture_output=True, text=True).stdout

    assert "pip" not in told() and '".[all]"' in told("EXTRAS=all")
