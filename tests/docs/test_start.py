"""The commands of Start, as they stand on its pages, at toy size."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Finished
from tests.docs.markdown import blocks_of
from tests.shared import further

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "docs" / "start"
CLASSES = ("bear", "cat", "deer", "dog", "fish", "horse", "lion", "wolf")
# What the table of the page's animals has columns for, so that the page's texts are understood.
COLUMNS = (
    *("furry", "feathered", "hooves", "paws", "wings", "beak", "mane", "long_tail", "short_tail", "long_ears", "whiskers"),
    *("two_legs", "four_legs", "in_water", "brown", "white", "gray", "green"),
)
_SECONDS = 800
# For a machine without curl.
_CURL = """
import sys, time, urllib.request
for _ in range(300):
    try:
        print(urllib.request.urlopen(sys.argv[-1]).read().decode())
        sys.exit()
    except OSError:
        time.sleep(1)
sys.exit(7)
"""


@pytest.fixture
def at_toy_size(tmp_path: Path, tiny_flags: list[str]) -> Callable[[list[str]], list[str]]:
    """Return a function that adds to a job's flags those that make it small; the last flag of a name wins."""
    small = ["--backbone=small_vgg", "--weights=none", "--finetune=all", *tiny_flags]
    added = {
        "render": ["--num_species=10", "--images_per_species=10"],
        "run": [*small, "--num_unseen=2"],
        "deploy": ["--noprogress"],
        "baseline": ["--noprogress"],
    }
    return lambda words: [*words, *added.get(words[0], [])]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Lay out the photographs that the page speaks of: noise of one colour a class."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    values = random.random((len(CLASSES), len(COLUMNS))).round(2)
    rows = [",".join(["class", *COLUMNS])]
    for name, row in zip(CLASSES, values, strict=True):
        folder = tmp_path / "mine/images" / name
        folder.mkdir(parents=True)
        rows.append(",".join([name, *map(str, row)]))
        for number in range(8):
            pixels = np.clip(255 * row[:3] + random.normal(0, 60, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
    (tmp_path / "mine/classes.csv").write_text("\n".join(rows))
    shutil.copytree(tmp_path / "mine/images/cat", tmp_path / "new_photographs")
    return tmp_path


def _done(block: str, folder: Path, niwt: Callable[..., Finished], small: Callable[[list[str]], list[str]]) -> str:
    """Do a block in `folder` and return what it printed: jobs in this process, which has TensorFlow, the rest by bash."""
    lines = block.replace("\\\n", " ").splitlines()
    if "&" in block:  # a server in the background: all of it in one shell
        lines = [block]
    printed = ""
    for line in lines:
        if "\n" not in line and line.startswith("niwt "):
            job = niwt(*small(shlex.split(line, comments=True)[1:]))
            assert job.status == 0, f"{line}\n{job.out}\n{job.err}"
            printed += job.out + job.err
            continue
        printed += _by_bash(line, folder)
    return printed


def _by_bash(line: str, folder: Path) -> str:
    """Return what a line printed. What it leaves running holds its output open: that is a file, and all of it is ended."""
    paths = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    variables = {**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT), "NO_PROXY": "localhost"}
    with open(folder / "printed.txt", "w+", encoding="utf-8") as file:
        told = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
        shell = subprocess.Popen(["bash", "-euc", line], cwd=folder, env=variables, start_new_session=True, **told)
        try:
            status: int | str = shell.wait(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            status = f"none after {_SECONDS} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        file.seek(0)
        printed = file.read()
    assert status == 0, f"{line}\nended with {status}\n{printed}"
    return printed


@pytest.mark.slow
@pytest.mark.parametrize("page", ["index.md", *further("birds.md")])
def test_commands_of_the_page_work(page, mine, at_toy_size, niwt, short_grids, monkeypatch):
    monkeypatch.chdir(mine)
    for name in ("flags", "exports", "constraints.txt"):
        source = ROOT / name
        if source.is_file():
            shutil.copy(source, mine / name)
        else:
            shutil.copytree(source, mine / name, ignore=shutil.ignore_patterns("birds"))
    (mine / "bin").mkdir()
    for name, rest in (("niwt", " -m niwt_tf"), ("python", "")):
        (mine / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{rest} "$@"\n')
        (mine / "bin" / name).chmod(0o755)
    if shutil.which("curl") is None:
        (mine / "bin" / "curl").write_text(f"#!{sys.executable}\n{_CURL}")
        (mine / "bin" / "curl").chmod(0o755)
    blocks = [block for block, run in blocks_of((START / page).read_text(encoding="utf-8")) if run]
    assert len(blocks) >= 3
    printed = "".join(_done(block, mine, niwt, at_toy_size) for block in blocks)
    if page == "index.md":
        assert re.search(r"duck|rabbit|cat", printed)
        assert {"1", "2", "3", "4"} <= {path.name for path in (mine / "exports/mine").iterdir()}


def test_what_is_not_run_says_why():
    for page in sorted(START.glob("*.md")):
        for reason in re.findall(r"<!-- not run by the tests: (.*?) -->", page.read_text(encoding="utf-8")):
            assert len(reason.split()) >= 2


def test_what_is_installed_is_enough_for_the_page():
    """The server of the last step needs an extra of its own."""
    page = (START / "index.md").read_text(encoding="utf-8")
    installed = re.search(r'pip install -c constraints\.txt "\.\[([\w,]+)\]"', page)
    assert installed is not None and "niwt_tf.serving.loopback" in page
    assert {"plots", "serve"} <= set(installed[1].split(","))
