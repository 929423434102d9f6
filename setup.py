"""What pyproject.toml cannot say: files of the folders flags/ and exports/ come with the package, under other names."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# By folder: where it goes, and what of it. A clone's exports/ holds bundles as well.
FOLDERS = {
    "flags": ("niwt_tf/jobs/flagfiles", ("*.flags",)),
    "exports": ("niwt_tf/serving/deployment", (".dockerignore", "Dockerfile", "*.yaml", "*.json", "*.config", "README.md")),
}


class BuildWithFolders(build_py):
    """Copies them; an editable installation reads those of the clone (niwt_tf/jobs/packaged_files.py)."""

    def run(self) -> None:
        """Build the package, and add the files."""
        super().run()
        if self.editable_mode:
            return
        for source, (target, patterns) in FOLDERS.items():
            folder = Path(self.build_lib, target)
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(path for pattern in patterns for path in Path(source).glob(pattern)):
                shutil.copyfile(path, folder / path.name)


setup(cmdclass={"build_py": BuildWithFolders})
