from __future__ import annotations

import subprocess
import sys

TINY = ["--num_species=2", "--images_per_species=1", "--image_size=32"]


def _render(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "niwt_tf", "render", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_render_writes_once_and_replaces_only_its_own(niwt, tmp_path):
    folder = tmp_path / "birds"
    assert _render(f"--data_dir={folder}", *TINY).returncode == 0
    assert (folder / "CUB_200_2011" / "images.txt").read_text().count("\n") == 2
    again = _render(f"--data_dir={folder}", *TINY)
    assert (again.returncode, again.stderr) == (0, f"niwt render: {folder} is up to date.\n")
    assert niwt("render", f"--data_dir={folder}", *TINY, "--seed=1").status == 0
    (tmp_path / "own.txt").write_text("mine")
    refused = niwt("render", f"--data_dir={tmp_path}", *TINY)
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert (tmp_path / "own.txt").read_text() == "mine"
